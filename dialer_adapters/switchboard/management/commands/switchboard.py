"""`manage.py switchboard`: run the telephone company for the demo, the tests and the benchmarks."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor

from dialer_adapters.switchboard.dialing import CLAIM_SECONDS
from dialer_adapters.switchboard.retention import RETENTION_DAYS
from dialer_adapters.switchboard.server import DialingFailed, Options, serve

APP = "switchboard"


class Command(BaseCommand):
    help = (
        "Serve the dialer contract over SOAP, with a simulated town at the other end of the line."
    )
    # The checks would import every page of the product, which the switchboard has none of.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8100, help="0 takes any free port")
        parser.add_argument(
            "--speed",
            type=float,
            default=1.0,
            help="divides ringing, talking, redial and text delays; windows stay real",
        )
        parser.add_argument("--seed", type=int, default=1, help="which town")
        parser.add_argument("--lines", type=int, default=200)
        parser.add_argument("--emergency-lines", type=int, default=50)
        parser.add_argument(
            "--control", action="store_true", help="let tests switch failures on at /control"
        )
        parser.add_argument(
            "--retention-days",
            type=int,
            default=RETENTION_DAYS,
            help=f"how long the call log is kept; at least {RETENTION_DAYS}",
        )
        parser.add_argument(
            "--requests-per-second",
            type=float,
            default=0.0,
            help="hold an account back beyond this rate; 0 never does",
        )
        parser.add_argument(
            "--new-epoch",
            action="store_true",
            help="after a restore from a backup: readers begin anew, older jobs are not dialed",
        )
        parser.add_argument(
            "--guarded-board",
            action="store_true",
            help="ask for credentials on the page at / even on this machine (behind a proxy)",
        )
        parser.add_argument(
            "--claim-seconds",
            type=float,
            default=CLAIM_SECONDS,
            help="how long to wait for a database that another switchboard still holds",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["speed"] <= 0:
            raise CommandError("--speed must be above 0")
        if options["retention_days"] < RETENTION_DAYS:
            raise CommandError(f"--retention-days must be at least {RETENTION_DAYS}")
        if options["requests_per_second"] < 0:
            raise CommandError("--requests-per-second must not be negative")
        self._begin_complete()
        wanted = Options(
            host=options["host"],
            port=options["port"],
            speed=options["speed"],
            seed=options["seed"],
            lines=options["lines"],
            emergency_lines=options["emergency_lines"],
            control=options["control"],
            claim_seconds=options["claim_seconds"],
            retention_days=options["retention_days"],
            requests_per_second=options["requests_per_second"],
            new_epoch=options["new_epoch"],
            guarded_board=options["guarded_board"],
        )
        try:
            serve(wanted, self._announce)
        except (DialingFailed, OSError) as error:
            raise CommandError(f"switchboard: {error}") from error

    def _begin_complete(self) -> None:
        """On a database of another version nothing is begun: a switchboard that accepts and cannot
        dial would be worse than one that is down."""
        try:
            executor = MigrationExecutor(connections["switchboard"])
            leaves = [leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] == APP]
            missing = len(executor.migration_plan(leaves))
        except DatabaseError as error:
            raise CommandError(f"switchboard: its database does not answer: {error}") from error
        finally:
            connections["switchboard"].close()
        if missing:
            raise CommandError(
                f"switchboard: changes of this version that its database has not had: {missing}. "
                "Run: manage.py migrate switchboard --database switchboard"
            )

    def _announce(self, address: str) -> None:
        self.stdout.write(f"switchboard listening on {address}")
        self.stdout.flush()
