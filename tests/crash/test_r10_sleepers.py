"""R10: a worker that sleeps past its lease (SIGSTOP) and wakes up (SIGCONT) does no harm.

While it sleeps another one takes over: its lease ends, and PostgreSQL takes its locks and its
transactions from it. When it wakes up, what it writes is refused by its claim.
"""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import close_old_connections

from messenger import ledger, lifecycle
from messenger.models import Delivery, Message
from tests.crash.judging import await_end, judge
from tests.crash.test_r4_points import POINTS
from tests.crash.workers import Trap, Workers, sleep
from tests.end_to_end.town import Exchange
from tests.launch.sending import confirmed, launched, sender
from tests.world import World
from voice import refusals
from voice.models import DialerBatch, LogCursor

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

MOTHER = "+16125557735"
# In words of the nine points, and in a transaction with half a slice written.
PLACES = {
    **{
        name: POINTS[name]
        for name in (
            "SubmitJob marked sent",
            "SubmitJob answer read, not stored",
            "AddChains marked sent",
            "AddChains answer read, not stored",
            "TotalChains answer read, not stored",
            "GetCallLog page read, not stored",
            "GetCallLog page in the middle of being stored",
        )
    },
    "a slice half written": Trap(ledger, "join_latest"),
}


@pytest.fixture
def sleepers(workers: Workers) -> Workers:
    """Workers that lose what they hold after 2 s of sleep."""
    workers.idle_seconds = 2.0
    return workers


def tick_until_finished(message: Message) -> None:
    """Works like any worker, and ends when the message has ended."""
    while True:
        close_old_connections()  # as every worker does between two tasks
        if Message.objects.get(pk=message.pk).finished:
            return
        call_command("tick", alone=True)


def written(message: Message) -> list[Any]:
    """Everything that a late writer could spoil."""
    return [
        list(DialerBatch.objects.filter(job__message=message).order_by("number").values()),
        list(message.dialer_jobs.order_by("pk").values()),
        list(Delivery.objects.filter(message=message).order_by("id").values()),
        list(LogCursor.objects.values("seq", "epoch")),
        list(Message.objects.filter(pk=message.pk).values("status", "finished_at")),
    ]


def sleep_through(message: Message, trap: Trap, workers: Workers, status: str) -> None:
    """One worker falls asleep in the trap, others finish the message, and it wakes up."""
    sleeper = workers.start(trap, work=lambda: tick_until_finished(message), strike=sleep)
    workers.await_sleep(sleeper)
    with workers.working():
        await_end(message)
    before = written(message)
    workers.wake(sleeper)
    workers.await_end(sleeper)
    assert written(message) == before
    message.refresh_from_db()
    assert message.status == status


@pytest.mark.parametrize("place", PLACES)
def test_r10_what_a_sleeper_writes_is_refused(
    place: str, switchboard: Exchange, sleepers: Workers
) -> None:
    message = confirmed()
    sleep_through(message, PLACES[place], sleepers, Message.Status.SENT)
    judge(message, switchboard)


def test_r10_a_refused_batch_is_split_once(
    switchboard: Exchange, world: World, sleepers: Workers
) -> None:
    """Asleep with the refusal in its hand: its halves would be the same chains under new numbers,
    refused as conflicts, and their families shown as not called."""
    message = launched([world.elementary])
    batch = DialerBatch.objects.filter(job__message=message, content__contains=MOTHER)[0]
    broken = batch.content.replace(MOTHER, "+11125557735")  # no area code begins with 1
    DialerBatch.objects.filter(pk=batch.pk).update(content=broken)
    sleep_through(message, Trap(refusals, "split"), sleepers, Message.Status.SENT)
    switchboard.judge(message)
    failed = Delivery.objects.filter(message=message, outcome="failed", reason="refused_by_dialer")
    assert set(failed.values_list("recipient__given_name", flat=True)) == {"Alisa"}


def test_r10_a_cancel_does_not_wait_for_a_sleeper(switchboard: Exchange, sleepers: Workers) -> None:
    """It sleeps inside a transaction that holds the message; the cancel takes it all the same."""
    message = confirmed()
    sleeper = sleepers.start(
        PLACES["a slice half written"],
        work=lambda: tick_until_finished(message),
        strike=sleep,
    )
    sleepers.await_sleep(sleeper)
    lifecycle.request_cancel(message.pk, sender())
    with sleepers.working():
        await_end(message)
    sleepers.wake(sleeper)
    sleepers.await_end(sleeper)
    judge(message, switchboard, Message.Status.CANCELED_IP)
    assert switchboard.books(message).jobs == 0
