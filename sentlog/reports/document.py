"""What a Sent Message Report says, before any format: sections as words, rows as a stream.

The order of the sections is the source's (B4-11): header, Delivery Summary, Filter Criteria Detail,
Message Detail, a legend, Delivery Detail. Figures and rows come from one snapshot of the database,
so that a report of a running message agrees with itself. How it looks is each format's business.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messenger.models import Device, District, Message
from messenger.rights import Scope
from sentlog.counting import Figures, count
from sentlog.delivery_rows import (
    Line,
    Selection,
    Wording,
    count_lines,
    lines_statement,
    words_of_codes,
)
from sentlog.summary import schools_of
from sentlog.words import caller_id, criteria_of, report_time, status_text, where

ALL, SUMMARY, FAILED = "all", "summary", "failed"
# No report of the source: a list of what failed, for whoever corrects it (`work_list`).
WORK_LIST = "work_list"
FETCHED_AT_ONCE = 2_000

# What `lines_statement` needs to put the rows of each school together.
BY_SCHOOL = {
    "more": ", coalesce(c.name, %(no_school)s)",
    "joined": "LEFT JOIN messenger_school c ON c.id = d.school_id",
    "before": "c.name NULLS LAST, c.id, ",
}

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class ReportOptions:
    """What was marked under Sent Message Report Options (B4-02 to B4-09).

    `devices` are values of `Device`, None for all that were used; `see_private` is the right of the
    one who asked; `by_school` puts the rows of each school together, by recipient within; `bom`
    starts a CSV file with the mark that Excel needs to read UTF-8.
    """

    detail: str = ALL
    devices: tuple[str, ...] | None = None
    see_private: bool = False
    by_school: bool = False
    bom: bool = True


class ReportTooLong(Exception):
    """More rows than anybody can use in this format; `words` are for the page."""

    def __init__(self, words: str) -> None:
        self.words = words
        super().__init__(words)


@dataclass(frozen=True)
class Marks:
    """The sign of a repeated address or number: † in PDF and DOCX, & in CSV (B5-09, X-32)."""

    duplicate: str = "†"


@dataclass(frozen=True)
class Section:
    """A titled list of labels and values."""

    title: str
    pairs: Pairs


@dataclass
class Document:
    """A report as words. `lines` may be read once; `rows_total` says how many there will be.

    Without `columns` there is no Delivery Detail (a Summary has none, B4-06). With `by_school` each
    line has the name of its school as a sixth value, and the lines of a school follow each other.
    """

    language: str
    title: str
    district: str
    place: str
    generated: str
    status: str
    header: Pairs
    sections: list[Section]
    legend: list[str] = field(default_factory=list)
    detail_title: str = ""
    columns: tuple[str, ...] = ()
    by_school: bool = False
    rows_total: int = 0
    lines: Iterator[list[Line]] = field(default_factory=lambda: iter(()))

    @property
    def subject(self) -> str:
        return self.header[0][1]

    @property
    def of_whom(self) -> list[str]:
        """Who sent it: the district, and below it the schools when they are not all of it."""
        return [self.district] if self.place == self.district else [self.district, self.place]


@contextmanager
def open_document(
    message: Message, options: ReportOptions, scope: Scope, marks: Marks, language: str
) -> Iterator[Document]:
    """Reads what the report will say; its rows are fetched while the caller consumes `lines`.

    The cursor is held by the server after its transaction has ended: a report of half an hour keeps
    no transaction open, and its progress can be committed on the same connection.
    """
    district = District.current()
    schools = schools_of(scope)
    with transaction.atomic():
        if len(connection.savepoint_ids) == 0:
            # The figures and the rows of one moment; inside a caller's transaction it decides.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        message.refresh_from_db()
        figures = count(message.pk, schools)
        document = _words(message, figures, options, district, marks, language)
        name = f"report_{uuid4().hex}"
        if options.detail != SUMMARY:
            selection = Selection(
                message.pk,
                school_ids=None if schools is None else tuple(schools),
                devices=options.devices,
                failed_only=options.detail == FAILED,
            )
            wording = Wording(
                zone=district.time_zone,
                codes=words_of_codes(figures.codes),
                star=district.voice_enabled,
                duplicate=f" {marks.duplicate}",
                see_private=options.see_private,
            )
            document.rows_total = (
                count_lines(selection)
                if options.devices is not None or selection.failed_only
                else figures.rows
            )
            document.by_school = options.by_school
            statement, parameters = lines_statement(
                selection, wording, **(BY_SCHOOL if options.by_school else {})
            )
            parameters["no_school"] = _("No school")
            with connection.cursor() as cursor:
                # Sorting 100,000 lines takes 22 MB; the default of 4 would go to temporary files.
                cursor.execute("SET LOCAL work_mem = '64MB'")
                cursor.execute(
                    f"DECLARE {name} NO SCROLL CURSOR WITH HOLD FOR {statement}", parameters
                )
            document.lines = _fetched(name)
    try:
        yield document
    finally:
        if document.columns:
            with connection.cursor() as cursor:
                cursor.execute(f"CLOSE {name}")


def _fetched(name: str) -> Iterator[list[Line]]:
    with connection.cursor() as cursor:
        while True:
            cursor.execute(f"FETCH FORWARD {FETCHED_AT_ONCE} FROM {name}")
            rows: list[Line] = cursor.fetchall()
            if not rows:
                return
            yield rows


def _words(
    message: Message,
    figures: Figures,
    options: ReportOptions,
    district: District,
    marks: Marks,
    language: str,
) -> Document:
    zone = district.zone
    modes = set(message.modes.values_list("mode", flat=True))
    document = Document(
        language=language,
        title=_("Sent Message Report"),
        district=district.name,
        place=where(message, district),
        generated=_("Generated on %(time)s")
        % {"time": report_time(timezone.now(), zone, seconds=True)},
        status=_("Message Status: %(status)s") % {"status": status_text(message)},
        header=[
            (_("Subject"), message.subject),
            (_("Type"), message.type_label),
            (_("Sender"), message.sender_name),
            (_("Date Created"), report_time(message.created_at, zone)),
            (_("Include Recipient Devices"), _device_names(figures, options)),
            (_("Time zone"), district.time_zone),
        ],
        sections=[
            Section(_("Delivery Summary"), delivery_summary(message, figures, options, district))
        ],
    )
    if options.detail == SUMMARY:
        return document
    if options.detail == ALL:
        if pairs := criteria_of(message):
            document.sections.append(Section(_("Filter Criteria Detail"), pairs))
        pairs = message_detail(message, modes, district)
        document.sections.append(Section(_("Message Detail"), pairs))
    document.legend = legend(modes, marks, district)
    document.detail_title = _("Delivery Detail")
    document.columns = (
        _("Recipient"),
        _("Student"),
        _("Delivery Device"),
        _("Status"),
        _("Time"),
    )
    return document


def _device_names(figures: Figures, options: ReportOptions) -> str:
    shown = [
        str(device.label)
        for device in Device
        if figures.devices.get(device) and (options.devices is None or device in options.devices)
    ]
    return ", ".join(shown) or _("None")


def delivery_summary(
    message: Message, figures: Figures, options: ReportOptions, district: District
) -> Pairs:
    """Delivery Summary, field by field (B4-13). Total No Device only when No Device is marked
    (B5-15, X-10), phone totals only where voice is enabled (B5-01)."""

    def number(value: int) -> str:
        return f"{value:,}"

    minutes = minutes_of(message)
    pairs = [
        (_("Start Time"), report_time(message.launched_at, district.zone)),
        (_("End Time"), report_time(message.finished_at, district.zone)),
        (
            _("Duration"),
            ngettext("%(n)s minute", "%(n)s minutes", minutes) % {"n": number(minutes)},
        ),
        (_("Total Recipients"), number(figures.total_recipients)),
    ]
    if options.devices is None or Device.NONE in options.devices:
        pairs.append((_("Total No Device"), number(figures.total_no_device)))
    pairs += [
        (_("Total Inbox"), number(figures.total_inbox)),
        (_("Total Emails"), number(figures.total_emails)),
    ]
    if district.voice_enabled:
        pairs += [
            (_("Total Voice"), number(figures.total_voice)),
            (_("Total Text"), number(figures.total_text)),
            (_("Total Voice Attempted"), number(figures.total_voice_attempted)),
            (_("Total Text Messages Attempted"), number(figures.total_text_attempted)),
            (_("Recipients contacted successfully by phone"), number(figures.contacted)),
            (_("Recipients not contacted by phone"), number(figures.not_contacted)),
        ]
    return pairs


def minutes_of(message: Message) -> int:
    """Whole minutes from start to end, rounded down (X-34); up to now while it runs."""
    if message.launched_at is None:
        return 0
    end = message.finished_at or timezone.now()
    return max(0, int((end - message.launched_at).total_seconds() // 60))


def message_detail(message: Message, modes: set[str], district: District) -> Pairs:
    """Message Detail in the source's order, the fields of the modes used (B7-15 to B7-20)."""
    pairs = []
    if message.schedule_name:
        pairs.append((_("Schedule Name"), message.schedule_name))
    pairs += [
        (_("Message Type"), message.type_label),
        (_("District/School"), where(message, district)),
    ]
    # As it was when the message was confirmed, by whoever sends its emails (B7-16).
    if "email" in modes and (address := message.settings_frozen.get("sender_email")):
        pairs.append((_("Sender's Email"), address))
    number = message.settings_frozen.get("caller_id", "")
    if "voice" in modes and number:
        pairs.append((_("Caller ID"), caller_id(number)))
    pairs.append((_("Message Subject"), message.subject))
    if "voice" in modes and message.voice_text:
        pairs.append((_("Voice Message"), message.voice_text))
    if "text" in modes and message.text_body:
        pairs.append((_("Message Text"), message.text_body))
    # Who an answer by email goes to; frozen when the message was confirmed (B4-15).
    if reply_to := message.settings_frozen.get("reply_to"):
        pairs.append((_("Reply To Email"), reply_to))
    if modes & {"email", "inbox"} and message.email_body:
        pairs.append((_("Message Body"), message.email_body))
    return pairs


def legend(modes: set[str], marks: Marks, district: District) -> list[str]:
    """What the signs and totals mean, in plain words (B5-06, B5-08, B5-09, B8-04)."""
    lines = []
    if district.voice_enabled:
        lines.append(_("* This recipient was not contacted by phone: no call or text succeeded."))
    lines.append(
        _(
            "%(mark)s This address or number is listed above already. It is not counted again in "
            "the totals."
        )
        % {"mark": marks.duplicate}
    )
    if district.voice_enabled:
        lines.append(
            _(
                "A call succeeds when a person or an answering machine is reached, or when the "
                "recipient presses 0. A text succeeds when it is sent."
            )
        )
    if "text" in modes:
        lines.append(
            _(
                "A text that was sent may still not be read: that depends on the recipient's "
                "carrier, reception and account settings."
            )
        )
    lines.append(_("Canceled is not a failed delivery. Attempted totals leave it out."))
    return lines
