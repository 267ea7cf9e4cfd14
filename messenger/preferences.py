"""The one writer of contact points and preferences outside the importer, with their history.

A person's contact information is a sheet: one line a device, the household phones of all homes the
person lives in among them (kept once a household, A3-03). Whoever changes a sheet says what they
saw; if somebody else has changed it meanwhile nothing is written and nothing is lost. What the
preferences of many people become at once is `preference_batches`; a text's consent is `opt_outs`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import transaction

from messenger.models import (
    ContactChange,
    ContactPoint,
    ContactPreference,
    Device,
    Door,
    Household,
    Mode,
    Person,
    User,
)
from messenger.people import households_of, local_today

Subject = ContactChange.Subject

# The devices of the editor in the source's order (A7-03), with the modes that each can have.
DEVICE_MODES: dict[Device, tuple[Mode, ...]] = {
    Device.EMAIL: (Mode.EMAIL,),
    Device.EMAIL2: (Mode.EMAIL,),
    Device.HOUSEHOLD: (Mode.VOICE, Mode.TEXT),
    Device.CELL: (Mode.VOICE, Mode.TEXT),
    Device.OTHER: (Mode.VOICE, Mode.TEXT),
    Device.WORK: (Mode.VOICE, Mode.TEXT),
    Device.PAGER: (Mode.VOICE,),
}
ADDRESSES = (Device.EMAIL, Device.EMAIL2)
WITH_EXTENSION = (Device.CELL, Device.OTHER, Device.WORK, Device.PAGER)


@dataclass(frozen=True)
class Author:
    """Who changes something, and through which door."""

    door: Door
    user: User | None = None
    batch_id: int | None = None

    def signed(self) -> dict[str, Any]:
        """The columns of a line of the history that say so."""
        return {
            "door": self.door,
            "user_id": self.user and self.user.pk,
            "user_name": self.user.name_in_log() if self.user else "",
            "batch_id": self.batch_id,
        }


@dataclass(frozen=True)
class Line:
    """One device of a sheet: `value` is empty where there is none; `marks` are masks by mode.

    `problem` says why a kept number cannot be dialed (`phones.PROBLEMS`).
    """

    device: Device
    household_id: int | None = None
    value: str = ""
    extension: str = ""
    private: bool = False
    problem: str = ""
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The line's name in a sheet: the device, and which household's."""
        return f"{self.device.value}{self.household_id or ''}"

    def mask(self, mode: str) -> int:
        return self.marks.get(mode, 0)


Sheet = dict[str, Line]


@dataclass
class Difference:
    """What a saved sheet changed, counted for the words that say so."""

    marks_added: int = 0
    marks_removed: int = 0
    points: list[str] = field(default_factory=list)  # keys of lines with another number, address

    def __bool__(self) -> bool:
        return bool(self.marks_added or self.marks_removed or self.points)


class ChangedMeanwhile(Exception):
    """Somebody else has changed the sheet since it was read; `current` is what it is now."""

    def __init__(self, current: Sheet) -> None:
        super().__init__("the contact information has changed meanwhile")
        self.current = current


def read_sheet(person: Person, *, lock: bool = False) -> Sheet:
    """Every line of the person, in the editor's order, empty ones too.

    `lock` holds the owners until the transaction ends, so that two sheets of one home wait for each
    other.
    """
    homes = [membership.household_id for membership in households_of(person, local_today())]
    if lock:
        Person.objects.select_for_update(no_key=True).get(pk=person.pk)
        list(Household.objects.select_for_update(no_key=True).filter(pk__in=homes).order_by("pk"))
    lines: list[Line] = []
    for device in DEVICE_MODES:
        if device == Device.HOUSEHOLD:
            lines += [Line(device, home) for home in homes]
        else:
            lines.append(Line(device))
    sheet = {line.key: line for line in lines}
    for point in _points(person.pk, homes).filter(active=True).prefetch_related("preferences"):
        key = f"{point.device}{point.household_id or ''}"
        if key in sheet:
            marks = {wish.mode: wish.reasons for wish in point.preferences.all() if wish.reasons}
            sheet[key] = replace(
                sheet[key],
                value=point.value,
                extension=point.extension,
                private=point.private,
                problem=point.problem,
                marks=marks,
            )
    return sheet


def _points(person_id: int, homes: Iterable[int]) -> Any:
    own = ContactPoint.objects.filter(person_id=person_id)
    shared = ContactPoint.objects.filter(household_id__in=homes, device=Device.HOUSEHOLD)
    return (own | shared).order_by("pk")


def difference(before: Sheet, after: Sheet) -> Difference:
    """What would change from one sheet to another."""
    found = Difference()
    for old, new in _changed(before, after):
        if _point_of(old) != _point_of(new):
            found.points.append(new.key)
        for mode in DEVICE_MODES[new.device]:
            was, is_now = old.mask(mode), new.mask(mode)
            found.marks_added += (is_now & ~was).bit_count()
            found.marks_removed += (was & ~is_now).bit_count()
    return found


def _changed(before: Sheet, after: Sheet) -> Iterator[tuple[Line, Line]]:
    for key, new in after.items():
        old = before.get(key, Line(new.device, new.household_id))
        if old != new:
            yield old, new


def _point_of(line: Line) -> tuple[str, str, bool]:
    return line.value, line.extension, line.private and bool(line.value)


def save_sheet(person: Person, seen: Sheet, wanted: Sheet, author: Author) -> Difference:
    """Write a sheet of a person; `seen` is what its author saw before.

    Lines without a value become inactive and lose their marks; a value that was entered here stays
    whatever a roster says later. Raises ChangedMeanwhile when a line is not what was seen.
    """
    with transaction.atomic():
        current = read_sheet(person, lock=True)
        if {key: current.get(key) for key in seen} != seen or any(
            key not in current for key in wanted
        ):
            raise ChangedMeanwhile(current)
        wanted = {
            key: line if line.value else Line(line.device, line.household_id)
            for key, line in wanted.items()
        }
        changed = list(_changed(current, wanted))
        found = difference(current, wanted)
        if not changed:
            return found
        history: list[ContactChange] = []
        for old, new in changed:
            _write_line(person, old, new, author, history)
        ContactChange.objects.bulk_create(history)
    return found


def _write_line(
    person: Person, old: Line, new: Line, author: Author, history: list[ContactChange]
) -> None:
    """Write one changed line and say so in the history."""
    owner = {"household_id": new.household_id} if new.household_id else {"person_id": person.pk}
    point = ContactPoint.objects.filter(device=new.device, **owner).first()
    if _point_of(old) != _point_of(new):
        point = _write_point(point or ContactPoint(device=new.device, **owner), old, new, author)
    if point is None:  # marks of a device that has never had a number
        return
    before = {wish.mode: wish for wish in point.preferences.all()}

    def say(subject: Subject, **more: Any) -> None:
        signed = owner | author.signed() | more
        history.append(
            ContactChange(subject=subject, contact_point_id=point.pk, device=new.device, **signed)
        )

    hidden = old.private or new.private
    if (old.value, old.extension) != (new.value, new.extension):
        say(Subject.POINT, before=_shown(old), after=_shown(new), private=hidden)
    if old.private != new.private and old.value and new.value:
        say(Subject.POINT, field="private", before=_said(old.private), after=_said(new.private))
    wishes = []
    for mode in DEVICE_MODES[new.device]:
        wish = before.get(mode)
        was, is_now = (wish.reasons if wish else 0), new.mask(mode)
        if was == is_now:
            continue
        said = {"mode": mode, "marks_before": was, "marks_after": is_now}
        say(Subject.MARKS, before=wish.set_by if wish else "", **said)
        wishes.append(
            ContactPreference(
                contact_point=point, mode=mode, reasons=is_now, set_by=author.door.value
            )
        )
    ContactPreference.objects.bulk_create(
        wishes,
        update_conflicts=True,
        unique_fields=["contact_point", "mode"],
        update_fields=["reasons", "set_by"],
    )


def _write_point(point: ContactPoint, old: Line, new: Line, author: Author) -> ContactPoint:
    point.active = bool(new.value)
    if new.value:
        point.private = new.private
    if (old.value, old.extension) != (new.value, new.extension):
        # From now on it is not the roster's: an import leaves it alone.
        point.source = author.door.value
        if new.value:
            point.value = point.raw = new.value
            point.extension, point.problem = new.extension, new.problem
            point.valid = not new.problem
    point.save()
    return point


def _shown(line: Line) -> str:
    return f"{line.value} x{line.extension}" if line.extension else line.value


def _said(mark: bool) -> str:
    return "yes" if mark else ""


def set_language(person: Person, language: str, author: Author) -> bool:
    """The language that a person prefers; from now on no import changes it. False when it is so
    already."""
    with transaction.atomic():
        locked = Person.objects.select_for_update(no_key=True).get(pk=person.pk)
        if locked.language == language:
            return False
        ContactChange.objects.create(
            subject=Subject.PERSON,
            person_id=person.pk,
            field="language",
            before=locked.language,
            after=language,
            **author.signed(),
        )
        locked.language, locked.language_chosen = language, True
        locked.save(update_fields=["language", "language_chosen", "updated_at"])
    return True
