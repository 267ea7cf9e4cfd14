"""PostgreSQL and Redis for one copy of the project: the only door to the two launchers.

``running_services(directory)`` starts both below ``directory`` and yields the environment that
points at them, unless DATABASE_URL and REDIS_URL already point elsewhere. The two die with the
process that started them, even when that is killed with -9; the next start recovers their data.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from config.local.accounts import remove_shelter
from config.local.lifetime import SetupError, has_ended, locked
from config.local.postgres import Cluster, make_database
from config.local.valkey import Doorbell

DATABASES = ("messenger", "switchboard")


class Services:
    """The running pair; ``environment`` is what settings read."""

    def __init__(self, environment: dict[str, str], *own: Cluster | Doorbell) -> None:
        self.environment = environment
        self.own = own

    def find_dead(self) -> list[Cluster | Doorbell]:
        """Those of the two that have ended by themselves."""
        return [each for each in self.own if each.process is not None and has_ended(each.process)]

    def revive(self) -> list[str]:
        """Start again what has died, on the same port; the names of what had."""
        dead = self.find_dead()
        for service in dead:
            service.recover()
        return [service.name for service in dead]

    def stop(self) -> None:
        """Stop the doorbell first, then the truth."""
        for service in reversed(self.own):
            service.stop()


@contextmanager
def running_services(directory: Path, *, durable: bool = True) -> Iterator[Services]:
    """Run PostgreSQL and Redis below ``directory`` for as long as the block lasts.

    ``durable=False`` gives up safety against a crash of the machine for speed: for tests alone.
    Raises SetupError with a plain sentence when this machine cannot run them. When DATABASE_URL
    and REDIS_URL are set nothing is started: those are used, with a database ``switchboard``
    beside DATABASE_URL's unless SWITCHBOARD_DATABASE_URL names another.
    """
    external = find_external()
    if external is not None:
        yield Services(external)
        return
    directory = directory.absolute()
    occupied = f"Another process ({{pid}}) runs in {directory}. Stop it, or set VAR_DIR to another."
    with locked(directory / "lock", occupied):
        cluster = Cluster(directory, durable=durable)
        doorbell = Doorbell(directory, durable=durable)
        services = Services({}, cluster, doorbell)
        try:
            cluster.start(DATABASES)
            doorbell.start()
            services.environment = {
                "DATABASE_URL": cluster.url("messenger"),
                "SWITCHBOARD_DATABASE_URL": cluster.url("switchboard"),
                "REDIS_URL": doorbell.url(),
            }
            yield services
        finally:
            services.stop()


def find_external() -> dict[str, str] | None:
    """The servers that the environment names, or None when it names none."""
    database, doorbell = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if not database and not doorbell:
        return None
    if not database or not doorbell:
        raise SetupError("Set both DATABASE_URL and REDIS_URL, or neither.")
    switchboard = os.environ.get("SWITCHBOARD_DATABASE_URL")
    if not switchboard:
        parts = urlsplit(database)
        make_database(database, "switchboard")
        switchboard = urlunsplit(parts._replace(path="/switchboard"))
    return {
        "DATABASE_URL": database,
        "SWITCHBOARD_DATABASE_URL": switchboard,
        "REDIS_URL": doorbell,
    }


def remove_directory(directory: Path) -> None:
    """Remove everything that running_services left in ``directory`` or had to put elsewhere."""
    remove_shelter(directory)
    shutil.rmtree(directory, ignore_errors=True)
