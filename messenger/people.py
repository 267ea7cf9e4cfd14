"""Who may see and change whom in Census, and what is read of a person: scope, years, homes.

A user who is limited to schools sees the students of these schools, whoever is related to them, and
the staff who work there; people whom nothing connects with a school are seen with district scope
alone. Searching is in `people_search`, what is written in `preferences` and `relationships`.
"""

from datetime import date
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from messenger import rights
from messenger.models import (
    District,
    Enrollment,
    HouseholdMembership,
    Person,
    Relationship,
    StaffAssignment,
    User,
)
from messenger.rights import Scope


def visible(person: str, schools: str = "schools") -> str:
    """SQL: whether the person with this id expression is seen from the schools of a parameter.

    OFFSET 0 keeps PostgreSQL from making a hash of everybody in these schools for the sake of a few
    candidates: a search of somebody with half of the schools took a second.
    """
    here = f"""FROM messenger_enrollment e JOIN messenger_calendar c ON c.id = e.calendar_id
            WHERE e.active AND c.school_id = ANY(%({schools})s) AND e.person_id ="""
    return f"""(EXISTS (SELECT {here} {person} OFFSET 0)
        OR EXISTS (SELECT FROM messenger_relationship r WHERE r.guardian_id = {person} AND r.active
            AND EXISTS (SELECT {here} r.student_id OFFSET 0) OFFSET 0)
        OR EXISTS (SELECT FROM messenger_staffassignment a WHERE a.person_id = {person}
            AND a.active AND a.school_id = ANY(%({schools})s) OFFSET 0))"""


def people_in(scope: Scope) -> QuerySet[Person]:
    """Everybody whom a scope reaches."""
    if scope.district:
        return Person.objects.all()
    if not scope:
        return Person.objects.none()
    enrolled = Enrollment.objects.filter(
        active=True, calendar__school_id__in=scope.school_ids
    ).values("person_id")
    return Person.objects.filter(
        Q(pk__in=enrolled)
        | Q(
            pk__in=Relationship.objects.filter(active=True, student_id__in=enrolled).values(
                "guardian_id"
            )
        )
        | Q(
            pk__in=StaffAssignment.objects.filter(
                active=True, school_id__in=scope.school_ids
            ).values("person_id")
        )
    )


def people_for(user: Any, right: str = rights.PEOPLE_VIEW) -> QuerySet[Person]:
    """Everybody whom the user holds the right for."""
    return people_in(rights.scope_of(user, right))


def may_edit(user: Any, person: Person) -> bool:
    """Whether the user may change the person's contact information and relationships."""
    return people_for(user, rights.PEOPLE_EDIT).filter(pk=person.pk).exists()


def may_see_private(user: User | Any, person: Person) -> bool:
    """Whether the user is shown the person's private numbers and addresses (L5)."""
    return people_for(user, rights.CONTACTS_SEE_PRIVATE).filter(pk=person.pk).exists()


def local_today() -> date:
    """The date in the district's zone."""
    return timezone.localdate(timezone=District.current().zone)


def current(today: date, prefix: str = "") -> Q:
    """Rows with `active`, `start_date` and `end_date` that hold today."""
    return Q(
        Q(**{f"{prefix}start_date": None}) | Q(**{f"{prefix}start_date__lte": today}),
        Q(**{f"{prefix}end_date": None}) | Q(**{f"{prefix}end_date__gte": today}),
        **{f"{prefix}active": True},
    )


def households_of(person: Person, today: date) -> list[HouseholdMembership]:
    """The person's current memberships in active households, oldest first."""
    return list(
        person.memberships.filter(current(today), household__active=True)
        .select_related("household")
        .order_by("household_id")
    )
