"""Households: people who share a home phone.

A household is the guardians who share a number and at least one student, with those students
(ruling 3). Its phone is one contact point with one set of preferences for all its members (A3-03).
"""

from uuid import uuid4

from django.db import models


class Household(models.Model):
    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200, blank=True)
    active = models.BooleanField(default=True)

    def __str__(self) -> str:
        return self.name


class HouseholdMembership(models.Model):
    """A person in a household; an ended membership leaves its chain (A3-03)."""

    household = models.ForeignKey(Household, on_delete=models.CASCADE, related_name="memberships")
    person = models.ForeignKey(
        "messenger.Person", on_delete=models.CASCADE, related_name="memberships"
    )
    start_date = models.DateField(null=True, blank=True)
    end_date = models.DateField(null=True, blank=True)
    active = models.BooleanField(default=True)
    source = models.CharField(max_length=20, db_default="roster")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["household", "person"], name="member_once"),
        ]
