"""What is remembered of a roster import: the run, its counts and every problem it found.

The staging tables live only inside an import's transaction and have no models.
"""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _


class RosterImport(models.Model):
    """One run of the importer over one bundle.

    ::

        waiting → reading → checking → comparing → applying → done
            └── refused (nothing changed, `refusal` says why)  └── failed (the machine's fault, too)

    A run made with `dry_run` ends as done without applying; one with `accepted` goes on where
    another would be refused because it needs a person.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        READING = "reading", _("Reading")
        CHECKING = "checking", _("Checking")
        COMPARING = "comparing", _("Comparing")
        APPLYING = "applying", _("Applying")
        DONE = "done", _("Done")
        REFUSED = "refused", _("Refused")
        FAILED = "failed", _("Failed")

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    file_name = models.CharField(max_length=255)
    stored_path = models.CharField(max_length=500, blank=True)
    version = models.CharField(max_length=10, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    accepted = models.BooleanField(default=False)
    dry_run = models.BooleanField(default=False)
    # How far the stage is (bytes while reading, steps otherwise), for a progress bar.
    stage_done = models.BigIntegerField(default=0)
    stage_total = models.BigIntegerField(default=0)
    refusal = models.TextField(blank=True)
    # {"people": {"added": 1, "changed": 0, "removed": 0, "unchanged": 2}, ..., "problems": 3}
    counts = models.JSONField(default=dict, blank=True)
    # Names of people, at most 20 a list: {"added": [...], "changed": [...], "removed": [...]}
    samples = models.JSONField(default=dict, blank=True)
    defaults_used = models.JSONField(default=dict, blank=True)
    started_by = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]


class RosterProblem(models.Model):
    """A row that could not be taken as it stands: where it is and what to do about it."""

    roster_import = models.ForeignKey(
        RosterImport, on_delete=models.CASCADE, related_name="problems"
    )
    file = models.CharField(max_length=60)
    line = models.PositiveIntegerField(null=True, help_text="As a spreadsheet numbers it.")
    column = models.CharField(max_length=80, blank=True)
    value = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=40)
    severity = models.CharField(max_length=10, default="error")
    what = models.TextField()
    advice = models.TextField(blank=True)
