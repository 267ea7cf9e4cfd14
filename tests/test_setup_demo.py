"""`make demo` and `make main-job` at a small size: what they say, what they leave, what survives a
kill -9. Everything in them is real: roster, calls, workers, beat, pages, reports.
"""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.local.lifetime import wait_until
from config.local.services import remove_directory
from tests.processes import processes_of

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 240
ELSEWHERE = ("DATABASE_URL", "SWITCHBOARD_DATABASE_URL", "REDIS_URL", "MAKELEVEL", "PORT", "SIZE")


@dataclass
class Copy:
    """A started demo or main job with what it prints."""

    process: subprocess.Popen[bytes]
    output: Path
    directory: Path

    def said(self) -> str:
        return self.output.read_text()

    def await_words(self, words: str) -> None:
        def look() -> bool:
            return words in self.said() or self.process.poll() is not None

        assert wait_until(look, READY_SECONDS), self.said()
        assert words in self.said(), self.said()

    def done(self) -> dict[str, str]:
        """The steps that were done in this copy's databases, with what they gave."""
        steps: dict[str, str] = json.loads((self.directory / "set-up-own.json").read_text())
        return steps

    def find(self, words: str) -> int:
        """The oldest process of this copy with these words in its command line."""
        return min(pid for pid, line in processes_of(self.directory).items() if words in line)


Launch = Callable[..., Copy]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Start a demo or a main job; whatever it leaves is killed afterwards."""
    copies: list[Copy] = []

    def start(what: str, name: str, **settings: str) -> Copy:
        environment = {key: text for key, text in os.environ.items() if key not in ELSEWHERE}
        directory = tmp_path / name
        environment |= {"VAR_DIR": str(directory), "TMPDIR": str(tmp_path), "SPEED": "2000"}
        environment |= {"SIZE": "120", "RECIPIENTS": "60"} | settings
        output = tmp_path / f"{name}-{len(copies)}.txt"
        with output.open("wb") as handle:
            process = subprocess.Popen(
                [sys.executable, "-m", f"config.local.{what}"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
            )
        copies.append(Copy(process, output, directory))
        return copies[-1]

    yield start
    for copy in copies:
        copy.process.kill()
        copy.process.wait()
        wait_until(lambda copy=copy: not processes_of(copy.directory), 10)
        remove_directory(copy.directory)


def test_two_demos_stand_side_by_side_and_one_goes_on_after_kill_9(launch: Launch) -> None:
    first, second = launch("demo", "first", SPEED="20"), launch("demo", "second")
    for copy in (first, second):
        copy.await_words("In-Progress")
    pages = [re.search(r"http://127\.0\.0\.1:\d+/", copy.said()) for copy in (first, second)]
    assert pages[0] is not None
    assert pages[1] is not None
    assert pages[0][0] != pages[1][0]
    for page in pages:
        assert page is not None
        with urllib.request.urlopen(page[0], timeout=20) as answer:
            assert answer.status == 200
    (password,) = re.findall(r"admin +(\S+)", first.said())

    second.process.send_signal(signal.SIGINT)
    assert second.process.wait(30) == 0
    assert processes_of(second.directory) == {}

    # In the middle of the message.
    first.process.kill()
    assert wait_until(lambda: not processes_of(first.directory), 15), processes_of(first.directory)
    before = first.done()

    again = launch("demo", "first")
    again.await_words("Sent ")
    assert password in again.said()
    # Nothing was made twice, and the switchboard stands where the district looks for it.
    assert again.done() == before

    worker = again.find("worker@")
    os.kill(worker, signal.SIGKILL)
    again.await_words("worker died (SIGKILL); again in 1 s")
    assert wait_until(
        lambda: any("worker@" in words for words in processes_of(again.directory).values()), 10
    )
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(30) == 0
    assert processes_of(again.directory) == {}


def test_the_main_job_ends_with_its_reports_and_cleans_up(launch: Launch, tmp_path: Path) -> None:
    out = tmp_path / "reports"
    job = launch("main_job", "job", OUT=str(out), VAR_DIR="")
    assert job.process.wait(READY_SECONDS) == 0, job.said()
    assert re.search(r"Total Recipients +\d\d", job.said()), job.said()
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF-")
    assert (out / "report.docx").read_bytes().startswith(b"PK")
    assert "Early release on Friday" in (out / "report.csv").read_text(encoding="utf-8-sig")
    assert list(tmp_path.glob("messenger-main-job-*")) == []


def test_the_main_job_says_what_died(launch: Launch, tmp_path: Path) -> None:
    job = launch("main_job", "job", SPEED="1", VAR_DIR="")
    job.await_words("In-Progress")
    (job.directory,) = tmp_path.glob("messenger-main-job-*")
    os.kill(job.find("gunicorn"), signal.SIGKILL)
    assert job.process.wait(40) == 1
    assert "The main job failed: web died (SIGKILL)" in job.said()
    assert processes_of(job.directory) == {}
    assert not job.directory.exists()
