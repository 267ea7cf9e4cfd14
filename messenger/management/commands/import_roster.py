"""`manage.py import_roster`: read a OneRoster bundle and say what came of it."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from messenger.models import RosterImport
from messenger.roster.defaults import describe_defaults
from messenger.roster.importer import import_roster

SHOWN = 20
KINDS = (
    *("schools", "calendars", "people", "relationships", "households", "contact_points"),
    *("enrollments", "staff_assignments", "classes", "class_enrollments"),
)


class Command(BaseCommand):
    help = "Import a OneRoster bundle: a zip or a folder."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument(
            "--accept", action="store_true", help="go on where the import needs a person"
        )
        parser.add_argument("--dry-run", action="store_true", help="compare and change nothing")
        parser.add_argument("--progress", action="store_true", help="say how far it is")
        parser.add_argument("--problems", type=int, default=SHOWN, help="how many to print")

    def handle(self, *args: Any, **options: Any) -> None:
        self._percent = -1
        self._shown = options["problems"]
        run = import_roster(
            options["path"],
            accept=options["accept"],
            dry_run=options["dry_run"],
            progress=self._tell if options["progress"] else None,
        )
        self._print(run)
        if run.state != RosterImport.State.DONE:
            sys.exit(1)

    def _tell(self, stage: str, done: int, total: int) -> None:
        """A line when a stage begins and at every fifth of it."""
        percent = 20 * (5 * done // total) if total else 0
        if not total:
            self.stdout.write(f"{stage} ...")
            self._percent = 0
        elif percent > self._percent:
            self.stdout.write(f"{stage} {percent} %")
            self._percent = percent
        self.stdout.flush()

    def _print(self, run: RosterImport) -> None:
        for kind in KINDS:
            counts = run.counts.get(kind)
            if counts:
                words = ", ".join(f"{number:,} {name}" for name, number in counts.items())
                self.stdout.write(f"{kind.replace('_', ' '):18} {words}")
        for sentence in describe_defaults(run.defaults_used):
            self.stdout.write(f"- {sentence}")
        self._print_problems(run)
        if run.refusal:
            self.stdout.write(f"{run.get_state_display()}: {run.refusal}")
            if "people" in run.counts and not run.accepted:
                self.stdout.write("To go on all the same: --accept")
        elif run.dry_run:
            self.stdout.write("Nothing was changed (dry run).")
        else:
            self.stdout.write(f"{run.get_state_display()}: {run.file_name}")

    def _print_problems(self, run: RosterImport) -> None:
        total = run.counts.get("problems", 0)
        if not total:
            return
        self.stdout.write(f"{total:,} problems ({run.counts['errors']:,} errors):")
        for problem in run.problems.order_by("severity", "pk")[: self._shown]:
            place = ", ".join(
                part
                for part in (
                    problem.file or run.file_name,
                    f"row {problem.line}" if problem.line else "",
                    problem.column,
                )
                if part
            )
            self.stdout.write(f"  {place}: {problem.what} {problem.advice}")
        if total > self._shown:
            self.stdout.write(f"  ... and {total - self._shown:,} more, all on the Imports page")
