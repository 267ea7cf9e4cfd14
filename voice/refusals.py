"""What becomes of what the dialer refuses: the whole job, a batch, a batch of a job that is closed.

Each is one transaction and fits a repeat; a worker whose claim is lost changes nothing. Nothing is
sent from here, and what is merely in doubt is not refused (`voice.dispatch`).
"""

import json
import logging
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from dialer_adapters.contract import Rejected
from messenger import clock, ledger, lifecycle
from messenger.models import Message
from voice import chains
from voice.channel import PHONE_MODES
from voice.claims import Claimed, still_mine
from voice.models import DialerBatch, DialerJob

log = logging.getLogger(__name__)


def refuse_job(job: DialerJob, error: Rejected) -> None:
    """The Job part was refused: the message is Failed (ruling 19, B2-06)."""
    words = _(error.user_sentence)
    log.error("job of message %s refused: %s", job.message_id, error.code)
    with transaction.atomic():
        DialerJob.objects.filter(pk=job.pk).update(
            state=DialerJob.State.REFUSED, trouble=words[:300]
        )
        lifecycle.fail(job.message_id, words)


def never_stored(job: DialerJob, batch: Claimed) -> None:
    """The dialer closed the job before this batch: it never was and never will be stored. Its rows
    end canceled after a cancel, else expired (rulings 18, 20)."""
    canceled = Message.objects.filter(pk=job.message_id, cancel_requested_at__isnull=False).exists()
    with transaction.atomic():
        row = still_mine(batch)
        if row is None:
            return
        if row.first_chain is not None:
            ledger.close_open_rows(
                job.message_id,
                modes=PHONE_MODES,
                outcome="canceled" if canceled else "expired",
                code=None if canceled else -11,
                reason="user" if canceled else "never_accepted",
                now=clock.now(),
                chains=(row.first_chain, row.last_chain or row.first_chain),
            )
        row.state = DialerBatch.State.REFUSED
        row.trouble = "JOB_CLOSED"
        row.save(update_fields=["state", "trouble"])


def split(job: DialerJob, batch: Claimed, error: Rejected) -> None:
    """A refused batch consumes no number: its halves get new ones, until a single chain fails and
    its rows end failed with the reason (ruling 19)."""
    words = _(error.user_sentence)
    with transaction.atomic():
        row = still_mine(batch)
        if row is None:
            return
        halves = _halves(row)
        if not halves:
            if row.first_chain is not None:
                ledger.close_open_rows(
                    job.message_id,
                    modes=PHONE_MODES,
                    outcome="failed",
                    reason="refused_by_dialer",
                    now=clock.now(),
                    chains=(row.first_chain, row.last_chain or row.first_chain),
                )
        else:
            job_row = DialerJob.objects.select_for_update().get(pk=job.pk)
            numbers = chains.next_numbers(job_row, row.number, len(halves))
            for number, part in zip(numbers, halves, strict=True):
                # What has broken often enough does not begin to count again.
                DialerBatch.objects.create(
                    job=job_row, number=number, sendings=row.sendings, **part
                )
        row.state = DialerBatch.State.REFUSED
        row.trouble = words[:300]
        row.lease_until = None
        row.save(update_fields=["state", "trouble", "lease_until"])
    log.error("batch %s of message %s refused: %s", batch.number, job.message_id, error.code)


def _halves(row: DialerBatch) -> list[dict[str, Any]]:
    """A batch in two, as fields of new ones; nothing when it holds one chain. What cannot even be
    read is cut by its chains' numbers, and made anew from their rows when it is claimed."""
    try:
        content = json.loads(row.content)
    except ValueError:
        first, last = row.first_chain, row.last_chain
        if first is None or last is None or first >= last:
            return []
        middle = (first + last) // 2
        return [
            {"first_chain": first, "last_chain": middle, "content": ""},
            {"first_chain": middle + 1, "last_chain": last, "content": ""},
        ]
    if len(content) <= 1:
        return []
    half = len(content) // 2
    return [
        {
            "first_chain": int(part[0]["r"]),
            "last_chain": int(part[-1]["r"]),
            "chains": len(part),
            "steps": sum(len(chain.get("s", ())) for chain in part),
            "content": json.dumps(part, separators=(",", ":")),
        }
        for part in (content[:half], content[half:])
    ]
