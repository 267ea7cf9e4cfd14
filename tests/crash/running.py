"""The product's real processes at a busy moment: what the proofs of this folder do to them.

A send is under way with real Celery workers, beat and a switchboard of few lines, so that there is
time; `let_it_end` gives it lines. Nothing is judged here."""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event
from time import monotonic

from config.local import programs
from config.local.supervisor import Program
from messenger.models import District, Message
from tests.end_to_end.test_kill import progress_of, send_to_everyone
from tests.end_to_end.town import Exchange, open_account
from tests.end_to_end.workers import Processes
from voice.models import VoiceSettings

PATIENCE = 240.0  # seconds until a test says that nothing happens; others may be at work
FEW_LINES, MANY_LINES = 10, 400


def await_that(done: Callable[[], bool], words: str, patience: float = PATIENCE) -> float:
    """Waits until something is so; returns after how many seconds it was."""
    begun, pause = monotonic(), Event()  # nobody sets it: a wait that ends by its time
    while not done():
        assert monotonic() - begun < patience, f"never happened: {words}"
        pause.wait(0.1)
    return monotonic() - begun


def await_progress(
    message: Message, patience: float = PATIENCE, workers: Processes | None = None
) -> float:
    """Waits until another batch has its answer or another page of the log is stored. With `workers`
    those that end meanwhile are started again, as every installation does."""
    before = progress_of(message)

    def has_moved() -> bool:
        if workers is not None:
            workers.revive()
        return progress_of(message) != before

    return await_that(has_moved, "progress", patience)


def begin_send(exchange: Exchange, people: int, batch: int, directory: Path) -> Message:
    """A message to so many made-up people and their families, in batches of so many chains."""
    district = District.current()
    district.voice_enabled = True
    district.save()
    open_account(exchange)
    VoiceSettings.objects.update(max_chains_per_batch=batch)
    return send_to_everyone(people, directory / "roster")


def let_it_end(exchange: Exchange) -> None:
    """Gives the switchboard more lines."""
    exchange.kill()
    exchange.set_lines(MANY_LINES)
    exchange.start()


def chosen(directory: Path, *names: str) -> list[Program]:
    """These programs of an installation."""
    return [each for each in programs.background(directory) if each.name in names]


def pool_children(workers: Processes, names: Iterable[str]) -> list[int]:
    """The process ids of the pools' children: forks of these workers, with the same words. (A
    watchdog is a child with words of its own.)"""
    found = []
    for name in names:
        parent = workers.running[workers.names.index(name)].pid
        words = _words_of(parent)
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        found += [int(child) for child in children if _words_of(int(child)) == words]
    return found


def _words_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""  # gone meanwhile


def end_well(workers: Processes, most_seconds: float) -> float:
    """SIGTERM to every program, as a deployment does; returns after how many seconds the last one
    had ended by itself, and well."""
    begun = monotonic()
    for process in workers.running:
        os.kill(process.pid, signal.SIGTERM)
    for name, process in zip(workers.names, workers.running, strict=True):
        code = process.wait(most_seconds)
        assert code == 0, f"{name} ended with {code}"
    took = monotonic() - begun
    workers.running.clear()
    workers.names.clear()
    return took
