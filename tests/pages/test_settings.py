"""The settings pages: credentials verified on save, calling hours, the district and its roster."""

import socket
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import ContactReason, District, Message
from tests.launch.sending import launched, verified_account
from tests.pages.cast import client_of
from tests.pages.test_compose import text_of
from tests.shoutpoint.answers import VERIFIED, fault, fault_values
from tests.shoutpoint.raw_server import RawServer, http
from voice import dispatch
from voice.models import CustomerAccount, DialerBatch, DialerJob, VoiceSettings

REFUSED = http(
    fault("AuthenticationFault", fault_values(Code="BAD_CREDENTIALS")), "500 Internal Server Error"
)
SECRET = "S3cret & <quoted>"


@pytest.fixture
def client(admin: Any) -> Client:
    return client_of(admin)


@pytest.fixture
def fresh(world: Any) -> VoiceSettings:
    """A district that has never entered an account."""
    VoiceSettings.objects.all().delete()
    CustomerAccount.objects.all().delete()
    return VoiceSettings.current()


def save(
    client: Client,
    endpoint: str,
    password: str = SECRET,
    username: str = "district",
    second: str = "",
) -> Any:
    return client.post(
        reverse("voice_account"),
        {
            "account-username": username,
            "account-password": password,
            "account-endpoint": endpoint,
            "account-second_endpoint": second,
        },
        follow=True,
    )


@pytest.mark.spec("A1-06", "A1-07", "A1-08", "A1-09")
def test_good_credentials_are_verified_stored_and_never_shown(
    client: Client, fresh: VoiceSettings
) -> None:
    with RawServer(http(VERIFIED)) as dialer:
        page = save(client, dialer.url)
        assert len(dialer.requests) == 1
        assert b"VerifyCustomer" in dialer.requests[0]
    assert "The dialer accepts the user name and password." in text_of(page)
    settings = VoiceSettings.current()
    assert settings.verified
    assert settings.verified_at
    assert CustomerAccount.objects.get(kind="district").customer_id == "D-0101"
    assert SECRET not in settings.password_encrypted
    assert settings.password_encrypted
    again = client.get(reverse("voice_settings"))
    for shown in (page.content, again.content):
        assert b"S3cret" not in shown
        assert settings.password_encrypted.encode() not in shown
    assert "D-0101" in text_of(again)


@pytest.mark.spec("A1-08")
def test_wrong_credentials_are_an_error_on_the_form_and_voice_stays_off(
    client: Client, fresh: VoiceSettings
) -> None:
    with RawServer(REFUSED) as dialer:
        page = save(client, dialer.url)
        assert len(dialer.requests) == 1
    assert page.status_code == 422
    assert "<title>Error: Voice Settings" in page.content.decode()
    assert "Voice messages are off until the dialer accepts them." in text_of(page)
    assert b"S3cret" not in page.content
    assert not VoiceSettings.current().verified
    assert not Message.objects.exists()
    assert "the dialer has not accepted this district" in text_of(client.get("/"))


@pytest.mark.spec("A1-14")
def test_an_unreachable_dialer_is_told_apart_and_changes_nothing(
    client: Client, world: Any
) -> None:
    verified_account()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    page = save(client, f"http://127.0.0.1:{port}/soap")
    assert page.status_code == 200
    assert "could not be checked" in text_of(page)
    settings = VoiceSettings.current()
    assert settings.verified
    assert settings.checked_at


@pytest.mark.spec("A1-14")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (http(VERIFIED), "accepts"),
        (REFUSED, "does not accept the user name or password"),
        (None, "could not be checked"),
    ],
)
def test_test_connection_tells_three_things_apart(
    client: Client, fresh: VoiceSettings, answer: bytes | None, words: str
) -> None:
    with RawServer(http(VERIFIED)) as dialer:
        save(client, dialer.url)
        before = VoiceSettings.current()
        dialer.answers[:] = [answer or http(b"", "503 Service Unavailable")]
        page = client.post(reverse("voice_test"), follow=True)
    assert words in text_of(page)
    after = VoiceSettings.current()
    assert after.checked_at is not None
    assert before.checked_at is not None
    assert after.checked_at > before.checked_at
    assert after.verified


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"username": ""}, "username"),
        ({"password": ""}, "password"),
        ({"endpoint": ""}, "endpoint"),
        ({"endpoint": "ftp://dialer.example.com/"}, "endpoint"),
        ({"endpoint": "javascript:alert(1)"}, "endpoint"),
        ({"username": "x" * 121}, "username"),
    ],
)
@pytest.mark.spec("A1-06")
def test_all_three_are_required_and_must_make_sense(
    client: Client, fresh: VoiceSettings, changes: dict[str, str], field: str
) -> None:
    page = save(client, **{"endpoint": "https://dialer.example.com/soap"} | changes)
    assert page.status_code == 422
    assert field in page.context["form"].errors
    assert VoiceSettings.current().username == ""


def test_good_credentials_end_the_pause_at_once(client: Client, world: Any) -> None:
    """F4: what waited for them does not wait for its back-off as well."""
    message = launched([world.elementary])
    later = timezone.now() + timedelta(minutes=5)
    DialerJob.objects.update(retry_at=later)
    DialerBatch.objects.update(state=DialerBatch.State.SENDING, lease_until=later)
    assert dispatch.waiting_messages() == []
    VoiceSettings.objects.update(paused=True)
    with RawServer(http(VERIFIED)) as dialer:
        save(client, dialer.url)
    assert not VoiceSettings.current().paused
    assert dispatch.waiting_messages() == [(message.pk, False)]


@pytest.mark.spec("A1-13")
def test_plain_http_to_anywhere_else_is_refused(client: Client, fresh: VoiceSettings) -> None:
    page = save(client, "http://dialer.example.com/soap")
    assert page.status_code == 422
    assert not VoiceSettings.current().verified


def test_an_empty_password_keeps_the_stored_one_for_the_same_account_alone(
    client: Client, fresh: VoiceSettings
) -> None:
    with RawServer(http(VERIFIED)) as dialer, RawServer(http(VERIFIED)) as stranger:
        save(client, dialer.url)
        stored = VoiceSettings.current().password_encrypted
        assert save(client, dialer.url, password="").status_code == 200
        assert VoiceSettings.current().password_encrypted == stored
        page = save(client, stranger.url, password="")
        assert "password" in page.context["form"].errors
        page = save(client, dialer.url, password="", username="somebody else")
        assert "password" in page.context["form"].errors
        assert stranger.requests == []
    assert VoiceSettings.current().username == "district"


def calling(**changes: Any) -> dict[str, Any]:
    filled = {
        "district_start": "07:30",
        "district_end": "20:30",
        "allowed_days": ["0", "1", "2", "3", "4"],
        "redials": "3",
        "minutes_between_redials": "10",
        "ring_seconds": "25",
        "leave_message": "on",
        "bundle_messages": "on",
        "first_device": "work",
        "second_device": "cell",
        "third_device": "other",
        "fourth_device": "pager",
        "text_sender": "82290",
        "result_timeout": "45",
        "emergency_result_timeout": "90",
    } | changes
    return {f"calling-{name}": value for name, value in filled.items()}


def test_how_calls_are_made(client: Client, world: Any) -> None:
    url = reverse("voice_settings")
    assert "The calling settings are saved." in text_of(client.post(url, calling(), follow=True))
    settings = VoiceSettings.current()
    assert f"{settings.district_start:%H:%M}-{settings.district_end:%H:%M}" == "07:30-20:30"
    assert settings.allowed_days == [0, 1, 2, 3, 4]
    assert (settings.redials, settings.ring_seconds, settings.result_timeout) == (3, 25, 45)
    assert settings.leave_message
    assert settings.bundle_messages
    assert not settings.redial_machine
    assert District.current().device_order == ["work", "cell", "other", "pager"]
    assert client.get(url).context["calling"]["first_device"].value() == "work"
    assert settings.verified, "the account is another form's"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"district_end": "07:30"}, "district_end"),
        ({"district_start": ""}, "district_start"),
        ({"redials": "-1"}, "redials"),
        ({"redials": "1000000"}, "redials"),
        ({"ring_seconds": "9"}, "ring_seconds"),
        ({"ring_seconds": "121"}, "ring_seconds"),
        ({"minutes_between_redials": "x"}, "minutes_between_redials"),
        ({"allowed_days": ["7"]}, "allowed_days"),
        ({"result_timeout": "0"}, "result_timeout"),
        ({"text_sender": "12"}, "text_sender"),
        ({"text_sender": "+0 612"}, "text_sender"),
        ({"second_device": "work"}, "second_device"),
        ({"third_device": "email"}, "third_device"),
    ],
)
def test_calling_settings_that_cannot_be(
    client: Client, world: Any, changes: dict[str, Any], field: str
) -> None:
    page = client.post(reverse("voice_settings"), calling(**changes))
    assert page.status_code == 422
    assert list(page.context["form"].errors) == [field]
    assert VoiceSettings.current().redials == 2


def district(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Prairie Lakes",
        "time_zone": "America/Denver",
        "undo_seconds": "45",
        "roster_sms_device": "cell",
        "roster_messenger_mark": "on",
        "roster_voice_reasons": ["1", "8"],
        "roster_email_reasons": ["1"],
        "roster_text_reasons": [],
    } | changes


def test_the_district(client: Client, world: Any) -> None:
    District.objects.update(voice_enabled=True)
    page = client.post(reverse("settings"), district(voice_enabled=""), follow=True)
    assert "settings are saved" in text_of(page)
    saved = District.current()
    assert (saved.name, saved.time_zone) == ("Prairie Lakes", "America/Denver")
    assert saved.undo_seconds == 45
    assert saved.roster_voice_reasons == ContactReason.EMERGENCY.bit | ContactReason.GENERAL.bit
    assert (saved.roster_email_reasons, saved.roster_text_reasons) == (1, 0)
    assert saved.voice_enabled, "hosting's switch is not on this form"
    form = client.get(reverse("settings")).context["form"]
    assert form["roster_voice_reasons"].value() == ["1", "8"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"undo_seconds": "121"}, "undo_seconds"),
        ({"roster_sms_device": "email"}, "roster_sms_device"),
        ({"roster_voice_reasons": ["3"]}, "roster_voice_reasons"),
    ],
)
def test_a_district_that_cannot_be(
    client: Client, world: Any, changes: dict[str, Any], field: str
) -> None:
    page = client.post(reverse("settings"), district(**changes))
    assert page.status_code == 422
    assert list(page.context["form"].errors) == [field]
    assert District.current().name == "Prairie Lakes Public Schools"
