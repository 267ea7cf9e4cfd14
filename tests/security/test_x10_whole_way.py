"""X10: a whole send by all processes, with errors on the way, and then a search through everything
they wrote: no phone number, no email address, no name, no word of the message, no credential.

Everybody has a name and every secret a form that stands nowhere else, so that one hit is a leak.
Searched are the logs of web, workers, beat and switchboard and of PostgreSQL, every command that
reached Redis (the arguments of tasks among them), what Redis holds at the end, the error pages and
the words of `doctor`.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
import redis
import requests
from django.conf import settings as django_settings
from django.db import connection
from django.db.models import F, Value
from django.db.models.fields import CharField
from django.db.models.functions import Cast, Concat

from config.local import programs
from dialer_adapters.switchboard.database import execute
from messenger.models import ContactPoint, Household, Message, Person, User
from messenger.tasks import start_due
from sentlog.models import Report
from tests.end_to_end.town import Exchange, ask_switchboard, open_account
from tests.end_to_end.workers import Processes, environment
from tests.pages.cast import ADMINISTRATOR, make_user
from tests.security.dump import disguises, hits
from tests.world import build_world
from voice.models import VoiceSettings
from voice.tasks import collect_call_log, resume_dispatch

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]

PATIENCE = 120.0
PASSWORD, MISTYPED = "Correct-Horse_88213 battery", "Korrect-Horse_77102 batterie"
SUBJECT, WORDS = "Snowquux closure", "Wordquibble: stay home with Zarathenia today."
GIVEN, FAMILY, HOUSE = "Quillonax", "Zarathenko", "Householdurus"


def give_telling_names() -> None:
    """Everybody gets a name that stands nowhere else."""
    number = Cast(F("pk"), CharField())
    Person.objects.update(
        given_name=Concat(Value(GIVEN), number), family_name=Concat(Value(FAMILY), number)
    )
    Household.objects.update(name=Concat(Value(HOUSE), number))


def secrets_of(switchboard: Exchange, user: User, session: str) -> set[bytes]:
    """Everything that must stand nowhere, in every form in which it might."""
    needles = {name.encode() for name in (GIVEN, FAMILY, HOUSE, "Danaquilla", "Whitlockson")}
    needles |= {b"Snowquux", b"Wordquibble", b"Zarathenia", user.email.encode()}
    values = set(ContactPoint.objects.values_list("value", flat=True))
    values |= set(ContactPoint.objects.values_list("raw", flat=True))
    for value in values:
        needles.add(value.encode())
        digits = re.sub(r"\D", "", value)[-10:]
        if "@" not in value and len(digits) == 10:
            area, office, line = digits[:3], digits[3:6], digits[6:]
            needles |= {
                form.encode()
                for form in (
                    digits,
                    f"{area}-{office}-{line}",
                    f"({area}) {office}-{line}",
                    f"{area}.{office}.{line}",
                    f"{office}-{line}",
                )
            }
    for secret in (PASSWORD, MISTYPED):
        needles |= disguises(secret, user.username)
    needles |= disguises(switchboard.password, switchboard.username)
    needles |= {session.encode(), django_settings.SECRET_KEY.encode()}
    needles |= {key.encode() for key in os.environ["FIELD_ENCRYPTION_KEYS"].split(",")}
    needles.add(VoiceSettings.current().password_encrypted.encode())
    database = connection.settings_dict["PASSWORD"]
    return needles | ({database.encode()} if database else set())


class Listening:
    """Every command that reaches Redis, with the bodies of tasks decoded."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.client = redis.Redis.from_url(django_settings.REDIS_URL, socket_timeout=None)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        with self.client.monitor() as monitor:
            for command in monitor.listen():
                self.heard.append(readable(str(command["command"]).encode()))
                if self.over.is_set():
                    return

    def __enter__(self) -> Listening:
        self.thread.start()
        _wait(lambda: self.client.ping() and bool(self.heard))
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()
        self.client.ping()  # wakes it
        self.thread.join(10)

    def stored(self) -> bytes:
        """What Redis holds now, value by value."""
        parts: list[bytes] = []
        for key in self.client.scan_iter():
            parts += [key, readable(self.client.dump(key) or b"")]
        return b"\n".join(parts)


def readable(raw: bytes) -> bytes:
    """The bytes, and beside them whatever in them is base64 of something."""
    found = [raw]
    for coded in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", raw):
        found.append(base64.b64decode(coded[: len(coded) // 4 * 4]))  # padding may stand behind it
    return b"\n".join(found)


class Visitor:
    """A person's browser, without the browser: real HTTP to the real web process."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.errors: list[bytes] = []  # pages that tell of an error

    def get(self, path: str) -> requests.Response:
        return self._kept(self.session.get(self.base + path, timeout=30))

    def post(self, path: str, **fields: Any) -> requests.Response:
        fields.setdefault("csrfmiddlewaretoken", self.session.cookies.get("csrftoken", ""))
        answer = self.session.post(
            self.base + path, data=fields, headers={"Referer": self.base}, timeout=60
        )
        return self._kept(answer)

    def _kept(self, answer: requests.Response) -> requests.Response:
        if answer.status_code >= 400 and answer.status_code != 422:
            self.errors.append(answer.content)
        return answer


@contextmanager
def broken(table: str, condition: str) -> Iterator[None]:
    """The database refuses rows that hold something private, and says so with the whole row."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT trap CHECK ({condition}) NOT VALID")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT trap")


def _wait(
    done: Callable[[], object], words: str = "it never happened", *, ring: bool = False
) -> None:
    """Until it is so. With `ring` beat's ticks are rung more often than beat does."""
    until, pause = monotonic() + PATIENCE, Event()  # nobody sets it: a wait that ends by its time
    while not done():
        assert monotonic() < until, words
        for task in (start_due, resume_dispatch, collect_call_log) if ring else ():
            task.apply_async(queue="periodic")
        pause.wait(1.0 if ring else 0.2)


@pytest.fixture
def user() -> User:
    made = make_user("dana", ADMINISTRATOR)
    made.first_name, made.last_name = "Danaquilla", "Whitlockson"
    made.email = "dana.whitlockson@district.example"
    made.set_password(PASSWORD)
    made.save()
    return made


def test_x10_nobody_is_named_by_any_process(
    switchboard: Exchange, user: User, tmp_path: Path
) -> None:
    world = build_world()
    give_telling_names()
    open_account(switchboard)
    victim = "+16125557735"
    listener = programs.listen(0)
    web = programs.web(listener)
    logs = {"postgres": Path(os.environ["VAR_DIR"]) / "log" / "postgres.log"}
    begin = logs["postgres"].stat().st_size if logs["postgres"].exists() else 0
    with Listening() as redis_, Processes([web, *programs.background(tmp_path)], tmp_path):

        def said(name: str) -> bytes:
            return (tmp_path / f"{name}.log").read_bytes()

        visitor = Visitor(listener.getsockname()[1])
        _wait(lambda: _answers(visitor))
        # A wrong password, then the right one.
        visitor.post("/sign-in/", username=user.username, password=MISTYPED)
        visitor.post("/sign-in/", username=user.username, password=PASSWORD)
        session = visitor.session.cookies["sessionid"]
        # A message by its pages; first the database refuses the draft, with all that is in it.
        fields: dict[str, Any] = {
            "subject": SUBJECT,
            "voice_text": WORDS,
            "schools": [str(world.elementary.pk)],
            "active_only": "on",
            "deliver_to": ["contacts"],
            "when": "now",
        }
        visitor.get("/messages/new/")
        with broken("messenger_messagedraft", "content::text NOT LIKE '%%Wordquibble%%'"):
            assert visitor.post("/messages/new/", **fields).status_code == 500
        written = visitor.post("/messages/new/", **fields)
        found = re.search(r"/messages/([0-9a-f-]{36})/check/", written.url)
        assert found, written.text[:2000]
        # The worker's turn: a row cannot be written; then a call cannot be noted.
        with broken("messenger_delivery", f"address <> '{victim}'"):
            visitor.post(f"/messages/{found[1]}/confirm/")
            message = Message.objects.get()
            _wait(lambda: b"CheckViolation" in said("worker"), "the worker never failed")
        refuse = f"ADD CONSTRAINT trap CHECK (phone_number <> '{victim}') NOT VALID"
        ask_switchboard(switchboard.database, execute, f"ALTER TABLE switchboard_attempt {refuse}")
        try:
            _wait(
                lambda: "The database failed" in switchboard.output,
                "the switchboard never did",
                ring=True,
            )
        finally:
            drop = "ALTER TABLE switchboard_attempt DROP CONSTRAINT trap"
            ask_switchboard(switchboard.database, execute, drop)
        _wait(lambda: _finished(message), "the message never ended", ring=True)
        assert message.status == Message.Status.SENT
        # What people look for, and where they look in vain.
        visitor.get(f"/log/?subject={SUBJECT}&sender=Whitlockson")
        visitor.get(f"/log/{message.uuid}/deliveries/?person={FAMILY}&number=6125557735")
        visitor.post(
            f"/log/{message.uuid}/report/",
            format="pdf",
            detail="all",
            devices=["cell", "household"],
        )
        _wait(lambda: _report_done(), "the report was never made")
        # (This page gives the visitor's own address back; the logs must not.)
        asked = f"{visitor.base}/nowhere/?name={FAMILY}&number=612-555-7735"
        assert visitor.session.get(asked, timeout=30).status_code == 404
        visitor.get("/log/00000000-0000-0000-0000-000000000000/")
        visitor.post("/messages/new/", csrfmiddlewaretoken="wrong", **fields)
        visitor.session.get(visitor.base, headers={"Host": "dana.whitlockson"}, timeout=30)
        doctor = subprocess.run(
            [sys.executable, "manage.py", "doctor"],
            cwd=programs.ROOT,
            env=environment(),
            capture_output=True,
            check=False,
        )
        needles = secrets_of(switchboard, user, session)
        sources = {
            "redis, by command": b"\n".join(redis_.heard),
            "redis, at the end": redis_.stored(),
            "error pages": b"\n".join(visitor.errors),
            "doctor": doctor.stdout + doctor.stderr,
            "switchboard": switchboard.output.encode(),
        }
    listener.close()
    for path in tmp_path.glob("*.log"):
        sources[path.name] = path.read_bytes()
    if logs["postgres"].exists():
        sources["postgres.log"] = logs["postgres"].read_bytes()[begin:]
    # Each source was awake.
    assert b"IntegrityError" in sources["web.log"]
    assert b"CheckViolation" in sources["worker.log"]
    assert b"messenger.tasks" in sources["redis, by command"]
    assert str(message.pk).encode() in sources["redis, by command"]
    assert len(visitor.errors) >= 3
    assert sources["doctor"].strip()
    # A page greets whoever is signed in.
    sources["error pages"] = re.sub(rb"(Danaquilla|Whitlockson)\b", b"", sources["error pages"])
    found_hits = {name: hits(text, needles) for name, text in sources.items()}
    assert {name: found for name, found in found_hits.items() if found} == {}


def _answers(visitor: Visitor) -> bool:
    try:
        return visitor.get("/sign-in/").status_code == 200
    except requests.ConnectionError:
        return False


def _finished(message: Message) -> bool:
    message.refresh_from_db()
    return message.finished


def _report_done() -> bool:
    return Report.objects.exclude(finished_at=None).exists()
