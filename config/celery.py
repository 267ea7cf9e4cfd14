"""The Celery application: queues, routes and the fixed ticks of beat.

Celery is the doorbell: it makes things happen soon and never decides whether they happen. Every
task gets ids and is a thin shell over a function that a test calls directly; every tick may run
twice at once, and ``manage.py tick`` does what beat does. What a task does never lives here.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_after_setup, setup_logging, worker_ready
from django.conf import settings

from config import logs
from config.queues import PULSE_SECONDS, URGENT, WORK_QUEUES
from config.watch.worker import Watched

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("messenger")
app.config_from_object("django.conf:settings", namespace="CELERY")


@setup_logging.connect
def _log_as_everybody_does(**_options: Any) -> None:
    """Keeps Celery from putting its own handlers in the place of ours: they would print whatever an
    exception says (`config.logs`)."""
    logs.configure(settings.LOGGING)


@celeryd_after_setup.connect
@beat_init.connect
def _begin_complete(sender: object, **_options: Any) -> None:
    from config.gate import stop_if_incomplete  # needs the apps, which are loaded by now

    stop_if_incomplete(sender if isinstance(sender, str) else "beat")


app.steps["worker"].add(Watched)
app.autodiscover_tasks()
app.autodiscover_tasks(["messenger.roster"])
app.autodiscover_tasks(["messenger"], related_name="batch_tasks")

# Fixed ticks only; schedules of users are rows that a tick reads. Each tick expires before the next
# one, so that a stopped worker does not find a heap of them. (seconds, queue)
TICKS: dict[str, tuple[float, str]] = {
    "messenger.tasks.start_due": (5.0, "periodic"),
    "messenger.tasks.count_on": (10.0, "periodic"),
    "messenger.roster.tasks.resume_imports": (60.0, "periodic"),
    "messenger.batch_tasks.resume_batches": (60.0, "periodic"),
    "voice.tasks.resume_dispatch": (10.0, "periodic"),
    "voice.tasks.poll_call_log": (15.0, "collect"),
    "voice.tasks.sweep_phone": (60.0, "periodic"),
    "voice.tasks.recheck_account": (60.0, "periodic"),
    "voice.tasks.watch_emergencies": (10.0, "periodic"),
    "sentlog.tasks.recompute_summaries": (5.0, "periodic"),
    "sentlog.tasks.resume_reports": (60.0, "periodic"),
    "sentlog.tasks.purge_reports": (3_600.0, "periodic"),
    "sentlog.tasks.remove_old_detail": (3_600.0, "reports"),
}

SCHEDULE: dict[str, dict[str, object]] = {
    name: {
        "task": name,
        "schedule": seconds,
        "options": {"queue": queue, "expires": max(seconds, 15.0)},
    }
    for name, (seconds, queue) in TICKS.items()
}
# An emergency that does not go out must be noticed although the other queue has stopped: the same
# tick, again.
SCHEDULE["voice.tasks.watch_emergencies, urgent"] = {
    "task": "voice.tasks.watch_emergencies",
    "schedule": 10.0,
    "options": {"queue": URGENT, "expires": 15.0},
}
# A probe for each queue, so that one that nobody works on is found by its silence. A probe that
# waits longer than two periods has been overtaken by the next one.
SCHEDULE |= {
    f"pulse of {queue}": {
        "task": "messenger.tasks.note_pulse",
        "schedule": PULSE_SECONDS,
        "args": [queue],
        "options": {"queue": queue, "expires": 2 * PULSE_SECONDS},
    }
    for queue in WORK_QUEUES
}
app.conf.beat_schedule = SCHEDULE


@worker_ready.connect
def _look_at_once(sender: Any, **_options: Any) -> None:
    """Whoever starts after a crash finds what was left lying now, and not at the next tick: beat
    may have died too, and begins to count anew."""
    for name, (seconds, queue) in TICKS.items():
        if queue in sender.app.amqp.queues.consume_from:
            app.send_task(name, queue=queue, expires=max(seconds, 15.0))
