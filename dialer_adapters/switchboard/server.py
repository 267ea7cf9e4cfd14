"""Running the switchboard: one process, HTTP threads that keep connections alive, one dialing
thread.

The process ends when its dialing thread does: a switchboard that accepts and does not dial would be
worse than one that is down.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

from waitress.server import create_server

from dialer_adapters.switchboard.accounts import found_exchange, store_new_epoch
from dialer_adapters.switchboard.board import LOOPBACK, Board
from dialer_adapters.switchboard.control import Control
from dialer_adapters.switchboard.database import connection
from dialer_adapters.switchboard.dialing import CLAIM_SECONDS, Dialer
from dialer_adapters.switchboard.door import Door
from dialer_adapters.switchboard.endpoint import Endpoint
from dialer_adapters.switchboard.envelope import MAX_BYTES
from dialer_adapters.switchboard.lines.simulated import SimulatedLines
from dialer_adapters.switchboard.pools import LinePools
from dialer_adapters.switchboard.retention import RETENTION_DAYS, Housekeeper
from dialer_adapters.switchboard.throttle import Throttle

log = logging.getLogger(__name__)

HTTP_THREADS = 16
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: where to listen (port 0 is any free one), how fast the town lives, how many lines
    there are, whether tests may switch trouble on, how long to wait for a database that another
    switchboard holds, how many days the log is kept, how many requests a second an account may
    send (0: any number), and whether the database was restored, so that a new epoch begins. The
    board is open to this machine, unless `guarded_board` asks everybody for credentials."""

    host: str = "127.0.0.1"
    port: int = 0
    speed: float = 1.0
    seed: int = 1
    lines: int = 200
    emergency_lines: int = 50
    control: bool = False
    claim_seconds: float = CLAIM_SECONDS
    retention_days: int = RETENTION_DAYS
    requests_per_second: float = 0.0
    new_epoch: bool = False
    guarded_board: bool = False


class DialingFailed(Exception):
    """The dialing thread ended by itself."""


def serve(options: Options, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the address when requests are taken. Raises
    DialingFailed when the dialing thread cannot start, or ends."""
    found_exchange()
    if options.new_epoch:
        store_new_epoch()
    connection().close()
    dialer = Dialer(
        SimulatedLines(options.seed, options.speed),
        LinePools(options.lines, options.emergency_lines),
        claim_seconds=options.claim_seconds,
    )
    throttle = Throttle(options.requests_per_second)
    control = Control(dialer, throttle) if options.control else None
    trusts_loopback = options.host in LOOPBACK and not options.guarded_board
    endpoint = Endpoint(
        dialer,
        control,
        board=Board(dialer, trusts_loopback),
        throttle=throttle,
        retention_days=options.retention_days,
    )
    server = create_server(
        endpoint,
        host=options.host,
        port=options.port,
        threads=HTTP_THREADS,
        # A little above our own limit, so that what is too large gets a typed fault.
        max_request_body_size=MAX_BYTES + 1024 * 1024,
        # A batch has 400 kB: by the default of 8 kB it took 50 turns of the loop to arrive.
        recv_bytes=1024 * 1024,
        inbuf_overflow=MAX_BYTES * 2,
        outbuf_overflow=MAX_BYTES * 2,
        channel_timeout=300,
        clear_untrusted_proxy_headers=True,
        ident="switchboard",
    )
    if control is not None:
        control.door = Door(server)
    thread = _Thread(dialer)
    housekeeper = Housekeeper(options.retention_days)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    thread.start()
    try:
        thread.await_ready()
        housekeeper.start()
        announce(f"http://{options.host}:{server.effective_port}/soap")
        server.run()  # ends by SystemExit, which it keeps to itself
    finally:
        dialer.stop()
        housekeeper.stop()
        thread.join(10)
        server.close()
    if thread.failure is not None:
        raise DialingFailed(str(thread.failure)) from thread.failure


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit


class _Thread(threading.Thread):
    """The dialing thread. When it ends by an error, the server ends too."""

    def __init__(self, dialer: Dialer) -> None:
        super().__init__(name="dialing", daemon=True)
        self.dialer = dialer
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.dialer.run()
        except BaseException as error:
            log.critical("The dialing thread failed", exc_info=True)
            self.failure = error
            self.dialer.ready.set()
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    def await_ready(self) -> None:
        """Wait until the database is ours and what was under way is known."""
        if not self.dialer.ready.wait(START_SECONDS) or self.failure is not None:
            raise DialingFailed("the dialing thread did not start") from self.failure
