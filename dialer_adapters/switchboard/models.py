"""What the switchboard keeps: accounts, jobs with their batches, attempts, and the call log.

An accepted batch is one row: its chains as compressed text (`batches`). Per step there are only two
kinds of rows: an `Attempt`, written before the call is placed, and log `Entry` rows, which never
change. What a chain is doing is rebuilt from these. Rows per step are written by COPY and read by
SQL in `recording`, `calllog` and `history`; the models are their definition.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Exchange(models.Model):
    """The one row of this switchboard: who it is (StateID), and which history it keeps (Epoch)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    state_id = models.CharField(max_length=64)
    epoch = models.CharField(max_length=64)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="switchboard_one_exchange")]


class Account(models.Model):
    """A district's credentials and its log's counter."""

    username = models.CharField(max_length=150, unique=True)
    password = models.CharField(max_length=256)  # Django's hash
    external_id = models.CharField(max_length=64, blank=True)
    active = models.BooleanField(default=True)
    caller_ids = models.JSONField(default=list, blank=True)  # E.164; empty: any
    # The number of the newest log entry. Raised last in a transaction and held to its commit, so
    # that entries become visible in the order of their numbers (contract 8.2, S2).
    last_seq = models.BigIntegerField(default=0)
    # Cursors below it are EXPIRED; the entries themselves go a sweep later (see `retention`).
    oldest_seq = models.BigIntegerField(default=1)
    # Inbound texts and recordings have logs of their own, raised while the row is locked. Both are
    # small, and a STOP is evidence: they are kept for good.
    last_text_seq = models.BigIntegerField(default=0)
    last_recording_seq = models.BigIntegerField(default=0)


class Customer(models.Model):
    """A customerID: the district's or a school's. The ID is made from the key of the row."""

    account = models.ForeignKey(Account, models.CASCADE)
    kind = models.CharField(max_length=8)
    external_id = models.CharField(max_length=64)
    name = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "account", "kind", "external_id", name="switchboard_customer_key"
            )
        ]


class Job(models.Model):
    """A job, or the tombstone that a cancel of an unknown JobRef leaves (`body` is null).

    State: RECEIVING (not sealed) or READY → RUNNING (first attempt) → FINISHED; CANCELLING →
    CANCELLED. `final_seq` is set together with the last two, by the entry JOB_RESULT.
    """

    account = models.ForeignKey(Account, models.CASCADE)
    job_ref = models.CharField(max_length=64)
    job_id = models.CharField(max_length=64)
    epoch = models.CharField(max_length=64)
    priority = models.PositiveSmallIntegerField(default=2)  # 0 emergency, 1 priority, 2 normal
    body = models.JSONField(null=True)
    state = models.CharField(max_length=16)
    created_at = models.DateTimeField()
    window_end = models.DateTimeField(null=True)
    cancel_requested_at = models.DateTimeField(null=True)
    ending = models.CharField(
        max_length=16, blank=True
    )  # why the whole job ends early, once it does
    total_chains = models.IntegerField(null=True)
    sealed = models.BooleanField(default=False)
    batches = models.IntegerField(default=0)
    stored_chains = models.IntegerField(default=0)
    # Raised in the transactions that write the entries they count, by the dialing thread alone.
    chains_confirmed = models.IntegerField(default=0)
    chains_done = models.IntegerField(default=0)
    chains_canceled = models.IntegerField(default=0)
    steps_attempted = models.IntegerField(default=0)
    attempts = models.IntegerField(default=0)
    last_seq = models.BigIntegerField(default=0)
    final_seq = models.BigIntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("account", "job_ref", name="switchboard_job_key")]
        indexes = [
            models.Index("id", name="switchboard_job_open", condition=Q(final_seq__isnull=True))
        ]


class Batch(models.Model):
    """An accepted batch; number 0 came with the job. `fingerprint` is SHA-256 over its parsed
    values; `content` holds its chains (see `batches`)."""

    job = models.ForeignKey(Job, models.CASCADE)
    number = models.IntegerField()
    fingerprint = models.BinaryField(max_length=32)
    chains = models.IntegerField()
    voice_steps = models.IntegerField()
    text_steps = models.IntegerField()
    refused_steps = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint("job", "number", name="switchboard_batch_key")]


class Cancellation(models.Model):
    """A canceled chain (C) or number (N): also stops what arrives later, before the job if need
    be."""

    account = models.ForeignKey(Account, models.CASCADE)
    job_ref = models.CharField(max_length=64)
    kind = models.CharField(max_length=1)
    value = models.CharField(max_length=64)
    canceled_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "account", "job_ref", "kind", "value", name="switchboard_cancellation_key"
            )
        ]


class Attempt(models.Model):
    """One call or text, committed before it is placed (S4). One without an entry in the log is
    under way, or was when the switchboard died. (batch, pos, step) is the place of its step: chain
    `pos` of the batch, step `step` of the chain. The key makes a second dial of the same attempt
    impossible.
    """

    attempt_id = models.CharField(max_length=48, primary_key=True)
    batch_id = models.BigIntegerField()
    pos = models.IntegerField()
    step = models.SmallIntegerField()
    number = models.SmallIntegerField()
    job_id = models.BigIntegerField()
    chain_ref = models.CharField(max_length=64)
    step_ref = models.CharField(max_length=64)
    channel = models.CharField(max_length=5)
    phone_number = models.CharField(max_length=16)
    extension = models.CharField(max_length=16, blank=True)
    started_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "batch_id", "pos", "step", "number", name="switchboard_attempt_key"
            )
        ]


class Entry(models.Model):
    """One immutable line of an account's call log (contract 8.1), in commit order by `seq`."""

    pk = models.CompositePrimaryKey("account_id", "seq")
    account_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    entry_id = models.CharField(max_length=64)
    entry_type = models.CharField(max_length=16)
    occurred_at = models.DateTimeField()
    job_id = models.BigIntegerField()
    batch_id = models.BigIntegerField(null=True)
    pos = models.IntegerField(null=True)
    step = models.SmallIntegerField(null=True)
    chain_ref = models.CharField(max_length=64, null=True)
    step_ref = models.CharField(max_length=64, null=True)
    attempt_id = models.CharField(max_length=48, null=True)
    attempt_number = models.SmallIntegerField(null=True)
    revision = models.SmallIntegerField()
    channel = models.CharField(max_length=5, null=True)
    phone_number = models.CharField(max_length=16, null=True)
    status_code = models.IntegerField(null=True)
    disposition = models.CharField(max_length=16)
    reason = models.CharField(max_length=32, null=True)
    final = models.BooleanField()
    confirmed = models.BooleanField()
    answered_by = models.CharField(max_length=16, null=True)
    digits = models.CharField(max_length=16, null=True)
    started_at = models.DateTimeField(null=True)
    connected_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    duration_seconds = models.IntegerField(null=True)
    text_segments = models.SmallIntegerField(null=True)
    next_attempt_at = models.DateTimeField(null=True)
    sip_code = models.SmallIntegerField(null=True)
    cause_q850 = models.SmallIntegerField(null=True)
    call_error = models.TextField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("account_id", "entry_id", name="switchboard_entry_key")
        ]
        indexes = [
            models.Index("job_id", "seq", name="switchboard_entry_job"),
            models.Index(
                "batch_id", name="switchboard_entry_batch", condition=Q(batch_id__isnull=False)
            ),
        ]


class Audio(models.Model):
    """A recording under the hash of its bytes."""

    account = models.ForeignKey(Account, models.CASCADE)
    sha256 = models.CharField(max_length=64)
    content_type = models.CharField(max_length=64)
    content = models.BinaryField()
    seconds = models.IntegerField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint("account", "sha256", name="switchboard_audio_key")]


class Consent(models.Model):
    """Whether a number takes texts (contract 7.7); no row is UNKNOWN. `state` is PENDING (START was
    sent), OPTED_IN or OPTED_OUT. `stopped`: by STOP from the phone, which only the phone's owner
    can undo, by START and then YES; until then nothing is sent, PENDING or not."""

    account = models.ForeignKey(Account, models.CASCADE)
    phone_number = models.CharField(max_length=16)
    state = models.CharField(max_length=16)
    stopped = models.BooleanField(default=False)
    changed_at = models.DateTimeField()
    source = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint("account", "phone_number", name="switchboard_consent_key")
        ]


class ConsentChange(models.Model):
    """A change that was asked for, by its ChangeRef, with the answer that a repeat gets again."""

    account = models.ForeignKey(Account, models.CASCADE)
    change_ref = models.CharField(max_length=64)
    phone_number = models.CharField(max_length=16)
    asked = models.CharField(max_length=16)
    state = models.CharField(max_length=16)
    confirmation_queued = models.BooleanField()
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint("account", "change_ref", name="switchboard_consent_change_key")
        ]


class InboundText(models.Model):
    """A text from a phone, with what was understood by it, in the order of `seq`. Never changed."""

    account = models.ForeignKey(Account, models.CASCADE)
    seq = models.BigIntegerField()
    text_id = models.CharField(max_length=64)
    received_at = models.DateTimeField()
    from_number = models.CharField(max_length=16)
    to_sender = models.CharField(max_length=64)
    body = models.TextField()
    keyword = models.CharField(max_length=16)
    consent_after = models.CharField(max_length=16)
    auto_reply = models.TextField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("account", "seq", name="switchboard_inbound_text_key")
        ]


class ServiceText(models.Model):
    """A text the switchboard sends by itself: the answer to a keyword, or the one text that
    confirms a changed preference. Not of any job, and allowed after STOP (contract 4.6)."""

    account = models.ForeignKey(Account, models.CASCADE)
    phone_number = models.CharField(max_length=16)
    body = models.TextField()
    queued_at = models.DateTimeField()


class Recording(models.Model):
    """An emergency message that somebody recorded by telephone (Remote Dial-In), in the order of
    `seq`. Its sound is an `Audio`."""

    account = models.ForeignKey(Account, models.CASCADE)
    seq = models.BigIntegerField()
    message_id = models.CharField(max_length=48)
    received_at = models.DateTimeField()
    user_ref = models.CharField(max_length=64)
    caller_number = models.CharField(max_length=16, null=True)
    audience_code = models.CharField(max_length=64)
    audio = models.ForeignKey(Audio, models.PROTECT)

    class Meta:
        constraints = [models.UniqueConstraint("account", "seq", name="switchboard_recording_key")]
