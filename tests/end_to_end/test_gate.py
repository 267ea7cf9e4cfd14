"""After an upgrade that is not finished nothing half-works: the incident of RSU 20 (2024), where a
whole district's message was silently not sent. Real processes on a database that lacks a change."""

import http.client
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic

import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from config.gate import Gate, stop_if_incomplete
from config.local import programs
from config.local.lifetime import has_ended
from messenger.status import readiness
from tests.end_to_end.workers import Processes

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]
PATIENCE = 90.0  # seconds; others may keep the machine busy
LACKS = "Changes of this version that the database has not had: 1. Run: manage.py migrate"


@pytest.fixture
def lacking() -> Iterator[Callable[[], None]]:
    """The database of the version before: it lacks the last change. Gives what completes it."""
    last = MigrationRecorder.Migration.objects.filter(app="sentlog").latest("pk")
    last.delete()
    readiness._complete.clear()

    def complete() -> None:
        MigrationRecorder.Migration.objects.get_or_create(app="sentlog", name=last.name)

    yield complete
    complete()
    readiness._complete.clear()


def until(done: Callable[[], bool], what: str) -> None:
    last, pause = monotonic() + PATIENCE, Event()  # nobody sets it: a wait that ends by its time
    while not done():
        assert monotonic() < last, what
        pause.wait(0.2)


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body of an answer; 0 while nobody listens."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def test_rsu_20_an_unfinished_upgrade_is_said_and_nothing_half_works(
    tmp_path: Path, lacking: Callable[[], None]
) -> None:
    with programs.listen(0) as listener:
        port = listener.getsockname()[1]
        background = programs.background(tmp_path)
        with Processes([programs.web(listener), *background], tmp_path) as running:
            workers = running.running[1:]
            until(lambda: all(map(has_ended, workers)), "the end of workers and beat")
            assert {process.wait() for process in workers} == {1}
            for program in background:
                said = (tmp_path / f"{program.name}.log").read_text()
                assert "does not start. " + LACKS in said, said
            until(lambda: ask(port, "/up")[0] == 503, "a closed web")
            status, page = ask(port, "/")
            assert status == 503
            assert "Messenger is being set up" in page
            assert "manage.py doctor" in page
            assert "the pages stay closed: " + LACKS in (tmp_path / "web.log").read_text()
            # Once the change is made the pages open by themselves.
            lacking()
            until(lambda: ask(port, "/up") == (200, "open\n"), "an open web")
            assert ask(port, "/sign-in/")[0] in (200, 302)


def test_the_fallback_without_a_broker_ends_too(lacking: Callable[[], None]) -> None:
    with pytest.raises(CommandError, match=r"manage\.py migrate"):
        call_command("tick", "--alone")
    with pytest.raises(SystemExit, match=r"worker does not start\. Changes"):
        stop_if_incomplete("worker")
    lacking()
    stop_if_incomplete("worker")


def test_the_switchboard_does_not_start_on_a_database_that_lacks_a_change() -> None:
    recorder = MigrationRecorder(connections["switchboard"])
    name = sorted(step for app, step in recorder.applied_migrations() if app == "switchboard")[-1]
    recorder.record_unapplied("switchboard", name)
    try:
        with pytest.raises(CommandError, match=r"has not had: 1\. Run: manage\.py migrate switch"):
            call_command("switchboard", port=0)
    finally:
        recorder.record_applied("switchboard", name)


def test_a_database_that_is_away_closes_no_door(
    monkeypatch: pytest.MonkeyPatch, lacking: Callable[[], None]
) -> None:
    """It may come back at any moment; only then can be said whether something is missing."""
    from django.db import OperationalError

    def away() -> list[object]:
        raise OperationalError("the connection was refused")

    def pages(_environ: object, start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [])
        return [b"a page"]

    said: list[str] = []
    monkeypatch.setattr("config.gate.obstacles", away)
    stop_if_incomplete("worker")
    gate = Gate(pages)
    assert gate({"PATH_INFO": "/"}, lambda status, headers: said.append(status)) == [b"a page"]
    monkeypatch.undo()
    monkeypatch.setattr("config.gate.LOOK_EVERY", 0.0)
    gate({"PATH_INFO": "/"}, lambda status, headers: said.append(status))
    lacking()
    assert gate({"PATH_INFO": "/"}, lambda status, headers: said.append(status)) == [b"a page"]
    assert [status[:3] for status in said] == ["200", "503", "200"]
