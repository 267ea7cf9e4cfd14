"""`manage.py demo_district`: write a made-up district as a OneRoster bundle."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messenger.roster.demo_district import write_district


class Command(BaseCommand):
    help = "Write a made-up district, the same every time, as a OneRoster bundle."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--size", type=int, default=3000, help="people in all")
        parser.add_argument("--families", type=int, help="so many families, instead of --size")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--oneroster", default="1.1", help="1.1 or 1.2")
        parser.add_argument("--zip", action="store_true", dest="zipped")
        parser.add_argument("--out", type=Path, required=True, help="the folder, or the zip file")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            size = write_district(
                options["out"],
                size=options["size"],
                seed=options["seed"],
                version=options["oneroster"],
                families=options["families"],
                zipped=options["zipped"],
            )
        except (ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{options['out']}: {size.people} people ({size.students} students, "
            f"{size.guardians} guardians, {size.staff} staff) in {size.families} families, "
            f"{size.schools} schools, {size.classes} classes, {size.enrollments} enrollments"
        )
