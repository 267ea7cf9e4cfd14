"""The operations that neither take jobs in nor read the call log: the account, audio, consents.

Inbound texts and recordings by telephone do not exist yet: their pages are empty, which is the
truth.
"""

from __future__ import annotations

import base64
import binascii
import io
import wave
from datetime import UTC, datetime
from hashlib import sha256

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller, found_exchange
from dialer_adapters.switchboard.calllog import check_cursor
from dialer_adapters.switchboard.database import query, transaction
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import element, read_text, read_texts
from dialer_adapters.switchboard.faults import ConflictFault, InvalidRequestFault, NotFoundFault
from dialer_adapters.switchboard.intake import MAX_CHAINS
from dialer_adapters.switchboard.models import Audio, Consent, ConsentChange, Customer

CAPABILITIES = ("CHAINS", "CURSOR_LOG", "VOICE", "TEXT", "AMD")
MAX_PAGE, MAX_AUDIO_BYTES, RETENTION_DAYS = 5000, 5 * 1024 * 1024, 30
OPTED_IN, OPTED_OUT = "OPTED_IN", "OPTED_OUT"


def verify_customer(caller: Caller, operation: etree._Element, dialer: Dialer) -> list[str]:
    """The account as it stands, with the district's customerID."""
    external_id = read_text(operation, "ExternalID") or ""
    customer, _ = _get_customer(caller, "DISTRICT", external_id, operation)
    pools = dialer.pools
    limits = [
        element("MaxChainsPerBatch", MAX_CHAINS),
        element("MaxPageSize", MAX_PAGE),
        element("MaxAudioBytes", MAX_AUDIO_BYTES),
        element("NormalLines", pools.normal),
        element("EmergencyLines", pools.emergency),
        # Nothing but the lines limits the rate: all free ones may start a call at once.
        element("CallsPerSecond", pools.normal + pools.emergency),
        element("LogRetentionDays", RETENTION_DAYS),
    ]
    return [
        element("CustomerID", _customer_id(customer)),
        element("AccountStatus", "ACTIVE"),
        *(element("Capability", name) for name in CAPABILITIES),
        f"<Limits>{''.join(limits)}</Limits>",
        element("Epoch", dialer.epoch),
        element("ServerTime", datetime.now(UTC)),
        element("StateID", found_exchange().state_id),
    ]


def get_customer_id(caller: Caller, operation: etree._Element) -> list[str]:
    """Get or create the customerID of a district or school."""
    kind = read_text(operation, "Kind") or ""
    external_id = read_text(operation, "ExternalID") or ""
    customer, created = _get_customer(caller, kind, external_id, operation)
    return [element("CustomerID", _customer_id(customer)), element("Created", created)]


def _get_customer(
    caller: Caller, kind: str, external_id: str, operation: etree._Element
) -> tuple[Customer, bool]:
    name = operation.findtext("{*}Name") or ""
    return Customer.objects.get_or_create(
        account_id=caller.account_id,
        kind=kind,
        external_id=external_id,
        defaults={"name": name},
    )


def _customer_id(customer: Customer) -> str:
    return f"{customer.kind[0]}-{customer.pk:06d}"


# ------------------------------------------------------------------------------------------- status


def get_job_status(caller: Caller, operation: etree._Element, epoch: str) -> list[str]:
    """State and counts of up to 100 jobs; an unknown one has the state UNKNOWN."""
    refs = read_texts(operation, "JobRef")
    rows = query(
        "SELECT job_ref, job_id, state, sealed, stored_chains, chains_confirmed, chains_done,"
        " chains_canceled, steps_attempted, attempts, last_seq, final_seq, cancel_requested_at"
        " FROM switchboard_job WHERE account_id = %s AND job_ref = ANY(%s)",
        [caller.account_id, refs],
    )
    known = {row[0]: row for row in rows}
    return [
        *(_write_status(ref, known.get(ref)) for ref in refs),
        element("ServerTime", datetime.now(UTC)),
        element("Epoch", epoch),
    ]


def _write_status(ref: str, row: tuple[object, ...] | None) -> str:
    if row is None:
        unknown = [element("JobRef", ref), element("State", "UNKNOWN"), element("Sealed", False)]
        return f"<Job>{''.join(unknown)}{element('LastSeq', 0)}</Job>"
    _, job_id, state, sealed, *numbers, last_seq, final_seq, canceled_at = row
    stored, confirmed, done, canceled, steps, attempts = (int(str(number)) for number in numbers)
    counts = [
        element("Chains", stored),
        element("ChainsOpen", stored - confirmed - done - canceled),
        element("ChainsConfirmed", confirmed),
        element("ChainsDone", done),
        element("ChainsCancelled", canceled),
        element("StepsAttempted", steps),
        element("Attempts", attempts),
    ]
    parts = [
        element("JobRef", ref),
        element("JobID", job_id),
        element("State", state),
        element("Sealed", sealed),
        f"<Counts>{''.join(counts)}</Counts>",
        element("LastSeq", last_seq),
        element("FinalSeq", final_seq),
        element("CancelRequestedAt", canceled_at),
    ]
    return f"<Job>{''.join(parts)}</Job>"


# -------------------------------------------------------------------------------------------- audio


def upload_audio(caller: Caller, operation: etree._Element) -> list[str]:
    """Store a recording under the hash of its bytes."""
    digest = read_text(operation, "Sha256") or ""
    content_type = read_text(operation, "ContentType") or ""
    try:
        content = base64.b64decode("".join((operation.findtext("{*}Content") or "").split()))
    except binascii.Error as error:
        raise InvalidRequestFault("SCHEMA", "Not base64.", "Content") from error
    if len(content) > MAX_AUDIO_BYTES:
        raise InvalidRequestFault("TOO_LARGE", "Audio has at most 5 MiB.", "Content")
    if sha256(content).hexdigest() != digest:
        raise InvalidRequestFault("SCHEMA", "The content has another hash.", "Sha256")
    audio, created = Audio.objects.get_or_create(
        account_id=caller.account_id,
        sha256=digest,
        defaults={
            "content_type": content_type[:64],
            "content": content,
            "seconds": _measure(content),
        },
    )
    return [
        element("AudioID", f"a{digest[:40]}"),
        element("Created", created),
        element("State", "READY"),
        element("DurationSeconds", audio.seconds),
    ]


def _measure(content: bytes) -> int | None:
    """Seconds of a WAV file, rounded; None for anything else."""
    try:
        with wave.open(io.BytesIO(content)) as sound:
            return round(sound.getnframes() / sound.getframerate())
    except (wave.Error, EOFError, ZeroDivisionError):
        return None


def get_audio(caller: Caller, operation: etree._Element) -> list[str]:
    """A stored recording. Raises NotFoundFault."""
    audio_id = read_text(operation, "AudioID") or ""
    audio = Audio.objects.filter(
        account_id=caller.account_id, sha256__startswith=audio_id[1:]
    ).first()
    if audio is None or audio_id != f"a{audio.sha256[:40]}":
        raise NotFoundFault("AUDIO", "No such recording.")
    return [
        element("AudioID", audio_id),
        element("ContentType", audio.content_type),
        element("Sha256", audio.sha256),
        element("Content", base64.b64encode(bytes(audio.content)).decode("ascii")),
    ]


# ----------------------------------------------------------------------------------------- consents


def set_text_consent(caller: Caller, operation: etree._Element, dialer: Dialer) -> list[str]:
    """A changed preference from the application. After the answer no text starts to a number that
    was opted out. Only the phone's owner can undo STOP. Natural key ChangeRef."""
    number = read_text(operation, "PhoneNumber") or ""
    asked = read_text(operation, "State") or ""
    change_ref = read_text(operation, "ChangeRef") or ""
    source = (read_text(operation, "Source") or "")[:64]
    with dialer.gate:
        with transaction():
            # Two at once with the same ChangeRef: the second waits here for the first.
            query(
                "SELECT 1 FROM switchboard_account WHERE id = %s FOR NO KEY UPDATE",
                [caller.account_id],
            )
            earlier = ConsentChange.objects.filter(
                account_id=caller.account_id, change_ref=change_ref
            ).first()
            if earlier is not None:
                if (earlier.phone_number, earlier.asked) != (number, asked):
                    raise ConflictFault(
                        "JOBREF_REUSED", "This ChangeRef stands for another change."
                    )
                return _answer_consent(earlier, True)
            change = _change_consent(caller.account_id, number, asked, change_ref, source)
        opted_out = dialer.opted_out[caller.account_id]
        (opted_out.add if asked == OPTED_OUT else opted_out.discard)(number)
    return _answer_consent(change, False)


def _change_consent(
    account_id: int, number: str, asked: str, change_ref: str, source: str
) -> ConsentChange:
    consent = Consent.objects.filter(account_id=account_id, phone_number=number).first()
    if consent is not None and consent.stopped and asked == OPTED_IN:
        raise ConflictFault("CONSENT_STOPPED", "The phone's owner has sent STOP.")
    changed = consent is None or consent.state != asked
    Consent.objects.update_or_create(
        account_id=account_id,
        phone_number=number,
        defaults={"state": asked, "source": source, "changed_at": datetime.now(UTC)},
    )
    return ConsentChange.objects.create(
        account_id=account_id,
        change_ref=change_ref,
        phone_number=number,
        asked=asked,
        state=asked,
        confirmation_queued=changed,
    )


def _answer_consent(change: ConsentChange, replayed: bool) -> list[str]:
    return [
        element("State", change.state),
        element("Replayed", replayed),
        element("ConfirmationQueued", change.confirmation_queued),
    ]


def get_text_consents(caller: Caller, operation: etree._Element) -> list[str]:
    """Consents by number, after a number."""
    after = read_text(operation, "AfterNumber") or ""
    most = int(read_text(operation, "MaxEntries") or 1000)
    consents = list(
        Consent.objects.filter(account_id=caller.account_id, phone_number__gt=after).order_by(
            "phone_number"
        )[: most + 1]
    )
    parts = [
        "<Consent>"
        + element("PhoneNumber", consent.phone_number)
        + element("State", consent.state)
        + element("ChangedAt", consent.changed_at)
        + element("Source", consent.source)
        + "</Consent>"
        for consent in consents[:most]
    ]
    return [
        *parts,
        element("HasMore", len(consents) > most),
        element("AsOf", datetime.now(UTC)),
    ]


# --------------------------------------------------------------------------- what cannot happen yet


def get_empty_page(operation: etree._Element, epoch: str) -> list[str]:
    """GetInboundTexts and GetRemoteDialInMessages: a log without entries."""
    after = int(read_text(operation, "AfterSeq") or 0)
    check_cursor(read_text(operation, "Epoch"), after, epoch, last_seq=0, oldest_seq=1)
    return [
        element("Epoch", epoch),
        element("NextSeq", after),
        element("HasMore", False),
        element("OldestSeq", 1),
        element("ServerTime", datetime.now(UTC)),
    ]
