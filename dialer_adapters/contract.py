"""What every telephone provider looks like from inside the product: the `DialerAdapter` protocol
and its three errors. The values that cross it live in `frozen` (sent) and `answers` (read) and are
imported from here. Everything is plain Python: no Django, no zeep, no SQL, no provider's name.
Times are aware; a naive one raises ValueError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol, runtime_checkable

from dialer_adapters.answers import (
    Audio,
    Cancelled,
    ConsentChanged,
    Counts,
    InboundText,
    InboundTextPage,
    JobStatus,
    Limits,
    LogColumns,
    LogEntry,
    LogPage,
    RejectedStep,
    RemoteMessage,
    RemoteMessagePage,
    StoredAudio,
    Submitted,
    TextConsent,
    TextConsentPage,
    Verified,
)
from dialer_adapters.frozen import (
    ChainRow,
    ConsentState,
    CustomerKind,
    FrozenJob,
    LocalHours,
    MachineAction,
    Priority,
    Redial,
    Script,
    ScriptRow,
    Segment,
    SegmentRow,
    StartPolicy,
    StepRow,
    StopOn,
    require_aware,
)

__all__ = [
    "Audio",
    "Cancelled",
    "ChainRow",
    "ConsentChanged",
    "ConsentState",
    "Counts",
    "CredentialsRefused",
    "CursorLost",
    "CustomerKind",
    "DialerAdapter",
    "DialerError",
    "FrozenJob",
    "InboundText",
    "InboundTextPage",
    "JobStatus",
    "Limits",
    "LocalHours",
    "LogColumns",
    "LogEntry",
    "LogPage",
    "MachineAction",
    "Priority",
    "Redial",
    "Rejected",
    "RejectedStep",
    "RemoteMessage",
    "RemoteMessagePage",
    "Retry",
    "Script",
    "ScriptRow",
    "Segment",
    "SegmentRow",
    "StartPolicy",
    "StepRow",
    "StopOn",
    "StoredAudio",
    "Submitted",
    "TextConsent",
    "TextConsentPage",
    "Verified",
    "require_aware",
]

# ------------------------------------------------------------------------------------------ errors


def gettext_noop(text: str) -> str:
    """Marks a sentence for the translators, by the name that makemessages looks for; the caller
    translates it where a user sees it. Django is not imported here."""
    return text


RETRY_SENTENCES: Mapping[str, str] = {
    "unreachable": gettext_noop("The dialer could not be reached."),
    "timeout": gettext_noop("The dialer did not answer in time."),
    "tls": gettext_noop("The dialer's certificate could not be verified."),
    "address": gettext_noop("The dialer's address leads to a network that is not allowed."),
    "busy": gettext_noop("The dialer is busy and asked us to wait."),
    "failed": gettext_noop("The dialer reported an error of its own."),
    "foreign": gettext_noop("The address answered, but not as a dialer does."),
    "garbled": gettext_noop("The dialer's answer could not be understood."),
    "log": gettext_noop("The dialer's call log contradicts itself, so nothing was taken from it."),
}
"""Every reason of `Retry` with its English sentence; callers translate it (each is a msgid)."""

REJECTED_SENTENCES: Mapping[str, str] = {
    "SCHEMA": gettext_noop("The request does not follow the dialer's rules."),
    "WINDOW_TOO_SHORT": gettext_noop("The dialing window is too short."),
    "WINDOW_REQUIRED": gettext_noop("The message needs a dialing window."),
    "NO_SCRIPT": gettext_noop(
        "There is nothing to say: the message has no words and no recording."
    ),
    "UNKNOWN_AUDIO": gettext_noop("The dialer does not know the recording."),
    "CALLER_ID_NOT_ALLOWED": gettext_noop("The caller ID is not registered for this account."),
    "TOO_LARGE": gettext_noop("The request is too large for the dialer."),
    "TOO_MANY_CHAINS": gettext_noop("Too many calls were handed over at once."),
    "JOBREF_REUSED": gettext_noop(
        "The dialer already has a different message under this reference."
    ),
    "BATCH_REUSED": gettext_noop("The dialer already has different calls under this batch number."),
    "JOB_CLOSED": gettext_noop(
        "The dialer has closed this message and takes no more calls for it."
    ),
    "CONSENT_STOPPED": gettext_noop(
        "The phone's owner has stopped texts; only the owner can allow them again."
    ),
    "JOB": gettext_noop("The dialer does not know this message."),
    "AUDIO": gettext_noop("The dialer does not know this recording."),
    "EPOCH_CHANGED": gettext_noop("The dialer's call log has been restarted."),
    "EPOCH_REQUIRED": gettext_noop("The dialer's call log must be read from the beginning."),
    "EXPIRED": gettext_noop("The dialer no longer keeps the part of the call log that comes next."),
    "AHEAD_OF_LOG": gettext_noop(
        "The dialer's call log is shorter than what was already read from it."
    ),
}
"""Codes of `Rejected` with their English sentences; an unlisted code gets `REJECTED_OTHER`."""

REJECTED_OTHER = gettext_noop("The dialer refused the request.")
CREDENTIALS_SENTENCES: Mapping[str, str] = {
    "BAD_CREDENTIALS": gettext_noop("The dialer does not accept the user name or password."),
    "ACCOUNT_DISABLED": gettext_noop("The dialer has disabled this account."),
    "ENDPOINT_NOT_ALLOWED": gettext_noop("This address cannot be used for the dialer."),
}
"""Codes of `CredentialsRefused` with their English sentences; an unlisted code means the first."""


class DialerError(Exception):
    """Base of the three errors. Each knows whether the same request may be repeated (`retryable`),
    whose fault it is (`at_fault`) and a plain English sentence for the user. None of them ever
    holds a body, a phone number or a credential."""

    retryable: ClassVar[bool]
    at_fault: ClassVar[Literal["provider", "request", "settings"]]
    user_sentence: str


class Retry(DialerError):
    """In doubt: the provider may or may not have acted. Repeat the *same* request later.

    `reason` is a key of RETRY_SENTENCES; `detail` is for the operator's log; `retry_after` is in
    seconds when the provider named it. `nothing_sent`: no byte of the request left, or the provider
    said itself that it did nothing, so that not even the provider's memory is needed to repeat it.
    """

    retryable = True
    at_fault = "provider"

    def __init__(
        self,
        reason: str,
        retry_after: int | None = None,
        detail: str = "",
        *,
        nothing_sent: bool = False,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.retry_after = retry_after
        self.detail = detail
        self.nothing_sent = nothing_sent or reason in ("address", "tls")
        self.user_sentence = RETRY_SENTENCES.get(reason, RETRY_SENTENCES["unreachable"])


class Rejected(DialerError):
    """Understood and refused: repeating it unchanged cannot help.

    `kind` is the class of refusal: "invalid" (also found by our own check before sending, then
    `local` is True and nothing left this machine), "conflict" (`job_id` when known), "not_found" or
    "cursor". `code` is the contract's word (7.3), `field` names the part of the request. `message`
    is in the dialer's own words, which may hold a number: for a person's eyes, never for a log, so
    that the error's text is its code alone.
    """

    retryable = False
    at_fault = "request"

    def __init__(
        self,
        code: str,
        field: str | None = None,
        message: str = "",
        *,
        kind: Literal["invalid", "conflict", "not_found", "cursor"] = "invalid",
        job_id: str | None = None,
        local: bool = False,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.field = field
        self.message = message
        self.kind = kind
        self.job_id = job_id
        self.local = local
        self.user_sentence = REJECTED_SENTENCES.get(code, REJECTED_OTHER)


class CursorLost(Rejected):
    """The log cannot go on from our cursor: EPOCH_CHANGED, EPOCH_REQUIRED, EXPIRED or
    AHEAD_OF_LOG."""

    def __init__(
        self,
        code: str,
        current_epoch: str | None,
        oldest_seq: int | None,
        message: str = "",
    ) -> None:
        super().__init__(code, "Epoch" if "EPOCH" in code else "AfterSeq", message, kind="cursor")
        self.current_epoch = current_epoch
        self.oldest_seq = oldest_seq


class CredentialsRefused(DialerError):
    """The account's settings are not good: user name or password not accepted, account disabled, or
    an address that may not be used (ENDPOINT_NOT_ALLOWED, found before anything is sent). No
    message is at fault: stop the account's jobs until the settings are right."""

    retryable = False
    at_fault = "settings"

    def __init__(self, code: str = "BAD_CREDENTIALS", message: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.user_sentence = CREDENTIALS_SENTENCES.get(
            code, CREDENTIALS_SENTENCES["BAD_CREDENTIALS"]
        )


# --------------------------------------------------------------------------------------- protocol


@runtime_checkable
class DialerAdapter(Protocol):
    """A way to the telephone. Every method may raise Retry, Rejected or CredentialsRefused and
    nothing else, except ValueError for a naive time; every method may be repeated with the same
    arguments (`submit` and `add_chains` with chains only if it `looks_up`). An instance belongs to
    one process: make it after fork."""

    capabilities: frozenset[str]
    """CHAINS, CURSOR_LOG, VOICE, TEXT, AMD, REMOTE_DIAL_IN, INBOUND_TEXT: what the *code* can
    speak; what the account may do is in `Verified.capabilities`."""

    looks_up: bool
    """Whether the provider knows a reference again: a repeated request is answered as the first
    one, and `job_status` can be believed. Without it a request in doubt is never plainly repeated:
    the provider would take it as another one (ruling 7)."""

    def verify(self, external_id: str, name: str) -> Verified:
        """Checks the credentials and describes the account (A1-14). `name` is the district's."""
        ...

    def customer_id(self, kind: CustomerKind, external_id: str, name: str) -> str:
        """Gets or creates the customerID of the district or of a school."""
        ...

    def put_audio(self, data: bytes, content_type: str) -> StoredAudio:
        """Stores a recording under its SHA-256; at most 5 MiB."""
        ...

    def get_audio(self, audio_id: str) -> Audio: ...

    def submit(
        self,
        job: FrozenJob,
        chains: Sequence[ChainRow] = (),
        total_chains: int | None = None,
    ) -> Submitted:
        """Creates the job with batch 0 of its chains (possibly none). Natural key:
        `job.job_ref`."""
        ...

    def add_chains(
        self,
        job_ref: str,
        batch_number: int,
        chains: Sequence[ChainRow] = (),
        total_chains: int | None = None,
    ) -> Submitted:
        """Adds batch 1, 2, ... Natural key: (`job_ref`, `batch_number`). `total_chains` seals the
        job once that many chains have arrived."""
        ...

    def cancel(
        self,
        job_ref: str,
        chain_refs: Sequence[str] = (),
        reason: str = "",
        phone_numbers: Sequence[str] = (),
    ) -> Cancelled:
        """Cancels the whole job, or only the listed chains or numbers (ruling 21)."""
        ...

    def job_status(self, job_refs: Sequence[str]) -> list[JobStatus]:
        """State of up to 100 jobs; one the provider does not know has the state UNKNOWN."""
        ...

    def read_log(
        self,
        epoch: str | None,
        after_seq: int,
        max_entries: int = 1000,
        job_ref: str | None = None,
    ) -> LogPage:
        """The account's log after `after_seq` (1 to 5,000 entries), or one job's. Changes nothing.
        Raises CursorLost when the log cannot go on from there."""
        ...

    def inbound_texts(
        self, epoch: str | None, after_seq: int, max_entries: int = 1000
    ) -> InboundTextPage: ...

    def text_consents(
        self, after_number: str | None = None, max_entries: int = 1000
    ) -> TextConsentPage: ...

    def set_text_consent(
        self, phone_number: str, state: ConsentState, change_ref: str, source: str
    ) -> ConsentChanged:
        """Tells the provider of a changed preference. Natural key: `change_ref`."""
        ...

    def remote_dial_in(
        self, epoch: str | None, after_seq: int, max_entries: int = 1000
    ) -> RemoteMessagePage: ...
