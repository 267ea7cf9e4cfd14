"""A second end point: two doors to one account, or none (ruling 23); and each door tested apart."""

import socket
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import District
from tests.pages.cast import client_of
from tests.pages.test_compose import text_of
from tests.pages.test_settings import REFUSED, save
from tests.shoutpoint.answers import VERIFIED
from tests.shoutpoint.raw_server import RawServer, http
from voice import account
from voice.models import CustomerAccount, LogCursor, SecondDoor, VoiceSettings

OTHER_STATE = http(VERIFIED.replace(b"state-1", b"state-2"))
OTHER_CUSTOMER = http(VERIFIED.replace(b"D-0101", b"D-0999"))
BUSY = http(b"", "503 Service Unavailable")


@pytest.fixture
def client(admin: Any) -> Client:
    VoiceSettings.objects.all().delete()
    CustomerAccount.objects.all().delete()
    LogCursor.objects.all().delete()
    return client_of(admin)


@pytest.fixture
def nowhere() -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}/soap"


@pytest.mark.spec("A1-05")
def test_the_same_account_behind_both_doors_is_used_in_order(client: Client) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as second:
        both = [first.url, second.url]
        page = save(client, first.url, second=second.url)
        assert len(first.requests) == len(second.requests) == 1
    assert page.status_code == 200
    assert "Second end point: It leads to the same account as the first end point." in text_of(page)
    settings = VoiceSettings.current()
    assert settings.second_state == SecondDoor.VERIFIED
    assert account.doors(settings) == both
    assert (settings.dialer_lines, settings.dialer_emergency_lines) == (40, 20)
    assert settings.password_set_by


@pytest.mark.parametrize("answer", [OTHER_STATE, OTHER_CUSTOMER, REFUSED])
def test_a_door_to_another_account_is_not_saved(client: Client, answer: bytes) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(answer) as second:
        only = first.url
        page = save(client, first.url, second=second.url)
    assert page.status_code == 422
    words = page.context["form"].errors["second_endpoint"][0]
    assert words == (
        "The dialer does not accept the user name or password."
        if answer == REFUSED
        else "This end point leads to another account than the first one."
    )
    settings = VoiceSettings.current()
    assert settings.verified, "the first end point is saved all the same"
    assert settings.second_endpoint == ""
    assert account.doors(settings) == [only]


def test_a_door_that_cannot_be_reached_is_kept_and_not_used(client: Client, nowhere: str) -> None:
    with RawServer(http(VERIFIED)) as first:
        page = save(client, first.url, second=nowhere)
        assert "It is kept and not used until it is verified." in text_of(page)
        settings = VoiceSettings.current()
        assert (settings.second_endpoint, settings.second_state) == (nowhere, "unverified")
        assert account.doors(settings) == [first.url]
        # It comes to life: the tick verifies it, not sooner than five minutes later.
        assert account.recheck_second(timezone.now()) is None
        with RawServer(http(VERIFIED)) as alive:
            VoiceSettings.objects.update(second_endpoint=alive.url)
            later = timezone.now() + account.RECHECK_EVERY
            result = account.recheck_second(later)
            assert result is not None
            assert result.ok
            assert account.doors() == [first.url, alive.url]
            assert account.recheck_second(later) is None


def test_a_stored_door_that_leads_elsewhere_is_no_longer_used(client: Client) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as second:
        save(client, first.url, second=second.url)
        second.answers[:] = [OTHER_STATE]
        page = save(client, first.url, password="", second=second.url)
        assert page.status_code == 422
        settings = VoiceSettings.current()
        assert settings.second_state == SecondDoor.REFUSED
        assert account.doors(settings) == [first.url]
        assert account.recheck_second(timezone.now() + account.RECHECK_EVERY) is None
        # Taken away.
        save(client, first.url, password="", second="")
    assert VoiceSettings.current().second_endpoint == ""


def test_the_second_door_is_saved_while_the_first_is_down(client: Client) -> None:
    """The outage is when somebody adds it; the account is known from before."""
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as second:
        save(client, first.url)
        first.answers[:] = [BUSY]
        page = save(client, first.url, second=second.url)
        assert page.status_code == 200
        assert account.doors() == [first.url, second.url]


def test_another_account_behind_the_first_door_sets_the_second_aside(client: Client) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as second:
        save(client, first.url, second=second.url)
        first.answers[:] = [OTHER_STATE]
        settings = VoiceSettings.current()
        assert account.verify_and_save(settings, "district", None, first.url).ok
        assert account.doors() == [first.url]


def test_the_password_is_never_sent_to_a_door_it_was_not_entered_for(client: Client) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as stranger:
        save(client, first.url)
        page = save(client, first.url, password="", second=stranger.url)
        assert "password" in page.context["form"].errors
        same = save(client, first.url, second=first.url)
        assert "second_endpoint" in same.context["form"].errors
        assert stranger.requests == []


@pytest.mark.spec("A1-14")
def test_each_door_is_tested_apart(client: Client) -> None:
    with RawServer(http(VERIFIED)) as first, RawServer(http(VERIFIED)) as second:
        save(client, first.url, second=second.url)
        before = VoiceSettings.objects.values(*account.SECOND_COLUMNS, "verified").get()
        for answers, words in (
            ((http(VERIFIED), BUSY), ("First end point: The dialer accepts", "could not be")),
            ((REFUSED, http(VERIFIED)), ("does not accept the user name", "leads to the same")),
            ((BUSY, OTHER_STATE), ("could not be checked", "leads to another account")),
        ):
            first.answers[:], second.answers[:] = [answers[0]], [answers[1]]
            shown = text_of(client.post(reverse("voice_test"), follow=True))
            for word in words:
                assert word in shown
            assert "Second end point: " in shown
        assert VoiceSettings.objects.values(*account.SECOND_COLUMNS, "verified").get() == before


@pytest.mark.spec("A1-13", "A1-16")
def test_the_second_door_keeps_the_same_rules(client: Client, settings: Any) -> None:
    settings.DIALER_ALLOW_LOOPBACK = True
    with RawServer(http(VERIFIED)) as first:
        page = save(client, first.url, second="http://dialer.example.com/soap")
    assert page.context["form"].errors["second_endpoint"]
    assert VoiceSettings.current().second_endpoint == ""
    assert District.current().voice_enabled
