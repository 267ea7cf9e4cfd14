"""An emergency of which nothing is accepted within 60 s: alarm, banner, email; and their end."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import Message, User
from tests.launch.sending import confirmed
from tests.mail_server import MailServer
from tests.pages.cast import ADMINISTRATOR, SECRETARY, client_of, make_user
from voice import alarms
from voice.models import DialerJob, EmergencyAlarm, VoiceSettings

LATE = timedelta(seconds=61)


@pytest.fixture
def admin(world: Any) -> User:
    user = make_user("admin", ADMINISTRATOR)
    user.email = "admin@district.example"
    user.save()
    return user


@pytest.fixture
def emergency(admin: User, world: Any) -> Message:
    """Confirmed and launched; the dialer never hears of it."""
    return confirmed([world.elementary], tool="emergency", user=admin, subject="Gas leak")


def banner(client: Client) -> str:
    return client.get(reverse("alarms")).content.decode()


def accept(message: Message) -> None:
    DialerJob.objects.update_or_create(
        message=message,
        defaults={"job_ref": message.job_ref, "content": {}, "accepted_at": timezone.now()},
    )


def test_silence_of_a_minute_is_seen_and_told_once(emergency: Message, admin: User) -> None:
    """F7: the banner on every page and an email, 60 s after the confirm and not before."""
    client = client_of(admin)
    alarms.watch(timezone.now())
    assert not EmergencyAlarm.objects.exists()
    VoiceSettings.objects.update(trouble="The dialer could not be reached.")
    alarms.watch(emergency.created_at + LATE)
    alarms.watch(emergency.created_at + LATE)
    (told,) = mail.outbox
    assert told.to == ["admin@district.example"]
    assert "NOT going out: Gas leak" in told.subject
    assert "The dialer could not be reached." in told.body
    assert "\n" not in told.subject
    for address in ("/", reverse("settings"), reverse("status"), reverse("emergency_new")):
        assert "is not going out" in client.get(address).content.decode()
    assert "banner--alarm" in banner(client)
    # It goes out after all: the banner goes, and the same people are told.
    accept(emergency)
    alarms.watch(emergency.created_at + 2 * LATE)
    alarms.watch(emergency.created_at + 2 * LATE)
    assert "is not going out" not in banner(client)
    assert [letter.subject.partition("] ")[2] for letter in mail.outbox[1:]] == [
        "Emergency message is going out now: Gas leak"
    ]


def test_an_open_page_learns_of_it_by_itself(emergency: Message, admin: User) -> None:
    client = client_of(admin)
    shown = client.get("/").content.decode().partition('id="alarms"')[2]
    look = shown.partition('hx-get="')[2].partition('"')[0]
    assert client.get(look).status_code == 204
    alarms.watch(emergency.created_at + LATE)
    assert "is not going out" in client.get(look).content.decode()


def test_only_those_who_may_see_the_message_see_its_alarm(emergency: Message, world: Any) -> None:
    alarms.watch(emergency.created_at + LATE)
    near = make_user("near", SECRETARY, world.elementary)
    far = make_user("far", SECRETARY, world.high)
    assert "Gas leak" in banner(client_of(near))
    assert "Gas leak" not in banner(client_of(far))


def test_what_is_no_alarm(admin: User, world: Any) -> None:
    """Accepted in time, canceled, an ordinary message, or one of the day before yesterday."""
    taken = confirmed([world.elementary], tool="emergency", user=admin)
    accept(taken)
    canceled = confirmed([world.elementary], tool="emergency", user=admin)
    old = confirmed([world.elementary], tool="emergency", user=admin)
    confirmed([world.elementary], user=admin)
    now = timezone.now()
    Message.objects.filter(pk=canceled.pk).update(cancel_requested_at=now)
    Message.objects.filter(pk=old.pk).update(created_at=now - timedelta(days=2))
    alarms.watch(now + LATE)
    assert not EmergencyAlarm.objects.exists()
    assert mail.outbox == []


def test_a_refused_emergency_is_an_alarm_too(emergency: Message, admin: User) -> None:
    """RSU 20, 2024: the whole message silently not sent."""
    Message.objects.filter(pk=emergency.pk).update(
        status=Message.Status.FAILED, status_reason="The message has no words."
    )
    alarms.watch(emergency.created_at + LATE)
    assert "The message has no words." in mail.outbox[0].body
    assert "It is not tried again." in mail.outbox[0].body
    assert "Gas leak" in banner(client_of(admin))
    alarms.watch(emergency.created_at + timedelta(hours=2))
    assert "Gas leak" not in banner(client_of(admin))
    assert "has ended without a call" in mail.outbox[1].subject


def test_a_mail_server_that_fails_is_asked_again(
    emergency: Message, admin: User, settings: Any
) -> None:
    """One address that is refused stops no other; when all are, or nobody listens, a later tick
    tries again."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.ALARM_EMAILS = ["duty@district.example"]
    late = emergency.created_at + LATE
    with MailServer() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        server.refused = {"admin@district.example", "duty@district.example"}
        alarms.watch(late)
        assert server.taken == []
        server.refused = {"admin@district.example"}
        alarms.watch(late + timedelta(seconds=5))
        assert server.taken == [], "another tick may be sending it"
        alarms.watch(late + LATE)
        ((to, letter),) = server.taken
        assert (to, "As far as we know, nobody is called." in letter) == (
            "duty@district.example",
            True,
        )
        alarms.watch(late + 3 * LATE)
        assert len(server.taken) == 1
        assert EmergencyAlarm.objects.get().notified == 1
    EmergencyAlarm.objects.update(notified_at=None)
    alarms.watch(late + 5 * LATE)  # nobody listens any more
    assert EmergencyAlarm.objects.get().notified_at is None


def test_who_is_told(admin: User, world: Any, settings: Any) -> None:
    settings.ALARM_EMAILS = ["duty@district.example"]
    secretary = make_user("secretary", SECRETARY, world.elementary)
    gone = User.objects.create_superuser("gone", "gone@district.example", is_active=False)
    User.objects.create_superuser("root", "root@district.example")
    secretary.email = "secretary@district.example"
    secretary.save()
    assert not gone.is_active
    everybody = ["admin@district.example", "duty@district.example", "root@district.example"]
    assert alarms.addresses() == everybody
    hers = Message(sender=secretary)
    assert alarms.addresses(hers) == sorted([*everybody, "secretary@district.example"])
