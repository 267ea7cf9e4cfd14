"""The product's own processes on a test's databases: workers, beat, pages; made to be killed.

They are the same command lines that `make demo` starts (`config.local.programs`).
"""

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connections

from config.local import programs
from config.local.supervisor import Program


def database_url(alias: str) -> str:
    """The address of a test database, for a process of its own."""
    parts = connections[alias].settings_dict
    user = quote(parts["USER"] or "")
    password = f":{quote(parts['PASSWORD'])}" if parts["PASSWORD"] else ""
    if str(parts["HOST"]).startswith("/"):
        where = f"{quote(parts['HOST'], safe='')}:{parts['PORT'] or 5432}"
    else:
        where = f"{parts['HOST']}:{parts['PORT'] or 5432}"
    return f"postgres://{user}{password}@{where}/{parts['NAME']}"


def environment(**more: str) -> dict[str, str]:
    """What a process needs to work on this test's databases and broker."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "DATABASE_URL": database_url("default"),
        "SWITCHBOARD_DATABASE_URL": database_url("switchboard"),
        "REDIS_URL": settings.REDIS_URL,
        "DISPATCH_FIRST_WAIT": "0.2",
        "DISPATCH_LEASE_SECONDS": "3",
        **more,
    }


class Processes:
    """Some programs, each with its process group; killed together or one by one."""

    def __init__(self, chosen: Iterable[Program], logs: Path) -> None:
        self.chosen = list(chosen)
        self.logs = logs
        self.running: list[subprocess.Popen[bytes]] = []
        self.names: list[str] = []

    def start(self) -> None:
        for program in self.chosen:
            self.names.append(program.name)
            self.running.append(self._spawn(program))

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        with (self.logs / f"{program.name}.log").open("ab") as log:
            return subprocess.Popen(
                program.command,
                env=environment(),
                cwd=programs.ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=program.sockets,
            )

    def revive(self) -> list[str]:
        """Starts again what has ended, as a supervisor does; returns the names of what had."""
        ended = [at for at, process in enumerate(self.running) if process.poll() is not None]
        for at in ended:
            self.running[at] = self._spawn(self.chosen[at])
        return [self.names[at] for at in ended]

    def kill(self) -> None:
        """kill -9 of every process and all its children."""
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()
        self.names.clear()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Sends a signal to one program and all its children."""
        os.killpg(self.running[self.names.index(name)].pid, number)

    def __enter__(self) -> "Processes":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.kill()
