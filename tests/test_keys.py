"""The dialer's password at rest: written with the newest key, read with all, moved by a command."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from voice import credentials
from voice.models import VoiceSettings

OLD, NEW = (Fernet.generate_key().decode() for _n in range(2))
SECRET = "between us"


@pytest.fixture
def stored(db: Any, settings: Any) -> VoiceSettings:
    """A password that was encrypted with the old key."""
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    voice = VoiceSettings.current()
    voice.password_encrypted = credentials.encrypt(SECRET)
    voice.save()
    return voice


def rotate() -> str:
    said = StringIO()
    call_command("rotate_keys", stdout=said)
    return said.getvalue()


def password() -> str:
    return credentials.decrypt(VoiceSettings.current().password_encrypted)


@pytest.mark.spec("A1-07")
def test_a_new_key_takes_over_and_the_old_one_can_go(stored: VoiceSettings, settings: Any) -> None:
    assert SECRET not in stored.password_encrypted
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert password() == SECRET
    assert not credentials.uses_newest_key(stored.password_encrypted)
    assert "Older keys may go" in rotate()
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert password() == SECRET
    before = VoiceSettings.current().password_encrypted
    assert "already" in rotate()
    assert VoiceSettings.current().password_encrypted == before


def test_the_first_real_key_follows_the_derived_one(stored: VoiceSettings, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = []
    stored.password_encrypted = credentials.encrypt(SECRET)
    stored.save()
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert password() == SECRET
    rotate()
    settings.SECRET_KEY = "another one altogether, and long enough to be one"
    assert password() == SECRET


def test_a_lost_key_is_said_and_nothing_is_changed(stored: VoiceSettings, settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CommandError, match="Put the old key back"):
        rotate()
    assert VoiceSettings.current().password_encrypted == stored.password_encrypted
    with pytest.raises(credentials.Unreadable):
        password()


def test_nothing_stored_is_nothing_to_do(db: Any) -> None:
    assert "No password" in rotate()
