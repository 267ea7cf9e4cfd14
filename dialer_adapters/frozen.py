"""What is sent to a provider, frozen before it is sent: the job and the chains of a batch.

`FrozenJob` survives JSON unchanged, because the outbox stores it; the chains of a batch are plain
JSON lists that PostgreSQL builds by itself (`ChainRow`), because nothing may hold all recipients in
Python. No Django, no zeep, no provider's name. Import these names from `dialer_adapters.contract`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, time
from typing import Any, Literal, TypedDict

Priority = Literal["EMERGENCY", "PRIORITY", "NORMAL"]
StopOn = Literal["CONFIRM", "LIVE", "MACHINE", "TEXT_SENT"]
MachineAction = Literal["LEAVE_MESSAGE", "HANG_UP"]
StartPolicy = Literal["WHEN_SEALED", "IMMEDIATE"]
CustomerKind = Literal["DISTRICT", "SCHOOL"]
ConsentState = Literal["OPTED_IN", "OPTED_OUT"]

# --------------------------------------------------------------- chains, as they are frozen in SQL

StepRow = list[str | None]
"""`[step_ref, "V" | "T", e164, extension, zone]`: voice or text; the last two are null when absent.

`step_ref` is 1 to 64 of `A-Za-z0-9._:-`, `e164` is +1 and ten digits, `extension` is 1 to 16 of
`0-9*#,` (a comma is a pause), `zone` is an IANA name such as `America/Chicago`. Trailing nulls may
be left out: `["s1", "V", "+16125550100"]`. """

SegmentRow = list[str | None]
"""`[audio_id, say, language]`: a stored recording or words to be spoken; nulls where absent."""


class ScriptRow(TypedDict, total=False):
    """What is said and written, as JSON. Every key may be absent; lists are played in order."""

    live: list[SegmentRow]
    machine: list[SegmentRow]
    text: str | None
    confirm_digit: str | None
    repeat_digit: str | None


class _ChainRequired(TypedDict):
    r: str
    s: list[StepRow]


class ChainRow(_ChainRequired, total=False):
    """One call chain of a batch, short keys because a batch holds up to 1,000 (A3-02 to A3-08).

    `r` chain_ref (unique per job across batches) and `s` its steps in dialing order are required.
    Optional, absent or null: `o` = "P" dials all steps at once instead of one after the other, `x`
    a script of its own in place of the job's, `c` caller ID (E.164), `u` customerID, the last two
    for the student's school."""

    o: str | None
    x: ScriptRow | None
    c: str | None
    u: str | None


# ----------------------------------------------------------------------------------------- the job


def require_aware(value: datetime, name: str) -> datetime:
    """Returns the value, or raises ValueError when it carries no offset: nobody guesses a zone."""
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError(f"{name} must carry an offset: {value.isoformat()}")
    return value


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a script: a stored recording (`audio_id`) or words to say, in a BCP 47
    language."""

    audio_id: str | None = None
    say: str | None = None
    language: str | None = None

    def to_json(self) -> SegmentRow:
        return [self.audio_id, self.say, self.language]

    @classmethod
    def from_json(cls, row: Sequence[str | None]) -> Segment:
        return cls(*row)


@dataclass(frozen=True, slots=True)
class Script:
    """Words for a person (`live`), for a machine (`machine`, else `live`) and for a text."""

    live: tuple[Segment, ...] = ()
    machine: tuple[Segment, ...] = ()
    text: str | None = None
    confirm_digit: str | None = None
    repeat_digit: str | None = None

    def to_json(self) -> ScriptRow:
        return {
            "live": [segment.to_json() for segment in self.live],
            "machine": [segment.to_json() for segment in self.machine],
            "text": self.text,
            "confirm_digit": self.confirm_digit,
            "repeat_digit": self.repeat_digit,
        }

    @classmethod
    def from_json(cls, row: ScriptRow) -> Script:
        return cls(
            live=tuple(Segment.from_json(part) for part in row.get("live") or ()),
            machine=tuple(Segment.from_json(part) for part in row.get("machine") or ()),
            text=row.get("text"),
            confirm_digit=row.get("confirm_digit"),
            repeat_digit=row.get("repeat_digit"),
        )


@dataclass(frozen=True, slots=True)
class Redial:
    """When a number is dialed again: at most `max_attempts` calls, `minutes_between` apart, after
    one of `codes` (call status codes). `unknown_outcome` alone governs calls that may have been
    dialed."""

    max_attempts: int
    minutes_between: int
    codes: tuple[int, ...]
    redial_machine: bool = False
    unknown_outcome: Literal["REDIAL", "STOP"] = "STOP"

    def to_json(self) -> dict[str, Any]:
        return {
            "max_attempts": self.max_attempts,
            "minutes_between": self.minutes_between,
            "codes": list(self.codes),
            "redial_machine": self.redial_machine,
            "unknown_outcome": self.unknown_outcome,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Redial:
        return cls(**{**data, "codes": tuple(data["codes"])})


@dataclass(frozen=True, slots=True)
class LocalHours:
    """Wall-clock hours that hold in the zone of each step (else `default_zone`)."""

    earliest: time
    latest: time
    default_zone: str
    on_violation: Literal["HOLD", "FAIL"] = "HOLD"

    def __post_init__(self) -> None:
        if self.earliest.tzinfo is not None or self.latest.tzinfo is not None:
            raise ValueError("local hours are wall time: they carry no offset")

    def to_json(self) -> dict[str, Any]:
        return {
            "earliest": self.earliest.isoformat(),
            "latest": self.latest.isoformat(),
            "default_zone": self.default_zone,
            "on_violation": self.on_violation,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LocalHours:
        return cls(
            earliest=time.fromisoformat(data["earliest"]),
            latest=time.fromisoformat(data["latest"]),
            default_zone=data["default_zone"],
            on_violation=data["on_violation"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenJob:
    """Everything of one message's job except its chains, fixed at the moment of sending (A1-15).

    `job_ref` is the idempotency key: the same job may be submitted any number of times.
    `window_start` and `window_end` are aware; every job but an emergency needs an end.
    `ring_seconds` is 10 to 120. TotalChains is no part of it: it travels alone in the last batch
    (ruling 15), as an argument of `submit` and `add_chains`."""

    job_ref: str
    customer_id: str
    priority: Priority
    message_type: str
    redial: Redial
    script: Script
    title: str | None = None
    caller_id: str | None = None
    text_sender: str | None = None
    window_start: datetime | None = None
    window_end: datetime | None = None
    local_hours: LocalHours | None = None
    stop_on: tuple[StopOn, ...] = ("CONFIRM",)
    machine_action: MachineAction = "LEAVE_MESSAGE"
    detect_machine: bool = True
    max_lines: int | None = None
    suppress_duplicates: bool = False
    scrub_wireless: bool = False
    start_policy: StartPolicy = "WHEN_SEALED"
    ring_seconds: int | None = None

    def __post_init__(self) -> None:
        for name in ("window_start", "window_end"):
            value = getattr(self, name)
            if value is not None:
                require_aware(value, name)

    def to_json(self) -> dict[str, Any]:
        """The job as JSON values in a fixed order; `from_json` gives back an equal job."""
        data: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, datetime):
                value = value.isoformat()
            elif isinstance(value, (Redial, Script, LocalHours)):
                value = value.to_json()
            elif isinstance(value, tuple):
                value = list(value)
            data[field.name] = value
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FrozenJob:
        """Reads what `to_json` wrote. Raises ValueError on a time without offset, TypeError or
        KeyError on a shape that is not ours."""
        values = dict(data)
        values["redial"] = Redial.from_json(values["redial"])
        values["script"] = Script.from_json(values["script"])
        values["stop_on"] = tuple(values.get("stop_on") or ("CONFIRM",))
        if values.get("local_hours") is not None:
            values["local_hours"] = LocalHours.from_json(values["local_hours"])
        for name in ("window_start", "window_end"):
            if values.get(name) is not None:
                values[name] = datetime.fromisoformat(values[name])
        return cls(**values)
