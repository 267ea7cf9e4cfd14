"""What happened, as log entries: attempts that ended, steps, chains and jobs that closed.

Everything here is pure: it reads chains and flights and returns drafts. Whether and when they are
written is decided by the dialing thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dialer_adapters.call_codes import lookup
from dialer_adapters.chain_engine import CALL_EXPIRED, CHAIN_STOPPED, WINDOW_ENDED, Closing
from dialer_adapters.switchboard import entries
from dialer_adapters.switchboard.entries import Draft, disposition_of
from dialer_adapters.switchboard.lines import Result
from dialer_adapters.switchboard.openjob import OpenChain, OpenJob
from dialer_adapters.switchboard.pools import Pool
from dialer_adapters.switchboard.recording import Unit


@dataclass(slots=True)
class Flight:
    """An attempt under way. `pool` is the line it holds (texts hold none); `revision` counts the
    results that are in the log."""

    job: OpenJob
    chain: OpenChain
    step: int
    attempt_id: str
    number: int
    started_at: float
    pool: Pool | None
    revision: int = 0


def report_attempt(flight: Flight, result: Result) -> Draft:
    """The entry of a result; the chain must have taken it already."""
    step = flight.chain.step(flight.step)
    chain = flight.chain.chain
    ended = None if result.code == -39 else result.at
    duration = None
    if step.channel == "VOICE":
        duration = round(result.at - result.connected_at) if result.connected_at else 0
    kind = entries.ATTEMPT_RESULT if flight.revision == 1 else entries.ATTEMPT_UPDATE
    return Draft(
        entry_type=kind,
        occurred_at=result.at,
        disposition=disposition_of(result.code),
        final=chain.is_final(flight.step),
        batch_id=flight.chain.batch.pk,
        pos=flight.chain.spec.pos,
        step=flight.step,
        chain_ref=flight.chain.spec.ref,
        step_ref=step.ref,
        attempt_id=flight.attempt_id,
        attempt_number=flight.number,
        revision=flight.revision,
        channel=step.channel,
        phone_number=step.number,
        status_code=result.code,
        confirmed=result.confirmed,
        answered_by=result.answered_by,
        digits=result.digits,
        started_at=flight.started_at,
        connected_at=result.connected_at,
        ended_at=ended,
        duration_seconds=duration,
        text_segments=result.segments,
        next_attempt_at=chain.redial_at(flight.step),
        sip_code=result.sip_code,
        cause_q850=result.cause_q850,
        call_error=result.call_error,
    )


def report_closings(chain: OpenChain, closings: Iterable[Closing], now: float) -> list[Draft]:
    """The STEP_RESULT entries of steps that closed without a final attempt."""
    drafts = []
    for closing in closings:
        step = chain.step(closing.step)
        if closing.canceled or closing.code is None:
            disposition = entries.CANCELLED
        else:
            disposition = disposition_of(closing.code)
        drafts.append(
            Draft(
                entry_type=entries.STEP_RESULT,
                occurred_at=now,
                disposition=disposition,
                final=True,
                batch_id=chain.batch.pk,
                pos=chain.spec.pos,
                step=closing.step,
                chain_ref=chain.spec.ref,
                step_ref=step.ref,
                attempt_number=chain.chain.attempts(closing.step) or None,
                channel=step.channel,
                phone_number=step.number,
                status_code=closing.code,
                reason=closing.reason,
            )
        )
    return drafts


def close_chain(chain: OpenChain, unit: Unit, now: float) -> None:
    """Add the CHAIN_RESULT of a finished chain to the unit, and count it. Once a chain."""
    engine = chain.chain
    stopped = engine.stopped not in (None, CHAIN_STOPPED, WINDOW_ENDED)
    reason = engine.stopped
    if engine.confirmed:
        disposition = "CONFIRMED"
        unit.confirmed += 1
    elif stopped or _all_canceled(chain):
        disposition = entries.CANCELLED
        reason = reason or entries.CANCELLED
        unit.canceled += 1
    else:
        disposition = "DONE"
        unit.done += 1
    unit.drafts.append(
        Draft(
            entry_type=entries.CHAIN_RESULT,
            occurred_at=now,
            disposition=disposition,
            final=True,
            batch_id=chain.batch.pk,
            pos=chain.spec.pos,
            chain_ref=chain.spec.ref,
            reason=reason,
            confirmed=engine.confirmed,
        )
    )
    chain.closed = True


def _all_canceled(chain: OpenChain) -> bool:
    codes = [chain.chain.last_code(index) for index in range(len(chain.spec.steps))]
    return all(code is None or lookup(code).outcome_class == "canceled" for code in codes)


def needs_entry(chain: OpenChain, closing: Closing) -> bool:
    """Whether a step that its whole job's end closes needs an entry of its own: when it has been
    called, or must be told apart from the rest (-9). The others are closed by the JOB_RESULT."""
    never_called = chain.chain.attempts(closing.step) == 0
    return not never_called or closing.code not in (None, CALL_EXPIRED)


def close_job(unit: Unit, reason: str, left: int, expired: bool, now: float) -> None:
    """Add the JOB_RESULT to the unit. `left` chains have no result of their own; `expired` says
    that time ran out for their steps: it carries -11, the code of all steps that have no entry."""
    finished = reason in (entries.COMPLETED, WINDOW_ENDED)
    unit.drafts.append(
        Draft(
            entry_type=entries.JOB_RESULT,
            occurred_at=now,
            disposition="FINISHED" if finished else entries.CANCELLED,
            final=True,
            status_code=CALL_EXPIRED if expired else None,
            reason=reason,
        )
    )
    unit.state = "FINISHED" if finished else "CANCELLED"
    if finished:
        unit.done += left
    else:
        unit.canceled += left
