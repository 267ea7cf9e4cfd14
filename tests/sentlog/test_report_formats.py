"""One report in four formats: the same figures and rows, by school, and as a list of failures."""

import csv
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from docx import Document as open_word
from pypdf import PdfReader

from messenger.models import Message, School
from sentlog.counting import FAILED
from sentlog.reports import html, work_list
from sentlog.reports.document import WORK_LIST, ReportOptions, ReportTooLong
from sentlog.reports.writing import write_report
from tests.sentlog.printed import (
    CELL,
    FORMATS,
    HOME,
    WORK,
    Report,
    make_every_end,
    read_by_poppler,
    table,
)
from tests.sentlog.rows import Ledger, make_district, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")

FIGURES = [
    "Start Time",
    "End Time",
    "Duration",
    "Total Recipients",
    "Total No Device",
    "Total Inbox",
    "Total Emails",
    "Total Voice",
    "Total Text",
    "Total Voice Attempted",
    "Total Text Messages Attempted",
    "Recipients contacted successfully by phone",
    "Recipients not contacted by phone",
]


@pytest.fixture
def message(school: School) -> Message:
    return make_every_end(school)


def summary_of(text: str, format: str) -> dict[str, str]:
    """The Delivery Summary as read back: label → value, each exactly once."""
    found: list[tuple[str, str]] = []
    for line in text.split("\n"):
        cells = re.split(r"\s{2,}", line.strip()) if format == "pdf" else line.split("\t")
        found += [(a, b) for a, b in pairwise(cells) if a in FIGURES]
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.spec("B4-09", "B4-13")
@pytest.mark.parametrize("devices", [None, ("email", "cell", "household")])
def test_every_format_says_the_same_figure_by_figure(
    message: Message, report: Report, tmp_path: Path, devices: tuple[str, ...] | None
) -> None:
    texts = {name: report(message, name, devices=devices) for name in ("csv", "docx", "html")}
    write_report(message, "pdf", tmp_path / "r.pdf", ReportOptions(devices=devices))
    texts["pdf"] = read_by_poppler(tmp_path / "r.pdf")
    summaries = {name: summary_of(text, name) for name, text in texts.items()}
    shown = [name for name in FIGURES if devices is None or name != "Total No Device"]
    assert list(summaries["csv"]) == shown
    for name, summary in summaries.items():
        assert summary == summaries["csv"], name

    rows = [[cell.replace("&", "†") for cell in row[:5]] for row in table(texts["csv"])]
    assert table(texts["docx"]) == table(texts["html"]) == rows
    words = " ".join(texts["pdf"].split())
    place = 0
    for row in rows:
        place = words.index(" ".join(" ".join(row).split()), place) + 1
    assert words.count("(612) 555-7700") == sum("555-7700" in row[2] for row in rows)


@pytest.mark.spec("B4-15")
@FORMATS
def test_the_message_is_printed_with_who_an_answer_goes_to(
    message: Message, report: Report, format: str
) -> None:
    message.settings_frozen["reply_to"] = "office@harrison.example"
    message.save()
    text = report(message, format)
    assert "Reply To Email" in text
    assert "office@harrison.example" in text
    assert "School is cancelled due to weather." in text
    assert "Reply To Email" not in report(message, format, detail="failed")


@FORMATS
def test_the_district_is_named_above_the_school(
    message: Message, report: Report, format: str
) -> None:
    text = report(message, format, detail="summary")
    assert text.index("Harrison Unified") < text.index("Harrison High")
    message.district_wide = True
    message.save()
    assert report(message, format, detail="summary").count("Harrison Unified") == 1


# ------------------------------------------------------------------------------------ by school


@pytest.fixture
def two_schools() -> Message:
    make_district()
    high, middle = make_school("Zion High"), make_school("Ames Middle")
    message = make_message(schools=[high, middle])
    ledger = Ledger(message)
    for number, (name, school) in enumerate(
        [("Adams, A", high), ("Baker, B", middle), ("Clark, C", high), ("Davis, D", None)]
    ):
        ledger.add(make_person(name), "voice", f"+1612555000{number}", school=school)
    return message


def test_rows_of_each_school_stand_together(
    two_schools: Message, report: Report, tmp_path: Path
) -> None:
    rows = table(report(two_schools, "csv", by_school=True))
    assert [(row[0], row[5]) for row in rows] == [
        ("Baker, B*", "Ames Middle"),
        ("Adams, A*", "Zion High"),
        ("Clark, C*", "Zion High"),
        ("Davis, D*", "No school"),
    ]
    report(two_schools, "pdf", by_school=True)
    outline = PdfReader(tmp_path / "report.pdf").outline
    schools = [entry["/Title"] for entry in outline[-1] if not isinstance(entry, list)]
    assert schools == ["Ames Middle", "Zion High", "No school"]

    report(two_schools, "docx", by_school=True)
    word = open_word(str(tmp_path / "report.docx"))
    heads = [p.text for p in word.element.body.iter("{*}p") if "Heading2" in str(p.style)]
    shown = [
        row.cells[0].text for row in word.tables[-1].rows if len({c._tc for c in row.cells}) == 1
    ]
    assert shown == ["Ames Middle", "Zion High", "No school"]
    assert heads == shown
    words = report(two_schools, "html", by_school=True)
    assert words.index("Ames Middle", words.index("Recipient\t")) < words.index("Baker, B*")


# ---------------------------------------------------------------------------------- one HTML page


def test_the_page_is_whole_and_loads_nothing(
    message: Message, report: Report, tmp_path: Path
) -> None:
    report(message, "html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<script|<link|<img|url\(|@import|src=|href=|style=", page)
    assert re.search(r'<html lang="en[^"]*" dir="ltr">', page)
    assert re.findall(r"<h(\d)", page) == ["1", "2", "2", "2", "2", "2"]
    assert page.count('scope="col"') == 5


def test_hostile_words_stay_words(report: Report) -> None:
    bad = '<script>alert(1)</script>"&amp;'
    message = make_message(subject=bad, voice_text=bad)
    Ledger(message).add(make_person(bad), "voice", CELL)
    text = report(message, "html")
    assert text.count(bad) >= 3


def test_a_page_that_no_browser_shows_is_refused(
    message: Message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "MAX_ROWS", 3)
    with pytest.raises(ReportTooLong, match="Choose CSV, DOCX or PDF"):
        write_report(message, "html", tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rows", [0, 1])
@FORMATS
def test_no_row_and_one_row(rows: int, report: Report, format: str) -> None:
    message = make_message()
    if rows:
        Ledger(message).add(make_person("Only, One"), "voice", CELL)
    text = report(message, format)
    assert "Delivery Detail" in text
    assert ("Only, One*" in text) == bool(rows)


# --------------------------------------------------------------------------------- list of failures


def failures(message: Message, folder: Path, **options: Any) -> list[dict[str, str]]:
    target = folder / "failures.csv"
    write_report(message, "csv", target, ReportOptions(detail=WORK_LIST, **options))
    with target.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_of_failures_says_why_and_what_to_do(message: Message, tmp_path: Path) -> None:
    ledger = Ledger(message, ids=iter(range(100, 200)))  # type: ignore[arg-type]
    late = make_person("Late, Person")
    ledger.add(late, "voice", WORK, outcome="expired", code=-11, private=True)
    ledger.add(late, "email", "late@example.org", outcome="failed")
    rows = failures(message, tmp_path)
    assert len(rows) == message.deliveries.filter(outcome__in=FAILED).count() == 4
    assert [(r["Recipient"], r["Address"], r["Call Status Code"], r["Reason"]) for r in rows] == [
        ("Anderson, Dad", "(612) 555-7700", "1", "The line was busy."),
        ("Anderson, Mom", "(612) 555-7700", "1", "The line was busy."),
        ("Late, Person", "late@example.org", "", "The email could not be delivered."),
        ("Late, Person", "Private number", "-11", "Time ran out before the call was placed."),
    ]
    assert rows[0]["Student"] == "Anderson, Son"
    assert rows[0]["School"] == "Harrison High"
    assert rows[0]["Delivery Device"] == "Household Phone"
    assert rows[0]["Tries"] == "3"
    assert rows[2]["What to Do"].startswith("Ask the family for the right email address")
    assert [r["Address"] for r in failures(message, tmp_path, devices=("household",))] == [
        "(612) 555-7700"
    ] * 2


def test_every_code_has_a_reason_and_an_advice() -> None:
    from dialer_adapters.call_codes import SOURCE_CODES

    for code in SOURCE_CODES:
        assert work_list.reason_of("voice", code, "failed")
        assert work_list.advice_for("voice", code, "failed")
    assert set(work_list.ADVICE) <= SOURCE_CODES


def test_the_list_of_failures_is_safe_in_a_spreadsheet(tmp_path: Path) -> None:
    message = make_message()
    person = make_person("=cmd|'/c calc'!A1, x")
    Ledger(message).add(person, "voice", HOME, outcome="failed", code=-2, school=make_school("@S"))
    (row,) = failures(message, tmp_path)
    assert row["Recipient"].startswith("'=")
    assert row["School"] == "'@S"
    assert row["Call Status Code"] == "-2"
