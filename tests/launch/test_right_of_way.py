"""An emergency goes first (A2-03): a routine message stands aside while one is confirmed or
expanded. Commits for real, because other connections look on."""

from threading import Event, Thread
from typing import Any

import pytest
from django.db import connection, transaction

from messenger import expansion, lifecycle, right_of_way
from messenger.models import LaunchSlice, Message
from messenger.tasks import EXPAND_SECONDS
from tests.launch.sending import confirmed, expand_all, sender, verified_account
from tests.world import build_world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def world(monkeypatch: pytest.MonkeyPatch) -> None:
    verified_account()
    build_world()
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    monkeypatch.setattr(expansion, "ENOUGH_FOR_TWO", 2)


def planned(message: Message) -> int:
    return LaunchSlice.objects.filter(message=message, state=LaunchSlice.State.PLANNED).count()


def test_nothing_is_claimed_when_there_is_no_emergency() -> None:
    message = confirmed()
    lifecycle.launch(message.pk)
    assert planned(message)
    assert not right_of_way.is_claimed()


def test_an_emergency_claims_it_until_its_last_slice_is_expanded_or_it_is_canceled() -> None:
    first, second = confirmed(tool="emergency"), confirmed(tool="emergency")
    assert right_of_way.is_claimed()
    expand_all(first)
    assert right_of_way.is_claimed()
    lifecycle.request_cancel(second.pk, sender())
    assert not right_of_way.is_claimed()


@pytest.mark.spec("A2-03")
def test_a_routine_message_waits_while_an_emergency_is_being_confirmed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    message = confirmed()
    lifecycle.launch(message.pk)
    before, stands_aside = planned(message), Event()

    class Watched(Event):
        def wait(self, timeout: Any = None) -> bool:
            stands_aside.set()
            return super().wait(timeout)

    monkeypatch.setattr(right_of_way, "_nobody", Watched())

    def expand() -> None:
        expansion.expand(message.pk, 60)
        connection.close()

    with transaction.atomic():
        right_of_way.claim()
        routine = Thread(target=expand)
        routine.start()
        assert stands_aside.wait(30)
        assert planned(message) == before
    routine.join(60)
    assert planned(message) == 0
    assert not routine.is_alive()


def test_an_emergency_that_is_stuck_does_not_stop_the_others_for_ever() -> None:
    """With the waiting time as it is, a task of the usual length gets on; twice in a row."""
    confirmed(tool="emergency")  # and nobody expands it
    message = confirmed()
    lifecycle.launch(message.pk)
    before = planned(message)
    expansion.expand(message.pk, EXPAND_SECONDS)
    assert right_of_way.is_claimed()
    after = planned(message)
    assert after < before
    if after:
        expansion.expand(message.pk, EXPAND_SECONDS)
        assert planned(message) < after
