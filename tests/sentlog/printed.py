"""A message with every kind of end, its report in each format, and readers that are not ours:
pypdf and poppler, python-docx, the csv module, lxml."""

import csv
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from docx import Document as open_word
from lxml import html as lxml_html
from pypdf import PdfReader

from messenger.models import Message, School
from messenger.rights import Scope
from sentlog.reports.document import ReportOptions
from sentlog.reports.writing import write_report
from tests.sentlog.rows import Ledger, make_message, make_person

CELL, HOME, WORK = "+16125557735", "+16125557700", "+16125557999"
Report = Callable[..., str]


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


def read_html(path: Path) -> str:
    """Headings, paragraphs, pairs and table rows in the order of the page, read by lxml."""
    page = lxml_html.fromstring(path.read_bytes())
    lines = []
    for block in page.iter("h1", "h2", "p", "li", "dl", "tr"):
        if block.tag == "dl":
            lines += ["\t".join(part.text_content() for part in pair) for pair in block]
        elif block.tag == "tr":
            lines.append("\t".join(cell.text_content() for cell in block))
        else:
            lines.append(block.text_content())
    return "\n".join(lines)


READERS = {"csv": read_csv, "pdf": read_pdf, "docx": read_docx, "html": read_html}
FORMATS = pytest.mark.parametrize("format", ["pdf", "csv", "docx", "html"])


def program(name: str) -> str:
    """Where a program of the machine is. Without it a test is skipped; in CI it must be there."""
    found = shutil.which(name)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI must have it (.ci/run)")
    if found is None:
        pytest.skip(f"{name} is not installed here")
    return found


def read_by_poppler(path: Path) -> str:
    """The words of a PDF as pdftotext reads them, laid out as on the page."""
    command = [program("pdftotext"), "-layout", str(path), "-"]
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout.decode()


def table(text: str) -> list[list[str]]:
    """The rows of Delivery Detail of a CSV, DOCX or HTML report."""
    lines = text.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("Recipient\tStudent"))
    return [line.split("\t") for line in lines[start + 1 :] if "\t" in line]


def make_every_end(school: School) -> Message:
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


def reporter(folder: Path) -> Report:
    """A function that writes a report and returns its words as one text, whatever the format."""

    def make(message: Message, format: str, scope: Scope | None = None, **options: Any) -> str:
        target = folder / f"report.{format}"
        write_report(
            message, format, target, ReportOptions(**options), scope or Scope(district=True)
        )
        return READERS[format](target)

    return make
