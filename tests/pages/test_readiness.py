"""After an upgrade: what is missing is said on System status, by the doctor and to who sends."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from messenger import lifecycle
from messenger.models import Message
from messenger.status import readiness
from messenger.status.findings import BROKEN, LOOK, OK, Finding
from tests.launch.sending import confirmed
from voice.models import VoiceSettings

MIGRATIONS = MigrationRecorder.Migration.objects


@pytest.fixture(autouse=True)
def _look_again() -> Iterator[None]:
    readiness._complete.clear()
    yield
    readiness._complete.clear()


def found(name: str) -> Finding:
    (line,) = [each for each in readiness.check_readiness(timezone.now()) if each.name == name]
    return line


def refusal(world: Any, **options: Any) -> str:
    """Why nothing could be confirmed; nothing was."""
    with pytest.raises(lifecycle.CannotSend) as refused:
        confirmed([world.elementary], **options)
    assert not Message.objects.exists()
    return " ".join(refused.value.problems)


def test_a_complete_installation_says_so_and_sends(world: Any) -> None:
    assert found("Version").state == OK
    assert readiness.hindrances() == []
    assert confirmed([world.elementary]).pk


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_rsu_20_a_change_that_the_database_lacks_stops_a_message_with_the_reason(
    world: Any, tool: str
) -> None:
    """Not silently: the sender is told before anything is confirmed."""
    MIGRATIONS.filter(app="voice").latest("pk").delete()
    line = found("Version")
    assert (line.state, line.advice) == (BROKEN, "Run: manage.py migrate")
    assert "Run: manage.py migrate" in refusal(world, tool=tool)


def test_a_database_of_a_newer_version_needs_a_look(world: Any) -> None:
    MIGRATIONS.create(app="messenger", name="9999_of_next_year", applied=timezone.now())
    assert found("Version").state == LOOK
    assert readiness.hindrances() == []


def test_a_key_that_is_none_stops_a_message(world: Any, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode(), "a word"]
    assert found("Keys").words == "Key 2 of FIELD_ENCRYPTION_KEYS is not a key."
    assert "Key 2 of FIELD_ENCRYPTION_KEYS" in refusal(world)


def test_another_key_than_the_one_that_wrote_the_password_stops_a_call(
    world: Any, settings: Any
) -> None:
    written = Fernet(Fernet.generate_key()).encrypt(b"secret").decode()
    VoiceSettings.objects.update(password_encrypted=written)
    assert "cannot be read with the keys of this installation" in refusal(world)


def test_settings_that_production_must_have(world: Any, settings: Any) -> None:
    settings.SECURE = True
    settings.DEBUG = True
    settings.SECRET_KEY = "development-only-key-that-production-must-replace"
    assert (found("Keys").state, found("Debugging").state) == (BROKEN, BROKEN)
    assert "SECRET_KEY" in refusal(world)
    settings.SECRET_KEY = "x" * 50
    settings.FIELD_ENCRYPTION_KEYS = []
    assert found("Keys").state == LOOK
    assert readiness.hindrances() == []


def test_files_of_the_pages_that_are_missing(world: Any, settings: Any, tmp_path: Any) -> None:
    from django.contrib.staticfiles import finders

    settings.STATICFILES_DIRS = [tmp_path]
    finders.get_finder.cache_clear()
    try:
        assert "css/app.css" in found("Pages").words
        assert found("Pages").state == BROKEN
    finally:
        settings.STATICFILES_DIRS = []
        finders.get_finder.cache_clear()
    base = (settings.BASE_DIR / "templates" / "base.html").read_text()
    assert all(f"'{name}'" in base for name in readiness.FILES)


@pytest.mark.parametrize(("seconds", "state"), [(2, OK), (20, LOOK), (-600, BROKEN)])
def test_a_clock_that_goes_wrong(
    world: Any, monkeypatch: pytest.MonkeyPatch, seconds: int, state: str
) -> None:
    now = timezone.now
    monkeypatch.setattr(
        "messenger.status.readiness.timezone.now", lambda: now() + timedelta(seconds=seconds)
    )
    assert found("Version" if state == OK else "Clock").state == state
    assert readiness.hindrances() == [], "what is due is judged by the database's clock"
