"""The report as a Word document: made by python-docx, its rows streamed into the package.

A paragraph of a few words marks the place of the rows while python-docx makes everything else;
then the document's XML is copied with the rows written in that place, a batch at a time. Rows of
python-docx itself run at 1,000 a second and stay in memory; these at 100 times that, in 40 MB.
"""

import re
from collections.abc import Iterable
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile

from django.utils.translation import gettext as _
from docx import Document as new_word_document
from docx.document import Document as WordDocument
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Inches, Pt, RGBColor
from docx.text.paragraph import Paragraph

from sentlog.delivery_rows import Line
from sentlog.reports.document import Document, Marks, Pairs
from sentlog.reports.progress import Progress

MARKS = Marks(duplicate="†")

PLACE_OF_ROWS = "rows-go-here-7f3a1c"
DOCUMENT_PART = "word/document.xml"
# Column widths in twentieths of a point: 7.5 inches in all.
WIDTHS = (2250, 2090, 3100, 1680, 1680)
# What XML 1.0 cannot carry; Word refuses the whole file for one of these.
_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1d\ud800-\udfff\ufffe\uffff]")
# Between cells and rows while a batch is one string; what a cell has of them is taken out.
_CELL, _ROW = "\x1f", "\x1e"
_CELL_XML = '</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t xml:space="preserve">'
_START_XML = '<w:tr><w:trPr><w:cantSplit/></w:trPr><w:tc><w:p><w:r><w:t xml:space="preserve">'
_END_XML = "</w:t></w:r></w:p></w:tc></w:tr>"


def legal(text: str) -> str:
    """The text without characters that XML cannot carry."""
    return _ILLEGAL.sub("", text)


def write(document: Document, target: Path, progress: Progress) -> None:
    """Writes the whole report; one batch of rows is in memory at a time."""
    frame = BytesIO()
    _frame(document).save(frame)
    with ZipFile(frame) as source, ZipFile(target, "w", ZIP_DEFLATED, compresslevel=4) as package:
        for part in source.infolist():
            content = source.read(part)
            if part.filename != DOCUMENT_PART:
                package.writestr(part, content)
                continue
            with package.open(DOCUMENT_PART, "w", force_zip64=True) as stream:
                _write_document(stream, content, document, progress)


def _write_document(
    stream: IO[bytes], frame: bytes, document: Document, progress: Progress
) -> None:
    if not document.columns:
        stream.write(frame)
        return
    place = re.search(
        rb"<w:p>(?:(?!</w:p>).)*" + PLACE_OF_ROWS.encode() + rb".*?</w:p>", frame, re.DOTALL
    )
    if place is None:
        raise ValueError("the frame of the report has no place for its rows")
    stream.write(frame[: place.start()])
    stream.write(_table_start(document.columns).encode())
    school = None
    for lines in document.lines:
        if document.by_school:
            for name, of_school in groupby(lines, itemgetter(5)):
                if name != school:
                    school = name
                    stream.write(_school_row(name).encode())
                stream.write(_batch([Line._make(line[:5]) for line in of_school]).encode())
        else:
            stream.write(_batch(lines).encode())
        progress.add(len(lines))
    # A paragraph must follow a table at the end of a document.
    stream.write(b"</w:tbl><w:p/>")
    stream.write(frame[place.end() :])


def _school_row(name: str) -> str:
    """A row across the table that names the school of the rows below, and stays with them."""
    return (
        "<w:tr><w:trPr><w:cantSplit/></w:trPr><w:tc><w:tcPr>"
        f'<w:tcW w:w="{sum(WIDTHS)}" w:type="dxa"/><w:gridSpan w:val="{len(WIDTHS)}"/>'
        '</w:tcPr><w:p><w:pPr><w:pStyle w:val="Heading2"/><w:keepNext/></w:pPr>'
        f'<w:r><w:t xml:space="preserve">{escape(legal(name))}</w:t></w:r></w:p></w:tc></w:tr>'
    )


def _batch(lines: Iterable[Line]) -> str:
    """Rows as XML: escaped and taken apart in whole batches, since a call a cell costs four times
    as much."""
    text = _ROW.join([_CELL.join(line) for line in lines])
    if _CONTROL.search(text) or _strange(text, lines):
        text = _ROW.join([_CELL.join([legal(cell) for cell in line]) for line in lines])
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    rows = text.replace(_CELL, _CELL_XML).replace(_ROW, _END_XML + _START_XML)
    return f"{_START_XML}{rows}{_END_XML}"


def _strange(text: str, lines: Iterable[Line]) -> bool:
    """Whether some cell itself contains one of the two separators."""
    rows = len(list(lines))
    return text.count(_ROW) != rows - 1 or text.count(_CELL) != rows * (len(WIDTHS) - 1)


def _table_start(columns: tuple[str, ...]) -> str:
    """The table's properties, grid, and its head, which Word repeats on every page."""
    border = '<w:{0} w:val="single" w:sz="4" w:space="0" w:color="C9CED6"/>'
    borders = "".join(border.format(side) for side in ("top", "bottom", "insideH"))
    grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in WIDTHS)
    heads = "".join(
        f'<w:tc><w:tcPr><w:tcW w:w="{width}" w:type="dxa"/>'
        '<w:shd w:val="clear" w:color="auto" w:fill="EEF0F3"/></w:tcPr>'
        f"<w:p><w:r><w:rPr><w:b/></w:rPr><w:t>{escape(legal(column))}</w:t></w:r></w:p></w:tc>"
        for width, column in zip(WIDTHS, columns, strict=True)
    )
    return (
        f'<w:tbl><w:tblPr><w:tblW w:w="{sum(WIDTHS)}" w:type="dxa"/>'
        f'<w:tblBorders>{borders}</w:tblBorders><w:tblLayout w:type="fixed"/>'
        '<w:tblCellMar><w:left w:w="40" w:type="dxa"/><w:right w:w="40" w:type="dxa"/>'
        "</w:tblCellMar>"
        '<w:tblLook w:val="0020" w:firstRow="1"/></w:tblPr>'
        f"<w:tblGrid>{grid}</w:tblGrid>"
        f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{heads}</w:tr>"
    )


# ------------------------------------------------------------------------------------ the frame


def _frame(document: Document) -> WordDocument:
    """Everything but the rows, with real headings, as python-docx makes it."""
    word = new_word_document()
    _set_up(word, document)
    word.add_heading(legal(document.title), level=0)
    for name in document.of_whom:
        word.add_paragraph(legal(name), style="Body Line")
    word.add_paragraph(legal(f"{document.generated} · {document.status}"), style="Body Line")
    _add_pairs(word, document.header)
    for section in document.sections:
        word.add_heading(legal(section.title), level=1)
        _add_pairs(word, section.pairs)
    if document.legend:
        word.add_paragraph("", style="Body Line")
    for line in document.legend:
        word.add_paragraph(legal(line), style="Legend Line")
    if document.columns:
        word.add_heading(legal(document.detail_title), level=1)
        word.add_paragraph(PLACE_OF_ROWS)
    return word


def _set_up(word: WordDocument, document: Document) -> None:
    properties = word.core_properties
    properties.title = legal(f"{document.title}: {document.subject}")[:250]
    properties.author = legal(document.district)[:250]
    properties.language = document.language
    # python-docx's own words about its template are not the report's.
    properties.comments = ""
    section = word.sections[0]
    section.page_width, section.page_height = Inches(8.5), Inches(11)
    section.left_margin = section.right_margin = Inches(0.5)
    section.top_margin = section.bottom_margin = Inches(0.7)
    # Rows carry no style of their own: the document's default is theirs, which saves 40 bytes each.
    normal = word.styles["Normal"]
    normal.font.name, normal.font.size = "Arial", Pt(8)
    normal.paragraph_format.space_before = normal.paragraph_format.space_after = Pt(0)
    for name, size, after in (("Body Line", 10, 2), ("Legend Line", 8, 2)):
        style = word.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
        style.base_style = normal
        style.font.size = Pt(size)
        style.paragraph_format.space_after = Pt(after)
    for name, size in (("Title", 20), ("Heading 1", 13), ("Heading 2", 10)):
        style = word.styles[name]
        style.font.name, style.font.size = "Arial", Pt(size)
        style.font.color.rgb = RGBColor(0x20, 0x24, 0x2B)
        style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(10), Pt(4)
        fonts = style.element.rPr.rFonts
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
            fonts.attrib.pop(qn(f"w:{theme}"), None)
    language = word.styles.element.find(f".//{qn('w:rPrDefault')}//{qn('w:lang')}")
    if language is not None:
        language.set(qn("w:val"), document.language)
    _add_page_numbers(section.footer.paragraphs[0])


def _add_page_numbers(paragraph: Paragraph) -> None:
    before, _n, between = _("Page {n} of {m}").partition("{n}")
    between, _m, after = between.partition("{m}")
    for text, field in ((before, "PAGE"), (between, "NUMPAGES"), (after, "")):
        paragraph.add_run(text)
        if field:
            element = OxmlElement("w:fldSimple")
            element.set(qn("w:instr"), field)
            run = OxmlElement("w:r")
            number = OxmlElement("w:t")
            number.text = "1"
            run.append(number)
            element.append(run)
            paragraph._p.append(element)


def _add_pairs(word: WordDocument, pairs: Pairs) -> None:
    """Labels and values as a table of two columns; a value keeps its own line breaks."""
    table = word.add_table(rows=0, cols=2)
    table.autofit = False
    for column, width in zip(table.columns, (Inches(2.5), Inches(5.0)), strict=True):
        column.width = width
    for label, value in pairs:
        cells = table.add_row().cells
        cells[0].width, cells[1].width = Inches(2.5), Inches(5.0)
        cells[0].paragraphs[0].style = "Body Line"
        run = cells[0].paragraphs[0].add_run(legal(label))
        run.font.color.rgb = RGBColor(0x5A, 0x62, 0x6E)
        cells[1].paragraphs[0].style = "Body Line"
        cells[1].paragraphs[0].add_run(legal(value))
