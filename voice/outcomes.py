"""What a call status code means to a recipient and to a reader: code → outcome and words.

The table itself is the provider's (`dialer_adapters.call_codes`); here it is said in the ledger's
words. The raw code is always kept beside it. No database.
"""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from dialer_adapters.call_codes import lookup

CALL_EXPIRED = -11
LOCAL_TIME_RESTRICTED = -9
NO_RESPONSE = -5  # "call may have been dialed but status is unknown"


@dataclass(frozen=True)
class CodeWords:
    """A code for people: `label` of the source, `note` in plain words, the ledger's `outcome`."""

    code: int
    label: str
    note: str
    outcome: str


def outcome_of(code: int | None, disposition: str = "") -> str:
    """The ledger's outcome for a result: '' while it is pending.

    A canceled step has a disposition and no code (contract 6). A call that was not placed in its
    window is expired; an email that the provider sent instead says nothing of the phone (B6-41);
    every other class keeps its name.
    """
    if code is None:
        return "canceled" if disposition == "CANCELLED" else "unknown"
    if code in (CALL_EXPIRED, LOCAL_TIME_RESTRICTED):
        return "expired"
    entry = lookup(code)
    if entry.outcome_class == "successful" and not entry.contacts_by_phone:
        return "unknown"
    return "" if entry.outcome_class == "pending" else str(entry.outcome_class)


def describe(code: int) -> CodeWords:
    """Label and note of a code; one that the source does not list is shown as it came (B6-01)."""
    entry = lookup(code)
    return CodeWords(code, _(entry.status), _(entry.note), outcome_of(code))
