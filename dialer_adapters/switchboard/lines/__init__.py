"""What the dialing thread asks of lines: place a call, send a text, tell what became of them.

Lines know numbers and sounds, never jobs or chains. The simulated ones are in `simulated`; lines to
a SIP trunk would keep the same protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Placement:
    """One attempt to place. `talk_seconds` is how long the message takes to play to a person,
    `machine_seconds` what a machine hears (with `leave_message`); `detect_machine` says whether the
    two are told apart. `segments` is the number of parts of a text."""

    attempt_id: str
    number: str
    extension: str | None
    attempt_number: int
    talk_seconds: float = 20.0
    machine_seconds: float = 20.0
    ring_seconds: float = 30.0
    detect_machine: bool = True
    leave_message: bool = True
    confirm_digit: str = "0"
    segments: int = 1


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt at `at` (seconds since the epoch). A text has several, one after
    the other; `last` says that no more will come. Times of a call are when it really happened."""

    attempt_id: str
    at: float
    code: int
    last: bool = True
    answered_by: str | None = None
    digits: str | None = None
    confirmed: bool = False
    connected_at: float | None = None
    segments: int | None = None
    sip_code: int | None = None
    cause_q850: int | None = None
    call_error: str | None = None


class Lines(Protocol):
    """Lines that the dialing thread drives. None of the methods waits."""

    speed: float

    def call(self, placement: Placement, now: float) -> None:
        """Start a call. Its result comes from `collect`."""

    def text(self, placement: Placement, now: float, after: int | None = None) -> bool:
        """Send a text, or, with `after`, go on with one whose last known code was that; whether
        anything more is expected of it."""

    def collect(self, now: float) -> Sequence[Result]:
        """The results up to `now`, oldest first, each once."""

    def next_at(self) -> float | None:
        """When the next result is due, or None."""

    def forget(self, attempt_ids: set[str]) -> None:
        """Report nothing more about these attempts."""
