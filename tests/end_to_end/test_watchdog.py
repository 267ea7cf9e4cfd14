"""R12: a worker that is connected and consumes nothing is ended and runs again within 240 s; one
that is busy is left alone. Real workers, a real broker; the silence that is borne is cut short."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from time import monotonic
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection, transaction

from config.local import programs
from config.local.lifetime import is_alive
from config.local.services import Services
from config.local.supervisor import Program, Supervisor
from messenger.models import QueuePulse
from messenger.status import pulse
from messenger.tasks import note_pulse
from sentlog.tasks import make_report
from tests.end_to_end.relay import Relay
from tests.end_to_end.workers import environment
from tests.processes import children_of

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]
PATIENCE = 120.0  # seconds; others may keep the machine busy
SILENCE = 5.0


def worker(tmp_path: Path, name: str, queues: str, processes: int) -> Program:
    """A worker's own words with fewer queues and processes."""
    found = next(each for each in programs.background(tmp_path) if each.name == name)
    words = list(found.command)
    words[words.index("--queues") + 1] = queues
    words[words.index("--concurrency") + 1] = str(processes)
    return replace(found, command=tuple(words))


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Start one program under the supervisor of `make demo`."""
    started: list[Supervisor] = []

    def start(program: Program, silence: float = SILENCE, **more: str) -> Supervisor:
        surroundings = environment(WORKER_SILENT_SECONDS=str(silence), **more)
        supervisor = Supervisor(
            Services({}), surroundings, tmp_path / "log", restart=True, say=lambda text: None
        )
        supervisor.start(program)
        started.append(supervisor)
        return supervisor

    yield start
    for supervisor in started:
        supervisor.stop()


def until(supervisor: Supervisor, done: Callable[[], bool], patience: float = PATIENCE) -> None:
    last, pause = monotonic() + patience, Event()  # nobody sets it: a wait that ends by its time
    while not done():
        (log,) = supervisor.logs.glob("*.log")
        assert monotonic() < last, log.read_text()[-4000:]
        supervisor.watch()
        pause.wait(0.1)


def await_work(supervisor: Supervisor, queue: str) -> None:
    """Wait until the worker has done a task of the queue."""
    QueuePulse.objects.all().delete()
    note_pulse.apply_async(args=[queue], queue=queue)
    until(supervisor, lambda: QueuePulse.objects.filter(queue=queue).exists())


def await_restart(supervisor: Supervisor, patience: float = PATIENCE) -> str:
    """Wait until another process has taken the worker's place; the log of the first."""
    (entry,) = supervisor.running.values()
    first = entry.process.pid
    until(supervisor, lambda: entry.process.pid != first, patience)
    return supervisor.log_of(entry.program.name).read_text()


def watchdogs(pid: int) -> list[int]:
    return [child for child, words in children_of(pid).items() if "config.watch" in words]


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A way to the broker that can be held."""
    port = urlsplit(settings.REDIS_URL).port
    assert port is not None
    with Relay(port) as way:
        yield way


def through(relay: Relay) -> str:
    """The broker's address by that way."""
    return settings.REDIS_URL.replace(f":{relay.target}/", f":{relay.port}/")


def test_r12_a_worker_whose_broker_socket_is_blocked_is_restarted(
    tmp_path: Path, supervise: Callable[..., Supervisor], relay: Relay
) -> None:
    """R12 with 5 s in the place of 120 s: its connection is open and carries nothing any more."""
    urgent = worker(tmp_path, "worker-urgent", "urgent", 1)
    supervisor = supervise(urgent, REDIS_URL=through(relay))
    await_work(supervisor, "urgent")
    relay.hold()
    said = await_restart(supervisor)
    assert "WATCHDOG ends" in said
    assert "it takes nothing from its queues, although the broker answers" in said
    # The worker that took its place works. (A ring on its way into the blocked socket is lost, as
    # the doorbell may lose any: the ticks find what it was about.)
    await_work(supervisor, "urgent")


@pytest.mark.slow
def test_r12_a_blocked_socket_holds_nothing_up_for_240_seconds(
    tmp_path: Path, supervise: Callable[..., Supervisor], relay: Relay
) -> None:
    """R12 with the times of production: kombu drops a silent connection after 49 s by itself; what
    it does not notice, the watchdog ends after 120 s."""
    urgent = worker(tmp_path, "worker-urgent", "urgent", 1)
    supervisor = supervise(urgent, 120.0, REDIS_URL=through(relay))
    await_work(supervisor, "urgent")
    relay.hold()
    QueuePulse.objects.all().delete()

    def works() -> bool:
        note_pulse.apply_async(args=["urgent"], queue="urgent", expires=5)
        return QueuePulse.objects.filter(queue="urgent").exists()

    until(supervisor, works, 240.0)


@pytest.mark.slow
def test_r12_a_frozen_worker_is_restarted_within_240_seconds(
    tmp_path: Path, supervise: Callable[..., Supervisor]
) -> None:
    """R12 with the times of production."""
    supervisor = supervise(worker(tmp_path, "worker-urgent", "urgent", 1), 120.0)
    await_work(supervisor, "urgent")
    (entry,) = supervisor.running.values()
    frozen = monotonic()
    os.kill(entry.process.pid, signal.SIGSTOP)
    await_restart(supervisor, 240.0)
    await_work(supervisor, "urgent")
    assert monotonic() - frozen < 240


def test_r12_a_frozen_worker_is_restarted_and_a_killed_watchdog_comes_back(
    tmp_path: Path, supervise: Callable[..., Supervisor]
) -> None:
    supervisor = supervise(worker(tmp_path, "worker-urgent", "urgent", 1))
    await_work(supervisor, "urgent")
    (entry,) = supervisor.running.values()
    main = entry.process.pid
    (first,) = watchdogs(main)
    os.kill(first, signal.SIGKILL)
    until(supervisor, lambda: watchdogs(main) not in ([], [first]))
    # The main process alone: its pool and its watchdog go on.
    os.kill(main, signal.SIGSTOP)
    assert "its main process stands still" in await_restart(supervisor)
    await_work(supervisor, "urgent")


def test_a_worker_busy_with_a_long_report_is_left_alone_also_while_it_ends(
    tmp_path: Path, supervise: Callable[..., Supervisor]
) -> None:
    """A table that is locked stands for a report of half an hour. Probes pile up in the worker's
    own queue for more than twice the silence that a worker with time would be allowed."""
    supervisor = supervise(worker(tmp_path, "worker", "reports", 1), 4.0)
    await_work(supervisor, "reports")
    (entry,) = supervisor.running.values()
    main = entry.process.pid

    def piled_up() -> int:
        with pulse.broker() as broker:
            return sum(broker.llen(queue) for queue in broker.scan_iter("watch.worker@*"))

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE sentlog_report IN ACCESS EXCLUSIVE MODE")
        make_report.apply_async(args=[1], queue="reports")
        until(supervisor, lambda: piled_up() >= 9)
        assert entry.process.pid == main
        assert is_alive(main)
        # A warm shutdown waits for the report; its watchdog has gone home.
        os.kill(main, signal.SIGTERM)
        until(supervisor, lambda: watchdogs(main) == [])
        assert is_alive(main)
        entry.due = float("inf")  # nobody starts it again
    until(supervisor, lambda: not is_alive(main))
    assert entry.process.wait() == 0
    assert "WATCHDOG" not in supervisor.log_of("worker").read_text()
