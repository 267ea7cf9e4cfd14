"""Two doors to one account: what goes through which, and that nothing is dialed twice (F1)."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from messenger.models import Message
from tests.end_to_end.relay import Relay
from tests.end_to_end.town import Exchange, finish, hand_over, open_account
from tests.launch.sending import confirmed
from tests.world import build_world
from voice import account, breaker, collect, dispatch
from voice.models import DialerJob, DoorHealth, LogCursor, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


@pytest.fixture
def relay(switchboard: Exchange) -> Iterator[Relay]:
    """The district's first door; its second one leads to the switchboard itself."""
    build_world()
    with Relay(switchboard.port) as relay:
        open_account(switchboard)
        settings = VoiceSettings.current()
        result = account.verify_and_save(
            settings, switchboard.username, switchboard.password, first(switchboard, relay)
        )
        assert result.ok, result.words
        second = account.verify_second(VoiceSettings.current(), switchboard.url)
        assert second is not None
        assert second.ok
        yield relay


def first(switchboard: Exchange, relay: Relay) -> str:
    return switchboard.url.replace(f":{switchboard.port}", f":{relay.port}")


def job_of(message: Message) -> DialerJob:
    return DialerJob.objects.get(message=message)


@pytest.mark.spec("A1-05")
def test_a_shut_door_is_left_at_once_and_nothing_is_dialed_twice(
    switchboard: Exchange, relay: Relay
) -> None:
    relay.shut()
    message = confirmed()
    hand_over(message)
    job = job_of(message)
    assert job.endpoint == switchboard.url
    assert job.retry_at is not None
    assert job.retry_at <= timezone.now(), "the other door is not waited for"
    assert dispatch.waiting_messages() == [(message.pk, False)]
    dispatch.push(message.pk)
    assert job_of(message).all_accepted_at is not None
    finish(message)
    switchboard.judge(message)


def test_an_answer_that_was_lost_is_asked_for_at_the_other_door(
    switchboard: Exchange, relay: Relay
) -> None:
    """The first door took the job and its answer was lost: the same request again, Replayed."""
    relay.swallow_answers()
    message = confirmed()
    hand_over(message)
    assert relay.lost
    assert switchboard.books(message).chains, "the dialer has it"
    dispatch.push(message.pk)
    assert job_of(message).endpoint == switchboard.url
    finish(message)
    switchboard.judge(message)


def test_five_failures_close_a_door_and_one_request_tries_it_again(
    switchboard: Exchange, relay: Relay
) -> None:
    door = first(switchboard, relay)
    assert breaker.doors_in_order() == [door, switchboard.url]
    for _failure in range(breaker.FAILURES - 1):
        breaker.note_failure(door)
    assert breaker.doors_in_order()[0] == door
    breaker.note_failure(door)
    assert breaker.doors_in_order() == [switchboard.url, door]
    with time_machine.travel(timezone.now() + breaker.PROBE_EVERY + timedelta(seconds=1)):
        assert breaker.doors_in_order()[0] == door, "one tries it"
        assert breaker.doors_in_order()[0] == switchboard.url, "the others do not"
        breaker.note_success(door)
        assert breaker.doors_in_order()[0] == door


def test_failures_far_apart_close_nothing(switchboard: Exchange, relay: Relay) -> None:
    door = first(switchboard, relay)
    for minute in range(2 * breaker.FAILURES):
        with time_machine.travel(timezone.now() + timedelta(minutes=minute)):
            breaker.note_failure(door)
    assert DoorHealth.objects.get(endpoint=door).closed_until is None


def test_an_emergency_closes_the_door_at_its_first_failure(
    switchboard: Exchange, relay: Relay
) -> None:
    relay.shut()
    urgent = confirmed(tool="emergency")
    hand_over(urgent)
    assert breaker.doors_in_order()[0] == switchboard.url
    dispatch.push(urgent.pk)
    assert job_of(urgent).all_accepted_at is not None
    routine = confirmed()
    hand_over(routine)
    assert job_of(routine).endpoint == switchboard.url
    assert job_of(routine).failures == 0, "it did not have to find out by itself"
    for message in (urgent, routine):
        finish(message)
        switchboard.judge(message)


def test_the_log_is_read_through_the_other_door(switchboard: Exchange, relay: Relay) -> None:
    message = confirmed()
    hand_over(message)
    relay.shut()
    finish(message)
    cursor = LogCursor.objects.get(current=True)
    assert cursor.trouble == ""
    assert collect.collect(seconds=1).entries == 0
    assert DoorHealth.objects.get(endpoint=first(switchboard, relay)).failures > 0


def test_reading_the_log_opens_a_door_that_works_again(switchboard: Exchange, relay: Relay) -> None:
    """Half a minute after it was closed the poll may be the one that tries it."""
    door = first(switchboard, relay)
    breaker.note_failure(door, emergency=True)
    collect.collect(seconds=1)
    assert breaker.doors_in_order()[0] == switchboard.url
    DoorHealth.objects.update(closed_until=timezone.now())
    collect.collect(seconds=1)
    assert DoorHealth.objects.get(endpoint=door).closed_until is None
    assert breaker.doors_in_order()[0] == door
