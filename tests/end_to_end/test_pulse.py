"""A worker that is there and does nothing is found by its silence (R12)."""

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from django.utils import timezone

from config.local import programs
from messenger.status import pulse
from messenger.status.findings import BROKEN, OK
from messenger.status.machines import check_workers
from tests.end_to_end.workers import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]
PATIENCE = 90.0  # seconds; five processes start on a busy machine


def states() -> dict[str, str]:
    return {finding.name: finding.state for finding in check_workers(timezone.now())}


def until(done: Callable[[dict[str, str]], bool]) -> dict[str, str]:
    """The states once they are so."""
    last, pause = monotonic() + PATIENCE, Event()  # nobody sets it: a wait that ends by its time
    while not done(found := states()):
        assert monotonic() < last, found
        pause.wait(0.2)
    return found


def test_a_frozen_worker_is_seen_although_it_is_connected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real workers and a real beat, probed every second instead of every 30: the one that is
    frozen keeps its connection to the broker and is found all the same; then beat."""
    monkeypatch.setenv("PULSE_SECONDS", "1")
    monkeypatch.setattr(pulse, "SILENT_AFTER", timedelta(seconds=4))
    monkeypatch.setattr(pulse, "BEAT_SILENT_AFTER", timedelta(seconds=8))
    with Processes(programs.background(tmp_path), tmp_path) as running:
        until(lambda found: set(found.values()) == {OK})
        running.signal("worker-urgent", signal.SIGSTOP)
        found = until(lambda found: found["Queue urgent"] == BROKEN)
        assert {name for name, state in found.items() if state != OK} == {"Queue urgent"}
        running.signal("worker-urgent", signal.SIGCONT)
        until(lambda found: set(found.values()) == {OK})
        running.signal("beat", signal.SIGSTOP)
        until(lambda found: found["Beat"] == BROKEN)
