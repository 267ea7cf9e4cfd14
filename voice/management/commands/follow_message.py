"""Follows a message: a line whenever something changed, until it is final.

Fails unless the message ends as Sent.

Reads only. Counts rows of the ledger; what the totals of the log mean is not decided here.
"""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count, Q

from messenger.models import Delivery, Message


class Command(BaseCommand):
    help = "Print the progress of a message until it is final."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid")
        parser.add_argument("--every", type=float, default=2.0, help="Seconds between two looks.")

    def handle(self, **options: Any) -> None:
        message = Message.objects.filter(uuid=options["uuid"]).first()
        if message is None:
            raise CommandError(f"There is no message {options['uuid']}.")
        before = ""
        while True:
            message.refresh_from_db()
            line = progress_line(message)
            if line != before:
                self.stdout.write(line)
                self.stdout.flush()
                before = line
            if message.status not in Message.UNFINISHED:
                break
            time.sleep(options["every"])
        if message.status != Message.Status.SENT:
            why = message.status_reason or "see its page in the log"
            raise CommandError(f"The message ended as {message.get_status_display()}: {why}")


def progress_line(message: Message) -> str:
    """One line: status, rows done of all, how many of them successful."""
    figures = (
        Delivery.objects.filter(message_id=message.pk)
        .exclude(mode="none")
        .aggregate(
            total=Count("id"),
            done=Count("id", filter=Q(state="done")),
            reached=Count("id", filter=Q(outcome="successful")),
        )
    )
    share = figures["done"] / figures["total"] if figures["total"] else 0.0
    filled = round(share * 24)
    bar = "█" * filled + "░" * (24 - filled)
    return (
        f"{message.get_status_display():<12} {bar} {share:4.0%}  "
        f"{figures['done']:,} of {figures['total']:,} deliveries done, "
        f"{figures['reached']:,} successful"
    )
