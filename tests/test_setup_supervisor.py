"""The supervisor: it restarts what dies, stops all of it in order, and takes all of it with it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.local import programs
from config.local.installation import Steps, read_keys
from config.local.lifetime import SetupError, is_alive, wait_until
from config.local.services import Services
from config.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
Supervise = Callable[..., subprocess.Popen[str]]
# A program with a child of its own; both write down who they are.
FAMILY = "echo $$ > {pids}/{name}.mother; sleep 600 & echo $! > {pids}/{name}.child; wait"


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Start a supervising process and wait until its programs run."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str, mode: str = "restart") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.hold_supervisor", str(tmp_path), mode, *words]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def family(name: str, pids: Path) -> str:
    """A program that is a mother with a child, with a note of both."""
    return f"{name}=" + FAMILY.format(name=name, pids=pids)


def read_pid(path: Path) -> int:
    """The process that a note names, once it is written."""
    assert wait_until(lambda: path.exists() and path.read_text().strip() != "", 10), path
    return int(path.read_text())


def test_kill_9_of_the_supervisor_leaves_no_program(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(family("one", tmp_path), family("two", tmp_path))
    mothers = [read_pid(tmp_path / f"{name}.mother") for name in ("one", "two")]
    process.kill()
    assert wait_until(lambda: not any(map(is_alive, mothers)), 10)
    # What a program starts is its own to tie, as gunicorn and Celery do (test_setup_demo.py).
    for name in ("one", "two"):
        os.kill(read_pid(tmp_path / f"{name}.child"), signal.SIGKILL)


def test_a_dead_program_comes_back_later_and_later(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(f"weak=echo run >> {tmp_path}/runs; exit 3", "last=sleep 600")
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(2)]
    assert re.match(r"weak died \(exit code 3\); again in 1 s\. Its log: .*weak\.log", said[0])
    assert "again in 2 s" in said[1]
    process.terminate()
    process.communicate(timeout=20)
    assert (tmp_path / "runs").read_text() == "run\n" * 2


def test_a_dead_mother_takes_her_children_along(tmp_path: Path, supervise: Supervise) -> None:
    supervise(family("one", tmp_path), "last=sleep 600")
    child = read_pid(tmp_path / "one.child")
    os.kill(read_pid(tmp_path / "one.mother"), signal.SIGKILL)
    assert wait_until(lambda: not is_alive(child), 10)


def test_without_restart_a_death_ends_everything(tmp_path: Path, supervise: Supervise) -> None:
    process = supervise(
        family("one", tmp_path), "weak=echo its last words; exit 3", "last=sleep 600", mode="once"
    )
    said = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert "weak died (exit code 3); its log says:\n    its last words" in said


# Says its name when it is asked to stop.
POLITE = "{name}=trap 'echo {name} >> {at}/order; exit 0' TERM; echo $$ > {at}/{name}.pid; " + (
    "sleep 600 & echo $! > {at}/{name}.child; wait"
)


@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_in_order(
    wanted: signal.Signals, tmp_path: Path, supervise: Supervise
) -> None:
    names = ("first", "second", "last")
    process = supervise(*(POLITE.format(name=name, at=tmp_path) for name in names))
    children = [read_pid(tmp_path / f"{name}.child") for name in names]
    process.send_signal(wanted)
    process.send_signal(wanted)  # the impatient second one changes nothing
    assert process.communicate(timeout=20)[0] == f"stopped by {wanted.name}\n"
    assert process.returncode == 0
    order = (tmp_path / "order").read_text().split()
    assert order[-1] == "last"
    assert sorted(order) == sorted(names)
    assert not any(map(is_alive, children))


def test_a_program_that_will_not_stop_is_killed_within_20_seconds(
    tmp_path: Path, supervise: Supervise
) -> None:
    deaf = f"deaf=trap '' TERM INT HUP; echo $$ > {tmp_path}/pid; while :; do sleep 1; done"
    process = supervise(deaf, "last=sleep 600")
    pid = read_pid(tmp_path / "pid")
    process.terminate()
    process.communicate(timeout=20)
    assert not is_alive(pid)


@pytest.fixture
def supervisor(tmp_path: Path) -> Supervisor:
    """A supervisor in this process, without services."""
    environment = {"PATH": os.environ["PATH"]}
    return Supervisor(Services({}), environment, tmp_path, restart=False, say=print)


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def test_a_command_gives_its_lines_and_fails_in_words(supervisor: Supervisor) -> None:
    assert list(supervisor.lines_of(shell("printf 'a\\nb\\nc'"))) == ["a", "b", "c"]
    with pytest.raises(SetupError, match=r"failed \(exit code 4\); it says:\n +no such thing"):
        list(supervisor.lines_of(shell("echo no such thing >&2; exit 4")))


def test_a_command_that_stands_still_is_given_up(supervisor: Supervisor, tmp_path: Path) -> None:
    lines = supervisor.lines_of(
        shell(f"echo $$ > {tmp_path}/pid; echo one; sleep 600"), patience=0.5
    )
    assert next(lines) == "one"
    with pytest.raises(SetupError, match="Nothing moved for 0 s"):
        next(lines)
    assert not is_alive(read_pid(tmp_path / "pid"))


def test_the_port_of_the_pages_is_the_next_free_one() -> None:
    with programs.listen(0) as first:
        port = first.getsockname()[1]
        with programs.listen(port, or_next=50) as second:
            assert port < second.getsockname()[1] <= port + 50
        assert not programs.is_free(port)
        with pytest.raises(SetupError, match="set PORT to another"):
            programs.listen(port)


def test_the_address_of_the_switchboard_is_read_from_what_it_prints() -> None:
    output = b"noise\nswitchboard listening on http://127.0.0.1:4711/soap\nmore\n"
    assert programs.find_addresses(output) == ["http://127.0.0.1:4711/soap"]
    assert programs.find_addresses(b"switchboard starting") == []


def test_a_step_is_done_once_even_after_a_crash(tmp_path: Path) -> None:
    def crash() -> str:
        raise SetupError("in the middle")

    steps = Steps(tmp_path / "steps.json")
    with pytest.raises(SetupError):
        steps.once("import", crash)
    assert Steps(steps.path).once("import", lambda: "done") == "done"
    assert Steps(steps.path).once("import", crash) == "done"


def test_keys_are_made_once_and_are_private(tmp_path: Path) -> None:
    path = tmp_path / "env"
    keys = read_keys(path)
    assert read_keys(path) == keys
    assert set(keys) == {"SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "SWITCHBOARD_PASSWORD"}
    assert path.stat().st_mode & 0o777 == 0o600
