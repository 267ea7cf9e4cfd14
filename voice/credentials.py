"""The dialer's password at rest: encrypted with keys from the environment, rotatable.

The first key of FIELD_ENCRYPTION_KEYS writes, all of them read. Without any, a key derived from
SECRET_KEY writes, so that a developer's machine works; it always reads, so that the first real key
can be added without entering the password again. Nothing here ever shows a password.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """The stored password cannot be read with the keys at hand: it must be entered again."""


def _keys() -> list[Fernet]:
    """The key that writes, then those that only read."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [Fernet(key) for key in [*settings.FIELD_ENCRYPTION_KEYS, *map(_derived, secrets)]]


def _derived(secret: str) -> str:
    digest = hashlib.sha256(b"field-encryption" + secret.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def encrypt(password: str) -> str:
    return _keys()[0].encrypt(password.encode()).decode()


def decrypt(stored: str) -> str:
    """The password, or '' when none is stored. Raises Unreadable."""
    if not stored:
        return ""
    try:
        return MultiFernet(_keys()).decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise Unreadable("the password was encrypted with a key that is not known here") from error


def uses_newest_key(stored: str) -> bool:
    """Whether the key that writes can read it, so that every other key may be thrown away."""
    try:
        _keys()[0].decrypt(stored.encode())
    except InvalidToken:
        return False
    return True


def rotate(stored: str) -> str:
    """The same password, encrypted anew with the key that writes. Raises Unreadable."""
    return encrypt(decrypt(stored))
