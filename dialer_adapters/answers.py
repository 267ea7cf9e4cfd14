"""What a provider answers, as frozen values: receipts, states, log pages, consents.

What is read in bulk is a page of `LogEntry`, kept as columns that go to `COPY` without another
conversion; the rest are small dataclasses. No Django, no zeep, no provider's name. Import these
names from `dialer_adapters.contract`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, overload


@dataclass(frozen=True, slots=True)
class RejectedStep:
    """A chain or step that was refused at submission; its log entry says the same (contract
    7.4.11)."""

    chain_ref: str
    step_ref: str | None
    status_code: int
    detail: str | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """Answer to `submit` and `add_chains`. `replayed`: the provider had this very request
    already."""

    job_id: str
    replayed: bool
    state: str
    sealed: bool
    chains_accepted: int
    rejected: tuple[RejectedStep, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancelled:
    """After this answer no attempt of those chains starts; calls in progress finish."""

    job_ref: str
    job_id: str | None
    state: str
    chains_cancelled: int
    attempts_in_progress: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The provider's own totals of a job: shown to nobody as truth, ours are counted from rows."""

    chains: int
    chains_open: int
    chains_confirmed: int
    chains_done: int
    chains_cancelled: int
    steps_attempted: int
    attempts: int


@dataclass(frozen=True, slots=True)
class JobStatus:
    """State is RECEIVING, READY, RUNNING, FINISHED, CANCELLING, CANCELLED, UNKNOWN or a newer word.
    `epoch` is the log's at the time of the answer; `final_seq` is the Seq of JOB_RESULT."""

    job_ref: str
    job_id: str | None
    state: str
    sealed: bool
    counts: Counts | None
    last_seq: int
    final_seq: int | None
    cancel_requested_at: datetime | None
    epoch: str


@dataclass(frozen=True, slots=True)
class Limits:
    max_chains_per_batch: int
    max_page_size: int
    max_audio_bytes: int
    normal_lines: int
    emergency_lines: int
    calls_per_second: float
    log_retention_days: int


@dataclass(frozen=True, slots=True)
class Verified:
    """The account behind the credentials. Two end points are one account when `state_id` and
    `customer_id` are equal (ruling 23); cursor and audio belong to one (`state_id`, `epoch`)."""

    customer_id: str
    account_status: str
    capabilities: frozenset[str]
    limits: Limits
    epoch: str
    server_time: datetime
    state_id: str


class LogEntry(NamedTuple):
    """One immutable entry of the call log, in the column order of the wire (contract 8.1).

    Times are ISO 8601 text with offset, checked but not converted, because they go on to `COPY`.
    `entry_type` is ATTEMPT_RESULT, ATTEMPT_UPDATE, STEP_RESULT, CHAIN_RESULT, JOB_RESULT or a newer
    word. `properties` is a JSON object as text, or None; a value that could not be read is kept
    there under `malformed` and its column is None (`revision` 0, `occurred_at` the page's server
    time), so that one odd entry never stops the log (C5)."""

    seq: int
    entry_id: str
    entry_type: str
    occurred_at: str
    job_id: str | None
    job_ref: str | None
    chain_ref: str | None
    step_ref: str | None
    attempt_id: str | None
    attempt_number: int | None
    revision: int
    channel: str | None
    phone_number: str | None
    status_code: int | None
    disposition: str | None
    reason: str | None
    final: bool
    confirmed: bool
    answered_by: str | None
    digits: str | None
    started_at: str | None
    connected_at: str | None
    ended_at: str | None
    duration_seconds: int | None
    text_segments: int | None
    next_attempt_at: str | None
    sip_code: int | None
    cause_q850: int | None
    call_error: str | None
    properties: str | None


FIELDS = LogEntry._fields


class LogColumns(Sequence[LogEntry]):
    """Entries of a page kept as columns, which is how a page of 5,000 is read and stored; `of` maps
    each field of `LogEntry` to its column. To anyone else it is a sequence of entries."""

    __slots__ = ("of",)

    def __init__(self, of: Mapping[str, list[Any]]) -> None:
        self.of = of

    @classmethod
    def from_entries(cls, entries: Sequence[LogEntry]) -> LogColumns:
        """The same entries as columns; columns stay what they are."""
        if isinstance(entries, cls):
            return entries
        columns = map(list, zip(*entries, strict=True)) if entries else ([] for _ in FIELDS)
        return cls(dict(zip(FIELDS, columns, strict=True)))

    def part(self, start: int, end: int) -> LogColumns:
        """The entries from `start` up to `end`."""
        return LogColumns({name: column[start:end] for name, column in self.of.items()})

    def __len__(self) -> int:
        return len(self.of["seq"])

    def __iter__(self) -> Iterator[LogEntry]:
        return map(LogEntry._make, zip(*self.of.values(), strict=True))

    @overload
    def __getitem__(self, place: int) -> LogEntry: ...
    @overload
    def __getitem__(self, place: slice) -> list[LogEntry]: ...
    def __getitem__(self, place: int | slice) -> LogEntry | list[LogEntry]:
        if isinstance(place, slice):
            return list(self)[place]
        return LogEntry._make(column[place] for column in self.of.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class LogPage:
    """Entries with Seq strictly rising and > AfterSeq; `next_seq` is the last Seq, or AfterSeq when
    the page is empty. A short page means nothing: only `has_more` says whether to read on at
    once."""

    epoch: str
    entries: Sequence[LogEntry]
    next_seq: int
    has_more: bool
    oldest_seq: int
    server_time: datetime


@dataclass(frozen=True, slots=True)
class StoredAudio:
    audio_id: str
    created: bool
    state: str
    duration_seconds: int | None


@dataclass(frozen=True, slots=True)
class Audio:
    audio_id: str
    content_type: str
    sha256: str
    content: bytes


@dataclass(frozen=True, slots=True)
class TextConsent:
    phone_number: str
    state: str
    changed_at: datetime
    source: str


@dataclass(frozen=True, slots=True)
class TextConsentPage:
    consents: tuple[TextConsent, ...]
    has_more: bool
    as_of: datetime


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    state: str
    replayed: bool
    confirmation_queued: bool


@dataclass(frozen=True, slots=True)
class InboundText:
    seq: int
    text_id: str
    received_at: datetime
    from_number: str
    to_sender: str
    body: str
    keyword: str
    consent_after: str
    auto_reply: str | None


@dataclass(frozen=True, slots=True)
class InboundTextPage:
    epoch: str
    texts: tuple[InboundText, ...]
    next_seq: int
    has_more: bool
    oldest_seq: int
    server_time: datetime


@dataclass(frozen=True, slots=True)
class RemoteMessage:
    seq: int
    remote_message_id: str
    received_at: datetime
    user_ref: str
    caller_number: str | None
    audience_code: str
    audio_id: str
    duration_seconds: int
    state: str


@dataclass(frozen=True, slots=True)
class RemoteMessagePage:
    epoch: str
    messages: tuple[RemoteMessage, ...]
    next_seq: int
    has_more: bool
    oldest_seq: int
    server_time: datetime
