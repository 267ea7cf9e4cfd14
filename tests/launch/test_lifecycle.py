"""Confirm once, launch when due, cancel at any moment (R14, S5, B2, B3, ruling 17)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import time, timedelta

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from messenger import lifecycle
from messenger.models import ContactPreference, Delivery, LaunchSlice, Message, MessageDraft
from messenger.tasks import start_due
from tests.launch.sending import confirmed, draft, expand_all, launched, sender, verified_account
from tests.world import World, build_world
from voice.models import DialerBatch, VoiceSettings
from voice.tasks import finish_phone, sweep_phone

pytestmark = pytest.mark.django_db

Status = Message.Status


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


@pytest.mark.django_db(transaction=True)
def test_a_hundred_confirms_make_one_message(world: World) -> None:
    made = draft()

    def press(_number: int) -> int:
        try:
            return lifecycle.confirm(MessageDraft.objects.get(pk=made.pk), made.user).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=8) as people:
        ids = set(people.map(press, range(100)))
    assert len(ids) == 1
    assert Message.objects.count() == 1


@pytest.mark.spec("B2-08")
def test_a_message_for_later_waits(world: World) -> None:
    later = timezone.now() + timedelta(days=1)
    message = confirmed(scheduled_at=later.isoformat())
    assert message.status == Status.WAITING
    assert not lifecycle.launch(message.pk)
    with time_machine.travel(later + timedelta(minutes=1)):
        assert lifecycle.launch(message.pk)
        message.refresh_from_db()
        assert message.status == Status.IN_PROGRESS


@pytest.mark.spec("B2-07")
def test_launch_makes_it_in_progress_once(world: World) -> None:
    message = confirmed()
    assert lifecycle.launch(message.pk)
    assert not lifecycle.launch(message.pk)
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS
    assert message.launched_at is not None


def test_a_tick_finds_what_a_lost_ring_missed(world: World) -> None:
    message = confirmed()
    start_due()
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS


def test_the_message_waits_for_its_window(world: World) -> None:
    zone = world.district.zone
    morning = timezone.now().astimezone(zone).replace(hour=6, minute=0) + timedelta(days=1)
    with time_machine.travel(morning, tick=False):
        message = confirmed(window_start="07:00", window_end="20:00")
        assert message.dial_from is not None
        assert message.dial_from.astimezone(zone).hour == 7
        assert not lifecycle.launch(message.pk)
    with time_machine.travel(morning + timedelta(hours=1, minutes=1), tick=False):
        assert lifecycle.launch(message.pk)


@pytest.mark.spec("A2-01")
def test_an_emergency_is_launched_by_its_confirm(world: World) -> None:
    message = confirmed(tool="emergency")
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS
    assert message.scheduled_at == message.created_at
    assert (message.dial_from, message.dial_until) == (None, None)
    assert message.slices.exists()


@pytest.mark.spec("A2-02")
def test_an_emergency_knows_no_hours_and_a_general_message_does(world: World) -> None:
    verified_account(district_start=time(7, 0), district_end=time(21, 0))
    zone = world.district.zone
    night = timezone.now().astimezone(zone).replace(hour=2, minute=0) + timedelta(days=1)
    with time_machine.travel(night, tick=False):
        emergency = confirmed(tool="emergency")
        general = confirmed()
        assert Message.objects.get(pk=emergency.pk).status == Status.IN_PROGRESS
        assert not lifecycle.launch(general.pk)


def test_a_window_that_is_over_is_refused_in_words(world: World) -> None:
    zone = world.district.zone
    evening = timezone.now().astimezone(zone).replace(hour=21, minute=0)
    verified_account(district_start=time(8, 0), district_end=time(20, 0))
    with (
        time_machine.travel(evening, tick=False),
        pytest.raises(lifecycle.CannotSend, match="8:00 AM to 8:00 PM"),
    ):
        confirmed()


def test_an_account_that_is_not_verified_is_refused_in_words(world: World) -> None:
    VoiceSettings.objects.update(verified=False)
    with pytest.raises(lifecycle.CannotSend, match="Voice Settings"):
        confirmed()


def test_voice_that_hosting_has_not_enabled_is_refused(world: World) -> None:
    world.district.voice_enabled = False
    world.district.save()
    with pytest.raises(lifecycle.CannotSend, match="not enabled"):
        confirmed()


@pytest.mark.spec("B2-02")
def test_cancel_before_launch_is_canceled_and_never_returns(world: World) -> None:
    """Also the incident of 2010: a deleted message was dialed again the next midnight."""
    later = timezone.now() + timedelta(days=1)
    message = confirmed(scheduled_at=later.isoformat())
    lifecycle.request_cancel(message.pk, sender("other"))
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert message.canceled_by_name == "Administrator, System"
    with time_machine.travel(later + timedelta(hours=1)):
        start_due()
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert not LaunchSlice.objects.filter(message=message).exists()


@pytest.mark.spec("B2-03")
def test_cancel_before_anything_left_ends_every_row_canceled(world: World) -> None:
    message = launched()
    lifecycle.request_cancel(message.pk, sender())
    finish_phone(message.pk)
    message.refresh_from_db()
    assert message.status == Status.CANCELED_IP
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    assert set(rows.exclude(chain=None).values_list("outcome", "reason")) == {("canceled", "user")}
    assert set(
        DialerBatch.objects.filter(job__message=message).values_list("state", flat=True)
    ) == {"canceled"}


def test_cancel_in_the_middle_of_an_expansion_stops_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    message = confirmed()
    lifecycle.launch(message.pk)
    assert lifecycle.expand_next(message.pk)
    lifecycle.request_cancel(message.pk, sender())
    assert not lifecycle.expand_next(message.pk)
    rows = Delivery.objects.filter(message=message).count()
    expand_all(message)
    assert Delivery.objects.filter(message=message).count() == rows
    sweep_phone()
    message.refresh_from_db()
    assert message.status == Status.CANCELED_IP


@pytest.mark.spec("B3-13")
def test_a_finished_message_cannot_be_canceled(world: World) -> None:
    message = confirmed()
    lifecycle.fail(message.pk, "The dialer refused the request.")
    with pytest.raises(lifecycle.NotPossible, match="Failed"):
        lifecycle.request_cancel(message.pk, sender())


def test_a_message_for_nobody_with_a_phone_is_finished_at_once(world: World) -> None:
    ContactPreference.objects.update(reasons=0)
    message = launched()
    finish_phone(message.pk)
    message.refresh_from_db()
    assert message.status == Status.SENT


@pytest.mark.spec("B2-14", "B2-13")
def test_scheduled_equals_created_for_now(world: World) -> None:
    message = confirmed()
    assert message.scheduled_at == message.created_at


def test_criteria_and_settings_are_frozen_at_confirm(world: World) -> None:
    message = confirmed([world.elementary])
    verified_account(redials=5, default_caller_id="+16125550100")
    world.elementary.name = "Renamed"
    world.elementary.save()
    message.refresh_from_db()
    assert message.settings_frozen["redials"] == 2
    assert ["Schools", "Cedar Elementary"] in message.criteria_shown
