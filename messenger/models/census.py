"""What was done to people by hand: the history of contact points, marks and relationships, and the
batches that set many marks at once.

The history is evidence and only ever grows: the database refuses to change or delete its rows, and
they hold plain ids, so that they outlive whatever they speak of. `messenger.preferences`,
`messenger.relationships` and the importer write them; nobody else.
"""

from uuid import uuid4

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from messenger.models.contact import Device, Mode


class Door(models.TextChoices):
    """Through which door a change came."""

    ADMIN = "admin", pgettext_lazy("door", "Person page")
    BATCH = "batch", pgettext_lazy("door", "Contact Preferences Batch")
    PORTAL = "portal", pgettext_lazy("door", "Portal")
    IMPORT = "import", pgettext_lazy("door", "Roster import")
    STOP = "stop", pgettext_lazy("door", "The owner of the number")


class ContactChange(models.Model):
    """One thing that became another: a line of the history.

    `point`: the value of a contact point (`before`, `after`; empty: there was or is none) or its
    `field` private. `marks`: the mask of reasons of one mode (`marks_before`, `marks_after`), with
    the door of the earlier mask in `before`, so that an undo can put it back. `link`, `member`: a
    `field` of the relationship of `person_id` (the student) or the membership of `household_id`
    with `other_id`. `person`: a `field` of the person. `consent`: what the owner of a number said.
    """

    class Subject(models.TextChoices):
        POINT = "point", _("Contact information")
        MARKS = "marks", _("Contact preferences")
        LINK = "link", _("Relationship")
        MEMBER = "member", _("Household membership")
        PERSON = "person", _("Demographics")
        CONSENT = "consent", _("Consent")

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    door = models.CharField(max_length=10, choices=Door.choices)
    subject = models.CharField(max_length=10, choices=Subject.choices)
    person_id = models.BigIntegerField(null=True)
    household_id = models.BigIntegerField(null=True)
    other_id = models.BigIntegerField(null=True)
    contact_point_id = models.BigIntegerField(null=True)
    device = models.CharField(max_length=10, choices=Device.choices, blank=True, db_default="")
    mode = models.CharField(max_length=10, choices=Mode.choices, blank=True, db_default="")
    field = models.CharField(max_length=30, blank=True, db_default="")
    before = models.CharField(max_length=300, blank=True, db_default="")
    after = models.CharField(max_length=300, blank=True, db_default="")
    private = models.BooleanField(db_default=False)
    marks_before = models.SmallIntegerField(null=True)
    marks_after = models.SmallIntegerField(null=True)
    user_id = models.BigIntegerField(null=True)
    user_name = models.CharField(max_length=310, blank=True, db_default="")
    # The batch that did it, and whether it was the batch's undo.
    batch_id = models.BigIntegerField(null=True)
    undo = models.BooleanField(db_default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=[name, "id"],
                condition=models.Q(**{f"{name}__isnull": False}),
                name=f"change_by_{short}",
            )
            for name, short in (
                ("person_id", "person"),
                ("household_id", "household"),
                ("other_id", "other"),
                ("batch_id", "batch"),
            )
        ]


class PreferenceBatch(models.Model):
    """One run of the Contact Preferences Batch (A4-12).

    ::

        waiting → running → done → undo_waiting → undoing → undone
             └── failed (what was set before it broke off stays, and can be undone)

    `criteria` says whom (schools, grades, deliver_to), `rule` what is set (devices, reasons, action
    and what is spared). A batch runs in pieces that are done again harmlessly: what is set already
    is no change.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        UNDO_WAITING = "undo_waiting", _("Waiting to be undone")
        UNDOING = "undoing", _("Being undone")
        UNDONE = "undone", _("Undone")
        FAILED = "failed", _("Failed")

    MOVING = (State.WAITING, State.RUNNING, State.UNDO_WAITING, State.UNDOING)

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    criteria = models.JSONField(default=dict)
    rule = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    people = models.PositiveIntegerField(default=0)
    people_done = models.PositiveIntegerField(default=0)
    # {"marks_added": 3, "marks_removed": 1, "points": 4, "left_alone": 0}
    counts = models.JSONField(default=dict)
    trouble = models.TextField(blank=True)
    started_by = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]
