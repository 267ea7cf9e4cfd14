"""The call status codes of the field: what each number means and what may be done about it.

The table is data (`call_status_codes.csv`, one line a code) plus a note in plain words for people.
Loading fails when a code of the source is missing, so that no screen or count can silently lack
one. How deliveries are counted, and whether a chain goes on, is decided elsewhere from these facts.
Plain Python: no Django, no database.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CODES_FILE = Path(__file__).with_name("call_status_codes.csv")

OutcomeClass = Literal["successful", "failed", "pending", "canceled", "opted_out", "unknown"]
Dialled = Literal["yes", "no", "unknown", "n/a"]
Redial = Literal["yes", "no", "once", "never", "policy"]

# The numbers between them (-17, -16, -8, -6, 11, 12 and 15) are absent from the source.
SOURCE_CODES = frozenset({*range(11), 13, 14, 16, 17, *range(-40, 0)} - {-17, -16, -8, -6})

UNDETERMINED = 9
"""The code whose treatment an unlisted code gets."""

# The data file says in words what the columns of the contract say; here are its few phrases.
CLASS_OF_PHRASE: Mapping[str, OutcomeClass] = {
    "successful": "successful",
    "successful, may be revised": "successful",
    "successful (e-mail)": "successful",
    "failed": "failed",
    "pending": "pending",
    "pending while held, then failed": "failed",
    "cancelled": "canceled",
    "opted out": "opted_out",
    "unknown": "unknown",
}
REDIAL_OF_PHRASE: Mapping[str, Redial] = {
    "yes": "yes",
    "no": "no",
    "no today": "no",
    "once": "once",
    "never": "never",
    "policy RedialMachine": "policy",
    "policy UnknownOutcome": "policy",
    "when local hours open": "policy",
}
DIALLED_OF_PHRASE: Mapping[str, Dialled] = {
    "yes": "yes",
    "no": "no",
    "unknown": "unknown",
    "n/a": "n/a",
}


class CodeTableIncomplete(Exception):
    """The table lacks a code of the source, lists one twice, or uses a word nobody defined."""


def gettext_noop(text: str) -> str:
    """Mark `text` for the translators; pages translate it when they show it. (Django's function of
    this name would do the same, but this module must load without Django.)"""
    return text


NOTES: Mapping[int, str] = {
    0: gettext_noop("It rang and nobody answered."),
    1: gettext_noop("The line was busy."),
    2: gettext_noop(
        "An automated operator answered: something is wrong with the number, or all circuits "
        "were busy."
    ),
    3: gettext_noop("The number is not in service."),
    4: gettext_noop("The number was dialed, but no ring tone was heard."),
    5: gettext_noop("A live person answered."),
    6: gettext_noop("An answering machine or voicemail answered."),
    7: gettext_noop("A fax machine answered."),
    8: gettext_noop("The call was connected to the number, and the extension was dialed."),
    9: gettext_noop("The provider could not tell what became of the call."),
    10: gettext_noop("The call failed, most likely through an error in the messenger itself."),
    13: gettext_noop(
        "A number with an extension: the call was made, the main number answered, and dialing "
        "the extension was attempted."
    ),
    14: gettext_noop(
        "A fast busy signal, usually because all lines of the local telephone company were taken."
    ),
    16: gettext_noop(
        "Signals or a recording of a number that is out of service. The call was marked private."
    ),
    17: gettext_noop(
        "The number is unavailable for the moment. It is redialed automatically over other routes."
    ),
    -1: gettext_noop("An unknown error occurred."),
    -2: gettext_noop("The phone number is not valid."),
    -3: gettext_noop("The phone number is on the do-not-call list."),
    -4: gettext_noop("The number was already handled in this message."),
    -5: gettext_noop(
        "Communication inside the dialer failed. The number may have been dialed, but what became "
        "of the call is not known."
    ),
    -7: gettext_noop("The number is known not to be in service."),
    -9: gettext_noop(
        "At the number's local time, calls of this message are not allowed at this hour."
    ),
    -10: gettext_noop("Every attempt failed; the last route does not serve that state."),
    -11: gettext_noop("Time ran out before the call was placed."),
    -12: gettext_noop("Processing failed inside the dialer. The number was not dialed."),
    -13: gettext_noop("Every attempt to reach the number failed."),
    -14: gettext_noop(
        "The call could not be created because of an error. The call error of the call log "
        "says more."
    ),
    -15: gettext_noop("A wireless number, and this message leaves wireless numbers out."),
    -18: gettext_noop(
        "Every attempt failed; the last route refuses toll-free caller IDs. Consider a caller ID "
        "that is not toll free."
    ),
    -19: gettext_noop("Every attempt failed; the last route does not call toll-free numbers."),
    -20: gettext_noop(
        "Communication inside the dialer failed. What became of the call is not known."
    ),
    -21: gettext_noop("The number is known not to connect."),
    -22: gettext_noop("The number is on a suppression list."),
    -23: gettext_noop("The number is known to be a fax machine."),
    -24: gettext_noop("Every attempt to reach the number failed because resources were short."),
    -25: gettext_noop("A part of the dialer failed. The call error of the call log says more."),
    -26: gettext_noop("No route could connect the call for the moment."),
    -27: gettext_noop("The text was handed to the recipient's telephone company."),
    -28: gettext_noop(
        "The text was sent, and the recipient's phone company reported it delivered."
    ),
    -29: gettext_noop("The email was sent."),
    -30: gettext_noop(
        "The text provider could not send the text, or the text settings are not right."
    ),
    -31: gettext_noop(
        "Every attempt failed; the last route refuses international caller IDs. Consider a caller "
        "ID that is not international."
    ),
    -32: gettext_noop("Connected to a web stream."),
    -33: gettext_noop("The phone's owner has opted out of text messages by sending STOP."),
    -34: gettext_noop("The number has been called as often as is allowed."),
    -35: gettext_noop("The script ended before this number was dialed."),
    -36: gettext_noop("The caller ID may not be used for calls from or to the United States."),
    -37: gettext_noop("The route does not carry calls inside Canada."),
    -38: gettext_noop("The account has reached its limit of charged minutes."),
    -39: gettext_noop("The text is waiting to be sent."),
    -40: gettext_noop("The text could not be delivered, for example to a landline."),
}


@dataclass(frozen=True, slots=True)
class CallCode:
    """One code with its treatment. `status` is the label of the source (for an unlisted code, "code
    N"), `note` is for a tooltip, `alert` is "", data, system, config or account."""

    code: int
    status: str
    outcome_class: OutcomeClass
    dialled: Dialled
    redial: Redial
    ends_number: bool
    alert: str
    note: str
    known: bool = True

    @property
    def contacts_by_phone(self) -> bool:
        """Whether this result means that a phone reached the recipient (an email does not)."""
        return self.outcome_class == "successful" and self.dialled == "yes"

    @property
    def outcome_unknown(self) -> bool:
        """Whether the number may or may not have been called: UnknownOutcome alone decides about
        another attempt (ruling 28). A queued text (-39) is not in doubt, it is under way."""
        return self.dialled == "unknown" and self.outcome_class == "failed"


def read_codes(lines: Iterable[str]) -> dict[int, CallCode]:
    """Read the table from CSV `lines`. Raises CodeTableIncomplete when it is not exactly the
    source's 51 codes, or when a phrase or a note is missing."""
    table: dict[int, CallCode] = {}
    for row in csv.DictReader(lines):
        code = int(row["code"])
        if code in table:
            raise CodeTableIncomplete(f"code {code} is listed twice")
        try:
            table[code] = CallCode(
                code=code,
                status=row["status"],
                outcome_class=CLASS_OF_PHRASE[row["class"]],
                dialled=DIALLED_OF_PHRASE[row["dialled"]],
                redial=REDIAL_OF_PHRASE[row["redial_default"]],
                ends_number={"yes": True, "no": False}[row["ends_number"]],
                alert=row["alert"],
                note=NOTES[code],
            )
        except KeyError as error:
            raise CodeTableIncomplete(f"code {code}: {error} is not defined") from error
    if missing := SOURCE_CODES - table.keys():
        raise CodeTableIncomplete(f"codes missing: {sorted(missing)}")
    if surplus := table.keys() - SOURCE_CODES:
        raise CodeTableIncomplete(f"codes that the source does not have: {sorted(surplus)}")
    return table


def load_codes() -> dict[int, CallCode]:
    """The table as shipped, by code."""
    with CODES_FILE.open(newline="", encoding="utf-8") as lines:
        return read_codes(lines)


CODES: Mapping[int, CallCode] = load_codes()


def lookup(code: int) -> CallCode:
    """The treatment of `code`. A code that the source does not list keeps its number in the
    label and is treated as 9 (B6-01)."""
    known = CODES.get(code)
    if known is not None:
        return known
    pattern = CODES[UNDETERMINED]
    return CallCode(
        code=code,
        status=f"code {code}",
        outcome_class=pattern.outcome_class,
        dialled=pattern.dialled,
        redial=pattern.redial,
        ends_number=pattern.ends_number,
        alert=pattern.alert,
        note=pattern.note,
        known=False,
    )
