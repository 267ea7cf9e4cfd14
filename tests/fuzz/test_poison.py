"""R15: one row that breaks every time; all the others are called, and it fails with its reason.

Poison of three kinds: a number that the contract's schema refuses before it leaves, an extension
that spoils the JSON of its whole batch, and a chain whose content raises what nobody foresaw.
"""

import json
from typing import Any

import pytest

from messenger import lifecycle
from messenger.models import ContactPoint, Delivery, Device, Message
from messenger.roster.families import recompute_families
from tests.end_to_end.town import Exchange, finish, hand_over, open_account
from tests.launch.sending import confirmed, expand_all
from tests.world import World, add_person, add_phone, add_student, build_world, relate
from voice import dispatch
from voice.models import DialerBatch

FEW, MANY = 40, 10_000
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def add_families(world: World, count: int) -> None:
    """So many students of the elementary school, each with one mother and her cell."""
    year = world.years[world.elementary.pk]
    for number in range(count):
        student = add_student(f"Child {number:05}", year, "04")
        mother = add_person(f"Mother {number:05}")
        add_phone(mother, Device.CELL, f"+1651{number // 8000 + 222}{number % 8000 + 1000:04}")
        relate(student, mother)
    recompute_families()


def poison_number(message: Message) -> None:
    """The schema knows numbers alone; found before anything leaves."""
    ContactPoint.objects.filter(value="+16512221007").update(value="+1651not-a-number")
    launch(message)


def poison_json(message: Message) -> None:
    """PostgreSQL writes the batch, and nobody can read it."""
    ContactPoint.objects.filter(value="+16512221007").update(extension='2"4')
    launch(message)


def poison_content(message: Message) -> None:
    """A chain without what every chain has: writing it raises KeyError or the like, every time."""
    launch(message)
    row = Delivery.objects.get(message=message, address="+16512221007")
    for batch in DialerBatch.objects.filter(job__message=message).exclude(content="[]"):
        chains = json.loads(batch.content)
        for chain in chains:
            if chain["r"] == str(row.chain):
                del chain["s"]
        batch.content = json.dumps(chains)
        batch.save()


def launch(message: Message) -> None:
    lifecycle.launch(message.pk)
    expand_all(message)


def send_all_but_one(exchange: Exchange, poison: Any, count: int) -> None:
    world = build_world()
    open_account(exchange, max_chains_per_batch=max(20, count // 10), redials=0)
    add_families(world, count)
    message = confirmed([world.elementary], grades=("04",))
    poison(message)
    hand_over(message)
    finish(message, patience=60 + count / 20)
    assert message.status == Message.Status.SENT
    rows = Delivery.objects.filter(message=message, recipient__given_name="Mother")
    assert rows.count() == count
    (failed,) = rows.filter(tries=0)
    assert (failed.state, failed.outcome) == ("done", "failed")
    assert failed.reason == "refused_by_dialer"
    dialed = {attempt.phone_number for attempt in exchange.attempts(message)}
    others = set(rows.exclude(pk=failed.pk).values_list("address", flat=True))
    assert others <= dialed
    assert failed.address not in dialed
    assert dispatch.waiting_messages() == []
    exchange.judge(message)


@pytest.mark.parametrize("poison", [poison_number, poison_json, poison_content])
def test_r15_a_poison_row_fails_alone(quick_exchange: Exchange, poison: Any) -> None:
    """R15 with a few rows, a batch that breaks among others."""
    send_all_but_one(quick_exchange, poison, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("poison", [poison_number, poison_json, poison_content])
def test_r15_a_poison_row_fails_alone_among_ten_thousand(
    quick_exchange: Exchange, poison: Any
) -> None:
    """R15 in full: 9,999 are called."""
    send_all_but_one(quick_exchange, poison, MANY)
