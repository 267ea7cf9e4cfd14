"""Bundled calls of families as they come: drawn at random, held against separate calls and against
what a number may be (ruling 30, A3-09)."""

import random
from collections import defaultdict
from itertools import groupby
from typing import Any

import pytest

from messenger.models import Delivery, School
from messenger.roster.families import recompute_families
from tests.launch.joining import SAME_WHETHER_BUNDLED, chain_rows, morning_world, values_of
from tests.launch.sending import launched, verified_account
from tests.world import Device, World, add_household, add_person, add_phone, add_student, relate
from voice.models import CallChain, VoiceSettings

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    verified_account(bundle_messages=True)
    return morning_world()


def add_random_families(world: World, draw: random.Random) -> None:
    """Students of three schools, one of them in another zone; guardians of several, households,
    numbers of their own and numbers that strangers share."""
    away = "Asia/Tokyo" if world.district.time_zone != "Asia/Tokyo" else "Asia/Seoul"
    School.objects.filter(pk=world.middle.pk).update(time_zone=away)
    students = [
        add_student(f"Student {n}", world.years[draw.choice(list(world.years))], "05")
        for n in range(30)
    ]
    guardians = [add_person(f"Guardian {n}") for n in range(25)]
    pool = [f"+1651555{number:04}" for number in range(1000, 1030)]
    for person in [*guardians, *students[:8]]:
        for device in draw.sample([Device.CELL, Device.WORK, Device.OTHER], draw.randrange(1, 4)):
            extension = draw.choice(["", "", "", "21"]) if device == Device.WORK else ""
            text = draw.choice([0, 0, 63])
            add_phone(person, device, draw.choice(pool), text=text, extension=extension)
    for student in students:
        for guardian in draw.sample(guardians, draw.randrange(1, 4)):
            relate(student, guardian)
    relate(students[9], students[0])
    for n in range(8):
        members = draw.sample(guardians, 2)
        add_household(f"Household {n}", draw.choice(pool), *members, draw.choice(students))
    recompute_families()


ANYBODY: dict[str, Any] = {"deliver_to": ("contacts", "students"), "modes": ("voice", "text")}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_chains_are_joined_when_they_dial_alike_and_only_then(world: World, seed: int) -> None:
    """Held against the chains of separate calls: those of one household or recipient that call the
    same numbers in the same order and zone are one, and all others stay as they are."""
    add_random_families(world, random.Random(seed))
    together = launched(**ANYBODY)
    VoiceSettings.objects.update(bundle_messages=False)
    apart = launched(**ANYBODY)
    zones = dict(School.objects.values_list("pk", "time_zone"))
    expected: dict[object, set[int]] = defaultdict(set)
    for chain, rows in chain_rows(apart).items():
        called = [row for row in rows if row.mode == "voice"]
        home = {row.contact_point_id for row in called if row.device == "household"}
        whose = ("home", *home) if home else ("person", rows[0].recipient_id)
        alone = len({row.recipient_id for row in rows}) > 1 and not home  # a shared text
        numbers_called = tuple(sorted({(row.step, row.address, row.extension) for row in called}))
        zone = {zones[row.school_id or 0] for row in called}
        key = ("text", chain) if alone else (whose, numbers_called, *zone)
        expected[key] |= {row.id for row in rows}
    joined = {frozenset(row.id for row in rows) for rows in chain_rows(together).values()}
    assert joined == {frozenset(ids) for ids in expected.values()}
    assert len(joined) < len(chain_rows(apart))
    assert values_of(together, *SAME_WHETHER_BUNDLED) == values_of(apart, *SAME_WHETHER_BUNDLED)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_by_number_every_phone_is_one_step_of_one_persons_chain(world: World, seed: int) -> None:
    add_random_families(world, random.Random(seed))
    message = launched(names_recipients=True, **ANYBODY)
    steps = defaultdict(set)
    owners = defaultdict(set)
    for row in Delivery.objects.filter(message=message, chain__isnull=False):
        phone = (row.mode, row.address, row.extension)
        steps[phone].add((row.chain, row.step))
        at_home = row.device == "household" and row.mode == "voice"
        owners[phone].add(("home", row.contact_point_id) if at_home else row.recipient_id)
    assert {len(found) for found in steps.values()} == {1}
    whose = {chain.number: chain for chain in CallChain.objects.filter(message=message)}
    shared = 0
    for chain, rows in chain_rows(message).items():
        assert whose[chain].recipient_id == rows[0].recipient_id
        phones = {(row.mode, row.address, row.extension) for row in rows}
        if any(len(owners[phone]) > 1 for phone in phones):
            shared += 1
            assert len(phones) == 1
    assert shared > 3
    for (mode, address), rows in groupby(
        Delivery.objects.filter(message=message)
        .exclude(mode="none")
        .order_by("mode", "address", "id"),
        key=lambda row: (row.mode, row.address),
    ):
        marks = [row.duplicate for row in rows]
        assert marks == [False] + [True] * (len(marks) - 1), (mode, address)
