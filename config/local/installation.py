"""One running copy of the project in one directory: keys, servers, processes, made-up content.

`make demo` and `make main-job` are two uses of it. The content is made by management commands of
the product; this module only knows their order, and which of them have already been done here.
"""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from config.local import programs
from config.local.lifetime import write_private
from config.local.services import Services, running_services
from config.local.supervisor import Supervisor, say, show_progress, stopping_on_signals

SWITCHBOARD_ACCOUNT = "demo"
READY_SECONDS = 60.0


class Installation:
    """A copy whose servers run; the rest is started step by step."""

    def __init__(self, directory: Path, services: Services, *, speed: str, restart: bool) -> None:
        self.directory = directory
        self.speed = speed
        self.keys = read_keys(directory / "env")
        environment = os.environ | services.environment | self.keys
        environment |= {
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "PYTHONPATH": str(programs.ROOT),
            "PYTHONUNBUFFERED": "1",
            "VAR_DIR": str(directory),
            "STATIC_ROOT": str(directory / "static"),
            # The switchboard of this copy speaks plain http on the loopback.
            "DIALER_ALLOW_LOOPBACK": "1",
            "SWITCHBOARD_ACCOUNT": SWITCHBOARD_ACCOUNT,
        }
        (directory / "static").mkdir(exist_ok=True)
        logs = directory / "log"
        self.supervisor = Supervisor(services, environment, logs, restart=restart, say=say)
        self.steps = Steps(directory / f"set-up-{name_database(services)}.json")
        self.bundle = directory / "roster.zip"
        self._generating: subprocess.Popen[bytes] | None = None

    def manage(self, *words: str) -> str:
        """Run a management command to its end; what it printed."""
        return "\n".join(self.supervisor.lines_of(programs.manage(*words)))

    def migrate(self) -> None:
        """Bring both databases up to date, and make our account at the switchboard."""
        command = [sys.executable, "-m", "config.local.migrate"]
        show_progress(self.supervisor.lines_of(command))

    def start_switchboard(self) -> str:
        """Start the telephone company, on its port of last time if that is free; its address."""
        # The district's settings and every job under way name this address.
        before = self.steps.done.get("switchboard port", "0")
        port = int(before) if programs.is_free(int(before)) else 0
        self.supervisor.start(programs.switchboard(port, self.speed))
        found: list[str] = []

        def listens() -> bool:
            found[:] = programs.find_addresses(self.supervisor.output_of("switchboard"))
            return bool(found)

        self.supervisor.wait_for(listens, READY_SECONDS, "The switchboard")
        port = urlsplit(found[0]).port or 0
        self.steps.note("switchboard port", str(port))
        # Should it die, it comes back where the district looks for it.
        self.supervisor.replace(programs.switchboard(port, self.speed))
        return found[0]

    def set_up_district(self, endpoint: str) -> str:
        """Make the demo district and its users, or tell it the switchboard's new address.

        Returns what the command printed the first time: the users with their passwords.
        """
        password = self.keys["SWITCHBOARD_PASSWORD"]
        # One word each: a password may begin with a dash.
        account = (f"--username={SWITCHBOARD_ACCOUNT}", f"--password={password}")

        def set_up() -> str:
            return self.manage("set_up_demo", "--endpoint", endpoint, *account)

        if self.steps.done.get("endpoint", endpoint) != endpoint:
            set_up()
        users = self.steps.once("users", set_up)
        self.steps.note("endpoint", endpoint)
        return users

    def begin_roster(self, size: str) -> None:
        """Begin to write the made-up district's OneRoster bundle: it takes as long as the databases
        take to get ready, and needs none of them."""
        if "import" in self.steps.done:
            return
        words = ("--size", size, "--out", str(self.bundle), "--zip")
        self._generating = self.supervisor.begin("roster", programs.manage("demo_district", *words))

    def generate_roster(self) -> Path:
        """The made-up district's bundle, once it is written."""
        if self._generating is not None:
            self.supervisor.finish("roster", self._generating)
            self._generating = None
        return self.bundle

    def import_roster(self, bundle: Path) -> None:
        """Read the bundle with the real importer and say how it goes."""
        if "import" in self.steps.done:
            return
        command = programs.manage("import_roster", str(bundle), "--progress", "--problems=3")
        show_progress(self.supervisor.lines_of(command))
        self.steps.note("import", str(bundle))

    def send_message(self) -> str:
        """Send the first message; its UUID."""
        return self.steps.once("message", lambda: self.manage("send_demo_message").split()[-1])

    def start_web(self, port: int, *, or_next: int = 0) -> str:
        """Start the pages at ``port`` or soon after it (0: anywhere); their address."""
        listener = programs.listen(port, or_next=or_next)
        self.supervisor.start(programs.web(listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    def start_background(self) -> None:
        """Start the workers and beat."""
        for program in programs.background(self.directory):
            self.supervisor.start(program)

    def await_page(self, address: str) -> None:
        """Wait until the first page comes."""
        self.supervisor.wait_for(lambda: answers(address), READY_SECONDS, f"The page {address}")


class Steps:
    """What has been done in one database, and what it gave; kept in a private file.

    A kill -9 in the middle of a step means that the step is done again: each must bear that.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.done: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}

    def once(self, step: str, make: Callable[[], str]) -> str:
        """Do a step unless it has been done; what it gave."""
        if step not in self.done:
            self.note(step, make())
        return self.done[step]

    def note(self, step: str, result: str) -> None:
        """Write down that a step is done."""
        self.done[step] = result
        write_private(self.path, json.dumps(self.done, indent=1) + "\n")


@contextmanager
def running_installation(directory: Path, *, speed: str, restart: bool) -> Iterator[Installation]:
    """Start the servers below ``directory``; at the end, however it comes, stop everything."""
    with stopping_on_signals():
        # Passable for others, so that root may run PostgreSQL as nobody; what is secret is 0600.
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        with running_services(directory) as services:
            installation = Installation(directory, services, speed=speed, restart=restart)
            try:
                yield installation
            finally:
                installation.supervisor.stop()


def read_keys(path: Path) -> dict[str, str]:
    """The secrets of a copy, made once and kept in a file that only its owner may read."""
    if not path.exists():
        made = {
            "SECRET_KEY": secrets.token_urlsafe(48),
            "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "SWITCHBOARD_PASSWORD": secrets.token_urlsafe(18),
        }
        write_private(path, "".join(f"{name}={value}\n" for name, value in made.items()))
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line)


def name_database(services: Services) -> str:
    """A short name for the database that the steps were done in."""
    if services.own:
        return "own"
    return hashlib.sha256(services.environment["DATABASE_URL"].encode()).hexdigest()[:12]


def answers(address: str) -> bool:
    """Whether a page comes from ``address`` (a sign-in page is one)."""
    # Past any proxy of the machine: the page is on the loopback.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=10):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
