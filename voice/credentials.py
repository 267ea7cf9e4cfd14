"""The dialer's password at rest: encrypted with keys from the environment, rotatable.

The first key of FIELD_ENCRYPTION_KEYS writes, all of them read; without any, a key derived from
SECRET_KEY serves, so that a developer's machine works. Nothing here ever shows a password.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(Exception):
    """The stored password cannot be read with the keys at hand: it must be entered again."""


def _keys() -> MultiFernet:
    keys = list(settings.FIELD_ENCRYPTION_KEYS)
    if not keys:
        digest = hashlib.sha256(b"field-encryption" + settings.SECRET_KEY.encode()).digest()
        keys = [base64.urlsafe_b64encode(digest).decode()]
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(password: str) -> str:
    return _keys().encrypt(password.encode()).decode()


def decrypt(stored: str) -> str:
    """The password, or '' when none is stored. Raises Unreadable."""
    if not stored:
        return ""
    try:
        return _keys().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise Unreadable("the password was encrypted with a key that is not known here") from error
