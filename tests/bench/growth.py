"""P12, growth: the time a row at several sizes, and the memory of every process at the largest.

Each size runs the subjects of P1, P3, P6, P7 and P9 (CSV), three times and more at the small ones;
the median counts. Flat is: at no size is a row dearer than the mean of all sizes by more than a
quarter. What a further row costs is said beside it: a start that costs the same whatever the size
makes the rows of a small message dear, and is no growth.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from statistics import mean, median

from tests.bench.collecting import Collection, as_before
from tests.bench.figures import Figure
from tests.bench.ground import Ground
from tests.bench.launching import Expansion
from tests.bench.measure import Run, own_process, peaks_of, with_children
from tests.bench.reporting import Reporting, Summing
from tests.bench.sending import Sending

FLAT = 1.25
Subject = tuple[Callable[[], Run], int]


def _expansion(ground: Ground, rows: int) -> Subject:
    both = Expansion(ground, rows)
    both.subject()
    return both.subject, both.rows


def _sending(ground: Ground, rows: int) -> Subject:
    both = Sending(ground, rows)
    both.subject()
    return both.subject, both.chains


def _collection(ground: Ground, rows: int) -> Subject:
    both = Collection(ground, rows)
    return both.subject, both.entries


def _summing(ground: Ground, rows: int) -> Subject:
    both = Summing(ground, rows)
    return both.subject, both.rows


def _reporting(ground: Ground, rows: int) -> Subject:
    both = Reporting(ground, rows)
    both.subject("csv")
    return partial(both.subject, "csv"), both.rows


SUBJECTS = {
    "P1": _expansion,
    "P3": _sending,
    "P6": _collection,
    "P7": _summing,
    "P9 CSV": _reporting,
}


def measure_growth(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    figures = []
    for name, prepare in SUBJECTS.items():
        if name == "P6":
            with as_before():
                figures.append(_grow(ground, name, prepare))
        else:
            figures.append(_grow(ground, name, prepare))
    return figures


def _grow(ground: Ground, name: str, prepare: Callable[[Ground, int], Subject]) -> Figure:
    points: list[tuple[int, float]] = []  # rows, seconds
    peaks: dict[str, float] = {}
    rows, seconds = 0, 0.0
    processes = own_process()
    if name == "P3":
        processes = with_children(ground.processes or {})
    for size in ground.size.growth:
        run, rows = prepare(ground, size)
        repeats = ground.size.rounds * (3 if size <= 10_000 else 1)
        with peaks_of(processes, peaks):
            seconds = median(run().seconds for _repeat in range(repeats))
        points.append((rows, seconds))
    a_row = [seconds / rows for rows, seconds in points]
    each = "; ".join(f"{rows:,}: {1e6 * seconds / rows:.1f}" for rows, seconds in points)
    further = "; ".join(
        f"{less:,} to {more:,}: {1e6 * (later - sooner) / (more - less):.1f}"
        for (less, sooner), (more, later) in pairwise(points)
    )
    return Figure(
        f"P12 {name}",
        f"growth of {name}: dearest row ÷ mean of the sizes",
        rows,
        seconds,
        mean(a_row) * rows,
        max(a_row) / mean(a_row),
        goal=FLAT,
        peak_mb=max(peaks.values(), default=0.0),
        note=f"µs a row by rows: {each}. Ratio: the dearest size ÷ the mean. µs a further row: "
        f"{further}. Memory goal 300 MB.",
    )
