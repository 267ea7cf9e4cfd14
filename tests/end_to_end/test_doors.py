"""Voice Settings against real switchboards: two doors to one account, a third to another; lines."""

from pathlib import Path

import pytest

from messenger.models import Attempt, District, Message
from tests.end_to_end.test_kill import send_to_everyone
from tests.end_to_end.town import Exchange, finish, hand_over, open_account
from tests.launch.sending import confirmed
from tests.world import build_world
from voice import account
from voice.models import DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

LINES = 5


def most_at_once(message: Message) -> int:
    """How many calls of the message were in progress at the same moment, at most."""
    moments = []
    for started, ended in Attempt.objects.filter(message=message).values_list(
        "started_at", "ended_at"
    ):
        moments += [(started, 1), (ended, -1)]
    busy = most = 0
    for _moment, change in sorted(moments):  # an end before a start of the same moment
        busy += change
        most = max(most, busy)
    return most


@pytest.mark.spec("A1-14")
def test_two_doors_of_one_switchboard_and_one_of_another(
    switchboard: Exchange, slow_exchange: Exchange
) -> None:
    """Ruling 23: the same StateID and customerID, or not saved."""
    build_world()
    settings = open_account(switchboard)
    stranger = slow_exchange.url
    slow_exchange.set_password(switchboard.password)
    refused = account.verify_second(settings, stranger)
    assert refused is not None
    assert refused.words == "This end point leads to another account than the first one."
    assert account.doors() == [switchboard.url]
    other_door = switchboard.url.replace("127.0.0.1", "localhost")
    fine = account.verify_second(VoiceSettings.current(), other_door)
    assert fine is not None
    assert fine.ok
    assert account.doors() == [switchboard.url, other_door]
    settings = VoiceSettings.current()
    assert [door.result.kind for door in account.check_doors(settings)] == [account.FINE] * 2
    switchboard.set_password("another")
    assert [door.result.kind for door in account.check_doors(settings)] == [account.REFUSED] * 2
    switchboard.kill()
    assert [door.result.kind for door in account.check_doors(settings)] == [account.UNREACHABLE] * 2
    assert account.doors() == [switchboard.url, other_door], "testing changes nothing"


@pytest.mark.spec("A1-19")
def test_the_contract_caps_the_calls_in_progress(switchboard: Exchange, tmp_path: Path) -> None:
    """The switchboard has 50 lines, the contract five; an emergency is not held to them."""
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    open_account(switchboard, lines=LINES)
    message = send_to_everyone(150, tmp_path)
    hand_over(message)
    finish(message)
    assert Attempt.objects.filter(message=message).count() > 50
    assert 1 < most_at_once(message) <= LINES
    urgent = confirmed(tool="emergency")
    hand_over(urgent)
    assert DialerJob.objects.get(message=urgent).content["max_lines"] is None
