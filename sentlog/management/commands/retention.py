"""`manage.py retention [--dry-run]`: what is due to be removed; removes it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messenger.one_at_a_time import only_one
from sentlog import retention


class Command(BaseCommand):
    help = "Removes detail that is older than the district keeps it. Holds are respected."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would go, no more")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        due = retention.due_now()
        lines = [
            (_("Messages that lose their detail"), due.messages),
            (_("Deliveries in them"), due.rows),
            (_("Due, and kept by a legal hold"), due.held),
            (_("Drafts"), due.drafts),
            (_("Entries of the call log"), retention.old_log_entries()),
        ]
        width = max(len(label) for label, _number in lines)
        for label, number in lines:
            self.stdout.write(f"{label:<{width}}  {number:,}")
        if dry_run:
            self.stdout.write(_("Nothing was removed."))
            return
        with only_one("retention") as alone:
            if not alone:
                self.stdout.write(_("A worker is removing it already."))
                return
            done = retention.remove_due(seconds=float("inf"))
        said = ngettext("%(n)d message lost its detail.", "%(n)d messages lost their detail.", done)
        self.stdout.write(said % {"n": done})
