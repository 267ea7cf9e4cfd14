"""How long the call log is kept: what is older is first declared gone, and removed a sweep later.

A reader that has just been told the old bound may still be reading: were its rows removed in the
same moment, its page would begin later than it asked for, without a word. So a sweep removes what
the sweep before it has declared EXPIRED, and then moves the bound on. Entries of a job that is not
finished stay whatever their age: its chains are rebuilt from them. Jobs and batches stay for good,
because their keys never expire (contract 7.5).
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError

from dialer_adapters.switchboard.database import connection, execute, query

log = logging.getLogger(__name__)

RETENTION_DAYS = 30  # contract 8.2, S9: no less
SWEEP_SECONDS = 3600.0
CHUNK = 10_000  # rows a statement: none holds its locks for long


def sweep(cutoff: datetime) -> int:
    """Remove what was declared gone before, and declare gone what happened before `cutoff` (aware).
    Returns how many entries were removed."""
    removed = 0
    for account_id, oldest_seq in query("SELECT id, oldest_seq FROM switchboard_account"):
        removed += _remove(account_id, oldest_seq)
        bound = _find_bound(account_id, oldest_seq, cutoff)
        if bound > oldest_seq:
            execute(
                "UPDATE switchboard_account SET oldest_seq = %s WHERE id = %s AND oldest_seq < %s",
                [bound, account_id, bound],
            )
    return removed


def _remove(account_id: int, below: int) -> int:
    removed = 0
    while True:
        rows = query(
            "DELETE FROM switchboard_entry WHERE account_id = %s AND seq IN (SELECT seq FROM"
            " switchboard_entry WHERE account_id = %s AND seq < %s ORDER BY seq LIMIT %s)"
            " RETURNING 1",
            [account_id, account_id, below, CHUNK],
        )
        removed += len(rows)
        if len(rows) < CHUNK:
            return removed


def _find_bound(account_id: int, oldest_seq: int, cutoff: datetime) -> int:
    """The first entry that must stay: the first that is young enough, or of an open job."""
    bound = oldest_seq
    while True:
        # Entries follow commit order, not time: a chunk goes only as far as all of it is old.
        newest, first_young = query(
            "SELECT max(seq), min(seq) FILTER (WHERE occurred_at >= %s) FROM (SELECT seq,"
            " occurred_at FROM switchboard_entry WHERE account_id = %s AND seq >= %s"
            " ORDER BY seq LIMIT %s) AS chunk",
            [cutoff, account_id, bound, CHUNK],
        )[0]
        if newest is None:
            break
        if first_young is not None:
            bound = first_young
            break
        bound = newest + 1
    ((of_open_jobs,),) = query(
        "SELECT min(first.seq) FROM switchboard_job j CROSS JOIN LATERAL (SELECT e.seq FROM"
        " switchboard_entry e WHERE e.job_id = j.id ORDER BY e.seq LIMIT 1) AS first"
        " WHERE j.account_id = %s AND j.final_seq IS NULL",
        [account_id],
    )
    return bound if of_open_jobs is None else min(bound, of_open_jobs)


class Housekeeper(threading.Thread):
    """Sweeps every hour while the switchboard runs. A database that is away is tried again."""

    def __init__(self, days: int) -> None:
        super().__init__(name="housekeeping", daemon=True)
        self.kept = timedelta(days=days)
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                removed = sweep(datetime.now(UTC) - self.kept)
            except DatabaseError:
                log.exception("The log could not be swept; it is tried again in an hour")
            else:
                if removed:
                    log.info("Removed %d entries from the call log", removed)
            connection().close()
            self._stopping.wait(SWEEP_SECONDS)

    def stop(self) -> None:
        self._stopping.set()
