"""P7, the summary of a message, and P9, its reports as CSV, DOCX and PDF.

Both stand on a message whose calls have ended every way a call can. The limits read the same rows
by hand: two hash aggregates for the summary, and for reports the product's own statement through a
server-side cursor into the barest file of the format.
"""

import csv
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from pathlib import Path
from time import perf_counter
from typing import Any
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from django.db import connection, transaction
from django.utils import timezone
from reportlab.lib.pagesizes import LETTER
from reportlab.pdfgen.canvas import Canvas

from messenger.models import District, Message
from sentlog.counting import Figures
from sentlog.delivery_rows import Line, Selection, Wording, lines_statement, words_of_codes
from sentlog.models import MessageSummary
from sentlog.reports import csv as csv_report
from sentlog.reports import docx as docx_report
from sentlog.reports import pdf as pdf_report
from sentlog.reports.document import FETCHED_AT_ONCE
from sentlog.reports.writing import DISTRICT, write_report
from sentlog.summary import recompute, summary_of
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, execute
from tests.bench.launching import Expansion
from tests.bench.measure import Run, alternate, own_process, peaks_of, percentile, stopwatch

VIEWS = 200
# A PDF has at most 5,000 pages of 61 rows.
MOST_PDF_ROWS = 250_000

# How the calls of the message ended: a tenth is open, the others by the hash of the number.
RESULTS = """
    UPDATE messenger_delivery d SET state = 'done', outcome = r.outcome, code = r.code,
        tries = (r.code IS NOT NULL)::int,
        confirmed = r.code IS NOT DISTINCT FROM 5 AND d.id %% 10 = 0,
        result_at = now() - d.id %% 3600 * interval '1 s'
    FROM (VALUES (0, 45, 5, 'successful'), (45, 70, 6, 'successful'), (70, 80, 0, 'failed'),
        (80, 85, 3, 'failed'), (85, 90, NULL, 'canceled')) r (low, high, code, outcome)
    WHERE d.message_id = %s AND d.mode = 'voice' AND d.state <> 'done'
        AND mod(abs(hashtext(d.address)::bigint), 100) >= r.low
        AND mod(abs(hashtext(d.address)::bigint), 100) < r.high"""


def make_message(ground: Ground, rows: int) -> Message:
    """A message of about so many rows with results, and with nothing of others in the ledger."""
    side = Expansion(ground, rows)
    side.subject()
    assert side.message is not None
    message = side.message
    execute(RESULTS, [message.pk])
    # Each row has two versions now; what is read shall be as a collected message is.
    execute("VACUUM FULL messenger_delivery")
    execute("ANALYZE messenger_delivery")
    Message.objects.filter(pk=message.pk).update(results_changed_at=timezone.now())
    message.refresh_from_db()
    execute("CHECKPOINT")
    return message


# ------------------------------------------------------------------------------------ P7, summary

TRIED = """(outcome NOT IN ('canceled', 'opted_out', 'not_eligible', 'no_device') AND (tries > 0
    OR state = 'submitted' OR (state = 'done'
        AND reason NOT IN ('invalid_number', 'do_not_contact', 'extension'))))"""
BY_VALUE = f"""
    SELECT mode, count(*), count(*) FILTER (WHERE tried) FROM (
        SELECT mode, address, bool_or({TRIED}) AS tried FROM messenger_delivery
        WHERE message_id = %s AND mode IN ('email', 'voice', 'text') GROUP BY mode, address
    ) by_value GROUP BY mode"""
BY_PERSON = """
    SELECT count(*), count(*) FILTER (WHERE reached), count(*) FILTER (WHERE NOT device),
        count(*) FILTER (WHERE inbox), sum(rows), sum(done) FROM (
        SELECT bool_or(mode IN ('voice', 'text') AND (confirmed OR outcome = 'successful'))
                AS reached, bool_or(mode <> 'none') AS device,
            bool_or(mode = 'inbox' AND outcome IN ('', 'successful')) AS inbox,
            count(*) AS rows, count(*) FILTER (WHERE state = 'done') AS done
        FROM messenger_delivery WHERE message_id = %s GROUP BY recipient_id
    ) by_person"""


class Summing:
    """Both sides of P7 for a message of about `rows` deliveries."""

    def __init__(self, ground: Ground, rows: int) -> None:
        self.message = make_message(ground, rows)
        self.rows = int(
            ask("SELECT count(*) FROM messenger_delivery WHERE message_id = %s", [self.message.pk])[
                0
            ]
        )

    def subject(self) -> Run:
        """Counts and stores with the product's verb; the figures are read back as stored."""
        MessageSummary.objects.filter(message=self.message).delete()
        with stopwatch() as watch:
            recompute(self.message.pk)
        stored = MessageSummary.objects.get(message=self.message)
        f = Figures.from_json(stored.figures)
        return Run(
            watch.seconds,
            (
                (f.total_emails, f.total_emails_attempted),
                (f.total_voice, f.total_voice_attempted),
                (f.total_text, f.total_text_attempted),
                (f.total_recipients, f.contacted, f.total_no_device, f.total_inbox),
                (f.rows, f.rows_done),
            ),
        )

    def limit(self) -> Run:
        with stopwatch() as watch, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute(BY_VALUE, [self.message.pk])
            by_mode = {mode: (total, tried) for mode, total, tried in cursor.fetchall()}
            cursor.execute(BY_PERSON, [self.message.pk])
            *by_person, rows, done = cursor.fetchone()
        totals = tuple(by_mode.get(mode, (0, 0)) for mode in ("email", "voice", "text"))
        return Run(watch.seconds, (*totals, tuple(by_person), (int(rows), int(done))))

    def serve(self) -> float:
        """The 95th percentile of the seconds in which a page gets the stored figures."""
        taken = []
        for _view in range(VIEWS):
            with stopwatch() as watch:
                figures = summary_of(self.message, DISTRICT)
            assert figures.rows == self.rows
            taken.append(watch.seconds)
        return percentile(taken, 0.95)


def measure_summary(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    both = Summing(ground, ground.size.rows)
    compared = alternate(both.subject, both.limit, rounds=ground.size.rounds)
    return [
        Figure(
            "P7",
            "summary of a message: count all totals, store",
            both.rows,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=1.3,
            peak_mb=compared.peak_mb,
            note="Same figures on both sides. Limit: two hash aggregates by hand, by number and by "
            "recipient; ours also counts rows by device, outcome and code, and stores them.",
        ),
        Figure(
            "P7 served",
            "p95 of a summary as a page asks for it",
            both.rows,
            both.serve(),
            goal_seconds=0.05,
            note=f"{VIEWS} times from the stored row.",
        ),
    ]


# ------------------------------------------------------------------------------------ P9, reports


class Reporting:
    """Both sides of P9 for a message of about `rows` deliveries."""

    def __init__(self, ground: Ground, rows: int) -> None:
        self.message = make_message(ground, rows)
        self.folder = ground.folder
        self.rows = 0
        # Seconds until the first word, and until the first that says how many rows there will be.
        self.first_word = self.first_total = 0.0

    def subject(self, format: str) -> Run:
        target = self.folder / f"ours.{format}"
        words: list[tuple[float, int]] = []
        with stopwatch() as watch:
            began = perf_counter()
            self.rows = write_report(
                self.message,
                format,
                target,
                progress=lambda _done, total: words.append((perf_counter() - began, total)),
            )
        self.first_word = max(self.first_word, words[0][0])
        self.first_total = max(self.first_total, next(at for at, total in words if total))
        return Run(watch.seconds, evidence_of(target, self.rows))

    def limit(self, format: str) -> Run:
        target = self.folder / f"limit.{format}"
        write, marks = LIMITS[format]
        with stopwatch() as watch:
            rows = write(self._lines(marks.duplicate), target)
        return Run(watch.seconds, evidence_of(target, rows))

    def _lines(self, duplicate: str) -> Iterator[list[Line]]:
        """The lines of the whole report, by the product's statement, as a server's cursor."""
        district = District.current()
        stored = MessageSummary.objects.filter(message=self.message, schools=None).first()
        codes = stored.figures["codes"] if stored else {}
        wording = Wording(
            zone=district.time_zone,
            codes=words_of_codes(codes),
            star=district.voice_enabled,
            duplicate=f" {duplicate}",
        )
        statement, parameters = lines_statement(Selection(self.message.pk), wording)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '64MB'")
            cursor.execute(f"DECLARE limit_rows NO SCROLL CURSOR FOR {statement}", parameters)
            while True:
                cursor.execute(f"FETCH FORWARD {FETCHED_AT_ONCE} FROM limit_rows")
                if not (lines := cursor.fetchall()):
                    return
                yield lines

    def figure(self, format: str, goal: float, rounds: int, note: str) -> Figure:
        """Measures one format."""
        recompute(self.message.pk)  # the codes of the message, which the limit's statement words
        self.first_word = self.first_total = 0.0
        rest: dict[str, float] = {}
        with peaks_of(own_process(), rest):
            pass
        compared = alternate(
            lambda: self.subject(format), lambda: self.limit(format), rounds=rounds
        )
        for side in ("ours", "limit"):
            (self.folder / f"{side}.{format}").unlink()
        return Figure(
            f"P9 {format}",
            f"report of these rows as {format.upper()}",
            self.rows,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=goal,
            peak_mb=compared.peak_mb - rest["bench"],
            note=f"{note} First sign of progress after {self.first_word:.3f} s (goal 1 s), number "
            f"of rows known after {self.first_total:.2f} s. Memory: what the report needs beyond "
            f"the {rest['bench']:.0f} MB that the process (Django, Celery, the libraries of all "
            f"formats) held before it began, {compared.peak_mb:.0f} MB in all; goal "
            "100 MB.",
        )


def write_bare_csv(batches: Iterable[list[Line]], target: Path) -> int:
    rows = 0
    with target.open("w", encoding="utf-8", newline="", buffering=1 << 20) as file:
        writer = csv.writer(file)
        for lines in batches:
            writer.writerows(lines)
            rows += len(lines)
    return rows


BARE_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
BARE_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Target="word/document.xml" Type='
    '"http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"/>'
    "</Relationships>"
)
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
BARE_START = "<w:tr><w:tc><w:p><w:r><w:t>"
BARE_CELL = "</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>"
BARE_END = "</w:t></w:r></w:p></w:tc></w:tr>"


def write_bare_docx(batches: Iterable[list[Line]], target: Path) -> int:
    rows = 0
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=4) as package:
        package.writestr("[Content_Types].xml", BARE_TYPES)
        package.writestr("_rels/.rels", BARE_RELATIONS)
        with package.open("word/document.xml", "w", force_zip64=True) as stream:
            stream.write(f'<w:document xmlns:w="{WORD}"><w:body><w:tbl>'.encode())
            for lines in batches:
                text = escape("\x1e".join(["\x1f".join(line) for line in lines]))
                text = text.replace("\x1f", BARE_CELL).replace("\x1e", BARE_END + BARE_START)
                stream.write(f"{BARE_START}{text}{BARE_END}".encode())
                rows += len(lines)
            stream.write(b"</w:tbl><w:p/></w:body></w:document>")
    return rows


def write_bare_pdf(batches: Iterable[list[Line]], target: Path) -> int:
    """Operations written by hand on reportlab's pages, in a font that every viewer has, 61 rows a
    page; what Latin-1 lacks becomes a question mark."""
    canvas = Canvas(str(target), pagesize=LETTER, pageCompression=1, initialFontName="Helvetica")
    edges = [f"{pdf_report.MARGIN + edge:.1f}" for edge in pdf_report.EDGES]
    rows, place = 0, 0
    page: list[str] = []
    for lines in batches:
        for line in lines:
            if place == pdf_report.LINES_A_PAGE:
                _end_bare_page(canvas, page)
                page, place = [], 0
            y = f"{pdf_report.TOP - place * pdf_report.LEADING:.1f}"
            place += 1
            for edge, cell in zip(edges, line, strict=False):
                shown = cell.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
                page.append(f"1 0 0 1 {edge} {y} Tm ({shown}) Tj")
        rows += len(lines)
    _end_bare_page(canvas, page)
    canvas.save()
    return rows


def _end_bare_page(canvas: Canvas, page: list[str]) -> None:
    words = "\n".join(page).encode("latin-1", "replace").decode("latin-1")
    canvas.addLiteral(f"BT /F1 {pdf_report.SIZE} Tf {words} ET")
    canvas.showPage()


Writer = Callable[[Iterable[list[Line]], Path], int]
LIMITS: dict[str, tuple[Writer, Any]] = {
    "csv": (write_bare_csv, csv_report.MARKS),
    "docx": (write_bare_docx, docx_report.MARKS),
    "pdf": (write_bare_pdf, pdf_report.MARKS),
}


# -------------------------------------------------------------------------------------- evidence


def evidence_of(target: Path, rows: int) -> tuple[int, ...]:
    """What a file says: of CSV and DOCX the rows of five cells and a sum over them in their order;
    of a PDF, whose words lie in shaped runs of glyphs, the number of rows as written."""
    if target.suffix == ".csv":
        with target.open(encoding="utf-8-sig", newline="") as file:
            found = _summed("\x1f".join(row) for row in csv.reader(file) if len(row) == 5)
    elif target.suffix == ".docx":
        found = _summed(_rows_of_word(target))
    else:
        with target.open("rb") as file:
            assert file.read(5) == b"%PDF-"
        return (rows,)
    assert found[0] == rows, (found, rows)
    return found


def _summed(rows: Iterable[str]) -> tuple[int, int]:
    """Number and checksum of the rows, without the heads of columns."""
    number = checksum = 0
    for row in rows:
        if not row.startswith("Recipient\x1f"):
            number += 1
            checksum = zlib.crc32(row.encode(), checksum)
    return number, checksum


_TEXT = re.compile(r"<w:t(?: [^>]*)?>([^<]*)</w:t>")


def _rows_of_word(target: Path) -> Iterator[str]:
    """The rows of five cells of a document, read in pieces: memory is measured meanwhile."""
    with (
        ZipFile(target) as package,
        package.open("word/document.xml") as part,
        TextIOWrapper(part, "utf-8") as text,
    ):
        rest = ""
        while piece := text.read(1 << 18):
            *rows, rest = (rest + piece).split("</w:tr>")
            for row in rows:
                # What stands before the row is not its own.
                cells = _TEXT.findall(row[row.rindex("<w:tr>") :])
                if len(cells) == 5:
                    yield "\x1f".join(cells)


def measure_reports(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    rounds, rows = ground.size.rounds, ground.size.rows
    both = Reporting(ground, rows)
    figures = [
        both.figure(
            "csv",
            1.5,
            rounds,
            "Same rows in the same order on both sides. Limit: the same statement by a server's "
            "cursor into csv.writer.",
        ),
        both.figure(
            "docx",
            2.0,
            rounds,
            "Same rows in the same order on both sides. Limit: the same statement into a zip of "
            "bare table XML.",
        ),
    ]
    if rows > MOST_PDF_ROWS:
        both = Reporting(ground, MOST_PDF_ROWS)
    figures.append(
        both.figure(
            "pdf",
            2.5,
            rounds,
            "Same number of rows. Limit: the same statement into reportlab's canvas, each line as "
            "operations written by hand in Helvetica: no embedded font and so no letters beyond "
            "Latin-1, no wrapping, no head or foot. Larger messages are measured at "
            f"{MOST_PDF_ROWS:,} rows, as a PDF ends at 5,000 pages.",
        )
    )
    return figures
