"""A district, its people and a real switchboard over HTTP, all in one process and in one time.

The product talks SOAP to the switchboard's own application behind a real socket; rounds are played
by hand and `time_machine` moves everybody's clock, so that an hour of calls takes milliseconds. A
worker is killed by `Killed`, which no code of the product catches, before a request leaves or when
its answer is there and not stored.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import time
from typing import Any

import pytest
import time_machine
from django.db import connections
from django.utils import timezone
from waitress.server import create_server

from dialer_adapters.contract import Retry
from messenger import opt_outs
from messenger.models import Calendar, District, Mode
from tests.end_to_end.town import open_account
from tests.launch.sending import noon
from tests.switchboard.desk import PASSWORD, USERNAME, Desk
from tests.world import World, build_world
from voice import account
from voice.models import VoiceSettings

MOST_EVENTS = 20_000
# Numbers of `tests.world` that somebody may refuse: the source's family, and who takes texts.
CALLED = ("+16125550225", "+16125557735", "+16125554455", "+16125550303", "+16125550311")
TEXTED = ("+16125550381",)


class Killed(BaseException):
    """kill -9: passes through everything that catches errors."""


class FragileAdapter:
    """The real adapter; what `trouble` says happens to one of its next requests."""

    def __init__(self, inner: Any, town: "TelephoneTown") -> None:
        self._inner = inner
        self._town = town

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def ask(*args: Any, **kwargs: Any) -> Any:
            how = self._town.next_trouble()
            if how == "killed before":
                raise Killed
            if how == "unreachable":
                raise Retry("unreachable")
            answer = found(*args, **kwargs)
            if how == "killed after":
                raise Killed
            if how == "answer lost":
                raise Retry("timeout")
            return answer

        return ask


class TelephoneTown:
    """The world of `tests.world` and a switchboard; time stands still until somebody moves it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world: World = build_world()
        # Months of fuzzing pass; nobody leaves school meanwhile.
        Calendar.objects.update(end_date=timezone.now().date() + timedelta(days=3650))
        self.travel = time_machine.travel(noon() + timedelta(days=1), tick=False)
        self.clock = self.travel.start()
        self.desk = Desk(lines=6, emergency_lines=2)
        self.desk.dialer.clock = time
        self._troubles: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        real = account.adapter
        monkeypatch.setattr(account, "adapter", lambda *a, **k: FragileAdapter(real(*a, **k), self))
        self.server: Any = create_server(
            self._serve, host="127.0.0.1", port=0, threads=3, channel_timeout=10**9
        )
        self._thread = threading.Thread(target=self.server.run, daemon=True)
        self._thread.start()
        self.username, self.password = USERNAME, PASSWORD
        self.url = f"http://127.0.0.1:{self.server.effective_port}/soap"
        self.settings: VoiceSettings = open_account(
            self, max_chains_per_batch=4, redials=1, minutes_between_redials=1
        )

    def _serve(self, environ: Any, start_response: Any) -> Any:
        try:
            return self.desk.endpoint(environ, start_response)
        finally:
            connections.close_all()

    def close(self) -> None:
        self.server.trigger.pull_trigger(self.server.close)
        self._thread.join(1)
        self.travel.stop()

    # -- people

    @property
    def never_texted(self) -> str:
        """A number of the world itself that has opted out."""
        return "+16125550382"

    def stop_texts(self, number: int) -> None:
        """Somebody writes STOP."""
        opt_outs.stop_texts(TEXTED[number % len(TEXTED)], "fuzz")

    def never_call(self, number: int) -> None:
        """Somebody must not be called any more."""
        opt_outs.do_not_contact(CALLED[number % len(CALLED)], Mode.VOICE)

    def window(self, hours: int) -> dict[str, str]:
        """A dialing window from now on, wall time."""
        local = self.now.astimezone(District.current().zone)
        end = min(local + timedelta(hours=hours), local.replace(hour=23, minute=58))
        return {"window_start": local.strftime("%H:%M"), "window_end": end.strftime("%H:%M")}

    # -- time

    def wait_for_morning(self) -> None:
        """Between nine and two o'clock in the district: what is confirmed has hours to go."""
        local = self.now.astimezone(District.current().zone)
        if not 9 <= local.hour < 14:
            day = local if local.hour < 9 else local + timedelta(days=1)
            self.clock.move_to(day.replace(hour=9, minute=0))

    @property
    def now(self) -> datetime:
        return timezone.now()

    def pass_time(self, seconds: float) -> None:
        """Lets calls ring, be answered and end for so long."""
        end = time() + seconds
        for _event in range(MOST_EVENTS):
            wake = self.desk.dialer.step(time())
            if wake is None or wake > end:
                break
            # A clock of microseconds never quite reaches a moment between two of them.
            self.clock.move_to(max(wake, time()) + 0.001)
        else:
            raise AssertionError("the rounds do not end")
        self.clock.move_to(max(end, time()))

    def restart_switchboard(self) -> None:
        """As after kill -9: what was ringing is reported as -5."""
        self.desk.open()
        self.desk.dialer.clock = time

    # -- trouble

    def next_trouble(self) -> str:
        with self._lock:
            self._troubles = [(after - 1, how) for after, how in self._troubles]
            due = [how for after, how in self._troubles if after < 0]
            self._troubles = [trouble for trouble in self._troubles if trouble[0] >= 0]
        return due[0] if due else ""

    @contextmanager
    def trouble(self, after: int, how: str) -> Iterator[None]:
        """Something happens to the request after the next `after` ones; a killed worker is gone
        without a word."""
        self._troubles = [(after, how)] if how else []
        try:
            yield
        except Killed:
            connections["default"].close()
        finally:
            self._troubles = []
