"""Frozen batches → the dialer: claim, commit, send, record. Safe to repeat at any point.

The outbox is the `DialerBatch` rows. A batch is marked as being sent in a transaction of its own
before anything leaves, so that a crash at any line leads to the same request being sent again and
the dialer answering Replayed (contract 7.5). No transaction is open while the dialer is asked.
"""

import json
import logging
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta
from functools import cache, partial
from time import monotonic
from uuid import uuid4

from django.conf import settings as django_settings
from django.db import connection, transaction
from django.db.models import F, Q, Sum
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    CredentialsRefused,
    DialerAdapter,
    DialerError,
    FrozenJob,
    Rejected,
    Retry,
)
from messenger import clock, continuity, ledger, lifecycle
from messenger.models import District, Message
from messenger.one_at_a_time import KEEP_LOCK_SECONDS, keep_lock
from voice import account, breaker, chains, credentials, doorbell, recordings, refusals
from voice.claims import Claimed
from voice.interpreter import for_two_threads
from voice.models import DialerBatch, DialerJob, VoiceSettings
from voice.outcomes import CALL_EXPIRED

log = logging.getLogger(__name__)

# A request takes 10 s at most (ruling 29); a lease outlives it, and the sweep outlives the lease.
LEASE = timedelta(seconds=django_settings.DISPATCH_LEASE_SECONDS)
IN_FLIGHT = 2  # AddChains at once (ruling 15)
MAX_WAIT = 300.0  # seconds between two tries of a request that is in doubt
MAX_WAIT_EMERGENCY = 10.0
SECONDS_BETWEEN_NOTES = 1.0
# Codes of refusals that mean the dialer will never store the batch.
NEVER_STORED = frozenset({"JOB_CLOSED"})


def push(message_id: int, seconds: float = 45.0) -> bool:
    """Sends what is frozen for a message, until nothing is left or the time is up.

    Returns whether something is left that another call could send now.
    """
    until = monotonic() + seconds
    job = DialerJob.objects.filter(message_id=message_id).select_related("message").first()
    if job is None or job.state in (DialerJob.State.FINISHED, DialerJob.State.REFUSED):
        return False
    if job.message.cancel_requested_at is not None:
        _recall(job)
        return False
    if not _may_send(job):
        return False
    if _too_late(job):
        words = _("The dialer could not be reached before the dialing window ended.")
        DialerJob.objects.filter(pk=job.pk).update(state=DialerJob.State.REFUSED)
        lifecycle.fail(message_id, words, outcome="expired", code=CALL_EXPIRED)
        return False
    breaker.choose_door(job)
    if job.state == DialerJob.State.FROZEN and not _open(job):
        return False
    with ThreadPoolExecutor(max_workers=IN_FLIGHT) as lines, for_two_threads():
        running = [lines.submit(_drain, job, until) for _n in range(IN_FLIGHT)]
        while wait(running, KEEP_LOCK_SECONDS).not_done:
            keep_lock()
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


# ------------------------------------------------------------------------------------ the job


def _open(job: DialerJob) -> bool:
    """SubmitJob, with the first batch if there is one. True when the dialer has the job."""
    if not _recordings_there(job):
        return False
    batch = _claim(job, first=True)
    if batch is None and not _alone(job):
        return False
    frozen = FrozenJob.from_json(recordings.job_content(job))
    try:
        answer = account.adapter(endpoint=job.endpoint).submit(
            frozen, recordings.chains_content(job, json.loads(batch.content)) if batch else ()
        )
    except Rejected as error:
        if batch is None or error.kind == "conflict":
            refusals.refuse_job(job, error)
            return False
        # Which part was refused? The chains go on in halves; the job alone will tell about itself.
        refusals.split(job, batch, error)
        return _open(job)
    except (DialerError, credentials.Unreadable) as doubt:
        _stand_back(job, batch, doubt)
        return False
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
        _stand_back(job, None, doubt)
        return False
    return True


def _alone(job: DialerJob) -> bool:
    """Whether SubmitJob may leave without chains: only when its first batch was refused. The same
    JobRef with and without chains would be two different requests under one key."""
    first = job.batches.filter(number=0).first()
    if first is None or first.state != DialerBatch.State.REFUSED:
        return False
    with transaction.atomic():
        if not lifecycle.may_go_on(job.message_id):
            return False
        _mark_submitted(job)
    return True


def _mark_submitted(job: DialerJob) -> None:
    """Writes that the job is about to leave, and through which door (ruling 23). Inside the claim's
    transaction."""
    settings = VoiceSettings.current()
    locked = DialerJob.objects.select_for_update().get(pk=job.pk)
    locked.submitted_at = locked.submitted_at or clock.now()
    locked.endpoint = job.endpoint or settings.endpoint
    locked.state_id = locked.state_id or settings.state_id
    locked.epoch = locked.epoch or settings.epoch
    locked.save(update_fields=["submitted_at", "endpoint", "state_id", "epoch"])
    job.endpoint = locked.endpoint


# ------------------------------------------------------------------------------------ batches


def _claim(job: DialerJob, *, first: bool = False) -> Claimed | None:
    """Claims the next batch that may be sent (or the first one) and commits; None if there is none.

    Takes the message FOR SHARE: a cancel either sees the claim or stops it. What was never sent is
    looked at once more when contacts changed since it was frozen (ruling 22).
    """
    claim = uuid4()
    with transaction.atomic():
        if not lifecycle.may_go_on(job.message_id):
            return None
        now = clock.now()
        waiting = job.batches.filter(
            Q(state=DialerBatch.State.FROZEN)
            | Q(state=DialerBatch.State.SENDING, lease_until__lt=now),
            total_chains=None,
        )
        if first:
            waiting = waiting.filter(number=0)
        batch = waiting.select_for_update(skip_locked=True).order_by("number").first()
        if batch is None:
            return None
        changed = ["state", "sent_at", "claim", "lease_until"]
        if batch.sent_at is None and _freeze_anew_if_changed(job.message, batch):
            # The content is 60 kB: it is written again only when it did change.
            changed += ["content", "chains", "steps", "frozen_at"]
        batch.state = DialerBatch.State.SENDING
        batch.sent_at = batch.sent_at or now
        batch.claim, batch.lease_until = claim, now + LEASE
        batch.save(update_fields=changed)
        if first:
            _mark_submitted(job)
    return Claimed(batch.pk, claim, batch.number, batch.content, None)


def _freeze_anew_if_changed(message: Message, batch: DialerBatch) -> bool:
    changed = District.objects.values_list("contacts_changed_at", flat=True).get()
    if changed is None or changed < batch.frozen_at or batch.first_chain is None:
        return False
    now = clock.now()
    span = (batch.first_chain, batch.last_chain or batch.first_chain)
    if not ledger.recheck(message.pk, span, lifecycle.today(now), now):
        return False
    batch.content, batch.chains, batch.steps = chains.content_of(message, batch)
    batch.frozen_at = now
    return True


def _drain(job: DialerJob, until: float) -> str:
    """Sends batch after batch: "idle" when none is left, "stop" when the dialer is in doubt or
    refuses us, "time" when the time is up. Runs in a thread with a connection of its own."""
    told = 0.0  # when it was last noted that all is well, once a second
    door = cache(partial(account.adapter, endpoint=job.endpoint))
    try:
        while (now := monotonic()) < until:
            batch = _claim(job)
            if batch is None:
                return "idle"
            tell = now - told > SECONDS_BETWEEN_NOTES
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
        door().add_chains(str(job.job_ref), batch.number, content, batch.total_chains)
    except Rejected as error:
        if error.code in NEVER_STORED:
            refusals.never_stored(job, batch)
        elif error.kind == "not_found":
            _stand_back(job, batch, Retry("garbled", detail="job forgotten"))
            resubmit(job)
            return False
        else:
            refusals.split(job, batch, error)
        return True
    except (DialerError, credentials.Unreadable) as doubt:
        _stand_back(job, batch, doubt)
        return False
    _accepted(job, batch, all_is_well=all_is_well)
    return True


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


def _stand_back(
    job: DialerJob, batch: Claimed | None, doubt: DialerError | credentials.Unreadable
) -> None:
    """In doubt: the same request again, at once through the other door if there is one, then later
    each time (random, up to five minutes); refused credentials pause the account. The batch keeps
    its number and its content."""
    now = clock.now()
    if isinstance(doubt, DialerError):
        words = _(doubt.user_sentence)
    else:
        words = _("Enter the password again: its key has changed.")
    if isinstance(doubt, (CredentialsRefused, credentials.Unreadable)):
        account.pause(words)
    else:
        account.note_trouble(words)
    failures = DialerJob.objects.filter(pk=job.pk).values_list("failures", flat=True).get() + 1
    asked = getattr(doubt, "retry_after", None)
    first = float(django_settings.DISPATCH_FIRST_WAIT)
    most = MAX_WAIT_EMERGENCY if job.message.emergency else MAX_WAIT
    wait = asked or min(most, first * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)
    door = job.endpoint
    if isinstance(doubt, Retry) and asked is None:
        breaker.note_failure(job.endpoint, emergency=job.message.emergency)
        door = breaker.other_door(job)
        if door != job.endpoint and failures == 1:
            wait = 0.0
    retry_at = now + timedelta(seconds=wait)
    log.warning("message %s: %s; again in %.1f s", job.message_id, doubt, wait)
    DialerJob.objects.filter(pk=job.pk).update(
        failures=F("failures") + 1, retry_at=retry_at, trouble=words[:300], endpoint=door
    )
    if batch is not None:
        DialerBatch.objects.filter(pk=batch.pk, claim=batch.claim).update(
            lease_until=retry_at, trouble=words[:300]
        )


def resubmit(job: DialerJob) -> None:
    """The dialer does not know the job (it forgot, and its epoch did not change): everything is
    handed over again under the same references (ruling 24)."""
    with transaction.atomic():
        DialerJob.objects.filter(pk=job.pk).update(state=DialerJob.State.FROZEN)
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
        claim = uuid4()
        last.claim, last.lease_until = claim, now + LEASE
        last.save(update_fields=["state", "sent_at", "claim", "lease_until", "total_chains"])
    batch = Claimed(last.pk, claim, last.number, "[]", last.total_chains)
    _send(job, batch, partial(account.adapter, endpoint=job.endpoint))


# ------------------------------------------------------------------------------------ cancel


def _recall(job: DialerJob) -> None:
    """Sends the cancel of the whole job; repeated until the dialer has confirmed it. After that
    answer no attempt of the job starts (7.5); a job it never saw leaves a tombstone."""
    if job.cancel_confirmed_at is not None or job.submitted_at is None:
        return
    DialerJob.objects.filter(pk=job.pk, cancel_sent_at=None).update(cancel_sent_at=clock.now())
    try:
        account.adapter(endpoint=job.endpoint).cancel(
            str(job.job_ref), reason="canceled by the sender"
        )
    except (DialerError, credentials.Unreadable) as doubt:
        _stand_back(job, None, doubt)
        return
    DialerJob.objects.filter(pk=job.pk).update(
        cancel_confirmed_at=clock.now(), failures=0, retry_at=None, trouble=""
    )
    job.batches.exclude(state__in=DialerBatch.ANSWERED).update(
        state=DialerBatch.State.CANCELED, lease_until=None
    )
    doorbell.collect()


def waiting_messages() -> list[tuple[int, bool]]:
    """(message id, emergency) of every job that could be sent something now: the sweep's list.
    While the account is paused, or the message held back, that is its cancel alone."""
    now = clock.now()
    paused = VoiceSettings.current().paused
    may_leave = Q(pk__in=[]) if paused else continuity.released("message__")
    jobs = (
        DialerJob.objects.exclude(state__in=[DialerJob.State.FINISHED, DialerJob.State.REFUSED])
        .filter(Q(retry_at=None) | Q(retry_at__lte=now))
        .filter(
            Q(message__cancel_requested_at__isnull=False, cancel_confirmed_at=None)
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
    return list(jobs.values_list("message_id", "message__emergency").distinct())
