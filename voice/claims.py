"""A batch that a worker has taken to send it, and whether it is still that worker's.

A worker may sleep past its lease (a frozen machine) and wake up with an answer in its hand. By then
the batch has another claim, and the sleeper writes nothing about it (R10). Here it is also decided
whether a batch that may have left before goes out again. Nothing is sent here.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models import F, Q

from messenger import clock, ledger, lifecycle
from messenger.models import District, Message
from voice import account, chains
from voice.channel import PHONE_MODES
from voice.models import DialerBatch, DialerJob, VoiceSettings
from voice.outcomes import NO_RESPONSE, outcome_of

log = logging.getLogger(__name__)

# A request takes 10 s at most (ruling 29); a lease outlives it, and the sweep outlives the lease.
LEASE = timedelta(seconds=django_settings.DISPATCH_LEASE_SECONDS)
# Where the provider cannot be asked what became of a request (trust.md, delivery semantics 5).
MOST_SENDINGS = 2


@dataclass(frozen=True)
class Claimed:
    """A batch that this worker may send until its lease is over."""

    pk: int
    claim: UUID
    number: int
    content: str
    total_chains: int | None


def still_mine(batch: Claimed) -> DialerBatch | None:
    """The claimed batch, locked, unless the lease is over and somebody else has taken it: a worker
    that slept writes nothing about it (R10)."""
    claimed = DialerBatch.objects.select_for_update().filter(
        pk=batch.pk, claim=batch.claim, state=DialerBatch.State.SENDING
    )
    return claimed.first()


def claim(job: DialerJob, *, first: bool = False) -> Claimed | None:
    """Claims the next batch that may be sent (or the first one) and commits; None if there is none.

    Takes the message FOR SHARE: a cancel either sees the claim or stops it. What was never sent is
    looked at once more when contacts changed since it was frozen (ruling 22). What may have been
    sent goes out again where the provider knows it again; elsewhere it is given up, but for one
    repetition of a message that would rather be heard twice than never (an emergency).
    """
    looks_up = account.looks_up()
    while True:
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
            if batch.state == DialerBatch.State.FROZEN or looks_up or _may_repeat(job, batch):
                return _take(job, batch, now, first=first)
            _give_up(job, batch, now)


def _take(job: DialerJob, batch: DialerBatch, now: datetime, *, first: bool) -> Claimed:
    changed = ["state", "sent_at", "sendings", "claim", "lease_until"]
    if batch.sent_at is None and _freeze_anew_if_changed(job.message, batch):
        # The content is 60 kB: it is written again only when it did change.
        changed += ["content", "chains", "steps", "frozen_at"]
    mine = uuid4()
    batch.state = DialerBatch.State.SENDING
    batch.sent_at = batch.sent_at or now
    batch.sendings = min(batch.sendings + 1, 30_000)
    batch.claim, batch.lease_until = mine, now + LEASE
    batch.save(update_fields=changed)
    if first:
        mark_submitted(job)
    return Claimed(batch.pk, mine, batch.number, batch.content, None)


def _freeze_anew_if_changed(message: Message, batch: DialerBatch) -> bool:
    made = batch.content != ""  # else it is made now (`voice.epochs`)
    changed = District.objects.values_list("contacts_changed_at", flat=True).get()
    if (made and (changed is None or changed < batch.frozen_at)) or batch.first_chain is None:
        return False
    now = clock.now()
    span = (batch.first_chain, batch.last_chain or batch.first_chain)
    if not ledger.recheck(message.pk, span, lifecycle.today(now), now) and made:
        return False
    batch.content, batch.chains, batch.steps = chains.content_of(message, batch)
    batch.frozen_at = now
    return True


def mark_submitted(job: DialerJob) -> None:
    """Writes that the job is about to leave, and through which door (ruling 23). Inside the claim's
    transaction."""
    settings = VoiceSettings.current()
    locked = DialerJob.objects.select_for_update().get(pk=job.pk)
    locked.submitted_at = locked.submitted_at or clock.now()
    locked.endpoint = job.endpoint or settings.endpoint
    locked.state_id = locked.state_id or settings.state_id
    locked.epoch = locked.epoch or settings.epoch
    if locked.endpoint not in locked.tried:
        locked.tried = [*locked.tried, locked.endpoint]
    locked.save(update_fields=["submitted_at", "endpoint", "state_id", "epoch", "tried"])
    job.endpoint, job.tried = locked.endpoint, locked.tried


# ------------------------------------------------------------- a provider that cannot be asked


def _may_repeat(job: DialerJob, batch: DialerBatch) -> bool:
    once_more = job.message.unknown_outcome == Message.UnknownOutcome.REPEAT
    return once_more and batch.sendings < MOST_SENDINGS


def _give_up(job: DialerJob, batch: DialerBatch, now: datetime) -> None:
    """It may have been dialed, and nobody can say so: its rows end as -5 and are listed, and
    nothing of it is sent again. A result that comes after all is still believed."""
    if batch.first_chain is not None:
        ledger.close_open_rows(
            job.message_id,
            modes=PHONE_MODES,
            outcome=outcome_of(NO_RESPONSE),
            code=NO_RESPONSE,
            reason="in_doubt",
            now=now,
            chains=(batch.first_chain, batch.last_chain or batch.first_chain),
        )
    batch.state, batch.lease_until = DialerBatch.State.UNKNOWN, None
    batch.save(update_fields=["state", "lease_until"])
    log.error("batch %s of message %s: in doubt for good", batch.number, job.message_id)


def give_back(batch: Claimed, until: datetime, words: str, *, maybe_acted: bool) -> None:
    """The request failed: the batch waits until then, with the reason. Where the provider cannot be
    asked, one that certainly never left is as it was before."""
    mine = DialerBatch.objects.filter(pk=batch.pk, claim=batch.claim)
    mine.update(lease_until=until, trouble=words[:300])
    if not maybe_acted and not account.looks_up():
        # The first of these two, or it would find what the second has left.
        mine.filter(sendings=1).update(sendings=0, state=DialerBatch.State.FROZEN, sent_at=None)
        mine.filter(sendings__gt=1).update(sendings=F("sendings") - 1)
