"""`make bench`: starts everything, runs each benchmark in a process of its own, writes the figures.

ONLY=P1,P6 runs some; SCALE=full measures a million rows; DIRECTORY= keeps the servers' data (and
the district) for the next run; OUT= is where the two files go (docs).
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2

from config.local import programs
from config.local.installation import READY_SECONDS, SWITCHBOARD_ACCOUNT, Installation
from config.local.lifetime import SetupError
from config.local.postgres import make_database
from config.local.programs import ROOT
from config.local.services import Services, remove_directory, running_services
from config.local.supervisor import Stopped, say, stopping_on_signals
from tests.bench.figures import Figure, figure_from_json, machine, write_figures

# No worker listens in this Redis database: a benchmark does the work itself that its rings ask for.
# What workers shall do is asked for through the pages, which ring where the workers listen.
NOBODY = "/9"
ORDER = ("P10", "P1", "P2", "P7", "P9", "P6", "P8", "P3", "P5", "P12", "P13", "P14")
WORKERS = ("P3", "P5", "P12", "P13")
# The phones of the bench do not hurry: what is dialed meanwhile is not what is measured. But a
# canceled message ends with the calls that are under way, and how long people talk is no figure.
SPEED, HURRY = "1", "60"


def main() -> int:
    """Run the benchmarks; the exit code: 0 also when a goal is missed, the files say so."""
    kept = os.environ.get("DIRECTORY")
    directory = Path(kept or tempfile.mkdtemp(prefix="messenger-bench-")).absolute()
    directory.mkdir(exist_ok=True)
    directory.chmod(0o711)  # root may have to run PostgreSQL as nobody
    try:
        with stopping_on_signals(), running_services(directory) as services:
            run(services, directory)
    except SetupError as problem:
        say(f"The benchmarks broke off: {problem}")
        if not kept:
            keep_logs(directory)
        return 1
    except Stopped:
        say("Stopped.")
        return 130
    finally:
        if not kept:
            remove_directory(directory)
    return 0


def run(services: Services, directory: Path) -> None:
    """Everything between the start of the servers and their stop."""
    wanted = chosen(os.environ.get("ONLY", ""))
    scale = os.environ.get("SCALE") or "small"
    about = {"machine": machine(), "scale": scale}
    with bench_copy(services, directory) as copy:
        about["postgresql"] = server_version(services)
        figures: list[Figure] = []
        for name in wanted:
            figures += run_one(copy, name, scale)
        out = Path(os.environ.get("OUT") or ROOT / "docs")
        write_figures(figures, about, out, [] if set(wanted) == set(ORDER) else list(wanted))
        say(f"{out / 'benchmarks.json'} and benchmarks.md are written.")


def chosen(only: str) -> tuple[str, ...]:
    """The benchmarks that ONLY names, in the order of running; all without it."""
    names = {name.strip().upper() for name in only.split(",") if name.strip()}
    unknown = names - set(ORDER)
    if unknown:
        raise SetupError(f"There is no benchmark {', '.join(sorted(unknown))}.")
    return tuple(name for name in ORDER if not names or name in names)


class BenchCopy(Installation):
    """A copy of the project for benchmarks, with what they are told about it."""

    endpoint = ""
    users: dict[str, str]
    web = ""

    def set_up(self) -> None:
        self.migrate()
        self.endpoint = self.start_switchboard()
        printed = self.set_up_district(self.endpoint)
        self.users = dict(line.split()[:2] for line in printed.splitlines())

    def start_workers(self) -> None:
        """The pages, the workers and beat, once."""
        if not self.web:
            self.web = self.start_web(0)
            self.start_background()
            self.await_page(self.web)

    def hurry(self) -> None:
        """Starts the telephone company anew with phones that ring and talk for a second at most."""
        running = self.supervisor.running.pop("switchboard").process
        running.terminate()
        running.wait()
        self.supervisor.start(programs.switchboard(urlsplit(self.endpoint).port or 0, HURRY))
        self.speed = HURRY
        self.supervisor.wait_for(
            lambda: self.endpoint.encode() in self.supervisor.output_of("switchboard"),
            READY_SECONDS,
            "The switchboard",
        )

    def ground(self, scale: str) -> dict[str, object]:
        return {
            "size": scale,
            "folder": str(self.directory),
            "endpoint": self.endpoint,
            "web": self.web,
            "username": "admin",
            "password": self.users["admin"],
            "switchboard_user": SWITCHBOARD_ACCOUNT,
            "switchboard_password": self.keys["SWITCHBOARD_PASSWORD"],
            "processes": {
                name: entry.process.pid for name, entry in self.supervisor.running.items()
            },
        }


@contextmanager
def bench_copy(services: Services, directory: Path) -> Iterator[BenchCopy]:
    """A copy with databases of its own on the services' server; stopped at the end."""
    own = Services(bench_databases(services.environment), *services.own)
    copy = BenchCopy(directory, own, speed=SPEED, restart=False)
    try:
        say("Preparing the databases and the switchboard ...")
        copy.set_up()
        yield copy
    finally:
        copy.supervisor.stop()


def bench_databases(environment: dict[str, str]) -> dict[str, str]:
    """The same servers with databases that nothing else uses."""
    changed = dict(environment)
    for key, name in (
        ("DATABASE_URL", "messenger_bench"),
        ("SWITCHBOARD_DATABASE_URL", "switchboard_bench"),
    ):
        make_database(environment[key], name)
        changed[key] = urlunsplit(urlsplit(environment[key])._replace(path=f"/{name}"))
    return changed


def server_version(services: Services) -> str:
    connection = psycopg2.connect(services.environment["DATABASE_URL"])
    try:
        return f"PostgreSQL {connection.server_version // 10_000}.{connection.server_version % 100}"
    finally:
        connection.close()


def run_one(copy: BenchCopy, name: str, scale: str) -> list[Figure]:
    """One benchmark in a process of its own; its figures, said as they come."""
    say(f"{name} ...")
    if name in WORKERS:
        copy.start_workers()
    if name == "P13" and copy.speed != HURRY:
        copy.hurry()
    environment = copy.supervisor.environment
    before = dict(environment)
    environment["BENCH_GROUND"] = json.dumps(copy.ground(scale))
    address = urlsplit(before["REDIS_URL"])
    environment["REDIS_URL"] = urlunsplit(address._replace(path=NOBODY))
    try:
        command = [sys.executable, "-m", "tests.bench.one", name]
        lines = list(copy.supervisor.lines_of(command))
    finally:
        environment.clear()
        environment.update(before)
    figures = [figure_from_json(row) for row in json.loads(lines[-1])]
    for figure in figures:
        say(describe(figure))
    return figures


def describe(figure: Figure) -> str:
    """A figure as one line."""
    parts = [f"  {figure.id:12} {figure.rows:>9,} rows  {figure.seconds:8.3f} s"]
    if figure.limit_seconds is not None:
        parts.append(f"limit {figure.limit_seconds:.3f} s")
    if figure.ratio is not None:
        parts.append(
            f"ratio {figure.ratio:.2f}" + (f" (goal {figure.goal})" if figure.goal else "")
        )
    if figure.goal_seconds is not None:
        parts.append(f"goal {figure.goal_seconds:g} s")
    if figure.peak_mb is not None:
        parts.append(f"peak {figure.peak_mb:.0f} MB")
    if figure.holds is False:
        parts.append("MISSED")
    return "  ".join(parts)


def keep_logs(directory: Path) -> None:
    """Save the logs of a failed run from the removal of its directory."""
    kept = ROOT / "var" / "bench-failed"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(directory / "log", kept)
    say(f"Its logs are in {kept}.")


if __name__ == "__main__":
    sys.exit(main())
