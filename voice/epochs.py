"""Jobs that a dialer has lost: a restored dialer, or one that forgot (rulings 23 and 24).

A lost job is dialed for no more. Its chains that were tried end as they stand; those without a
single stored try wait, with their rows open, for a decision: an emergency goes out again by itself,
anything else on a person's word, until its window ends. They go out as a new job under a new
JobRef; the lost one stays as history. So no row that has ended opens again. Nothing is sent here.
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from django.db import connection, transaction
from django.utils.translation import gettext as _

from dialer_adapters.contract import DialerError, JobStatus, Verified
from messenger import clock, ledger, lifecycle
from messenger.models import Attempt, Delivery, LaunchSlice, Message
from voice import account, chains, credentials, doorbell, doubts
from voice.channel import PHONE_MODES, frozen_job
from voice.models import DialerBatch, DialerJob, VoiceSettings

log = logging.getLogger(__name__)

EPOCH_CHANGED = "EPOCH_CHANGED"
DOORS_DIFFER = "DOORS_DIFFER"
FORGOTTEN = "FORGOTTEN"  # unknown to the dialer, and not by a restore: some of it was dialed
REASON = "epoch_changed"
JOBS_A_QUESTION = 100
WAIT_FOR_FIRST = timedelta(seconds=30)  # a closed door is tried as often
# Words of a job that the dialer is about to close; its JOB_RESULT follows in the log.
ENDING = frozenset({"CANCELLING", "CANCELLED"})

# The batches whose chains have open rows, once more: their content is made when they are claimed.
# Of a refused batch the halves are there; the lowest one goes with SubmitJob, which is number 0.
_COPY_BATCHES = """
    INSERT INTO voice_dialerbatch (uuid, job_id, number, state, first_chain, last_chain, chains,
        steps, content, frozen_at, sendings, trouble)
    SELECT gen_random_uuid(), %(new)s,
        CASE WHEN row_number() OVER (ORDER BY b.number) = 1 THEN 0 ELSE b.number END,
        'frozen', b.first_chain, b.last_chain, b.chains, b.steps, '', clock_timestamp(), 0, ''
    FROM voice_dialerbatch b
    WHERE b.job_id = %(old)s AND b.first_chain IS NOT NULL AND b.state <> 'refused'
        AND EXISTS (SELECT 1 FROM messenger_delivery d WHERE d.message_id = %(message)s
            AND d.chain BETWEEN b.first_chain AND b.last_chain AND d.state <> 'done')"""


# ------------------------------------------------------------------------------------- noticing


def review() -> None:
    """Asks the dialer about jobs that were handed over in an epoch before its present one.

    One that it does not know is lost; one that it goes on with was taken in the new epoch; of one
    that it closes the JOB_RESULT comes with the log. Quiet when the dialer cannot be asked: the
    next poll asks again.
    """
    settings = VoiceSettings.current()
    older = DialerJob.objects.filter(
        current=True, submitted_at__isnull=False, state_id=settings.state_id
    ).exclude(state__in=[*DialerJob.OVER, DialerJob.State.LOST])
    older = older.exclude(epoch=settings.epoch)
    jobs = {str(job.job_ref): job for job in older[:JOBS_A_QUESTION]}
    if not jobs or not account.looks_up():
        return
    try:
        answers = account.adapter(settings).job_status(list(jobs))
    except (DialerError, credentials.Unreadable) as doubt:
        log.warning("jobs of an older epoch not asked about: %s", doubt)
        return
    for answer in answers:
        if answer.job_ref in jobs:
            _judge(jobs[answer.job_ref], answer)


def _judge(job: DialerJob, answer: JobStatus) -> None:
    if answer.state == "UNKNOWN":
        # A request whose answer is still out may have been the new epoch's first: it is repeated.
        if job.accepted_at is not None:
            mark_lost(job, EPOCH_CHANGED)
    elif answer.state not in ENDING:
        DialerJob.objects.filter(pk=job.pk).update(epoch=answer.epoch)


def same_epoch(job: DialerJob) -> bool:
    """Whether the dialer is the one that took the job: it has the epoch that the job was handed
    over in. Raises DialerError and `credentials.Unreadable`."""
    (answer,) = account.adapter(endpoint=job.endpoint).job_status([str(job.job_ref)])
    return answer.epoch == job.epoch


def may_resubmit(job: DialerJob, epoch: str) -> bool:
    """Whether a job that the dialer does not know may simply be handed over again: the dialer's
    epoch is still the job's, and nothing of it was dialed (ruling 24)."""
    return epoch == job.epoch and not Attempt.objects.filter(message=job.message_id).exists()


def mark_lost(job: DialerJob, reason: str) -> None:
    """The dialer dials nothing for this job any more; what follows is decided by `decide`."""
    lost = DialerJob.objects.filter(pk=job.pk, current=True)
    if lost.exclude(state__in=[*DialerJob.OVER, DialerJob.State.LOST]).update(
        state=DialerJob.State.LOST,
        lost_at=clock.now(),
        result_reason=reason,
        retry_at=None,
        trouble=_("The dialer has lost this message."),
    ):
        log.error("job of message %s is lost: %s", job.message_id, reason)
        doorbell.dispatch(job.message_id, urgent=job.message.emergency)


def leads_to_its_dialer(job: DialerJob) -> bool:
    """Before a job goes on through an end point that none of its requests went through: whether
    that leads to the dialer that has the job (ruling 23).

    If it does not, the end point is used no more: a routine message waits for the first one, an
    emergency is sent once more through the other and shown as possibly doubled.
    """
    settings = VoiceSettings.current()
    try:
        behind = account.who_is_behind(settings, job.endpoint)
    except (DialerError, credentials.Unreadable) as doubt:
        doubts.stand_back(job, None, doubt)
        return False
    if behind.state_id == job.state_id:
        job.tried = [*job.tried, job.endpoint]
        DialerJob.objects.filter(pk=job.pk).update(tried=job.tried, endpoint=job.endpoint)
        return True
    log.error("message %s: the other end point leads to another dialer", job.message_id)
    account.second_is_same(settings)
    if job.message.emergency:
        _send_once_more(job, behind)
    else:
        DialerJob.objects.filter(pk=job.pk).update(
            endpoint=job.tried[-1],
            retry_at=clock.now() + WAIT_FOR_FIRST,
            trouble=_("The message waits: the other end point leads to another dialer."),
        )
    return False


@transaction.atomic
def _send_once_more(job: DialerJob, behind: Verified) -> None:
    """Another dialer gets everything of an emergency that has no result, once. The first one may
    go on with it; a cancel goes to both."""
    message = Message.objects.select_for_update().get(pk=job.message_id)
    if DialerJob.objects.filter(message=message, possibly_doubled=True).exists():
        return
    if message.cancel_requested_at is not None:
        return
    DialerJob.objects.filter(pk=job.pk).update(
        endpoint=job.tried[-1], result_reason=DOORS_DIFFER, lost_at=clock.now()
    )
    new = _start_over(message, job)
    # The first dialer has not been heard of: its job may go on.
    DialerJob.objects.filter(pk=job.pk).update(result_at=None)
    DialerJob.objects.filter(pk=new.pk).update(
        endpoint=job.endpoint,
        state_id=behind.state_id,
        epoch=behind.epoch,
        possibly_doubled=True,
    )


# ------------------------------------------------------------------------------------- deciding


@transaction.atomic
def decide(message_id: int) -> None:
    """Ends what was tried of a lost job, and decides about the rest what needs no person; may be
    repeated. A window that is over, or a cancel, decides that nobody is called."""
    lost = _lock(message_id)
    if lost is None:
        return
    message, job = lost
    now = clock.now()
    ledger.settle(message_id, now)
    ledger.close_open_rows(
        message_id,
        modes=PHONE_MODES,
        outcome="canceled",
        reason=REASON,
        now=now,
        tried_chains_only=True,
    )
    over = message.dial_until is not None and message.dial_until <= now
    if message.cancel_requested_at is not None or over or not _something_left(message):
        _leave(message, job)
    elif message.emergency:
        _start_over(message, job)
    else:
        DialerJob.objects.filter(pk=job.pk).update(retry_at=message.dial_until)


@transaction.atomic
def call_again(message_id: int) -> bool:
    """A person's word: whoever was not called is called, by a new job. False when there is nothing
    to decide (any more)."""
    decide(message_id)
    lost = _lock(message_id)
    if lost is not None:
        _start_over(*lost)
    return lost is not None


@transaction.atomic
def leave(message_id: int) -> bool:
    """A person's word: nobody more is called. False when there is nothing to decide (any more)."""
    decide(message_id)
    lost = _lock(message_id)
    if lost is not None:
        _leave(*lost)
    return lost is not None


def _lock(message_id: int) -> tuple[Message, DialerJob] | None:
    """The message and its lost job; no slice is being frozen and no batch claimed meanwhile."""
    message = Message.objects.select_for_update().get(pk=message_id)
    lost = DialerJob.objects.select_for_update().filter(
        message_id=message_id, current=True, state=DialerJob.State.LOST
    )
    job = lost.first()
    return (message, job) if job else None


def _something_left(message: Message) -> bool:
    planned = message.slices.filter(state=LaunchSlice.State.PLANNED)
    return planned.exists() or ledger.count_open(message.pk, PHONE_MODES) > 0


def _leave(message: Message, job: DialerJob) -> None:
    """Nobody more is called: the open rows end, and with them the message."""
    message.slices.filter(state=LaunchSlice.State.PLANNED).update(state=LaunchSlice.State.CANCELED)
    reason = REASON if message.cancel_requested_at is None else "user"
    ledger.close_open_rows(
        message.pk, modes=PHONE_MODES, outcome="canceled", reason=reason, now=clock.now()
    )
    _end(job)
    lifecycle.modes_final(message.pk, PHONE_MODES)


def _end(job: DialerJob) -> None:
    DialerJob.objects.filter(pk=job.pk).update(
        state=DialerJob.State.FINISHED, result_at=clock.now(), retry_at=None, trouble=""
    )
    job.batches.exclude(state__in=DialerBatch.ANSWERED).update(
        state=DialerBatch.State.CANCELED, lease_until=None
    )


def _start_over(message: Message, job: DialerJob) -> DialerJob:
    """A new job with every chain that has open rows, as they are when each batch is claimed."""
    DialerJob.objects.filter(pk=job.pk).update(current=False)
    ref = uuid4()
    new = DialerJob.objects.create(
        message=message,
        job_ref=ref,
        content=replace(frozen_job(message), job_ref=str(ref)).to_json(),
    )
    with connection.cursor() as cursor:
        cursor.execute(_COPY_BATCHES, {"new": new.pk, "old": job.pk, "message": message.pk})
    if not new.batches.filter(number=0).exists():
        new.batches.create(number=0, content="[]")  # SubmitJob alone; slices are still to come
    if message.expanded_at is not None:
        last = message.slices.count()
        new.batches.create(number=last * chains.PARTS_PER_SLICE, total_chains=0, content="[]")
    _end(job)
    log.error("message %s is handed over again as job %s", message.pk, ref)
    doorbell.dispatch(message.pk, urgent=message.emergency)
    return new


# -------------------------------------------------------------------------------------- showing


@dataclass(frozen=True)
class History:
    """That a message had jobs which a dialer lost, and what followed."""

    handed_over_again: bool
    possibly_doubled: bool


def history_of(message_id: int) -> History | None:
    """None for a message with one job that no dialer lost."""
    jobs = DialerJob.objects.filter(message_id=message_id)
    if not jobs.filter(lost_at__isnull=False).exists():
        return None
    doubled = jobs.filter(possibly_doubled=True).exists()
    return History(jobs.filter(current=False).exists(), doubled)


def awaiting() -> list[Message]:
    """The messages that wait for a person's word, the oldest first."""
    waiting = Message.objects.filter(
        dialer_jobs__current=True,
        dialer_jobs__state=DialerJob.State.LOST,
        cancel_requested_at=None,
        emergency=False,
    )
    return list(waiting.order_by("pk"))


def awaits_word(message_id: int) -> int | None:
    """How many recipients were not called and wait for a person's word; None when none is asked
    for."""
    waiting = DialerJob.objects.filter(
        message_id=message_id,
        current=True,
        state=DialerJob.State.LOST,
        message__cancel_requested_at=None,
        message__emergency=False,
    )
    if not waiting.exists():
        return None
    rows = Delivery.objects.filter(message=message_id, mode__in=PHONE_MODES, chain__isnull=False)
    tried = Attempt.objects.filter(message=message_id).values("chain")
    left = rows.exclude(state=Delivery.State.DONE).exclude(chain__in=tried)
    return left.values("recipient_id").distinct().count()
