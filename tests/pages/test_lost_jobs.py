"""The page and the banner of a message that the dialer has lost: what they say, and who decides."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messenger.models import Delivery, Message, User
from tests.launch.sending import lost_message
from tests.pages.cast import ADMINISTRATOR, READ_ONLY, SECRETARY, client_of, make_user
from voice import epochs
from voice.models import DialerJob


@pytest.fixture
def lost(world: Any) -> Message:
    return lost_message(world.elementary)


@pytest.fixture
def secretary(world: Any) -> User:
    return make_user("secretary", SECRETARY, world.elementary)


def page(client: Client, message: Message) -> str:
    return client.get(reverse("log_detail", args=[message.uuid])).content.decode()


def say(client: Client, message: Message, word: str) -> int:
    return client.post(reverse("log_lost", args=[message.uuid]), {"word": word}).status_code


def test_who_may_send_sees_the_banner_the_count_and_the_buttons(
    lost: Message, secretary: User
) -> None:
    client = client_of(secretary)
    people = Delivery.objects.filter(message=lost, chain__isnull=False)
    count = people.exclude(state="done").values("recipient").distinct().count()
    assert count > 1
    banner = client.get(reverse("alarms")).content.decode()
    assert "The dialer has lost “Early release”" in banner
    assert f"not been called: {count}." in banner
    shown = page(client, lost)
    assert f"{count} recipients have not been called" in shown
    assert f"Call {count} recipients now" in shown


def test_others_see_what_happened_and_cannot_decide(lost: Message) -> None:
    reader = client_of(make_user("reader", READ_ONLY))
    assert "The dialer has lost this message" in page(reader, lost)
    assert "lost-call" not in page(reader, lost)
    assert "Early release" not in reader.get(reverse("alarms")).content.decode()
    assert say(reader, lost, "call") == 404
    assert DialerJob.objects.filter(message=lost).count() == 1


def test_the_word_to_call_makes_a_new_job_once(lost: Message, secretary: User) -> None:
    client = client_of(secretary)
    assert say(client, lost, "call") == 302
    assert say(client, lost, "call") == 302
    old, new = DialerJob.objects.filter(message=lost).order_by("pk")
    assert (old.state, old.current, new.state, new.current) == ("finished", False, "frozen", True)
    assert new.content["job_ref"] == str(new.job_ref) != str(old.job_ref)
    shown = page(client, lost)
    assert "Handed over again" in shown
    assert "lost-call" not in shown
    assert "Early release" not in client.get(reverse("alarms")).content.decode()


def test_the_word_to_call_nobody_ends_the_message(lost: Message, world: Any) -> None:
    client = client_of(make_user("administrator", ADMINISTRATOR))
    assert say(client, lost, "leave") == 302
    lost.refresh_from_db()
    assert lost.status == Message.Status.SENT
    rows = Delivery.objects.filter(message=lost, chain__isnull=False)
    assert set(rows.values_list("state", "outcome", "reason")) == {
        ("done", "canceled", epochs.REASON)
    }
    assert (
        "nothing to decide"
        in client.post(
            reverse("log_lost", args=[lost.uuid]), {"word": "call"}, follow=True
        ).content.decode()
    )
