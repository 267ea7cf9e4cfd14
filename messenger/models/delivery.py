"""The ledger's tables: the plan of a launch, one row per device of a recipient, one per try.

`messenger.ledger` is the only writer. These tables hold millions of rows and are built for sets: no
foreign key is checked by the database (one set-wise check at expansion instead), nothing that
changes is indexed (an index on a state turned a million-row update from 8 s into 45 s), every key
begins with the message, and pages keep 30 % free so that updates stay in place (HOT).
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

from messenger.models.contact import Device, Mode

# Ids inside a message: slice number × this + position. A slice holds at most 8,000 students, so a
# slice never comes near it, and ids need no sequence and no coordination.
ROWS_PER_SLICE = 1_000_000


class LaunchSlice(models.Model):
    """Part of a launch's plan: whole families, expanded in one transaction (rulings 13, 14).

    planned → frozen (deliveries, chains and batches committed together); canceled when the
    message's cancel came first. A restart reads the plan, never the audience again.
    """

    class Kind(models.TextChoices):
        STUDENTS = "students", _("Students")
        STAFF = "staff", _("Staff")

    class State(models.TextChoices):
        PLANNED = "planned", _("Planned")
        FROZEN = "frozen", _("Frozen")
        CANCELED = "canceled", _("Canceled")

    message = models.ForeignKey(
        "messenger.Message", on_delete=models.CASCADE, related_name="slices"
    )
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.STUDENTS)
    person_ids = ArrayField(models.BigIntegerField())
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    deliveries = models.PositiveIntegerField(default=0)
    chains = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "number"], name="slice_once")]
        indexes = [
            # What is left to do, looked for every few seconds.
            models.Index(
                fields=["message"], condition=models.Q(state="planned"), name="slice_planned"
            )
        ]


class Delivery(models.Model):
    """One address of one recipient about one student, by one mode (ruling 6).

    ::

        pending ──claimed──→ claimed ──handed over──→ submitted ──result──→ done
           └── email and inbox walk every step; for voice and text the batch is what is claimed and
               handed over, so their rows wait as pending until a result closes them ──→ done

    State says where it is, outcome how it ended, reason why. A done row is never reopened; a newer
    revision of the same try may change its outcome. `chain` and `step` name the dial that serves
    the row; several rows may hang on one step (Mom and Dad on the household phone). `duplicate`
    marks the second and later row of a (mode, address) in the message (B5-09).
    """

    class State(models.TextChoices):
        PENDING = "pending", _("Pending")
        CLAIMED = "claimed", _("Claimed")
        SUBMITTED = "submitted", _("Submitted")
        DONE = "done", _("Done")

    class Outcome(models.TextChoices):
        SUCCESSFUL = "successful", _("Successful")
        FAILED = "failed", _("Failed")
        CANCELED = "canceled", _("Canceled")
        OPTED_OUT = "opted_out", _("Opted out")
        EXPIRED = "expired", _("Expired")
        NOT_ELIGIBLE = "not_eligible", _("Not eligible")
        NO_DEVICE = "no_device", _("No device")
        UNKNOWN = "unknown", _("Unknown")

    class Role(models.TextChoices):
        CONTACT = "contact", _("Messenger Contact")
        STUDENT = "student", _("Student")
        STAFF = "staff", _("Staff")

    pk = models.CompositePrimaryKey("message_id", "id")
    message = models.ForeignKey(
        "messenger.Message",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="deliveries",
    )
    id = models.BigIntegerField()
    recipient = models.ForeignKey(
        "messenger.Person",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    student = models.ForeignKey(
        "messenger.Person",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    school = models.ForeignKey(
        "messenger.School",
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    contact_point_id = models.BigIntegerField(null=True)
    chain = models.BigIntegerField(null=True)
    step = models.SmallIntegerField(null=True)
    code = models.SmallIntegerField(null=True)
    tries = models.SmallIntegerField(default=0)
    duplicate = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False)
    private = models.BooleanField(default=False)
    role = models.CharField(max_length=8, choices=Role.choices)
    mode = models.CharField(max_length=6, choices=Mode.choices)
    device = models.CharField(max_length=10, choices=Device.choices)
    address = models.CharField(max_length=254, default="", blank=True)
    extension = models.CharField(max_length=16, default="", blank=True)
    # Hash of the rendered text when it differs by recipient (ruling 9); empty: the message's words.
    words = models.BigIntegerField(null=True)
    state = models.CharField(max_length=9, choices=State.choices, default=State.PENDING)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, default="", blank=True)
    reason = models.CharField(max_length=40, default="", blank=True)
    claim = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    submitted_at = models.DateTimeField(null=True)
    result_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "deliveries"
        constraints = [
            # Also finds every row of a number in a message: duplicates, opt-outs after the freeze.
            models.UniqueConstraint(
                fields=["message", "mode", "address", "extension", "recipient", "student"],
                name="delivery_once",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(state="done") ^ models.Q(outcome=""),
                name="delivery_outcome_when_done",
            ),
        ]
        indexes = [
            # Results arrive by step; neither column ever changes.
            models.Index(
                fields=["message", "chain", "step"],
                condition=models.Q(chain__isnull=False),
                name="delivery_step",
            ),
            # A person's rows in a message: pages of Delivery Detail walk people by name.
            models.Index(fields=["message", "recipient"], name="delivery_recipient"),
        ]


class Attempt(models.Model):
    """One try that a provider reported, in its newest revision (redials are tries of their own).

    `chain` and `step` are those of the dial; for modes without chains `chain` is the negative
    delivery id and `step` 0. `outcome` is the class of the code, so that counting needs no table.
    """

    pk = models.CompositePrimaryKey("message_id", "chain", "step", "attempt_ref")
    message = models.ForeignKey(
        "messenger.Message",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="attempts",
    )
    chain = models.BigIntegerField()
    step = models.SmallIntegerField()
    attempt_ref = models.CharField(max_length=64)
    number = models.SmallIntegerField()
    revision = models.SmallIntegerField()
    mode = models.CharField(max_length=6, choices=Mode.choices)
    code = models.SmallIntegerField(null=True)
    outcome = models.CharField(max_length=12, blank=True, default="")
    final = models.BooleanField(default=False)
    confirmed = models.BooleanField(default=False)
    reason = models.CharField(max_length=40, blank=True, default="")
    answered_by = models.CharField(max_length=20, blank=True, default="")
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    occurred_at = models.DateTimeField()
    duration = models.IntegerField(null=True, help_text="Seconds.")
    call_error = models.CharField(max_length=200, blank=True, default="")
