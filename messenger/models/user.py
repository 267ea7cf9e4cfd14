"""Who may sign in and what they may do: users, roles and the scope of each role.

A right is a word such as ``log.view_all``; a role is a named set of rights; an assignment gives a
role to a user for the whole district or for one school. The questions ("may this user ...?") are
answered in `messenger.rights`, never here and never in a template.
"""

from uuid import uuid4

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """A person who signs in. `person` links to Census when the user is staff, parent or student."""

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    person = models.OneToOneField(
        "messenger.Person", null=True, blank=True, on_delete=models.SET_NULL, related_name="user"
    )

    def name_in_log(self) -> str:
        """Last, First: how the Sent Message Log prints a sender (B2-12)."""
        if self.last_name and self.first_name:
            return f"{self.last_name}, {self.first_name}"
        return self.last_name or self.first_name or self.username


class Role(models.Model):
    """A named set of tool rights."""

    uuid = models.UUIDField(default=uuid4, db_default=RandomUUID(), unique=True, editable=False)
    name = models.CharField(max_length=80, unique=True)
    rights = ArrayField(models.CharField(max_length=60), default=list)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RoleAssignment(models.Model):
    """A role given to a user: for the district when `school` is empty, else for that school."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="role_assignments")
    role = models.ForeignKey(Role, on_delete=models.CASCADE, related_name="assignments")
    school = models.ForeignKey(
        "messenger.School", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "role", "school"], name="role_once_a_scope", nulls_distinct=False
            )
        ]
        verbose_name = _("role assignment")


class AccessChange(models.Model):
    """Who changed who may do what, and when. Written by `messenger.access` alone, never changed.

    Names are copied, so that an entry says the same after its user, role or school is gone.
    """

    class Kind(models.TextChoices):
        ROLE_MADE = "role_made", _("Role made")
        ROLE_CHANGED = "role_changed", _("Role changed")
        ROLE_REMOVED = "role_removed", _("Role removed")
        GIVEN = "given", _("Role given")
        TAKEN = "taken", _("Role taken")

    kind = models.CharField(max_length=12, choices=Kind.choices)
    at = models.DateTimeField()
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    by_name = models.CharField(max_length=310)
    role_name = models.CharField(max_length=80)
    # To or from whom; empty for a change of the role itself.
    user_name = models.CharField(max_length=310, blank=True)
    # Empty: the whole district.
    school_name = models.CharField(max_length=200, blank=True)
    rights_added = ArrayField(models.CharField(max_length=60), default=list)
    rights_removed = ArrayField(models.CharField(max_length=60), default=list)

    class Meta:
        ordering = ["-at", "-id"]

    def __str__(self) -> str:
        return f"{self.kind}: {self.role_name} {self.user_name}".rstrip()
