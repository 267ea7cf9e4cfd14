"""The phone's tasks: thin shells over `dispatch` and `collect`, with ids alone.

Each may run twice at once and may be lost; the ticks find what a lost ring missed.
"""

from celery import shared_task
from django.db.models import Q

from messenger import clock
from messenger.models import Message, MessageMode
from messenger.one_at_a_time import only_one
from voice import account, alarms, collect, dispatch, doorbell, finishing, recall
from voice.channel import PHONE_MODES


@shared_task
def dispatch_message(message_id: int) -> None:
    """Sends what is frozen for a message; one worker at a time, and looks again when it is done:
    what was frozen while it finished would have rung at a closed door."""
    with only_one("dispatch", message_id) as alone:
        if not alone:
            return
        more = dispatch.push(message_id)
    emergency = {pk: urgent for pk, urgent in dispatch.waiting_messages() if pk == message_id}
    if more or emergency:
        doorbell.dispatch(message_id, urgent=emergency.get(message_id, False))


@shared_task
def resume_dispatch() -> None:
    """Tick (10 s): batches whose lease is over, retries that are due, lost rings, cancels and
    recalled numbers that the dialer has not confirmed, or whose end is not read yet."""
    recall.give_orders()
    send_recalls()
    for message_id, emergency in dispatch.waiting_messages():
        doorbell.dispatch(message_id, urgent=emergency)
    if collect.awaits_canceled():
        doorbell.collect()


@shared_task
def send_recalls() -> None:
    """Tells the dialer whom it may no longer call or text."""
    recall.send_orders()


@shared_task
def collect_call_log() -> None:
    """Reads the call log; one worker at a time, which saves work and is not needed otherwise."""
    with only_one("collect") as alone:
        if alone:
            collect.collect()


@shared_task
def poll_call_log() -> None:
    """Tick (15 s): reads the log when it is due."""
    if collect.due(clock.now()):
        collect_call_log()


@shared_task
def finish_phone(message_id: int) -> None:
    """Ends the phone of a message without calls."""
    finishing.finish_without_calls(message_id)


@shared_task
def sweep_phone() -> None:
    """Tick (60 s): overdue results; canceled and empty messages whose end was lost."""
    finishing.sweep(clock.now())
    stuck = (
        Message.objects.filter(status__in=[Message.Status.IN_PROGRESS, Message.Status.ERROR])
        .filter(Q(expanded_at__isnull=False) | Q(cancel_requested_at__isnull=False))
        .filter(modes__mode__in=PHONE_MODES)
        .exclude(modes__state=MessageMode.State.FINAL)
    )
    for message_id in stuck.values_list("pk", flat=True).distinct():
        finishing.finish_without_calls(message_id)


@shared_task
def watch_emergencies() -> None:
    """Tick (10 s, on two queues): emergencies of which nothing was accepted within 60 s."""
    alarms.watch(clock.now())


@shared_task
def recheck_account() -> None:
    """Tick (60 s): credentials that were refused; a second end point that could not be checked when
    it was saved."""
    account.recheck_paused(clock.now())
    account.recheck_second(clock.now())
