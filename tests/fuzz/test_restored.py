"""R13: yesterday's database comes back, and everything is started: nobody is called.

The restore is real: pg_dump or a copy of the database, put back under the same name. The processes
are real (`manage.py tick --alone`), and the switchboard, which keeps its own books, counts calls.
"""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings as django_settings
from django.db import connection, connections
from django.urls import reverse
from django.utils import timezone

from messenger import continuity, lifecycle
from messenger.models import Continuity, Message, User
from messenger.status.continuity import check_continuity
from messenger.status.findings import BROKEN, OK
from tests.end_to_end.town import Exchange, ask_switchboard, hand_over, open_account, until
from tests.end_to_end.workers import environment
from tests.launch.sending import confirmed, launched, noon, sender, verified_account
from tests.pages.cast import ADMINISTRATOR, READ_ONLY, SECRETARY, client_of, make_user
from tests.world import World, build_world
from voice.models import DialerJob

DAY = timedelta(days=1)
Status = Message.Status


@pytest.fixture(autouse=True)
def _notes_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process remembers belongs to one test."""
    monkeypatch.setattr(continuity, "_seen", {})
    monkeypatch.setattr(continuity, "_compared", {})


# -------------------------------------------------------------------------- the guard by itself


@pytest.fixture
def world(db: None) -> World:
    verified_account()
    return build_world()


def note(beats: int) -> None:
    """A count that is noted outside the database."""
    continuity._note(Continuity.objects.get().identity, beats)


def forget() -> None:
    """A new process: nothing but the notes outside is left."""
    continuity._seen.clear()
    continuity._compared.clear()


def sleep(how_long: timedelta) -> None:
    thread = Continuity.objects.get()
    Continuity.objects.update(alive_at=thread.alive_at - how_long)


@pytest.fixture
def alive(db: None) -> Iterator[Continuity]:
    """A database that has lived a while; its notes outside are taken away afterwards."""
    for _beat in range(3):
        continuity.beat()
    thread = Continuity.objects.get()
    yield thread
    continuity._file(thread.identity).unlink(missing_ok=True)
    with continuity.broker() as broker:
        broker.delete(continuity._key(thread.identity))


def held() -> bool:
    return continuity.check().held_since is not None


def test_r13_a_database_that_goes_on_is_not_held(alive: Continuity) -> None:
    note(alive.beats)
    assert alive.beats == 3
    assert not held()
    forget()
    assert not held()


@pytest.mark.parametrize("hours", [0.1, 3, 48])
def test_r13_a_system_that_was_off_goes_on(alive: Continuity, hours: float) -> None:
    """S4: an outage is no restore, however long it was."""
    note(alive.beats)
    forget()
    sleep(timedelta(hours=hours))
    assert not held()


def test_r13_a_count_that_went_back_is_a_restore(alive: Continuity) -> None:
    note(alive.beats + 1)
    forget()
    sleep(timedelta(minutes=2))
    assert held()
    thread = Continuity.objects.get()
    assert thread.held_why == Continuity.Why.WENT_BACK
    assert thread.last_alive_at == thread.alive_at


def test_r13_a_process_that_goes_on_notices_it_at_once(alive: Continuity) -> None:
    """Also when the copy is seconds old."""
    note(alive.beats)
    assert not held()
    Continuity.objects.update(beats=alive.beats - 1)
    assert held()


@pytest.mark.parametrize("lost", ["file", "broker"])
def test_r13_one_note_is_enough(alive: Continuity, lost: str) -> None:
    note(alive.beats + 50)
    if lost == "file":
        continuity._file(alive.identity).unlink()
    else:
        with continuity.broker() as broker:
            broker.delete(continuity._key(alive.identity))
    forget()
    sleep(timedelta(minutes=2))
    assert held()


def test_r13_a_copy_on_a_machine_without_notes_is_held(alive: Continuity) -> None:
    forget()
    sleep(timedelta(minutes=11))
    assert held()
    assert Continuity.objects.get().held_why == Continuity.Why.NO_TRACE


def test_r13_a_broker_that_was_emptied_is_no_restore(
    alive: Continuity, settings: Any, tmp_path: Path
) -> None:
    settings.VAR_DIR = tmp_path
    forget()
    sleep(timedelta(minutes=5))
    assert not held()


def test_r13_while_held_only_new_emergencies_go(world: World, alive: Continuity) -> None:
    old = launched([world.elementary], tool="emergency")
    waiting = confirmed()
    note(alive.beats + 1)
    forget()
    sleep(timedelta(minutes=2))
    assert not lifecycle.launch(waiting.pk)
    newer = launched([world.elementary], tool="emergency")
    later = confirmed()
    assert not lifecycle.launch(later.pk)
    assert [continuity.lets_go(m) for m in (old, waiting, newer, later)] == [
        *(False, False, True, False)
    ]
    assert set(continuity.held_back()) == {old, waiting}
    from voice.dispatch import waiting_messages

    assert waiting_messages() == [(newer.pk, True)]
    (finding,) = check_continuity(timezone.now())
    assert finding.state == BROKEN


# ------------------------------------------------------------------------------------- the pages


@pytest.fixture
def restored(world: World, alive: Continuity) -> tuple[Message, Message]:
    """A waiting message and an emergency under way, in a database that was restored."""
    messages = confirmed(subject="Bus 12"), launched(tool="emergency", subject="Gas leak")
    note(alive.beats + 1)
    forget()
    sleep(timedelta(minutes=2))
    assert held()
    return messages


@pytest.mark.parametrize("choice", ["send", "cancel"])
def test_r13_an_administrator_resumes(
    restored: tuple[Message, Message], choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    admin = make_user("admin", ADMINISTRATOR)
    client = client_of(admin)
    for address in ("home", "status", "settings", "general_new", "log"):
        page = client.get(reverse(address)).content.decode()
        assert "The database was restored" in page
        assert reverse("restored") in page
    page = client.get(reverse("restored")).content.decode()
    assert "Bus 12" in page
    assert "Gas leak" in page
    assert client.post(reverse("restored")).status_code == 422
    assert held()
    with caplog.at_level("WARNING"):
        assert client.post(reverse("restored"), {"waiting": choice}).status_code == 302
    assert f"user {admin.pk} resumed sending" in caplog.text
    assert not held()
    thread = Continuity.objects.get()
    assert thread.resumed_by_name == admin.name_in_log()
    waiting, emergency = (Message.objects.get(pk=message.pk) for message in restored)
    assert emergency.cancel_requested_at is not None
    assert waiting.status == (Status.WAITING if choice == "send" else Status.CANCELED)
    # No other process takes it for restored again, whatever it remembers.
    forget()
    sleep(timedelta(minutes=2))
    assert not held()
    (finding,) = check_continuity(timezone.now())
    assert finding.state == OK
    assert admin.name_in_log() in finding.words
    assert client.post(reverse("restored"), {"waiting": choice}).status_code == 302


def test_r13_others_are_told_and_cannot_resume(
    restored: tuple[Message, Message], world: World
) -> None:
    for role in (SECRETARY, READ_ONLY):
        client = client_of(make_user(role[:4].lower(), role, world.elementary))
        page = client.get("/").content.decode()
        assert "The database was restored" in page
        assert reverse("restored") not in page
        assert client.get(reverse("restored")).status_code == 403
        assert client.post(reverse("restored"), {"waiting": "send"}).status_code == 403
    assert held()


# ---------------------------------------------------------------------------------- for real


class Backup:
    """A dump of the test's database: a copy that PostgreSQL makes, put back under the same name."""

    def __init__(self) -> None:
        self.name = connection.settings_dict["NAME"]
        self.copy = f"{self.name}_yesterday"
        self._sql(f'DROP DATABASE IF EXISTS "{self.copy}"')
        self._sql(f'CREATE DATABASE "{self.copy}" TEMPLATE "{self.name}"')

    def restore(self) -> None:
        self._sql(f'DROP DATABASE "{self.name}" WITH (FORCE)')
        self._sql(f'ALTER DATABASE "{self.copy}" RENAME TO "{self.name}"')

    def _sql(self, statement: str) -> None:
        connections.close_all()
        parts = connection.settings_dict
        admin = psycopg2.connect(
            host=parts["HOST"],
            port=parts["PORT"] or 5432,
            user=parts["USER"],
            password=parts["PASSWORD"],
            dbname="postgres",
        )
        admin.autocommit = True
        with admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [self.name],
            )
            cursor.execute(statement)
        admin.close()


def start_everything(rounds: int = 2) -> None:
    """What beat and the workers do, in a process of its own."""
    for _round in range(rounds):
        command = [sys.executable, str(django_settings.BASE_DIR / "manage.py"), "tick", "--alone"]
        subprocess.run(command, env=environment(), check=True, timeout=120)


def a_day_passes() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE messenger_message SET created_at = created_at - %(day)s,"
            " scheduled_at = scheduled_at - %(day)s, dial_from = dial_from - %(day)s,"
            " dial_until = dial_until - %(day)s, launched_at = launched_at - %(day)s;"
            "UPDATE messenger_continuity SET alive_at = alive_at - %(day)s",
            {"day": DAY},
        )


@pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])
def test_r13_yesterdays_dump_calls_nobody(quick_exchange: Exchange) -> None:
    world = build_world()
    open_account(quick_exchange)
    planned = confirmed([world.elementary], subject="Sent since, in its window again tomorrow")
    taken_back = confirmed(
        [world.middle], scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat()
    )
    expired = confirmed([world.high], subject="Its window was yesterday")
    old_emergency = launched([world.high], tool="emergency", subject="Over long ago")
    for _beat in range(3):
        continuity.beat()
    backup = Backup()
    # Life goes on: one is sent, one is taken back, the emergency goes out.
    hand_over(planned)
    assert quick_exchange.attempts(planned)
    lifecycle.request_cancel(taken_back.pk, sender())
    hand_over(old_emergency)
    until(lambda: bool(quick_exchange.attempts(old_emergency)), "the emergency's calls")
    until(lambda: Message.objects.get(pk=planned.pk).finished, "the end of what was planned")
    continuity.beat()
    calls = len(every_call(quick_exchange))
    # Yesterday comes back.
    backup.restore()
    a_day_passes()
    tomorrow = {"dial_from": timezone.now() - DAY / 24, "dial_until": timezone.now() + DAY / 24}
    Message.objects.filter(pk__in=[planned.pk, taken_back.pk]).update(
        scheduled_at=timezone.now() - timedelta(minutes=5), **tomorrow
    )
    start_everything()
    assert len(every_call(quick_exchange)) == calls, "somebody was called"
    assert held()
    assert Message.objects.get(pk=taken_back.pk).status == Status.WAITING
    # What is confirmed now is an emergency of today, and goes.
    fresh = confirmed([world.elementary], tool="emergency", subject="Today")
    start_everything()
    until(lambda: bool(quick_exchange.attempts(fresh)), "the new emergency's calls")
    new_calls = len(quick_exchange.attempts(fresh))
    assert len(every_call(quick_exchange)) == calls + new_calls
    # Somebody looks, cancels what waits, and resumes: still nobody is called twice.
    forget()
    client = client_of(make_user("admin", ADMINISTRATOR))
    assert set(continuity.held_back()) == {planned, taken_back, expired}
    assert "Its window was yesterday" in client.get(reverse("restored")).content.decode()
    # What the dialer knows comes back with its log: the old emergency had been sent.
    assert Message.objects.get(pk=old_emergency.pk).status == Status.SENT
    assert client.post(reverse("restored"), {"waiting": "cancel"}).status_code == 302
    start_everything()
    until(lambda: Message.objects.get(pk=fresh.pk).finished, "the end of today's emergency")
    for message in (planned, taken_back, expired):
        message.refresh_from_db()
        assert message.status == Status.CANCELED
    assert len(every_call(quick_exchange)) == calls + len(quick_exchange.attempts(fresh))
    quick_exchange.judge(fresh)


@pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])
def test_r13_what_is_sent_as_planned_is_still_sent_once(quick_exchange: Exchange) -> None:
    """The last wall: a message that went out after the dump has the same JobRef now, and the
    dialer dials nothing again, even on an administrator's word; what is over is not dialed."""
    world = build_world()
    open_account(quick_exchange)
    sent, expired = confirmed([world.elementary]), confirmed([world.high])
    continuity.beat()
    backup = Backup()
    hand_over(sent)
    until(lambda: Message.objects.get(pk=sent.pk).finished, "the end")
    continuity.beat()
    calls = len(every_call(quick_exchange))
    assert calls
    backup.restore()
    Continuity.objects.update(alive_at=timezone.now() - DAY)
    Message.objects.filter(pk=expired.pk).update(
        dial_from=noon() - DAY, dial_until=timezone.now() - DAY / 2, scheduled_at=noon() - DAY
    )
    forget()
    assert held()
    continuity.resume(User.objects.get(username="sender"))
    start_everything(3)
    until(lambda: Message.objects.get(pk=sent.pk).status != Status.IN_PROGRESS, "an end")
    assert Message.objects.get(pk=expired.pk).status in (Status.FAILED, Status.WAITING)
    assert DialerJob.objects.filter(message=expired, submitted_at__isnull=False).count() == 0
    assert len(every_call(quick_exchange)) == calls


def every_call(exchange: Exchange) -> list[Any]:
    from dialer_adapters.switchboard import ledger

    return ask_switchboard(exchange.database, ledger.list_attempts)
