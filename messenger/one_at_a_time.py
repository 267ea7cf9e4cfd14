"""A lock that keeps two workers from doing the same piece of work at once.

It saves work, nothing more: correctness lies in row locks and unique keys. PostgreSQL gives the
lock back when the worker's connection dies, so that a killed worker blocks nobody; and it ends the
connection of a worker that sleeps (a frozen process, a machine that fell off the network), so that
such a one blocks nobody for longer than LOCK_IDLE_SECONDS.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from zlib import crc32

from django.conf import settings
from django.db import connection


@contextmanager
def only_one(work: str, number: int = 0, idle_seconds: float | None = None) -> Iterator[bool]:
    """Whether this process got the lock for (work, number); it is held until the block ends.

    The holder must not leave its connection idle for `idle_seconds` (LOCK_IDLE_SECONDS): it would
    lose the lock, and the connection with it (an OperationalError at the next statement).
    """
    idle_seconds = idle_seconds or settings.LOCK_IDLE_SECONDS
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


def keep_lock_while(is_waiting: Callable[[float], bool]) -> None:
    """Keeps the lock of a holder that waits for others and uses its connection for nothing else:
    asks `is_waiting` for so many seconds, says that it lives, and asks again."""
    while is_waiting(settings.LOCK_IDLE_SECONDS / 5):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
