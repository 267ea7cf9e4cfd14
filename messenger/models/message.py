"""A message, the draft it grew from, and the state of each of its modes.

`Message.status` is written by `messenger.lifecycle` alone. What was decided at confirm is frozen in
the row: later changes of settings, templates or people do not reach it (ruling 5).
"""

from uuid import uuid4

from django.db import models
from django.utils.translation import gettext_lazy as _

from messenger.models.contact import ContactReason, Mode


class MessageDraft(models.Model):
    """What a sender has written so far; also the one-time token of its confirm button.

    Confirming locks the draft: the first confirm stores its message here, every further one is
    shown that message, so that a double click sends once.
    """

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    user = models.ForeignKey("messenger.User", on_delete=models.CASCADE, related_name="drafts")
    tool = models.CharField(max_length=30, default="general")
    content = models.JSONField(default=dict)
    message = models.OneToOneField(
        "messenger.Message", null=True, on_delete=models.SET_NULL, related_name="draft"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Message(models.Model):
    """One message to many people, and what became of it.

    ::

        Waiting ──launch──→ In-Progress ──all modes final──→ Sent
           │                    │  └──results overdue──→ Error ──refresh──→ Sent | Failed
           │                    ├──job refused──→ Failed
           ├─cancel─→ Canceled  └──cancel──→ Canceled IP
           └─window missed─→ Failed

    A cancel is a fact from the moment `cancel_requested_at` is set: every claim looks at it. The
    status follows when the dialer has confirmed (until then the page says "cancel requested").
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        IN_PROGRESS = "in_progress", _("In-Progress")
        SENT = "sent", _("Sent")
        ERROR = "error", _("Error")
        FAILED = "failed", _("Failed")
        CANCELED = "canceled", _("Canceled")
        CANCELED_IP = "canceled_ip", _("Canceled IP")

    class Log(models.TextChoices):
        CLASSIC = "classic", _("Sent Message Log")
        V2 = "v2", _("Sent Message Log 2.0")

    class UnknownOutcome(models.TextChoices):
        """What a provider without look-up does with a try whose outcome is unknown."""

        REPEAT = "repeat", _("Repeat once")
        STOP = "stop", _("Leave it to a person")

    UNFINISHED = (Status.WAITING, Status.IN_PROGRESS)

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    # Four separate facts, frozen at confirm (ruling 2).
    log = models.CharField(max_length=10, choices=Log.choices, default=Log.CLASSIC)
    tool = models.CharField(max_length=30)
    type_label = models.CharField(max_length=80)
    contact_reason = models.CharField(max_length=20, choices=ContactReason.choices)

    status = models.CharField(max_length=12, choices=Status.choices, default=Status.WAITING)
    status_reason = models.CharField(max_length=300, blank=True, default="")
    emergency = models.BooleanField(default=False)
    unknown_outcome = models.CharField(
        max_length=8, choices=UnknownOutcome.choices, default=UnknownOutcome.STOP
    )

    subject = models.CharField(max_length=200)
    voice_text = models.TextField(blank=True)
    text_body = models.TextField(blank=True)
    email_body = models.TextField(blank=True)
    language = models.CharField(max_length=20, default="en-US")

    sender = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="messages"
    )
    sender_name = models.CharField(max_length=310)
    schedule_name = models.CharField(max_length=200, blank=True)
    # A number for people, given at confirm when voice or text is a mode (ruling 16, B2-15).
    schedule_id = models.BigIntegerField(null=True, unique=True)

    district_wide = models.BooleanField(default=False)
    schools = models.ManyToManyField("messenger.School", related_name="messages", blank=True)
    # {"schools": [ids], "grades": [...], "active_only": true, "deliver_to": ["contacts"]}
    criteria = models.JSONField(default=dict)
    # The same for people, as label/value pairs in the order of the page (B7-10).
    criteria_shown = models.JSONField(default=list)
    # Settings as they were at confirm: device order, redials, hours, time-outs.
    settings_frozen = models.JSONField(default=dict)

    created_at = models.DateTimeField()
    scheduled_at = models.DateTimeField()
    # The dialing window: message window ∩ district window, as instants. Empty for an emergency.
    dial_from = models.DateTimeField(null=True)
    # The end of the undo window: nothing starts before it.
    held_until = models.DateTimeField(null=True)
    dial_until = models.DateTimeField(null=True)
    # The window as the sender wrote it, wall time in the district's zone.
    window_start = models.TimeField(null=True)
    window_end = models.TimeField(null=True)

    job_ref = models.UUIDField(default=uuid4, unique=True, editable=False)

    launched_at = models.DateTimeField(null=True)
    expanded_at = models.DateTimeField(null=True, help_text="When its last slice was frozen.")
    finished_at = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    canceled_by = models.ForeignKey(
        "messenger.User", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    canceled_by_name = models.CharField(max_length=310, blank=True, default="")
    results_changed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="message_newest"),
            # What the ticks look for: few rows, whatever the size of the log.
            models.Index(
                fields=["scheduled_at"],
                condition=models.Q(status__in=["waiting", "in_progress"]),
                name="message_unfinished",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject} ({self.uuid})"

    @property
    def finished(self) -> bool:
        """Whether nothing more is expected; Error still is (a refresh may end it)."""
        return self.status not in (*self.UNFINISHED, self.Status.ERROR)


class MessageMode(models.Model):
    """How far one mode of a message is; `lifecycle` finishes the message when all are final."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waiting")
        RUNNING = "running", _("Running")
        FINAL = "final", _("Final")

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="modes")
    mode = models.CharField(max_length=10, choices=Mode.choices)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "mode"], name="mode_once")]
