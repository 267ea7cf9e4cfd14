"""The operations that describe: VerifyCustomer, GetCustomerID and GetJobStatus."""

from __future__ import annotations

from datetime import UTC, datetime

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller, found_exchange
from dialer_adapters.switchboard.audio import MAX_AUDIO_BYTES
from dialer_adapters.switchboard.database import query
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import element, read_text, read_texts
from dialer_adapters.switchboard.intake import MAX_CHAINS
from dialer_adapters.switchboard.models import Customer

CAPABILITIES = ("CHAINS", "CURSOR_LOG", "VOICE", "TEXT", "AMD", "REMOTE_DIAL_IN", "INBOUND_TEXT")
MAX_PAGE = 5000


def verify_customer(
    caller: Caller, operation: etree._Element, dialer: Dialer, retention_days: int
) -> list[str]:
    """The account as it stands, with the district's customerID and what the limits are."""
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
        element("LogRetentionDays", retention_days),
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


def get_job_status(
    caller: Caller, operation: etree._Element, epoch: str, looks_up: bool = True
) -> list[str]:
    """State and counts of up to 100 jobs; an unknown one has the state UNKNOWN, and so has every
    one when the switchboard plays a service that cannot look references up. A job of an epoch
    before this one is about to be closed (ruling 24)."""
    refs = read_texts(operation, "JobRef")
    rows = query(
        "SELECT job_ref, job_id, CASE WHEN final_seq IS NULL AND epoch <> %s THEN 'CANCELLING'"
        " ELSE state END, sealed, stored_chains, chains_confirmed, chains_done,"
        " chains_canceled, steps_attempted, attempts, last_seq, final_seq, cancel_requested_at"
        " FROM switchboard_job WHERE account_id = %s AND job_ref = ANY(%s)",
        [epoch, caller.account_id, refs],
    )
    known = {row[0]: row for row in rows if looks_up}
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
