"""Rings that make things happen soon. Losing one costs seconds, never a message.

Each rings a Celery task on commit, with ids alone; a broker that is down is logged and forgotten,
because the ticks look at the database. The tasks themselves are thin shells in `messenger.tasks`.
"""

import logging
from functools import partial
from time import monotonic

from celery import Task
from django.db import transaction

log = logging.getLogger(__name__)

URGENT = "urgent"
DISPATCH = "dispatch"

# After a ring that nobody heard there is none for so long: a slice rings twice, and a broker that
# swallows requests costs 3 s each time. The ticks of this time do what was not rung.
QUIET_SECONDS = 5.0

_here = False
_quiet_until = 0.0


def work_here() -> None:
    """From now on this process does the work itself when a bell is rung (`manage.py tick --alone`,
    the fallback without a broker)."""
    global _here
    _here = True


def ring(task: Task, *ids: object, queue: str, after: int = 0) -> None:
    """Queues the task on commit, for `after` seconds (60 at most) later; a broker that does not
    answer is no error."""
    transaction.on_commit(partial(_send, task, ids, queue, after))


def _send(task: Task, ids: tuple[object, ...], queue: str, after: int) -> None:
    global _quiet_until
    if _here:
        if not after:  # nobody waits here; the ticks come by
            task(*ids)
        return
    if monotonic() < _quiet_until:
        return
    try:
        # No retries here: a dead broker must not hold a web request; the tick comes anyway.
        task.apply_async(args=list(ids), queue=queue, countdown=after or None, retry=False)
    except Exception as error:  # noqa: BLE001 - whatever the broker's client raises, the tick helps
        _quiet_until = monotonic() + QUIET_SECONDS
        log.warning("no broker for %s: %s", task.name, type(error).__name__)


def launch(message_id: int) -> None:
    from messenger.tasks import launch_message

    ring(launch_message, message_id, queue=DISPATCH)


def expand(message_id: int, *, urgent: bool) -> None:
    from messenger.tasks import expand_message

    ring(expand_message, message_id, queue=URGENT if urgent else DISPATCH)
