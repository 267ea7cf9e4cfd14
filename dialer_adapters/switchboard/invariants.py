"""What must never happen, looked up in the switchboard's own books.

The invariants are numbered as in ruling R17. Those that a dialer can judge are here: 1 to 8, and of
12 the dialer's half (the log's order). What the application makes of the log is judged there.
Nothing here trusts the code that dials: every rule is checked anew from rows of attempts, entries,
cancels and consents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from dialer_adapters.chain_engine import LocalHours
from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.batches import iterate_chains, unpack
from dialer_adapters.switchboard.database import query, read_json
from dialer_adapters.switchboard.job_body import make_policy
from dialer_adapters.switchboard.screening import SUSPICIOUS, screen

_OF_JOB = "(%s::text IS NULL OR j.job_ref = %s)"
_ATTEMPTS = (
    "SELECT j.job_ref, a.chain_ref, a.step_ref, a.number FROM switchboard_attempt a"
    " JOIN switchboard_job j ON j.id = a.job_id"
)


class Violation(NamedTuple):
    """One thing that must not have happened: the invariant's number, what it was in words, and
    where."""

    invariant: int
    what: str
    job_ref: str
    chain_ref: str | None = None
    step_ref: str | None = None
    attempt_number: int | None = None


def list_violations(job_ref: str | None = None) -> list[Violation]:
    """Every violation in the books of one JobRef, or of all jobs; an empty list is what must be."""
    checks: tuple[Callable[[str | None], Iterator[Violation]], ...] = (
        _started_after_cancel,
        _started_outside_window,
        _started_outside_local_hours,
        _texted_after_stop,
        _called_a_listed_number,
        _never_became_final,
        _reopened,
        _doubled_or_too_many,
        _went_on_after_the_key,
        _stopped_without_a_cause,
        _log_out_of_order,
    )
    return [violation for check in checks for violation in check(job_ref)]


def _select(
    invariant: int, what: str, more: str, job_ref: str | None, values: tuple[object, ...] = ()
) -> Iterator[Violation]:
    """The attempts that a condition finds. `more` are joins and the condition."""
    rows = query(f"{_ATTEMPTS} {more} AND {_OF_JOB}", [*values, job_ref, job_ref])
    for found, chain_ref, step_ref, number in rows:
        yield Violation(invariant, what, found, chain_ref, step_ref, number)


def _started_after_cancel(job_ref: str | None) -> Iterator[Violation]:
    yield from _select(
        1, "started after its job's cancel", "WHERE a.started_at > j.cancel_requested_at", job_ref
    )
    yield from _select(
        1,
        "started after its chain's or number's cancel",
        "JOIN switchboard_cancellation c ON c.account_id = j.account_id AND c.job_ref = j.job_ref"
        " AND c.value = CASE c.kind WHEN 'C' THEN a.chain_ref ELSE a.phone_number END"
        " WHERE a.started_at > c.canceled_at",
        job_ref,
    )


def _started_outside_window(job_ref: str | None) -> Iterator[Violation]:
    yield from _select(
        2,
        "started outside its window",
        "WHERE j.priority > 0 AND (a.started_at >= j.window_end"
        " OR a.started_at < (j.body->>'window_start')::timestamptz)",
        job_ref,
    )


def _started_outside_local_hours(job_ref: str | None) -> Iterator[Violation]:
    jobs = query(
        "SELECT j.id, j.job_ref, j.body FROM switchboard_job j WHERE j.priority > 0"
        f" AND jsonb_typeof(j.body->'local_hours') = 'object' AND {_OF_JOB}",
        [job_ref, job_ref],
    )
    for job_pk, ref, body in jobs:
        hours = make_policy(read_json(body), 1.0).local_hours
        if hours is None:
            continue
        for batch_pk, content in query(
            "SELECT id, content FROM switchboard_batch WHERE job_id = %s AND chains > 0", [job_pk]
        ):
            yield from _outside_hours(ref, batch_pk, content, hours)


def _outside_hours(
    job_ref: str, batch_pk: int, content: memoryview, hours: LocalHours
) -> Iterator[Violation]:
    zones = {
        (chain.pos, index): step.zone
        for chain in iterate_chains(unpack(content))
        for index, step in enumerate(chain.steps)
    }
    attempts = query(
        "SELECT pos, step, chain_ref, step_ref, number, extract(epoch FROM started_at)::float8"
        " FROM switchboard_attempt WHERE batch_id = %s",
        [batch_pk],
    )
    for pos, step, chain_ref, step_ref, number, started_at in attempts:
        if not hours.is_open(zones.get((pos, step)), started_at):
            yield Violation(
                2, "started outside its local hours", job_ref, chain_ref, step_ref, number
            )


def _texted_after_stop(job_ref: str | None) -> Iterator[Violation]:
    # START alone lifts nothing: of a number's changes the last that opted it in or out counts.
    yield from _select(
        3,
        "texted after it had opted out",
        "JOIN LATERAL (SELECT event.state FROM ("
        "  SELECT changed_at AS at, state FROM switchboard_consentchange"
        "   WHERE account_id = j.account_id AND phone_number = a.phone_number"
        "  UNION ALL SELECT received_at, consent_after FROM switchboard_inboundtext"
        "   WHERE account_id = j.account_id AND from_number = a.phone_number) AS event"
        "  WHERE event.at < a.started_at AND event.state IN ('OPTED_IN', 'OPTED_OUT')"
        "  ORDER BY event.at DESC LIMIT 1) AS newest ON newest.state = 'OPTED_OUT'"
        " WHERE a.channel = 'TEXT' AND a.phone_number IN (SELECT phone_number"
        "  FROM switchboard_consentchange UNION SELECT from_number FROM switchboard_inboundtext)",
        job_ref,
    )


def _called_a_listed_number(job_ref: str | None) -> Iterator[Violation]:
    rows = query(
        "SELECT j.job_ref, a.chain_ref, a.step_ref, a.number, a.phone_number, a.channel,"
        " coalesce((j.body->>'scrub_wireless')::boolean, false) FROM switchboard_attempt a"
        f" JOIN switchboard_job j ON j.id = a.job_id WHERE a.phone_number ~ %s AND {_OF_JOB}",
        [SUSPICIOUS.pattern, job_ref, job_ref],
    )
    for ref, chain_ref, step_ref, number, phone_number, channel, scrub_wireless in rows:
        if screen(phone_number, channel, scrub_wireless) is not None:
            yield Violation(3, "called although listed", ref, chain_ref, step_ref, number)


def _never_became_final(job_ref: str | None) -> Iterator[Violation]:
    for lost in ledger.find_lost(job_ref):
        yield Violation(4, "never became final", *lost)
    yield from _select(
        4,
        "has no result although its job is over",
        "LEFT JOIN switchboard_entry e ON e.account_id = j.account_id"
        " AND e.entry_id = a.attempt_id || ':1' JOIN switchboard_account o ON o.id = j.account_id"
        " JOIN switchboard_entry r ON r.account_id = j.account_id AND r.seq = j.final_seq"
        f" WHERE e.entry_id IS NULL AND {ledger.KEPT}",
        job_ref,
    )


def _reopened(job_ref: str | None) -> Iterator[Violation]:
    yield from _select(
        5,
        "dialed again after it was final",
        "WHERE EXISTS (SELECT 1 FROM switchboard_entry e WHERE e.batch_id = a.batch_id"
        " AND e.pos = a.pos AND e.step = a.step AND e.final"
        " AND coalesce(e.attempt_number, 0) < a.number)",
        job_ref,
    )
    yield from _select(
        5,
        "dialed after its job was over",
        "JOIN switchboard_entry e ON e.account_id = j.account_id AND e.seq = j.final_seq"
        " WHERE a.started_at > e.occurred_at",
        job_ref,
    )


def _doubled_or_too_many(job_ref: str | None) -> Iterator[Violation]:
    for doubled in ledger.find_doubled(job_ref):
        yield Violation(6, f"placed {doubled.times} times", *doubled[:4])
    for excess in ledger.find_excess(job_ref):
        yield Violation(
            7, f"{excess.attempts} attempts, {excess.allowed} allowed", *excess[:3], excess.attempts
        )


def _went_on_after_the_key(job_ref: str | None) -> Iterator[Violation]:
    # A round hears all results up to its own time before it starts anything.
    yield from _select(
        8,
        "started after key 0 had stopped its chain",
        "WHERE j.body->'stop_on' ? 'CONFIRM' AND EXISTS (SELECT 1 FROM switchboard_entry e"
        " WHERE e.batch_id = a.batch_id AND e.pos = a.pos AND e.attempt_id IS NOT NULL"
        " AND e.confirmed AND e.occurred_at <= a.started_at)",
        job_ref,
    )


def _stopped_without_a_cause(job_ref: str | None) -> Iterator[Violation]:
    """A step canceled because its chain stopped, in a chain that nothing has stopped: another
    chain's key 0 may have."""
    rows = query(
        "SELECT j.job_ref, c.chain_ref, c.step_ref FROM switchboard_entry c"
        " JOIN switchboard_job j ON j.id = c.job_id WHERE c.reason = 'CHAIN_STOPPED'"
        " AND c.entry_type = 'STEP_RESULT' AND NOT EXISTS (SELECT 1 FROM switchboard_entry e"
        "  WHERE e.batch_id = c.batch_id AND e.pos = c.pos AND e.attempt_id IS NOT NULL AND ("
        "  (j.body->'stop_on' ? 'CONFIRM' AND e.confirmed)"
        "  OR (j.body->'stop_on' ? 'LIVE' AND e.status_code = 5)"
        "  OR (j.body->'stop_on' ? 'MACHINE' AND e.status_code = 6)"
        "  OR (j.body->'stop_on' ? 'TEXT_SENT' AND e.status_code IN (-27, -28))))"
        f" AND {_OF_JOB}",
        [job_ref, job_ref],
    )
    for found in rows:
        yield Violation(8, "canceled by a chain that nothing stopped", *found)


def _log_out_of_order(job_ref: str | None) -> Iterator[Violation]:
    """A reader's cursor is right only when nothing appears behind it, and nothing ahead of the
    counter; a job's log must end with its JOB_RESULT, later words about texts apart."""
    rows = query(
        "SELECT j.job_ref, e.chain_ref, e.step_ref, e.attempt_number, CASE"
        "  WHEN e.seq > o.last_seq THEN 'an entry ahead of the counter'"
        "  ELSE 'an entry after the JOB_RESULT' END"
        " FROM switchboard_entry e JOIN switchboard_job j ON j.id = e.job_id"
        " JOIN switchboard_account o ON o.id = e.account_id WHERE (e.seq > o.last_seq"
        f" OR (e.seq > j.final_seq AND e.entry_type <> 'ATTEMPT_UPDATE')) AND {_OF_JOB}",
        [job_ref, job_ref],
    )
    rows += query(
        "SELECT j.job_ref, e.chain_ref, e.step_ref, e.attempt_number, 'a revision is missing'"
        " FROM switchboard_entry e JOIN switchboard_job j ON j.id = e.job_id"
        " JOIN switchboard_account o ON o.id = j.account_id"
        " WHERE e.attempt_id IS NOT NULL AND e.revision > 1 AND NOT EXISTS (SELECT 1"
        "  FROM switchboard_entry b WHERE b.account_id = e.account_id"
        "  AND b.entry_id = e.attempt_id || ':' || (e.revision - 1) AND b.seq < e.seq)"
        f" AND {ledger.KEPT} AND {_OF_JOB}",
        [job_ref, job_ref],
    )
    for ref, chain_ref, step_ref, number, what in rows:
        yield Violation(12, what, ref, chain_ref, step_ref, number)


def describe(violations: list[Violation], most: int = 20) -> str:
    """The violations in lines, for the message of a failed test."""
    lines = [
        f"({found.invariant}) {found.what}: {found.job_ref} {found.chain_ref or ''}"
        f" {found.step_ref or ''} {found.attempt_number or ''}".rstrip()
        for found in violations[:most]
    ]
    if len(violations) > most:
        lines.append(f"... and {len(violations) - most} more")
    return "\n".join(lines)
