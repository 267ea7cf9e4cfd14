"""Dumps of the databases a test uses, and every disguise in which a secret may lie in one."""

import base64
import html
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

from django.db import connections

from config.local.postgres import find_servers
from tests.end_to_end.workers import database_url


def pg_dump(alias: str = "default", name: str = "") -> bytes:
    """What a backup of the database holds, as text: every table, every row. `name` is another
    database on the same server."""
    beside = [server.binaries / "pg_dump" for server in find_servers()]
    on_path = shutil.which("pg_dump")
    program = next((path for path in beside if path.exists()), Path(on_path or "pg_dump"))
    url = database_url(alias)
    if name:
        url = url.removesuffix(connections[alias].settings_dict["NAME"]) + name
    return subprocess.run(
        [program, "--dbname", url, "--no-owner"],
        env={**os.environ, "PGCONNECT_TIMEOUT": "10"},
        check=True,
        capture_output=True,
        timeout=120,
    ).stdout


def disguises(secret: str, *users: str) -> set[bytes]:
    """The secret as it may be written: plain, escaped, encoded, and as HTTP Basic credentials."""
    plain = secret.encode()
    found = {
        plain,
        plain[::-1],
        plain.hex().encode(),
        plain.hex().upper().encode(),
        secret.encode("utf-16-le"),
        quote(secret).encode(),
        quote_plus(secret).encode(),
        html.escape(secret).encode(),
        ascii(secret)[1:-1].encode(),
    }
    for text in (plain, *(f"{user}:{secret}".encode() for user in users)):
        found.update(_base64_anywhere(text))
    return found


def _base64_anywhere(text: bytes) -> Iterable[bytes]:
    """The part of its base64 that is the same whatever stands before and after it."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + text)
        # The first character that holds a bit of the padding, and the last three, may differ.
        start = 0 if shift == 0 else shift + 1
        middle = coded[start : len(coded) - 4]
        if len(middle) >= 8:
            yield middle


def hits(haystack: bytes, needles: Iterable[bytes]) -> list[bytes]:
    """The needles that were found."""
    return sorted(needle for needle in needles if needle in haystack)
