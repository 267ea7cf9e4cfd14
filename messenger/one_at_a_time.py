"""A lock that keeps two workers from doing the same piece of work at once.

It saves work, nothing more: correctness lies in row locks and unique keys. PostgreSQL gives the
lock back when the worker's connection dies, so that a killed worker blocks nobody; and it ends the
connection of a worker that sleeps (a frozen process, a machine that fell off the network), so that
such a one blocks nobody for longer than LOCK_IDLE_SECONDS.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from django.conf import settings
from django.db import connection

# A holder whose connection would rest for longer says so often that it lives: `keep_lock`.
KEEP_LOCK_SECONDS = settings.LOCK_IDLE_SECONDS / 5


@contextmanager
def only_one(
    work: str, number: int = 0, idle_seconds: float = settings.LOCK_IDLE_SECONDS
) -> Iterator[bool]:
    """Whether this process got the lock for (work, number); it is held until the block ends.

    The holder must not leave its connection idle for `idle_seconds`: it would lose the lock, and
    the connection with it (an OperationalError at the next statement).
    """
    keys = [crc32(work.encode()) - 2**31, crc32(str(number).encode()) - 2**31]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_lock(%s, %s), current_setting('idle_session_timeout')", keys
        )
        alone, patience = cursor.fetchone()
        if alone:
            cursor.execute(
                "SELECT set_config('idle_session_timeout', %s, false)",
                [f"{idle_seconds * 1000:.0f}"],
            )
    try:
        yield bool(alone)
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_unlock(%s, %s), set_config('idle_session_timeout', %s,"
                    " false)",
                    [*keys, patience],
                )


def keep_lock() -> None:
    """The holder lives: its connection is used, and its patience begins anew."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
