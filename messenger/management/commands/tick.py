"""Does what beat does, so that nothing depends on beat being alive.

Runs every tick once, or again and again with ``--every``. The ticks are those of the Celery app's
schedule; each may run twice at once. Rings go to the broker if it is there; with ``--alone`` the
work itself is done here, which sends an emergency even without Redis. With ``--spare`` that happens
only while the broker, beat or a queue is silent: such a process stands by in every installation.
"""

import logging
import time
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections
from django.utils import timezone

from messenger import doorbell
from messenger.status import pulse
from messenger.status.readiness import obstacles

log = logging.getLogger(__name__)

# Beat notes its tick every 5 s. An emergency that is confirmed while it is silent is handed over
# within 60 s (R7): so much silence, a pause of the loop, and the work itself.
BEAT_SILENCE = timedelta(seconds=20)


class Command(BaseCommand):
    help = "Run the ticks of beat once, or every N seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every", type=float, default=0.0, help="Seconds; 0 runs once.")
        parser.add_argument("--alone", action="store_true", help="Work here, without a broker.")
        parser.add_argument(
            "--spare", action="store_true", help="Work here, but only while nobody else does."
        )

    def handle(self, **options: Any) -> None:
        self._begin_complete()
        current_app.loader.import_default_modules()
        spare = options["spare"]
        if options["alone"] or spare:
            doorbell.work_here()
        while True:
            _renew_connections()
            if not spare or _nobody_works():
                _tick(with_probes=not spare)
            if not spare:
                pulse.note_beat()
            if settings.AT_WORK_FILE:
                Path(settings.AT_WORK_FILE).touch()
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
            said = " ".join(f"{each.words} {each.advice}" for each in found)
            raise CommandError(f"tick does not start. {said}")


def _renew_connections() -> None:
    """Gives up what PostgreSQL has ended meanwhile; the next statement connects anew."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _tick(*, with_probes: bool) -> None:
    for name, entry in current_app.conf.beat_schedule.items():
        task, args = current_app.tasks[entry["task"]], entry.get("args", ())
        try:
            if not args:
                task()
            elif with_probes:
                # A probe of a queue says something only when its own worker does it.
                doorbell.ring(task, *args, queue=entry["options"]["queue"])
        except Exception:  # one broken tick must not stop the others
            log.exception("tick %s", name)
            _renew_connections()


def _nobody_works() -> bool:
    """Whether the broker does not answer, beat is silent, or a queue has stopped."""
    now = timezone.now()
    try:
        last = pulse.last_beat()
        return last is None or now - last > BEAT_SILENCE or bool(pulse.stopped_queues(now))
    except redis.RedisError:
        return True
    except DatabaseError as error:
        log.warning("nobody can work without the database: %s", type(error).__name__)
        return False
