"""Frozen batches → the dialer: claim, commit, send, record. Safe to repeat at any point.

The outbox is the `DialerBatch` rows. A batch is marked as being sent in a transaction of its own
before anything leaves, so that a crash at any line leads to the same request being sent again and
the dialer answering Replayed (contract 7.5). No transaction is open while the dialer is asked.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cache, partial
from time import monotonic
from uuid import uuid4

from celery.exceptions import SoftTimeLimitExceeded
from django.db import DatabaseError, connection, transaction
from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    DialerAdapter,
    DialerError,
    FrozenJob,
    Rejected,
    Retry,
)
from messenger import clock, continuity, lifecycle, right_of_way
from messenger.models import Message
from messenger.one_at_a_time import keep_lock_while
from voice import (
    account,
    breaker,
    credentials,
    doorbell,
    epochs,
    finishing,
    quota,
    recall,
    recordings,
    refusals,
)
from voice.claims import LEASE, Claimed, claim, mark_submitted
from voice.doubts import stand_back
from voice.interpreter import for_two_threads
from voice.models import DialerBatch, DialerJob, VoiceSettings

log = logging.getLogger(__name__)

IN_FLIGHT = 2  # AddChains at once (ruling 15)
# A push gives its worker back after so long, and rings itself again: a worker that is told to end
# (a deployment) waits for its task, and for one request of 10 s, and must be gone in 30 s (R9).
PUSH_SECONDS = 15.0
SECONDS_BETWEEN_NOTES = 1.0
# What was true a day ago must not ring when the dialer is back.
EMERGENCY_KEEPS = timedelta(hours=24)
# Codes of refusals that mean the dialer will never store the batch.
NEVER_STORED = frozenset({"JOB_CLOSED"})
LOOK_AGAIN = 2  # seconds, while it is found out what a dialer still has
MOST_SURPRISES = 3  # tries of a batch that raises what nobody foresaw; then it is cut in halves
# Not the batch's fault: the database is away, the worker's time is up.
FORESEEN = (DatabaseError, SoftTimeLimitExceeded)


def push(message_id: int, seconds: float = PUSH_SECONDS) -> bool:
    """Sends what is frozen for a message, until nothing is left or the time is up.

    Returns whether something is left that another call could send now.
    """
    until = monotonic() + seconds
    job = DialerJob.of(message_id)
    if job is None:
        return False
    if job.message.cancel_requested_at is not None:
        for recalled in recall.jobs_to_cancel(message_id):
            recall.cancel_job(recalled)
    if job.state == DialerJob.State.LOST:
        epochs.decide(message_id)
        return False
    over = job.state in DialerJob.OVER or job.message.cancel_requested_at is not None
    if over or not _may_send(job):
        return False
    if not recall.send_orders(job) and not job.message.emergency:
        # Whom it may not call comes first (ruling 22). An emergency goes on: what it has not sent
        # yet is without those numbers anyway.
        soon = clock.now() + timedelta(seconds=LOOK_AGAIN)
        DialerJob.objects.filter(pk=job.pk).update(retry_at=soon)
        return False
    if _is_stale(job.message):
        words = _(
            "The dialer could not be reached for a day. What was left is not called any more."
        )
        lifecycle.withdraw(message_id, words)
        return False
    if _too_late(job):
        finishing.expire_unsent(job)
        return False
    breaker.choose_door(job)
    started = job.submitted_at is not None and job.tried
    if started and job.endpoint not in job.tried and not epochs.leads_to_its_dialer(job):
        return False
    if job.state == DialerJob.State.FROZEN and not _open(job):
        return False
    with ThreadPoolExecutor(max_workers=IN_FLIGHT) as lines, for_two_threads():
        running = [lines.submit(_drain, job, until) for _n in range(IN_FLIGHT)]
        keep_lock_while(lambda seconds: bool(wait(running, seconds).not_done))
        ends = [line.result() for line in running]
    if "stop" in ends:
        return False
    if "time" in ends:
        return True
    _seal(job)
    return False


def _may_send(job: DialerJob) -> bool:
    waiting = job.retry_at is not None and job.retry_at > clock.now()
    if waiting or VoiceSettings.current().paused:
        return False
    return continuity.lets_go(job.message)


def _too_late(job: DialerJob) -> bool:
    """Nothing ever left and the window is over: it is not dialed another day (X-27). What may have
    left is repeated until the dialer answers, also past the window's end (ruling 18)."""
    until = job.message.dial_until
    return job.submitted_at is None and until is not None and clock.now() >= until


def _is_stale(message: Message) -> bool:
    """An emergency has no window; what is left of it after a day is not called any more."""
    launched = message.launched_at
    return message.emergency and launched is not None and clock.now() - launched >= EMERGENCY_KEEPS


# ------------------------------------------------------------------------------------ the job


def _open(job: DialerJob) -> bool:
    """SubmitJob, with the first batch if there is one. True when the dialer has the job."""
    if not _recordings_there(job):
        return False
    batch = claim(job, first=True)
    if batch is None and not _alone(job):
        return False
    try:
        frozen = FrozenJob.from_json(recordings.job_content(job))
        content = recordings.chains_content(job, json.loads(batch.content)) if batch else ()
        submit = partial(account.adapter(endpoint=job.endpoint).submit, frozen, content)
        answer = quota.paced(submit, job.message)
    except Rejected as error:
        if batch is None or error.kind == "conflict":
            refusals.refuse_job(job, error)
            return False
        # Which part was refused? The chains go on in halves; the job alone will tell about itself.
        refusals.split(job, batch, error)
        return _open(job)
    except (DialerError, credentials.Unreadable) as doubt:
        stand_back(job, batch, doubt)
        return False
    except FORESEEN:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it holds up nobody else
        return _surprised(job, batch, error) and _open(job)
    if not _accepted(job, batch, opened_as=answer.job_id):
        return False
    job.refresh_from_db()
    return True


def _recordings_there(job: DialerJob) -> bool:
    """What the message plays is at the dialer before its job is. Without it the message waits for
    the dialer, or is Failed when it cannot be prepared at all (contract 7.4)."""
    try:
        recordings.ensure_uploaded(job.message)
    except Rejected as error:
        refusals.refuse_job(job, error)
        return False
    except (DialerError, credentials.Unreadable) as doubt:
        stand_back(job, None, doubt)
        return False
    return True


def _alone(job: DialerJob) -> bool:
    """Whether SubmitJob may leave without chains: only when its first batch was refused or given
    up. The same JobRef with and without chains would be two different requests under one key."""
    first = job.batches.filter(number=0).first()
    gone = (DialerBatch.State.REFUSED, DialerBatch.State.UNKNOWN)
    if first is None or first.state not in gone:
        return False
    with transaction.atomic():
        if not lifecycle.may_go_on(job.message_id):
            return False
        mark_submitted(job)
    return True


# ------------------------------------------------------------------------------------ batches


def _drain(job: DialerJob, until: float) -> str:
    """Sends batch after batch: "idle" when none is left, "stop" when the dialer is in doubt or
    refuses us, "time" when the time is up. Runs in a thread with a connection of its own."""
    told = 0.0  # when it was last noted that all is well, once a second
    door = cache(partial(account.adapter, endpoint=job.endpoint))
    try:
        while (now := monotonic()) < until:
            tell = now - told > SECONDS_BETWEEN_NOTES
            if tell and not job.message.emergency:
                right_of_way.give_way()
            batch = claim(job)
            if batch is None:
                return "idle"
            if not _send(job, batch, door, all_is_well=tell):
                return "stop"
            told = now if tell else told
        return "time"
    finally:
        connection.close()


def _send(
    job: DialerJob, batch: Claimed, door: Callable[[], DialerAdapter], *, all_is_well: bool = True
) -> bool:
    """One AddChains. False when the next one should wait. With `all_is_well` an acceptance also
    ends what was noted as trouble."""
    try:
        content = recordings.chains_content(job, json.loads(batch.content))
        reference = str(job.job_ref), batch.number
        add = partial(door().add_chains, *reference, content, batch.total_chains)
        quota.paced(add, job.message)
    except Rejected as error:
        if error.code in NEVER_STORED:
            return _closed(job, batch)
        if error.kind == "not_found":
            _forgotten(job, batch)
            return False
        refusals.split(job, batch, error)
        return True
    except (DialerError, credentials.Unreadable) as doubt:
        stand_back(job, batch, doubt)
        return False
    except FORESEEN:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it holds up nobody else
        return _surprised(job, batch, error)
    _accepted(job, batch, all_is_well=all_is_well)
    return True


def _surprised(job: DialerJob, batch: Claimed | None, error: Exception) -> bool:
    """Something broke that is no answer of the dialer: chains that cannot be written, for instance.
    After a few tries it is taken as refused, in halves until what breaks is alone and fails, so
    that one row never holds up the others (R15). True when the next batch may go on."""
    where = batch.number if batch else "none"
    log.error("batch %s of message %s: %s", where, job.message_id, type(error).__name__)
    row = DialerBatch.objects.filter(pk=batch.pk).first() if batch else None
    tries = row.sendings if row else DialerJob.objects.get(pk=job.pk).failures + 1
    sealing = batch is not None and batch.total_chains is not None
    if tries < MOST_SURPRISES or sealing:
        stand_back(job, batch, Retry("busy", LOOK_AGAIN, type(error).__name__))
        return False
    refused = Rejected("SCHEMA", local=True)
    if batch is None:
        refusals.refuse_job(job, refused)
        return False
    refusals.split(job, batch, refused)
    return True


def _closed(job: DialerJob, batch: Claimed) -> bool:
    """The dialer takes no more chains for this job. One that was restored says so too (ruling 24):
    then the batch waits for what the log says became of the job. False when it does."""
    try:
        if not account.looks_up() or epochs.same_epoch(job):
            refusals.never_stored(job, batch)
            return True
        stand_back(job, batch, Retry("busy", LOOK_AGAIN, "its epoch has changed"))
    except (DialerError, credentials.Unreadable) as doubt:
        stand_back(job, batch, doubt)
    doorbell.collect()
    return False


def _forgotten(job: DialerJob, batch: Claimed) -> None:
    """The dialer does not know a job that it has taken: handed over again as it was, if nothing of
    it was dialed; else it is lost (ruling 24)."""
    stand_back(job, batch, Retry("busy", LOOK_AGAIN, "job forgotten"))
    try:
        same = account.looks_up() and epochs.same_epoch(job)
    except (DialerError, credentials.Unreadable):
        return  # the batch is sent again, and gets the same answer
    if same and epochs.may_resubmit(job, job.epoch):
        resubmit(job)
    else:
        epochs.mark_lost(job, epochs.FORGOTTEN if same else epochs.EPOCH_CHANGED)


def _accepted(
    job: DialerJob,
    batch: Claimed | None,
    *,
    opened_as: str | None = None,
    all_is_well: bool = True,
) -> bool:
    """Stores the receipt, and with it what it means for the job: open under the dialer's number, or
    sealed. Refusals inside it (`Rejected`) come again in the log, which alone counts (contract
    7.4.11).

    False, and nothing is written, when the claim is somebody else's by now (R10): whoever has it
    asks again and gets the same answer.
    """
    now = clock.now()
    with transaction.atomic():
        if batch is not None:
            mine = DialerBatch.objects.filter(
                pk=batch.pk, claim=batch.claim, state=DialerBatch.State.SENDING
            ).update(
                state=DialerBatch.State.ACCEPTED, accepted_at=now, lease_until=None, trouble=""
            )
            if not mine:
                log.warning("batch %s of message %s: claim lost", batch.number, job.message_id)
                return False
            if batch.total_chains is not None:
                DialerJob.objects.filter(pk=job.pk, state=DialerJob.State.OPEN).update(
                    state=DialerJob.State.SEALED,
                    all_accepted_at=now,
                    total_chains=batch.total_chains,
                )
        if opened_as is not None:
            DialerJob.objects.filter(pk=job.pk, state=DialerJob.State.FROZEN).update(
                state=DialerJob.State.OPEN, job_id=opened_as, accepted_at=now
            )
    if all_is_well:
        DialerJob.objects.filter(pk=job.pk).exclude(failures=0, retry_at=None, trouble="").update(
            failures=0, retry_at=None, trouble=""
        )
        breaker.note_success(job.endpoint)
        account.note_trouble("")
    return True


def resubmit(job: DialerJob) -> None:
    """The dialer does not know the job (it forgot, and its epoch did not change): everything is
    handed over again under the same references (ruling 24)."""
    with transaction.atomic():
        DialerJob.objects.filter(pk=job.pk).update(state=DialerJob.State.FROZEN, retry_at=None)
        job.batches.filter(
            state__in=[DialerBatch.State.ACCEPTED, DialerBatch.State.SENDING]
        ).update(state=DialerBatch.State.SENDING, lease_until=clock.now(), claim=None)


def _seal(job: DialerJob) -> None:
    """Sends TotalChains, once every slice is frozen and every other batch has its answer.

    The total is what the dialer has accepted: refused chains were never stored and would keep the
    job open for ever.
    """
    with transaction.atomic():
        if not lifecycle.may_go_on(job.message_id):
            return
        job.refresh_from_db()
        others = job.batches.filter(total_chains=None)
        if others.filter(state__in=[DialerBatch.State.FROZEN, DialerBatch.State.SENDING]).exists():
            return
        last = (
            job.batches.select_for_update()
            .exclude(total_chains=None)
            .exclude(state=DialerBatch.State.ACCEPTED)
            .first()
        )
        if last is None:
            return
        now = clock.now()
        if last.state == DialerBatch.State.SENDING and last.lease_until and last.lease_until > now:
            return
        if last.sent_at is None:
            stored = others.filter(state=DialerBatch.State.ACCEPTED)
            last.total_chains = stored.aggregate(n=Sum("chains"))["n"] or 0
        last.state, last.sent_at = DialerBatch.State.SENDING, last.sent_at or now
        last.claim, last.lease_until = uuid4(), now + LEASE
        last.save(update_fields=["state", "sent_at", "claim", "lease_until", "total_chains"])
    batch = Claimed(last.pk, last.claim, last.number, "[]", last.total_chains)
    _send(job, batch, partial(account.adapter, endpoint=job.endpoint))


def waiting_messages() -> list[tuple[int, bool]]:
    """(message id, emergency) of every job that could be sent something now: the sweep's list.
    While the account is paused, or the message held back, that is its cancel alone."""
    now = clock.now()
    paused = VoiceSettings.current().paused
    may_leave = Q(pk__in=[]) if paused else continuity.released("message__")
    jobs = (
        DialerJob.objects.filter(current=True)
        .exclude(state__in=DialerJob.OVER)
        .filter(Q(retry_at=None) | Q(retry_at__lte=now))
        .filter(
            Q(state=DialerJob.State.LOST)
            | Q(message__cancel_requested_at__isnull=False, cancel_confirmed_at=None)
            | may_leave
            & Q(
                batches__state=DialerBatch.State.FROZEN,
                message__cancel_requested_at__isnull=True,
            )
            | may_leave
            & Q(
                batches__state=DialerBatch.State.SENDING,
                batches__lease_until__lt=now,
                message__cancel_requested_at__isnull=True,
            )
        )
    )
    found = {
        *jobs.values_list("message_id", "message__emergency"),
        *recall.canceled_elsewhere(now).values_list("message_id", "message__emergency"),
    }
    return sorted(found)
