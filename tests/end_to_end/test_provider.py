"""A provider that fails in the middle of a send: answers lost after the work was done (F2),
a limit that is reached (F3), credentials that stop being good (F4), results that never come (F5).
The switchboard's books judge.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from dialer_adapters.shoutpoint.transport import Wire
from messenger import lifecycle
from messenger.models import Delivery, District, Message
from tests.end_to_end.proxy import CUT, PASS, SILENCE, Proxy
from tests.end_to_end.test_kill import send_to_everyone
from tests.end_to_end.town import Exchange, finish, hand_over, open_account
from tests.launch.sending import confirmed, expand_all
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.world import build_world
from voice import account, collect, dispatch, finishing
from voice.models import DialerBatch, DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

LONG = 2_400.0  # seconds for a full size, on a machine that others use too
HAND_OVER = ("SubmitJob", "AddChains")
BANNER = "Calls are paused: the dialer refuses the user name or password"


@pytest.fixture
def proxy(switchboard: Exchange) -> Iterator[Proxy]:
    """The district's only way to the switchboard."""
    with Proxy(switchboard.url) as proxy:
        yield proxy
        proxy.after = lambda _operation, _status: None


def through(proxy: Proxy, switchboard: Exchange, **changes: object) -> None:
    """The account, verified through the proxy."""
    open_account(switchboard, **changes)
    result = account.verify_and_save(
        VoiceSettings.current(), switchboard.username, switchboard.password, proxy.url
    )
    assert result.ok, result.words


def district_of(people: int, directory: Path) -> Message:
    """A message to the families of a small district, a chain a batch."""
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    VoiceSettings.objects.update(max_chains_per_batch=1)
    return send_to_everyone(people, directory)


def lose_every_first_answer(
    people: int, least: int, proxy: Proxy, switchboard: Exchange, directory: Path
) -> None:
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    through(proxy, switchboard)
    message = district_of(people, directory)
    silent = 0

    def mood(operation: str, times: int) -> str:
        nonlocal silent
        if operation not in HAND_OVER or times:
            return PASS
        silent += 1
        return SILENCE if silent % 20 == 5 else CUT

    proxy.mood = mood
    hand_over(message)
    finish(message, LONG if people > 1000 else 120.0)
    batches = DialerBatch.objects.filter(job__message=message)
    assert proxy.lost >= least
    assert proxy.lost == batches.count(), "the first answer to each, the last one too"
    assert proxy.replayed >= proxy.lost, "each was asked for again and known again"
    assert not batches.exclude(state=DialerBatch.State.ACCEPTED).exists()
    assert message.status == Message.Status.SENT
    chains = sum(message.slices.values_list("chains", flat=True))
    assert switchboard.books(message).chains == chains
    assert switchboard.books(message).jobs == 1
    switchboard.judge(message)


@pytest.fixture
def short_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request is given up after a second instead of ten."""
    monkeypatch.setattr(Wire.exchange, "__defaults__", (1.0,))


@pytest.mark.usefixtures("short_requests")
def test_f2_fifty_answers_lost_after_the_work_was_done(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path
) -> None:
    """F2: cut off, and now and then silence until the time is up: adopted by reference, 0 twice."""
    lose_every_first_answer(100, 50, proxy, switchboard, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("short_requests")
def test_f2_a_thousand_answers_lost_after_the_work_was_done(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path
) -> None:
    lose_every_first_answer(1_700, 1_000, proxy, switchboard, tmp_path)


def lose_the_credentials(
    people: int, after: int, proxy: Proxy, switchboard: Exchange, directory: Path
) -> None:
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    through(proxy, switchboard)
    message = district_of(people, directory)

    def turn_away(operation: str, _status: int) -> None:
        if operation == "AddChains" and proxy.answers["AddChains", 200] == after:
            switchboard.set_password("another one")

    proxy.after = turn_away
    hand_over(message)
    for _round in range(20):  # what the ticks would do meanwhile
        for message_id, _emergency in dispatch.waiting_messages():
            dispatch.push(message_id)
    settings = VoiceSettings.current()
    assert settings.paused
    assert proxy.refused() <= 2 * dispatch.IN_FLIGHT, "it does not knock again and again"
    batches = DialerBatch.objects.filter(job__message=message)
    accepted = batches.filter(state=DialerBatch.State.ACCEPTED).count()
    assert 0 < accepted < batches.count()
    assert not batches.filter(state=DialerBatch.State.REFUSED).exists()
    assert (
        not Delivery.objects.filter(message=message)
        .exclude(outcome="")
        .exclude(device="none")
        .exists()
    ), "nobody failed"
    message.refresh_from_db()
    assert message.status == Message.Status.IN_PROGRESS
    page = client_of(make_user("admin", ADMINISTRATOR)).get(reverse("home")).content.decode()
    assert page.count(BANNER) == 1
    # A check while it is still so changes nothing.
    later = timezone.now() + account.PAUSE_RECHECK_EVERY + timedelta(seconds=1)
    result = account.recheck_paused(later)
    assert result is not None
    assert result.kind == account.REFUSED
    assert VoiceSettings.current().paused
    assert VoiceSettings.current().verified
    # The dialer takes them again: nobody presses anything.
    switchboard.set_password(switchboard.password)
    assert account.recheck_paused(later) is None, "once a minute"
    later += account.PAUSE_RECHECK_EVERY
    result = account.recheck_paused(later)
    assert result is not None
    assert result.ok
    settings = VoiceSettings.current()
    assert not settings.paused
    assert settings.trouble == ""
    finish(message, LONG if people > 1000 else 120.0)
    assert message.status == Message.Status.SENT
    switchboard.judge(message)


def test_f4_wrong_credentials_in_the_middle_of_a_send(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path
) -> None:
    """F4: paused with one banner, nobody failed, and it goes on by itself after the fix."""
    lose_the_credentials(100, 20, proxy, switchboard, tmp_path)


@pytest.mark.slow
def test_f4_wrong_credentials_in_the_middle_of_twenty_thousand(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path
) -> None:
    lose_the_credentials(34_000, 2_000, proxy, switchboard, tmp_path)


def test_f4_an_old_refusal_does_not_outlive_the_new_password(
    proxy: Proxy, switchboard: Exchange
) -> None:
    """A request under way with the old password is refused after the new one was accepted."""
    build_world()
    through(proxy, switchboard)
    account.pause("said of the old password")
    later = timezone.now() + account.PAUSE_RECHECK_EVERY
    result = account.recheck_paused(later)
    assert result is not None
    assert result.ok
    assert not VoiceSettings.current().paused
    assert account.recheck_paused(later + timedelta(hours=1)) is None, "nothing to check"


@pytest.mark.spec("B2-05", "B3-16")
def test_f5_accepted_and_never_reported(proxy: Proxy, switchboard: Exchange) -> None:
    """F5: Error after the set time and not before; Refresh Status can still make it Sent."""
    build_world()
    through(proxy, switchboard, result_timeout=45)
    message = confirmed()
    proxy.deaf = {"GetCallLog", "GetJobStatus"}
    hand_over(message)
    assert DialerJob.objects.get(message=message).all_accepted_at is not None
    collect.collect(seconds=1)
    message.refresh_from_db()
    assert message.dial_until is not None
    due = message.dial_until + timedelta(minutes=45)
    assert finishing.sweep(due - timedelta(seconds=1)) == 0
    assert finishing.sweep(due + timedelta(seconds=1)) == 1
    assert finishing.sweep(due + timedelta(seconds=2)) == 0
    message.refresh_from_db()
    assert message.status == Message.Status.ERROR
    assert (
        not Delivery.objects.filter(message=message, state="done", outcome="failed")
        .exclude(reason="invalid_number")
        .exists()
    ), "no one is said to have failed"
    client = client_of(make_user("admin", ADMINISTRATOR))

    def press_refresh() -> str:
        answer = client.post(reverse("log_refresh", args=[message.uuid]), follow=True)
        assert answer.status_code == 200
        message.refresh_from_db()
        return answer.content.decode()

    assert "could not be asked" in press_refresh()
    assert message.status == Message.Status.ERROR
    proxy.deaf = set()
    for _press in range(600):
        press_refresh()
        if message.status == Message.Status.SENT:
            break
    assert message.status == Message.Status.SENT
    assert not Delivery.objects.filter(message=message).exclude(state="done").exists()
    switchboard.judge(message)


def test_f3_a_dialer_at_its_limit_takes_an_emergency_first(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path
) -> None:
    """F3: five requests a second, a routine send under way, then an emergency: what is turned away
    is kept in hand, nothing fails, and the emergency is handed over before the rest goes on."""
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    through(proxy, switchboard)
    routine = district_of(120, tmp_path)
    urgent = confirmed(tool="emergency")
    lifecycle.launch(routine.pk)
    expand_all(routine)
    expand_all(urgent)
    switchboard.control(requests_per_second=5)
    begun = Event()
    proxy.after = lambda _operation, _status: (
        begun.set() if proxy.answers["AddChains", 200] >= 8 else None
    )
    try:
        line = Thread(target=_push_to_the_end, args=(routine.pk,))
        line.start()
        assert begun.wait(60)
        _push_to_the_end(urgent.pk, in_thread=False)
        line.join(120)
    finally:
        switchboard.control(requests_per_second=0)
    first, last = DialerJob.objects.get(message=urgent), DialerJob.objects.get(message=routine)
    assert first.all_accepted_at is not None
    assert last.all_accepted_at is not None
    assert first.all_accepted_at < last.all_accepted_at
    batches = DialerBatch.objects.filter(job=last, accepted_at__isnull=False)
    own = first.batches.count()
    assert own > 20
    between = batches.filter(
        accepted_at__gt=first.submitted_at, accepted_at__lt=first.all_accepted_at
    ).count()
    assert between <= own / 4, f"{between} routine batches beside {own} of the emergency"
    assert batches.filter(accepted_at__gt=first.all_accepted_at).count() > 10
    assert DialerJob.objects.filter(failures__gt=0).count() == 0
    for message in (urgent, routine):
        finish(message)
        switchboard.judge(message)


def _push_to_the_end(message_id: int, *, in_thread: bool = True) -> None:
    """As the worker would, until everything is handed over."""
    try:
        until = monotonic() + 120
        while DialerJob.objects.get(message_id=message_id).all_accepted_at is None:
            assert monotonic() < until
            dispatch.push(message_id)
    finally:
        if in_thread:
            connection.close()


def test_f3_a_known_limit_is_not_reached(
    proxy: Proxy, switchboard: Exchange, tmp_path: Path, settings: Any
) -> None:
    """F3: with the provider's figure in the settings the dialer turns next to nothing away."""
    settings.DIALER_REQUESTS_PER_SECOND = 10.0
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    through(proxy, switchboard)
    message = district_of(100, tmp_path)
    switchboard.control(requests_per_second=10)
    try:
        hand_over(message)
    finally:
        switchboard.control(requests_per_second=0)
    asked = sum(proxy.answers[operation, 200] for operation in HAND_OVER)
    turned_away = sum(proxy.answers[operation, 500] for operation in HAND_OVER)
    assert asked > 50
    assert turned_away <= 0.05 * asked
    assert DialerJob.objects.get(message=message).all_accepted_at is not None
    finish(message)
    switchboard.judge(message)
