"""The messenger's tasks: thin shells over `lifecycle`, with ids alone.

Each may run twice at once and may be lost; the ticks find what a lost ring missed.
"""

import logging

from celery import Task, shared_task
from django.db.models.functions import Greatest

from messenger import clock, continuity, doorbell, expansion, lifecycle
from messenger.channels.registry import channels_for
from messenger.models import LaunchSlice, Message
from messenger.one_at_a_time import only_one
from messenger.status import pulse

log = logging.getLogger(__name__)

# A task gives its worker back after this many seconds and rings itself again: a worker that is told
# to end (a deployment) waits for its task and must be gone in 30 s (R9).
EXPAND_SECONDS = 15
# Of an emergency sooner: there are four urgent workers, and the first call of the next emergency
# must not wait until this one is expanded.
EXPAND_SECONDS_URGENT = 5


@shared_task
def launch_message(message_id: int) -> None:
    """Starts one due message."""
    lifecycle.launch(message_id)


@shared_task
def expand_message(message_id: int) -> None:
    """Expands slices until none is planned or the time is up; one worker at a time."""
    with only_one("expand", message_id) as alone:
        if alone:
            _expand(message_id)


def _expand(message_id: int) -> None:
    message = Message.objects.get(pk=message_id)
    modes = list(message.modes.values_list("mode", flat=True))
    first = not LaunchSlice.objects.filter(
        message_id=message_id, state=LaunchSlice.State.FROZEN
    ).exists()
    if first:
        for channel in channels_for(modes):
            channel.prepare(message)
    seconds = EXPAND_SECONDS_URGENT if message.emergency else EXPAND_SECONDS
    if expansion.expand(message_id, seconds):
        doorbell.expand(message_id, urgent=message.emergency)


@shared_task
def start_due() -> None:
    """Tick (5 s): launches what is due and takes up expansions whose worker was lost."""
    now = clock.now()
    due = Message.objects.filter(
        status=Message.Status.WAITING, cancel_requested_at__isnull=True
    ).filter(scheduled_at__lte=now)
    due = due.filter(
        pk__in=due.annotate(
            starts=Greatest("scheduled_at", "dial_from", "held_until")  # the latest of those set
        )
        .filter(starts__lte=now)
        .values("pk")
    )
    for message_id in due.order_by("scheduled_at", "pk").values_list("pk", flat=True):
        try:
            launch_message(message_id)
        except Exception:  # whatever is wrong with one message, the others are due too
            log.exception("message %s cannot be started", message_id)
    planned = (
        LaunchSlice.objects.filter(
            state=LaunchSlice.State.PLANNED, message__status=Message.Status.IN_PROGRESS
        )
        .values_list("message_id", "message__emergency")
        .distinct()
    )
    for message_id, emergency in planned:
        doorbell.expand(message_id, urgent=emergency)


@shared_task
def count_on() -> None:
    """Tick (10 s): the system works; a database that was restored is found by it."""
    continuity.beat()


@shared_task(bind=True)
def note_pulse(self: Task, queue: str) -> None:
    """Probe (30 s, one for each queue): whoever does it shows that the queue is being worked on."""
    pulse.note(queue, self.request.hostname or "", clock.now())
