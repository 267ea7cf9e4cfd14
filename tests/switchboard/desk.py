"""A switchboard in the test's own process: requests go straight to its WSGI application, rounds are
played by hand, and time is moved."""

from __future__ import annotations

import base64
import io
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from lxml import etree

from dialer_adapters.shoutpoint.wsdl import NAMESPACE, SOAP_ENVELOPE, message_schema
from dialer_adapters.switchboard.accounts import found_exchange, save_account
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.endpoint import Endpoint
from dialer_adapters.switchboard.lines.simulated import SimulatedLines
from dialer_adapters.switchboard.pools import LinePools

TAG = f"{{{NAMESPACE}}}"
USERNAME, PASSWORD = "district", "a word between us"
HOUR = timedelta(hours=1)


def element(name: str, value: object | None) -> str:
    """One element; nothing for None, one each for a list; dicts and raw XML (in a tuple) nest."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "".join(element(name, item) for item in value)
    if isinstance(value, dict):
        value = ("".join(element(key, item) for key, item in value.items()),)
    if isinstance(value, tuple):
        return f"<d:{name}>{''.join(value)}</d:{name}>"
    if isinstance(value, bool):
        value = str(value).lower()
    if isinstance(value, datetime):
        value = value.isoformat()
    text = str(value).replace("&", "&amp;").replace("<", "&lt;")
    return f"<d:{name}>{text}</d:{name}>"


def envelope(operation: str, parts: Sequence[str]) -> bytes:
    body = f'<d:{operation} xmlns:d="{NAMESPACE}">{"".join(parts)}</d:{operation}>'
    return (f'<s:Envelope xmlns:s="{SOAP_ENVELOPE}"><s:Body>{body}</s:Body></s:Envelope>').encode()


def chain(ref: str, *numbers: str, **more: Any) -> str:
    """A chain of voice steps; a number that begins with "T" is texted instead. Steps are `ref-1`,
    `ref-2` ...; `more` are other elements of Chain, and Extension and TimeZone for all its
    steps."""
    step_more = {key: more.pop(key) for key in ("Extension", "TimeZone") if key in more}
    steps = [
        {
            "StepRef": f"{ref}-{place}",
            "Channel": "TEXT" if number.startswith("T") else "VOICE",
            "PhoneNumber": number.removeprefix("T"),
            **step_more,
        }
        for place, number in enumerate(numbers, start=1)
    ]
    order = {"Order": more.pop("Order", None)}
    return element("Chain", {"ChainRef": ref, **order, "Step": steps, **more})


def job_values(job_ref: str, **changes: Any) -> dict[str, Any]:
    """The elements of Job in the schema's order, with changes; None leaves one out."""
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "JobRef": job_ref,
        "CustomerID": "D-000001",
        "Priority": "NORMAL",
        "MessageType": "GENERAL",
        "Title": None,
        "CallerID": None,
        "TextSender": None,
        "WindowStart": now - HOUR,
        "WindowEnd": now + 6 * HOUR,
        "LocalHours": None,
        "Redial": {},
        "StopOn": "CONFIRM",
        "MachineAction": "LEAVE_MESSAGE",
        "DetectMachine": True,
        "MaxLines": None,
        "SuppressDuplicates": False,
        "ScrubWireless": False,
        "Script": {"Live": {"Say": "School is closed today."}, "Text": "School is closed."},
        "TotalChains": None,
        "StartPolicy": "WHEN_SEALED",
        "RingSeconds": None,
    }
    redial = {
        "MaxAttemptsPerNumber": 1,
        "MinutesBetween": 15,
        "RedialCode": None,
        "RedialMachine": False,
        "UnknownOutcome": "STOP",
    }
    values["Redial"] = {**redial, **changes.pop("Redial", {})}
    return {**values, **changes}


class Answer:
    """An answer of the switchboard, valid by the contract's own schema."""

    def __init__(self, status: str, body: bytes) -> None:
        self.status = int(status.split()[0])
        self.body = body
        if self.status == 401:
            return
        content = etree.fromstring(body).find(f"{{{SOAP_ENVELOPE}}}Body/*")
        assert content is not None
        if content.tag == f"{{{SOAP_ENVELOPE}}}Fault":
            details = content.findall("detail/*")
            assert len(details) == 1
            assert self.status == 500
            self.faultcode = content.findtext("faultcode")
            content = details[0]
        self.content = content
        self.name = etree.QName(content).localname
        message_schema().assertValid(content)

    def __getitem__(self, name: str) -> str | None:
        return self.content.findtext(f"{TAG}{name}")

    def all(self, name: str) -> list[dict[str, str]]:
        """Children of that name, as dicts of their own children."""
        return [
            {etree.QName(part).localname: part.text or "" for part in found}
            for found in self.content.iterfind(f"{TAG}{name}")
        ]

    @property
    def fault(self) -> tuple[str, str | None]:
        """The type of the fault and its code."""
        return self.name, self["Code"]


class Desk:
    """The switchboard at hand: requests, rounds and a clock that tests move."""

    def __init__(self, lines: int = 50, emergency_lines: int = 10, speed: float = 1.0) -> None:
        save_account(USERNAME, PASSWORD, "district-1")
        self.credentials = (USERNAME, PASSWORD)
        self.now = time.time()
        self.speed = speed
        self.pools = (lines, emergency_lines)
        self.open()

    def open(self) -> None:
        """Begin, or begin again as after kill -9: nothing but the database is left."""
        lines = SimulatedLines(seed=1, speed=self.speed)
        self.dialer = Dialer(lines, LinePools(*self.pools), clock=lambda: self.now)
        self.endpoint = Endpoint(self.dialer)
        found_exchange()
        self.dialer.recover()

    def open_account(self, username: str, password: str = "another word") -> int:
        """One more account; its key."""
        return save_account(username, password, username)[0].pk

    # -- requests

    def post(self, body: bytes, credentials: tuple[str, ...] | None = ()) -> Answer:
        """POST an envelope; as nobody when `credentials` is None."""
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/soap",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        if credentials is not None:
            credentials = credentials or self.credentials
            token = base64.b64encode(":".join(credentials).encode()).decode()
            environ["HTTP_AUTHORIZATION"] = f"Basic {token}"
        said: list[str] = []
        parts = self.endpoint(environ, lambda status, headers: said.append(status))
        return Answer(said[0], b"".join(parts))

    def call(self, operation: str, /, *chains: str, **elements: Any) -> Answer:
        """One request; `elements` in the order of the schema, `chains` where chains go."""
        parts = [element(name, value) for name, value in elements.items()]
        place = 1 if operation == "SubmitJob" else 2
        return self.post(envelope(operation, [*parts[:place], *chains, *parts[place:]]))

    def submit(self, *chains: str, job_ref: str | None = None, **changes: Any) -> Answer:
        """SubmitJob with these chains, sealed unless TotalChains is given as None."""
        changes.setdefault("TotalChains", len(chains))
        self.job_ref = job_ref or str(uuid.uuid4())
        return self.call("SubmitJob", *chains, Job=job_values(self.job_ref, **changes))

    def add(
        self, number: int, *chains: str, total: int | None = None, job_ref: str | None = None
    ) -> Answer:
        ref = job_ref or self.job_ref
        return self.call("AddChains", *chains, JobRef=ref, BatchNumber=number, TotalChains=total)

    def cancel(self, job_ref: str | None = None, **listed: Any) -> Answer:
        order = {key: listed.get(key) for key in ("ChainRef", "Reason", "PhoneNumber")}
        return self.call("CancelJob", JobRef=job_ref or self.job_ref, **order)

    def status(self, job_ref: str | None = None) -> dict[str, str]:
        """The job's status, its counts among it."""
        answer = self.call("GetJobStatus", JobRef=job_ref or self.job_ref)
        found = answer.content.find(f"{TAG}Job")
        assert found is not None
        leaves = (part for part in found.iter() if len(part) == 0)
        return {etree.QName(part).localname: part.text or "" for part in leaves}

    def read_log(self, job_ref: str | None = None, size: int = 5000) -> list[dict[str, str]]:
        """All entries of one job (of the test's newest one by default), page by page."""
        entries: list[dict[str, str]] = []
        after, epoch = 0, None
        while True:
            answer = self.call(
                "GetCallLog",
                JobRef=job_ref or self.job_ref,
                Epoch=epoch,
                AfterSeq=after,
                MaxEntries=size,
            )
            entries += answer.all("Entry")
            after, epoch = int(answer["NextSeq"] or 0), answer["Epoch"]
            if answer["HasMore"] == "false":
                return entries

    # -- time

    def play(self) -> float | None:
        """One round now."""
        return self.dialer.step(self.now)

    def run(self, seconds: float = 24 * 3600.0, until: Callable[[], bool] | None = None) -> None:
        """Play rounds, jumping from one event to the next, until nothing is due for `seconds`, or
        `until` is true."""
        end = self.now + seconds
        for _ in range(100_000):
            if until is not None and until():
                return
            wake = self.play()
            if wake is None:
                return
            if wake > end:
                self.now = end
                self.play()
                return
            self.now = max(self.now, wake)
        raise AssertionError("the rounds do not end")

    # -- shapes of a log

    def results(self, job_ref: str | None = None) -> list[tuple[str, str, str | None]]:
        """(step, attempt, code) of each attempt's first result, in the order of the log."""
        return [
            (entry["StepRef"], entry["AttemptNumber"], entry.get("StatusCode"))
            for entry in self.read_log(job_ref)
            if entry["EntryType"] == "ATTEMPT_RESULT"
        ]

    def closings(self, job_ref: str | None = None) -> dict[str, tuple[str | None, str, str]]:
        """By step: (code, disposition, reason) of its STEP_RESULT."""
        return {
            entry["StepRef"]: (entry.get("StatusCode"), entry["Disposition"], entry["Reason"])
            for entry in self.read_log(job_ref)
            if entry["EntryType"] == "STEP_RESULT"
        }

    def ending(self, job_ref: str | None = None) -> tuple[str, str, str | None]:
        """(disposition, reason, code) of the JOB_RESULT, which only text revisions may follow."""
        entries = self.read_log(job_ref)
        while entries[-1]["EntryType"] == "ATTEMPT_UPDATE":
            entries.pop()
        last = entries[-1]
        assert last["EntryType"] == "JOB_RESULT"
        return last["Disposition"], last["Reason"], last.get("StatusCode")


@cache
def number(last: int, area: int = 612) -> str:
    """A reserved number: NPA-555-0100 to 0199 behave as `lines.simulated` says."""
    return f"+1{area}555{last:04d}"
