"""Does what beat does, so that nothing depends on beat being alive.

Runs every tick once, or again and again with ``--every``. The ticks are those of the Celery app's
schedule; each may run twice at once. Rings go to the broker if it is there; with ``--alone`` the
work itself is done here, which sends an emergency even without Redis.
"""

import logging
import time
from argparse import ArgumentParser
from typing import Any

from celery import current_app
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from messenger import doorbell
from messenger.status import pulse
from messenger.status.readiness import obstacles

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Run the ticks of beat once, or every N seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, default=0.0, help="Seconds; 0 runs once.")
        parser.add_argument("--alone", action="store_true", help="Work here, without a broker.")

    def handle(self, **options: Any) -> None:
        self._begin_complete()
        current_app.loader.import_default_modules()
        if options["alone"]:
            doorbell.work_here()
        while True:
            for name, entry in current_app.conf.beat_schedule.items():
                task, args = current_app.tasks[entry["task"]], entry.get("args", ())
                try:
                    if args:
                        # A probe of a queue says something only when its own worker does it.
                        doorbell.ring(task, *args, queue=entry["options"]["queue"])
                    else:
                        task()
                except Exception:  # one broken tick must not stop the others
                    log.exception("tick %s", name)
            pulse.note_beat()
            if not options["every"]:
                return
            time.sleep(options["every"])

    def _begin_complete(self) -> None:
        """On a database of another version, or without its keys, nothing is begun."""
        try:
            found = obstacles()
        except DatabaseError as error:
            log.warning("without its database: %s", type(error).__name__)
            return
        if found:
            raise CommandError(" ".join(f"{each.words} {each.advice}" for each in found))
