"""A call chain driven to its end by a telephone company with a clock of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from dialer_adapters.chain_engine import (
    Chain,
    Closing,
    Policy,
)

NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC).timestamp()  # noon in Chicago
MINUTE = 60.0


class Step(NamedTuple):
    channel: str
    zone: str | None = None


VOICE, TEXT = Step("VOICE"), Step("TEXT")
ONCE_MORE = Policy(max_attempts=2, seconds_between=15 * MINUTE)


@dataclass
class Run:
    """A chain driven to its end by a telephone company with a clock of its own: every start, every
    result and every closing, in order."""

    chain: Chain
    answer: Callable[[int, int], tuple[int, bool]]
    seconds: float = 30.0
    now: float = NOON
    starts: list[tuple[float, int, int]] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    finals: set[int] = field(default_factory=set)
    confirmed_at: float | None = None
    most_calls_at_once: int = 0

    def to_the_end(self) -> Run:
        calls: list[tuple[float, int, int]] = []
        end = self.chain.policy.window_end
        for _ in range(1000):
            self.closings += self.chain.review(self.now)
            for step in self.chain.startable(self.now):
                number = self.chain.start(step)
                self.starts.append((self.now, step, number))
                calls.append((self.now + self.seconds, step, number))
            voices = [call for call in calls if self.chain.steps[call[1]].channel == "VOICE"]
            self.most_calls_at_once = max(self.most_calls_at_once, len(voices))
            if self.chain.finished:
                return self
            moments = [call[0] for call in calls]
            wake = self.chain.wake_at(self.now)
            moments += [wake] if wake is not None else []
            if not moments and end is not None:
                moments = [end]
            assert moments, "a chain that is not finished waits for something"
            self.now = max(self.now, min(moments))
            if end is not None and self.now >= end:
                self.closings += self.chain.expire(end)
            for call in [call for call in calls if call[0] <= self.now]:
                calls.remove(call)
                code, confirmed = self.answer(call[1], call[2])
                self.closings += self.chain.report(call[1], code, self.now, confirmed)
                if self.chain.is_final(call[1]):
                    self.finals.add(call[1])
                if confirmed and self.confirmed_at is None:
                    self.confirmed_at = self.now
        raise AssertionError("the chain does not end")

    def order(self) -> list[tuple[int, int]]:
        return [(step, number) for _, step, number in self.starts]


def run(chain: Chain, *answers: int, key_0: tuple[int, ...] = ()) -> Run:
    """Drive `chain`; `answers` are the codes by step, `key_0` the steps that are confirmed."""
    return Run(chain, lambda step, _: (answers[step], step in key_0)).to_the_end()
