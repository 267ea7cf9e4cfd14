"""People: students, guardians and staff are one table, because many are two of these at once.

How people relate to each other is here too (relationships with the Messenger mark). How they are
reached is in `contact`; who shares a home phone is in `household`.
"""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class Person(models.Model):
    """Anybody in Census.

    `family` is the lowest person id among the students connected to this student by guardian links
    (guardians and staff: empty). It is derived, recomputed set-wise whenever links change, and lets
    a launch keep families together without walking the graph (ruling 13).

    The table has two columns more, which PostgreSQL keeps and pages never load: `search` (migration
    0008), the names without case and accents as people are looked for, and `sort_name` (0010), Last
    First without case and accents as they are listed.
    """

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    sourced_id = models.CharField(max_length=255, unique=True, null=True, blank=True)
    identifier = models.CharField(max_length=100, blank=True)
    given_name = models.CharField(max_length=150)
    middle_name = models.CharField(max_length=150, blank=True)
    family_name = models.CharField(max_length=150)
    preferred_given_name = models.CharField(max_length=150, blank=True)
    # As the roster says (F, M, X ...) or a person; blank when nobody did.
    gender = models.CharField(max_length=20, blank=True, db_default="")
    language = models.CharField(max_length=20, blank=True)
    # Chosen here: an import leaves the language alone.
    language_chosen = models.BooleanField(db_default=False)
    is_student = models.BooleanField(default=False)
    is_staff_member = models.BooleanField(default=False)
    family = models.BigIntegerField(null=True, blank=True)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.name_in_log()

    def name_in_log(self) -> str:
        """Last, First: how lists and reports print a person."""
        given = self.preferred_given_name or self.given_name
        return f"{self.family_name}, {given}" if given else self.family_name


class Relationship(models.Model):
    """A person named on a student's Relationships tab (A4-07, A7-05).

    Only `messenger` with current dates makes the person a messenger contact of the student.
    """

    student = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="relationships")
    guardian = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="students")
    label = models.CharField(max_length=60, blank=True)
    messenger = models.BooleanField(default=True)
    is_guardian = models.BooleanField(default=True)
    mailing = models.BooleanField(default=False)
    portal = models.BooleanField(default=False)
    private = models.BooleanField(default=False)
    emergency_priority = models.PositiveSmallIntegerField(null=True, blank=True)
    start_date = models.DateField(null=True, blank=True)
    end_date = models.DateField(null=True, blank=True)
    active = models.BooleanField(default=True)
    # "roster" belongs to the importer, which never ends one that was made by hand.
    source = models.CharField(max_length=20, db_default="roster")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["student", "guardian"], name="related_once"),
        ]


class StaffAssignment(models.Model):
    """A staff member's work at a school (District Assignments)."""

    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="staff_assignments")
    school = models.ForeignKey("messenger.School", on_delete=models.CASCADE, related_name="+")
    staff_type = models.CharField(_("staff type"), max_length=60)
    start_date = models.DateField(null=True, blank=True)
    end_date = models.DateField(null=True, blank=True)
    active = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "school", "staff_type"], name="assigned_once_a_type"
            )
        ]
