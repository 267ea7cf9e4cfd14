"""What tests of bundled calls look at: a message's chains as they were frozen, and its rows."""

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from messenger.models import Delivery, Message
from tests.world import World, build_world
from voice.management.commands.set_up_demo import morning_zone
from voice.models import DialerBatch

SAME_WHETHER_BUNDLED = (
    *("id", "recipient_id", "student_id", "mode", "address", "extension", "device", "step"),
    *("duplicate", "state", "outcome"),
)
EVERYTHING = (*SAME_WHETHER_BUNDLED, "chain")


def morning_world() -> World:
    """The world, where it is morning now: calls keep to local hours, and tests run at night."""
    world = build_world()
    world.district.time_zone = morning_zone(timezone.now())
    world.district.save()
    return world


def calls(message: Message) -> list[dict[str, Any]]:
    """The chains as they were frozen for the dialer."""
    batches = DialerBatch.objects.filter(job__message=message, total_chains=None)
    return [row for batch in batches.order_by("number") for row in json.loads(batch.content)]


def numbers(message: Message) -> list[list[str]]:
    return sorted([step[2] for step in row["s"]] for row in calls(message))


def rows_at(message: Message, number: str, mode: str = "voice") -> list[Delivery]:
    found = Delivery.objects.filter(message=message, address=number, mode=mode)
    return list(found.order_by("id"))


def steps_of(rows: Iterable[Delivery]) -> set[tuple[int | None, int | None]]:
    return {(row.chain, row.step) for row in rows}


def values_of(message: Message, *fields: str) -> list[tuple[Any, ...]]:
    return list(Delivery.objects.filter(message=message).order_by("id").values_list(*fields))


def chain_rows(message: Message) -> dict[int, list[Delivery]]:
    found: dict[int, list[Delivery]] = defaultdict(list)
    for row in Delivery.objects.filter(message=message, chain__isnull=False).order_by("id"):
        found[row.chain or 0].append(row)
    return found
