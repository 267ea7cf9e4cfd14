"""Real calls over real SOAP: from confirm to Sent, with everything that may go wrong on the way.

The switchboard is a process of its own; its ledger is asked who was called.
"""

from datetime import time
from html import unescape

import pytest
from django.urls import reverse
from django.utils import timezone

from dialer_adapters.switchboard.accounts import save_account
from messenger import lifecycle
from messenger.models import Attempt, ContactPoint, Delivery, Message, School
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, expand_all, launched, sender
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.world import World
from voice import account, collect, dispatch
from voice.models import CustomerAccount, DialerBatch, DialerJob, LogCursor, VoiceSettings
from voice.tasks import dispatch_message, sweep_phone

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def set_numbers(numbers: dict[str, str]) -> None:
    """Gives people numbers of the town that always behave (dialer_adapters.switchboard.lines)."""
    for old, new in numbers.items():
        ContactPoint.objects.filter(value=old).update(value=new, raw=new)


@pytest.mark.spec("A1-04", "A1-12", "A2-09")
def test_a_general_message_from_confirm_to_sent(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    message = confirmed()
    hand_over(message)
    job = DialerJob.objects.get(message=message)
    assert job.state == DialerJob.State.SEALED
    finish(message)
    assert message.status == Message.Status.SENT
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    assert rows.filter(outcome="successful").exists()
    # What the switchboard says it dialed is what our attempts say.
    tried = Attempt.objects.filter(message=message).count()
    assert switchboard.books(message).attempts == tried > 0
    switchboard.judge(message)


@pytest.mark.spec("A1-08", "A1-09")
def test_the_account_is_verified_on_save(world: World, switchboard: Exchange) -> None:
    settings = VoiceSettings.current()
    refused = account.verify_and_save(settings, switchboard.username, "wrong", switchboard.url)
    assert refused.kind == account.REFUSED
    assert "does not accept" in refused.words
    assert not VoiceSettings.current().verified
    fine = account.verify_and_save(
        settings, switchboard.username, switchboard.password, switchboard.url
    )
    assert fine.ok
    assert VoiceSettings.current().verified
    assert CustomerAccount.objects.get(kind="district").customer_id
    # Unreachable: could not be checked, the old state is kept.
    switchboard.kill()
    unknown = account.verify_and_save(settings, switchboard.username, None, switchboard.url)
    assert unknown.kind == account.UNREACHABLE
    assert "could not be checked" in unknown.words
    assert VoiceSettings.current().verified


@pytest.mark.spec("A1-10", "A1-11")
def test_a_school_gets_its_customer_id_with_its_first_message(
    account_open: VoiceSettings, world: World
) -> None:
    from messenger.tasks import expand_message

    assert not CustomerAccount.objects.filter(school=world.elementary).exists()
    first = confirmed([world.elementary])
    lifecycle.launch(first.pk)
    expand_message(first.pk)
    given = CustomerAccount.objects.get(school=world.elementary).customer_id
    assert given
    job = DialerJob.objects.get(message=first)
    assert job.content["customer_id"] == given
    second = confirmed([world.elementary])
    lifecycle.launch(second.pk)
    expand_message(second.pk)
    assert CustomerAccount.objects.get(school=world.elementary).customer_id == given
    # Blank, it changes nothing.
    CustomerAccount.objects.update(customer_id="")
    dispatch.push(second.pk)
    finish(second)
    assert second.status == Message.Status.SENT


@pytest.mark.spec("A3-07", "A3-08")
def test_zero_stops_its_chain_and_no_other(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The household confirms; Mom is still called on her cell, confirms there, and her work and
    other number are left alone."""
    set_numbers(
        {
            "+16125550225": "+16515550101",  # household: answers and presses 0
            "+16125557735": "+16515550102",  # Mom's cell: the same
            "+16125557736": "+16515550111",  # Dad answers and presses nothing
            "+16125553219": "+16515550112",
            "+16125554455": "+16515550113",
        }
    )
    message = confirmed([world.elementary], grades=("05",))
    hand_over(message)
    finish(message)

    def end(person: object, device: str) -> tuple[str, bool, str]:
        row = Delivery.objects.get(message=message, recipient=person, device=device)
        return row.outcome, row.confirmed, row.reason

    assert end(world.mom, "household")[:2] == ("successful", True)
    assert end(world.mom, "cell")[:2] == ("successful", True)
    assert end(world.mom, "work") == ("canceled", False, "CHAIN_STOPPED")
    assert end(world.mom, "other") == ("canceled", False, "CHAIN_STOPPED")
    for device in ("cell", "work", "other"):
        assert end(world.dad, device)[:2] == ("successful", False)


def test_credentials_that_stop_being_good_pause_everything_with_one_banner(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """F4: no thousand failures, and it goes on after the fix."""
    message = launched([world.elementary])
    switchboard.set_password("another")
    dispatch.push(message.pk)
    settings = VoiceSettings.current()
    assert settings.paused
    assert "does not accept" in settings.trouble
    message.refresh_from_db()
    assert message.status == Message.Status.IN_PROGRESS
    assert not dispatch.push(message.pk)
    result = account.verify_and_save(
        VoiceSettings.current(), switchboard.username, "another", switchboard.url
    )
    assert result.ok
    finish(message)
    assert message.status == Message.Status.SENT


def test_a_dialer_that_cannot_be_reached_loses_nothing(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    message = launched()
    switchboard.kill()
    assert not dispatch.push(message.pk)
    job = DialerJob.objects.get(message=message)
    assert job.failures == 1
    assert job.retry_at is not None
    assert VoiceSettings.current().trouble
    switchboard.start()
    finish(message)
    assert message.status == Message.Status.SENT
    assert VoiceSettings.current().trouble == ""
    switchboard.judge(message)


@pytest.mark.parametrize(
    "mode", ["timeout", "empty", "cut", "unavailable", "html", "garbage", "doctype"]
)
def test_an_answer_that_is_no_answer_is_asked_for_again(
    account_open: VoiceSettings, world: World, switchboard: Exchange, mode: str
) -> None:
    """Nothing is lost and nothing doubled, whatever came back the first time."""
    message = launched()
    switchboard.control(trouble=mode, times=1, seconds=1)
    dispatch.push(message.pk)
    job = DialerJob.objects.get(message=message)
    assert job.failures >= 1
    assert job.accepted_at is None
    finish(message)
    assert message.status == Message.Status.SENT
    switchboard.judge(message)


@pytest.mark.parametrize("mode", ["cut", "unavailable", "garbage", "doctype"])
def test_a_page_of_the_log_that_cannot_be_read_moves_no_cursor(
    account_open: VoiceSettings, world: World, switchboard: Exchange, mode: str
) -> None:
    message = confirmed()
    hand_over(message)
    before = LogCursor.objects.get(current=True).seq
    switchboard.control(trouble=mode, times=1)
    assert collect.collect(seconds=1).entries == 0
    assert LogCursor.objects.get(current=True).seq == before
    assert LogCursor.objects.get(current=True).trouble
    finish(message)
    assert LogCursor.objects.get(current=True).trouble == ""


@pytest.mark.spec("B3-16", "B3-18")
def test_cancel_in_progress_stops_every_call_that_has_not_begun(
    world: World, slow_exchange: Exchange
) -> None:
    open_account(slow_exchange)
    message = confirmed()
    hand_over(message)
    until(lambda: len(slow_exchange.attempts(message)) >= 2, "the first calls")
    lifecycle.request_cancel(message.pk, sender())
    message.refresh_from_db()
    assert message.status == Message.Status.IN_PROGRESS  # requested, not yet confirmed
    dispatch_message(message.pk)
    job = DialerJob.objects.get(message=message)
    assert job.cancel_confirmed_at is not None
    finish(message)
    assert message.status == Message.Status.CANCELED_IP
    began = [attempt.started_at for attempt in slow_exchange.attempts(message)]
    assert max(began) <= job.cancel_confirmed_at
    rows = Delivery.objects.filter(message=message).exclude(mode="none")
    assert not rows.exclude(state="done").exists()
    assert rows.filter(outcome="canceled", reason="user").exists()
    assert rows.filter(outcome="successful").exists() or rows.filter(tries__gt=0).exists()


def test_a_cancel_overtakes_a_submit_whose_answer_was_lost(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The race of contract 7.5: submit timed out, the user cancels, the retry arrives."""
    message = launched()
    switchboard.kill()
    dispatch.push(message.pk)  # in doubt: it may have arrived
    lifecycle.request_cancel(message.pk, sender())
    switchboard.start()
    finish(message)
    assert message.status == Message.Status.CANCELED_IP
    assert switchboard.attempts(message) == []


@pytest.mark.spec("B2-04")
def test_a_message_is_sent_even_if_every_call_failed(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    for number, point in enumerate(ContactPoint.objects.filter(valid=True, value__startswith="+")):
        nobody = f"+1{201 + number // 10}555015{number % 10}"  # not in service
        ContactPoint.objects.filter(pk=point.pk).update(value=nobody)
    message = confirmed([world.elementary])
    hand_over(message)
    finish(message)
    assert message.status == Message.Status.SENT
    rows = Delivery.objects.filter(message=message).exclude(chain=None)
    assert set(rows.values_list("outcome", "code")) == {("failed", 3)}


def test_refresh_asks_the_dialer_and_resubmits_what_it_forgot(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    message = launched()
    assert "handed to the dialer yet" in collect.refresh(message.pk)
    dispatch.push(message.pk)
    switchboard.control(forget=str(message.job_ref))
    assert "handed over again" in collect.refresh(message.pk)
    finish(message)
    assert message.status == Message.Status.SENT


def test_refused_chains_are_split_off_and_the_rest_is_called(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """Ruling 19: halves under new numbers, until the single chain that is at fault fails."""
    message = launched([world.elementary])
    batch = DialerBatch.objects.get(job__message=message, number=0)
    broken = batch.content.replace("+16125557735", "+11125557735")  # no area code begins with 1
    DialerBatch.objects.filter(pk=batch.pk).update(content=broken)
    finish(message)
    assert message.status == Message.Status.SENT
    failed = Delivery.objects.filter(message=message, reason="refused_by_dialer")
    assert set(failed.values_list("recipient__given_name", flat=True)) == {"Alisa"}
    assert Delivery.objects.filter(message=message, outcome="successful").exists()
    numbers = list(DialerBatch.objects.filter(job__message=message).values_list("number", "state"))
    assert (0, "refused") in numbers


@pytest.mark.spec("B2-06")
def test_a_job_that_is_refused_whole_is_failed_with_the_reason(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """What every chain has in common is at fault: here a caller ID that is not registered."""
    message = launched([world.elementary])
    job = DialerJob.objects.get(message=message)
    content = job.content | {"caller_id": "+16125559876"}
    DialerJob.objects.filter(pk=job.pk).update(content=content)
    known = (switchboard.database, save_account, switchboard.username, switchboard.password)
    ask_switchboard(*known, "district-1", ("+16125550100",))
    try:
        finish(message)
    finally:
        ask_switchboard(*known, "district-1", ())
    assert message.status == Message.Status.FAILED
    assert "caller ID" in message.status_reason
    assert not Delivery.objects.filter(message=message).exclude(state="done").exists()
    assert switchboard.books(message).jobs == 0
    page = client_of(make_user("admin", ADMINISTRATOR)).get(
        reverse("log_detail", args=[message.uuid])
    )
    assert message.status_reason in unescape(page.content.decode())
    listed = client_of(make_user("second", ADMINISTRATOR)).get(reverse("log")).content.decode()
    assert ">Failed<" in listed or "Failed</span>" in listed


@pytest.mark.spec("A2-03", "A1-18")
def test_an_emergency_is_called_at_once_whatever_the_hour(
    world: World, switchboard: Exchange
) -> None:
    open_account(switchboard)
    VoiceSettings.objects.update(district_start=time(3, 0), district_end=time(3, 1))
    message = confirmed(tool="emergency")
    expand_all(message)
    dispatch.push(message.pk)
    finish(message)
    assert message.status == Message.Status.SENT
    assert DialerJob.objects.get(message=message).content["priority"] == "EMERGENCY"


def test_overdue_and_lost_rings_are_found_by_the_sweep(
    account_open: VoiceSettings, world: World
) -> None:
    School.objects.filter(pk=world.high.pk).update(active=True)
    message = confirmed()
    lifecycle.request_cancel(message.pk, sender())
    sweep_phone()
    message.refresh_from_db()
    assert message.status == Message.Status.CANCELED
    assert message.finished_at is not None
    assert message.finished_at <= timezone.now()
