"""`manage.py switchboard_account`: create or update an account of the switchboard."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from dialer_adapters.switchboard.accounts import save_account


class Command(BaseCommand):
    help = "Create an account of the switchboard, or change it; running it again changes nothing."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--password", required=True)
        parser.add_argument("--external-id", default="", help="the district's own id")
        parser.add_argument(
            "--caller-id",
            action="append",
            default=[],
            help="E.164, may be repeated; without any, every caller ID is allowed",
        )
        parser.add_argument("--disabled", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        account, created = save_account(
            options["username"],
            options["password"],
            options["external_id"],
            tuple(options["caller_id"]),
            not options["disabled"],
        )
        done = "created" if created else "updated"
        self.stdout.write(f"switchboard account {account.username} {done}")
