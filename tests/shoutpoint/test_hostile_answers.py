"""The corpus of hostile XML: refused by name, nothing read, nobody called, memory spared."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dialer_adapters.contract import Retry
from tests.shoutpoint.conftest import Dial
from tests.shoutpoint.hostile import bomb, corpus, just_within
from tests.shoutpoint.raw_server import http
from tests.shoutpoint.test_building import CHAINS, JOB

MOST_GROWTH_KB = 50 * 1024
SECRET = "the-district-password"
NAMES = list(corpus("http://127.0.0.1/", "/nowhere"))


@pytest.fixture
def trap() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd"
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


def test_the_corpus_is_as_wide_as_promised() -> None:
    assert len(NAMES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_hostile_answers_end_in_a_named_error(
    name: str, trap: str, secret: Path, dial: Dial
) -> None:
    answer = http(corpus(trap, str(secret))[name]())
    adapter, _ = dial(answer)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason in ("garbled", "foreign")
    assert SECRET not in str(caught.value)
    for ask in (lambda: adapter.submit(JOB, CHAINS, 1), lambda: adapter.read_log("e1", 0)):
        with pytest.raises(Retry):
            ask()


def test_a_gzip_bomb_is_not_unpacked(dial: Dial) -> None:
    packed = bomb(200)
    assert len(packed) < 1_000_000
    adapter, _ = dial(http(packed, headers=("Content-Encoding: gzip",)))
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.detail == "answer too large"


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is measured as Linux tells it")
def test_hostile_answers_cost_little_memory(trap: str, secret: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.shoutpoint.hostile", trap, str(secret)],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    grown = json.loads(done.stdout)
    assert set(grown) == {*NAMES, *just_within()}
    assert {name: kb for name, kb in grown.items() if kb > MOST_GROWTH_KB} == {}
