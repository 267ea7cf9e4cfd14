"""The history of a person in words: who changed what when, from what to what, through which door.

Reads only. The lines are written by whoever makes the change, in its transaction.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from messenger.models import (
    ContactChange,
    ContactReason,
    Device,
    Household,
    Mode,
    Person,
    TextConsent,
)
from messenger.roster.phones import national

Subject = ContactChange.Subject


@dataclass(frozen=True)
class Entry:
    """One line of the history as it is shown."""

    at: datetime
    what: str
    before: str
    after: str
    who: str
    door: str


def changes_of(person: Person) -> QuerySet[ContactChange]:
    """Everything that happened to a person's contact information, marks and relationships, and to
    the homes that the person lives or lived in; newest first."""
    homes = person.memberships.values_list("household_id", flat=True)
    return ContactChange.objects.filter(
        Q(person_id=person.pk) | Q(other_id=person.pk) | Q(household_id__in=list(homes))
    ).order_by("-id")


def entries(changes: list[ContactChange], see_private: bool) -> list[Entry]:
    """The lines in words; private numbers are left out for those who may not see them."""
    names = _names(changes)
    return [
        Entry(
            change.at,
            _what(change, names),
            *_values(change, see_private),
            change.user_name,
            _("Undo of a batch") if change.undo else str(change.get_door_display()),
        )
        for change in changes
    ]


def _names(changes: list[ContactChange]) -> dict[tuple[str, int | None], str]:
    """Names of the people and households that the lines speak of."""
    named = [(change.person_id, change.other_id) for change in changes]
    people = [pk for both in named for pk in both if pk is not None]
    homes = [change.household_id for change in changes if change.household_id is not None]
    names: dict[tuple[str, int | None], str] = {
        ("person", person.pk): person.name_in_log()
        for person in Person.objects.filter(pk__in=people)
    }
    for home in Household.objects.filter(pk__in=homes):
        names["household", home.pk] = home.name
    return names


FIELDS: dict[str, Any] = {
    "messenger": lambda: _("Messenger"),
    "is_guardian": lambda: _("Guardian"),
    "mailing": lambda: _("Mailing"),
    "portal": lambda: _("Portal"),
    "private": lambda: _("Private"),
    "emergency_priority": lambda: _("Emergency Priority"),
    "label": lambda: _("Relationship"),
    "start_date": lambda: _("Start Date"),
    "end_date": lambda: _("End Date"),
    "language": lambda: _("Preferred language"),
    "gender": lambda: _("Gender"),
    "added": lambda: _("Added"),
}


def _what(change: ContactChange, names: dict[tuple[str, int | None], str]) -> str:
    field = FIELDS[change.field]() if change.field in FIELDS else change.field
    if change.subject == Subject.LINK:
        student = names.get(("person", change.person_id), "")
        guardian = names.get(("person", change.other_id), "")
        return f"{student} – {guardian}: {field}"
    if change.subject == Subject.MEMBER:
        home = names.get(("household", change.household_id), "")
        return f"{home} – {names.get(('person', change.other_id), '')}: {field}"
    if change.subject == Subject.PERSON:
        return str(field)
    device = str(Device(change.device).label) if change.device else ""
    if change.household_id:
        device = f"{device} ({names.get(('household', change.household_id), '')})"
    if change.mode:
        mode = _("Text (SMS)") if change.mode == Mode.TEXT else str(Mode(change.mode).label)
        device = f"{device}, {mode}"
    return f"{device}: {field}" if field else device


def _values(change: ContactChange, see_private: bool) -> tuple[str, str]:
    if change.subject == Subject.MARKS:
        return reasons_in_words(change.marks_before or 0), reasons_in_words(change.marks_after or 0)
    if change.subject == Subject.CONSENT:
        return _consent(change.before), _consent(change.after)
    if change.subject == Subject.POINT and not change.field:
        if change.private and not see_private:
            hidden = _("Private")
            return change.before and hidden, change.after and hidden
        return _number(change.before), _number(change.after)
    return _yes(change.before), _yes(change.after)


def reasons_in_words(mask: int) -> str:
    """The reasons of a mask, in the grid's order."""
    every = list(ContactReason)
    on = [str(reason.label) for reason in every if mask & reason.bit]
    if len(on) == len(every):
        return _("every reason")
    return ", ".join(on)


def _consent(state: str) -> str:
    if state == "do_not_contact":
        return _("Do not contact")
    return str(TextConsent.State(state).label) if state in TextConsent.State else state


def _number(value: str) -> str:
    number, _space, extension = value.partition(" x")
    return f"{national(number)} x{extension}" if extension else national(number)


def _yes(value: str) -> str:
    return _("yes") if value == "yes" else value
