"""How time and memory are taken: a stopwatch, taking turns, medians, high-water marks of memory.

What is measured never lives here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

MB = 1024.0  # /proc counts in kB


class DifferentWork(AssertionError):
    """Subject and limit did not do the same: their times say nothing about each other."""


@dataclass
class Run:
    """One run of one side: its seconds, and what it did (counts, checksums)."""

    seconds: float
    evidence: Any = None


@dataclass
class Stopwatch:
    seconds: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Times a block by the wall clock."""
    watch = Stopwatch()
    began = perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = perf_counter() - began


@dataclass
class Compared:
    """Medians of both sides, in seconds, and the highest memory of the watched processes, in MB by
    their name."""

    seconds: float
    limit_seconds: float
    peaks: dict[str, float] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.seconds / self.limit_seconds

    @property
    def peak_mb(self) -> float:
        return max(self.peaks.values(), default=0.0)


def alternate(
    subject: Callable[[], Run],
    limit: Callable[[], Run],
    *,
    rounds: int = 3,
    processes: Callable[[], dict[str, int]] | None = None,
) -> Compared:
    """Runs both sides in turn and compares their medians.

    `processes` names the processes (name → pid) whose memory counts while the subject runs; without
    it that of this process. Raises DifferentWork when a round's evidence differs.
    """
    watched = processes or own_process
    ours, theirs = [], []
    peaks: dict[str, float] = {}
    for _round in range(rounds):
        with peaks_of(watched(), peaks):
            first = subject()
        second = limit()
        if first.evidence != second.evidence:
            raise DifferentWork(f"subject {first.evidence!r}, limit {second.evidence!r}")
        ours.append(first.seconds)
        theirs.append(second.seconds)
    return Compared(median(ours), median(theirs), peaks)


@contextmanager
def peaks_of(processes: dict[str, int], peaks: dict[str, float]) -> Iterator[None]:
    """Raises `peaks` to the memory that each process needs at most while the block runs."""
    for pid in processes.values():
        _reset_peak(pid)
    yield
    for name, pid in processes.items():
        peaks[name] = max(peaks.get(name, 0.0), _read_peak(pid))


def own_process() -> dict[str, int]:
    return {"bench": int(Path("/proc/self").resolve().name)}


def with_children(pids: dict[str, int]) -> dict[str, int]:
    """The same processes and their children (Celery's and gunicorn's workers), numbered."""
    found = {}
    for name, pid in pids.items():
        found[name] = pid
        for number, child in enumerate(_children(pid), start=1):
            found[f"{name} {number}"] = child
    return found


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def _reset_peak(pid: int) -> None:
    """From now on the high-water mark counts anew (5: see proc(5), clear_refs)."""
    path = Path(f"/proc/{pid}/clear_refs")
    if path.exists():
        path.write_text("5")


def _read_peak(pid: int) -> float:
    path = Path(f"/proc/{pid}/status")
    if path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / MB
    return 0.0


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]
