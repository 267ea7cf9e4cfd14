"""Bringing jobs and chains from the database into memory, as they were left.

A chain's state is nowhere stored: it is rebuilt by replaying its attempts and log entries through
the chain engine. The same code serves a restart and a batch whose turn has come. Attempts without
an entry that nobody has in flight were lost with a crash; they are returned for the dialing thread
to report as -5.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dialer_adapters.chain_engine import TEXT_QUEUED, Closing
from dialer_adapters.switchboard import entries
from dialer_adapters.switchboard.batches import ChainSpec, iterate_chains, unpack
from dialer_adapters.switchboard.database import query, read_json
from dialer_adapters.switchboard.job_body import Body, make_policy
from dialer_adapters.switchboard.openjob import BatchState, OpenChain, OpenJob
from dialer_adapters.switchboard.recording import JobKey
from dialer_adapters.switchboard.screening import refuse


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that the database knows: of `step`, number `number`. `revision` counts its
    entries."""

    step: int
    attempt_id: str
    number: int
    started_at: float
    revision: int


@dataclass(slots=True)
class Loaded:
    """A chain brought to memory, with what has to be said of it now: steps to close, attempts that
    were lost, texts that are still queued."""

    chain: OpenChain
    closings: list[Closing] = field(default_factory=list)
    lost: list[PastAttempt] = field(default_factory=list)
    queued: list[PastAttempt] = field(default_factory=list)


@dataclass(slots=True)
class _Past:
    """The history of one chain."""

    attempts: list[tuple[int, int, str, float]] = field(default_factory=list)
    entries: list[tuple[str, int, int | None, int | None, bool, bool, float, str | None]] = field(
        default_factory=list
    )
    closed: bool = False


# -------------------------------------------------------------------------------------------- jobs


def list_open_jobs() -> list[int]:
    """The keys of the jobs that have no JOB_RESULT."""
    rows = query("SELECT id FROM switchboard_job WHERE final_seq IS NULL ORDER BY id")
    return [row[0] for row in rows]


@dataclass(frozen=True, slots=True)
class JobRow:
    """An unfinished job's row. `body` is None for a tombstone."""

    key: JobKey
    urgency: int
    body: Body | None
    epoch: str
    created_at: datetime
    sealed: bool
    stored_chains: int
    closed_chains: int
    cancel_requested: bool
    has_history: bool


def read_job_row(pk: int) -> JobRow | None:
    """The row of a job, or None when it is finished or gone."""
    rows = query(
        "SELECT account_id, job_ref, priority, body, epoch, created_at, sealed, stored_chains,"
        " chains_confirmed + chains_done + chains_canceled, cancel_requested_at IS NOT NULL,"
        " attempts > 0 OR last_seq > 0 FROM switchboard_job WHERE id = %s AND final_seq IS NULL",
        [pk],
    )
    if not rows:
        return None
    account_id, job_ref, urgency, body, *rest = rows[0]
    return JobRow(JobKey(pk, account_id, job_ref), urgency, read_json(body), *rest)


def open_job(row: JobRow, speed: float) -> OpenJob:
    """A job for the memory, still without batches."""
    assert row.body is not None
    return OpenJob(
        key=row.key,
        urgency=row.urgency,
        body=row.body,
        policy=make_policy(row.body, speed),
        created_at=row.created_at,
    )


def refresh_job(job: OpenJob, row: JobRow, first: bool) -> list[BatchState]:
    """Take over what has come since: seal, cancels, batches. Returns the batches to look through:
    where attempts were lost (`first`: at the start), or everywhere after a new cancel."""
    job.sealed = row.sealed
    job.stored_chains = row.stored_chains
    job.cancel_requested = job.cancel_requested or row.cancel_requested
    if first:
        job.closed_chains = row.closed_chains
    canceled_before = len(job.canceled_refs) + len(job.canceled_numbers)
    for kind, value in query(
        "SELECT kind, value FROM switchboard_cancellation WHERE account_id = %s AND job_ref = %s",
        [row.key.account_id, row.key.job_ref],
    ):
        (job.canceled_refs if kind == "C" else job.canceled_numbers).add(value)
    history = _summarise(row.key.pk) if first and row.has_history else {}
    looks: list[BatchState] = []
    if len(job.canceled_refs) + len(job.canceled_numbers) > canceled_before:
        looks += job.batches.values()
    for pk, chains, voice, texts, refused in query(
        "SELECT id, chains, voice_steps, text_steps, refused_steps FROM switchboard_batch"
        " WHERE job_id = %s AND id > %s AND chains > 0 ORDER BY id",
        [row.key.pk, job.newest_batch],
    ):
        job.newest_batch = pk
        closed, lost, touched = history.get(pk, (0, 0, False))
        batch = BatchState(pk, chains, voice > 0, texts > 0, refused > 0, touched)
        if job.body["suppress_duplicates"]:
            job.mark_duplicates(batch, read_chains_of(batch))
        if closed < chains:
            job.add_batch(batch)
        if lost:
            looks.append(batch)
    return looks


def _summarise(job_pk: int) -> dict[int, tuple[int, int, bool]]:
    """By batch: chains closed, attempts without an entry, and that there is a history at all."""
    rows = query(
        "WITH own AS (SELECT id FROM switchboard_batch WHERE job_id = %s)"
        " SELECT batch_id, sum(closed), sum(tries) - sum(results) FROM ("
        "  SELECT batch_id, count(*) FILTER (WHERE entry_type = 'CHAIN_RESULT') AS closed,"
        "   0 AS tries, count(*) FILTER (WHERE entry_type = 'ATTEMPT_RESULT') AS results"
        "  FROM switchboard_entry WHERE batch_id IN (SELECT id FROM own) GROUP BY batch_id"
        "  UNION ALL SELECT batch_id, 0, count(*), 0 FROM switchboard_attempt"
        "  WHERE batch_id IN (SELECT id FROM own) GROUP BY batch_id"
        " ) AS counted GROUP BY batch_id",
        [job_pk],
    )
    return {batch: (int(closed), int(lost), True) for batch, closed, lost in rows}


# ------------------------------------------------------------------------------------------ chains


def read_chains_of(batch: BatchState) -> Iterator[ChainSpec]:
    """The chains of a batch as accepted."""
    (content,) = query("SELECT content FROM switchboard_batch WHERE id = %s", [batch.pk])[0]
    return iterate_chains(unpack(content))


def load_batch(job: OpenJob, batch: BatchState, in_flight: Container[str]) -> Iterator[Loaded]:
    """The chains of a batch that are neither closed nor in memory, rebuilt; `in_flight` are the
    attempts that the dialing thread is waiting for."""
    (content,) = query("SELECT content FROM switchboard_batch WHERE id = %s", [batch.pk])[0]
    text = unpack(content)
    past = _read_past(batch) if batch.touched else {}
    refusals: dict[int, list[tuple[int, int]]] = defaultdict(list)
    if batch.refused:
        for refusal in refuse(text, job.body["scrub_wireless"]):
            refusals[refusal.pos].append((refusal.step, refusal.code))
    duplicates: dict[int, list[int]] = defaultdict(list)
    for pos, step in job.duplicates.get(batch.pk, ()):
        duplicates[pos].append(step)
    for spec in iterate_chains(text):
        history = past.get(spec.pos)
        if spec.pos in batch.open or (history is not None and history.closed):
            continue
        loaded = Loaded(OpenChain(batch, spec, job.policy))
        if history is not None:
            _replay(loaded, history, in_flight)
        for step, code in refusals.get(spec.pos, ()):
            _close(loaded, step, code, entries.REFUSED)
        for step in duplicates.get(spec.pos, ()):
            _close(loaded, step, -4, entries.DUPLICATE)
        loaded.closings += apply_cancels(job, loaded.chain)
        yield loaded


def apply_cancels(job: OpenJob, chain: OpenChain) -> list[Closing]:
    """Close what was canceled by ChainRef or by number."""
    closings = []
    if chain.spec.ref in job.canceled_refs and chain.chain.stopped is None:
        closings += chain.chain.cancel(entries.CANCELLED)
    if job.canceled_numbers:
        for index, step in enumerate(chain.spec.steps):
            if step.number in job.canceled_numbers:
                closing = chain.chain.close(index, None, entries.CANCELLED)
                closings += [closing] if closing else []
    return closings


def _close(loaded: Loaded, step: int, code: int, reason: str) -> None:
    if loaded.chain.chain.is_open(step) and not loaded.chain.chain.attempts(step):
        closing = loaded.chain.chain.close(step, code, reason)
        loaded.closings += [closing] if closing else []


def _read_past(batch: BatchState) -> dict[int, _Past]:
    past: dict[int, _Past] = defaultdict(_Past)
    for pos, *attempt in query(
        "SELECT pos, step, number, attempt_id, extract(epoch FROM started_at)::float8"
        " FROM switchboard_attempt WHERE batch_id = %s ORDER BY pos, step, number",
        [batch.pk],
    ):
        past[pos].attempts.append((attempt[0], attempt[1], attempt[2], attempt[3]))
    for pos, kind, *entry in query(
        "SELECT pos, entry_type, step, attempt_number, status_code, confirmed, final,"
        " extract(epoch FROM occurred_at)::float8, attempt_id"
        " FROM switchboard_entry WHERE batch_id = %s ORDER BY seq",
        [batch.pk],
    ):
        if kind == entries.CHAIN_RESULT:
            past[pos].closed = True
        else:
            step, number, code, confirmed, final, at, attempt_id = entry
            past[pos].entries.append((kind, step, number, code, confirmed, final, at, attempt_id))
    return past


def _replay(loaded: Loaded, past: _Past, in_flight: Container[str]) -> None:
    chain = loaded.chain.chain
    revisions: dict[str, int] = defaultdict(int)
    for kind, step, number, code, confirmed, final, at, attempt_id in past.entries:
        if attempt_id is None or number is None or code is None:
            chain.finish(step)
            continue
        revisions[attempt_id] += 1
        if kind == entries.ATTEMPT_RESULT:
            chain.resume(step, number)
        chain.report(step, code, at, confirmed)
        if final:
            chain.finish(step)
    for step, number, attempt_id, started_at in past.attempts:
        if attempt_id in in_flight:
            continue
        seen = revisions[attempt_id]
        attempt = PastAttempt(step, attempt_id, number, started_at, seen)
        if not seen:
            chain.resume(step, number)
            loaded.lost.append(attempt)
            continue
        queued = chain.last_code(step) == TEXT_QUEUED and not chain.is_final(step)
        if queued and number == chain.attempts(step):
            loaded.queued.append(attempt)
