"""The rules of a call chain (dialer contract 7.4) as a pure state machine.

A chain is the numbers of one contact for one matter. This module decides which step may start
now, what a result means for the steps that are left, and when the chain is over. It knows no
database, no network, no Django and no clock: time comes in as seconds since the epoch (UTC, float),
and whoever drives it places the calls. The switchboard drives it, and so does every adapter whose
provider knows no chains. Hundreds of thousands of chains may be open at once, so the classes of
state use slots.

How to drive it:

    chain = Chain(policy, steps, order)
    for closing in chain.review(now): ...          # steps that their local hours forbid (FAIL)
    for step in chain.startable(now):              # may start now
        number = chain.start(step)                 # write it down, then dial
    for closing in chain.report(step, code, now, confirmed): ...
    if not chain.finished: look again at chain.wake_at(now), or after the next report

A *closing* is a step that ends without a result of its own. A step that has started ends by its
last report instead: after it, `is_final(step)` says whether that was the last attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer_adapters.call_codes import UNDETERMINED, lookup

Channel = Literal["VOICE", "TEXT"]
Order = Literal["SEQUENTIAL", "SIMULTANEOUS"]
StopOn = Literal["CONFIRM", "LIVE", "MACHINE", "TEXT_SENT"]

DEFAULT_REDIAL_CODES = frozenset({0, 1, 2, 4, 9, 14, 17, -12, -13, -24, -26})

LIVE, MACHINE = 5, 6
TEXT_QUEUED, TEXT_SENT, TEXT_DELIVERED = -39, -27, -28
LOCAL_TIME_RESTRICTED, CALL_EXPIRED = -9, -11

CHAIN_STOPPED = "CHAIN_STOPPED"
WINDOW_ENDED = "WINDOW_ENDED"
LOCAL_HOURS = "LOCAL_HOURS"

QUARTER = 900.0  # seconds


class StepSpec(Protocol):
    """What the engine must know of a step; drivers bring their own class with more in it."""

    @property
    def channel(self) -> str: ...

    @property
    def zone(self) -> str | None:
        """Name of the time zone that the local hours are measured in; None is the default zone."""


class Closing(NamedTuple):
    """A step that ends without an attempt result of its own. `code` is its last code, -9 or -11, or
    None when it was canceled before its first attempt."""

    step: int
    code: int | None
    canceled: bool
    reason: str


# ------------------------------------------------------------------------------------- local hours


class _Hours(NamedTuple):
    since: float
    until: float
    is_open: bool
    opens_at: float


class LocalHours:
    """The hours in which a number may be called, in its own zone: from `earliest` to before
    `latest` (through midnight when `earliest` is later). `fail` closes a step outside them, instead
    of holding it. Unknown zone names count as the default zone."""

    __slots__ = ("_known", "default_zone", "earliest", "fail", "latest")

    def __init__(self, earliest: time, latest: time, default_zone: str, fail: bool = False) -> None:
        self.earliest = earliest
        self.latest = latest
        self.default_zone = default_zone
        self.fail = fail
        self._known: dict[str | None, _Hours] = {}

    def is_open(self, zone: str | None, now: float) -> bool:
        """Whether a number in `zone` may be called at `now`."""
        return self._look_up(zone, now).is_open

    def opens_at(self, zone: str | None, now: float) -> float:
        """When to ask again about a number in `zone`: `now` if it may be called, else the moment at
        which its hours begin."""
        hours = self._look_up(zone, now)
        return now if hours.is_open else max(now, hours.opens_at)

    def _look_up(self, zone: str | None, now: float) -> _Hours:
        hours = self._known.get(zone)
        if hours is None or not hours.since <= now < hours.until:
            hours = self._known[zone] = self._work_out(zone, now)
        return hours

    def _work_out(self, zone: str | None, now: float) -> _Hours:
        # Remembered for one quarter of an hour: clocks change on quarters, and so do sane hours.
        local = _find_zone(zone, self.default_zone)
        today = datetime.fromtimestamp(now, local).date()
        edges = sorted(
            datetime.combine(today + timedelta(days=day), at, tzinfo=local).timestamp()
            for day in (-1, 0, 1, 2)
            for at in (self.earliest, self.latest)
        )
        coming = [edge for edge in edges if edge > now]
        quarter = (now // QUARTER + 1) * QUARTER
        return _Hours(
            since=now,
            until=min([quarter, *coming[:1]]),
            is_open=self._contains(local, now),
            opens_at=next((edge for edge in coming if self._contains(local, edge)), quarter),
        )

    def _contains(self, local: ZoneInfo, moment: float) -> bool:
        wall = datetime.fromtimestamp(moment, local).time()
        if self.earliest <= self.latest:
            return self.earliest <= wall < self.latest
        return wall >= self.earliest or wall < self.latest


def _find_zone(*names: str | None) -> ZoneInfo:
    for name in filter(None, names):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue  # a name this machine does not know: the default zone decides
    return ZoneInfo("UTC")


# ------------------------------------------------------------------------------------------ policy


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules that all chains of a job share; one object for all of them.

    `max_attempts` counts per step. `seconds_between` is the pause before a redial.
    `redial_unknown` (UnknownOutcome=REDIAL) alone decides after a code that leaves open whether the
    number was called (ruling 28). `window_end` is None for an emergency, which has no `local_hours`
    either.
    """

    max_attempts: int = 1
    seconds_between: float = 0.0
    redial_codes: frozenset[int] = DEFAULT_REDIAL_CODES
    redial_machine: bool = False
    redial_unknown: bool = False
    stop_on: frozenset[str] = field(default_factory=lambda: frozenset({"CONFIRM"}))
    leave_message: bool = True
    window_end: float | None = None
    local_hours: LocalHours | None = None

    def stops_chain(self, code: int, confirmed: bool) -> bool:
        """Whether a step with this result stops its chain. No code does so by itself: only what
        StopOn names (default: key 0)."""
        return (
            (confirmed and "CONFIRM" in self.stop_on)
            or (code == LIVE and "LIVE" in self.stop_on)
            or (code == MACHINE and "MACHINE" in self.stop_on)
            or (code in (TEXT_SENT, TEXT_DELIVERED) and "TEXT_SENT" in self.stop_on)
        )

    def redials(self, code: int, once_used: bool) -> bool:
        """Whether a number may be tried again after `code`, attempts and time permitting.
        `once_used`: it has been redialed after a code that permits a single redial."""
        treatment = lookup(code)
        if code == MACHINE:
            return self.redial_machine
        if treatment.outcome_unknown:
            return self.redial_unknown
        if treatment.ends_number or treatment.redial == "never":
            return False
        if treatment.outcome_class in ("successful", "opted_out", "canceled"):
            return False
        if treatment.redial == "once" and once_used:
            return False
        listed = code in self.redial_codes
        return listed or (not treatment.known and UNDETERMINED in self.redial_codes)

    def plays_message(self, code: int) -> bool:
        """Whether the message is played to whatever answered with `code`: to people always, to a
        machine with LEAVE_MESSAGE."""
        return code in (LIVE, 8, 13) or (code == MACHINE and self.leave_message)


# ------------------------------------------------------------------------------------------- chain


class Phase(IntEnum):
    """OPEN: may start, now or later. ACTIVE: an attempt is under way. DONE: none will follow."""

    OPEN = 0
    ACTIVE = 1
    DONE = 2


class _StepState:
    __slots__ = ("barred", "code", "confirmed", "once_used", "phase", "ready_at", "tries")

    def __init__(self) -> None:
        self.phase = Phase.OPEN
        self.tries = 0
        self.code: int | None = None
        self.ready_at = 0.0
        self.confirmed = False
        self.once_used = False
        self.barred = False  # canceled while its call was under way: no redial


class Chain:
    """One chain: its steps and where each of them stands.

    Voice steps follow the order: SEQUENTIAL, one call at a time, every number once before any is
    redialed; SIMULTANEOUS, all at once, redials as waves. A number that its local hours hold back
    steps aside and holds back no other. Text steps start with the chain and delay nothing.
    """

    __slots__ = ("_states", "order", "policy", "steps", "stopped")

    def __init__(
        self, policy: Policy, steps: Sequence[StepSpec], order: str = "SEQUENTIAL"
    ) -> None:
        self.policy = policy
        self.steps = steps
        self.order = order
        self.stopped: str | None = None
        """Why nothing may start any more: CHAIN_STOPPED, WINDOW_ENDED or the canceler's."""
        self._states = tuple(_StepState() for _ in steps)

    # -- looking

    @property
    def finished(self) -> bool:
        """Whether every step is done: no attempt is under way and none will follow."""
        return all(state.phase is Phase.DONE for state in self._states)

    @property
    def confirmed(self) -> bool:
        """Whether somebody pressed the confirmation key."""
        return any(state.confirmed for state in self._states)

    @property
    def attempted(self) -> bool:
        """Whether any step has started."""
        return any(state.tries for state in self._states)

    @property
    def active(self) -> int:
        """Number of attempts under way."""
        return sum(state.phase is Phase.ACTIVE for state in self._states)

    def is_final(self, step: int) -> bool:
        """Whether `step` will have no further attempt (the log's Final)."""
        return self._states[step].phase is Phase.DONE

    def is_open(self, step: int) -> bool:
        """Whether `step` may still start, now or later."""
        return self._states[step].phase is Phase.OPEN

    def attempts(self, step: int) -> int:
        """How often `step` has started."""
        return self._states[step].tries

    def last_code(self, step: int) -> int | None:
        """The latest code reported for `step`, or None."""
        return self._states[step].code

    def redial_at(self, step: int) -> float | None:
        """When `step` may be redialed at the earliest, or None when it will not be."""
        state = self._states[step]
        return state.ready_at if state.phase is Phase.OPEN and state.tries else None

    def startable(self, now: float) -> list[int]:
        """The steps that may start at `now`, in dialing order; starting some of them is enough, the
        others are offered again. Ask `review` first."""
        if not self._may_dial(now):
            return []
        ready: list[int] = []
        calls: list[int] = []
        calling = False
        for index, state in enumerate(self._states):
            if self.steps[index].channel == "TEXT":
                if (
                    state.phase is Phase.OPEN
                    and state.ready_at <= now
                    and not self._held(index, now)
                ):
                    ready.append(index)
            elif state.phase is Phase.ACTIVE:
                calling = True
            elif state.phase is Phase.OPEN and not self._held(index, now):
                calls.append(index)
        if calls and not (calling and self.order == "SEQUENTIAL"):
            ready += self._next_calls(calls, now)
        return ready

    def wake_at(self, now: float) -> float | None:
        """When `startable` will offer something if nothing is reported before; `now` if it does.
        None: only a report or the end of the window changes anything."""
        if not self._may_dial(now):
            return None
        if self.startable(now):
            return now
        hours = self.policy.local_hours
        moments: list[float] = []
        calls: list[int] = []
        calling = False
        for index, state in enumerate(self._states):
            step = self.steps[index]
            if state.phase is Phase.ACTIVE:
                calling = calling or step.channel != "TEXT"
            elif state.phase is Phase.OPEN:
                if hours is not None and self._held(index, now):
                    moments.append(max(state.ready_at, hours.opens_at(step.zone, now)))
                elif step.channel == "TEXT":
                    moments.append(state.ready_at)
                else:
                    calls.append(index)
        if calls and not calling:
            wave = self._wave(calls)
            first = wave[:1] if self.order == "SEQUENTIAL" else wave
            moments.append(max(self._states[index].ready_at for index in first))
        coming = min(moments, default=None)
        end = self.policy.window_end
        if coming is None or (end is not None and coming >= end):
            return None
        return coming

    # -- moving

    def review(self, now: float) -> list[Closing]:
        """Close what may not be called at this hour where the policy says FAIL: -9 for a number
        never called, else its last code. Does nothing for a policy that holds."""
        hours = self.policy.local_hours
        if hours is None or not hours.fail or not self._may_dial(now):
            return []
        closings = []
        for index, state in enumerate(self._states):
            if state.phase is Phase.OPEN and self._held(index, now):
                code = state.code if state.tries else LOCAL_TIME_RESTRICTED
                closings.append(self._close(index, code, False, LOCAL_HOURS))
        return closings

    def start(self, step: int) -> int:
        """Begin an attempt of `step` and return its number, from 1. Write it down before you dial.
        Raises ValueError when the step may not start."""
        state = self._states[step]
        if state.phase is not Phase.OPEN or self.stopped is not None:
            raise ValueError(f"step {step} may not start")
        if state.code is not None and lookup(state.code).redial == "once":
            state.once_used = True
        state.tries += 1
        state.phase = Phase.ACTIVE
        return state.tries

    def report(self, step: int, code: int, now: float, confirmed: bool = False) -> list[Closing]:
        """Take the result of the attempt under way, or a later revision of the last one (texts:
        -39, then -27, then -28 or -40). Returns the steps that this closes besides."""
        state = self._states[step]
        state.code = code
        state.confirmed = state.confirmed or confirmed
        if state.phase is Phase.ACTIVE and code != TEXT_QUEUED:
            self._settle(state, code, now, confirmed)
        if self.stopped is not None or not self.policy.stops_chain(code, confirmed):
            return []
        state.phase = Phase.DONE  # what stops the chain is not redialed, and ends by its result
        return self._stop(CHAIN_STOPPED)

    def close(self, step: int, code: int | None, reason: str) -> Closing | None:
        """Close one step that will not be called: refused (-2, -3, -4 ...), or canceled by number
        (`code` None). An attempt under way ends by itself, without a redial. None: was done."""
        state = self._states[step]
        if state.phase is Phase.ACTIVE:
            state.barred = True
        if state.phase is not Phase.OPEN:
            return None
        return self._close(step, state.code if code is None else code, code is None, reason)

    def cancel(self, reason: str) -> list[Closing]:
        """Stop the chain: nothing starts any more, attempts under way end by themselves."""
        return self._stop(reason)

    def expire(self, now: float) -> list[Closing]:
        """End the chain with its window. A step never called gets -11, or -9 when its local hours
        hold it back at that moment; a step waiting for a redial keeps its last code, a queued text
        its -39."""
        if self.stopped is None:
            self.stopped = WINDOW_ENDED
        closings = self.release_queued_texts(WINDOW_ENDED)
        for index, state in enumerate(self._states):
            if state.phase is Phase.OPEN:
                never = LOCAL_TIME_RESTRICTED if self._held(index, now) else CALL_EXPIRED
                code = state.code if state.tries else never
                closings.append(self._close(index, code, False, WINDOW_ENDED))
        return closings

    def release_queued_texts(self, reason: str) -> list[Closing]:
        """Wait no longer for texts that are queued (-39): the job ends (ruling 26). What becomes of
        them is still reported, as revisions."""
        return [
            self._close(index, TEXT_QUEUED, False, reason)
            for index, state in enumerate(self._states)
            if state.phase is Phase.ACTIVE and state.code == TEXT_QUEUED
        ]

    def resume(self, step: int, number: int) -> None:
        """While a chain is rebuilt from its log: attempt `number` of `step` was started. Follow
        with `report` when its result is known, and with `finish` when the log calls it final.
        Unlike `start` this asks nothing: it happened."""
        state = self._states[step]
        if number > 1 and state.code is not None and lookup(state.code).redial == "once":
            state.once_used = True
        state.tries = max(state.tries, number)
        state.phase = Phase.ACTIVE

    def finish(self, step: int) -> None:
        """While a chain is rebuilt from its log: the log calls `step` final."""
        self._states[step].phase = Phase.DONE

    # -- inside

    def _may_dial(self, now: float) -> bool:
        end = self.policy.window_end
        return self.stopped is None and (end is None or now < end)

    def _held(self, index: int, now: float) -> bool:
        hours = self.policy.local_hours
        return hours is not None and not hours.is_open(self.steps[index].zone, now)

    def _wave(self, calls: list[int]) -> list[int]:
        """Of open voice steps, those tried least: every number once before any redial."""
        fewest = min(self._states[index].tries for index in calls)
        return [index for index in calls if self._states[index].tries == fewest]

    def _next_calls(self, calls: list[int], now: float) -> list[int]:
        wave = self._wave(calls)
        if self.order == "SEQUENTIAL":
            return [index for index in wave[:1] if self._states[index].ready_at <= now]
        # A wave of redials begins when the wave before it has ended for all, and for all at once.
        tries = self._states[wave[0]].tries
        earlier = any(
            state.phase is Phase.ACTIVE and state.tries <= tries
            for step, state in zip(self.steps, self._states, strict=True)
            if step.channel != "TEXT"
        )
        if earlier or any(self._states[index].ready_at > now for index in wave):
            return []
        return wave

    def _settle(self, state: _StepState, code: int, now: float, confirmed: bool) -> None:
        again = (
            self.stopped is None
            and not confirmed
            and not state.barred
            and state.tries < self.policy.max_attempts
            and self.policy.redials(code, state.once_used)
        )
        state.phase = Phase.OPEN if again else Phase.DONE
        state.ready_at = now + self.policy.seconds_between if again else 0.0

    def _close(self, index: int, code: int | None, canceled: bool, reason: str) -> Closing:
        state = self._states[index]
        state.phase = Phase.DONE
        state.code = code
        return Closing(index, code, canceled, reason)

    def _stop(self, reason: str) -> list[Closing]:
        if self.stopped is None:
            self.stopped = reason
        return [
            self._close(index, state.code, True, reason)
            for index, state in enumerate(self._states)
            if state.phase is Phase.OPEN
        ]
