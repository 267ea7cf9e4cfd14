"""The tasks of the Contact Preferences Batch: thin shells with ids alone, on the long queue."""

import logging

from celery import shared_task
from django.db import DatabaseError
from django.utils.translation import gettext as _

from messenger import doorbell, preference_batches
from messenger.models import PreferenceBatch
from messenger.one_at_a_time import only_one

log = logging.getLogger(__name__)
QUEUE = "imports"
LOCK = "preference batch"
LONGEST = 30 * 60  # seconds

_State = PreferenceBatch.State


@shared_task(time_limit=LONGEST + 60, soft_time_limit=LONGEST)
def run_batch(batch_id: int) -> None:
    """Carry out or undo one batch; behind another one it waits, and the tick rings again."""
    with only_one(LOCK, idle_seconds=60.0) as alone:
        if not alone:
            return
        batch = PreferenceBatch.objects.select_related("started_by").get(pk=batch_id)
        try:
            if batch.state in (_State.WAITING, _State.RUNNING):
                preference_batches.carry_out(batch)
            elif batch.state in (_State.UNDO_WAITING, _State.UNDOING):
                preference_batches.undo(batch)
        except DatabaseError:
            raise  # the tick tries again
        except Exception:
            log.exception("batch %s broke off", batch_id)
            PreferenceBatch.objects.filter(pk=batch_id).update(
                state=_State.FAILED,
                trouble=_("The batch broke off. What it has set so far stays until it is undone."),
            )


@shared_task
def resume_batches() -> None:
    """Tick (60 s): ring for batches that wait, or whose worker was lost."""
    with only_one(LOCK) as alone:
        if not alone:
            return
    moving = PreferenceBatch.objects.filter(state__in=PreferenceBatch.MOVING).order_by("pk")
    for batch_id in moving.values_list("pk", flat=True):
        start_batch(batch_id)


def start_batch(batch_id: int) -> None:
    """Have a worker do a batch once the caller's transaction has committed."""
    doorbell.ring(run_batch, batch_id, queue=QUEUE)
