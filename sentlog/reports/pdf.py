"""The report as PDF, drawn line by line: nothing of it is held but the page at hand.

Letter paper, embedded fonts, title, language and an outline; heads of columns on every page, long
names wrapped and never cut, "Page 3 of 120" (the total is a form that is drawn last and shown on
every page, so that no page waits for it). What the report says is `document`'s business.
"""

import zlib
from pathlib import Path

from django.utils.translation import gettext as _
from reportlab.lib.pagesizes import LETTER
from reportlab.pdfbase.pdfdoc import PDFDictionary, PDFName, PDFStream
from reportlab.pdfgen.canvas import Canvas

from sentlog.reports.document import Document, Marks, Pairs, ReportTooLong
from sentlog.reports.progress import Progress
from sentlog.reports.typesetting import Typesetter, Words

MARKS = Marks(duplicate="†")

# Beyond this nobody reads a PDF, and viewers give up (ruling 38); CSV and DOCX have no such limit.
MAX_PAGES = 5_000

WIDTH, HEIGHT = LETTER
MARGIN = 38.0
TOP, BOTTOM = HEIGHT - 46, 52.0
INNER = WIDTH - 2 * MARGIN
SIZE, LEADING = 8.0, 11.0
# Left edges of Recipient, Student, Delivery Device, Status, Time; cells keep GAP to their right.
# Wide enough for "Household Phone (612) 555-7735 (text) †", "6 Answering Machine" and any time.
EDGES = (0.0, 112.0, 216.0, 370.0, 454.0, INNER)
GAP = 5.0
LINES_A_PAGE = int((TOP - BOTTOM - 2 * LEADING) / LEADING)

# Colours are set for filling and for outlines alike: bold and thin fonts are outlined.
INK = "0.13 0.15 0.18 rg 0.13 0.15 0.18 RG"
GREY = "0.38 0.41 0.45 rg 0.38 0.41 0.45 RG"
RULE = "0.82 0.84 0.87 RG"
TOTAL_PAGES = "total_pages"


def too_long(rows: int) -> ReportTooLong:
    """A PDF of this report would have more pages than MAX_PAGES."""
    return ReportTooLong(
        _(
            "%(rows)s rows do not fit into a PDF of %(pages)s pages. Choose CSV or DOCX, fewer "
            "devices, or Failed Delivery."
        )
        % {"rows": f"{rows:,}", "pages": f"{MAX_PAGES:,}"}
    )


def write(document: Document, target: Path, progress: Progress) -> None:
    """Writes the whole report. Raises ReportTooLong before a page is drawn when it can be seen."""
    if document.rows_total > MAX_PAGES * LINES_A_PAGE:
        raise too_long(document.rows_total)
    canvas = Canvas(
        str(target), pagesize=LETTER, pageCompression=1, lang=document.language, initialFontSize=8
    )
    canvas.setTitle(f"{document.title}: {document.subject}")
    canvas.setAuthor(document.district)
    canvas.setSubject(document.title)
    canvas.setViewerPreference("DisplayDocTitle", "true")
    pages = _Pages(canvas, document)
    pages.draw_head()
    for section in document.sections:
        pages.draw_section(section.title, section.pairs)
    if document.legend:
        pages.draw_legend(document.legend)
    if document.columns:
        pages.draw_rows(progress)
    pages.finish()
    canvas.save()


class _Pages:
    """The page at hand: operations collected in a list, the pen's height, and the running parts."""

    def __init__(self, canvas: Canvas, document: Document) -> None:
        self.canvas = canvas
        self.document = document
        self.small = Typesetter(canvas, SIZE)
        self.normal = Typesetter(canvas, 9)
        self.title = Typesetter(canvas, 16)
        self.heading = Typesetter(canvas, 11.5)
        self.number = 1
        self.y = TOP
        self.operations: list[str] = [INK]
        self.in_rows = False

    # ------------------------------------------------------------------------------ small parts

    def text(
        self, setter: Typesetter, x: float, y: float, text: str, *, bold: bool = False
    ) -> None:
        self.words(setter, x, y, setter.set(text), bold=bold)

    def words(
        self, setter: Typesetter, x: float, y: float, words: Words, *, bold: bool = False
    ) -> None:
        # Bold is drawn: glyphs filled and outlined by a hair, since the font file is the regular.
        shown = words.operations
        if bold:
            shown = f"2 Tr {setter.size * 0.034:.2f} w {shown} 0 Tr"
        self.operations.append(
            f"BT {setter.font_operation} 1 0 0 1 {MARGIN + x:.1f} {y:.1f} Tm {shown} ET"
        )

    def rule(self, y: float) -> None:
        self.operations.append(
            f"q {RULE} 0.5 w {MARGIN:.1f} {y:.1f} m {MARGIN + INNER:.1f} {y:.1f} l S Q"
        )

    def need(self, height: float) -> None:
        """Starts a new page when less than this is left."""
        if self.y - height < BOTTOM:
            self.turn()

    def turn(self) -> None:
        self._close_page()
        if self.number >= MAX_PAGES:
            raise too_long(self.document.rows_total)
        self.number += 1
        self.operations = [INK]
        self.y = TOP
        line, *rest = self.small.wrapped(
            f"{self.document.title} · {self.document.subject} · {self.document.place}", INNER - 10
        )
        self.operations.append(GREY)
        if rest:
            self.text(self.small, self.small.size * line.width / 1000, TOP + 8, "…")
        self.words(self.small, 0, TOP + 8, line)
        self.operations.append(INK)
        self.rule(TOP + 3)
        self.y = TOP - LEADING
        if self.in_rows:
            self._column_heads()

    def _close_page(self) -> None:
        """Running foot: page n of m, and when it was generated."""
        self.operations.append(GREY)
        page = _("Page %(n)s of") % {"n": f"{self.number:,}"} + " "
        self.text(self.small, 0, 30, page)
        generated = self.document.generated
        self.text(self.small, INNER - self.small.width(generated), 30, generated)
        self.canvas.addLiteral("\n".join(self.operations))
        self.canvas.saveState()
        self.canvas.translate(MARGIN + self.small.width(page), 30)
        self.canvas.doForm(TOTAL_PAGES)
        self.canvas.restoreState()
        self.canvas.showPage()
        self._pack_page()

    def _pack_page(self) -> None:
        """Compresses the page now: reportlab would hold 25 kB of every page until it saves (38 MB
        for 100,000 rows), and the progress bar would wait at its end for all of them."""
        page = self.canvas._doc.Pages.pages[-1]
        content = zlib.compress(page.stream.encode("latin-1"), 4) + b"\n"
        page.Contents = PDFStream(PDFDictionary({"Filter": PDFName("FlateDecode")}), content)
        page.stream = None

    def finish(self) -> None:
        self._close_page()
        self.canvas.beginForm(TOTAL_PAGES, 0, -4, 40, 10)
        words = self.small.set(f"{self.number:,}")
        self.canvas.addLiteral(
            f"{GREY} BT {self.small.font_operation} 1 0 0 1 0 0 Tm {words.operations} ET"
        )
        self.canvas.endForm()

    # --------------------------------------------------------------------------------- the front

    def _bookmark(self, title: str, key: str, level: int = 0) -> None:
        self.canvas.bookmarkHorizontalAbsolute(key, self.y + 14)
        self.canvas.addOutlineEntry(title, key, level=level, closed=level == 0)

    def draw_head(self) -> None:
        document = self.document
        self._bookmark(document.title, "report")
        self.y -= 8
        self.text(self.title, 0, self.y, document.title, bold=True)
        self.y -= 18
        for name in document.of_whom:
            for line in self.normal.wrapped(name, INNER):
                self.words(self.normal, 0, self.y, line)
                self.y -= 12
        self.text(self.normal, 0, self.y, f"{document.generated} · {document.status}")
        self.y -= 10
        self.rule(self.y)
        self.y -= 14
        self.draw_pairs(document.header, 130)

    def draw_section(self, title: str, pairs: Pairs) -> None:
        self._heading(title)
        short = all(len(value) <= 22 for _label, value in pairs)
        if short and len(pairs) > 6:
            self._draw_grid(pairs)
        else:
            self.draw_pairs(pairs, 190)

    def _heading(self, title: str) -> None:
        self.need(60)
        self.y -= 12
        self._bookmark(title, f"section {title}")
        self.text(self.heading, 0, self.y, title, bold=True)
        self.y -= 5
        self.rule(self.y)
        self.y -= 13

    def draw_pairs(self, pairs: Pairs, indent: float) -> None:
        """Labels at the left, values beside them, as many lines as they need."""
        for label, value in pairs:
            labels = self.normal.wrapped(label, indent - GAP)
            values = [
                line
                for paragraph in value.splitlines() or [""]
                for line in self.normal.wrapped(paragraph, INNER - indent)
            ]
            for number in range(max(len(labels), len(values))):
                self.need(12)
                if number < len(labels):
                    self.operations.append(GREY)
                    self.words(self.normal, 0, self.y, labels[number])
                    self.operations.append(INK)
                if number < len(values):
                    self.words(self.normal, indent, self.y, values[number])
                self.y -= 12
            self.y -= 2

    def _draw_grid(self, pairs: Pairs) -> None:
        """Short figures in two columns, read down and then right, as the source prints them."""
        half = (len(pairs) + 1) // 2
        column = INNER / 2
        self.need(half * 13)
        for number, (label, value) in enumerate(pairs):
            x = column * (number // half)
            y = self.y - 13 * (number % half)
            self.operations.append(GREY)
            self.text(self.normal, x, y, label)
            self.operations.append(INK)
            shown = self.normal.set(value)
            right = x + column - 24 - shown.width * self.normal.size / 1000
            self.words(self.normal, right, y, shown, bold=True)
        self.y -= half * 13

    def draw_legend(self, lines: list[str]) -> None:
        self.need(20 + 12 * len(lines))
        self.y -= 8
        self.operations.append(GREY)
        for text in lines:
            for words in self.small.wrapped(text, INNER):
                self.need(LEADING)
                self.words(self.small, 0, self.y, words)
                self.y -= LEADING
        self.operations.append(INK)

    # ---------------------------------------------------------------------------------- the rows

    def _column_heads(self) -> None:
        for edge, column in zip(EDGES, self.document.columns, strict=False):
            self.text(self.small, edge, self.y, column, bold=True)
        self.y -= 4
        self.rule(self.y)
        self.y -= LEADING - 1

    def draw_rows(self, progress: Progress) -> None:
        """The rows, with an entry of the outline for every first letter."""
        self._heading(self.document.detail_title)
        self._column_heads()
        self.in_rows = True
        letter = recipient = school = ""
        level = 2 if self.document.by_school else 1
        for lines in self.document.lines:
            for line in lines:
                if level == 2 and line[5] != school:  # type: ignore[misc]
                    school = line[5]  # type: ignore[misc]
                    letter = recipient = ""
                    self._school(school)
                if line[0] != recipient:
                    if recipient and self.y < TOP - 3 * LEADING:
                        self.rule(self.y + LEADING - 2.6)
                    recipient = line[0]
                first = recipient[:1].upper()
                if first != letter:
                    letter = first
                    self._bookmark(first, f"letter {first} {self.number} {self.y}", level=level)
                self._row(line[:5])
            progress.add(len(lines))
        self.in_rows = False

    def _school(self, name: str) -> None:
        """A heading across the rows, never alone at the foot of a page."""
        shown = self.normal.wrapped(name, INNER)
        self.need(12 * len(shown) + 3 * LEADING)
        self.y -= 4
        self._bookmark(name, f"school {name} {self.number} {self.y}", level=1)
        for line in shown:
            self.words(self.normal, 0, self.y, line, bold=True)
            self.y -= 12
        self.y -= 1

    def _row(self, line: tuple[str, ...]) -> None:
        setter, scale = self.small, SIZE / 1000
        cells = [setter.set(cell) for cell in line]
        for number, cell in enumerate(cells):
            if cell.width * scale > EDGES[number + 1] - EDGES[number] - GAP:
                self._tall_row(line)
                return
        if self.y < BOTTOM:
            self.turn()
        y = f"{self.y:.1f}"
        shown = [
            f"1 0 0 1 {edge} {y} Tm {cell.operations}"
            for edge, cell in zip(_ABSOLUTE_EDGES, cells, strict=True)
            if cell.width
        ]
        self.operations.append(f"BT {setter.font_operation} {' '.join(shown)} ET")
        self.y -= LEADING

    def _tall_row(self, line: tuple[str, ...]) -> None:
        columns = [
            self.small.wrapped(cell, EDGES[number + 1] - EDGES[number] - GAP)
            for number, cell in enumerate(line)
        ]
        height = max(len(column) for column in columns)
        self.need(LEADING * (height - 1))
        for number, column in enumerate(columns):
            for depth, words in enumerate(column):
                self.words(self.small, EDGES[number], self.y - depth * LEADING, words)
        self.y -= LEADING * height


_ABSOLUTE_EDGES = tuple(f"{MARGIN + edge:.1f}" for edge in EDGES[:-1])
