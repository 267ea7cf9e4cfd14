"""The worker's side: starts the watchdog and writes on the board what the worker does.

Three signs: each turn of the main process's loop, each probe that a process of the pool has done,
and which processes of the pool are at work until when. A probe is a task of a queue that this
worker alone consumes, put there by the watchdog: it comes back only if the worker reads the broker,
hands tasks to its pool, and the pool works.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from billiard.process import current_process
from celery import Task, bootsteps, shared_task
from celery.signals import (
    celeryd_after_setup,
    task_postrun,
    task_prerun,
    worker_process_init,
    worker_shutting_down,
)
from kombu import Exchange, Queue

from config.queues import WORKER_SILENT_SECONDS
from config.watch.board import LEAVING, PROOF, TURN, Board

ROOT = Path(__file__).resolve().parent.parent.parent
TURN_SECONDS = 1.0
# The pool's main process ends a task at its time limit; after that the slot is free again.
LIMIT_GRACE = 30.0
PROBE = "config.watch.prove"

_board: Board | None = None  # of this worker; its pool inherits it


def probe_queue(hostname: str) -> Queue:
    """The queue that the worker of this name alone consumes."""
    name = f"watch.{hostname}"
    return Queue(name, Exchange(name, "direct"), name, auto_delete=True)


@shared_task(name=PROBE, acks_late=False)
def prove() -> None:
    """Show that the whole way from the broker to the pool is open."""
    if _board is not None:
        _board.note(PROOF)


class Guard:
    """A process's board with the watchdog that looks at it."""

    def __init__(self, queue: str = "", slots: int = 0) -> None:
        self.board = Board.make()
        self.words = [str(slots), queue]
        self.watchdog: subprocess.Popen[bytes] | None = None

    def turn(self) -> None:
        """Called again and again by the guarded process: it is there. Starts the watchdog, also
        in the place of one that was killed."""
        self.board.note(TURN)
        ended = self.watchdog is None or self.watchdog.poll() is not None
        if ended and not self.board.read(LEAVING):
            descriptor = self.board.descriptor
            self.watchdog = subprocess.Popen(
                [sys.executable, "-m", "config.watch.watchdog", str(descriptor), *self.words],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=(descriptor,),
            )

    def leave(self) -> None:
        """The guarded process is about to end: from now on its silence means nothing."""
        self.board.note(LEAVING)


class Watched(bootsteps.StartStopStep):
    """Starts the watchdog before the worker connects to the broker, and turns with its loop."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self.guard: Guard | None = None

    def include_if(self, parent: Any) -> bool:
        return WORKER_SILENT_SECONDS > 0

    def create(self, parent: Any) -> None:
        """Before the pool starts, so that it inherits the board."""
        global _board
        self.guard = Guard(probe_queue(parent.hostname).name, parent.concurrency)
        _board = self.guard.board

    def start(self, parent: Any) -> None:
        if self.guard is not None:
            self.guard.turn()
            parent.timer.call_repeatedly(TURN_SECONDS, self.guard.turn)


@celeryd_after_setup.connect
def _consume_probes(instance: Any, **_options: Any) -> None:
    if WORKER_SILENT_SECONDS > 0:
        instance.app.amqp.queues.select_add(probe_queue(instance.hostname))


@worker_shutting_down.connect
def _leave(**_options: Any) -> None:
    # A warm shutdown waits for the tasks under way, perhaps for half an hour.
    if _board is not None:
        _board.note(LEAVING)


@worker_process_init.connect
def _begin_free(**_options: Any) -> None:
    """A new process of the pool has the slot of one that may have died at work."""
    _occupy(0.0)


@task_prerun.connect
def _begin(task: Task, **_options: Any) -> None:
    own = (task.request.timelimit or (None,))[0]
    limit = own or task.time_limit or task.app.conf.task_time_limit
    _occupy(float(limit) + LIMIT_GRACE)


@task_postrun.connect
def _end(**_options: Any) -> None:
    _occupy(0.0)


def _occupy(seconds: float) -> None:
    if _board is not None:
        _board.occupy(getattr(current_process(), "index", 0), seconds)
