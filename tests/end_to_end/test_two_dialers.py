"""Two end points that once led to one account and now lead to two dialers (ruling 23)."""

from collections.abc import Iterator

import pytest

from messenger import lifecycle
from messenger.models import Delivery, Message
from tests.end_to_end.relay import Relay
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, sender
from tests.world import build_world
from voice import account, dispatch, epochs
from voice.models import DialerJob, LogCursor, SecondDoor, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


@pytest.fixture
def doors(switchboard: Exchange) -> Iterator[tuple[Relay, Relay]]:
    """Two relays to the quick switchboard, verified as one account."""
    build_world()
    with Relay(switchboard.port) as first, Relay(switchboard.port) as second:
        open_account(switchboard)
        for relay, verify in ((first, verify_first), (second, account.verify_second)):
            result = verify(VoiceSettings.current(), through(switchboard, relay))
            assert result is not None
            assert result.ok
        yield first, second


def verify_first(settings: VoiceSettings, endpoint: str) -> account.CheckResult:
    return account.verify_and_save(settings, settings.username, None, endpoint)


def through(switchboard: Exchange, relay: Relay) -> str:
    return switchboard.url.replace(f":{switchboard.port}", f":{relay.port}")


@pytest.fixture
def another(slow_exchange: Exchange, switchboard: Exchange) -> Exchange:
    slow_exchange.set_password(switchboard.password)
    return slow_exchange


def jobs_of(message: Message) -> list[DialerJob]:
    return list(DialerJob.objects.filter(message=message).order_by("pk"))


def in_doubt_at_the_first(tool: str, doors: tuple[Relay, Relay], another: Exchange) -> Message:
    """The first dialer took the job, its answer was lost, and the second door leads elsewhere."""
    first, second = doors
    message = confirmed(tool=tool)
    first.swallow_answers()
    second.lead_to(another.port)
    hand_over(message)
    assert first.lost
    dispatch.push(message.pk)
    return message


def test_an_emergency_is_sent_once_more_and_shown_as_possibly_doubled(
    doors: tuple[Relay, Relay], switchboard: Exchange, another: Exchange
) -> None:
    message = in_doubt_at_the_first("emergency", doors, another)
    assert VoiceSettings.current().second_state == SecondDoor.REFUSED
    cursor = LogCursor.objects.get(current=True)
    old, new = jobs_of(message)
    assert (old.result_reason, new.possibly_doubled) == (epochs.DOORS_DIFFER, True)
    assert new.state_id != old.state_id
    finish(message, patience=120)
    assert message.status == Message.Status.SENT
    assert ask_switchboard(another.database, calls_of, new)
    assert jobs_of(message) == [old, new], "once, not again"
    assert not Delivery.objects.filter(message=message).exclude(state="done").exists()
    history = epochs.history_of(message.pk)
    assert history is not None
    assert history.possibly_doubled
    assert LogCursor.objects.get(current=True) == cursor, "the other dialer's log moved nothing"


def calls_of(job: DialerJob) -> int:
    from dialer_adapters.switchboard.ledger import list_attempts

    return len(list_attempts(None, str(job.job_ref)))


def test_a_cancel_goes_to_both(
    doors: tuple[Relay, Relay], switchboard: Exchange, another: Exchange
) -> None:
    message = in_doubt_at_the_first("emergency", doors, another)
    dispatch.push(message.pk)
    lifecycle.request_cancel(message.pk, sender())
    finish(message, patience=120)
    old, new = jobs_of(message)
    assert new.cancel_confirmed_at is not None
    assert old.cancel_confirmed_at is None, "the first dialer's answers are lost"
    DialerJob.objects.filter(pk=old.pk).update(retry_at=None, endpoint=switchboard.url)
    assert dispatch.waiting_messages() == [(message.pk, True)], "and is asked until it confirms"
    dispatch.push(message.pk)
    assert jobs_of(message)[0].cancel_confirmed_at is not None


def test_a_routine_message_waits_for_the_first(
    doors: tuple[Relay, Relay], switchboard: Exchange, another: Exchange
) -> None:
    message = in_doubt_at_the_first("general", doors, another)
    (job,) = jobs_of(message)
    assert job.endpoint == through(switchboard, doors[0])
    assert "another dialer" in job.trouble
    # The first one can be heard again, by another way.
    VoiceSettings.objects.update(endpoint=switchboard.url)
    DialerJob.objects.update(retry_at=None, endpoint=switchboard.url, failures=0)
    until(lambda: jobs_of(message)[0].accepted_at is not None, "the job at the first dialer")
    finish(message)
    assert message.status == Message.Status.SENT
    assert len(jobs_of(message)) == 1
    switchboard.judge(message)
