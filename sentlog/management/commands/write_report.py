"""`manage.py write_report UUID --format pdf --out FILE`: the report, without the web."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from sentlog.management.commands.show_message import message_of
from sentlog.reports.document import ALL, FAILED, SUMMARY, ReportOptions, ReportTooLong
from sentlog.reports.writing import FORMATS, write_report


class Command(BaseCommand):
    help = "Writes the Sent Message Report of a message; private numbers are not printed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid", help="the message, as in its address: /log/UUID/")
        parser.add_argument("--format", choices=FORMATS, default="pdf")
        parser.add_argument("--detail", choices=(ALL, SUMMARY, FAILED), default=ALL)
        parser.add_argument("--out", required=True, type=Path, help="the file to write")

    def handle(self, *args: Any, uuid: str, format: str, out: Path, **options: Any) -> None:
        message = message_of(uuid)
        if options["detail"] == FAILED and message.status in message.UNFINISHED:
            raise CommandError(
                _("Failed Delivery is not available while a message is waiting or in progress.")
            )
        try:
            rows = write_report(message, format, out, ReportOptions(detail=options["detail"]))
        except ReportTooLong as too_long:
            raise CommandError(too_long.words) from too_long
        except OSError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_("%(rows)s rows: %(file)s") % {"rows": f"{rows:,}", "file": out})
