"""The System status page in the terminal: every check, and exit code 1 when something is broken.

For an operator after an upgrade, and for a monitor: it needs no worker, no beat and no sign-in.
"""

import sys
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from messenger.status.findings import BROKEN, LOOK, OK, STATES, examine

WORDS = {OK: "ok", LOOK: "LOOK", BROKEN: "BROKEN"}


class Command(BaseCommand):
    help = "Say whether everything works and what to do; exit code 1 when something is broken."

    def handle(self, **options: Any) -> None:
        paint = {OK: self.style.SUCCESS, LOOK: self.style.WARNING, BROKEN: self.style.ERROR}
        sections = examine(timezone.now())
        for section in sections:
            self.stdout.write(self.style.MIGRATE_HEADING(section.title))
            for finding in section.findings:
                mark = paint[finding.state](f"{WORDS[finding.state]:<6}")
                self.stdout.write(f"  {mark}  {finding.name}: {finding.words}")
                if finding.advice:
                    self.stdout.write(f"          -> {finding.advice}")
        worst = max((section.state for section in sections), key=STATES.index, default=OK)
        if worst == BROKEN:
            sys.exit(1)
