"""Which row of the specification is proven by which test.

A test that proves a row carries ``@pytest.mark.spec("A3-04")``. As a pytest plugin this refuses
rows that spec_rows.csv does not know, in every run; as a command (`make spec`) it lists all rows
with their tests. Whether a test really proves its row is for its reader to judge.
"""

import contextlib
import csv
import io
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROWS_FILE = Path(__file__).with_name("spec_rows.csv")


def read_rows() -> dict[str, str]:
    """Every row's id and title, in the order of the specification."""
    with ROWS_FILE.open(newline="", encoding="utf-8") as handle:
        return {line["row"]: line["title"] for line in csv.DictReader(handle)}


def rows_of(item: pytest.Item) -> list[str]:
    """The rows that the marks of a test name."""
    return [row for mark in item.iter_markers("spec") for row in mark.args]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse the run when a mark names a row that does not exist (or no row at all)."""
    known = read_rows()
    wrong = []
    for item in items:
        for mark in item.iter_markers("spec"):
            unknown = [row for row in mark.args if row not in known]
            if unknown or not mark.args:
                named = ", ".join(map(repr, unknown)) or "no row"
                wrong.append(f"{item.nodeid} names {named}")
    if wrong:
        raise pytest.UsageError("unknown rows of the specification:\n" + "\n".join(wrong))


class Collector:
    """Gathers the tests of each row from one collection, before any are deselected."""

    def __init__(self) -> None:
        self.proofs: dict[str, list[str]] = defaultdict(list)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            name = item.nodeid.partition("[")[0]
            for row in rows_of(item):
                if name not in self.proofs[row]:
                    self.proofs[row].append(name)


def main() -> int:
    """Print each row with the tests that prove it, and how many rows are proven."""
    collector = Collector()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = pytest.main(["--collect-only", "-qq"], plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        print(said.getvalue())
        return int(code)
    rows = read_rows()
    for row, title in rows.items():
        proofs = collector.proofs.get(row, [])
        print(f"{row:7} {'proven' if proofs else '  -   '}  {title}")
        for name in proofs:
            print(f"{'':16} {name}")
    proven = sum(row in collector.proofs for row in rows)
    print(f"{proven} of {len(rows)} rows proven")
    return 0


if __name__ == "__main__":
    sys.exit(main())
