"""S4: beat was down over the due moment. Started once if the window is still open, else over with
a reason and an alarm, and never twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.utils import timezone

from messenger import lifecycle
from messenger.models import District, LaunchSlice, Message, MessageMode
from messenger.tasks import start_due
from tests.launch.sending import confirmed, expand_all, sender, verified_account
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.world import World, build_world
from voice import alarms, dispatch
from voice.channel import PHONE_MODES
from voice.finishing import finish
from voice.models import DialerBatch, DialerJob, EmergencyAlarm

pytestmark = pytest.mark.django_db

Status = Message.Status
SHORT, LONG = "11:00", "14:00"


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


def ten_tomorrow() -> datetime:
    local = timezone.now().astimezone(District.current().zone) + timedelta(days=1)
    return local.replace(hour=10, minute=0, second=0, microsecond=0)


def due_at_ten(until: str) -> tuple[Message, datetime]:
    """A message that is due at ten tomorrow and may be called until some time of that day."""
    due = ten_tomorrow()
    message = confirmed(scheduled_at=due.isoformat(), window_start="09:00", window_end=until)
    start_due()
    message.refresh_from_db()
    assert message.status == Status.WAITING
    return message, due


def ticks(message: Message, times: int = 3) -> None:
    """Beat is there again, and makes up for what it missed."""
    for _tick in range(times):
        start_due()
        expand_all(message)
    message.refresh_from_db()


@pytest.mark.parametrize(
    ("down", "until"),
    [
        (timedelta(seconds=5), SHORT),
        (timedelta(minutes=10), SHORT),
        (timedelta(hours=3), LONG),
    ],
)
def test_s4_it_catches_up_once_while_the_window_is_open(
    world: World, down: timedelta, until: str
) -> None:
    message, due = due_at_ten(until)
    with time_machine.travel(due + down, tick=False):
        ticks(message, times=1)
        assert message.status == Status.IN_PROGRESS
        launched_at, slices = message.launched_at, LaunchSlice.objects.count()
        batches = list(DialerBatch.objects.order_by("pk").values_list("pk", "content"))
        assert batches
        ticks(message)
        assert (message.launched_at, LaunchSlice.objects.count()) == (launched_at, slices)
        assert DialerJob.objects.filter(message=message).count() == 1
        assert list(DialerBatch.objects.order_by("pk").values_list("pk", "content")) == batches
        alarms.watch(due + down)
    assert not EmergencyAlarm.objects.exists()


@pytest.mark.parametrize("down", [timedelta(hours=3), timedelta(days=2)])
def test_s4_a_missed_message_ends_with_a_reason_and_an_alarm(world: World, down: timedelta) -> None:
    admin = make_user("admin", ADMINISTRATOR)
    admin.email = "admin@district.example"
    admin.save()
    message, due = due_at_ten(SHORT)
    with time_machine.travel(due + down, tick=False) as clock:
        ticks(message)
        assert message.status == Status.FAILED
        assert message.status_reason.startswith("Not sent: Messenger did not start it before")
        assert "11:00 AM" in message.status_reason
        assert message.finished_at is not None
        assert set(message.modes.values_list("state", flat=True)) == {MessageMode.State.FINAL}
        alarms.watch(timezone.now())
        alarms.watch(timezone.now())
        (told,) = mail.outbox
        assert told.subject == "[Prairie Lakes Public Schools] Message was NOT sent: Snow day"
        assert "Send it anew if it still matters." in told.body
        banner = client_of(admin).get("/").content.decode()
        assert "“Snow day” was not sent" in banner
        # Another day at the same hour, and ever after: it never comes back.
        for _day in range(3):
            clock.shift(timedelta(days=1) - down if down < timedelta(days=1) else down)
            ticks(message)
            assert message.status == Status.FAILED
            alarms.watch(timezone.now())
        assert EmergencyAlarm.objects.get().ended_at is not None
    assert len(mail.outbox) == 1
    assert not LaunchSlice.objects.exists()
    assert not DialerJob.objects.exists()
    with pytest.raises(lifecycle.NotPossible):
        lifecycle.request_cancel(message.pk, sender())


@pytest.mark.django_db(transaction=True)
def test_s4_two_beats_that_come_back_at_once_start_it_once(world: World) -> None:
    messages = [confirmed([world.elementary]) for _message in range(8)]

    def beat(_number: int) -> None:
        try:
            start_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=4) as beats:
        list(beats.map(beat, range(8)))
    for message in messages:
        message.refresh_from_db()
        assert message.status == Status.IN_PROGRESS
        students = [pk for part in message.slices.all() for pk in part.person_ids]
        assert len(students) == len(set(students)) > 0


def test_a_message_that_cannot_be_started_keeps_no_other_from_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned, sound = confirmed(), confirmed()
    store_plan = lifecycle.ledger.store_plan

    def raise_for_the_first(message: Message, *rest: object) -> int:
        if message.pk == poisoned.pk:
            raise RuntimeError("a row that always raises")
        return store_plan(message, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(lifecycle.ledger, "store_plan", raise_for_the_first)
    start_due()
    sound.refresh_from_db()
    assert sound.status == Status.IN_PROGRESS
    poisoned.refresh_from_db()
    assert poisoned.status == Status.WAITING


def test_an_emergency_of_yesterday_is_not_dialed_when_the_dialer_is_back(world: World) -> None:
    """Whatever its first request did: it may be repeated, but the cancel goes out instead of it."""
    message = confirmed(tool="emergency")
    expand_all(message)
    dispatch.push(message.pk)
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS  # nobody answers at that address: it is tried again
    Message.objects.filter(pk=message.pk).update(launched_at=timezone.now() - timedelta(hours=25))
    DialerJob.objects.filter(message=message).update(retry_at=None)
    dispatch.push(message.pk)
    message.refresh_from_db()
    assert message.cancel_requested_at is not None
    assert message.status_reason.startswith("The dialer could not be reached for a day.")
    job = DialerJob.objects.get(message=message)
    finish(str(job.job_ref), 1, "CANCELLED", "", timezone.now())
    lifecycle.modes_final(message.pk, PHONE_MODES)
    message.refresh_from_db()
    assert message.status == Status.CANCELED_IP
    assert message.status_reason.startswith("The dialer could not be reached for a day.")
    ends = set(message.deliveries.exclude(chain=None).values_list("outcome", flat=True))
    assert ends == {"canceled"}
