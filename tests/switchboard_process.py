"""A switchboard for tests: the real process on a free port, over the test's own database.

    with SwitchboardProcess(speed=600) as switchboard:
        switchboard.url, switchboard.username, switchboard.password
        switchboard.kill(); switchboard.start()      # kill -9 and restart on the same port

The test must use a database that commits (`django_db(transaction=True)`), and must end the process
before its tables are emptied: as a context manager, or as a fixture that asks for
`transactional_db`.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from django.db import connections

from dialer_adapters.switchboard.accounts import save_account

ROOT = Path(__file__).resolve().parent.parent
ANNOUNCEMENT = "switchboard listening on "
START_SECONDS = 60.0
STOP_SECONDS = 20.0


def database_url(alias: str = "switchboard") -> str:
    """The address of the database that the running test uses."""
    settings = connections[alias].settings_dict
    user, password = quote(settings["USER"], safe=""), quote(settings["PASSWORD"] or "", safe="")
    host, port = quote(settings["HOST"] or "127.0.0.1", safe=""), settings["PORT"] or 5432
    return f"postgres://{user}:{password}@{host}:{port}/{settings['NAME']}"


class SwitchboardProcess:
    """`manage.py switchboard` as a child of the test. Times are shortened by `speed`; `control`
    opens /control for failure modes (see `dialer_adapters.switchboard.control`)."""

    def __init__(
        self,
        speed: float = 600.0,
        lines: int = 200,
        emergency_lines: int = 50,
        seed: int = 1,
        control: bool = True,
        claim_seconds: float = 30.0,
        username: str = "district",
        password: str = "a word between us",
        options: tuple[str, ...] = (),
    ) -> None:
        self.username = username
        self.password = password
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._options = [f"--speed={speed}", f"--lines={lines}", f"--seed={seed}"]
        self._options += [f"--emergency-lines={emergency_lines}"]
        self._options += [f"--claim-seconds={claim_seconds}"]
        self._options += ["--control"] if control else []
        self._options += options

    def set_lines(self, lines: int) -> None:
        """With so many lines from the next start on."""
        self._options = [
            f"--lines={lines}" if option.startswith("--lines=") else option
            for option in self._options
        ]

    @property
    def url(self) -> str:
        """Where SOAP requests go."""
        return f"http://127.0.0.1:{self.port}/soap"

    @property
    def output(self) -> str:
        """What the process has printed, for the message of a failed test."""
        return "".join(self._lines)

    def start(self) -> Self:
        """Start it, on the port it had before if it had one, and wait until it takes requests."""
        if self.process is not None and self.process.poll() is None:
            raise RuntimeError("the switchboard runs already")
        save_account(self.username, self.password, "district-1")
        environment = {**os.environ, "SWITCHBOARD_DATABASE_URL": database_url()}
        command = [sys.executable, str(ROOT / "manage.py"), "switchboard", f"--port={self.port}"]
        self.process = subprocess.Popen(
            [*command, *self._options],
            cwd=ROOT,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        ready: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(self.process, ready), daemon=True).start()
        try:
            address = ready.get(timeout=START_SECONDS)
        except queue.Empty:
            address = None
        if address is None:
            self.kill()
            raise RuntimeError(f"the switchboard did not start:\n{self.output}")
        self.port = int(address.rpartition(":")[2].partition("/")[0])
        return self

    def _read(self, process: subprocess.Popen[str], ready: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.append(line)
                if line.startswith(ANNOUNCEMENT):
                    ready.put(line.removeprefix(ANNOUNCEMENT).strip())
        ready.put(None)

    def kill(self) -> None:
        """kill -9: no farewell, nothing flushed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it as an operator does."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def control(self, **wish: Any) -> dict[str, Any]:
        """Switch a failure mode on or off: `control(trouble="cut", times=1)`; see `control`."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/control", data=json.dumps(wish).encode()
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            state: dict[str, Any] = json.load(answer)
            return state

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
