"""One round of the dialing thread: hear results, look after each job's time, choose, commit, place.

A job ends early by a cancel, by the end of its window, by never being sealed or by a new epoch.
Then only steps that have been called, or must be told apart from the rest, get an entry of their
own; the JOB_RESULT closes all others (ruling 21).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from dialer_adapters.chain_engine import TEXT_QUEUED, WINDOW_ENDED
from dialer_adapters.switchboard import entries
from dialer_adapters.switchboard.calling import BATCHES_A_ROUND, CallingFloor
from dialer_adapters.switchboard.late_texts import LateText, read_batch, report_late
from dialer_adapters.switchboard.lines import Lines, Result
from dialer_adapters.switchboard.loading import (
    JobRow,
    apply_cancels,
    open_job,
    read_job_row,
    refresh_job,
)
from dialer_adapters.switchboard.openjob import Ending, OpenChain, OpenJob
from dialer_adapters.switchboard.pools import LinePools
from dialer_adapters.switchboard.recording import Unit, mark_ending
from dialer_adapters.switchboard.reporting import close_job, needs_entry, report_attempt

NEVER_SEALED_AFTER = 24 * 3600.0


class Rounds(CallingFloor):
    """Rounds over all open jobs. `epoch` is the log's; jobs of another one are closed. `late` are
    texts of which a later word is expected although nothing else of their chain is in memory."""

    def __init__(self, lines: Lines, pools: LinePools) -> None:
        super().__init__(lines, pools)
        self.epoch = ""
        self.late: dict[str, LateText] = {}
        self.late_batches: deque[int] = deque()  # still to be looked through for such texts

    def play(self, news: Iterable[int], now: float) -> float | None:
        """One round at `now`, which begins with the jobs in `news`. Returns when the next one is
        due: `now` when work is left, None when nothing is under way. The caller holds the gate."""
        self._loads_left = BATCHES_A_ROUND
        self._worked = False
        for job_pk in news:
            self._take_news(job_pk, now)
        for result in self.lines.collect(now):
            self._hear(result)
        for job in list(self.jobs.values()):
            self._look_after(job, now)
        self._choose(now)
        self._commit(now)
        self._revisit_texts(now)  # after the commit: what this round heard must be in the log
        if self._worked or self._loads_left <= 0 or self.late_batches:
            return now
        moments = [self.lines.next_at()]
        moments += [now if job.sweeps else job.wake_at(now) for job in self.jobs.values()]
        return min((moment for moment in moments if moment is not None), default=None)

    def _commit(self, now: float) -> None:
        """Make this round durable, then place what it starts."""
        starts, self.starts = self.starts, []
        self._write_units([start.attempt for start in starts])
        for start in starts:
            place = self.lines.text if start.text else self.lines.call
            place(start.placement, now)

    # ------------------------------------------------------------------------------------- news

    def _take_news(self, job_pk: int, now: float) -> None:
        row = read_job_row(job_pk)
        if row is None:
            return
        if row.body is None:
            self._end_tombstone(row, now)
            return
        known = self.jobs.get(job_pk)
        job = known or open_job(row, self.lines.speed)
        job.foreign = row.epoch != self.epoch
        looks = refresh_job(job, row, first=known is None)
        self.jobs[job_pk] = job
        for batch in looks:
            for chain in list(batch.open.values()):
                self._settle(job, chain, apply_cancels(job, chain), now)
            if batch not in job.sweeps:
                job.sweeps.append(batch)

    def _end_tombstone(self, row: JobRow, now: float) -> None:
        """A job that was canceled before it was known has no chains: it ends at once."""
        unit = Unit(row.key, row.urgency)
        close_job(unit, entries.CANCELLED, left=0, expired=False, now=now)
        self.units.append(unit)

    # ---------------------------------------------------------------------------------- results

    def _hear(self, result: Result) -> None:
        flight = self.flights.get(result.attempt_id)
        if flight is None:
            self._hear_late(result)
            return
        job, chain = flight.job, flight.chain
        if not flight.revision:
            job.in_flight -= 1
        if flight.pool is not None:
            self.pools.release(flight.pool)
            job.lines_used -= 1
        flight.revision += 1
        settled = chain.chain.is_final(flight.step)
        closings = chain.chain.report(flight.step, result.code, result.at, result.confirmed)
        if job.ending is not None:
            chain.chain.release_queued_texts(job.ending.reason)  # this entry will call it final
        if not settled and result.code != TEXT_QUEUED:
            chain.in_flight -= 1
        if result.last:
            del self.flights[result.attempt_id]
        unit = job.unit()
        unit.drafts.append(report_attempt(flight, result))
        if settled:
            # A later word about a text. Its chain may have left the memory, and have come back as
            # another object: this one decides nothing any more.
            self._add_unit(chain, unit)
        else:
            self._settle(job, chain, closings, result.at, unit)

    def _hear_late(self, result: Result) -> None:
        late = self.late.get(result.attempt_id)
        if late is None:
            return
        if result.last:
            del self.late[result.attempt_id]
        self._changed.add(late.batch_id)
        self.units.append(report_late(late, result))

    def _revisit_texts(self, now: float) -> None:
        """After a restart: expect later words about texts again, some batches a round."""
        while self.late_batches and self._loads_left > 0:
            self._loads_left -= 1
            for late in read_batch(self.late_batches.popleft()):
                known = late.attempt_id in self.flights or late.attempt_id in self.late
                if not known and self.lines.text(late.placement(), now, after=late.code):
                    self.late[late.attempt_id] = late

    # ----------------------------------------------------------------------------- job's own time

    def _look_after(self, job: OpenJob, now: float) -> None:
        if job.ending is None:
            reason = self._why_it_ends(job, now)
            if reason is not None:
                self._begin_ending(job, reason, now)
        if job.ending is not None:
            self._continue_ending(job, job.ending, now)
            return
        while job.sweeps and self._loads_left > 0:
            # Loading a batch settles what is overdue in it; its chains stay where they were.
            for _ in self._load(job, job.sweeps.popleft(), now):
                pass
        done = job.sealed and job.closed_chains >= job.stored_chains and not job.in_flight
        if done and not job.sweeps:
            self._finish(job, entries.COMPLETED, now)

    def _why_it_ends(self, job: OpenJob, now: float) -> str | None:
        if job.foreign:
            return entries.EPOCH_CHANGED
        if job.cancel_requested:
            return entries.CANCELLED
        if job.window_end is not None and now >= job.window_end:
            return WINDOW_ENDED if job.sealed else entries.NEVER_SEALED
        if not job.sealed and now - job.created_at.timestamp() >= NEVER_SEALED_AFTER:
            return entries.NEVER_SEALED
        return None

    def _begin_ending(self, job: OpenJob, reason: str, now: float) -> None:
        mark_ending(job.key.pk, reason)
        hours_may_hold = job.policy.local_hours is not None and job.window_end is not None
        batches = [
            batch
            for batch in job.batches.values()
            if batch.touched or batch.refused or batch in job.sweeps or hours_may_hold
        ]
        job.sweeps.clear()
        job.drop_queues()
        job.ending = Ending(reason, deque(batches))
        for chain in job.open_chains():
            self._end_chain(job, chain, job.ending, now)

    def _continue_ending(self, job: OpenJob, ending: Ending, now: float) -> None:
        """Look through the batches for steps that need an entry of their own, then finish, once the
        calls under way have ended."""
        while ending.batches and self._loads_left > 0:
            for chain in self._load(job, ending.batches.popleft(), now):
                self._end_chain(job, chain, ending, now)
        if not ending.batches and not job.in_flight:
            self._finish(job, ending.reason, now)

    def _end_chain(self, job: OpenJob, chain: OpenChain, ending: Ending, now: float) -> None:
        engine = chain.chain
        if self._expired(job, ending.reason, now):
            assert job.window_end is not None
            closings = engine.expire(job.window_end)
        else:
            closings = engine.release_queued_texts(ending.reason) + engine.cancel(ending.reason)
        wanted = [closing for closing in closings if needs_entry(chain, closing)]
        self._settle(job, chain, wanted, now)

    def _finish(self, job: OpenJob, reason: str, now: float) -> None:
        unit = job.unit()
        left = job.stored_chains - job.closed_chains
        close_job(unit, reason, left, self._expired(job, reason, now), now)
        self.units.append(unit)
        del self.jobs[job.key.pk]

    def _expired(self, job: OpenJob, reason: str, now: float) -> bool:
        """Whether the job ends because its window did."""
        over = job.window_end is not None and now >= job.window_end
        return over and reason in (WINDOW_ENDED, entries.NEVER_SEALED)
