"""How the phone of a message ends: by JOB_RESULT, without a single call, or overdue.

Rows that will have no result of their own are closed here, set-wise; the message's status follows
through `messenger.lifecycle`. Nothing here talks to the dialer.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from messenger import clock, continuity, ledger, lifecycle
from messenger.models import LaunchSlice, Message
from voice import epochs
from voice.channel import PHONE_MODES
from voice.models import DialerBatch, DialerJob
from voice.outcomes import CALL_EXPIRED


def finish(job_ref: str, seq: int, disposition: str, reason: str, now: datetime) -> set[int]:
    """JOB_RESULT: the job is over, every step has its end. Steps without an entry are closed from
    it, set-wise (ruling 21), unless the dialer has lost the job (`voice.epochs`). Runs in the
    page's transaction; the message follows on commit. Returns its id, or nothing for a job that is
    over."""
    job = DialerJob.objects.select_for_update().filter(job_ref=job_ref).first()
    if job is None or job.state == DialerJob.State.FINISHED:
        return set()
    message_id = job.message_id
    if reason == epochs.EPOCH_CHANGED and job.current:
        epochs.mark_lost(job, reason)
        return {message_id}
    job.state = DialerJob.State.FINISHED
    job.result_disposition, job.result_reason = disposition[:20], reason[:40]
    job.final_seq, job.result_at = seq, now
    job.save(
        update_fields=["state", "result_disposition", "result_reason", "final_seq", "result_at"]
    )
    job.batches.exclude(state__in=DialerBatch.ANSWERED).update(
        state=DialerBatch.State.CANCELED, lease_until=None
    )
    ledger.settle(message_id, now)
    canceled = Message.objects.filter(pk=message_id, cancel_requested_at__isnull=False).exists()
    if canceled or (disposition == "CANCELLED" and reason != "NEVER_SEALED"):
        outcome, code, why = "canceled", None, "user" if canceled else reason.lower()
    else:
        outcome, code, why = "expired", -11, reason.lower() or "window_end"
    ledger.close_open_rows(
        message_id, modes=PHONE_MODES, outcome=outcome, code=code, reason=why[:40], now=now
    )
    transaction.on_commit(lambda: lifecycle.modes_final(message_id, PHONE_MODES))
    return {message_id}


def expire_unsent(job: DialerJob) -> None:
    """The window is over and nothing of this job ever left. The message is Failed; one that a lost
    job has called people for before ends with what it reached."""
    if not DialerJob.objects.filter(message_id=job.message_id, current=False).exists():
        words = _("The dialer could not be reached before the dialing window ended.")
        DialerJob.objects.filter(pk=job.pk).update(state=DialerJob.State.REFUSED)
        lifecycle.fail(job.message_id, words, outcome="expired", code=CALL_EXPIRED)
        return
    with transaction.atomic():
        ledger.close_open_rows(
            job.message_id,
            modes=PHONE_MODES,
            outcome="expired",
            code=CALL_EXPIRED,
            reason="not_handed_over",
            now=clock.now(),
        )
        DialerJob.objects.filter(pk=job.pk).update(state=DialerJob.State.FINISHED)
        lifecycle.modes_final(job.message_id, PHONE_MODES)


def finish_without_calls(message_id: int) -> bool:
    """Ends the phone of a message that has nothing to dial (or was canceled before anything left).
    False while slices are planned, a job is at the dialer or rows are open."""
    message = Message.objects.get(pk=message_id)
    if message.slices.filter(state=LaunchSlice.State.PLANNED).exists():
        return False
    if (
        DialerJob.objects.filter(message_id=message_id, submitted_at__isnull=False)
        .exclude(state=DialerJob.State.FINISHED)
        .exists()
    ):
        return False
    if message.cancel_requested_at is not None:
        ledger.close_open_rows(
            message_id, modes=PHONE_MODES, outcome="canceled", reason="user", now=clock.now()
        )
    if ledger.count_open(message_id, PHONE_MODES):
        return False
    DialerJob.objects.filter(message_id=message_id).update(state=DialerJob.State.FINISHED)
    return lifecycle.modes_final(message_id, PHONE_MODES)


def sweep(now: datetime) -> int:
    """Marks messages whose results are overdue as Error (ruling 17): their window's end, or for an
    emergency the hand-over, plus the time-out. Returns how many."""
    if continuity.check().held_since is not None:
        return 0  # what a restored database misses is no fault of the dialer
    marked = 0
    running = DialerJob.objects.exclude(
        state__in=[DialerJob.State.FINISHED, DialerJob.State.REFUSED]
    ).filter(message__status=Message.Status.IN_PROGRESS)
    for job in running.select_related("message"):
        message = job.message
        start = message.dial_until or job.submitted_at or message.launched_at
        timeout = timedelta(minutes=int(message.settings_frozen.get("result_timeout", 60)))
        if start is not None and start + timeout < now:
            words = _("The dialer has not returned all results in time.")
            marked += lifecycle.mark_overdue(message.pk, words)
    return marked
