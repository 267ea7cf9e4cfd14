"""Holding back an account that asks too much: a bucket of tokens for each, refilled by time.

A held-back request changed nothing and is repeated after RetryAfterSeconds. CancelJob is never held
back: what stops calls must always get through.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

from dialer_adapters.switchboard.faults import ServerBusyFault

NEVER_HELD_BACK = frozenset({"CancelJob"})


class Throttle:
    """Lets `rate` requests a second through for each account, after a burst of one second's worth;
    0 lets everything through. May be changed while requests come in."""

    def __init__(self, rate: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.set_rate(rate)

    def set_rate(self, rate: float) -> None:
        """Requests a second for each account. Raises ValueError for a negative rate."""
        if rate < 0:
            raise ValueError("a rate is not negative")
        with self._lock:
            self._rate = rate
            self._buckets: dict[int, tuple[float, float]] = {}  # account → (tokens, as of)

    def admit(self, account_id: int, operation: str) -> None:
        """Let a request through. Raises ServerBusyFault (THROTTLED)."""
        if not self._rate or operation in NEVER_HELD_BACK:
            return
        with self._lock:
            if not self._rate:
                return
            now, most = self._clock(), max(1.0, self._rate)
            tokens, as_of = self._buckets.get(account_id, (most, now))
            tokens = min(most, tokens + (now - as_of) * self._rate)
            held_back = tokens < 1.0
            self._buckets[account_id] = (tokens if held_back else tokens - 1.0, now)
            wait = (1.0 - tokens) / self._rate
        if held_back:
            raise ServerBusyFault("THROTTLED", "Too many requests.", max(1, math.ceil(wait)))
