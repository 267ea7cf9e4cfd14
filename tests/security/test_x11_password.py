"""X11: a copy of the database does not hold the dialer's password; its key changes while all
runs."""

import os
import socket
import subprocess
import sys
from datetime import time
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from config.local import programs
from config.local.supervisor import Program
from messenger.models import Delivery, Message
from tests.end_to_end.town import Exchange, hand_over, open_account
from tests.end_to_end.workers import Processes, environment
from tests.launch.sending import confirmed, verified_account
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.security.dump import disguises, hits, pg_dump
from tests.shoutpoint.answers import VERIFIED
from tests.shoutpoint.raw_server import RawServer, http
from tests.world import build_world
from voice import credentials
from voice.models import VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

RIGHT, WRONG = "Zäune:über&<Grün> 7f3a91", "Falsch'\"Tür\\ 4c5d6e"
PATIENCE = 90.0
OLD, NEW = (Fernet.generate_key().decode() for _n in range(2))


@pytest.fixture
def admin_client() -> Client:
    build_world()
    return client_of(make_user("admin", ADMINISTRATOR))


def save(client: Client, endpoint: str, password: str, username: str = "district") -> Any:
    return client.post(
        reverse("voice_account"),
        {
            "account-username": username,
            "account-password": password,
            "account-endpoint": endpoint,
            "account-second_endpoint": "",
        },
    )


def test_the_search_finds_what_it_looks_for() -> None:
    """A grep that finds nothing proves nothing unless it would have found something."""
    for needle in disguises(RIGHT, "district"):
        assert hits(b"before " + needle + b" after", disguises(RIGHT, "district"))
    import base64

    for before in (b"", b"x", b"xy", b"xyz"):
        coded = base64.b64encode(before + RIGHT.encode() + b" after")
        assert hits(coded, disguises(RIGHT))


@pytest.mark.spec("A1-07")
def test_x11_a_dump_does_not_hold_the_password(
    admin_client: Client, switchboard: Exchange, tmp_path: Path
) -> None:
    """Entered wrongly, entered rightly, used for a call; then both databases are dumped."""
    try:
        switchboard.set_password(RIGHT)
        assert save(admin_client, switchboard.url, WRONG).status_code == 422
        assert save(admin_client, switchboard.url, RIGHT).status_code == 302
        assert VoiceSettings.current().verified
        VoiceSettings.objects.update(district_start=time(0), district_end=time(23, 59, 59))
        hand_over(confirmed())
        dump = pg_dump() + pg_dump("switchboard", switchboard.database)
    finally:
        switchboard.set_password(switchboard.password)
    assert b"COPY public.voice_voicesettings" in dump
    assert b"COPY public.switchboard_account" in dump
    assert b"COPY public.django_session" in dump
    assert VoiceSettings.current().password_encrypted.encode() in dump
    for secret in (RIGHT, WRONG):
        assert hits(dump, disguises(secret, "district")) == []
    for key in os.environ["FIELD_ENCRYPTION_KEYS"].split(","):
        assert hits(dump, disguises(key)) == []


def test_x11_a_key_changes_while_a_check_of_the_account_waits_for_its_answer(
    admin_client: Client, settings: Any
) -> None:
    """The form is saved without a new password; while the dialer answers, the keys are rotated."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    verified_account(password_encrypted=credentials.encrypt(RIGHT))
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]

    def rotate_then_answer(connection: socket.socket, _over: Event) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", "rotate_keys"],
            cwd=programs.ROOT,
            env=environment(FIELD_ENCRYPTION_KEYS=f"{NEW},{OLD}"),
            check=True,
            capture_output=True,
            text=True,
        )
        assert "Older keys may go" in done.stdout
        connection.sendall(http(VERIFIED))

    with RawServer(rotate_then_answer) as dialer:
        VoiceSettings.objects.update(endpoint=dialer.url)
        assert save(admin_client, dialer.url, "").status_code == 302
        assert len(dialer.requests) == 1
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert credentials.decrypt(VoiceSettings.current().password_encrypted) == RIGHT


def test_x11_all_is_encrypted_anew_while_a_message_is_sent(
    switchboard: Exchange, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Old key; both keys; rotation; the new key alone: the message goes on through all of it."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    build_world()
    open_account(switchboard)
    VoiceSettings.objects.update(max_chains_per_batch=1)
    message = confirmed()
    tick = Program("tick", tuple(programs.manage("tick", "--every", "0.2", "--alone")))

    def run_with(keys: str) -> Processes:
        monkeypatch.setenv("FIELD_ENCRYPTION_KEYS", keys)
        return Processes([tick], tmp_path)

    def accepted() -> int:
        books = switchboard.books(message)
        return books.chains

    switchboard.control(requests_per_second=4)
    try:
        with run_with(OLD):
            _wait(lambda: accepted() > 0)
        with run_with(f"{NEW},{OLD}"):
            before = accepted()
            settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
            call_command("rotate_keys")
            stored = VoiceSettings.current().password_encrypted
            assert Fernet(NEW).decrypt(stored.encode()).decode() == switchboard.password
            _wait(lambda: accepted() > before or _finished(message))
            switchboard.control(requests_per_second=0)
        with run_with(NEW):
            _wait(lambda: _finished(message))
    finally:
        switchboard.control(requests_per_second=0)
    assert message.status == Message.Status.SENT
    assert not VoiceSettings.current().paused
    assert not Delivery.objects.filter(message=message).exclude(state="done").exists()
    switchboard.judge(message)


def _finished(message: Message) -> bool:
    message.refresh_from_db()
    return message.finished


def _wait(done: Any) -> None:
    until, pause = monotonic() + PATIENCE, Event()  # nobody sets it: a wait that ends by its time
    while not done():
        assert monotonic() < until, "it never happened"
        pause.wait(0.1)
