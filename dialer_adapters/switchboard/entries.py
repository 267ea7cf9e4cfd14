"""One entry of the call log before it has a number: its words, its key, and how it becomes a row.

Dispositions are SUCCESSFUL, FAILED, PENDING, CANCELLED, OPTED_OUT and UNKNOWN for attempts and
steps; CONFIRMED, DONE and CANCELLED for chains; FINISHED and CANCELLED for jobs. A STEP_RESULT that
is CANCELLED carries a StatusCode only when the step had been called before.

Reasons: CHAIN_STOPPED (key 0, or what StopOn names), CANCELLED (a cancel of the job, the chain or
the number), WINDOW_ENDED, LOCAL_HOURS, NEVER_SEALED, EPOCH_CHANGED, REFUSED, DUPLICATE, OPTED_OUT,
and COMPLETED for a job of which every step has an entry of its own. A JOB_RESULT with another
reason closes the steps that have none: as CANCELLED, or with the StatusCode that it carries (-11).
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from dialer_adapters.call_codes import lookup
from dialer_adapters.switchboard.database import copy_line, stamp

ATTEMPT_RESULT, ATTEMPT_UPDATE = "ATTEMPT_RESULT", "ATTEMPT_UPDATE"
STEP_RESULT, CHAIN_RESULT, JOB_RESULT = "STEP_RESULT", "CHAIN_RESULT", "JOB_RESULT"

CANCELLED, COMPLETED = "CANCELLED", "COMPLETED"
NEVER_SEALED, EPOCH_CHANGED = "NEVER_SEALED", "EPOCH_CHANGED"
REFUSED, DUPLICATE, OPTED_OUT = "REFUSED", "DUPLICATE", "OPTED_OUT"

DISPOSITIONS = {
    "successful": "SUCCESSFUL",
    "failed": "FAILED",
    "pending": "PENDING",
    "canceled": CANCELLED,
    "opted_out": OPTED_OUT,
    "unknown": "UNKNOWN",
}

COLUMNS = (
    *("account_id", "seq", "entry_id", "entry_type", "occurred_at", "job_id", "batch_id", "pos"),
    *("step", "chain_ref", "step_ref", "attempt_id", "attempt_number", "revision", "channel"),
    *("phone_number", "status_code", "disposition", "reason", "final", "confirmed", "answered_by"),
    *("digits", "started_at", "connected_at", "ended_at", "duration_seconds", "text_segments"),
    *("next_attempt_at", "sip_code", "cause_q850", "call_error"),
)


class Draft(NamedTuple):
    """An entry before it has a number. Times are seconds since the epoch; `pos` and `step` are the
    place of the step in its batch."""

    entry_type: str
    occurred_at: float
    disposition: str
    final: bool
    batch_id: int | None = None
    pos: int | None = None
    step: int | None = None
    chain_ref: str | None = None
    step_ref: str | None = None
    attempt_id: str | None = None
    attempt_number: int | None = None
    revision: int = 1
    channel: str | None = None
    phone_number: str | None = None
    status_code: int | None = None
    reason: str | None = None
    confirmed: bool = False
    answered_by: str | None = None
    digits: str | None = None
    started_at: float | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    duration_seconds: int | None = None
    text_segments: int | None = None
    next_attempt_at: float | None = None
    sip_code: int | None = None
    cause_q850: int | None = None
    call_error: str | None = None

    def make_id(self, job_ref: str) -> str:
        """The EntryID: derived, so that it survives a restored server (contract 8.1)."""
        if self.attempt_id is not None:
            return f"{self.attempt_id}:{self.revision}"
        key = (job_ref, self.chain_ref or "", self.step_ref or "", self.entry_type)
        return sha256("\0".join((*key, str(self.revision))).encode()).hexdigest()[:40]

    def to_line(self, account_id: int, seq: int, job_pk: int, job_ref: str) -> str:
        """The row for COPY, in the order of COLUMNS."""
        return copy_line(
            (
                account_id,
                seq,
                self.make_id(job_ref),
                self.entry_type,
                stamp(self.occurred_at),
                job_pk,
                self.batch_id,
                self.pos,
                self.step,
                self.chain_ref,
                self.step_ref,
                self.attempt_id,
                self.attempt_number,
                self.revision,
                self.channel,
                self.phone_number,
                self.status_code,
                self.disposition,
                self.reason,
                self.final,
                self.confirmed,
                self.answered_by,
                self.digits,
                stamp(self.started_at),
                stamp(self.connected_at),
                stamp(self.ended_at),
                self.duration_seconds,
                self.text_segments,
                stamp(self.next_attempt_at),
                self.sip_code,
                self.cause_q850,
                self.call_error,
            )
        )


def disposition_of(code: int) -> str:
    """The disposition of an attempt or step with this code."""
    return DISPOSITIONS[lookup(code).outcome_class]
