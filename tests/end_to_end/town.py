"""A district and its telephone company, for tests that really call: over HTTP, by SOAP.

The product's verbs run in the test's own process; the switchboard is a process of its own with its
own database, and its books are the judge. One switchboard serves all tests of a run: its database
is not emptied between them, and every question to the books names a job.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import time
from functools import partial
from time import monotonic
from typing import Any, Self, TypeVar
from uuid import uuid4

import psycopg2
from django.core.management import call_command
from django.db import connections
from django.utils import timezone

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.accounts import save_account
from messenger import lifecycle
from messenger.models import District, Message
from messenger.tasks import start_due
from tests.launch.sending import expand_all
from tests.switchboard_process import SwitchboardProcess
from voice import account, collect, dispatch
from voice.management.commands.set_up_demo import morning_zone
from voice.models import VoiceSettings

PATIENCE = 60.0  # seconds until a test says that nothing happens
T = TypeVar("T")


def ask_switchboard(database: str, question: Callable[..., T], *args: Any) -> T:
    """Runs a function on the switchboard's own database, which tests of the product neither touch
    nor empty: in a thread, whose connection goes there."""

    def run() -> T:
        connection = connections["switchboard"]
        connection.settings_dict = {**connection.settings_dict, "NAME": database}
        try:
            return question(*args)
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(run).result()


class Exchange(SwitchboardProcess):
    """The switchboard of a test run, in a database of its own that no test empties."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.database = f"exchange_{name}_{uuid4().hex[:8]}"

    def create_database(self) -> None:
        """Makes the database and its tables."""
        parts = connections["default"].settings_dict
        admin = psycopg2.connect(
            host=parts["HOST"],
            port=parts["PORT"] or 5432,
            user=parts["USER"],
            password=parts["PASSWORD"],
            dbname="postgres",
        )
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.database}")
        admin.close()
        options = {"database": "switchboard", "verbosity": 0, "interactive": False}
        ask_switchboard(self.database, partial(call_command, "migrate", "switchboard", **options))

    def start(self) -> Self:
        if not self.port:
            self.create_database()
        return ask_switchboard(self.database, super().start)

    def set_password(self, password: str) -> None:
        ask_switchboard(self.database, save_account, self.username, password, "district-1")

    def books(self, message: Message) -> ledger.Totals:
        """The totals of this message's job."""
        return ask_switchboard(self.database, ledger.add_up, str(message.job_ref))

    def attempts(self, message: Message) -> list[ledger.Dialed]:
        return ask_switchboard(self.database, ledger.list_attempts, None, str(message.job_ref))

    def judge(self, message: Message) -> None:
        """Nobody lost, nobody twice, nothing too often, nothing late (ruling 32)."""
        books = self.books(message)
        assert (books.lost, books.doubled) == (0, 0)
        for question in (ledger.find_excess, ledger.find_late):
            assert ask_switchboard(self.database, question, str(message.job_ref)) == []


def open_account(switchboard: SwitchboardProcess, **changes: object) -> VoiceSettings:
    """Verifies the district's account at this switchboard; hours wide open. The district lies where
    it is morning now: calls keep to 8:00 to 21:00 there, and tests run at night too."""
    District.objects.filter(pk=District.current().pk).update(time_zone=morning_zone(timezone.now()))
    settings = VoiceSettings.current()
    settings.district_start, settings.district_end = time(0), time(23, 59, 59)
    settings.minutes_between_redials = 0
    for name, value in changes.items():
        setattr(settings, name, value)
    settings.save()
    result = account.verify_and_save(
        settings, switchboard.username, switchboard.password, switchboard.url
    )
    assert result.ok, result.words
    return VoiceSettings.current()


def hand_over(message: Message) -> None:
    """Launches, expands and pushes, as the tasks would."""
    lifecycle.launch(message.pk)
    expand_all(message)
    dispatch.push(message.pk)


def until(done: Callable[[], bool], words: str, patience: float = PATIENCE) -> None:
    """Reads the call log and pushes what waits until something is so."""
    last = monotonic() + patience
    while not done():
        assert monotonic() < last, f"never happened: {words}"
        start_due()
        for message_id, _emergency in dispatch.waiting_messages():
            expand_all(Message.objects.get(pk=message_id))
            dispatch.push(message_id)
        collect.collect(seconds=1)


def finish(message: Message, patience: float = PATIENCE) -> Message:
    """Follows a message to its end."""

    def finished() -> bool:
        message.refresh_from_db()
        return message.finished

    until(finished, f"the end of {message}", patience)
    return message
