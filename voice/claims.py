"""A batch that a worker has taken to send it, and whether it is still that worker's.

A worker may sleep past its lease (a frozen machine) and wake up with an answer in its hand. By then
the batch has another claim, and the sleeper writes nothing about it (R10). Nothing is sent here.
"""

from dataclasses import dataclass
from uuid import UUID

from voice.models import DialerBatch


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
