"""The watchdog's process: `python -m config.watch.watchdog DESCRIPTOR SLOTS QUEUE`.

It puts a probe into the worker's own queue again and again, over a new connection each time, looks
at the board, and ends the worker when that has been silent for WORKER_SILENT_SECONDS although the
broker answers and a process of its pool is free. A worker busy with long reports is not silent: its
slots are occupied, each until the time limit of its task. Nothing is judged while the broker does
not answer, nor right after the watchdog itself stood still (a suspended machine).
"""

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from kombu.exceptions import OperationalError

from config.celery import app
from config.local.lifetime import tie_to_parent
from config.queues import AT_WORK_FILE, WORKER_SILENT_SECONDS
from config.watch.board import LEAVING, PROOF, TURN, Board
from config.watch.worker import PROBE

# A worker that starts on a busy machine needs its time until the first turn.
START_SECONDS = 120.0
STEP = 0.5  # seconds between two looks
HICCUP = 2.0  # seconds between two looks that only a machine with too much to do explains
PROBES = 4  # within the silence that is borne
BROKER_SECONDS = 2.0  # for the broker's answer
LAST_WORDS = 1.0  # seconds for writing where it stands


@dataclass
class Judge:
    """Since when silence counts, and whether it has lasted too long. Seconds of one clock.

    `slots` is the size of the pool; 0 when there is none and no probe is sent (beat).
    """

    silence: float
    slots: int
    now: float
    looked: float = 0.0
    began: float = 0.0
    free_since: float = 0.0
    excused_until: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.looked = self.free_since = self.excused_until = self.now

    def excuse(self, now: float) -> None:
        """Nobody can be blamed for what was before: the broker did not answer."""
        self.excused_until = now

    def look(self, board: Board, now: float) -> str:
        """Why the worker must be ended; empty as long as it need not."""
        if now - self.looked > max(self.silence / PROBES, HICCUP):
            self.excused_until = now  # we stood still ourselves
        self.looked = now
        if self.slots and board.busy(self.slots, now) >= self.slots:
            self.free_since = now
        turn, proof = board.read(TURN), board.read(PROOF)
        if not turn:
            late = now - max(self.began, self.excused_until) > START_SECONDS
            return "it did not start" if late else ""
        if now - max(turn, self.excused_until) > self.silence:
            return "its main process stands still"
        if self.slots and now - max(proof, self.free_since, self.excused_until) > self.silence:
            return "it takes nothing from its queues, although the broker answers and it has time"
        return ""


def send_probe(queue: str) -> bool:
    """Whether the broker took a probe (or, without a queue, answered) within its time."""
    patience = {"socket_timeout": BROKER_SECONDS, "socket_connect_timeout": BROKER_SECONDS}
    options = {**app.conf.broker_transport_options, **patience}
    broker = app.connection_for_write(transport_options=options)
    try:
        with broker:
            broker.default_channel.client.ping()
            if queue:
                life = WORKER_SILENT_SECONDS
                app.send_task(PROBE, queue=queue, connection=broker, retry=False, expires=life)
    except (OperationalError, *broker.connection_errors, *broker.channel_errors):
        return False
    return True


def watch(board: Board, slots: int, queue: str) -> str:
    """Watches until the parent ends by itself (an empty answer) or must be ended (why)."""
    parent = os.getppid()
    judge = Judge(WORKER_SILENT_SECONDS, slots, monotonic())
    probe_at = judge.began
    while os.getppid() == parent and not board.read(LEAVING):
        now = monotonic()
        if why := judge.look(board, now):
            return why
        if now >= probe_at:
            if AT_WORK_FILE and board.read(TURN):
                Path(AT_WORK_FILE).touch()
            probe_at = now + WORKER_SILENT_SECONDS / PROBES
            if not send_probe(queue):
                judge.excuse(monotonic())
        sleep(STEP)
    return ""


def end(worker: int, why: str, *, speaks: bool) -> None:
    """Ends the parent, and its whole group when it leads one, as all that our starters start do."""
    with suppress(ProcessLookupError):
        if speaks:  # a worker writes where each of its threads stands, if it still can
            os.kill(worker, signal.SIGUSR1)
            sleep(LAST_WORDS)
        moment = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S")
        print(f"{moment} WATCHDOG ends {worker}: {why}.", file=sys.stderr, flush=True)
        if os.getpgid(worker) == worker:
            os.killpg(worker, signal.SIGKILL)
        else:
            os.kill(worker, signal.SIGKILL)


def main(descriptor: str, slots: str, queue: str) -> None:
    # Ctrl-C on a terminal reaches the whole group: the worker then ends in its own way.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = os.getppid()
    tie_to_parent(signal.SIGKILL, worker)
    why = watch(Board(int(descriptor)), int(slots), queue)
    if why:
        end(worker, why, speaks=slots != "0")


if __name__ == "__main__":
    main(*sys.argv[1:])
