"""Who may call: the accounts of the switchboard, their credentials, and the exchange's own
identity.

A password is hashed as Django hashes; because that takes 50 ms on purpose, a password that was once
accepted is remembered in memory under a key of this process, for as long as the stored hash stays.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from django.contrib.auth.hashers import check_password, make_password

from dialer_adapters.switchboard.database import execute, query, read_json
from dialer_adapters.switchboard.faults import AuthenticationFault
from dialer_adapters.switchboard.models import Account, Exchange

ASK_FOR_CREDENTIALS = ("WWW-Authenticate", 'Basic realm="dialer", charset="UTF-8"')

_KEY = secrets.token_bytes(32)
_accepted: dict[str, bytes] = {}  # user name → MAC over stored hash and password


@dataclass(frozen=True, slots=True)
class Caller:
    """The account behind a request."""

    account_id: int
    caller_ids: frozenset[str]


class NoCredentials(Exception):
    """The request carries none: HTTP 401."""


def found_exchange() -> Exchange:
    """The identity of this switchboard; made when it is first asked for."""
    exchange, _ = Exchange.objects.get_or_create(
        id=1, defaults={"state_id": "S" + secrets.token_hex(8), "epoch": new_epoch()}
    )
    return exchange


def new_epoch() -> str:
    return "E" + secrets.token_hex(8)


def store_new_epoch() -> str:
    """Begin a new epoch: history may have been lost, as after a restore (contract 8.2, S8). Jobs
    accepted before it are dialed no more (ruling 24)."""
    epoch = new_epoch()
    execute("UPDATE switchboard_exchange SET epoch = %s", [epoch])
    return epoch


def save_account(
    username: str,
    password: str,
    external_id: str = "",
    caller_ids: tuple[str, ...] = (),
    active: bool = True,
) -> tuple[Account, bool]:
    """Create or update an account; whether it is new. `caller_ids` are E.164, none means any."""
    found_exchange()
    account = Account.objects.filter(username=username).first()
    created = account is None
    if account is None:
        account = Account(username=username)
    if created or not check_password(password, account.password):
        account.password = make_password(password)
    account.external_id = external_id or account.external_id
    account.caller_ids = list(caller_ids)
    account.active = active
    if created:
        account.save()
    else:
        # Not the counters of the log: the dialer moves them on meanwhile, and a Seq that is given
        # twice is lost to whoever has read the first one.
        account.save(update_fields=["password", "external_id", "caller_ids", "active"])
    return account, created


def authenticate(header: str | None) -> Caller:
    """The account of an Authorization header. Raises NoCredentials or AuthenticationFault."""
    kind, _, token = (header or "").partition(" ")
    if kind.lower() != "basic":
        raise NoCredentials
    try:
        decoded = base64.b64decode(token.strip(), validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise NoCredentials from error
    username, _, password = decoded.partition(":")
    rows = query(
        "SELECT id, password, active, caller_ids FROM switchboard_account WHERE username = %s",
        [username],
    )
    if not rows or not _is_right(username, password, rows[0][1]):
        raise AuthenticationFault("BAD_CREDENTIALS", "User name or password not accepted.")
    account_id, _, active, caller_ids = rows[0]
    if not active:
        raise AuthenticationFault("ACCOUNT_DISABLED", "The account is disabled.")
    return Caller(account_id, frozenset(read_json(caller_ids)))


def _is_right(username: str, password: str, stored: str) -> bool:
    mac = hmac.digest(_KEY, f"{stored}\0{password}".encode(), sha256)
    if hmac.compare_digest(_accepted.get(username, b""), mac):
        return True
    if not check_password(password, stored):
        return False
    _accepted[username] = mac
    return True
