"""Who takes texts: changes from the application and from phones, and their lists.

A change is committed while the dialing thread waits at its gate, and told to it before the gate is
let go: after the answer no text starts to a number that was opted out. Only the phone's owner can
undo STOP.
"""

from __future__ import annotations

from datetime import UTC, datetime

from lxml import etree

from dialer_adapters.switchboard.accounts import Caller
from dialer_adapters.switchboard.database import query, transaction
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import element, read_text
from dialer_adapters.switchboard.faults import ConflictFault
from dialer_adapters.switchboard.keywords import OPTED_IN, Standing
from dialer_adapters.switchboard.models import Consent, ConsentChange, ServiceText

CONFIRMATIONS = {
    "OPTED_IN": "You will receive texts from your school district. Reply STOP to end them.",
    "OPTED_OUT": "You will receive no more texts from your school district.",
}


def lock_account(account_id: int) -> tuple[int, int]:
    """Hold an account's row until the transaction ends: changes of consent and new inbound rows
    follow one another. Returns the newest numbers of inbound texts and of recordings."""
    return query(
        "SELECT last_text_seq, last_recording_seq FROM switchboard_account WHERE id = %s"
        " FOR NO KEY UPDATE",
        [account_id],
    )[0]


def find_standing(account_id: int, number: str) -> Standing:
    """The consent of a number, which is UNKNOWN when nothing was ever heard of it."""
    consent = Consent.objects.filter(account_id=account_id, phone_number=number).first()
    return Standing() if consent is None else Standing(consent.state, consent.stopped)


def store_standing(
    account_id: int, number: str, standing: Standing, source: str, at: datetime
) -> None:
    """Write a number's consent down. The caller holds the account's row."""
    Consent.objects.update_or_create(
        account_id=account_id,
        phone_number=number,
        defaults={
            "state": standing.state,
            "stopped": standing.stopped,
            "source": source,
            "changed_at": at,
        },
    )


def tell_dialer(dialer: Dialer, account_id: int, number: str, standing: Standing) -> None:
    """Let the dialing thread know, while its gate is held and after the commit."""
    blocked = dialer.opted_out[account_id]
    (blocked.add if standing.blocked else blocked.discard)(number)


def set_text_consent(caller: Caller, operation: etree._Element, dialer: Dialer) -> list[str]:
    """A changed preference from the application; queues the text that confirms it. Natural key
    ChangeRef. Raises ConflictFault (CONSENT_STOPPED, JOBREF_REUSED)."""
    number = read_text(operation, "PhoneNumber") or ""
    asked = read_text(operation, "State") or ""
    change_ref = read_text(operation, "ChangeRef") or ""
    source = (read_text(operation, "Source") or "")[:64]
    with dialer.gate:
        with transaction():
            # Two at once with the same ChangeRef: the second waits here for the first.
            lock_account(caller.account_id)
            earlier = ConsentChange.objects.filter(
                account_id=caller.account_id, change_ref=change_ref
            ).first()
            if earlier is not None:
                if (earlier.phone_number, earlier.asked) != (number, asked):
                    raise ConflictFault(
                        "JOBREF_REUSED", "This ChangeRef stands for another change."
                    )
                return _answer(earlier, True)
            before = find_standing(caller.account_id, number)
            if before.stopped and asked == OPTED_IN:
                raise ConflictFault("CONSENT_STOPPED", "The phone's owner has sent STOP.")
            after = Standing(asked, before.stopped)
            change = _change(caller.account_id, number, before, after, change_ref, source, dialer)
        tell_dialer(dialer, caller.account_id, number, after)
    return _answer(change, False)


def _change(
    account_id: int,
    number: str,
    before: Standing,
    after: Standing,
    change_ref: str,
    source: str,
    dialer: Dialer,
) -> ConsentChange:
    now = dialer.read_clock()
    # One confirming text, and none to a phone that has had its own answer to STOP.
    confirms = after.state != before.state and not before.stopped
    store_standing(account_id, number, after, source, now)
    if confirms:
        ServiceText.objects.create(
            account_id=account_id,
            phone_number=number,
            body=CONFIRMATIONS[after.state],
            queued_at=now,
        )
    return ConsentChange.objects.create(
        account_id=account_id,
        change_ref=change_ref,
        phone_number=number,
        asked=after.state,
        state=after.state,
        confirmation_queued=confirms,
        changed_at=now,
    )


def _answer(change: ConsentChange, replayed: bool) -> list[str]:
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
