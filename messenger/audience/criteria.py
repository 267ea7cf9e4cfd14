"""What the sender picked: a frozen value that a draft, a message and a preview share.

It knows no table except to name things for people (`shown`). Who the criteria mean is decided by
`resolve`, and an empty choice is nobody, never everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from messenger.models import School

CONTACTS = "contacts"
STUDENTS = "students"
STAFF = "staff"


@dataclass(frozen=True)
class Criteria:
    """Schools and grades of students, and who is told about them.

    `school_ids` empty is nobody; `grades` empty is every grade (CEDS words: KG, 01 ... 12);
    `active_only` leaves out ended enrollments; `deliver_to` holds contacts, students or staff.
    """

    school_ids: tuple[int, ...]
    grades: tuple[str, ...] = ()
    active_only: bool = True
    deliver_to: tuple[str, ...] = (CONTACTS,)

    def to_json(self) -> dict[str, Any]:
        return {
            "school_ids": sorted(self.school_ids),
            "grades": sorted(self.grades),
            "active_only": self.active_only,
            "deliver_to": list(self.deliver_to),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Criteria":
        """Reads what `to_json` wrote; a missing part means nothing was picked."""
        return cls(
            school_ids=tuple(int(pk) for pk in data.get("school_ids", ())),
            grades=tuple(str(grade) for grade in data.get("grades", ())),
            active_only=bool(data.get("active_only", True)),
            deliver_to=tuple(
                role for role in data.get("deliver_to", ()) if role in (CONTACTS, STUDENTS, STAFF)
            ),
        )

    def shown(self) -> list[tuple[str, str]]:
        """The criteria as label and value, in the order of the log's Filter Criteria Detail."""
        names = list(
            School.objects.filter(pk__in=self.school_ids)
            .order_by("name")
            .values_list("name", flat=True)
        )
        words = {CONTACTS: _("Messenger Contacts"), STUDENTS: _("Students"), STAFF: _("Staff")}
        lines = [
            (_("Deliver To"), ", ".join(words[role] for role in self.deliver_to)),
            (_("Schools"), ", ".join(names)),
        ]
        if CONTACTS in self.deliver_to or STUDENTS in self.deliver_to:
            lines += [
                (_("Grade"), ", ".join(sorted(self.grades)) if self.grades else _("All Grades")),
                (
                    _("Enrollment Filter"),
                    _("Message Only Active Students") if self.active_only else _("All Students"),
                ),
            ]
        lines.append(
            (_("Limit delivery to contacts that speak"), _("No Language Preference")),
        )
        return lines
