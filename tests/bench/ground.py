"""What benchmarks stand on: how large they are, a district, messages, a quiet database.

A benchmark runs in a process of its own (`one`) with the environment that `__main__` made for it:
databases and a Redis of the bench, the switchboard's address, the pids of the product's processes.
Nothing is timed here.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from django.db import OperationalError, connection

from messenger import lifecycle
from messenger.audience.criteria import Criteria
from messenger.channels import registry
from messenger.models import Message, MessageDraft, Person, User
from tests.bench.district import audience, build_district

SUBJECT = "Early release on Friday"
WORDS = "On Friday all schools close at noon. Buses leave ten minutes after the bell."


@dataclass(frozen=True)
class Size:
    """How much is measured. `rows` deliveries, `families` in the district, `entries` of the log,
    `people` in the roster (its students are a third), `growth` the sizes of P12; `messages` in the
    log of P8 with `log_rows` deliveries."""

    name: str
    rows: int
    families: int
    entries: int
    people: int
    growth: tuple[int, ...]
    rounds: int = 3
    trials: int = 20
    messages: int = 100_000
    log_rows: int = 5_000_000


SIZES = {
    "small": Size("small", 100_000, 100_000, 250_000, 56_000, (1_000, 10_000, 100_000)),
    "full": Size("full", 1_000_000, 100_000, 250_000, 56_000, (1_000, 10_000, 100_000, 1_000_000)),
    # P8 alone in the size of its goal: half an hour to write, 25 GB.
    "log": Size(
        *("log", 100_000, 100_000, 250_000, 56_000, (1_000, 10_000, 100_000)),
        messages=1_000_000,
        log_rows=50_000_000,
    ),
    # For the test of the bench: everything once, nothing that means anything.
    "tiny": Size("tiny", 300, 60, 200, 150, (50, 300), 1, 2, 300, 900),
}


@dataclass(frozen=True)
class Ground:
    """What the parent process tells a benchmark. `processes` are those of the product, by name."""

    size: Size
    folder: Path
    endpoint: str = ""
    web: str = ""
    username: str = ""
    password: str = ""
    switchboard_user: str = ""
    switchboard_password: str = ""
    processes: dict[str, int] | None = None

    def to_environment(self) -> dict[str, str]:
        told = {**asdict(self), "size": self.size.name, "folder": str(self.folder)}
        return {"BENCH_GROUND": json.dumps(told)}

    @classmethod
    def from_environment(cls) -> "Ground":
        told = json.loads(os.environ["BENCH_GROUND"])
        return cls(**{**told, "size": SIZES[told["size"]], "folder": Path(told["folder"])})

    def with_processes(self, processes: dict[str, int]) -> "Ground":
        return replace(self, processes=processes)

    def ensure_district(self) -> None:
        """Makes the people unless an earlier benchmark of this run has."""
        if not Person.objects.exists():
            build_district(self.size.families)

    def schools_for(self, rows: int) -> tuple[int, ...]:
        """The schools whose families make about that many deliveries."""
        return audience(rows, self.size.families).school_ids

    def all_schools(self) -> tuple[int, ...]:
        return self.schools_for(self.size.families * 100)


def make_draft(school_ids: tuple[int, ...], tool: str = "general") -> MessageDraft:
    """What a sender has written: a voice message to the contacts of these schools' students."""
    return MessageDraft.objects.create(
        user=User.objects.get(username="admin"),
        tool=tool,
        content={
            "subject": SUBJECT,
            "voice_text": WORDS,
            "criteria": Criteria(school_ids=school_ids).to_json(),
            "modes": ["voice"],
        },
    )


def confirm(school_ids: tuple[int, ...]) -> Message:
    draft = make_draft(school_ids)
    return lifecycle.confirm(draft, draft.user)


@contextmanager
def without_channels() -> Iterator[None]:
    """Slices are expanded and nothing is made of them for the phone: P1 is the ledger alone."""
    registered, registry._channels[:] = registry._channels[:], []
    try:
        yield
    finally:
        registry._channels[:] = registered


def execute(sql: str, parameters: Any = None) -> int:
    """Runs statements; returns the rows of the last one."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return int(cursor.rowcount)


def ask(sql: str, parameters: Any = None) -> tuple[Any, ...]:
    """The only row of a query."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        row: tuple[Any, ...] = cursor.fetchone()
        return row


def empty(*tables: str) -> None:
    """Empties tables and writes everything that is dirty to disk, so that both sides begin alike:
    no dead rows, full pages in the log again."""
    for left in reversed(range(5)):
        try:
            execute(f"TRUNCATE {', '.join(tables)}")
            break
        except OperationalError:  # a deadlock with a tick of the workers, who lock in their order
            if not left:
                raise
    execute("CHECKPOINT")


def fill(table: str, source: str, order: str = "") -> None:
    """Puts the rows of `source` into an emptied table, as the limit does; not timed by itself."""
    execute(f"INSERT INTO {table} SELECT * FROM {source} {order and f'ORDER BY {order}'}")


def keep(name: str, query: str) -> None:
    """Keeps the rows of a query in a bare table `name`, that has no index and no log."""
    execute(f"DROP TABLE IF EXISTS {name}")
    execute(f"CREATE UNLOGGED TABLE {name} AS {query}")
    execute(f"ANALYZE {name}")


DELIVERY_SUM = """
    SELECT count(*), count(DISTINCT chain), count(*) FILTER (WHERE duplicate),
        sum(hashtext(concat_ws('|', id, recipient_id, student_id, chain, step, mode, device,
            address, extension, state, outcome, code))::numeric)
    FROM messenger_delivery"""
Measured = Callable[[Ground], list[Any]]
