"""A lock that keeps two workers from doing the same piece of work at once.

It saves work, nothing more: correctness lies in row locks and unique keys. PostgreSQL gives the
lock back when the worker's connection dies, so that a killed worker blocks nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

from django.db import connection


@contextmanager
def only_one(work: str, number: int = 0) -> Iterator[bool]:
    """Whether this process got the lock for (work, number); it is held until the block ends."""
    keys = [crc32(work.encode()) - 2**31, crc32(str(number).encode()) - 2**31]
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", keys)
        alone = bool(cursor.fetchone()[0])
    try:
        yield alone
    finally:
        if alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", keys)
