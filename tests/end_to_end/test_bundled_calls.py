"""Several messages in one call, as the switchboard rings and the log counts (A3-09, B3-12)."""

from typing import Any

import pytest

from messenger.models import Delivery, Message
from sentlog.counting import count
from tests.end_to_end.test_calling import set_numbers
from tests.end_to_end.town import Exchange, finish, hand_over, open_account
from tests.launch.sending import confirmed
from tests.world import Device, World, add_phone, add_staff

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

HOME, MOMS = "+16515550101", ["+16515550102", "+16515550111", "+16515550112"]


def sent(message: Message) -> Message:
    hand_over(message)
    return finish(message)


def calls_to(switchboard: Exchange, message: Message, number: str) -> int:
    return sum(call.phone_number == number for call in switchboard.attempts(message))


@pytest.mark.spec("B3-12")
def test_the_household_is_called_once_for_both_children_or_once_for_each(
    world: World, switchboard: Exchange
) -> None:
    """On: one call that says both messages (the same words, once) and one result for both rows.
    Off: two calls. Mom confirms on her cell: her other numbers are in the total and not attempted.
    """
    set_numbers(
        {
            "+16125550225": HOME,
            **dict(zip(["+16125557735", "+16125553218", "+16125554454"], MOMS, strict=True)),
            "+16125557736": "+16515550121",  # Dad: machines
            "+16125553219": "+16515550122",
            "+16125554455": "+16515550123",
        }
    )
    wanted: dict[str, Any] = {"grades": ("03", "05")}
    open_account(switchboard, bundle_messages=True)
    together = confirmed([world.elementary], **wanted)
    open_account(switchboard, bundle_messages=False)
    apart = confirmed([world.elementary], **wanted)
    for message, calls in ((together, 1), (apart, 2)):
        sent(message)
        assert calls_to(switchboard, message, HOME) == calls
        assert calls_to(switchboard, message, MOMS[0]) == calls
        assert calls_to(switchboard, message, MOMS[1]) == 0
        rows = Delivery.objects.filter(message=message)
        assert rows.count() == 2 * 8
        home = rows.filter(address=HOME)
        assert home.count() == 4
        assert {(row.outcome, row.code, row.confirmed, row.tries) for row in home} == {
            ("successful", 5, True, 1)
        }
        assert [row.duplicate for row in home.order_by("id")] == [False, True, True, True]
        figures = count(message.pk)
        assert (figures.total_voice, figures.total_voice_attempted) == (7, 5)
        assert (figures.total_recipients, figures.contacted) == (2, 2)
        switchboard.judge(message)
    assert switchboard.books(together).attempts * 2 == switchboard.books(apart).attempts
    assert switchboard.books(together).chains * 2 == switchboard.books(apart).chains


def test_a_number_of_two_people_is_called_once_when_a_name_is_said(
    world: World, switchboard: Exchange
) -> None:
    """Whatever the option; both are reached, and Bob's own number is called besides."""
    shared, own = "+16515550113", "+16515550103"
    ann, bob = (add_staff(f"{name} Shared", world.high, "Teacher") for name in ("Ann", "Bob"))
    for person in (ann, bob):
        add_phone(person, Device.WORK, shared)
    add_phone(bob, Device.CELL, own)
    open_account(switchboard, bundle_messages=False)
    message = confirmed([world.high], deliver_to=("staff",), names_recipients=True)
    sent(message)
    assert calls_to(switchboard, message, shared) == 1
    assert calls_to(switchboard, message, own) == 1
    rows = Delivery.objects.filter(message=message, address=shared).order_by("id")
    assert [(row.recipient, row.outcome, row.duplicate) for row in rows] == [
        (ann, "successful", False),
        (bob, "successful", True),
    ]
    switchboard.judge(message)


@pytest.mark.parametrize("content", [{}, {"names_recipients": True}], ids=["recipient", "number"])
@pytest.mark.parametrize("moment", ["lost answer", "killed"])
def test_a_bundled_call_is_made_once_whatever_was_repeated(
    world: World, switchboard: Exchange, content: dict[str, Any], moment: str
) -> None:
    """The answer to SubmitJob is lost, or the switchboard dies in the middle: nobody is called
    twice about the same, and every row of every step has its end."""
    set_numbers({"+16125550225": HOME, "+16125557735": MOMS[0], "+16125557736": "+16515550121"})
    open_account(switchboard, bundle_messages=True, redials=0)
    message = confirmed([world.elementary], grades=("03", "05"), **content)
    if moment == "lost answer":
        switchboard.control(trouble="cut", times=1)
    hand_over(message)
    if moment == "killed":
        switchboard.kill()
        switchboard.start()
    finish(message)
    assert message.status == Message.Status.SENT
    for number in (HOME, MOMS[0], "+16515550121"):
        assert calls_to(switchboard, message, number) == 1
        rows = Delivery.objects.filter(message=message, address=number)
        assert {row.student for row in rows} == {world.son, world.daughter}
        assert len({(row.state, row.outcome, row.code, row.chain, row.step) for row in rows}) == 1
    assert not Delivery.objects.filter(message=message).exclude(state="done").exists()
    switchboard.judge(message)
