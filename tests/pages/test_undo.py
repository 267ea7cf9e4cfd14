"""The undo window (S11): what was confirmed waits a moment, and a cancel in it leaves nothing."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import Delivery, District, LaunchSlice, Message, User
from messenger.tasks import start_due
from tests.launch.sending import draft
from tests.pages.cast import client_of
from tests.world import World
from voice.models import DialerJob

Status = Message.Status


@pytest.fixture(autouse=True)
def half_a_minute(world: World) -> None:
    District.objects.update(undo_seconds=30)


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


def press(client: Client, user: User, tool: str = "general", **content: str) -> Message:
    written = draft(tool=tool, user=user, **content)
    client.post(reverse(f"{tool}_confirm", args=[written.uuid]))
    written.refresh_from_db()
    assert written.message is not None
    return written.message


def nothing_was_claimed(message: Message) -> bool:
    return not any(
        found.objects.filter(message=message).exists()
        for found in (LaunchSlice, Delivery, DialerJob)
    )


def test_s11_a_cancel_in_the_window_leaves_nothing_behind(client: Client, admin: User) -> None:
    message = press(client, admin)
    start_due()
    client.post(reverse("log_cancel", args=[message.uuid]))
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        start_due()
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert nothing_was_claimed(message)


def test_it_starts_when_the_window_is_over_and_not_before(client: Client, admin: User) -> None:
    began = timezone.now()
    message = press(client, admin)
    with time_machine.travel(began + timedelta(seconds=28)):
        start_due()
    message.refresh_from_db()
    assert message.status == Status.WAITING
    assert nothing_was_claimed(message)
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        start_due()
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS


def test_the_page_counts_down_beside_its_cancel(client: Client, admin: User) -> None:
    message = press(client, admin)
    page = client.get(reverse("log_detail", args=[message.uuid])).content.decode()
    assert "Sending in 30 seconds. A cancel until then leaves nothing behind." in page or (
        "Sending in 29 seconds." in page
    )
    assert 'id="cancel-message"' in page
    with time_machine.travel(timezone.now() + timedelta(seconds=20)):
        part = client.get(reverse("log_summary", args=[message.uuid])).content.decode()
    assert "Sending in 10 seconds." in part or "Sending in 9 seconds." in part


def test_an_emergency_never_waits(client: Client, admin: User) -> None:
    message = press(client, admin, "emergency")
    assert message.held_until is None
    assert message.status == Status.IN_PROGRESS


def test_a_district_may_do_without(client: Client, admin: User) -> None:
    District.objects.update(undo_seconds=0)
    message = press(client, admin)
    assert message.held_until is None
    start_due()
    message.refresh_from_db()
    assert message.status == Status.IN_PROGRESS


def test_a_message_for_tomorrow_does_not_count_down(client: Client, admin: User) -> None:
    tomorrow = timezone.now().astimezone(District.current().zone) + timedelta(days=1)
    ten = tomorrow.replace(hour=10, minute=0, second=0, microsecond=0)
    message = press(client, admin, scheduled_at=ten.isoformat())
    page = client.get(reverse("log_detail", args=[message.uuid])).content.decode()
    assert "Sending in" not in page
