"""The report as one accessible HTML page: real headings, real tables, no script, nothing loaded.

The page stands alone, so that it can be kept and handed on; its one style sheet is written into it,
and `STYLE_HASH` is what a content security policy must name to allow that sheet and no other.
"""

from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import IO

from django.utils.translation import get_language_bidi, ngettext
from django.utils.translation import gettext as _

from sentlog.delivery_rows import Line
from sentlog.reports.document import Document, Marks, Pairs, ReportTooLong
from sentlog.reports.progress import Progress

MARKS = Marks(duplicate="†")

# A browser lays out a table as a whole: 50,000 rows take it some seconds, a million never end.
MAX_ROWS = 50_000
SHORT = 22  # characters: a date and time

STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
STYLE_HASH = f"sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}"


def write(document: Document, target: Path, progress: Progress) -> None:
    """Writes the whole page; one batch of rows is in memory at a time."""
    if document.rows_total > MAX_ROWS:
        raise ReportTooLong(
            _(
                "%(rows)s rows do not fit into one HTML page (%(most)s at most). Choose CSV, DOCX "
                "or PDF, fewer devices, or Failed Delivery."
            )
            % {"rows": f"{document.rows_total:,}", "most": f"{MAX_ROWS:,}"}
        )
    with target.open("w", encoding="utf-8", newline="\n", buffering=1 << 20) as file:
        _write_head(file, document)
        for section in document.sections:
            file.write(f"<section><h2>{escape(section.title)}</h2>\n")
            _write_pairs(file, section.pairs)
            file.write("</section>\n")
        if document.legend:
            file.write(f"<section><h2>{escape(_('Legend'))}</h2>\n<ul>\n")
            file.writelines(f"<li>{escape(line)}</li>\n" for line in document.legend)
            file.write("</ul></section>\n")
        if document.columns:
            _write_rows(file, document, progress)
        file.write("</main>\n</body>\n</html>\n")


def _write_head(file: IO[str], document: Document) -> None:
    direction = "rtl" if get_language_bidi() else "ltr"
    file.write(
        f'<!doctype html>\n<html lang="{escape(document.language)}" dir="{direction}">\n<head>\n'
        '<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(document.title)}: {escape(document.subject)}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n"
        f"<h1>{escape(document.title)}</h1>\n"
    )
    file.writelines(f'<p class="of">{escape(name)}</p>\n' for name in document.of_whom)
    file.write(f"<p>{escape(document.generated)} · {escape(document.status)}</p>\n")
    _write_pairs(file, document.header)
    file.write("</header>\n")


def _write_pairs(file: IO[str], pairs: Pairs) -> None:
    # Figures stand in two columns; words get the whole line.
    short = all(len(value) <= SHORT for _label, value in pairs)
    file.write('<dl class="figures">\n' if short else "<dl>\n")
    for label, value in pairs:
        file.write(f'<div><dt>{escape(label)}</dt><dd dir="auto">{escape(value)}</dd></div>\n')
    file.write("</dl>\n")


def _write_rows(file: IO[str], document: Document, progress: Progress) -> None:
    rows = ngettext("%(n)s row", "%(n)s rows", document.rows_total) % {
        "n": f"{document.rows_total:,}"
    }
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in document.columns)
    file.write(
        f'<section class="detail"><h2 id="detail">{escape(document.detail_title)}</h2>\n'
        '<div class="scroll" role="region" tabindex="0" aria-labelledby="detail">\n'
        f"<table>\n<caption>{escape(rows)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n"
    )
    school = None
    for lines in document.lines:
        if document.by_school:
            for name, of_school in groupby(lines, itemgetter(5)):
                if name != school:
                    school = name
                    file.write(_school_head(name))
                file.write(_rows(of_school))
        else:
            file.write(_rows(lines))
        progress.add(len(lines))
    file.write("</tbody>\n</table>\n</div>\n")
    if not document.rows_total:
        file.write(f"<p>{escape(_('No rows.'))}</p>\n")
    file.write("</section>\n")


def _school_head(name: str) -> str:
    return (
        '</tbody>\n<tbody>\n<tr class="school"><th scope="rowgroup" colspan="5">'
        f"{escape(name)}</th></tr>\n"
    )


def _rows(lines: Iterable[Line]) -> str:
    return "".join(
        f'<tr><th scope="row" dir="auto">{escape(line[0])}</th><td dir="auto">{escape(line[1])}'
        f"</td><td>{escape(line[2])}</td><td>{escape(line[3])}</td><td>{line[4]}</td></tr>\n"
        for line in lines
    )
