"""P10, the roster: a district's OneRoster files into an empty database, and the same files again.

The limit is COPY of the same files into bare tables: text columns, no key, no index. This benchmark
empties the tables of people, before and after; the next one builds its district again.
"""

import csv
import shutil
from pathlib import Path

from django.db import connection, transaction

from messenger.models import RosterImport
from messenger.roster.demo_district import DistrictSize, write_district
from messenger.roster.importer import import_roster
from messenger.roster.layout import LAYOUTS
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, execute
from tests.bench.measure import Run, alternate, stopwatch

# Whatever a roster fills, children first.
TABLES = (
    *(
        "messenger_contactchange",
        "messenger_contactpreference",
        "messenger_contactpoint",
        "messenger_householdmembership",
    ),
    *("messenger_household", "messenger_relationship", "messenger_classenrollment"),
    *("messenger_enrollment", "messenger_staffassignment", "messenger_schoolclass"),
    *("messenger_calendar", "messenger_message_schools", "messenger_person", "messenger_school"),
)


def empty_district() -> None:
    """Takes all people and schools out of the database of the bench, and leaves its users.

    Not by TRUNCATE, which would take along every table that refers to a person, users first; and
    without the checks of foreign keys, a million of which take longer than the rows.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE messenger_user SET person_id = NULL")
        cursor.execute("DELETE FROM messenger_roleassignment WHERE school_id IS NOT NULL")
        cursor.execute("DELETE FROM voice_customeraccount WHERE school_id IS NOT NULL")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in TABLES:
            cursor.execute(f"DELETE FROM {table}")
    # No dead rows, no half-empty indexes: as a new database is.
    execute(f"VACUUM FULL {', '.join(TABLES)}")
    execute("CHECKPOINT")


class Importing:
    """Both sides of P10 for a district of `people` people."""

    def __init__(self, ground: Ground, people: int) -> None:
        self.folder = ground.folder / "district"
        self.size: DistrictSize = write_district(self.folder, size=people)
        self.files = [
            self.folder / f"{name}.csv"
            for name in LAYOUTS
            if (self.folder / f"{name}.csv").exists()
        ]
        self.rows = 0

    def subject(self) -> Run:
        empty_district()
        return self.again()

    def again(self) -> Run:
        """Imports the files over what is there."""
        execute("CHECKPOINT")
        with stopwatch() as watch:
            run = import_roster(self.folder)
        assert run.state == RosterImport.State.DONE, run.refusal
        read = {name: rows for name, rows in run.counts["rows"].items() if rows}
        self.rows = sum(read.values())
        return Run(watch.seconds, (read, _people("messenger_person", "sourced_id")))

    def again_unchanged(self) -> Run:
        """The same files once more: nothing may be added, changed or removed."""
        run = self.again()
        counts = RosterImport.objects.latest("pk").counts
        for kind, numbers in counts.items():
            if isinstance(numbers, dict) and "unchanged" in numbers:
                moved = [numbers[name] for name in ("added", "changed", "removed")]
                assert not any(moved), (kind, numbers)
        return run

    def limit(self) -> Run:
        """COPY of the same files; the tables are made before."""
        self._make_tables()
        with stopwatch() as watch, transaction.atomic(), connection.cursor() as cursor:
            for path in self.files:
                with path.open("rb") as file:
                    cursor.copy_expert(
                        f"COPY {_bare(path)} FROM STDIN (FORMAT csv, HEADER)", file, 1 << 18
                    )
        read = {path.stem: ask(f"SELECT count(*) FROM {_bare(path)}")[0] for path in self.files}
        read = {name: rows for name, rows in read.items() if rows}
        return Run(watch.seconds, (read, _people("bench_users", '"sourcedId"')))

    def _make_tables(self) -> None:
        for path in self.files:
            with path.open(encoding="utf-8", newline="") as file:
                header = next(csv.reader(file))
            columns = ", ".join(f'"{column}" text' for column in header)
            execute(f"DROP TABLE IF EXISTS {_bare(path)}")
            execute(f"CREATE TABLE {_bare(path)} ({columns})")
        execute("CHECKPOINT")

    def clear(self) -> None:
        """Leaves nothing: later benchmarks stand on a district of their own."""
        for path in self.files:
            execute(f"DROP TABLE IF EXISTS {_bare(path)}")
        empty_district()
        RosterImport.objects.all().delete()
        shutil.rmtree(self.folder)


def _bare(path: Path) -> str:
    return f"bench_{path.stem.lower()}"


def _people(table: str, column: str) -> tuple[int, int]:
    """How many people there are and a sum over their ids in the roster."""
    number, total = ask(f"SELECT count(*), sum(hashtext({column})::numeric) FROM {table}")
    return int(number), int(total)


def measure_import(ground: Ground) -> list[Figure]:
    both = Importing(ground, ground.size.people)
    try:
        first = alternate(both.subject, both.limit, rounds=ground.size.rounds)
        again = alternate(both.again_unchanged, both.limit, rounds=ground.size.rounds)
    finally:
        both.clear()
    size = both.size
    return [
        Figure(
            "P10",
            "import a roster into an empty database",
            both.rows,
            first.seconds,
            first.limit_seconds,
            first.ratio,
            goal=8.0,
            peak_mb=first.peak_mb,
            note=f"{size.students:,} students, {size.guardians:,} guardians, "
            f"{size.enrollments:,} enrollments; rows of all files. Limit: COPY of the same files "
            "into bare tables. Ours also checks every row, resolves references, finds households "
            "and families, reads phone numbers, compares with what is there and writes tables with "
            "keys and indexes, in one transaction. Memory goal 1,024 MB.",
        ),
        Figure(
            "P10 again",
            "import the same roster again",
            both.rows,
            again.seconds,
            again.limit_seconds,
            again.ratio,
            goal=4.0,
            peak_mb=again.peak_mb,
            note="Nothing was added, changed or removed. Limit: the same COPY.",
        ),
    ]
