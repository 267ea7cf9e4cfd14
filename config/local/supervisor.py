"""Keeps the processes of one copy of the project running, and takes all of them down with it.

One thread, one loop: whoever waits for something calls ``watch`` while waiting. What the processes
are is said in programs.py; what happens in the districts' data is none of this module's business.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from config.local.lifetime import (
    SetupError,
    has_ended,
    last_lines,
    reap,
    start_tied,
    stop_processes,
    tie_to_parent,
    wait_until,
)
from config.local.services import Services

LONGEST_BACK_OFF = 30.0  # seconds
STEADY_SECONDS = 30.0  # who lived this long begins again with the shortest back-off
# For the tasks and requests under way, then for the switchboard; the whole stop stays below 20 s.
GRACE_SECONDS = (8.0, 3.0)
LARGEST_LOG = 10_000_000  # bytes; a larger one becomes NAME.log.1 at the next start


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP: unwind and stop everything. No error, so nothing catches it."""


@dataclass(frozen=True)
class Program:
    """One process to keep running: its words, and the open sockets that it inherits."""

    name: str
    command: tuple[str, ...]
    sockets: tuple[int, ...] = ()
    # Programs of stage 0 are stopped together first; the switchboard answers them until the end.
    stage: int = 0


@dataclass
class Running:
    """A program with its process; ``due`` says when a dead one is started again."""

    program: Program
    process: subprocess.Popen[bytes]
    log_start: int  # where in the log this process began to write
    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    due: float | None = None


class Supervisor:
    """Starts programs and commands with one environment, below one log directory."""

    def __init__(
        self,
        services: Services,
        environment: dict[str, str],
        logs: Path,
        *,
        restart: bool,
        say: Callable[[str], None],
    ) -> None:
        self.services = services
        self.environment = environment
        self.logs = logs
        self.restart = restart
        self.say = say
        self.running: dict[str, Running] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def log_of(self, name: str) -> Path:
        """The file that takes what a program writes."""
        return self.logs / f"{name}.log"

    def start(self, program: Program) -> None:
        """Start a program; from now on ``watch`` looks after it."""
        log = self.log_of(program.name)
        if log.exists() and log.stat().st_size > LARGEST_LOG:
            log.replace(log.with_name(log.name + ".1"))
        self.running[program.name] = Running(program, *self._spawn(program))

    def replace(self, program: Program) -> None:
        """Have the next start of a program, should it die, use other words."""
        self.running[program.name].program = program

    def output_of(self, name: str) -> bytes:
        """What the present process of a program has written so far."""
        with self.log_of(name).open("rb") as log:
            log.seek(self.running[name].log_start)
            return log.read()

    def _spawn(self, program: Program) -> tuple[subprocess.Popen[bytes], int]:
        with self.log_of(program.name).open("ab") as log:
            process = start_tied(
                list(program.command),
                death_signal=signal.SIGKILL,
                environment=self.environment,
                output=log,
                pass_fds=program.sockets,
            )
            return process, log.tell()

    def watch(self) -> None:
        """Look once at everything; start again what died, or raise SetupError without restart."""
        for entry in self.running.values():
            if entry.due is not None:
                if time.monotonic() >= entry.due:
                    entry.process, entry.log_start = self._spawn(entry.program)
                    entry.started, entry.due = time.monotonic(), None
            elif has_ended(entry.process):
                self._note_death(entry)
        self._look_after_services()

    def _note_death(self, entry: Running) -> None:
        # With it goes its group: children that it left behind serve nobody now.
        name, code = entry.program.name, reap(entry.process)
        log = self.log_of(name)
        if not self.restart:
            raise SetupError(
                f"{name} died ({describe_exit(code)}); its log says:\n{last_lines(log)}"
            )
        if time.monotonic() - entry.started > STEADY_SECONDS:
            entry.failures = 0
        delay = min(LONGEST_BACK_OFF, 2.0**entry.failures)
        entry.failures += 1
        entry.due = time.monotonic() + delay
        self.say(f"{name} died ({describe_exit(code)}); again in {delay:.0f} s. Its log: {log}")

    def _look_after_services(self) -> None:
        dead = [] if self.restart else self.services.find_dead()
        if dead:
            raise SetupError(f"{dead[0].name} died; its log is in {self.logs}.")
        for name in self.services.revive():
            self.say(f"{name} died and runs again; nothing confirmed is lost.")

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Watch until ``condition`` holds; SetupError says that ``what`` did not come in time."""

        def look() -> bool:
            self.watch()
            return condition()

        if not wait_until(look, seconds, every=0.1):
            raise SetupError(f"{what} did not come within {seconds:.0f} s; see {self.logs}.")

    def lines_of(self, command: list[str], *, patience: float | None = None) -> Iterator[str]:
        """Run a command to its end and yield its lines as they come, watching all the while.

        Raises SetupError when it fails, or when ``patience`` seconds pass without a new line.
        """
        words = " ".join(command[1:])
        log_path = self.log_of("commands")
        with log_path.open("ab") as log:
            process = start_tied(
                list(command),
                death_signal=signal.SIGKILL,
                environment=self.environment,
                output=subprocess.PIPE,
                errors=log,
            )
        try:
            yield from self._read_lines(process, words, patience)
        finally:
            reap(process)
        if process.returncode != 0:
            raise SetupError(
                f"`{words}` failed ({describe_exit(process.returncode)}); it says:\n"
                f"{last_lines(log_path)}"
            )

    def begin(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Begin a command that others need not wait for; ``finish`` does."""
        with self.log_of(name).open("wb") as log:
            return start_tied(
                list(command),
                death_signal=signal.SIGKILL,
                environment=self.environment,
                output=log,
            )

    def finish(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a command that has begun, watching all the while; SetupError when it
        fails."""
        while not has_ended(process):
            self.watch()
            time.sleep(0.1)
        code = reap(process)
        if code != 0:
            said = last_lines(self.log_of(name))
            raise SetupError(f"{name} failed ({describe_exit(code)}); its log says:\n{said}")

    def _read_lines(
        self, process: subprocess.Popen[bytes], words: str, patience: float | None
    ) -> Iterator[str]:
        assert process.stdout is not None
        rest, moved = b"", time.monotonic()
        with selectors.DefaultSelector() as selector, process.stdout as output:
            selector.register(output, selectors.EVENT_READ)
            while True:
                self.watch()
                if not selector.select(timeout=0.2):
                    if patience is not None and time.monotonic() - moved > patience:
                        raise SetupError(f"Nothing moved for {patience:.0f} s in `{words}`.")
                    continue
                part = os.read(output.fileno(), 65536)
                if not part:
                    break
                moved = time.monotonic()
                *lines, rest = (rest + part).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
        if rest:
            yield rest.decode(errors="replace")
        self.wait_for(lambda: has_ended(process), 60, f"The end of `{words}`")

    def stop(self) -> None:
        """Stop every program, stage by stage: a polite signal, a grace, then kill -9."""
        for stage in sorted({entry.program.stage for entry in self.running.values()}):
            stop_processes(
                [each.process for each in self.running.values() if each.program.stage == stage],
                [(signal.SIGTERM, GRACE_SECONDS[stage])],
            )


def describe_exit(code: int) -> str:
    """An exit code in words: `exit code 1`, or the signal's name."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into Stopped; later ones change nothing.

    Under make the whole copy also ends with make itself, however make ends.
    """
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def stop(number: int, frame: FrameType | None) -> None:
        for other in wanted:
            signal.signal(other, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    if "MAKELEVEL" in os.environ:
        tie_to_parent(signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def show_progress(lines: Iterator[str]) -> None:
    """Print lines as they come: one line that changes on a terminal, else one below the other."""
    on_terminal, said = sys.stdout.isatty(), False
    for line in lines:
        said = True
        # \033[K clears what a longer line left behind.
        print(f"\r  {line}\033[K" if on_terminal else f"  {line}", end="" if on_terminal else "\n")
        sys.stdout.flush()
    if on_terminal and said:
        print()
