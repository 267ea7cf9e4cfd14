"""Signs of life that only real work gives: the pulse of each queue, and the last tick of beat.

Beat puts a tiny task into every queue every 30 s; the worker that does it writes the time. A worker
that is connected and consumes nothing (a blocked socket, a frozen process) answers pings and writes
nothing, so that it is found by its silence, after 120 s and seen within 180 s (R12).
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
from django.conf import settings
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max
from django.utils import timezone

from messenger.models import QueuePulse

log = logging.getLogger(__name__)

# Four probes in a row, 120 s; a page that refreshes every 15 s shows it 165 s after the worker
# stopped.
SILENT_AFTER = timedelta(seconds=4 * settings.PULSE_SECONDS)
# One report or import may take 30 minutes of a worker: silence there may be work.
LONG_WORK = frozenset({"reports", "imports"})
BEAT_SILENT_AFTER = timedelta(seconds=60)
BEAT_KEY = "messenger:beat"
PATIENCE = 2.0  # seconds that a page waits for Redis


@dataclass(frozen=True)
class QueueState:
    """A queue and its last sign of life; `silent` when that is too long ago, `since` None when
    there never was one."""

    queue: str
    since: datetime | None
    silent: bool
    worker: str = ""


def note(queue: str, worker: str, now: datetime) -> None:
    """A task of this queue is being done at this moment."""
    QueuePulse.objects.bulk_create(
        [QueuePulse(queue=queue, first_at=now, done_at=now, worker=worker[:200])],
        update_conflicts=True,
        unique_fields=["queue"],
        update_fields=["done_at", "worker"],
    )


def queue_states(now: datetime) -> list[QueueState]:
    """Every queue of WORK_QUEUES. One that never gave a sign is silent unless the first sign of any
    queue (before there is one: the set-up) is younger than the patience: then the system has just
    been started."""
    seen = {pulse.queue: pulse for pulse in QueuePulse.objects.all()}
    first = min((pulse.first_at for pulse in seen.values()), default=None) or _set_up_at()
    starting = first is not None and now - first < SILENT_AFTER
    states = []
    for queue in settings.WORK_QUEUES:
        pulse = seen.get(queue)
        if pulse is None:
            states.append(QueueState(queue, None, not starting))
        else:
            silent = now - pulse.done_at > SILENT_AFTER
            states.append(QueueState(queue, pulse.done_at, silent, pulse.worker))
    return states


def _set_up_at() -> datetime | None:
    """When the database was made or last changed its shape, which is when a new system starts."""
    recorded = MigrationRecorder.Migration.objects.aggregate(last=Max("applied"))
    last: datetime | None = recorded["last"]
    return last


def stopped_queues(now: datetime) -> list[str]:
    """Queues that once worked and have stopped; for the banner, which says nothing about a system
    that has never been started."""
    silent = QueuePulse.objects.filter(done_at__lt=now - SILENT_AFTER)
    return sorted(set(silent.values_list("queue", flat=True)) - LONG_WORK)


def broker() -> redis.Redis:
    """A connection to the broker that never waits longer than two seconds."""
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
    )


def note_beat() -> None:
    """Beat (or `manage.py tick`) has just rung what was due. Without a broker nobody can be told,
    and nothing depends on it."""
    try:
        with broker() as connection:
            connection.set(BEAT_KEY, f"{timezone.now().timestamp():.0f}", ex=7 * 24 * 3600)
    except redis.RedisError as error:
        log.warning("beat's tick is not noted: %s", type(error).__name__)


def last_beat() -> datetime | None:
    """When beat last rang; None when it never did. Raises redis.RedisError."""
    with broker() as connection:
        stored = connection.get(BEAT_KEY)
    return datetime.fromtimestamp(float(stored), UTC) if stored else None


def lengths() -> dict[str, int]:
    """How many tasks wait in each queue. Raises redis.RedisError."""
    with broker() as connection:
        pipe = connection.pipeline(transaction=False)
        for queue in settings.WORK_QUEUES:
            pipe.llen(queue)
        return dict(zip(settings.WORK_QUEUES, pipe.execute(), strict=True))
