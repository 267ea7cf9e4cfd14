"""Real incidents, kept as tests. What happened stands in each; what must hold is asked of the
switchboard's own books."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.database import query
from messenger import lifecycle
from messenger.audience.criteria import Criteria
from messenger.audience.preview import preview
from messenger.composition import Composition
from messenger.models import Attempt, Delivery, District, LaunchSlice, Message, Person
from messenger.tasks import start_due
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, draft, expand_all, launched, sender
from tests.pages.cast import ADMINISTRATOR, SECRETARY, client_of, make_user
from tests.world import World
from voice import dispatch
from voice.models import DialerJob, LogEntry, VoiceSettings
from voice.tasks import dispatch_message, poll_call_log, resume_dispatch, sweep_phone

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

Status = Message.Status


def all_ticks() -> None:
    start_due()
    resume_dispatch()
    sweep_phone()
    poll_call_log()
    for message_id, _emergency in dispatch.waiting_messages():
        dispatch.push(message_id)


def nights(message: Message, switchboard: Exchange, calls: int) -> None:
    """Three midnights pass, with every tick; nobody is called."""
    midnight = timezone.now().replace(hour=0, minute=0) + timedelta(days=1)
    for night in range(3):
        for minutes in (-5, 0, 5, 930):
            moment = midnight + timedelta(days=night, minutes=minutes)
            with time_machine.travel(moment, tick=False):
                all_ticks()
    assert switchboard.books(message).attempts == calls


def test_sequoia_cancelled_never_returns(world: World, slow_exchange: Exchange) -> None:
    """Sequoia Union High School District, August 2010: a message for 3:30 PM was dialed at
    midnight; it was deleted, and was dialed again at the next midnight, to 8,700 students.

    Canceled before its time or while it runs, a message is never dialed again: not at midnight, not
    when beat makes up for lost time, not when the dialer has forgotten it.
    """
    open_account(slow_exchange)
    afternoon = timezone.now() + timedelta(hours=2)
    waiting = confirmed(scheduled_at=afternoon.isoformat())
    lifecycle.request_cancel(waiting.pk, sender())
    nights(waiting, slow_exchange, calls=0)
    assert slow_exchange.books(waiting).jobs == 0

    running = confirmed([world.elementary])
    hand_over(running)
    until(lambda: slow_exchange.books(running).attempts > 0, "the first call")
    lifecycle.request_cancel(running.pk, sender())
    dispatch_message(running.pk)
    finish(running)
    calls = slow_exchange.books(running).attempts
    slow_exchange.control(forget=str(running.job_ref))
    nights(running, slow_exchange, calls=0)  # what it forgot is not in its books either
    assert calls > 0
    for message in (waiting, running):
        message.refresh_from_db()
        assert message.status in (Status.CANCELED, Status.CANCELED_IP)
        assert not lifecycle.launch(message.pk)


def test_broward_hours_cannot_be_overridden_silently(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """Broward County, January 2013: 73,000 homes were called from 10 PM to 4:40 AM, because the
    default of the hours had been overridden.

    A message that names no hours has the district's; one that names others has what the district's
    leave of them, and the page says so; none has hours outside; and with the district's hours wide
    open the families' own day still holds, in our window and at the dialer.
    """
    zone = District.current().zone
    VoiceSettings.objects.update(district_start=time(8), district_end=time(20))
    tomorrow = (timezone.now().astimezone(zone) + timedelta(days=1)).replace(
        hour=7, minute=0, second=0, microsecond=0
    )

    def hours(message: Message) -> tuple[time, time]:
        assert message.dial_from is not None
        assert message.dial_until is not None
        here = [moment.astimezone(zone) for moment in (message.dial_from, message.dial_until)]
        assert here[0].date() == here[1].date() == tomorrow.date()
        return here[0].time(), here[1].time()

    later = {"scheduled_at": tomorrow.isoformat()}
    all_night = {"window_start": "00:00", "window_end": "23:59"}
    assert hours(confirmed(**later)) == (time(8), time(20))
    assert hours(confirmed(**later, **all_night)) == (time(8), time(20))
    admin = make_user("admin", ADMINISTRATOR)
    mine = draft(user=admin, **later, **all_night)
    page = client_of(admin).get(reverse("general_check", args=[mine.uuid])).content.decode()
    assert "hours leave of 12:00 AM – 11:59 PM" in page
    night = draft(**later, window_start="22:00", window_end="23:59")
    with pytest.raises(lifecycle.CannotSend, match="outside the district's dialing hours"):
        lifecycle.confirm(night, night.user)

    # Whoever may not change the hours cannot; who changes them does not reach what was confirmed.
    frozen = confirmed(**later)
    secretary = client_of(make_user("secretary", SECRETARY, world.elementary))
    assert secretary.post(reverse("voice_settings"), {"district_end": "23:59"}).status_code == 403
    assert VoiceSettings.current().district_end == time(20)
    VoiceSettings.objects.update(district_start=time(0), district_end=time(23, 59))
    frozen.refresh_from_db()
    assert hours(frozen) == (time(8), time(20))

    # Wide open: at 10 PM it is refused here, and a job that came to the dialer is held there.
    late = datetime.combine(tomorrow.date(), time(22), zone)
    at_ten = draft(scheduled_at=late.isoformat())
    with pytest.raises(lifecycle.CannotSend, match="8:00 AM to 9:00 PM where the school is"):
        lifecycle.confirm(at_ten, at_ten.user)
    open_now = launched([world.elementary])
    body = DialerJob.objects.get(message=open_now).content
    assert body["local_hours"]["earliest"] == "08:00:00"
    assert body["local_hours"]["latest"] == "21:00:00"
    asleep = zone_where_it_is_night()
    DialerJob.objects.filter(message=open_now).update(
        content=body | {"local_hours": body["local_hours"] | {"default_zone": asleep}}
    )
    Message.objects.filter(pk=open_now.pk).update(dial_until=timezone.now() + timedelta(hours=1))
    dispatch.push(open_now.pk)
    until(lambda: switchboard.books(open_now).steps > 0, "the calls at the dialer")
    assert switchboard.books(open_now).attempts == 0


def zone_where_it_is_night() -> str:
    """A zone at two to five in the morning."""
    hour = timezone.now().hour  # UTC; POSIX signs: Etc/GMT-3 is three hours ahead
    ahead = (3 - hour) % 24
    return f"Etc/GMT-{ahead}" if ahead <= 12 else f"Etc/GMT+{24 - ahead}"


def test_no_call_without_log_row(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """Washington County, Maryland, February 2007: the recording of the week before was sent again
    at 4:30 AM, and no log knew of it.

    Each call of the switchboard is an attempt, an entry and a row of a message in the log; and what
    is a week old is over: it is not dialed, and the log says why.
    """
    message = confirmed()
    hand_over(message)
    finish(message)
    dialed = ask_switchboard(switchboard.database, ledger.list_attempts, None, str(message.job_ref))
    assert dialed
    ours = Attempt.objects.filter(message=message)
    assert len(dialed) == ours.count()
    for call in dialed:
        chain, step = (int(part) for part in call.step_ref.split("-"))
        attempt = ours.get(chain=chain, step=step, number=call.attempt_number)
        assert attempt.code == call.status_code
        row = Delivery.objects.filter(message=message, chain=chain, step=step).first()
        assert row is not None
        assert row.address == call.phone_number
        assert LogEntry.objects.filter(
            job_ref=str(message.job_ref), step_ref=call.step_ref, number=call.attempt_number
        ).exists()
    log = client_of(make_user("admin", ADMINISTRATOR)).get(reverse("log")).content.decode()
    assert str(message.uuid) in log

    # Last week's: still Waiting in a copy of the database, due long ago.
    old = confirmed(subject="Last week")
    week = timedelta(days=7)
    assert old.dial_until is not None
    Message.objects.filter(pk=old.pk).update(
        scheduled_at=old.scheduled_at - week,
        dial_from=old.scheduled_at - week,
        dial_until=old.dial_until - week,
    )
    # And one that had been expanded when everything stopped.
    expanded = confirmed(subject="Last week too")
    lifecycle.launch(expanded.pk)
    expand_all(expanded)
    Message.objects.filter(pk=expanded.pk).update(dial_until=old.dial_until - week)
    all_ticks()
    for message in (old, expanded):
        message.refresh_from_db()
        assert message.status == Status.FAILED
        assert "window ended" in message.status_reason
        assert switchboard.books(message).jobs == 0
    assert not LaunchSlice.objects.filter(message=old).exists()


@pytest.mark.parametrize(
    "criteria",
    [
        {},
        {"school_ids": []},
        {"school_ids": [], "grades": ["05"]},
        {"school_ids": [999_999]},
        {"grades": ["ZZ"]},
        {"deliver_to": []},
        {"deliver_to": ["nobody-knows-this-word"]},
    ],
)
def test_hinkley_empty_filter_is_nobody(
    account_open: VoiceSettings, world: World, switchboard: Exchange, criteria: dict[str, Any]
) -> None:
    """Hinkley High School, Aurora, Colorado, 2009: “your child is failing a class” went to the
    whole school. A filter that is empty, unknown or matches nobody is nobody, never everybody."""
    somewhere = {"school_ids": [world.elementary.pk], "deliver_to": ["contacts"]}
    about_filter = "grades" in criteria and "school_ids" not in criteria
    chosen = (somewhere | criteria) if about_filter or "deliver_to" in criteria else criteria
    made = draft(user=make_user("admin", ADMINISTRATOR))
    made.content["criteria"] = Criteria.from_json(chosen).to_json()
    made.save()
    counted = preview(Composition.from_draft(made))
    assert (counted.recipients, counted.calls, counted.dials) == (0, 0, 0)
    assert counted.blockers
    client = client_of(made.user)
    page = client.post(reverse("general_confirm", args=[made.uuid]))
    assert page.status_code == 422
    try:
        message = lifecycle.confirm(made, made.user)
    except lifecycle.CannotSend:
        return
    hand_over(message)
    sweep_phone()
    message.refresh_from_db()
    assert message.status == Status.SENT
    assert not Delivery.objects.filter(message=message, mode="voice").exists()
    assert switchboard.books(message).jobs == 0


@pytest.mark.spec("A7-02")
def test_the_dialer_gets_numbers_and_no_people(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The job holds the numbers to dial; who they belong to never leaves the house, so that nobody
    can be looked up there."""
    message = confirmed()
    hand_over(message)
    finish(message)
    stored = ask_switchboard(
        switchboard.database,
        query,
        "SELECT j.body::text, b.content FROM switchboard_job j"
        " JOIN switchboard_batch b ON b.job_id = j.id WHERE j.job_ref = %s",
        [str(message.job_ref)],
    )
    everything = " ".join([*(str(body) for body, _content in stored), *contents_of(message)])
    rows = Delivery.objects.filter(message=message).exclude(chain=None)
    for number in set(rows.values_list("address", flat=True)):
        assert number in everything
    for given, family in Person.objects.values_list("given_name", "family_name"):
        for name in (given, family):
            assert len(name) < 3 or name not in everything
    called = {attempt.phone_number for attempt in switchboard.attempts(message)}
    assert called <= set(rows.values_list("address", flat=True))


def contents_of(message: Message) -> list[str]:
    """What each batch carried, as it was frozen and sent."""
    return list(DialerJob.objects.get(message=message).batches.values_list("content", flat=True))
