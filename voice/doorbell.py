"""Rings of the phone: dispatch, collection, finishing. Losing one costs seconds (see
`messenger.doorbell`); nothing is decided here."""

from messenger.doorbell import DISPATCH, URGENT, ring

COLLECT = "collect"


def dispatch(message_id: int, *, urgent: bool) -> None:
    from voice.tasks import dispatch_message

    ring(dispatch_message, message_id, queue=URGENT if urgent else DISPATCH)


def finish_without_calls(message_id: int) -> None:
    from voice.tasks import finish_phone

    ring(finish_phone, message_id, queue=DISPATCH)


def recall() -> None:
    from voice.tasks import send_recalls

    ring(send_recalls, queue=URGENT)


def collect() -> None:
    from voice.tasks import collect_call_log

    ring(collect_call_log, queue=COLLECT)


def collect_canceled() -> None:
    """A cancel is confirmed: the last word about the job comes when the calls under way are over,
    and somebody watches the page."""
    from voice.tasks import collect_call_log

    for seconds in (0, 1, 2, 4, 7):
        ring(collect_call_log, queue=COLLECT, after=seconds)
