"""The one writer of relationships and household memberships outside the importer, with history.

Nothing is deleted: what is over gets an end date. A relationship that was made here belongs to
nobody's roster, and no import ends it. A family follows from the relationships and is computed
anew with every new one; calls that are frozen and have not left are looked at again (ruling 5).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from messenger import opt_outs
from messenger.models import (
    ContactChange,
    Household,
    HouseholdMembership,
    Person,
    Relationship,
)
from messenger.preferences import Author
from messenger.roster.families import recompute_families

Subject = ContactChange.Subject
# The columns of the Relationships tab in the source's order (A7-05), those that can be changed.
FIELDS = (
    *("label", "start_date", "end_date", "emergency_priority", "is_guardian", "mailing"),
    *("portal", "messenger", "private"),
)
MEMBER_FIELDS = ("start_date", "end_date")
# Whoever is called changes with these.
_OF_DELIVERY = {"messenger", "start_date", "end_date", "added"}
BY_HAND = "admin"

Row = Relationship | HouseholdMembership


@dataclass(frozen=True)
class Wish:
    """What a row shall become, and what its author saw of it."""

    pk: int
    seen: dict[str, Any]
    wanted: dict[str, Any]


class RowsChangedMeanwhile(Exception):
    """Somebody else has changed rows since they were read; `rows` are what they are now."""

    def __init__(self, rows: dict[int, Row]) -> None:
        super().__init__("rows have changed meanwhile")
        self.rows = rows


def state_of(row: Row) -> dict[str, Any]:
    """The fields of a row that can be changed."""
    fields = FIELDS if isinstance(row, Relationship) else MEMBER_FIELDS
    return {name: getattr(row, name) for name in fields}


def save_rows(links: Iterable[Wish], members: Iterable[Wish], author: Author) -> int:
    """Write what has changed of relationships and household memberships; the number of changed
    fields. Raises RowsChangedMeanwhile, and writes nothing, when a row is not what was seen."""
    with transaction.atomic():
        changed = _save(Relationship, links, author)
        return changed + _save(HouseholdMembership, members, author)


def _save(model: type[Any], wishes: Iterable[Wish], author: Author) -> int:
    by_id = {wish.pk: wish for wish in wishes}
    lines: list[ContactChange] = []
    with transaction.atomic():
        found = model.objects.select_for_update(no_key=True).filter(pk__in=by_id).order_by("pk")
        rows: dict[int, Any] = {row.pk: row for row in found}
        stale = {pk: row for pk, row in rows.items() if state_of(row) != by_id[pk].seen}
        if stale or rows.keys() != by_id.keys():
            raise RowsChangedMeanwhile(stale)
        for pk, row in rows.items():
            now = state_of(row)
            changed = [name for name, value in by_id[pk].wanted.items() if now[name] != value]
            for name in changed:
                lines.append(_line(row, author, name, now[name], by_id[pk].wanted[name]))
                setattr(row, name, by_id[pk].wanted[name])
            if changed:
                row.save(update_fields=changed)
        _remember(lines)
    return len(lines)


def relate(student: Person, guardian: Person, author: Author, label: str = "") -> Relationship:
    """Make somebody a messenger contact of a student, or again, whatever became of it before."""
    with transaction.atomic():
        link, is_new = Relationship.objects.get_or_create(
            student=student, guardian=guardian, defaults={"label": label, "source": BY_HAND}
        )
        if not is_new:
            link.active, link.messenger, link.end_date, link.source = True, True, None, BY_HAND
            link.save(update_fields=["active", "messenger", "end_date", "source"])
        _remember([_line(link, author, "added", "", link.label or True)])
        recompute_families()
    return link


def add_member(household: Household, person: Person, author: Author) -> HouseholdMembership:
    """Make somebody a member of a household, or again."""
    with transaction.atomic():
        member, is_new = HouseholdMembership.objects.get_or_create(
            household=household, person=person, defaults={"source": BY_HAND}
        )
        if not is_new:
            member.active, member.end_date, member.source = True, None, BY_HAND
            member.save(update_fields=["active", "end_date", "source"])
        _remember([_line(member, author, "added", "", True)])
    return member


def _line(row: Any, author: Author, name: str, before: Any, after: Any) -> ContactChange:
    about: dict[str, Any] = {"subject": Subject.MEMBER}
    if isinstance(row, Relationship):
        about = {"subject": Subject.LINK, "person_id": row.student_id, "other_id": row.guardian_id}
    else:
        about |= {"household_id": row.household_id, "other_id": row.person_id}
    return ContactChange(
        field=name, before=_said(before), after=_said(after), **about, **author.signed()
    )


def _remember(lines: list[ContactChange]) -> None:
    ContactChange.objects.bulk_create(lines)
    if any(line.field in _OF_DELIVERY for line in lines):
        opt_outs.mark_contacts_changed()


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return "" if value is None else str(value)
