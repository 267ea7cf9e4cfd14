"""Whom a message may no longer reach after it was handed over: STOP and do-not-contact (S9).

Real calls and texts; what the switchboard did after its confirmation is looked up in its books.
"""

from datetime import datetime

import pytest

from dialer_adapters.switchboard.invariants import describe, list_violations
from messenger import opt_outs
from messenger.models import Delivery, DoNotContact, Message, Mode, TextConsent
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, launched
from tests.world import World
from voice import claims, dispatch, recall
from voice.models import DialerBatch, DialerJob, NumberRecall, VoiceSettings
from voice.tasks import resume_dispatch, send_recalls

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def waiting_number(message: Message, exchange: Exchange) -> str:
    """A number of the message that nobody has called yet, and that has a single device."""
    called = {attempt.phone_number for attempt in exchange.attempts(message)}
    rows = Delivery.objects.filter(message=message, mode="voice", state="pending", duplicate=False)
    return str(rows.exclude(address__in=called).order_by("-id")[0].address)


def confirmed_at(number: str) -> datetime:
    order = NumberRecall.objects.exclude(job=None).get(number=number)
    assert order.confirmed_at is not None
    return order.confirmed_at


def no_violations(exchange: Exchange, message: Message) -> None:
    found = ask_switchboard(exchange.database, list_violations, str(message.job_ref))
    assert not found, describe(found)


def calls_to(number: str, exchange: Exchange, message: Message) -> list[datetime]:
    return [
        attempt.started_at
        for attempt in exchange.attempts(message)
        if attempt.phone_number == number
    ]


def test_s9_a_number_on_do_not_contact_is_taken_out_of_a_running_job(
    world: World, slow_exchange: Exchange
) -> None:
    open_account(slow_exchange)
    message, twin = confirmed(), confirmed([world.elementary])
    hand_over(message)
    hand_over(twin)
    until(lambda: len(slow_exchange.attempts(message)) >= 2, "the first calls")
    number = waiting_number(message, slow_exchange)
    opt_outs.do_not_contact(number, Mode.VOICE, "asked by phone")
    assert recall.unconfirmed().filter(number=number).count() == 2, "one for each running job"
    send_recalls()
    assert not recall.unconfirmed().exists()
    for running in (message, twin):
        finish(running, patience=120)
        assert running.status == Message.Status.SENT
        assert calls_to(number, slow_exchange, running) == []
        no_violations(slow_exchange, running)
        slow_exchange.judge(running)
    rows = Delivery.objects.filter(message=message, address=number, mode="voice")
    assert {(row.state, row.outcome, row.code, row.reason) for row in rows} == {
        ("done", "failed", -3, "do_not_contact")
    }


def test_s9_the_order_outlives_a_dialer_that_is_away_and_goes_before_the_next_push(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    VoiceSettings.objects.update(max_chains_per_batch=3)
    message = launched()
    switchboard.control(trouble="unavailable", operations=["AddChains"], times=None)
    dispatch.push(message.pk)  # the job and its first batch
    switchboard.control(trouble=None)
    number = str(Delivery.objects.filter(message=message, chain=1).order_by("step")[0].address)
    assert number in DialerBatch.objects.get(job__message=message, number=0).content
    switchboard.kill()
    opt_outs.do_not_contact(number, Mode.VOICE)
    send_recalls()
    order = NumberRecall.objects.get(number=number, job__message=message)
    assert order.confirmed_at is None
    assert order.trouble
    DialerJob.objects.update(retry_at=None)
    assert not dispatch.push(message.pk)
    assert DialerBatch.objects.filter(job__message=message, state="accepted").count() == 1
    switchboard.start()
    NumberRecall.objects.update(retry_at=None)
    finish(message)
    first = DialerBatch.objects.filter(job__message=message, number__gt=0).earliest("accepted_at")
    assert first.accepted_at is not None
    assert confirmed_at(number) < first.accepted_at
    assert calls_to(number, switchboard, message) == []
    no_violations(switchboard, message)
    switchboard.judge(message)


def test_s9_no_order_is_lost_with_its_ring(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """Orders follow from what is recorded: whoever recorded it, and whatever was under way."""
    message = launched()
    dispatch.push(message.pk)
    DoNotContact.objects.create(value="+16125550225", mode="voice")
    TextConsent.objects.filter(state="opted_in").update(state="opted_out")
    assert not NumberRecall.objects.exists()
    resume_dispatch()
    assert NumberRecall.objects.filter(number="+16125550225", job__message=message).exists()
    assert NumberRecall.objects.filter(number="+16125550381", job=None).exists()
    assert not recall.unconfirmed().exists()
    before = NumberRecall.objects.count()
    resume_dispatch()
    assert NumberRecall.objects.count() == before
    finish(message)


def test_s9_stop_while_a_text_is_queued(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The job with the text is at the dialer, not sealed, when STOP comes: no text is sent."""
    message = confirmed([world.middle], modes=("voice", "text"))
    Message.objects.filter(pk=message.pk).update(text_body="School is closed today.")
    switchboard.control(trouble="unavailable", operations=["AddChains"], times=None)
    hand_over(message)
    texts = Delivery.objects.filter(message=message, mode="text", address="+16125550381")
    assert texts.get().state == "pending"
    stopped = opt_outs.stop_texts("+16125550381", "text message")
    assert claims.District.objects.get().contacts_changed_at > stopped.changed_at
    send_recalls()
    assert not recall.unconfirmed().exists()
    switchboard.control(trouble=None)
    DialerJob.objects.update(retry_at=None)
    finish(message)
    assert (texts.get().outcome, texts.get().code) == ("opted_out", -33)
    sent = [attempt for attempt in switchboard.attempts(message) if attempt.channel == "TEXT"]
    assert sent == []
    assert calls_to("+16125550381", switchboard, message), "a STOP of texts stops no call"
    no_violations(switchboard, message)


def test_a_start_that_came_meanwhile_is_not_undone(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    opt_outs.stop_texts("+16125550381", "text message")
    TextConsent.objects.filter(number="+16125550381").update(state="opted_in")
    switchboard.kill()  # nothing needs to be said, so nothing fails
    NumberRecall.objects.exclude(number="+16125550381").delete()
    send_recalls()
    assert not recall.unconfirmed().exists()
