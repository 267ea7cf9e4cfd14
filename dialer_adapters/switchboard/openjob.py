"""An unfinished job in the dialing thread's memory, and the chains of it that lines are needed for.

Of a job that waits, only its batches' numbers are here: chains are read from the database when a
line is free for them, in the order of arrival, and leave the memory when they are over, or when all
that is left of them is a call that their local hours hold back. A job of 740,000 chains that waits
for its window takes 200 kB.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import NamedTuple

from dialer_adapters.chain_engine import Chain, Policy
from dialer_adapters.switchboard.batches import ChainSpec, Script, StepSpec
from dialer_adapters.switchboard.job_body import Body, estimate_talk, window_start
from dialer_adapters.switchboard.recording import JobKey, Unit
from dialer_adapters.switchboard.segments import count_segments

_tickets = count(1)


class Sound(NamedTuple):
    """How long a script takes to play, to a person and to a machine, and the parts of its text."""

    live_seconds: float
    machine_seconds: float
    segments: int


def measure_script(script: Script | None) -> Sound:
    """The sound of a job's or a chain's own script."""
    text = (script or {}).get("text") or ""
    return Sound(estimate_talk(script), estimate_talk(script, True), count_segments(text))


@dataclass(slots=True, eq=False)
class BatchState:
    """A batch of an open job: what it holds, and whether anything in it may have a history.
    `refused`: its refused steps have no entries yet. `open` are its chains in memory, by
    position."""

    pk: int
    chains: int
    has_voice: bool
    has_text: bool
    refused: bool
    touched: bool = False
    open: dict[int, OpenChain] = field(default_factory=dict)


class OpenChain:
    """A chain in memory. `calling`: its voice steps wait for lines here and not in the batch.
    `in_flight` counts its attempts whose step is not settled. `closed`: its CHAIN_RESULT is
    written. `ticket` makes all but its newest place in a queue void."""

    __slots__ = ("batch", "calling", "chain", "closed", "in_flight", "spec", "ticket")

    def __init__(self, batch: BatchState, spec: ChainSpec, policy: Policy) -> None:
        self.batch = batch
        self.spec = spec
        self.chain = Chain(policy, spec.steps, spec.order)
        self.calling = False
        self.closed = False
        self.in_flight = 0
        self.ticket = 0

    def step(self, index: int) -> StepSpec:
        return self.spec.steps[index]

    def keep(self) -> None:
        """Stay in memory."""
        self.batch.open[self.spec.pos] = self

    def leave(self) -> None:
        """Leave the memory: over, or back to the batch."""
        if self.batch.open.get(self.spec.pos) is self:
            del self.batch.open[self.spec.pos]


@dataclass(slots=True)
class Ending:
    """How a whole job ends early. `batches` are still to be looked through for steps that need an
    entry of their own; then comes the JOB_RESULT."""

    reason: str
    batches: deque[BatchState]


@dataclass(slots=True)
class OpenJob:
    """One unfinished job: its rules, what is queued of it, what is under way."""

    key: JobKey
    urgency: int
    body: Body
    policy: Policy
    created_at: datetime
    sealed: bool = False
    stored_chains: int = 0
    closed_chains: int = 0
    cancel_requested: bool = False
    foreign: bool = False  # of an epoch before this one: nothing is dialed for it (ruling 24)
    canceled_refs: set[str] = field(default_factory=set)
    canceled_numbers: set[str] = field(default_factory=set)
    batches: dict[int, BatchState] = field(default_factory=dict)
    newest_batch: int = 0  # the last one that was looked at; finished ones are not in `batches`
    sweeps: deque[BatchState] = field(default_factory=deque)
    ending: Ending | None = None
    # In flight: calls, and texts of which nothing is known yet. Lines: calls alone.
    in_flight: int = 0
    lines_used: int = 0
    duplicates: dict[int, set[tuple[int, int]]] = field(default_factory=dict)
    _seen_numbers: set[int] = field(default_factory=set)
    _voice: list[tuple[float, int]] = field(default_factory=list)  # heaps of (from when, batch)
    _text: list[tuple[float, int]] = field(default_factory=list)
    _ready: deque[tuple[int, OpenChain]] = field(default_factory=deque)
    _again: deque[tuple[int, OpenChain]] = field(default_factory=deque)
    _waiting: list[tuple[float, int, OpenChain]] = field(default_factory=list)
    sound: Sound = field(init=False)

    def __post_init__(self) -> None:
        self.sound = measure_script(self.body["script"])

    # -- may it dial?

    @property
    def window_end(self) -> float | None:
        return self.policy.window_end

    @property
    def window_start(self) -> float:
        start = window_start(self.body)
        return 0.0 if start is None else start.timestamp()

    def may_dial(self, now: float) -> bool:
        """Whether calls of this job may start: in, started, not over, not canceled."""
        return (
            self.ending is None
            and not self.cancel_requested
            and not self.foreign
            and (self.sealed or self.body["start_policy"] == "IMMEDIATE")
            and self.window_start <= now
            and (self.window_end is None or now < self.window_end)
        )

    def free_lines(self) -> int:
        """How many calls more the job's own MaxLines allows."""
        most = self.body["max_lines"]
        return 1_000_000 if most is None or most < 1 else most - self.lines_used

    # -- batches

    def add_batch(self, batch: BatchState) -> None:
        self.batches[batch.pk] = batch
        if batch.has_voice:
            heapq.heappush(self._voice, (0.0, batch.pk))
        if batch.has_text:
            heapq.heappush(self._text, (0.0, batch.pk))
        if batch.refused or self.canceled_refs or self.canceled_numbers:
            self.sweeps.append(batch)

    def next_batch(self, voice: bool, now: float) -> BatchState | None:
        """Take the next batch whose calls (or texts) are due, or None."""
        queue = self._voice if voice else self._text
        if queue and queue[0][0] <= now:
            return self.batches[heapq.heappop(queue)[1]]
        return None

    def put_back(self, batch: BatchState, voice: bool, at: float) -> None:
        """Some chains of the batch may not be called before `at`: offer it again then."""
        heapq.heappush(self._voice if voice else self._text, (at, batch.pk))

    def mark_duplicates(self, batch: BatchState, specs: Iterator[ChainSpec]) -> None:
        """Remember the steps whose number has had the same script before (SuppressDuplicates)."""
        found = set()
        for spec in specs:
            for index, step in enumerate(spec.steps):
                key = hash((step.channel, step.number, step.extension, repr(spec.script)))
                if key in self._seen_numbers:
                    found.add((spec.pos, index))
                self._seen_numbers.add(key)
        if found:
            self.duplicates[batch.pk] = found

    # -- chains

    def queue_fresh(self, chain: OpenChain) -> None:
        """A chain whose first call waits for a line."""
        chain.ticket = next(_tickets)
        self._ready.append((chain.ticket, chain))

    def queue_again(self, chain: OpenChain, at: float | None, now: float) -> None:
        """A chain that goes on: now, at a time, or (None) not before something is reported. Chains
        that have begun go before fresh ones, which keeps few of them open."""
        chain.ticket = next(_tickets)
        if at is None:
            return
        if at <= now:
            self._again.append((chain.ticket, chain))
        else:
            heapq.heappush(self._waiting, (at, chain.ticket, chain))

    def next_chain(self, now: float) -> OpenChain | None:
        """Take the next chain in memory that may start a call, or None."""
        while self._waiting and self._waiting[0][0] <= now:
            _, ticket, chain = heapq.heappop(self._waiting)
            self._again.append((ticket, chain))
        for queue in (self._again, self._ready):
            while queue:
                ticket, chain = queue.popleft()
                if ticket == chain.ticket:
                    return chain
        return None

    def return_chain(self, chain: OpenChain) -> None:
        """Lines ran out: this chain is the next one."""
        chain.ticket = next(_tickets)
        self._again.appendleft((chain.ticket, chain))

    def drop_queues(self) -> None:
        """Nothing of this job starts any more; only chains with calls under way stay."""
        for queue in (self._ready, self._again, self._waiting, self._voice, self._text):
            queue.clear()
        for batch in self.batches.values():
            batch.open = {pos: chain for pos, chain in batch.open.items() if chain.in_flight}

    def open_chains(self) -> list[OpenChain]:
        """All chains in memory."""
        return [chain for batch in self.batches.values() for chain in batch.open.values()]

    def wake_at(self, now: float) -> float | None:
        """When to look at the job's own times again: redials, held batches, its window."""
        moments = [self.window_start]
        if self.window_end is not None and self.ending is None:
            moments.append(self.window_end)
        moments += [queue[0][0] for queue in (self._voice, self._text) if queue]
        moments += [item[0] for item in self._waiting[:1]]
        return min((moment for moment in moments if moment > now), default=None)

    def has_ready(self, now: float) -> bool:
        """Whether something of this job could start now, lines permitting."""
        due = any(queue and queue[0][0] <= now for queue in (self._voice, self._text))
        waiting = bool(self._waiting) and self._waiting[0][0] <= now
        return self.may_dial(now) and bool(due or waiting or self._again or self._ready)

    def unit(self) -> Unit:
        """An empty unit of this job."""
        return Unit(self.key, self.urgency)
