"""What the log remembers beside the rows: stored summaries, reports that were asked for, and how
long detail is kept.

A summary is recomputed from rows and stored, never incremented. Nothing here is the truth about a
recipient; that is the ledger's.
"""

from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class MessageSummary(models.Model):
    """The Delivery Summary of one message for one scope: the district or a set of schools.

    `schools` holds sorted school ids, or nothing for the whole district (ruling 2). `figures` holds
    the totals by name (see `sentlog.counting`). `as_of` is the message's `results_changed_at` that
    the figures were computed from, so that a tick knows what is stale.
    """

    message = models.ForeignKey(
        "messenger.Message", on_delete=models.CASCADE, related_name="summaries"
    )
    schools = ArrayField(models.BigIntegerField(), null=True)
    flavour = models.CharField(max_length=10, default="classic")
    figures = models.JSONField(default=dict)
    as_of = models.DateTimeField(null=True)
    computed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message", "schools", "flavour"], name="summary_once", nulls_distinct=False
            )
        ]

    def __str__(self) -> str:
        return f"{self.flavour} summary of message {self.message_id}"


class Report(models.Model):
    """A report that someone asked for: made by a worker, kept for a time, read by its owner.

    ::

        waiting ──claimed──→ running ──written──→ ready ──kept long enough──→ expired
         │ ↑                   │ │ └──cannot be made──→ failed (`problem` says why, in words)
         │ └─── lease over ────┘ │
         └───────canceled←───────┘  (its owner does not want it any more)

    `file` is the name of the file under MEDIA_ROOT; it is random and says nothing, and it is given
    by the claim, so that a worker that was overtaken knows. `schools` and `see_private` are what
    its owner might see when asking; a download asks whether that still holds.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")
        CANCELED = "canceled", _("Canceled")
        EXPIRED = "expired", _("Expired")

    UNFINISHED = (State.WAITING, State.RUNNING)

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    message = models.ForeignKey(
        "messenger.Message", on_delete=models.CASCADE, related_name="reports"
    )
    user = models.ForeignKey("messenger.User", on_delete=models.CASCADE, related_name="reports")
    format = models.CharField(max_length=5)
    detail = models.CharField(max_length=10, default="all")
    devices = models.JSONField(default=list)
    # Rows below the name of their school; a CSV that starts with the mark Excel asks for.
    by_school = models.BooleanField(default=False)
    bom = models.BooleanField(default=True)
    # School ids that the report is limited to; null: the whole district (ruling 2).
    schools = models.JSONField(null=True)
    see_private = models.BooleanField(default=False)
    language = models.CharField(max_length=20, default="en")
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    rows_done = models.PositiveIntegerField(default=0)
    rows_total = models.PositiveIntegerField(default=0)
    file = models.CharField(max_length=300, blank=True)
    problem = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.format} report {self.uuid}"

    @property
    def name(self) -> str:
        """What it is, in a sentence: "PDF report"."""
        if self.detail == "work_list":
            return gettext("list of failures")
        return gettext("%(format)s report") % {"format": self.format.upper()}


class Retention(models.Model):
    """How long the district keeps what names people; one row. Days, counted from a message's end.

    400 days: a school year, and the appeal that comes after it. `swept_at` is when the call log's
    entries and the drafts were looked through last.
    """

    FEWEST_DAYS = 30

    detail_days = models.PositiveIntegerField(
        _("Delivery detail"),
        default=400,
        validators=[MinValueValidator(FEWEST_DAYS), MaxValueValidator(36_500)],
        help_text=_(
            "Recipients, numbers, results and tries of a message, in days after its end. Its words,"
            " its criteria and the figures of its summary stay."
        ),
    )
    log_days = models.PositiveIntegerField(
        _("The dialer's call log"),
        default=400,
        validators=[MinValueValidator(FEWEST_DAYS), MaxValueValidator(36_500)],
        help_text=_("Entries as the dialer reported them, in days."),
    )
    draft_days = models.PositiveIntegerField(
        _("Drafts"),
        default=90,
        validators=[MinValueValidator(FEWEST_DAYS), MaxValueValidator(36_500)],
        help_text=_("Messages that were begun and not sent, in days after the last change."),
    )
    changed_by_name = models.CharField(max_length=310, blank=True, default="")
    changed_at = models.DateTimeField(auto_now=True)
    swept_at = models.DateTimeField(null=True, editable=False)

    @classmethod
    def current(cls) -> "Retention":
        return cls.objects.get_or_create(pk=1)[0]


class LegalHold(models.Model):
    """Messages whose detail may not go: one message, or all that lived in a span of days.

    Never deleted: a hold is lifted, and who placed and lifted it stays.
    """

    message = models.ForeignKey(
        "messenger.Message", null=True, on_delete=models.PROTECT, related_name="holds"
    )
    first_day = models.DateField(_("First day"), null=True, blank=True)
    last_day = models.DateField(_("Last day"), null=True, blank=True)
    reason = models.CharField(_("Reason"), max_length=300)
    placed_at = models.DateTimeField(auto_now_add=True)
    placed_by = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    placed_by_name = models.CharField(max_length=310)
    lifted_at = models.DateTimeField(null=True)
    lifted_by_name = models.CharField(max_length=310, blank=True, default="")

    class Meta:
        ordering = ["-placed_at", "-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    message__isnull=False, first_day__isnull=True, last_day__isnull=True
                )
                | models.Q(message__isnull=True, first_day__lte=models.F("last_day")),
                name="hold_of_a_message_or_of_days",
            )
        ]

    def __str__(self) -> str:
        return f"hold {self.pk}"


class DetailRemoval(models.Model):
    """That a message's detail was removed, when, and by which rule. It stays with the message.

    `removed_at` is empty while the removal is under way.
    """

    message = models.OneToOneField(
        "messenger.Message", primary_key=True, on_delete=models.CASCADE, related_name="removal"
    )
    days = models.PositiveIntegerField()
    begun_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(null=True)
    rows = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"removal of the detail of message {self.message_id}"
