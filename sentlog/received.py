"""What one person, or the family of a student, was sent: on which number, and what became of it.

Every key of the delivery table begins with the message, so rows are found message by message, from
the newest back, through the index by message and recipient. Reads only; who may ask about whom is
decided by the caller.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from messenger.models import Delivery, Message, Person, Relationship

# Messages that are looked through at once, and at most for a page: 0.1 ms a message.
CHUNK, MOST = 500, 4_000


@dataclass(frozen=True)
class Received:
    """A message with the rows of the people asked about, in the order of the rows."""

    message: Message
    rows: list[Delivery]


@dataclass(frozen=True)
class Found:
    """A page: messages newest first, and the message that the next page goes on from, if any."""

    received: list[Received]
    go_on: Message | None


def family_of(person: Person) -> set[int]:
    """The person, and for a student everybody who is or was related to them."""
    related = Relationship.objects.filter(student=person).values_list("guardian_id", flat=True)
    return {person.pk, *related}


def find_received(
    person: Person,
    seen: QuerySet[Message],
    schools: Iterable[int] | None,
    own_of: int | None,
    size: int,
    after: Message | None = None,
) -> Found:
    """The newest messages of `seen` (those that the user may see) with rows for the person, or
    about them when they are a student; those older than `after`. `schools` limits rows to these
    schools (None: all), except those of messages that the user `own_of` has sent."""
    people = family_of(person)
    messages = seen.exclude(launched_at=None).order_by("-created_at", "-pk")
    received: list[Received] = []
    looked = 0
    last = after
    while looked < MOST:
        chunk = list(_older(messages, last)[:CHUNK])
        if not chunk:
            return Found(received, None)
        rows = _rows(person, people, chunk, schools, own_of)
        for message in chunk:
            last = message
            if message.pk in rows:
                received.append(Received(message, rows[message.pk]))
                if len(received) == size:
                    return Found(received, last)
        looked += len(chunk)
        if len(chunk) < CHUNK:
            return Found(received, None)
    return Found(received, last)


def _older(messages: QuerySet[Message], last: Message | None) -> QuerySet[Message]:
    if last is None:
        return messages
    return messages.filter(
        Q(created_at__lt=last.created_at) | Q(created_at=last.created_at, pk__lt=last.pk)
    )


def _rows(
    person: Person,
    people: set[int],
    chunk: list[Message],
    schools: Iterable[int] | None,
    own_of: int | None,
) -> dict[int, list[Delivery]]:
    """The rows by message. Each message is a look into the index, whatever the planner thinks,
    which for a list of messages would read the table."""
    all_of = [m.pk for m in chunk if schools is None or (own_of and m.sender_id == own_of)]
    parameters: dict[str, Any] = {
        "messages": [message.pk for message in chunk],
        "people": sorted(people),
        "person": person.pk,
        "schools": None if schools is None else sorted(schools),
        "all_of": all_of,
    }
    found = defaultdict(list)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
            " SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
        )
        cursor.execute(
            """
            SELECT d.message_id, d.id FROM unnest(%(messages)s) m(id)
            CROSS JOIN LATERAL (
                SELECT d.message_id, d.id, d.school_id FROM messenger_delivery d
                WHERE d.message_id = m.id AND d.recipient_id = ANY(%(people)s)
                    AND (d.recipient_id = %(person)s OR d.student_id = %(person)s)
                OFFSET 0
            ) d
            WHERE %(schools)s::bigint[] IS NULL OR d.school_id = ANY(%(schools)s)
                OR d.message_id = ANY(%(all_of)s)""",
            parameters,
        )
        keys = cursor.fetchall()
    of_message: dict[int, list[int]] = defaultdict(list)
    for message_id, row_id in keys:
        of_message[message_id].append(row_id)
    wanted = Q(pk__in=[])
    for message_id, ids in of_message.items():
        wanted |= Q(message_id=message_id, id__in=ids)
    rows = Delivery.objects.filter(wanted).select_related("recipient", "student").order_by("id")
    for row in rows if keys else []:
        found[row.message_id].append(row)
    return dict(found)
