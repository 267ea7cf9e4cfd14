"""The work list of failed deliveries: who was not reached where, why, and what to do about it.

One CSV row for every device that failed (`counting.FAILED`; a cancel and an opt-out are not), with
the reason in plain words. It is for the people who correct numbers afterwards, not a Sent Message
Report: it counts nothing.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messenger.models import Device, District, Message
from messenger.rights import Scope
from sentlog.counting import count
from sentlog.delivery_rows import Selection, Wording, count_lines, lines_statement, words_of_codes
from sentlog.reports.csv import guarded
from sentlog.reports.document import FETCHED_AT_ONCE, ReportOptions
from sentlog.reports.progress import Progress
from sentlog.summary import schools_of
from sentlog.words import national
from voice.outcomes import describe

CORRECT_NUMBER = gettext_lazy("Ask the family for the right number and correct it in Census.")
TRY_AGAIN = gettext_lazy("The number may be right. Try again later, or by another device.")
TELL_SUPPORT = gettext_lazy("Nothing is wrong with the number. Tell support if it happens again.")
CALLER_ID = gettext_lazy("Choose another caller ID in the voice settings.")
RESPECT = gettext_lazy("Do not call this number. Reach the family another way.")
TEXT_NUMBER = gettext_lazy("The number may be a landline. Ask for a cell number for texts.")
MORE_TIME = gettext_lazy("Send it again with a longer dialing window.")
CORRECT_EMAIL = gettext_lazy("Ask the family for the right email address and correct it in Census.")

# What to do about a call status code; any other is the provider's or our own affair.
ADVICE = {
    **dict.fromkeys((3, 7, 16, -2, -7, -19, -21, -23), CORRECT_NUMBER),
    **dict.fromkeys((0, 1, 2, 4, 9, 14, 17, -10, -13, -24, -26, -34), TRY_AGAIN),
    **dict.fromkeys((-18, -31, -36, -37), CALLER_ID),
    **dict.fromkeys((-3, -15, -22), RESPECT),
    **dict.fromkeys((-9, -11), MORE_TIME),
    -40: TEXT_NUMBER,
}

# What `lines_statement` adds to the five columns of a line.
_MORE = """, coalesce(c.name, ''), d.device, d.mode, d.address, d.extension, d.private, d.code,
    d.outcome, d.tries"""
_SCHOOL = "LEFT JOIN messenger_school c ON c.id = d.school_id"


def reason_of(mode: str, code: int | None, outcome: str) -> str:
    """Why a delivery failed, in plain words."""
    if code is not None and mode in ("voice", "text"):
        return describe(code).note or describe(code).label
    if outcome == "expired":
        return _("Time ran out before it was sent.")
    if outcome == "unknown":
        return _("What became of it is not known.")
    if mode == "email":
        return _("The email could not be delivered.")
    return _("It could not be delivered.")


def advice_for(mode: str, code: int | None, outcome: str) -> str:
    """What a person can do about a failed delivery."""
    if code is not None and mode in ("voice", "text"):
        return str(ADVICE.get(code, TELL_SUPPORT))
    if outcome == "expired":
        return str(MORE_TIME)
    if mode == "email" and outcome == "failed":
        return str(CORRECT_EMAIL)
    return str(TELL_SUPPORT)


def write(
    message: Message, options: ReportOptions, scope: Scope, target: Path, progress: Progress
) -> None:
    """Writes the list, a batch at a time, in the order of the report."""
    encoding = "utf-8-sig" if options.bom else "utf-8"
    with target.open("w", encoding=encoding, newline="", buffering=1 << 20) as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                _("Recipient"),
                _("Student"),
                _("School"),
                _("Delivery Device"),
                _("Sent As"),
                _("Address"),
                _("Call Status Code"),
                _("Status"),
                _("Tries"),
                _("Time"),
                _("Reason"),
                _("What to Do"),
            ]
        )
        for rows in _failed_rows(message, options, scope, progress):
            writer.writerows(_guarded(row) for row in rows)
            progress.add(len(rows))


def _guarded(row: list[str]) -> list[str]:
    """The row, safe in a spreadsheet. Code and status are ours: -2 is a number there, and "-2
    Invalid Phone #" no formula (see `csv`)."""
    return [cell if place in (6, 7) else guarded(cell) for place, cell in enumerate(row)]


def _failed_rows(
    message: Message, options: ReportOptions, scope: Scope, progress: Progress
) -> Iterator[list[list[str]]]:
    schools = schools_of(scope)
    selection = Selection(
        message.pk,
        school_ids=None if schools is None else tuple(schools),
        devices=options.devices,
        status="failed",
    )
    wording = Wording(
        zone=District.current().time_zone,
        codes=words_of_codes(count(message.pk, schools).codes),
        star=False,
        duplicate="",
        see_private=options.see_private,
    )
    statement, parameters = lines_statement(selection, wording, more=_MORE, joined=_SCHOOL)
    name = f"work_list_{uuid4().hex}"
    with transaction.atomic(), connection.cursor() as cursor:
        total = count_lines(selection)
        cursor.execute(f"DECLARE {name} NO SCROLL CURSOR WITH HOLD FOR {statement}", parameters)
    try:
        progress.start(total)
        with connection.cursor() as cursor:
            while True:
                cursor.execute(f"FETCH FORWARD {FETCHED_AT_ONCE} FROM {name}")
                rows = cursor.fetchall()
                if not rows:
                    return
                yield [_worded(row, options.see_private) for row in rows]
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"CLOSE {name}")


def _worded(row: tuple[Any, ...], see_private: bool) -> list[str]:
    recipient, student, _device, status, time, school, device, mode, address, extension = row[:10]
    private, code, outcome, tries = row[10:]
    if private and not see_private:
        shown = _("Private address") if mode == "email" else _("Private number")
    else:
        shown = national(address)
        if extension:
            shown = f"{shown} {_('ext.')} {extension}"
    sent_as = {"voice": _("Call"), "text": _("Text"), "email": _("Email"), "inbox": _("Inbox")}
    return [
        recipient,
        student,
        school,
        str(Device(device).label),
        sent_as.get(mode, ""),
        shown,
        "" if code is None else str(code),
        status,
        str(tries),
        time,
        reason_of(mode, code, outcome),
        advice_for(mode, code, outcome),
    ]
