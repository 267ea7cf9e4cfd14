"""One function that writes a report, whoever asks: the web's worker, a command, a test, a bench."""

from collections.abc import Callable
from pathlib import Path

from django.utils.translation import get_language

from messenger.models import Message
from messenger.rights import Scope
from sentlog.reports import csv, docx, html, pdf, work_list
from sentlog.reports.document import WORK_LIST, ReportOptions, open_document
from sentlog.reports.progress import Progress

FORMATS = ("pdf", "csv", "docx", "html")
DISTRICT = Scope(district=True)


def write_report(
    message: Message,
    format: str,
    target_path: Path | str,
    options: ReportOptions | None = None,
    scope: Scope = DISTRICT,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes the Sent Message Report of a message to a file and returns the number of its rows.

    `format` is one of FORMATS; `progress` is told (rows done, rows in all). The file appears whole:
    it is written beside its name and moved there. Raises ReportTooLong for a PDF of more pages than
    anybody can use. The detail WORK_LIST is a CSV of its own. Rows: B4-01 to B4-16.
    """
    options = options or ReportOptions()
    marks = {"pdf": pdf.MARKS, "csv": csv.MARKS, "docx": docx.MARKS, "html": html.MARKS}[format]
    target = Path(target_path)
    unfinished = target.with_name(f".{target.name}.part")
    counter = Progress(progress)
    # The first word comes before the first query: counting and sorting a million rows takes 7 s.
    counter.start(0)
    try:
        if options.detail == WORK_LIST:
            work_list.write(message, options, scope, unfinished, counter)
        else:
            language = get_language() or "en"
            with open_document(message, options, scope, marks, language) as document:
                counter.start(document.rows_total)
                if format == "csv":
                    csv.write(document, unfinished, counter, bom=options.bom)
                elif format == "docx":
                    docx.write(document, unfinished, counter)
                elif format == "html":
                    html.write(document, unfinished, counter)
                else:
                    pdf.write(document, unfinished, counter)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    counter.finish()
    return counter.done
