"""What the phone keeps of people and may let go: chains, the content of batches, log entries.

When it may go is decided by `sentlog.retention`; here it goes, in small pieces, each a transaction
of its caller. Jobs and batches themselves stay: their numbers and times name nobody.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection

from voice.models import DialerBatch

# Pages (8 KiB) of the call log looked at in one piece: about 25,000 entries, a tenth of a second.
PAGES = 1_000


def purge_chains(message_id: int, after: int, rows: int) -> tuple[int, int | None]:
    """Removes the next chains of a message above `after`; see `messenger.ledger.purge`."""
    with connection.cursor() as cursor:
        cursor.execute(
            """WITH gone AS (DELETE FROM voice_callchain WHERE message_id = %(message)s
                AND number > %(after)s AND number <= (SELECT max(number) FROM (SELECT number
                    FROM voice_callchain WHERE message_id = %(message)s AND number > %(after)s
                    ORDER BY number LIMIT %(rows)s) piece) RETURNING number)
            SELECT count(*), max(number) FROM gone""",
            {"message": message_id, "after": after, "rows": rows},
        )
        gone, last = cursor.fetchone()
    return int(gone), last


def empty_batches(message_id: int) -> int:
    """Forgets what the batches of a message said: names, numbers, words. Returns how many did."""
    return (
        DialerBatch.objects.filter(job__message_id=message_id)
        .exclude(content="")
        .update(content="")
    )


def pages_of_log() -> int:
    """How many pages the call log fills."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_size('voice_logentry') / 8192")
        return int(cursor.fetchone()[0])


def purge_log(page: int, before: datetime, held: Sequence[str]) -> int:
    """Removes the entries older than `before` in the `PAGES` pages from `page`, but those of the
    job references `held`. By place, not by an index: nothing else asks for entries by their age,
    and every page of the log would pay for one."""
    with connection.cursor() as cursor:
        cursor.execute(
            """DELETE FROM voice_logentry WHERE ctid >= %(first)s::tid AND ctid < %(last)s::tid
                AND occurred_at < %(before)s AND job_ref <> ALL(%(held)s)""",
            {
                "first": f"({page},0)",
                "last": f"({page + PAGES},0)",
                "before": before,
                "held": list(held),
            },
        )
        return cursor.rowcount


def count_log(before: datetime, held: Sequence[str]) -> int:
    """How many entries `purge_log` would remove (reads the whole log)."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM voice_logentry
            WHERE occurred_at < %s AND job_ref <> ALL(%s)""",
            [before, list(held)],
        )
        return int(cursor.fetchone()[0])
