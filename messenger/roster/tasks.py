"""The roster's tasks: thin shells with ids alone, on the queue `imports`.

An import runs up to 30 minutes. A lost worker takes its lock and its transaction with it: nothing
was changed, and the tick says so on the run.
"""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger import doorbell
from messenger.models import RosterImport
from messenger.one_at_a_time import only_one
from messenger.roster.importer import LOCK, carry_out

QUEUE = "imports"
LONGEST = 30 * 60  # seconds
# A ring that has not been heard for so long was lost.
PATIENCE = timedelta(seconds=60)

_State = RosterImport.State
_MOVING = (_State.READING, _State.CHECKING, _State.COMPARING, _State.APPLYING)


@shared_task(time_limit=LONGEST + 60, soft_time_limit=LONGEST)
def run_import(run_id: int) -> None:
    """Carry out one waiting run. Behind another import it waits on, and the tick rings again."""
    carry_out(RosterImport.objects.get(pk=run_id))


@shared_task
def resume_imports() -> None:
    """Tick (60 s): ring again for runs that wait too long; end those whose worker was lost."""
    with only_one(LOCK) as alone:
        if not alone:
            return
        RosterImport.objects.filter(state__in=_MOVING).update(
            state=_State.FAILED,
            finished_at=timezone.now(),
            refusal=_("The worker stopped in the middle; nothing was changed. Import again."),
        )
    late = RosterImport.objects.filter(
        state=_State.WAITING, created_at__lt=timezone.now() - PATIENCE
    ).order_by("pk")
    for run_id in late.values_list("pk", flat=True):
        start_import(run_id)


def start_import(run_id: int) -> None:
    """Have a worker carry out a waiting run, once the caller's transaction has committed."""
    doorbell.ring(run_import, run_id, queue=QUEUE)
