"""The Sent Message Report: what it says in which detail, in all three formats, read back by others.

PDFs are read by pypdf, Word documents by python-docx, CSV files by the csv module.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from docx import Document as open_word
from lxml import etree
from pypdf import PdfReader

from messenger.models import Message, School
from messenger.rights import Scope
from sentlog.reports import pdf
from sentlog.reports.document import ReportOptions
from sentlog.reports.writing import write_report
from tests.sentlog.rows import Ledger, make_district, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")

CELL, HOME, WORK = "+16125557735", "+16125557700", "+16125557999"
Report = Callable[..., str]


@pytest.fixture
def school(district: Any) -> School:
    return make_school("Harrison High")


@pytest.fixture
def message(school: School) -> Message:
    """One family by every mode, every kind of end, and a member of staff."""
    message = make_message(
        modes=["inbox", "email", "voice", "text"],
        schools=[school],
        subject="School is Cancelled",
        email_body="School is cancelled due to weather.",
        text_body="School is closed today.",
        settings_frozen={"caller_id": "+19879999876"},
        criteria_shown=[
            ["Enrollment Filter", "Message Only Active Students"],
            ["Filter Operation", "Union"],
            ["Calendar", "2019-20 High School"],
            ["Limit delivery to contacts that speak", "No Language Preference"],
        ],
    )
    ledger = Ledger(message)
    son = make_person("Anderson, Son", is_student=True)
    mom, dad = make_person("Anderson, Mom"), make_person("Anderson, Dad")
    about: dict[str, Any] = {"student": son, "school": school}
    ledger.add(mom, "voice", HOME, **about, device="household", outcome="failed", code=1, tries=3)
    ledger.add(mom, "voice", CELL, **about, outcome="successful", code=5, tries=1)
    ledger.add(mom, "text", CELL, **about, outcome="successful", code=-27, tries=1)
    ledger.add(mom, "email", "mom@example.org", **about, outcome="successful")
    ledger.add(mom, "inbox", **about, outcome="successful")
    ledger.add(dad, "voice", HOME, **about, device="household", outcome="failed", code=1, tries=3)
    ledger.add(dad, "text", WORK, **about, device="work", outcome="opted_out")
    ledger.add(dad, "email", "dad@example.org", **about)
    ledger.add(
        make_person("Zimmer, Staff"),
        "voice",
        WORK,
        device="work",
        extension="101",
        role="staff",
        outcome="canceled",
        school=school,
    )
    ledger.add(make_person("Nowhere, Grandma"), "none", **about)
    return message


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Writes a report and returns its words as one text, whatever the format."""

    def make(message: Message, format: str, scope: Scope | None = None, **options: Any) -> str:
        target = tmp_path / f"report.{format}"
        write_report(
            message, format, target, ReportOptions(**options), scope or Scope(district=True)
        )
        return READERS[format](target)

    return make


def read_csv(path: Path) -> str:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return "\n".join("\t".join(row) for row in csv.reader(file))


def read_pdf(path: Path) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def read_docx(path: Path) -> str:
    """Paragraphs and table rows in the order of the document."""
    word = open_word(str(path))
    lines = []
    for block in word.iter_inner_content():
        if hasattr(block, "rows"):
            lines += ["\t".join(cell.text for cell in row.cells) for row in block.rows]
        else:
            lines.append(block.text)
    return "\n".join(lines)


READERS = {"csv": read_csv, "pdf": read_pdf, "docx": read_docx}
FORMATS = pytest.mark.parametrize("format", ["pdf", "csv", "docx"])


def table(text: str) -> list[list[str]]:
    """The rows of Delivery Detail of a CSV or DOCX report."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("Recipient\tStudent"))
    return [line.split("\t") for line in lines[start + 1 :] if "\t" in line]


# ------------------------------------------------------------------------------------- sections


@pytest.mark.spec("B4-05", "B4-11")
@FORMATS
def test_all_prints_every_section_in_order(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    titles = [
        "Sent Message Report",
        "Delivery Summary",
        "Filter Criteria Detail",
        "Message Detail",
        "Delivery Detail",
    ]
    assert [text.index(f"{title}") for title in titles] == sorted(
        text.index(title) for title in titles
    )


@pytest.mark.spec("B4-06")
@FORMATS
def test_summary_prints_header_and_summary_alone(
    message: Message, report: Report, format: str
) -> None:
    text = report(message, format, detail="summary")
    assert "Sent Message Report" in text
    assert "Delivery Summary" in text
    for title in ("Filter Criteria Detail", "Message Detail", "Delivery Detail", "Anderson"):
        assert title not in text


@pytest.mark.spec("B4-07", "B3-13")
@FORMATS
def test_failed_delivery_prints_whole_people(message: Message, report: Report, format: str) -> None:
    """Mom has a failed and a successful device: all of hers. Staff was canceled: not failed."""
    text = report(message, format, detail="failed")
    for device in ("(612) 555-7700", "(612) 555-7735", "mom@example.org", "Inbox"):
        assert device in text
    assert "Zimmer" not in text
    assert "Nowhere" not in text


@pytest.mark.spec("B4-12")
@FORMATS
def test_the_header_says_what_when_and_by_whom(
    message: Message, report: Report, format: str
) -> None:
    message.status = Message.Status.IN_PROGRESS
    message.save()
    text = report(message, format, devices=("cell", "email"))
    assert "Harrison High" in text
    assert "Message Status: In-Progress" in text
    assert "Generated on " in text
    for label, value in (
        ("Subject", "School is Cancelled"),
        ("Type", "Message Builder - General Notification"),
        ("Sender", "Administrator, System"),
        ("Date Created", "11/20/2026 12:05 PM"),
        ("Include Recipient Devices", "Email, Cell"),
    ):
        assert label in text
        assert value in text


@pytest.mark.spec("B4-13", "B4-09")
@FORMATS
def test_the_summary_of_the_sources_sample(district: Any, report: Report, format: str) -> None:
    """93 inboxes and 34 people without a device are 127 recipients, in every format."""
    message = make_message(modes=["inbox", "email"], status=Message.Status.IN_PROGRESS)
    ledger = Ledger(message)
    for number in range(93):
        person = make_person(f"Parent, {number}")
        ledger.add(person, "inbox", outcome="successful")
        if number < 3:
            ledger.add(person, "email", f"parent{number}@example.org")
    for number in range(34):
        ledger.add(make_person(f"Without, {number}"), "none")
    text = report(message, format, detail="summary")
    if format == "pdf":
        text = text.replace(" \n", " ")
    for label, value in (
        ("Start Time", "11/20/2026 12:05 PM"),
        ("End Time", "11/20/2026 12:05 PM"),
        ("Duration", "0 minutes"),
        ("Total Recipients", "127"),
        ("Total No Device", "34"),
        ("Total Inbox", "93"),
        ("Total Emails", "3"),
        ("Total Voice", "0"),
        ("Total Text", "0"),
        ("Total Voice Attempted", "0"),
        ("Total Text Messages Attempted", "0"),
        ("Recipients contacted successfully by phone", "0"),
        ("Recipients not contacted by phone", "127"),
    ):
        assert label in text
        assert f"{label}\t{value}" in text or f"{label} {value}" in text.replace("\n", " ")


@pytest.mark.spec("B5-01")
@FORMATS
def test_no_phone_totals_and_no_stars_without_voice(
    message: Message, report: Report, format: str
) -> None:
    make_district(voice_enabled=False, text_enabled=False)
    text = report(message, format)
    for words in ("Total Voice", "Total Text", "contacted successfully", "not contacted by phone"):
        assert words not in text
    assert "Anderson, Dad*" not in text


@pytest.mark.spec("B4-14")
@FORMATS
def test_filter_criteria_are_printed(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    for label, value in message.criteria_shown:
        assert label in text
        assert value in text


@pytest.mark.spec("B5-06", "B8-04")
@FORMATS
def test_the_legend_promises_no_reading_of_texts(
    message: Message, report: Report, format: str
) -> None:
    text = " ".join(report(message, format).split())
    assert "may still not be read" in text
    assert "carrier" in text


# ----------------------------------------------------------------------------------------- rows


@pytest.mark.spec("B4-16", "B7-01", "B7-02", "B7-03", "B7-04")
@pytest.mark.parametrize("format", ["csv", "docx"])
def test_one_row_per_device_by_recipient(message: Message, report: Report, format: str) -> None:
    rows = table(report(message, format))
    mark = "&" if format == "csv" else "†"
    assert [row[:3] for row in rows] == [
        ["Anderson, Dad*", "Anderson, Son", "Email dad@example.org"],
        ["Anderson, Dad*", "Anderson, Son", f"Household Phone (612) 555-7700 {mark}"],
        ["Anderson, Dad*", "Anderson, Son", "Work (612) 555-7999 (text)"],
        ["Anderson, Mom", "Anderson, Son", "Email mom@example.org"],
        ["Anderson, Mom", "Anderson, Son", "Household Phone (612) 555-7700"],
        ["Anderson, Mom", "Anderson, Son", "Cell (612) 555-7735"],
        ["Anderson, Mom", "Anderson, Son", "Cell (612) 555-7735 (text)"],
        ["Anderson, Mom", "Anderson, Son", "Inbox"],
        ["Nowhere, Grandma*", "Anderson, Son", "No Device"],
        ["Zimmer, Staff*", "", "Work (612) 555-7999 ext. 101"],
    ]


@pytest.mark.spec("B5-08", "B5-09")
@FORMATS
def test_stars_and_marks_in_every_format(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    for name in ("Anderson, Dad*", "Nowhere, Grandma*", "Zimmer, Staff*"):
        assert name in text
    assert "Anderson, Mom*" not in text
    mark = "&" if format == "csv" else "†"
    assert text.count(f"(612) 555-7700 {mark}") == 1
    assert text.count("(612) 555-7700") == 2
    assert f"{mark} This address or number is listed above already" in text


@pytest.mark.spec("B6-01", "B7-05", "B7-08", "B7-09", "B5-21")
def test_what_the_status_says(message: Message, report: Report) -> None:
    """Code and label for phones, Sent and In-Progress for the others, blank for a known STOP."""
    ledger = Ledger(message, ids=iter(range(100, 200)))  # type: ignore[arg-type]
    strange = make_person("Strange, Code")
    ledger.add(strange, "voice", "+16125550001", outcome="failed", code=999, tries=1)
    ledger.add(strange, "text", "+16125550002", outcome="opted_out", code=-33, tries=1)
    status = {(row[0], row[2]): (row[3], row[4]) for row in table(report(message, "docx"))}
    time = "11/20/2026 12:05 PM"
    assert status["Anderson, Mom", "Cell (612) 555-7735"] == ("5 Live Person", time)
    assert status["Anderson, Mom", "Cell (612) 555-7735 (text)"] == ("-27 SMS Sent", time)
    assert status["Anderson, Mom", "Inbox"] == ("Sent", time)
    assert status["Anderson, Mom", "Email mom@example.org"] == ("Sent", time)
    assert status["Anderson, Dad*", "Email dad@example.org"] == ("In-Progress", "")
    assert status["Anderson, Dad*", "Work (612) 555-7999 (text)"] == ("", time)
    assert status["Nowhere, Grandma*", "No Device"] == ("No Device", "")
    assert status["Zimmer, Staff*", "Work (612) 555-7999 ext. 101"] == ("Canceled", time)
    assert status["Strange, Code*", "Cell (612) 555-0001"] == ("code 999", time)
    assert status["Strange, Code*", "Cell (612) 555-0002 (text)"] == ("-33 SMS Opt Out", time)


@pytest.mark.spec("B4-03", "B5-15")
@FORMATS
def test_no_device_is_printed_when_it_is_marked(
    message: Message, report: Report, format: str
) -> None:
    marked = report(message, format, devices=("cell", "none"))
    assert "Total No Device" in marked
    assert "Nowhere, Grandma" in marked
    unmarked = report(message, format, devices=("cell",))
    assert "Total No Device" not in unmarked
    assert "Nowhere, Grandma" not in unmarked


@pytest.mark.spec("B4-02", "B5-16")
def test_only_marked_devices_have_rows(message: Message, report: Report) -> None:
    text = report(message, "csv", devices=("cell", "email"))
    assert {row[2].split()[0] for row in table(text)} == {"Cell", "Email"}
    assert "Total Inbox\t1" in text
    assert [row[2] for row in table(report(message, "csv", devices=("inbox",)))] == ["Inbox"]


def test_failed_delivery_looks_at_the_marked_devices(message: Message, report: Report) -> None:
    """Mom's failed device is the household phone; with cells alone she has no failure."""
    text = report(message, "csv", detail="failed", devices=("cell",))
    assert table(text) == []


@FORMATS
def test_private_numbers_are_never_printed(message: Message, report: Report, format: str) -> None:
    message.deliveries.filter(device__in=["cell", "email"]).update(private=True)
    text = report(message, format)
    for secret in ("555-7735", "mom@example.org", "dad@example.org"):
        assert secret not in text
    assert "Cell Private number" in text
    assert "Email Private address" in text
    assert "555-7735" in report(message, format, see_private=True)


@FORMATS
def test_a_school_reads_its_own_rows_and_totals(
    message: Message, school: School, report: Report, format: str
) -> None:
    other = make_school("Lincoln Middle")
    parent = make_person("Brown, Parent")
    ledger = Ledger(message, ids=iter(range(100, 200)))  # type: ignore[arg-type]
    # Marked as a repeat in the district; in its own school it is the first, and counts.
    ledger.add(parent, "voice", HOME, school=other, outcome="successful", code=5, duplicate=True)
    text = report(message, format, Scope(False, frozenset({other.pk})))
    assert "Brown, Parent" in text
    assert "Anderson" not in text
    assert "(612) 555-7700 †" not in text
    assert "(612) 555-7700 &" not in text


def test_the_order_folds_accents_and_case(report: Report) -> None:
    make_district()
    message = make_message()
    ledger = Ledger(message)
    for name in ("Zoller, A", "Ávila, B", "avery, C", "de la Cruz, D", "Álvarez, E", "Doe, F"):
        ledger.add(make_person(name), "voice", f"+1612555{len(ledger.seen):04d}")
    names = [row[0].rstrip("*") for row in table(report(message, "csv"))]
    assert names == ["Álvarez, E", "avery, C", "Ávila, B", "de la Cruz, D", "Doe, F", "Zoller, A"]


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
    text = "".join(read_pdf(target).split())
    assert "".join(name.split()) in text


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
    with pytest.raises(pdf.ReportTooLong, match="Choose CSV or DOCX"):
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
