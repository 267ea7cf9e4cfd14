"""Every setting of Voice Settings that concerns chains, as the switchboard obeys it: from the
settings through confirm, the frozen job and SOAP to the calls that are made. What the engine does
with each rule by itself is proven in `tests/test_chain_engine.py`.

The district calls about one student; everybody's numbers are those of the town that always behave
(`dialer_adapters.switchboard.lines.simulated`).
"""

import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from dialer_adapters.switchboard.database import query
from messenger.models import Attempt, ContactPoint, Delivery, Message, Relationship
from messenger.models.contact import ContactPreference
from tests.end_to_end.test_calling import set_numbers
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account
from tests.launch.sending import confirmed
from tests.world import World
from voice.models import LogEntry, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

HOME, CELL, WORK, OTHER = "+16125550225", "+16125557735", "+16125553218", "+16125554454"
CONFIRMS, LISTENS, MACHINE, NEVER, BUSY = (
    *("+16515550101", "+16515550110", "+16515550120", "+16515550140"),
    *("+16515550170",),
)
SPEED = 1000  # of the quick exchange
LONG = "word " * 600  # four minutes


def only_mom(world: World, **numbers: str) -> None:
    """Mom alone is called, at these numbers in place of her own; what is not named is not hers."""
    world.household.memberships.all().delete()
    Relationship.objects.filter(guardian=world.dad).delete()
    own = {"cell": CELL, "work": WORK, "other": OTHER}
    set_numbers({own[device]: number for device, number in numbers.items()})
    unused = [device for device in own if device not in numbers]
    ContactPoint.objects.filter(person=world.mom, device__in=unused).delete()


def sent(world: World, **content: Any) -> Message:
    message = confirmed([world.elementary], grades=("05",), **content)
    hand_over(message)
    return finish(message)


def tries(message: Message) -> list[Attempt]:
    found = list(Attempt.objects.filter(message=message, mode="voice").order_by("started_at"))
    assert found
    return found


def times(attempt: Attempt) -> tuple[datetime, datetime]:
    assert attempt.started_at is not None
    assert attempt.ended_at is not None
    return attempt.started_at, attempt.ended_at


def dialed(switchboard: Exchange, message: Message) -> list[str]:
    """The numbers in the order in which they were called."""
    return [call.phone_number for call in switchboard.attempts(message)]


@pytest.mark.parametrize("redials", [0, 1])
def test_redials(world: World, switchboard: Exchange, redials: int) -> None:
    """Of a number that never answers and one that is always busy."""
    only_mom(world, cell=NEVER, work=BUSY)
    open_account(switchboard, redials=redials)
    message = sent(world)
    assert dialed(switchboard, message) == [NEVER, BUSY] * (1 + redials)
    switchboard.judge(message)


def test_minutes_between_redials(world: World, switchboard: Exchange) -> None:
    """Half an hour is 1.8 s in this town, twice what the default would be."""
    only_mom(world, cell=NEVER)
    open_account(switchboard, redials=1, minutes_between_redials=30)
    first, second = (times(attempt) for attempt in tries(sent(world)))
    assert second[0] - first[1] >= timedelta(minutes=30) / SPEED


def test_seconds_to_ring(world: World, switchboard: Exchange) -> None:
    only_mom(world, cell=NEVER)
    open_account(switchboard, redials=0, ring_seconds=120)
    (attempt,) = tries(sent(world))
    start, end = times(attempt)
    assert end - start >= timedelta(seconds=120) / SPEED


@pytest.mark.parametrize("leave_message", [True, False])
def test_a_message_on_answering_machines(
    world: World, switchboard: Exchange, leave_message: bool
) -> None:
    """Four minutes of words are played to the machine, or it is hung up on; a success both ways."""
    only_mom(world, cell=MACHINE)
    open_account(switchboard, leave_message=leave_message)
    message = sent(world, voice_text=LONG)
    (attempt,) = tries(message)
    assert (attempt.code, attempt.outcome) == (6, "successful")
    entry = LogEntry.objects.get(job_ref=str(message.job_ref), entry_type="ATTEMPT_RESULT")
    assert entry.rest is not None
    connected = datetime.fromisoformat(json.loads(entry.rest)["connected_at"])
    played = times(attempt)[1] - connected
    assert (played > timedelta(seconds=60) / SPEED) == leave_message


@pytest.mark.parametrize("again", [True, False])
def test_redial_after_an_answering_machine(
    world: World, switchboard: Exchange, again: bool
) -> None:
    only_mom(world, cell=MACHINE)
    open_account(switchboard, redials=2, redial_machine=again)
    message = sent(world)
    assert dialed(switchboard, message) == [MACHINE] * (3 if again else 1)
    assert {row.outcome for row in Delivery.objects.filter(message=message)} == {"successful"}


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_numbers_follow_each_other_and_redials_come_after_all_of_them(
    world: World, switchboard: Exchange, tool: str
) -> None:
    """Breadth first (X-46), in the district's order (X-29), one call at a time; an emergency's
    chain is ordered too (E-2)."""
    only_mom(world, cell=BUSY, work=NEVER, other=LISTENS)
    world.district.device_order = ["work", "cell", "other"]
    world.district.save()
    open_account(switchboard, redials=2)
    message = sent(world, tool=tool)
    assert dialed(switchboard, message) == [NEVER, BUSY, LISTENS, NEVER, BUSY, NEVER, BUSY]
    calls = [times(attempt) for attempt in tries(message)]
    assert all(before[1] <= after[0] for before, after in pairwise(calls))


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_all_numbers_at_once(world: World, switchboard: Exchange, tool: str) -> None:
    """The flag of the message (E-2): the first wave rings together, and key 0 leaves the calls that
    are under way to their end."""
    only_mom(world, cell=CONFIRMS, work=LISTENS, other=MACHINE)
    open_account(switchboard)
    message = sent(world, tool=tool, simultaneous=True, voice_text=LONG)
    calls = [times(attempt) for attempt in tries(message)]
    assert len(calls) == 3
    assert max(start for start, _end in calls) < min(end for _start, end in calls)
    assert set(Delivery.objects.filter(message=message).values_list("outcome", flat=True)) == {
        "successful"
    }
    switchboard.judge(message)


@pytest.mark.parametrize("lines", [1, None])
def test_lines_of_the_contract(world: World, switchboard: Exchange, lines: int | None) -> None:
    """One line: no two calls at a time, of three chains that could all ring."""
    set_numbers({HOME: LISTENS, CELL: "+16515550111", "+16125557736": "+16515550112"})
    open_account(switchboard, lines=lines, redials=0)
    calls = [times(attempt) for attempt in tries(sent(world, voice_text=LONG))]
    together = any(before[1] > after[0] for before, after in pairwise(calls))
    assert together == (lines is None)


@pytest.mark.parametrize(("tool", "calls"), [("general", 1), ("emergency", 3)])
def test_a_call_of_unknown_outcome_is_repeated_for_an_emergency_alone(
    world: World, switchboard: Exchange, tool: str, calls: int
) -> None:
    """Code -5 may have been a call (ruling 28); the message's field decides."""
    only_mom(world, cell="+16515550187")
    open_account(switchboard, redials=2)
    message = sent(world, tool=tool)
    assert [call.status_code for call in switchboard.attempts(message)] == [-5] * calls


@pytest.mark.parametrize(("number", "code"), [("+16515550111", 13), ("+16515550110", 8)])
def test_an_extension_is_dialed_after_the_connection(
    world: World, switchboard: Exchange, number: str, code: int
) -> None:
    only_mom(world, cell=number)
    ContactPoint.objects.filter(value=number).update(extension="204")
    open_account(switchboard)
    message = sent(world)
    (row,) = Delivery.objects.filter(message=message)
    assert (row.code, row.outcome, row.extension) == (code, "successful", "204")
    found = ask_switchboard(
        switchboard.database,
        query,
        "SELECT a.extension FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
        " WHERE j.job_ref = %s",
        [str(message.job_ref)],
    )
    assert list(found) == [("204",)]


def test_texts_start_with_their_chain_from_the_district_s_sender(
    world: World, switchboard: Exchange
) -> None:
    """They wait for no call (ruling 9), and say the message's text."""
    only_mom(world, cell=LISTENS, work=NEVER)
    point = ContactPoint.objects.get(value=LISTENS)
    ContactPreference.objects.create(contact_point=point, mode="text", reasons=63)
    open_account(switchboard, text_sender="55155", redials=2)
    message = confirmed([world.elementary], grades=("05",), modes=("voice", "text"))
    Message.objects.filter(pk=message.pk).update(text_body="No school today.")
    hand_over(message)
    finish(message)
    (text,) = Delivery.objects.filter(message=message, mode="text")
    (cell,) = Delivery.objects.filter(message=message, mode="voice", address=LISTENS)
    assert text.chain == cell.chain
    assert text.outcome == "successful"
    channels = [call.channel for call in switchboard.attempts(message)]
    assert channels.index("TEXT") < 2  # with the first call, before the chain's second
    ((body,),) = ask_switchboard(
        switchboard.database,
        query,
        "SELECT body FROM switchboard_job WHERE job_ref = %s",
        [str(message.job_ref)],
    )
    job = json.loads(body)
    assert job["text_sender"] == "55155"
    assert job["script"]["text"] == "No school today."


def test_settings_that_change_after_confirm_do_not_reach_the_message(
    world: World, switchboard: Exchange
) -> None:
    """Ruling 5."""
    only_mom(world, cell=NEVER, work=MACHINE)
    open_account(switchboard, redials=0)
    message = confirmed([world.elementary], grades=("05",))
    VoiceSettings.objects.update(
        redials=3, redial_machine=True, leave_message=False, bundle_messages=True
    )
    hand_over(message)
    finish(message)
    assert dialed(switchboard, message) == [NEVER, MACHINE]
