"""Workers that die, or fall asleep, exactly where a test says: a real process, a real signal.

A worker is a fork of the test that runs the product's own `manage.py tick --alone`, with one of the
product's functions wrapped from outside: when the worker comes there it sends SIGKILL (or SIGSTOP)
to itself. The product has no code for this. What must be true afterwards is said by the tests.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection
from threading import Event
from time import monotonic
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from urllib3.connection import HTTPConnection as PooledConnection

from dialer_adapters.shoutpoint.transport import Wire
from messenger import doorbell
from voice import claims, collect, dispatch

PATIENCE = 60.0  # seconds until a test says that nothing happens
LEASE = timedelta(seconds=1)
Suits = Callable[..., bool]
Strike = Callable[[], None]


def always(*_args: object, **_named: object) -> bool:
    return True


@dataclass(frozen=True)
class Trap:
    """A place in the product: a function of `owner`, its beginning or its end, the `nth` time that
    it `suits` (asked with the arguments, after the end with the result before them)."""

    owner: Any
    name: str
    at_end: bool = False
    suits: Suits = always
    nth: int = 1

    def set(self, strike: Strike) -> None:
        """From now on this process is struck there."""
        real, hits, lock = (
            getattr(self.owner, self.name),
            iter(range(1, 1_000_000)),
            threading.Lock(),
        )

        def hit() -> None:
            with lock:
                number = next(hits)
            if number == self.nth:
                strike()

        def wrapped(*args: Any, **named: Any) -> Any:
            if self.at_end:
                result = real(*args, **named)
                if self.suits(result, *args, **named):
                    hit()
                return result
            if self.suits(*args, **named):
                hit()
            return real(*args, **named)

        setattr(self.owner, self.name, wrapped)


@dataclass(frozen=True)
class WireTrap:
    """A place on the wire: the request of `operation` has been written, as a whole or its first
    half, and no byte of the answer has been read."""

    operation: str
    half: bool = False
    nth: int = 1

    def set(self, strike: Strike) -> None:
        under_way = threading.local()
        hits, lock = iter(range(1, 1_000_000)), threading.Lock()
        real_exchange, real_send = Wire.exchange, HTTPConnection.send
        real_getresponse = PooledConnection.getresponse

        def exchange(wire: Wire, operation: str, *args: Any, **named: Any) -> Any:
            with lock:
                number = next(hits) if operation == self.operation else 0
            under_way.mine = number == self.nth
            return real_exchange(wire, operation, *args, **named)

        def send(line: HTTPConnection, data: Any) -> None:
            whole = not (self.half and getattr(under_way, "mine", False))
            # The head of a request is a piece of its own; its body is the larger one.
            if whole or not isinstance(data, bytes) or data.startswith(b"POST"):
                return real_send(line, data)
            real_send(line, data[: len(data) // 2])
            strike()
            return real_send(line, data[len(data) // 2 :])

        def getresponse(line: PooledConnection) -> Any:
            if getattr(under_way, "mine", False) and not self.half:
                strike()
            return real_getresponse(line)

        setattr(Wire, "exchange", exchange)  # noqa: B010 - a method cannot be assigned, says mypy
        setattr(HTTPConnection, "send", send)  # noqa: B010
        setattr(PooledConnection, "getresponse", getresponse)  # noqa: B010


def at_ring(task: str, nth: int = 1) -> Trap:
    """A transaction has just been committed, and the bell that it rings is not heard."""
    return Trap(doorbell, "_send", suits=lambda rung, *_rest: rung.name.endswith(task), nth=nth)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sleep() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def tick_alone() -> None:
    """`manage.py tick --alone`: every tick, again and again, and all work in this process."""
    call_command("tick", every=0.2, alone=True)


class Workers:
    """The forks of one test."""

    def __init__(self) -> None:
        # After so long PostgreSQL takes locks and transactions from one that sleeps (45 and 60 s).
        self.idle_seconds = 20.0
        self.living: set[int] = set()

    def start(
        self,
        trap: Trap | WireTrap | None = None,
        work: Callable[[], None] = tick_alone,
        strike: Strike = die,
    ) -> int:
        """Starts a worker; its process id."""
        pid = os.fork()
        if pid == 0:
            _be_a_worker(trap, work, strike, self.idle_seconds)
        self.living.add(pid)
        return pid

    def await_death(self, pid: int) -> None:
        """It died of SIGKILL: it came to its trap."""
        status = self._await(pid, 0)
        self.living.discard(pid)
        assert os.WIFSIGNALED(status), f"ended by itself: {os.waitstatus_to_exitcode(status)}"
        assert os.WTERMSIG(status) == signal.SIGKILL

    def await_end(self, pid: int) -> None:
        """It has done its work and ended well."""
        status = self._await(pid, 0)
        self.living.discard(pid)
        assert os.waitstatus_to_exitcode(status) == 0

    def await_sleep(self, pid: int) -> None:
        """It stopped itself: it came to its trap."""
        assert os.WIFSTOPPED(self._await(pid, os.WUNTRACED)), "ended instead of falling asleep"

    def wake(self, pid: int) -> None:
        os.kill(pid, signal.SIGCONT)

    def _await(self, pid: int, options: int) -> int:
        last, pause = monotonic() + PATIENCE, Event()  # nobody sets it
        while True:
            found, status = os.waitpid(pid, options | os.WNOHANG)
            if found:
                return status
            assert monotonic() < last, "the worker never came there"
            pause.wait(0.02)

    def kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
        self.living.discard(pid)

    def kill_all(self) -> None:
        for pid in list(self.living):
            self.kill(pid)

    @contextmanager
    def working(self) -> Iterator[int]:
        """A healthy worker for as long as the block lasts."""
        pid = self.start()
        try:
            yield pid
        finally:
            self.kill(pid)


def _be_a_worker(
    trap: Trap | WireTrap | None, work: Callable[[], None], strike: Strike, idle_seconds: float
) -> None:
    """What the fork does; it never returns to the test."""
    code = 3
    try:
        for connection in connections.all(initialized_only=True):
            connection.connection = None  # the parent's: psycopg2 leaves a foreign one open
        dispatch.LEASE = claims.LEASE = LEASE
        collect.POLL_WORKING = timedelta(seconds=0.2)  # instead of every 15 s
        settings.LOCK_IDLE_SECONDS = idle_seconds
        connections["default"].settings_dict["OPTIONS"] = {
            "options": f"-c idle_in_transaction_session_timeout={idle_seconds * 1000:.0f}"
        }
        if trap is not None:
            trap.set(strike)
        work()
        code = 0
    finally:
        os._exit(code)
