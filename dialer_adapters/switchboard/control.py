"""Trouble on demand: failure modes that tests switch on while the switchboard runs.

Served at /control, on the loopback alone, and only when started with --control. POST takes JSON:

    {"trouble": "unavailable", "operations": ["SubmitJob"], "times": 2}
        the next two SubmitJob get 503 with a page of HTML. Also:
        "slow"     answers after `seconds` (default 2)
        "timeout"  does the work, then waits `seconds` (default 30) and breaks the connection off
        "cut"      does the work and sends half of the answer
        "empty"    does the work and breaks off before the answer
        "garbage"  answers 200 with something that is not XML
        "doctype"  answers 200 with a document type declaration that defines entities
        "html"     answers 200 with a page of HTML
        "lying"    does the work, and tells something else (see `lies`)
        "throttled", "maintenance"   a ServerBusyFault: again in `seconds`
        "bad_credentials", "account_disabled"   an AuthenticationFault
        without `operations` all of them, without `times` until {"trouble": null}
    {"forgetful": true}       neither looks a reference up nor knows a repeat: it is taken as new
    {"refuse": 5}             no connection is accepted for five seconds
    {"requests_per_second": 3}   what an account sends beyond that is THROTTLED; 0 ends it
    {"forget": "<JobRef>"}    the job and all that was stored of it are gone
    {"restart": true}         what was under way is lost, as by kill -9 and a start
    {"new_epoch": true}       as after a restore: older jobs are closed (ruling 24)
    {"oldest_seq": 17}        entries before this one are gone, for every account

and what phones do, to the account "account" (may be left out when there is only one):

    {"inbound_text": {"from": "+16125550110", "body": "STOP"}}
    {"recording": {"user": "u-1", "audience": "ALL", "sound": "<base64 WAV>", "from": "+1..."}}

GET gives the trouble that is on, as JSON.
"""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from dialer_adapters.switchboard.accounts import store_new_epoch
from dialer_adapters.switchboard.database import execute, query, transaction
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.door import Door
from dialer_adapters.switchboard.faults import AuthenticationFault, Fault, ServerBusyFault
from dialer_adapters.switchboard.inbound import receive_text, record_message
from dialer_adapters.switchboard.lies import tell_lies
from dialer_adapters.switchboard.throttle import Throttle

LOOPBACK = ("127.0.0.1", "::1")
HTML = b"<!doctype html><html><body><h1>Service unavailable</h1></body></html>"
DOCTYPE = (
    b'<?xml version="1.0"?><!DOCTYPE e [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>&b;</e:Body>'
    b"</e:Envelope>"
)
FAULTS = ("throttled", "maintenance", "bad_credentials", "account_disabled")
TROUBLES = (
    *("unavailable", "slow", "timeout", "cut", "empty", "garbage", "doctype", "html", "lying"),
    *FAULTS,
)
BREAKS_OFF = ("timeout", "cut", "empty")
MARK = "switchboard.trouble"


class Trouble(Exception):
    """An answer that replaces the real one."""

    def __init__(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        super().__init__(status.phrase)
        self.status = status
        self.content_type = content_type
        self.body = body


@dataclass(slots=True)
class Plan:
    """The trouble that is on."""

    trouble: str
    operations: list[str]
    times: int | None
    seconds: float


class Control:
    """Holds the plan and carries it out."""

    def __init__(
        self, dialer: Dialer, throttle: Throttle | None = None, door: Door | None = None
    ) -> None:
        self.dialer = dialer
        self.throttle = throttle or Throttle()
        self.door = door
        self.forgetful = False
        self._plan: Plan | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()  # set when the plan changes, so that nobody waits in vain

    # ------------------------------------------------------------------------- during a request

    def before(self, environ: dict[str, Any], operation: str) -> None:
        """Before the work: mark the request if it is to be troubled; some never come to work."""
        with self._lock:
            plan = self._plan
            if plan is None or (plan.operations and operation not in plan.operations):
                return
            if plan.times is not None:
                plan.times -= 1
                if plan.times <= 0:
                    self._plan = None
            over = self._over
        environ[MARK] = (plan, over)
        if plan.trouble in FAULTS:
            raise _make_fault(plan)
        if plan.trouble == "unavailable":
            raise Trouble(HTTPStatus.SERVICE_UNAVAILABLE, "text/html", HTML)
        if plan.trouble == "html":
            raise Trouble(HTTPStatus.OK, "text/html", HTML)
        if plan.trouble == "garbage":
            raise Trouble(HTTPStatus.OK, "text/xml", b"\x00\x01 this is not <xml")
        if plan.trouble == "doctype":
            raise Trouble(HTTPStatus.OK, "text/xml", DOCTYPE)

    def after(self, environ: dict[str, Any], operation: str, answer: list[str]) -> list[str]:
        """After the work: wait, for those that answer late or never. Returns the answer's parts,
        which are other ones when the switchboard lies."""
        if MARK in environ:
            plan, over = environ[MARK]
            if plan.trouble in ("slow", "timeout"):
                over.wait(plan.seconds)
            elif plan.trouble == "lying":
                return tell_lies(operation, answer)
        return answer

    def cut(self, environ: dict[str, Any], body: bytes) -> bytes:
        """What is sent of an answer; less than its Content-Length makes the server break off."""
        if MARK not in environ or environ[MARK][0].trouble not in BREAKS_OFF:
            return body
        return body[: len(body) // 2] if environ[MARK][0].trouble == "cut" else b""

    # -------------------------------------------------------------------------------- switching

    def answer(self, environ: dict[str, Any]) -> tuple[HTTPStatus, str, bytes]:
        """GET and POST of /control."""
        if environ.get("REMOTE_ADDR") not in LOOPBACK:
            return HTTPStatus.FORBIDDEN, "text/plain", b"Loopback only.\n"
        if environ["REQUEST_METHOD"] == "POST":
            length = int(environ.get("CONTENT_LENGTH") or 0)
            try:
                self.apply(json.loads(environ["wsgi.input"].read(length)))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n".encode()
        state = {"plan": asdict(self._plan) if self._plan else None, "epoch": self.dialer.epoch}
        return HTTPStatus.OK, "application/json", json.dumps(state).encode()

    def apply(self, wish: dict[str, Any]) -> None:
        """Carry out one wish. Raises ValueError for an unknown one."""
        if "trouble" in wish:
            self._set_plan(wish)
        elif "refuse" in wish:
            self._refuse(float(wish["refuse"]))
        elif "requests_per_second" in wish:
            self.throttle.set_rate(float(wish["requests_per_second"]))
        elif "forgetful" in wish:
            self.forgetful = bool(wish["forgetful"])
        elif "restart" in wish:
            self.dialer.recover()
        elif "inbound_text" in wish:
            text = wish["inbound_text"]
            receive_text(self.dialer, _find_account(wish), text["from"], text["body"])
        elif "recording" in wish:
            self._record(_find_account(wish), wish["recording"])
        elif "forget" in wish:
            self._forget(str(wish["forget"]))
        elif "new_epoch" in wish:
            self._change_epoch()
        elif "oldest_seq" in wish:
            self._drop_entries(int(wish["oldest_seq"]))
        else:
            raise ValueError(f"unknown wish: {sorted(wish)}")

    def _set_plan(self, wish: dict[str, Any]) -> None:
        trouble = wish["trouble"]
        if trouble is not None and trouble not in TROUBLES:
            raise ValueError(f"unknown trouble: {trouble}")
        seconds = float(wish.get("seconds", 30 if trouble == "timeout" else 2))
        plan = Plan(trouble, list(wish.get("operations", [])), wish.get("times"), seconds)
        with self._lock:
            self._plan = plan if trouble else None
            self._over.set()
            self._over = threading.Event()

    def _forget(self, job_ref: str) -> None:
        with self.dialer.gate:
            with transaction():
                jobs = query("SELECT id FROM switchboard_job WHERE job_ref = %s", [job_ref])
                for (job_pk,) in jobs:
                    own = "(SELECT id FROM switchboard_batch WHERE job_id = %s)"
                    execute(f"DELETE FROM switchboard_attempt WHERE batch_id IN {own}", [job_pk])
                    execute("DELETE FROM switchboard_entry WHERE job_id = %s", [job_pk])
                    execute("DELETE FROM switchboard_batch WHERE job_id = %s", [job_pk])
                    execute("DELETE FROM switchboard_job WHERE id = %s", [job_pk])
            for (job_pk,) in jobs:
                self.dialer.forget_job(job_pk)

    def _refuse(self, seconds: float) -> None:
        if self.door is None:
            raise ValueError("there is no door to close")
        self.door.close_for(seconds)

    def _record(self, account_id: int, recording: dict[str, Any]) -> None:
        record_message(
            self.dialer,
            account_id,
            str(recording["user"]),
            str(recording["audience"]),
            base64.b64decode(recording["sound"]),
            recording.get("from"),
        )

    def _change_epoch(self) -> None:
        with self.dialer.gate:
            self.dialer.change_epoch(store_new_epoch())

    def _drop_entries(self, oldest_seq: int) -> None:
        with transaction():
            execute("DELETE FROM switchboard_entry WHERE seq < %s", [oldest_seq])
            execute("UPDATE switchboard_account SET oldest_seq = %s", [oldest_seq])


def _make_fault(plan: Plan) -> Fault:
    if plan.trouble == "bad_credentials":
        return AuthenticationFault("BAD_CREDENTIALS", "User name or password not accepted.")
    if plan.trouble == "account_disabled":
        return AuthenticationFault("ACCOUNT_DISABLED", "The account is disabled.")
    return ServerBusyFault(plan.trouble.upper(), "Not now.", max(1, round(plan.seconds)))


def _find_account(wish: dict[str, Any]) -> int:
    """The account a wish names, or the only one. Raises ValueError."""
    rows = query(
        "SELECT id FROM switchboard_account WHERE %s::text IS NULL OR username = %s",
        [wish.get("account"), wish.get("account")],
    )
    if len(rows) != 1:
        raise ValueError("which account?")
    return int(rows[0][0])
