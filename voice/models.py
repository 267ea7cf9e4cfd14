"""The phone's tables: settings, customer accounts, chains, jobs and batches, and the call log.

A job and its batches are frozen here before anything is sent; the log is stored here exactly as it
was read, and its cursor moves in the same transaction. What a result means for a recipient is the
ledger's business (`messenger.ledger`), not this room's.
"""

from datetime import time
from uuid import uuid4

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _

# Tables of this app too: what a call sounds like.
from voice import sound_models as sound_models


class SecondDoor(models.TextChoices):
    """What is known of the second end point."""

    UNVERIFIED = "unverified", _("Not verified")
    VERIFIED = "verified", _("Verified")
    REFUSED = "refused", _("Refused")


class StopOn(models.TextChoices):
    """What ends a chain, besides having dialed all of it (X-45)."""

    CONFIRM = "confirm", _("They press 0")
    LIVE = "live", _("A person answers")
    MACHINE = "machine", _("A person or an answering machine answers")


class VoiceSettings(models.Model):
    """The Voice Settings tab (singleton row, id 1).

    Times are wall time in the district's zone. The password is stored encrypted
    (`voice.credentials`) and never shown. `verified` becomes true only by a successful
    VerifyCustomer (A1-08).
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    username = models.CharField(_("User Name"), max_length=120, blank=True)
    password_encrypted = models.TextField(blank=True)
    endpoint = models.URLField(_("URL End Point"), max_length=300, blank=True)
    second_endpoint = models.URLField(_("Second URL End Point"), max_length=300, blank=True)
    # Which door the second one is (ruling 23): used only while "verified", that is, found to lead
    # to the same account as the first.
    second_state = models.CharField(
        max_length=10, choices=SecondDoor.choices, default=SecondDoor.UNVERIFIED
    )
    second_checked_at = models.DateTimeField(null=True, blank=True)
    second_trouble = models.CharField(max_length=300, blank=True, default="")
    password_set_at = models.DateTimeField(null=True, blank=True)
    password_set_by = models.CharField(max_length=310, blank=True, default="")
    verified = models.BooleanField(default=False)
    verified_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    # Last thing that went wrong with the account, in words for the page; empty when all is well.
    trouble = models.CharField(max_length=300, blank=True, default="")
    paused = models.BooleanField(default=False, help_text="Credentials refused: nothing is sent.")
    state_id = models.CharField(max_length=64, blank=True)
    epoch = models.CharField(max_length=64, blank=True)
    max_chains_per_batch = models.PositiveIntegerField(default=1000)

    district_start = models.TimeField(_("District Start Time"), default=time(8))
    district_end = models.TimeField(_("District End Time"), default=time(20))
    allowed_days = ArrayField(
        models.PositiveSmallIntegerField(), default=list, blank=True, help_text="0 = Monday"
    )
    redials = models.PositiveSmallIntegerField(_("Redials on busy and no answer"), default=2)
    minutes_between_redials = models.PositiveSmallIntegerField(default=15)
    ring_seconds = models.PositiveSmallIntegerField(default=30)
    leave_message = models.BooleanField(_("Leave a message on answering machines"), default=True)
    redial_machine = models.BooleanField(_("Redial after an answering machine"), default=False)
    stop_on = models.CharField(
        _("A person's other phones are left alone when"),
        max_length=7,
        choices=StopOn.choices,
        default=StopOn.CONFIRM,
    )
    bundle_messages = models.BooleanField(
        _("Allow Multiple Messages in a Single Call"), default=False
    )
    result_timeout = models.PositiveSmallIntegerField(
        _("Minutes until missing results become an error"), default=60
    )
    emergency_result_timeout = models.PositiveSmallIntegerField(default=120)
    default_caller_id = models.CharField(_("Caller ID"), max_length=20, blank=True)
    text_sender = models.CharField(_("Text sender"), max_length=20, blank=True, default="82290")
    # The contract's lines, set by hosting (A1-19); none means as many as the dialer gives. The
    # dialer's own figures come with each verification.
    lines = models.PositiveSmallIntegerField(_("Lines"), null=True, blank=True)
    emergency_lines = models.PositiveSmallIntegerField(_("Emergency lines"), null=True, blank=True)
    dialer_lines = models.PositiveIntegerField(null=True, blank=True)
    dialer_emergency_lines = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_voice_settings")]

    @classmethod
    def current(cls) -> "VoiceSettings":
        settings, _created = cls.objects.get_or_create(pk=1)
        return settings


class DoorHealth(models.Model):
    """How an end point has answered lately (see `voice.breaker`). `closed_until` is set while the
    breaker keeps everybody away, and says when one request may try it again."""

    endpoint = models.URLField(max_length=300, primary_key=True)
    failures = models.PositiveSmallIntegerField(default=0)
    first_failed_at = models.DateTimeField(null=True)
    closed_until = models.DateTimeField(null=True)


class RequestQuota(models.Model):
    """How much the dialer may be asked at this moment (singleton row, see `voice.quota`): a bucket
    of tokens as of a time, until when the dialer wants to be left alone, and until when routine
    requests make way for an emergency's."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    tokens = models.FloatField(default=0.0)
    as_of = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    urgent_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_request_quota")]


class CustomerAccount(models.Model):
    """A customerID of the dialer: one for the district, one for each school (A1-09, A1-10).

    For the dialer's recognition only: a blank one changes nothing (A1-11).
    """

    class Kind(models.TextChoices):
        DISTRICT = "district", _("District")
        SCHOOL = "school", _("School")

    state_id = models.CharField(max_length=64, blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    school = models.OneToOneField(
        "messenger.School", null=True, on_delete=models.CASCADE, related_name="customer_account"
    )
    customer_id = models.CharField(max_length=64, blank=True)
    assigned_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "school"], name="customer_once", nulls_distinct=False
            )
        ]


class CallChain(models.Model):
    """One chain of a message: a household or one person, about one student (A3-01 to A3-05).

    `number` is slice × 1,000,000 + position; the dialer knows it as ChainRef. The chain's rows in
    the ledger carry the same number. Exactly one of `household` and `recipient` names whose chain
    it is; a text that stands for several recipients has neither (ruling 9).
    """

    pk = models.CompositePrimaryKey("message_id", "number")
    message = models.ForeignKey(
        "messenger.Message",
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        related_name="chains",
    )
    number = models.BigIntegerField()
    batch = models.PositiveIntegerField()
    student_id = models.BigIntegerField(null=True)
    household_id = models.BigIntegerField(null=True)
    recipient_id = models.BigIntegerField(null=True)
    steps = models.SmallIntegerField()


class DialerJob(models.Model):
    """One message at one engine: the frozen job, and how far it got (ruling 16).

    ::

        frozen ──SubmitJob taken──→ open ──TotalChains taken──→ sealed ──JOB_RESULT──→ finished
           └──Job part refused──→ refused            (cancel is an order apart, see `cancel_*`)
        open, sealed ──the dialer lost it──→ lost ──decided──→ finished     (`voice.epochs`)

    `content` is the FrozenJob as JSON. `endpoint` is committed before the first send (ruling 23);
    `tried` are all end points that a request may have reached. A message has one `current` job; the
    others are its history: jobs that a dialer lost, each followed by one with a new JobRef.
    """

    class State(models.TextChoices):
        FROZEN = "frozen", _("Frozen")
        OPEN = "open", _("Open")
        SEALED = "sealed", _("Sealed")
        FINISHED = "finished", _("Finished")
        REFUSED = "refused", _("Refused")
        LOST = "lost", _("Lost by the dialer")

    # Nothing is sent for these any more.
    OVER = (State.FINISHED, State.REFUSED)

    message = models.ForeignKey(
        "messenger.Message", on_delete=models.CASCADE, related_name="dialer_jobs"
    )
    current = models.BooleanField(default=True)
    job_ref = models.UUIDField(unique=True)
    engine = models.CharField(max_length=20, default="shoutpoint")
    state = models.CharField(max_length=10, choices=State.choices, default=State.FROZEN)
    content = models.JSONField()
    endpoint = models.CharField(max_length=300, blank=True)
    state_id = models.CharField(max_length=64, blank=True)
    epoch = models.CharField(max_length=64, blank=True)
    job_id = models.CharField(max_length=64, blank=True)
    total_chains = models.PositiveIntegerField(null=True)
    submitted_at = models.DateTimeField(null=True, help_text="When the first request left.")
    accepted_at = models.DateTimeField(null=True, help_text="When the first answer came back.")
    all_accepted_at = models.DateTimeField(null=True)
    cancel_sent_at = models.DateTimeField(null=True)
    cancel_confirmed_at = models.DateTimeField(null=True)
    result_disposition = models.CharField(max_length=20, blank=True)
    result_reason = models.CharField(max_length=40, blank=True)
    final_seq = models.BigIntegerField(null=True)
    result_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True, default="")
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    tried = ArrayField(models.CharField(max_length=300), default=list)
    lost_at = models.DateTimeField(null=True)
    possibly_doubled = models.BooleanField(
        default=False, help_text="Another dialer has the same calls and may place them too."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message"], condition=models.Q(current=True), name="one_current_job"
            )
        ]

    @classmethod
    def of(cls, message_id: int) -> "DialerJob | None":
        """The message's current job, with its message; None before the first slice is frozen."""
        jobs = cls.objects.filter(message_id=message_id, current=True)
        return jobs.select_related("message").first()


class DialerBatch(models.Model):
    """A frozen batch of chains: the thing that is claimed, leased and sent (ruling 7).

    ::

        frozen ──claimed──→ sending ──accepted──→ accepted
           │        lease over ──→ sent again: the dialer answers Replayed
           │        └──in doubt, and the adapter cannot look it up──→ unknown (its rows end -5)
           ├──refused──→ split in halves under new numbers, until single chains fail (ruling 19)
           └──message canceled before the first send──→ canceled

    `content` is what the adapter's `ChainRow` describes, as JSON. `number` is the wire's
    BatchNumber: slice × 1,000 + part (see `chains`); 0 is the one that SubmitJob carries. The last
    one carries TotalChains alone. `sendings` counts how often a request with it may have left. An
    empty content is made from the open rows when the batch is claimed.
    """

    class State(models.TextChoices):
        FROZEN = "frozen", _("Frozen")
        SENDING = "sending", _("Sending")
        ACCEPTED = "accepted", _("Accepted")
        REFUSED = "refused", _("Refused")
        CANCELED = "canceled", _("Canceled")
        UNKNOWN = "unknown", _("Unknown")

    # What the last word has been said about.
    ANSWERED = (State.ACCEPTED, State.REFUSED, State.UNKNOWN)

    uuid = models.UUIDField(default=uuid4, editable=False)
    job = models.ForeignKey(DialerJob, on_delete=models.CASCADE, related_name="batches")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.FROZEN)
    first_chain = models.BigIntegerField(null=True)
    last_chain = models.BigIntegerField(null=True)
    chains = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    total_chains = models.PositiveIntegerField(null=True)
    content = models.TextField(blank=True)
    frozen_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)
    sendings = models.PositiveSmallIntegerField(db_default=0)
    accepted_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    trouble = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="batch_once")]


class NumberRecall(models.Model):
    """An order to the dialer about one number, given after something was handed over (ruling 22);
    repeated until it is confirmed (see `voice.recall`).

    Without a job it says to the account that the number's owner takes no texts (SetTextConsent);
    with one, that this job calls and texts the number no more (CancelJob). `uuid` is the ChangeRef.
    `mode` is the one that the number was recalled for: its rows end as do-not-contact.
    """

    uuid = models.UUIDField(default=uuid4, unique=True, editable=False)
    number = models.CharField(max_length=20, help_text="E.164")
    mode = models.CharField(max_length=6)
    job = models.ForeignKey(
        DialerJob, null=True, on_delete=models.CASCADE, related_name="number_recalls"
    )
    ordered_at = models.DateTimeField()
    confirmed_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job", "number", "mode"],
                condition=models.Q(job__isnull=False),
                name="number_recalled_once",
            )
        ]
        indexes = [
            models.Index(
                fields=["job"], condition=models.Q(confirmed_at=None), name="recall_unconfirmed"
            )
        ]


class LogCursor(models.Model):
    """How far the call log has been read, for one account state and epoch (rulings 25, 26)."""

    state_id = models.CharField(max_length=64)
    epoch = models.CharField(max_length=64)
    seq = models.BigIntegerField(default=0)
    current = models.BooleanField(default=True)
    polled_at = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(null=True)
    trouble = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["state_id", "epoch"], name="cursor_once")]


class LogEntry(models.Model):
    """One call log entry, stored as it was read and never changed.

    The unique key (state, epoch-independent EntryID) makes any repeat harmless (C2). Columns that
    nothing computes with stay in `rest`.
    """

    pk = models.CompositePrimaryKey("state_id", "entry_id")
    state_id = models.CharField(max_length=64)
    entry_id = models.CharField(max_length=64)
    epoch = models.CharField(max_length=64)
    seq = models.BigIntegerField()
    entry_type = models.CharField(max_length=40)
    occurred_at = models.DateTimeField()
    job_ref = models.CharField(max_length=64)
    chain_ref = models.CharField(max_length=64, blank=True, default="")
    step_ref = models.CharField(max_length=64, blank=True, default="")
    attempt_ref = models.CharField(max_length=64, blank=True, default="")
    number = models.IntegerField(null=True)
    revision = models.IntegerField()
    code = models.IntegerField(null=True)
    disposition = models.CharField(max_length=40)
    reason = models.CharField(max_length=60, blank=True, default="")
    final = models.BooleanField()
    confirmed = models.BooleanField()
    # JSON, kept as text: reading it into jsonb cost a fifth of storing a page, and nothing asks it.
    rest = models.TextField(null=True)


class EmergencyAlarm(models.Model):
    """An emergency of which the dialer accepted nothing in time (F7), or another message that
    Failed without a single call (S4); one a message.

    Raised and ended by `voice.alarms`: the banner shows while `ended_at` is empty. Notices go out
    once each; `*_claimed_at` keeps two ticks from sending the same one.
    """

    message = models.OneToOneField(
        "messenger.Message", on_delete=models.CASCADE, related_name="emergency_alarm"
    )
    raised_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    notified_at = models.DateTimeField(null=True)
    notified = models.PositiveIntegerField(default=0, help_text="Addresses that took the notice.")
    ended_at = models.DateTimeField(null=True)
    end_claimed_at = models.DateTimeField(null=True)
    end_notified_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["raised_at"], condition=models.Q(ended_at=None), name="alarm_standing"
            )
        ]
