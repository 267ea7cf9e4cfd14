"""The checks of a production installation: silent when it is set up as the README says, and loud
when something that protects people was left out."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from config.local import programs

PRODUCTION = {
    "SECRET_KEY": "9vKx!q2Lw7#RfZ0m@Tn4Yb8cHd6Gs1Pj5Ua3Ei$Ok%Xl^Vt&_4Wn8",
    "SECURE": "1",
    "ALLOWED_HOSTS": "messenger.district.example",
    "CSRF_TRUSTED_ORIGINS": "https://messenger.district.example",
    "FIELD_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "EMAIL_URL": "smtp+tls://messenger:secret@mail.district.example:587",
    "FROM_EMAIL": "messenger@district.example",
    "DATABASE_URL": "postgres://messenger:secret@127.0.0.1:5432/messenger",
    "SWITCHBOARD_DATABASE_URL": "postgres://messenger:secret@127.0.0.1:5432/switchboard",
}


def check(**changes: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check --deploy` in an environment of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=programs.ROOT,
        env=kept | PRODUCTION | changes,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_settings_are_silent() -> None:
    done = check()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "System check identified no issues (0 silenced).\n"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SECURE": "0"}, "security.W004"),
        ({"SECRET_KEY": "development-only-key-that-production-must-replace"}, "security.W009"),
        ({"DEBUG": "1"}, "security.W018"),
        ({"FIELD_ENCRYPTION_KEYS": ""}, "messenger.W001"),
        ({"EMAIL_URL": "consolemail://"}, "messenger.W002"),
    ],
)
def test_what_was_left_out_is_named(changes: dict[str, str], named: str) -> None:
    done = check(**changes)
    assert done.returncode == 1
    assert named in done.stderr
    assert PRODUCTION["FIELD_ENCRYPTION_KEYS"] not in done.stderr
