"""P13, canceling a message that is being sent: what still goes out, and when every row is final.

Canceled through the page by HTTP; the product's own workers carry it out. There is no limit beside
it: the switchboard's books say whether anything was dialed or stored too late.
"""

from collections.abc import Callable
from time import time

from django.db import connections
from django.urls import reverse

from messenger.models import LaunchSlice, Message
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask
from tests.bench.measure import peaks_of, with_children
from tests.bench.sending import Sender, wait_for
from voice import dispatch
from voice.models import DialerBatch, DialerJob

GOAL_SECONDS = 15.0
# While the last slices are worked out, and when everything is at the dialer.
Moment = Callable[[Message], bool]


def measure_canceling(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    sender = Sender(ground)
    return [
        _measure(ground, sender, "P13 half way", "half of its slices are frozen", _half_way),
        _measure(ground, sender, "P13 all sent", "every chain is at the dialer", _all_sent),
    ]


def _half_way(message: Message) -> bool:
    slices = LaunchSlice.objects.filter(message=message)
    frozen = slices.filter(state=LaunchSlice.State.FROZEN).count()
    return frozen * 2 >= slices.count() > 0


def _all_sent(message: Message) -> bool:
    return DialerJob.objects.filter(message=message, all_accepted_at__isnull=False).exists()


def _measure(ground: Ground, sender: Sender, name: str, words: str, moment: Moment) -> Figure:
    message, _began = sender.confirm(ground.schools_for(ground.size.rows), "general")
    peaks: dict[str, float] = {}
    with peaks_of(with_children(ground.processes or {}), peaks):
        wait_for(lambda: moment(message), f"never: {words}")
        began = time()
        answer = sender.post(sender.web + reverse("log_cancel", args=[message.uuid]))
        assert answer.status_code == 302, f"not canceled: {answer.status_code}"
        answered = time() - began

        def over() -> bool:
            message.refresh_from_db()
            return message.status == Message.Status.CANCELED_IP

        wait_for(over, "the canceled message does not end")
    assert message.finished_at is not None
    assert message.cancel_requested_at is not None
    rows, open_rows = ask(
        "SELECT count(*), count(*) FILTER (WHERE state <> 'done') FROM messenger_delivery"
        " WHERE message_id = %s",
        [message.pk],
    )
    assert open_rows == 0, f"{open_rows} rows are open after the end"
    job = DialerJob.objects.get(message=message)
    late = DialerBatch.objects.filter(job=job, accepted_at__gt=message.cancel_requested_at)
    begun = late.filter(sent_at__gt=message.cancel_requested_at).count()
    assert begun == 0, f"{begun} batches were sent after the cancel"
    assert late.count() <= dispatch.IN_FLIGHT, f"{late.count()} batches were accepted too late"
    assert job.cancel_confirmed_at is not None
    with connections["switchboard"].cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE a.started_at > %s) FROM switchboard_attempt a"
            " JOIN switchboard_job j ON j.id = a.job_id WHERE j.job_ref = %s",
            [job.cancel_confirmed_at, str(job.job_ref)],
        )
        calls, dialed = cursor.fetchone()
    assert dialed == 0, f"{dialed} calls began after the dialer had confirmed the cancel"
    confirmed = job.cancel_confirmed_at.timestamp() - began
    return Figure(
        name,
        f"cancel when {words}: from the button to the last row final",
        rows,
        message.finished_at.timestamp() - began,
        goal_seconds=GOAL_SECONDS,
        peak_mb=max(peaks.values(), default=0.0),
        note=f"The page answered after {answered:.2f} s, the dialer had confirmed after "
        f"{confirmed:.2f} s. No batch was sent after the cancel's commit, {late.count()} that were "
        f"on the wire were accepted after it; {calls} calls had been placed, none began after the "
        "dialer's confirmation.",
    )
