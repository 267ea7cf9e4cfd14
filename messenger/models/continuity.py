"""The thread of the installation's life: a count that only ever grows, and whether sending is held.

`messenger.continuity` counts, compares the count with what is noted outside the database, and is
the only one who writes here.
"""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class Continuity(models.Model):
    """The one thread of this database (singleton row, id 1).

    `identity` names it in the marks outside; a copy of the database keeps it. `beats` grows every
    10 s while the system works. `held_since` is set from the moment at which the database was found
    to be older than it should be until somebody resumes.
    """

    class Why(models.TextChoices):
        WENT_BACK = "went_back", _("The database is older than what was noted outside it.")
        NO_TRACE = "no_trace", _("The database was asleep, and nothing outside it is noted here.")

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    identity = models.UUIDField(default=uuid4, editable=False)
    beats = models.BigIntegerField(default=0)
    alive_at = models.DateTimeField()
    held_since = models.DateTimeField(null=True)
    held_why = models.CharField(max_length=10, choices=Why.choices, blank=True, default="")
    # When the restored state was last alive: what was done after it is unknown.
    last_alive_at = models.DateTimeField(null=True)
    resumed_at = models.DateTimeField(null=True)
    resumed_by_name = models.CharField(max_length=310, blank=True, default="")

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_continuity")]
