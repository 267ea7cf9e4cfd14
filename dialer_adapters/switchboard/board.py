"""The board: a page of the switchboard's own that shows its lines at work.

For whoever runs or tries the switchboard. Shown to an account that gives its credentials, of that
account alone; without credentials only to somebody on the same machine, and only when the
switchboard listens on the loopback and is asked by a name of the loopback: a reverse proxy on the
same machine would otherwise let everybody in. Numbers are masked, and nothing can be changed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.db import DatabaseError
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from dialer_adapters.call_codes import lookup
from dialer_adapters.switchboard.accounts import (
    ASK_FOR_CREDENTIALS,
    NoCredentials,
    authenticate,
)
from dialer_adapters.switchboard.database import connection, query
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.faults import AuthenticationFault

STATIC = Path(__file__).with_name("static") / "switchboard"
FILES = {"/board.css": "text/css; charset=utf-8", "/board.js": "text/javascript; charset=utf-8"}
LOOPBACK = ("127.0.0.1", "::1")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
]
MOST_CALLS, MOST_JOBS, MOST_ENTRIES = 60, 25, 25

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


@dataclass(frozen=True, slots=True)
class Line:
    """A line in a call."""

    number: str
    emergency: bool
    emergency_line: bool
    seconds: int
    attempt: int


class Board:
    """The page and its two files. `trusts_loopback`: no credentials are asked from this machine."""

    def __init__(self, dialer: Dialer, trusts_loopback: bool) -> None:
        self.dialer = dialer
        self.trusts_loopback = trusts_loopback

    def shows(self, environ: Environ) -> bool:
        """Whether a request is for the board."""
        path = environ.get("PATH_INFO") or "/"
        wants_contract = environ.get("QUERY_STRING", "").lower() == "wsdl"
        asks = environ["REQUEST_METHOD"] == "GET" and not wants_contract
        return asks and (path == "/" or path in FILES)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO") or "/"
        headers = list(HEADERS)
        if path in FILES:
            status, kind, body = HTTPStatus.OK, FILES[path], _read(path)
        else:
            status, kind, body = self._answer(environ)
        if status is HTTPStatus.UNAUTHORIZED:
            headers.append(ASK_FOR_CREDENTIALS)
        headers += [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: Environ) -> tuple[HTTPStatus, str, bytes]:
        try:
            account_id = self._admit(environ)
            page = render_to_string("switchboard/board.html", self._collect(account_id))
        except (NoCredentials, AuthenticationFault):
            return HTTPStatus.UNAUTHORIZED, "text/plain", b"Credentials are needed.\n"
        except DatabaseError:
            connection().close()
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"The database is away.\n"
        return HTTPStatus.OK, "text/html; charset=utf-8", page.encode()

    def _admit(self, environ: Environ) -> int | None:
        """The account that asks, or None for somebody on this machine who may see all. Raises
        NoCredentials or AuthenticationFault."""
        header = environ.get("HTTP_AUTHORIZATION")
        if header is None and self.trusts_loopback and _is_here(environ):
            return None
        return authenticate(header).account_id

    # -------------------------------------------------------------------------------- what it shows

    def _collect(self, account_id: int | None) -> dict[str, Any]:
        now = self.dialer.read_clock()
        with self.dialer.gate:
            calls = self._list_calls(account_id, now)
            pools, texts = self._count_pools(), len(self.dialer.flights)
        texts -= sum(pool["busy"] for pool in pools)
        return {
            "now": now,
            "pools": pools,
            "texts": max(0, texts) if account_id is None else None,
            "calls": calls[:MOST_CALLS],
            "calls_left": max(0, len(calls) - MOST_CALLS),
            "jobs": _list_jobs(account_id),
            "entries": _list_entries(account_id),
        }

    def _list_calls(self, account_id: int | None, now: datetime) -> list[Line]:
        held = [
            flight
            for flight in self.dialer.flights.values()
            if flight.pool is not None
            and (account_id is None or flight.job.key.account_id == account_id)
        ]
        held.sort(key=lambda flight: (flight.job.urgency > 0, -flight.started_at))
        return [
            Line(
                number=mask(flight.chain.step(flight.step).number),
                emergency=flight.job.urgency == 0,
                emergency_line=flight.pool == "emergency",
                seconds=max(0, round(now.timestamp() - flight.started_at)),
                attempt=flight.number,
            )
            for flight in held
        ]

    def _count_pools(self) -> list[dict[str, Any]]:
        pools = self.dialer.pools
        return [
            {"label": _("Lines"), "busy": pools.busy("normal"), "size": pools.normal},
            {
                "label": _("Emergency lines"),
                "busy": pools.busy("emergency"),
                "size": pools.emergency,
                "emergency": True,
            },
        ]


def mask(number: str | None) -> str:
    """A number of which only the area code and the last two digits can be read."""
    return "" if not number else f"{number[:2]} {number[2:5]} ••• ••{number[-2:]}"


def _is_here(environ: Environ) -> bool:
    host = environ.get("HTTP_HOST", "").lower()
    named_so = host in LOOPBACK_NAMES or host.rpartition(":")[0] in LOOPBACK_NAMES
    return named_so and environ.get("REMOTE_ADDR") in LOOPBACK


@cache
def _read(path: str) -> bytes:
    return (STATIC / path.lstrip("/")).read_bytes()


def _list_jobs(account_id: int | None) -> list[dict[str, Any]]:
    """The newest jobs, those that are not over first. A tombstone is a job that never came."""
    rows = query(
        "SELECT job_ref, coalesce(body->>'title', ''), priority, state, created_at, window_end,"
        " sealed, stored_chains, chains_confirmed, chains_done, chains_canceled, attempts,"
        " body IS NULL FROM switchboard_job WHERE %s::bigint IS NULL OR account_id = %s"
        " ORDER BY final_seq IS NOT NULL, id DESC LIMIT %s",
        [account_id, account_id, MOST_JOBS],
    )
    states = _name_states()
    return [
        {
            "ref": ref,
            "title": title or (_("Canceled before it came") if tombstone else ref),
            "emergency": priority == 0 and not tombstone,
            "state": states.get(state, state),
            "state_class": state.lower(),
            "created_at": created_at,
            "window_end": window_end,
            "chains": chains,
            "settled": confirmed + done + canceled,
            "confirmed": confirmed,
            "canceled": canceled,
            "attempts": attempts,
            "sealed": sealed,
        }
        for ref, title, priority, state, created_at, window_end, sealed, *counts in rows
        for chains, confirmed, done, canceled, attempts, tombstone in [counts]
    ]


def _name_states() -> dict[str, str]:
    return {
        "RECEIVING": _("Receiving"),
        "READY": _("Ready"),
        "RUNNING": _("Running"),
        "CANCELLING": _("Canceling"),
        "CANCELLED": _("Canceled"),
        "FINISHED": _("Finished"),
    }


def _list_entries(account_id: int | None) -> list[dict[str, Any]]:
    """The newest entries of the call log; those of several accounts by time."""
    rows = query(
        "SELECT e.occurred_at, e.entry_type, e.channel, e.phone_number, e.status_code,"
        " e.disposition, e.confirmed, e.attempt_number, e.seq FROM switchboard_account a"
        " CROSS JOIN LATERAL (SELECT * FROM switchboard_entry l WHERE l.account_id = a.id"
        "  ORDER BY l.seq DESC LIMIT %s) AS e WHERE %s::bigint IS NULL OR a.id = %s"
        " ORDER BY e.occurred_at DESC, e.seq DESC LIMIT %s",
        [MOST_ENTRIES, account_id, account_id, MOST_ENTRIES],
    )
    kinds = {
        "ATTEMPT_RESULT": _("Attempt"),
        "ATTEMPT_UPDATE": _("Later word"),
        "STEP_RESULT": _("Step"),
        "CHAIN_RESULT": _("Chain"),
        "JOB_RESULT": _("Job"),
    }
    channels = {"VOICE": _("Call"), "TEXT": _("Text")}
    return [
        {
            "at": at,
            "kind": kinds.get(kind, kind),
            "channel": channels.get(channel, ""),
            "number": mask(number),
            "code": code,
            "words": disposition.capitalize() if code is None else lookup(code).status,
            "confirmed": confirmed and kind != "CHAIN_RESULT",
            "attempt": attempt,
        }
        for at, kind, channel, number, code, disposition, confirmed, attempt, _seq in rows
    ]
