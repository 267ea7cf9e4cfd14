"""R7: Redis is emptied, dies, stays away and comes back empty, in the middle of a send; and an
emergency that is confirmed while it is away goes out. S8: a cancel takes effect without it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import redis

from config.local import programs
from config.local.valkey import Doorbell
from messenger.models import Message
from tests.crash.judging import await_end, judge
from tests.crash.running import (
    FEW_LINES,
    PATIENCE,
    await_progress,
    await_that,
    begin_send,
    chosen,
    let_it_end,
)
from tests.crash.test_r4_points import STAGES
from tests.crash.workers import Workers
from tests.end_to_end.town import Exchange
from tests.end_to_end.workers import Processes, environment
from tests.launch.sending import confirmed, draft, sender
from voice.models import DialerJob

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]

MOST_SECONDS = 60.0  # until work goes on, and until an emergency is handed over
# What somebody waits for in front of a page.
SECONDS_FOR_A_PAGE = 5.0
VERB = """
import time
from messenger import lifecycle
from messenger.models import Message, MessageDraft, User
user = User.objects.get(username="sender")
begun = time.monotonic()
{}
print(time.monotonic() - begun)
"""


@pytest.fixture
def doorbell(tmp_path: Path, settings: Any) -> Iterator[Doorbell]:
    """A Redis of this test's own, which forgets everything when it dies."""
    bell = Doorbell(tmp_path / "redis", durable=False)
    bell.start()
    settings.REDIS_URL = bell.url()
    yield bell
    bell.stop()


def kill_redis(bell: Doorbell) -> None:
    assert bell.process is not None
    bell.process.kill()
    bell.process.wait()


def ask_for(verb: str) -> float:
    """Does something as a page would, in a process of its own with the Redis of the test; returns
    how long it took there."""
    words = [sys.executable, str(programs.ROOT / "manage.py"), "shell", "--verbosity", "0"]
    done = subprocess.run(
        [*words, "-c", VERB.format(verb)],
        env=environment(),
        cwd=programs.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


def lose_redis(
    doorbell: Doorbell, directory: Path, seconds_away: float, people: int = 1_700
) -> None:
    """Empties it and takes it away in the middle of a send; without the spare process, so that it
    is the workers who go on."""
    with Exchange("redis", speed=100, lines=FEW_LINES) as exchange:
        message = begin_send(exchange, people=people, batch=5, directory=directory)
        with Processes(chosen(directory, "worker", "worker-urgent", "beat"), directory) as workers:
            await_progress(message)
            with redis.Redis.from_url(doorbell.url()) as client:
                client.flushall()
            after_flush = await_progress(message, MOST_SECONDS)
            kill_redis(doorbell)
            Event().wait(seconds_away)
            doorbell.start()
            # A worker that held a task when its broker died ends (kombu 5.7), and is started again.
            after_return = await_progress(message, MOST_SECONDS, workers)
            message.refresh_from_db()
            assert not message.finished, "the send was over before Redis was back"
            let_it_end(exchange)
            await_end(message, patience=PATIENCE, meanwhile=workers.revive)
        judge(message, exchange)
    print(f"R7: went on {after_flush:.1f} s after FLUSHALL, {after_return:.1f} s after its return")


def test_r7_redis_is_emptied_and_away_for_seconds(doorbell: Doorbell, tmp_path: Path) -> None:
    lose_redis(doorbell, tmp_path, float(os.environ.get("SECONDS_WITHOUT_REDIS", "5")))


@pytest.mark.slow
def test_r7_redis_is_emptied_and_away_for_a_minute(doorbell: Doorbell, tmp_path: Path) -> None:
    lose_redis(doorbell, tmp_path, 60.0, people=8_000)


def test_r7_an_emergency_goes_out_while_redis_is_away(
    switchboard: Exchange, doorbell: Doorbell, tmp_path: Path
) -> None:
    """Confirming it neither fails nor waits; the spare process sees that nobody works."""
    made = draft(tool="emergency", user=sender())
    with Processes(programs.background(tmp_path), tmp_path):
        kill_redis(doorbell)
        took = ask_for(f"lifecycle.confirm(MessageDraft.objects.get(pk={made.pk}), user)")
        assert took < SECONDS_FOR_A_PAGE
        message = Message.objects.get()
        accepted = DialerJob.objects.filter(message=message, accepted_at__isnull=False)
        await_that(accepted.exists, "an emergency handed over", MOST_SECONDS)
        assert accepted.get().accepted_at - message.created_at < timedelta(seconds=MOST_SECONDS)
        await_end(message, patience=90)
    judge(message, switchboard)


def test_r7_a_broker_that_swallows_everything_holds_no_confirm(
    switchboard: Exchange, settings: Any
) -> None:
    """It takes connections and never answers."""
    made = draft(tool="emergency", user=sender())
    with programs.listen(0) as silent:
        settings.REDIS_URL = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        took = ask_for(f"lifecycle.confirm(MessageDraft.objects.get(pk={made.pk}), user)")
    assert took < SECONDS_FOR_A_PAGE
    assert Message.objects.get().status == Message.Status.IN_PROGRESS


def test_s8_a_cancel_without_redis_and_without_workers(
    switchboard: Exchange, settings: Any, workers: Workers
) -> None:
    """Half of it was handed over when the workers died and Redis with them. The cancel is a fact in
    the database: whoever works next calls nobody."""
    message = confirmed()
    workers.await_death(workers.start(STAGES["some AddChains were answered"]))
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    took = ask_for(f"lifecycle.request_cancel({message.pk}, user)")
    assert took < SECONDS_FOR_A_PAGE
    message.refresh_from_db()
    assert message.cancel_requested_at is not None
    with workers.working():
        await_end(message)
    judge(message, switchboard, Message.Status.CANCELED_IP)
    assert switchboard.attempts(message) == []
