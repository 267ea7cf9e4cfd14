"""The figures as files: docs/benchmarks.json for machines, docs/benchmarks.md for people.

Only what was measured in this run is written. Why a figure is what it is stands in `LEARNED`,
which is text and holds no figure of another run.
"""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One row: seconds beside the limit's, the ratio or (without one) the goal in seconds.

    `ratio` is seconds ÷ limit_seconds unless `note` says what else; `better` is "lower" or
    "higher"; `peak_mb` is the largest process of the subject.
    """

    id: str
    work: str
    rows: int
    seconds: float
    limit_seconds: float | None = None
    ratio: float | None = None
    goal: float | None = None
    goal_seconds: float | None = None
    better: str = "lower"
    peak_mb: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool | None:
        """Whether the goals hold; None when there is none."""
        verdicts = []
        if self.goal is not None and self.ratio is not None:
            within = self.ratio <= self.goal if self.better == "lower" else self.ratio >= self.goal
            verdicts.append(within)
        if self.goal_seconds is not None:
            verdicts.append(self.seconds <= self.goal_seconds)
        return all(verdicts) if verdicts else None

    def rounded(self) -> "Figure":
        def short(value: float | None) -> float | None:
            return None if value is None else float(f"{value:.4g}")

        return replace(
            self,
            seconds=float(f"{self.seconds:.4g}"),
            limit_seconds=short(self.limit_seconds),
            ratio=short(self.ratio),
            peak_mb=None if self.peak_mb is None else round(self.peak_mb),
        )


def figure_from_json(row: dict[str, Any]) -> Figure:
    return Figure(**{name: value for name, value in row.items() if name != "holds"})


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    memory = 0
    with open("/proc/meminfo") as lines:
        for line in lines:
            if line.startswith("MemTotal:"):
                memory = round(int(line.split()[1]) / 1024 / 1024)
    return {
        "cores": os.cpu_count(),
        "memory_gb": memory,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_before": [round(load, 1) for load in os.getloadavg()],
    }


def write_figures(
    figures: Iterable[Figure], about: dict[str, Any], folder: Path, only: list[str]
) -> None:
    """Writes both files into `folder`; with `only`, what an earlier run measured is not kept."""
    rows = [figure.rounded() for figure in figures]
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "only": only,
        "figures": [{**asdict(row), "holds": row.holds} for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps(document, indent=1) + "\n")
    (folder / "benchmarks.md").write_text(_page(rows, document))


def _page(rows: list[Figure], document: dict[str, Any]) -> str:
    place = document["machine"]
    lines = [
        "# Benchmarks",
        "",
        f"Measured by `make bench` on {document['date'][:10]}: {place['cores']} cores, "
        f"{place['memory_gb']} GB, {place['system']}, Python {place['python']}, "
        f"{document['postgresql']}; scale {document['scale']}; load before the run "
        f"{place['load_before'][0]}.",
        "",
        "Each figure stands beside a limit measured in the same run: the least that the same rows "
        "cost on this machine without any of the product's work. Figures of different runs are "
        "not comparable, ratios are. “Goal” is the ratio (or the seconds) that the design sets.",
        "",
        "| | Work | Rows | Seconds | Limit | Ratio | Goal | Holds | Peak MB |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|",
    ]
    for row in rows:
        goals = [f"{row.goal:g}"] if row.goal is not None else []
        if row.goal_seconds is not None:
            goals.append(f"{row.goal_seconds:g} s")
        holds = {None: "–", True: "yes", False: "**no**"}[row.holds]
        lines.append(
            f"| {row.id} | {row.work} | {row.rows:,} | {_number(row.seconds)} | "
            f"{_number(row.limit_seconds)} | {_number(row.ratio)} | {', '.join(goals) or '–'} | "
            f"{holds} | {'–' if row.peak_mb is None else f'{row.peak_mb:.0f}'} |"
        )
    lines += ["", "## Notes", ""]
    lines += [f"- **{row.id}** {row.note}" for row in rows if row.note]
    return "\n".join(lines) + "\n\n" + LEARNED


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


LEARNED = ""
