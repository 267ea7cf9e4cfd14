"""The scheduler of beat: Celery's own, which leaves a trace of every few seconds in the broker.

The trace is written after what was due has been handed over, so that a beat that hangs on its
broker is seen as well as one that is gone. What is due when is `config.celery`'s business.
"""

from time import monotonic
from typing import Any

from celery.beat import PersistentScheduler

from messenger.status import pulse

NOTE_EVERY = 5.0  # seconds


class NotingScheduler(PersistentScheduler):
    """PersistentScheduler with a sign of life."""

    noted = -NOTE_EVERY

    def tick(self, *args: Any, **kwargs: Any) -> float:
        wait: float = super().tick(*args, **kwargs)
        if monotonic() - self.noted >= NOTE_EVERY:
            self.noted = monotonic()
            pulse.note_beat()
        return min(wait, NOTE_EVERY)
