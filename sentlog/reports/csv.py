"""The report as CSV: sections as two columns, rows as five, safe to open in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from sentlog.delivery_rows import Line
from sentlog.reports.document import Document, Marks
from sentlog.reports.progress import Progress

MARKS = Marks(duplicate="&")

# A cell that starts with one of these can become a formula or a command in a spreadsheet, also in
# its full-width form (ASVS 1.2.10).
STARTERS = frozenset("=+-@\t\r\n|%＝＋－＠")


def guarded(cell: str) -> str:
    """The cell as text whatever it starts with: an apostrophe goes before a formula's sign."""
    return f"'{cell}" if cell[:1] in STARTERS else cell


def write(document: Document, target: Path, progress: Progress, *, bom: bool = True) -> None:
    """Writes the whole report; one batch of rows is in memory at a time.

    `bom` starts the file with the mark without which Excel takes UTF-8 for something else.
    """
    encoding = "utf-8-sig" if bom else "utf-8"
    with target.open("w", encoding=encoding, newline="", buffering=1 << 20) as file:
        writer = csv.writer(file)
        writer.writerow([guarded(document.title), *map(guarded, document.of_whom)])
        writer.writerow([guarded(document.generated), guarded(document.status)])
        _write_pairs(writer, document.header)
        for section in document.sections:
            writer.writerow([])
            writer.writerow([guarded(section.title)])
            _write_pairs(writer, section.pairs)
        if document.legend:
            writer.writerow([])
            writer.writerows([guarded(line)] for line in document.legend)
        if document.columns:
            writer.writerow([])
            writer.writerow([guarded(document.detail_title)])
            writer.writerow(
                [*document.columns, _("School")] if document.by_school else document.columns
            )
        for lines in document.lines:
            writer.writerows(_guarded_lines(lines))
            progress.add(len(lines))


def _write_pairs(writer: Any, pairs: Iterable[tuple[str, str]]) -> None:
    writer.writerows([guarded(label), guarded(value)] for label, value in pairs)


def _guarded_lines(lines: Iterable[Line]) -> Iterator[Line | list[str]]:
    """The rows, guarded where outsiders chose the words: the two names and the school's.

    Device and time start with words and digits of ours. So does the status, and "-27 SMS Sent" is
    no formula in any spreadsheet (a number cannot intersect a name); an apostrophe before each text
    would be in the way of everybody who filters by status.
    """
    for line in lines:
        if line[0][:1] in STARTERS or line[1][:1] in STARTERS or len(line) > 5:
            yield [guarded(line[0]), guarded(line[1]), *line[2:5], *map(guarded, line[5:])]
        else:
            yield line
