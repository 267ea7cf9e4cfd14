"""Texts of which a later word may still come when the switchboard starts again (contract 7.4.10).

A text that was sent (-27), or released still queued (-39), may be revised hours later: -28, -40 or
-30. Its chain, and often its job, is over, so that nothing brings it back to memory. After a
restart these texts are therefore looked up batch by batch, between the rounds' other work.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer_adapters.chain_engine import TEXT_QUEUED, TEXT_SENT
from dialer_adapters.switchboard.database import query
from dialer_adapters.switchboard.entries import ATTEMPT_UPDATE, Draft, disposition_of
from dialer_adapters.switchboard.lines import Placement, Result
from dialer_adapters.switchboard.recording import JobKey, Unit

# Carriers report for three days; of older texts nothing more is expected.
REPORTS_COME_FOR = timedelta(hours=72)


@dataclass(slots=True)
class LateText:
    """A text whose step is settled, with what its next entry must repeat. `revision` counts the
    entries that are in the log, `code` is that of the newest."""

    job: JobKey
    urgency: int
    batch_id: int
    pos: int
    step: int
    chain_ref: str
    step_ref: str
    attempt_id: str
    number: int
    revision: int
    phone_number: str
    code: int
    started_at: float
    segments: int | None

    def placement(self) -> Placement:
        """What the lines must know to go on with it."""
        return Placement(
            attempt_id=self.attempt_id,
            number=self.phone_number,
            extension=None,
            attempt_number=self.number,
            segments=self.segments or 1,
        )


def list_batches(now: datetime) -> list[int]:
    """The batches with texts of jobs that are open, or ended not long before `now`."""
    rows = query(
        "SELECT b.id FROM switchboard_batch b JOIN switchboard_job j ON j.id = b.job_id"
        " LEFT JOIN switchboard_entry e ON e.account_id = j.account_id AND e.seq = j.final_seq"
        " WHERE b.text_steps > 0 AND j.attempts > 0"
        " AND (j.final_seq IS NULL OR e.occurred_at > %s) ORDER BY b.id",
        [now - REPORTS_COME_FOR],
    )
    return [row[0] for row in rows]


def read_batch(batch_pk: int) -> list[LateText]:
    """The texts of a batch whose step is settled and whose last code may be revised."""
    rows = query(
        "WITH texts AS (SELECT * FROM switchboard_entry WHERE batch_id = %s AND channel = 'TEXT'"
        "  AND step IS NOT NULL),"
        " newest AS (SELECT DISTINCT ON (attempt_id) * FROM texts WHERE attempt_id IS NOT NULL"
        "  ORDER BY attempt_id, revision DESC)"
        " SELECT j.id, j.account_id, j.job_ref, j.priority, n.pos, n.step, n.chain_ref, n.step_ref,"
        "  n.attempt_id, n.attempt_number, n.revision, n.phone_number, n.status_code,"
        "  extract(epoch FROM n.started_at)::float8, n.text_segments"
        " FROM newest n JOIN switchboard_job j ON j.id = n.job_id WHERE n.status_code = ANY(%s)"
        " AND EXISTS (SELECT 1 FROM texts f WHERE f.pos = n.pos AND f.step = n.step AND f.final)"
        " ORDER BY n.seq",
        [batch_pk, [TEXT_QUEUED, TEXT_SENT]],
    )
    return [
        LateText(JobKey(pk, account_id, job_ref), urgency, batch_pk, *text)
        for pk, account_id, job_ref, urgency, *text in rows
    ]


def report_late(late: LateText, result: Result) -> Unit:
    """The entry of a later word. The step stays final: only its code changes."""
    late.revision += 1
    late.code = result.code
    draft = Draft(
        entry_type=ATTEMPT_UPDATE,
        occurred_at=result.at,
        disposition=disposition_of(result.code),
        final=True,
        batch_id=late.batch_id,
        pos=late.pos,
        step=late.step,
        chain_ref=late.chain_ref,
        step_ref=late.step_ref,
        attempt_id=late.attempt_id,
        attempt_number=late.number,
        revision=late.revision,
        channel="TEXT",
        phone_number=late.phone_number,
        status_code=result.code,
        started_at=late.started_at,
        ended_at=result.at,
        text_segments=result.segments,
    )
    return Unit(late.job, late.urgency, [draft])
