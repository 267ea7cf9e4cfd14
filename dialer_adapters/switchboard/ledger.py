"""The switchboard's own books, for the judge: what was lost, doubled or dialed when it should not.

Read by kill tests and benchmarks, straight from the rows; the dialing thread is not asked. Lost and
doubled are meant as in ruling 32. Every function takes one JobRef, or None for all jobs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from dialer_adapters.switchboard.batches import iterate_chains, unpack
from dialer_adapters.switchboard.database import query

_OF_JOB = "(%s::text IS NULL OR j.job_ref = %s)"
# Of a job `j` of an account `o`, that none of its entries has left the log by its age: the books of
# others are incomplete, and nothing can be said of them.
KEPT = (
    "(o.oldest_seq <= 1 OR j.created_at >= (SELECT k.occurred_at FROM switchboard_entry k"
    " WHERE k.account_id = o.id AND k.seq >= o.oldest_seq ORDER BY k.seq LIMIT 1))"
)


class LostStep(NamedTuple):
    """An accepted step of a finished job that neither an entry nor the JOB_RESULT makes final."""

    job_ref: str
    chain_ref: str
    step_ref: str


class Doubled(NamedTuple):
    """An attempt that was placed more than once."""

    job_ref: str
    chain_ref: str
    step_ref: str
    attempt_number: int
    times: int


class Excess(NamedTuple):
    """A step that was dialed more often than its job allows."""

    job_ref: str
    chain_ref: str
    step_ref: str
    attempts: int
    allowed: int


class Dialed(NamedTuple):
    """One attempt: which number when, and the newest code of it (None while under way)."""

    phone_number: str
    started_at: datetime
    job_ref: str
    chain_ref: str
    step_ref: str
    attempt_number: int
    channel: str
    status_code: int | None


@dataclass(frozen=True, slots=True)
class Totals:
    """The books in numbers. `no_response` are attempts that a crash left in doubt (-5)."""

    jobs: int
    finished_jobs: int
    chains: int
    steps: int
    attempts: int
    under_way: int
    no_response: int
    lost: int
    doubled: int


def find_lost(job_ref: str | None = None) -> Iterator[LostStep]:
    """Accepted steps of finished jobs without a final entry. A JOB_RESULT with a reason other than
    COMPLETED makes those final that have no entry at all (ruling 21). Jobs of which the log no
    longer holds everything are left out."""
    jobs = query(
        "SELECT j.id, j.job_ref, e.reason FROM switchboard_job j JOIN switchboard_entry e"
        " ON e.account_id = j.account_id AND e.seq = j.final_seq"
        " JOIN switchboard_account o ON o.id = j.account_id"
        f" WHERE {KEPT} AND {_OF_JOB} ORDER BY j.id",
        [job_ref, job_ref],
    )
    for job_pk, ref, reason in jobs:
        for (batch_pk,) in query(
            "SELECT id FROM switchboard_batch WHERE job_id = %s ORDER BY id", [job_pk]
        ):
            yield from _find_lost_in(batch_pk, ref, closed_by_job=reason != "COMPLETED")


def _find_lost_in(batch_pk: int, job_ref: str, closed_by_job: bool) -> Iterator[LostStep]:
    (content,) = query("SELECT content FROM switchboard_batch WHERE id = %s", [batch_pk])[0]
    known = {
        (pos, step): final
        for pos, step, final in query(
            "SELECT pos, step, bool_or(final) FROM switchboard_entry"
            " WHERE batch_id = %s AND step IS NOT NULL GROUP BY pos, step",
            [batch_pk],
        )
    }
    for chain in iterate_chains(unpack(content)):
        for index, step in enumerate(chain.steps):
            if not known.get((chain.pos, index), closed_by_job):
                yield LostStep(job_ref, chain.ref, step.ref)


def find_doubled(job_ref: str | None = None) -> list[Doubled]:
    """Attempts of one step with the same number. (A key forbids them; this does not rely on it.)"""
    rows = query(
        "SELECT j.job_ref, a.chain_ref, a.step_ref, a.number, count(*) FROM switchboard_attempt a"
        f" JOIN switchboard_job j ON j.id = a.job_id WHERE {_OF_JOB}"
        " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1",
        [job_ref, job_ref],
    )
    return [Doubled(*row) for row in rows]


def find_excess(job_ref: str | None = None) -> list[Excess]:
    """Steps that were dialed more often than MaxAttemptsPerNumber."""
    rows = query(
        "SELECT j.job_ref, a.chain_ref, a.step_ref, count(*),"
        " greatest(1, (j.body->'redial'->>'max_attempts')::int) AS allowed"
        f" FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id WHERE {_OF_JOB}"
        " GROUP BY 1, 2, 3, 5 HAVING count(*) >"
        " greatest(1, (j.body->'redial'->>'max_attempts')::int)",
        [job_ref, job_ref],
    )
    return [Excess(*row) for row in rows]


def find_late(job_ref: str | None = None) -> list[Dialed]:
    """Attempts that started after their job was canceled, or outside its window."""
    return _list_attempts(
        "a.started_at > j.cancel_requested_at OR a.started_at >= j.window_end"
        " OR (j.priority > 0 AND a.started_at < (j.body->>'window_start')::timestamptz)",
        [],
        job_ref,
    )


def list_attempts(
    number: str | None = None, job_ref: str | None = None, since: datetime | None = None
) -> list[Dialed]:
    """Attempts by time: of one number (E.164), of one job, since a moment, or all."""
    return _list_attempts(
        "(%s::text IS NULL OR a.phone_number = %s)"
        " AND (%s::timestamptz IS NULL OR a.started_at >= %s)",
        [number, number, since, since],
        job_ref,
    )


def _list_attempts(condition: str, values: list[object], job_ref: str | None) -> list[Dialed]:
    rows = query(
        "SELECT a.phone_number, a.started_at, j.job_ref, a.chain_ref, a.step_ref, a.number,"
        " a.channel, (SELECT e.status_code FROM switchboard_entry e"
        "  WHERE e.batch_id = a.batch_id AND e.attempt_id = a.attempt_id"
        "  ORDER BY e.seq DESC LIMIT 1)"
        " FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
        f" WHERE ({condition}) AND {_OF_JOB} ORDER BY a.started_at, a.chain_ref, a.step, a.number",
        [*values, job_ref, job_ref],
    )
    return [Dialed(*row) for row in rows]


def add_up(job_ref: str | None = None) -> Totals:
    """The books in numbers; reads every accepted chain of finished jobs."""
    jobs, finished, chains, steps = query(
        "SELECT count(DISTINCT j.id), count(DISTINCT j.id) FILTER (WHERE j.final_seq IS NOT NULL),"
        " coalesce(sum(b.chains), 0), coalesce(sum(b.voice_steps + b.text_steps), 0)"
        " FROM switchboard_job j LEFT JOIN switchboard_batch b ON b.job_id = j.id"
        f" WHERE {_OF_JOB}",
        [job_ref, job_ref],
    )[0]
    attempts, under_way, no_response = query(
        "SELECT count(*), count(*) FILTER (WHERE e.entry_id IS NULL),"
        " count(*) FILTER (WHERE e.status_code = -5)"
        " FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
        " LEFT JOIN switchboard_entry e ON e.account_id = j.account_id"
        f" AND e.entry_id = a.attempt_id || ':1' WHERE {_OF_JOB}",
        [job_ref, job_ref],
    )[0]
    return Totals(
        jobs=jobs,
        finished_jobs=finished,
        chains=int(chains),
        steps=int(steps),
        attempts=attempts,
        under_way=under_way,
        no_response=no_response,
        lost=sum(1 for _ in find_lost(job_ref)),
        doubled=len(find_doubled(job_ref)),
    )
