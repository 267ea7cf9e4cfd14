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
