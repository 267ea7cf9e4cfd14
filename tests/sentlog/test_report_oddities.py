"""Reports of hostile names, every script, long tables and messages that wait; their outlines."""

import csv
from pathlib import Path
from zipfile import ZipFile

import pytest
from docx import Document as open_word
from lxml import etree
from pypdf import PdfReader

from messenger.models import Message, School
from sentlog.reports import pdf
from sentlog.reports.document import ReportTooLong
from sentlog.reports.writing import write_report
from tests.sentlog.printed import (
    CELL,
    Report,
    make_every_end,
    read_pdf,
    table,
)
from tests.sentlog.rows import Ledger, make_district, make_message, make_person

pytestmark = pytest.mark.usefixtures("district")


@pytest.fixture
def message(school: School) -> Message:
    return make_every_end(school)


# ------------------------------------------------------------------------------- hostile and odd

AWKWARD = [
    '=HYPERLINK("http://evil.example","x"), A',
    "+1+1, B",
    "-2+3, C",
    "@SUM(A1), D",
    "\t=1, E",
    "＝1, F",
    "|calc, G",
    "%0A, H",
    "<b>Bold</b> & <script>, I",
    "]]>, J",
    "Back\\slash (paren), K",
    "Control\x01\x1f\x1ecode, L",
    "Line\nbreak, M",
]
SCRIPTS = ["محمد, علي", "כהן, שרה", "शर्मा, सुनीता", "Nguyễn, Hân", "王, 明", "김, 지훈", "ចាន់, អូន"]


@pytest.mark.parametrize("name", AWKWARD)
def test_names_are_data_in_every_format(name: str, report: Report, tmp_path: Path) -> None:
    make_district()
    message = make_message(subject=name)
    student = make_person(name)
    Ledger(message).add(make_person(name), "voice", CELL, student=student, outcome="failed", code=1)

    (row,) = table_of_csv(report, message, tmp_path)
    for cell in row[:2]:
        assert cell[0] not in "=+-@\t\r\n|%＝＋－＠"
    report(message, "docx")
    word = open_word(str(tmp_path / "report.docx"))
    shown = word.tables[-1].rows[1].cells[0].text
    assert shown.split(",")[0].replace("\n", " ") in clean(name)
    with ZipFile(tmp_path / "report.docx") as package:
        document = etree.fromstring(package.read("word/document.xml"))
    assert not document.findall(".//{*}instrText")
    assert not document.findall(".//{*}hyperlink")
    report(message, "pdf")
    for page in PdfReader(tmp_path / "report.pdf").pages:
        assert "/Annots" not in page


def table_of_csv(report: Report, message: Message, tmp_path: Path) -> list[list[str]]:
    report(message, "csv")
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    head = next(i for i, row in enumerate(rows) if row[:2] == ["Recipient", "Student"])
    return rows[head + 1 :]


def clean(name: str) -> str:
    return name.replace("\x01", "").replace("\x1f", "").replace("\x1e", "").replace("\n", " ")


def test_a_known_status_stays_readable_in_a_spreadsheet(message: Message, report: Report) -> None:
    assert ("-27 SMS Sent") in {row[3] for row in table(report(message, "csv"))}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_pdf_can_be_searched_in_every_script(name: str, tmp_path: Path) -> None:
    make_district()
    message = make_message(subject=name)
    Ledger(message).add(make_person(name), "voice", CELL)
    target = tmp_path / "report.pdf"
    write_report(message, "pdf", target)
    reader = PdfReader(target)
    assert reader.metadata is not None
    assert reader.metadata.title == f"Sent Message Report: {name}"
    fonts = {
        str(font.get_object()["/BaseFont"])
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    embedded = [font for font in fonts if "Noto" in font or "Arimo" in font]
    assert embedded
    told = b"".join(page.get_contents().get_data() for page in reader.pages)  # type: ignore[union-attr]
    text = "".join(page.extract_text() for page in reader.pages)
    for character in name.replace(",", "").replace(" ", ""):
        as_told = character.encode("utf-16-be").hex().encode()
        assert character in text or as_told in told


def test_a_pdf_has_language_outline_numbers_and_heads(tmp_path: Path) -> None:
    make_district()
    message = make_message()
    ledger = Ledger(message)
    for number in range(150):
        ledger.add(make_person(f"Family{number:03d}, Parent"), "voice", f"+1612555{number:04d}")
    target = tmp_path / "report.pdf"
    assert write_report(message, "pdf", target) == 150
    reader = PdfReader(target)
    assert str(reader.trailer["/Root"]["/Lang"]).startswith("en")  # type: ignore[index]
    titles = [entry["/Title"] for entry in reader.outline if not isinstance(entry, list)]
    assert titles == [
        "Sent Message Report",
        "Delivery Summary",
        "Message Detail",
        "Delivery Detail",
    ]
    pages = [page.extract_text() for page in reader.pages]
    for number, text in enumerate(pages, start=1):
        assert f"Page {number} of" in text
        assert "Recipient" in text
        assert "Delivery Device" in text
    names = "".join(pages)
    assert all(f"Family{number:03d}, Parent" in names for number in range(150))


def test_a_pdf_wraps_a_long_name_and_loses_nothing(tmp_path: Path) -> None:
    make_district()
    message = make_message()
    name = "Featherstonehaugh-Cholmondeley-Wolfeschlegelsteinhausenbergerdorff, Bartholomew"
    Ledger(message).add(make_person(name), "voice", CELL)
    target = tmp_path / "report.pdf"
    write_report(message, "pdf", target)
    lines = read_pdf(target).split()
    assert "".join(name.split()) in "".join(lines)
    assert "Featherstonehaugh-" in lines, "a double name breaks at its hyphen"


def test_a_word_document_has_headings_and_repeats_its_head(
    message: Message, report: Report, tmp_path: Path
) -> None:
    report(message, "docx")
    word = open_word(str(tmp_path / "report.docx"))
    headings = [p.text for p in word.paragraphs if p.style is not None and "Head" in p.style.name]
    assert headings[0] == "Delivery Summary"
    assert headings[-1] == "Delivery Detail"
    head = word.tables[-1].rows[0]._tr
    assert head.trPr is not None
    assert head.trPr.findall("{*}tblHeader")
    assert word.core_properties.title == "Sent Message Report: School is Cancelled"


def test_a_pdf_that_nobody_could_read_is_refused_at_once(
    message: Message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 0)
    with pytest.raises(ReportTooLong, match="Choose CSV or DOCX"):
        write_report(message, "pdf", tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_progress_is_told_before_the_first_query_and_at_the_end(
    message: Message, tmp_path: Path
) -> None:
    said: list[tuple[int, int]] = []
    rows = write_report(
        message, "csv", tmp_path / "r.csv", progress=lambda done, total: said.append((done, total))
    )
    assert said[:2] == [(0, 0), (0, rows)]
    assert said[-1] == (rows, rows)


@pytest.mark.parametrize("format", ["csv", "docx"])
def test_a_message_that_waits_has_a_report_too(format: str, report: Report) -> None:
    make_district()
    message = make_message(status=Message.Status.WAITING, launched_at=None, finished_at=None)
    text = report(message, format)
    assert "Message Status: Waiting" in text
    assert table(text) == []
