"""Bring both databases up to date, in one process: each start of Django takes about two seconds.

Prints a line now and then, because the first time takes some: how many changes of how many.
With a user name and a password (`SWITCHBOARD_ACCOUNT`, `SWITCHBOARD_PASSWORD` in the environment,
where nobody else reads them) it also makes the account of the demo at the switchboard.
"""

import os
import time
from io import StringIO

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

EVERY = 1.0  # seconds between two lines


class Progress(StringIO):
    """Takes what `migrate` says, and says how far it is."""

    def __init__(self, total: int) -> None:
        super().__init__()
        self.total = total
        self.done = 0
        self.said = time.monotonic()

    def write(self, text: str) -> int:
        self.done += text.count(" OK")
        if time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            print(f"{self.done} of {self.total} changes made", flush=True)
        return len(text)


def main() -> None:
    """Migrate every database of the settings."""
    django.setup()
    # The switchboard's database needs its own tables alone; the other apps' changes would be made
    # there too, each to no effect and with its time.
    wanted: dict[str, list[str]] = {alias: [] for alias in settings.DATABASES}
    wanted["switchboard"] = ["switchboard"]
    plans = {alias: _plan(alias, apps) for alias, apps in wanted.items()}
    progress = Progress(sum(map(len, plans.values())))
    for alias, apps in wanted.items():
        if plans[alias]:
            call_command("migrate", *apps, database=alias, interactive=False, stdout=progress)
    username = os.environ.get("SWITCHBOARD_ACCOUNT")
    if username:
        from voice.management.commands.set_up_demo import CALLER_NUMBERS  # needs the apps

        account = [f"--username={username}", f"--password={os.environ['SWITCHBOARD_PASSWORD']}"]
        account += [f"--caller-id={number}" for number in CALLER_NUMBERS]
        call_command("switchboard_account", *account, stdout=StringIO())


def _plan(alias: str, apps: list[str]) -> list[object]:
    """The changes that a database has not had."""
    executor = MigrationExecutor(connections[alias])
    leaves = executor.loader.graph.leaf_nodes()
    return list(executor.migration_plan([leaf for leaf in leaves if not apps or leaf[0] in apps]))


if __name__ == "__main__":
    main()
