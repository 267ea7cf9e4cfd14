"""Cancels against a real switchboard: S5, S6, S10, and what the window leaves undone (S2).

What left the house is read from the batches and from the switchboard's books; both clocks are those
of one machine.
"""

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from time import monotonic

import pytest
import time_machine
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from messenger import lifecycle
from messenger.audience.preview import preview
from messenger.composition import Composition
from messenger.models import Delivery, District, LaunchSlice, Message
from messenger.tasks import start_due
from sentlog.counting import count, count_rows
from tests.bench.district import build_district
from tests.end_to_end.test_calling import set_numbers
from tests.end_to_end.town import Exchange, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, draft, expand_all, sender
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.sentlog.rows import plain
from tests.world import World
from voice import dispatch
from voice.models import DialerBatch, DialerJob, VoiceSettings
from voice.tasks import dispatch_message, poll_call_log, resume_dispatch, sweep_phone

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

Status = Message.Status
FAMILIES = 9_000  # of 2.5 guardians: more than 20,000 recipients


def test_s5_a_waiting_message_of_twenty_thousand_is_gone_with_its_cancel(
    db: None, switchboard: Exchange
) -> None:
    """S5: Canceled in the request itself, and nobody is called, at its time or ever."""
    District.objects.update_or_create(pk=1, defaults={"name": "Big", "voice_enabled": True})
    build_district(FAMILIES)
    open_account(switchboard)
    due = timezone.now() + timedelta(hours=1)
    made = draft(scheduled_at=due.isoformat())
    assert preview(Composition.from_draft(made)).recipients >= 20_000
    message = lifecycle.confirm(made, made.user)
    admin = make_user("admin", ADMINISTRATOR)
    answer = client_of(admin).post(reverse("log_cancel", args=[message.uuid]), follow=True)
    assert answer.status_code == 200
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert message.canceled_by == admin
    for hours in (1, 2, 24):
        with time_machine.travel(due + timedelta(hours=hours - 1, minutes=1), tick=False):
            start_due()
            resume_dispatch()
            sweep_phone()
            poll_call_log()
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert not LaunchSlice.objects.exists()
    assert not DialerJob.objects.exists()
    books = switchboard.books(message)
    assert (books.jobs, books.attempts) == (0, 0)


def send(message: Message) -> None:
    """All that workers do for a message until it has left; in a thread of its own."""
    try:
        lifecycle.launch(message.pk)
        expand_all(message)
        dispatch.push(message.pk)
    finally:
        connection.close()


def cancel_in_the_middle(message: Message, exchange: Exchange, seconds: float) -> bool:
    """Cancels a message a moment after its workers have begun; whether anything had left."""
    pause = Event()
    with ThreadPoolExecutor(max_workers=1) as workers:
        sending = workers.submit(send, message)
        pause.wait(seconds)
        lifecycle.request_cancel(message.pk, sender())
        dispatch_message(message.pk)
        sending.result()
    sweep_phone()  # the tick, in place of a ring that no worker hears here
    finish(message)
    canceled_at = message.cancel_requested_at
    assert canceled_at is not None
    began = message.launched_at is not None
    assert message.status == (Status.CANCELED_IP if began else Status.CANCELED)
    # Begun is what is committed before the request: nothing of it is younger than the cancel.
    batches = DialerBatch.objects.filter(job__message=message)
    assert not batches.filter(sent_at__gt=canceled_at).exists()
    assert not batches.filter(state__in=["frozen", "sending"]).exists()
    job = DialerJob.objects.filter(message=message).first()
    if job is None or job.submitted_at is None:
        assert exchange.books(message).jobs == 0
    else:
        assert job.cancel_sent_at is not None
        assert job.cancel_confirmed_at is not None
        tried = exchange.attempts(message)
        assert all(attempt.started_at <= job.cancel_confirmed_at for attempt in tried)
        exchange.judge(message)
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    never_tried = rows.exclude(chain=None).filter(tries=0)
    ends = set(never_tried.values_list("outcome", "reason"))
    assert ends <= {("canceled", "user"), ("canceled", "CHAIN_STOPPED")}
    # Canceled is not failed: what failed was tried, or has no number that can be dialed.
    assert not rows.filter(outcome="failed", tries=0).exclude(chain=None).exists()
    figures = count(message.pk)
    assert figures.outcomes.get("canceled", 0) == rows.filter(outcome="canceled").count()
    assert figures.contacted + figures.not_contacted == figures.total_recipients
    return job is not None and job.submitted_at is not None


def cancel_again_and_again(exchange: Exchange, times: int) -> int:
    """As often as that, at random moments of a send; how often something had left."""
    VoiceSettings.objects.update(max_chains_per_batch=1)  # many requests, many moments
    began = monotonic()
    hand_over(confirmed())
    whole = monotonic() - began
    chance = random.Random(6)
    return sum(
        cancel_in_the_middle(confirmed(), exchange, chance.uniform(0.1, 1.0) * whole)
        for _time in range(times)
    )


def test_s6_no_request_begins_after_the_cancel(
    account_open: VoiceSettings, switchboard: Exchange
) -> None:
    """S6: 8 cancels at random moments of a send."""
    assert cancel_again_and_again(switchboard, 8) >= 2


@pytest.mark.slow
def test_s6_two_hundred_cancels(account_open: VoiceSettings, switchboard: Exchange) -> None:
    """S6 at its full size."""
    assert cancel_again_and_again(switchboard, 200) >= 50


@pytest.mark.spec("B3-11")
@pytest.mark.parametrize(("grades", "chains", "calls"), [(("03", "05"), 6, 10), (("05",), 3, 5)])
def test_s10_key_0_stops_its_chain_and_no_other(
    account_open: VoiceSettings,
    world: World,
    switchboard: Exchange,
    grades: tuple[str, ...],
    chains: int,
    calls: int,
) -> None:
    """S10: Dad presses 0 on his cell; his two further numbers are left alone, everybody else's are
    called to the last: of the source's 6 chains (3 for one student) the rest runs to its end."""
    set_numbers(
        {
            "+16125557736": "+16515550100",  # Dad's cell: answers and presses 0
            **{
                number: f"+1651555011{place}"  # answer and press nothing
                for place, number in enumerate(
                    (
                        *("+16125550225", "+16125557735", "+16125553218", "+16125554454"),
                        *("+16125553219", "+16125554455"),
                    )
                )
            },
        }
    )
    message = confirmed([world.elementary], grades=grades)
    hand_over(message)
    finish(message)
    tried = switchboard.attempts(message)
    assert len({attempt.chain_ref for attempt in tried}) == chains
    assert len(tried) == calls
    rows = Delivery.objects.filter(message=message)
    stopped = rows.filter(outcome="canceled")
    assert set(stopped.values_list("recipient", "device", "reason")) == {
        (world.dad.pk, "work", "CHAIN_STOPPED"),
        (world.dad.pk, "other", "CHAIN_STOPPED"),
    }
    assert rows.filter(confirmed=True).count() == len(grades)
    of_dad = count_rows(plain(rows.filter(recipient=world.dad).exclude(device="household")))
    assert (of_dad.total_voice, of_dad.total_voice_attempted) == (3, 1)
    figures = count(message.pk)
    assert (figures.total_voice, figures.total_voice_attempted) == (7, 5)
    assert not rows.exclude(outcome__in=["canceled", "successful"]).exists()
    switchboard.judge(message)


@pytest.mark.spec("A2-08")
def test_s2_what_is_left_at_the_end_of_the_window_is_never_dialed(
    world: World, slow_exchange: Exchange
) -> None:
    """S2: one line, a window of seconds: calls and redials that do not fit end as -11, the message
    is Sent, and nothing is dialed on the next day."""
    open_account(slow_exchange, lines=1)
    message = confirmed()
    Message.objects.filter(pk=message.pk).update(dial_until=timezone.now() + timedelta(seconds=6))
    hand_over(message)
    finish(message)
    assert message.status == Status.SENT
    tried = slow_exchange.attempts(message)
    assert message.dial_until is not None
    assert all(attempt.started_at < message.dial_until for attempt in tried)
    left = Delivery.objects.filter(message=message, outcome="expired")
    assert set(left.values_list("code", flat=True)) == {-11}
    slow_exchange.judge(message)
    with time_machine.travel(timezone.now() + timedelta(days=1), tick=False):
        start_due()
        resume_dispatch()
        sweep_phone()
    assert len(slow_exchange.attempts(message)) == len(tried)


def test_s2_a_send_that_is_put_off_past_its_window_is_not_made(
    account_open: VoiceSettings, switchboard: Exchange
) -> None:
    """S2: the dialer cannot be reached until the window is over: nothing leaves when it is back."""
    message = confirmed()
    lifecycle.launch(message.pk)
    expand_all(message)
    VoiceSettings.objects.update(paused=True)
    dispatch.push(message.pk)
    Message.objects.filter(pk=message.pk).update(dial_until=timezone.now())
    VoiceSettings.objects.update(paused=False)
    resume_dispatch()
    until(lambda: Message.objects.get(pk=message.pk).finished, "the end of the message")
    message.refresh_from_db()
    assert message.status == Status.FAILED
    assert "before the dialing window ended" in message.status_reason
    rows = Delivery.objects.filter(message=message).exclude(chain=None)
    assert set(rows.values_list("outcome", "code")) == {("expired", -11)}
    assert switchboard.books(message).jobs == 0


@pytest.mark.parametrize(
    ("stop_on", "tool", "calls"),
    [
        ("confirm", "general", 3),
        ("live", "general", 2),
        ("machine", "general", 1),
        ("machine", "emergency", 3),
    ],
)
def test_what_ends_a_chain_is_the_district_s_choice(
    world: World, switchboard: Exchange, stop_on: str, tool: str, calls: int
) -> None:
    """X-45: only key 0 by default; a person, or a machine too, when the district says so, and never
    in an emergency. Mom's numbers: a machine, a person who presses nothing, a person."""
    open_account(switchboard, stop_on=stop_on)
    set_numbers(
        {
            "+16125557735": "+16515550120",
            "+16125553218": "+16515550110",
            "+16125554454": "+16515550111",
        }
    )
    message = confirmed([world.elementary], grades=("05",), tool=tool)
    hand_over(message)
    finish(message)
    rows = Delivery.objects.filter(message=message, recipient=world.mom)
    own = rows.exclude(device="household")
    assert own.filter(tries__gt=0).count() == calls
    left = own.filter(tries=0)
    assert set(left.values_list("outcome", "reason")) <= {("canceled", "CHAIN_STOPPED")}
    switchboard.judge(message)
