"""The temporary tables of an import and the few ways to talk to them.

Every name begins with `roster_`; they live in the session, outside any transaction, until
`drop_staging`. What is in them belongs to `read`, `check` and `diff`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from django.db import connection

SMALL = 1_000  # rows; below it any plan is a good one


class Source(Protocol):
    """What COPY reads from."""

    def read(self, size: int = ..., /) -> bytes: ...


# An import is a handful of statements over whole tables. Compiling them costs more than it saves;
# with the usual 4 MB every join of 150,000 rows would go through the disk; and the planner needs to
# know little of tables that are read once (the usual sample of 30,000 rows cost 1.5 s an import).
_SETTINGS = {
    "jit": "off",
    "work_mem": "64MB",
    "default_statistics_target": "10",
    "enable_nestloop": "off",
}


def begin_staging() -> None:
    """Set the session up for work in sets."""
    drop_staging()
    for name, setting in _SETTINGS.items():
        run(f"SET {name} = '{setting}'")


def drop_staging() -> None:
    """Remove every table of an import and put the session back."""
    names = [name for (name,) in rows(_TABLES)]
    if names:
        run(f"DROP TABLE {', '.join(names)}")
    for name in _SETTINGS:
        run(f"RESET {name}")


_TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = pg_my_temp_schema() AND relkind = 'r' AND relname LIKE 'roster\\_%'
"""


def run(sql: str, params: Any = None) -> int:
    """Execute one statement; the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def rows(sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    """The rows of a small result."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return list(cursor.fetchall())


def value(sql: str, params: Any = None) -> Any:
    """The one value of a query."""
    return rows(sql, params)[0][0]


def make(table: str, query: str, params: Any = None, *, key: str = "") -> int:
    """Create a staging table from a query and, if it is of any size, put an index on `key` and tell
    the planner about it; the number of its rows."""
    count = run(f"CREATE TEMPORARY TABLE {table} AS {query}", params)
    if count > SMALL:
        if key:
            run(f"CREATE INDEX ON {table} ({key})")
        run(f"ANALYZE {table}")
    return count


def copy_in(statement: str, source: Source) -> None:
    """COPY ... FROM STDIN."""
    with connection.cursor() as cursor:
        cursor.copy_expert(statement, source, 1 << 18)


def copy_out(query: str, sink: Any) -> None:
    """COPY (query) TO STDOUT."""
    with connection.cursor() as cursor:
        cursor.copy_expert(f"COPY ({query}) TO STDOUT", sink, 1 << 18)


class Stream:
    """Blocks of bytes as something that COPY can read."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks: Iterator[bytes] = iter(blocks)
        self._rest = memoryview(b"")

    def read(self, size: int = 1 << 18, /) -> bytes:
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        piece, self._rest = self._rest[:size], self._rest[size:]
        return bytes(piece)
