"""S3 through the product: a message for a wall time on a day of change runs once, at that time."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from messenger import lifecycle
from messenger.forms.compose import ComposeForm
from messenger.models import District, Message, MessageDraft, User
from messenger.tasks import start_due
from tests.launch.sending import verified_account
from tests.launch.test_windows import CHANGES, US_ZONES
from tests.pages.cast import ADMINISTRATOR, make_user
from tests.world import World, build_world

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


def scheduled(user: User, world: World, day: date, wall: time) -> Message:
    """A message as the form and the confirm button make it."""
    form = ComposeForm(
        {
            "subject": "On a day of change",
            "voice_text": "The clocks change today.",
            "schools": [str(world.elementary.pk)],
            "deliver_to": ["contacts"],
            "when": "later",
            "day": day.isoformat(),
            "at": f"{wall:%H:%M}",
        },
        user=user,
        tool="general",
    )
    assert form.is_valid(), form.errors
    draft = MessageDraft.objects.create(user=user, content=form.content())
    return lifecycle.confirm(draft, user)


def first_moment(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The first minute of the day whose wall time is `wall` or, skipped, the next there is; found
    by walking through the day."""
    moment = datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)
    while moment.astimezone(zone).time() < wall:
        moment += timedelta(minutes=1)
    return moment


@pytest.mark.parametrize("zone", US_ZONES)
def test_s3_a_scheduled_message_runs_once_at_its_wall_time(world: World, zone: str) -> None:
    """The next change to summer time and the next back; 1:30 AM comes twice on the one day, 2:30 AM
    not at all on the other (where clocks change)."""
    District.objects.update(time_zone=zone)
    user, there = make_user("admin", ADMINISTRATOR), ZoneInfo(zone)
    today = timezone.now().date()
    coming = [day for day in CHANGES if day > today + timedelta(days=1)][:2]
    assert len(coming) == 2, "the years of the test are over"
    for day in coming:
        for wall in (time(1, 30), time(2, 30)):
            message = scheduled(user, world, day, wall)
            moment = first_moment(day, wall, there)
            assert message.scheduled_at == moment
            for before in (moment - timedelta(hours=1), moment - SECOND):
                with time_machine.travel(before, tick=False):
                    start_due()
                message.refresh_from_db()
                assert message.status == Message.Status.WAITING
            for after in (moment + SECOND, moment + timedelta(hours=1, seconds=1)):
                with time_machine.travel(after, tick=False):
                    start_due()
                message.refresh_from_db()
                assert message.status == Message.Status.IN_PROGRESS
                assert message.launched_at == moment + SECOND
            Message.objects.filter(pk=message.pk).update(status=Message.Status.SENT)
