"""The scheduler of beat: Celery's own, which leaves a trace of every few seconds in the broker.

The trace is written after what was due has been handed over, so that a beat that hangs on its
broker is seen as well as one that is gone; its watchdog ends it then. What is due when is
`config.celery`'s business.
"""

from time import monotonic
from typing import Any

from celery.beat import PersistentScheduler

from config.queues import WORKER_SILENT_SECONDS
from config.watch.worker import Guard
from messenger.status import pulse

NOTE_EVERY = 5.0  # seconds


class NotingScheduler(PersistentScheduler):
    """PersistentScheduler with a sign of life."""

    noted = -NOTE_EVERY
    guard: Guard | None = None

    def tick(self, *args: Any, **kwargs: Any) -> float:
        if WORKER_SILENT_SECONDS:
            self.guard = self.guard or Guard()
            self.guard.turn()
        wait: float = super().tick(*args, **kwargs)
        if monotonic() - self.noted >= NOTE_EVERY:
            self.noted = monotonic()
            pulse.note_beat()
        return min(wait, NOTE_EVERY)
