"""The ground every test stands on: a PostgreSQL and a Redis of this run's own, and a browser.

They start once a run, from the wheels, in a temporary directory and on free ports, unless
DATABASE_URL and REDIS_URL name others. Each xdist worker has its own databases (the suffixes of
pytest-django, for both aliases) and its own Redis database. Data of tests never lives here.
"""

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import django
import pytest
import time_machine
from cryptography.fernet import Fernet
from django.conf import settings
from django.utils import timezone

from config.local.services import remove_directory, running_services

pytest_plugins = ["tests.spec_plugin"]

ROOT = Path(__file__).resolve().parent.parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
run_of_services = pytest.StashKey[ExitStack]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Start the services of this run, then Django, before pytest-django looks for its settings."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        return  # the controller has started everything, and pytest-django has set Django up
    if settings.configured:
        raise pytest.UsageError("Unset DJANGO_SETTINGS_MODULE: the tests name their settings.")
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["DIALER_ALLOW_LOOPBACK"] = "1"
    os.environ["IDLE_TRANSACTION_SECONDS"] = "0"  # a test is often one transaction, and may wait
    os.environ["FIELD_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
    stack = config.stash[run_of_services] = ExitStack()
    directory = Path(tempfile.mkdtemp(prefix="messenger-tests-"))
    stack.callback(remove_directory, directory)
    os.environ["VAR_DIR"] = str(directory)
    if not config.option.collectonly:
        directory.chmod(0o711)  # root may have to run PostgreSQL as nobody
        services = stack.enter_context(running_services(directory, durable=False))
        os.environ.update(services.environment)
    django.setup()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what pytest_configure started."""
    if run_of_services in config.stash:
        config.stash[run_of_services].close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    """Give each worker a Redis database of its own."""
    if "REDIS_URL" in os.environ:
        parts = urlsplit(os.environ["REDIS_URL"])
        first = int(parts.path.strip("/") or 0) + 1
        for number, spec in enumerate(specs, start=first):
            spec.env["REDIS_URL"] = urlunsplit(parts._replace(path=f"/{number}"))


# Minutes long each; started first, so that no worker is left alone with one of them at the end.
LONGEST = ("test_two_demos", "test_ten_kills", "test_the_main_job_ends", "test_from_writing")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, in every process: each gets an equal share of the list in
    order and takes from the ends of the others' when it is done."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.name.startswith(LONGEST)]
    short = [item for item in items if not item.name.startswith(LONGEST)]
    ordered: list[pytest.Item] = []
    for worker in range(workers):
        ordered += long[worker::workers]
        room = max(0, (worker + 1) * len(items) // workers - len(ordered))
        ordered += short[:room]
        del short[:room]
    items[:] = ordered + short


def find_chromium() -> str | None:
    """The browser to drive: CHROMIUM, or the first one on PATH."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next((found for found in map(shutil.which, BROWSERS) if found), None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip browser tests where there is no browser; CI must have one."""
    if item.get_closest_marker("browser") is None:
        return
    if find_chromium() is None:
        word = "No Chromium on PATH: install Debian's chromium, or set CHROMIUM to its program."
        if os.environ.get("CI"):
            pytest.fail(word, pytrace=False)
        pytest.skip(word)
    # Playwright runs an event loop in this thread, and Django takes any query for one inside it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.fixture(autouse=True)
def _database_travels_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that travels in time takes the database's clock along. Where only a worker's clock is
    wrong, the test puts `messenger.clock` back (tests/fuzz/test_wrong_clocks.py)."""
    from messenger import clock

    of_the_database = clock.now

    def now() -> Any:
        travels = time_machine.escape_hatch.is_travelling()
        return timezone.now() if travels else of_the_database()

    monkeypatch.setattr(clock, "now", now)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Drive the machine's own Chromium; Playwright's is never downloaded."""
    # Chromium's sandbox refuses to run as root.
    flags = [*BROWSER_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    return {**browser_type_launch_args, "executable_path": find_chromium(), "args": flags}
