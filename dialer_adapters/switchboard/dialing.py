"""The dialing thread: it claims the database, plays rounds, and begins anew when the database
fails.

Whatever it knows can be rebuilt from the database: after any database error it forgets everything
and begins as after a restart.

The gate is held during a round. Who must be sure that nothing starts behind his back (CancelJob,
SetTextConsent) commits while holding it and tells the thread before letting go: a round reads its
news before it chooses.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from django.db import DatabaseError

from dialer_adapters.switchboard.database import connection, query
from dialer_adapters.switchboard.late_texts import list_batches
from dialer_adapters.switchboard.lines import Lines
from dialer_adapters.switchboard.loading import list_open_jobs
from dialer_adapters.switchboard.pools import LinePools
from dialer_adapters.switchboard.rounds import Rounds

log = logging.getLogger(__name__)

# One database holds one switchboard: two would dial everything twice.
CLAIM = 0x5C4001
CLAIM_SECONDS = 30.0
ROUND_SECONDS = 0.01  # the shortest pause between rounds, so that many calls share a commit
IDLE_SECONDS = 1.0
LOOK_AROUND_SECONDS = 5.0  # jobs of which no notice came are found this often


class DatabaseTaken(Exception):
    """Another switchboard runs on this database."""


class Dialer(Rounds):
    """Drives open jobs over lines. `step` is one round; `run` repeats it until `stop`."""

    def __init__(
        self,
        lines: Lines,
        pools: LinePools,
        clock: Callable[[], float] = time.time,
        claim_seconds: float = CLAIM_SECONDS,
    ) -> None:
        super().__init__(lines, pools)
        self.clock = clock
        self.claim_seconds = claim_seconds
        self.gate = threading.RLock()
        self.ready = threading.Event()
        """Set once the database is claimed and what is stored is known."""
        self._news: set[int] = set()
        self._news_lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = threading.Event()

    def read_clock(self) -> datetime:
        """Now, by the clock that rounds are played by."""
        return datetime.fromtimestamp(self.clock(), UTC)

    # ------------------------------------------------------------------------ from other threads

    def notice(self, job_pk: int) -> None:
        """Something about this job was committed: a batch, its seal, a cancel."""
        with self._news_lock:
            self._news.add(job_pk)
        self._bell.set()

    def count_in_progress(
        self, job_pk: int, refs: Collection[str] = (), numbers: Collection[str] = ()
    ) -> int:
        """The attempts of a job under way, or those of the named chains and numbers. Call it while
        holding the gate."""
        return sum(
            flight.job.key.pk == job_pk
            and (flight.pool is not None or not flight.revision)
            and (
                not (refs or numbers)
                or flight.chain.spec.ref in refs
                or flight.chain.step(flight.step).number in numbers
            )
            for flight in self.flights.values()
        )

    def forget_job(self, job_pk: int) -> None:
        """The job was deleted: its calls are nobody's. Call it while holding the gate."""
        self.jobs.pop(job_pk, None)
        gone = {key for key, held in self.flights.items() if held.job.key.pk == job_pk}
        for attempt_id in gone:
            flight = self.flights.pop(attempt_id)
            if flight.pool is not None:
                self.pools.release(flight.pool)
        late = {key for key, held in self.late.items() if held.job.pk == job_pk}
        for attempt_id in late:
            del self.late[attempt_id]
        self.lines.forget(gone | late)

    def change_epoch(self, epoch: str) -> None:
        """History may have been lost: close what was accepted before. Call it while holding the
        gate, after the new epoch was committed."""
        self.epoch = epoch
        for job_pk in self.jobs:
            self.notice(job_pk)

    def stop(self) -> None:
        """End `run` after its round."""
        self._stopping.set()
        self._bell.set()

    # -------------------------------------------------------------------------------- the thread

    def run(self) -> None:
        """Drive jobs until `stop`. Survives a database that comes and goes; raises DatabaseTaken
        when another switchboard holds this one."""
        claimed = False
        look_around_at = 0.0
        while not self._stopping.is_set():
            wake: float | None = None
            try:
                if not claimed:
                    self.claim_database()
                    self.recover()
                    claimed = True
                    self.ready.set()
                if self.clock() >= look_around_at:
                    self._look_around()
                    look_around_at = self.clock() + LOOK_AROUND_SECONDS
                wake = self.step(self.clock())
            except DatabaseError:
                log.exception("The database failed; starting over from what is stored")
                connection().close()
                claimed = False
            pause = IDLE_SECONDS if wake is None else min(IDLE_SECONDS, wake - self.clock())
            self._stopping.wait(ROUND_SECONDS)
            self._bell.wait(max(0.0, pause - ROUND_SECONDS))
            self._bell.clear()
        connection().close()

    def claim_database(self) -> None:
        """Make sure that this is the only switchboard on the database, as long as the connection
        lives. A predecessor that was killed lets go within moments. Raises DatabaseTaken."""
        deadline = time.monotonic() + self.claim_seconds
        while not query("SELECT pg_try_advisory_lock(%s)", [CLAIM])[0][0]:
            if time.monotonic() > deadline or self._stopping.wait(0.1):
                raise DatabaseTaken("another switchboard runs on this database")

    def recover(self) -> None:
        """Forget everything and begin from what is stored: what was under way is found again as
        attempts without an entry, and reported as -5."""
        with self.gate:
            self.lines.forget({*self.flights, *self.late})
            self.flights.clear()
            self.late.clear()
            self.jobs.clear()
            self.pools.release_all()
            self.units, self.starts = [], []
            self.epoch = query("SELECT epoch FROM switchboard_exchange")[0][0]
            self.opted_out.clear()
            for account_id, number in query(
                "SELECT account_id, phone_number FROM switchboard_consent"
                " WHERE state = 'OPTED_OUT' OR stopped"
            ):
                self.opted_out[account_id].add(number)
            self.late_batches = deque(list_batches(self.read_clock()))
            for job_pk in list_open_jobs():
                self.notice(job_pk)

    def step(self, now: float) -> float | None:
        """One round at `now`; when the next is due (see `Rounds.play`)."""
        with self.gate:
            with self._news_lock:
                news, self._news = sorted(self._news), set()
            return self.play(news, now)

    def _look_around(self) -> None:
        """Find jobs and batches whose notice was lost: committed by a process that was killed."""
        for job_pk in list_open_jobs():
            known = self.jobs.get(job_pk)
            if known is None or not known.sealed:
                self.notice(job_pk)
