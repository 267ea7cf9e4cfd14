"""Writing attempts and log entries: the only place where either is inserted, by one thread alone.

What belongs together commits together: a `Unit` holds the entries of one event and what they change
in the job's counts. Units are written in groups of at most 1,000 entries, so that the counter row
of the log is never held for long (ruling 27).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dialer_adapters.switchboard import entries
from dialer_adapters.switchboard.database import (
    copy_line,
    copy_rows,
    execute,
    query,
    stamp,
    transaction,
)
from dialer_adapters.switchboard.entries import Draft
from dialer_adapters.switchboard.models import Attempt, Entry

LARGEST_GROUP = 1000

ATTEMPT_COLUMNS = (
    *("attempt_id", "batch_id", "pos", "step", "number", "job_id", "chain_ref", "step_ref"),
    *("channel", "phone_number", "extension", "started_at"),
)


@dataclass(frozen=True, slots=True)
class JobKey:
    """What an entry must know of its job."""

    pk: int
    account_id: int
    job_ref: str


@dataclass(slots=True)
class Unit:
    """Entries of one event in one job, and the changes of counts that come with them. `urgency` is
    the job's priority: 0 goes first. `state` comes with a JOB_RESULT alone,
    which is the last of its drafts."""

    job: JobKey
    urgency: int
    drafts: list[Draft] = field(default_factory=list)
    confirmed: int = 0
    done: int = 0
    canceled: int = 0
    state: str | None = None


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """A call or text that is about to be placed."""

    job: JobKey
    attempt_id: str
    batch_id: int
    pos: int
    step: int
    number: int
    chain_ref: str
    step_ref: str
    channel: str
    phone_number: str
    extension: str | None
    started_at: float

    def to_line(self) -> str:
        return copy_line(
            (
                self.attempt_id,
                self.batch_id,
                self.pos,
                self.step,
                self.number,
                self.job.pk,
                self.chain_ref,
                self.step_ref,
                self.channel,
                self.phone_number,
                self.extension or "",
                stamp(self.started_at),
            )
        )


def write(attempts: Sequence[NewAttempt], units: list[Unit]) -> None:
    """Commit the attempts (in one transaction, before any of them is placed) and the units, the
    most urgent first. Raises IntegrityError when an attempt or entry exists already."""
    groups = list(_group(sorted(units, key=lambda unit: unit.urgency)))
    for place in range(max(1, len(groups))):
        group = groups[place] if groups else []
        starting = attempts if place == 0 else ()
        if group or starting:
            with transaction():
                _insert_attempts(starting)
                _insert_entries(group)


def _group(units: list[Unit]) -> Iterator[list[Unit]]:
    group: list[Unit] = []
    size = 0
    for unit in units:
        if group and size + len(unit.drafts) > LARGEST_GROUP:
            yield group
            group, size = [], 0
        group.append(unit)
        size += len(unit.drafts)
    if group:
        yield group


def _insert_attempts(attempts: Sequence[NewAttempt]) -> None:
    if not attempts:
        return
    copy_rows(Attempt, ATTEMPT_COLUMNS, (attempt.to_line() for attempt in attempts))
    steps: dict[int, int] = defaultdict(int)
    tries: dict[int, int] = defaultdict(int)
    for attempt in attempts:
        tries[attempt.job.pk] += 1
        steps[attempt.job.pk] += attempt.number == 1
    for job_pk in sorted(tries):
        execute(
            "UPDATE switchboard_job SET attempts = attempts + %s,"
            " steps_attempted = steps_attempted + %s,"
            " state = CASE WHEN state IN ('RECEIVING', 'READY') THEN 'RUNNING' ELSE state END"
            " WHERE id = %s",
            [tries[job_pk], steps[job_pk], job_pk],
        )


def _insert_entries(units: list[Unit]) -> None:
    by_account: dict[int, list[Unit]] = defaultdict(list)
    for unit in units:
        by_account[unit.job.account_id].append(unit)
    for account_id in sorted(by_account):
        group = by_account[account_id]
        size = sum(len(unit.drafts) for unit in group)
        # From here to the commit the counter is held: numbers become visible in their order.
        (last_seq,) = query(
            "UPDATE switchboard_account SET last_seq = last_seq + %s WHERE id = %s"
            " RETURNING last_seq",
            [size, account_id],
        )[0]
        seq = last_seq - size
        lines: list[str] = []
        newest: dict[int, int] = {}
        ended: dict[int, tuple[str, int]] = {}
        for unit in group:
            for draft in unit.drafts:
                seq += 1
                lines.append(draft.to_line(account_id, seq, unit.job.pk, unit.job.job_ref))
            newest[unit.job.pk] = seq
            if unit.state is not None:
                ended[unit.job.pk] = (unit.state, seq)
        copy_rows(Entry, entries.COLUMNS, lines)
        _update_jobs(group, newest, ended)


def _update_jobs(
    group: list[Unit], newest: dict[int, int], ended: dict[int, tuple[str, int]]
) -> None:
    changes: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for unit in group:
        change = changes[unit.job.pk]
        change[0] += unit.confirmed
        change[1] += unit.done
        change[2] += unit.canceled
    for job_pk in sorted(changes):
        execute(
            "UPDATE switchboard_job SET chains_confirmed = chains_confirmed + %s,"
            " chains_done = chains_done + %s, chains_canceled = chains_canceled + %s,"
            " last_seq = %s WHERE id = %s",
            [*changes[job_pk], newest[job_pk], job_pk],
        )
    for job_pk, (state, seq) in ended.items():
        execute(
            "UPDATE switchboard_job SET state = %s, final_seq = %s WHERE id = %s",
            [state, seq, job_pk],
        )


def mark_ending(job_pk: int, reason: str) -> None:
    """Commit that the whole job ends early, before anything else follows from it."""
    execute("UPDATE switchboard_job SET ending = %s WHERE id = %s", [reason, job_pk])
