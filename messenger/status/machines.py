"""The machines behind the pages: database, broker, queues, beat, disk."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils.translation import gettext as _

from messenger.status import pulse
from messenger.status.ages import ago
from messenger.status.findings import BROKEN, LOOK, OK, Finding, by_age

SLOW = 1.0  # seconds for the smallest question
GIGABYTE = 1024**3
# Recordings and reports of a large district take a few gigabytes a year.
DISK_LOOK, DISK_BROKEN = 5 * GIGABYTE, GIGABYTE


def check_machines(now: datetime) -> Iterator[Finding]:
    yield _database()
    yield _redis()
    yield _disk()


def check_workers(now: datetime) -> Iterator[Finding]:
    """Beat, then every queue by its last sign of life, with what waits in it."""
    yield _beat(now)
    try:
        waiting = pulse.lengths()
    except redis.RedisError:
        waiting = {}  # the broker has a line of its own
    for state in pulse.queue_states(now):
        yield _queue(state, waiting.get(state.queue, 0), now)


def _database() -> Finding:
    name, start = _("Database"), monotonic()
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        advice = _("Start PostgreSQL, or correct DATABASE_URL.")
        return Finding(name, BROKEN, _("PostgreSQL does not answer."), advice)
    took = monotonic() - start
    words = _("PostgreSQL answers in %(ms)d ms.") % {"ms": round(took * 1000)}
    if took > SLOW:
        return Finding(name, LOOK, words, _("Its machine or disk has too much to do."))
    return Finding(name, OK, words)


def _redis() -> Finding:
    name, start = _("Broker"), monotonic()
    try:
        with pulse.broker() as server:
            server.ping()
    except redis.RedisError:
        return Finding(
            name,
            BROKEN,
            _("Redis does not answer: nothing starts by itself."),
            _("Start Redis, or correct REDIS_URL. Until then: manage.py tick --every 5 --alone"),
        )
    took = monotonic() - start
    words = _("Redis answers in %(ms)d ms.") % {"ms": round(took * 1000)}
    return Finding(name, LOOK if took > SLOW else OK, words)


def _disk() -> Finding:
    name, place = _("Disk"), Path(settings.MEDIA_ROOT)
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    words = _("%(free).1f GB are free.") % {"free": usage.free / GIGABYTE}
    state = BROKEN if usage.free < DISK_BROKEN else LOOK if usage.free < DISK_LOOK else OK
    advice = "" if state == OK else _("Make room where VAR_DIR lies.")
    return Finding(name, state, words, advice)


def _beat(now: datetime) -> Finding:
    name = _("Beat")
    advice = _("Start beat, or run: manage.py tick --every 5")
    try:
        last = pulse.last_beat()
    except redis.RedisError:
        return Finding(name, BROKEN, _("The broker cannot be asked."), advice)
    if last is None:
        return Finding(name, BROKEN, _("It has never rung."), advice)
    silence = pulse.BEAT_SILENT_AFTER.total_seconds()
    state = by_age((now - last).total_seconds(), silence, silence)
    words = _("It last rang %(ago)s.") % {"ago": ago(last, now)}
    return Finding(name, state, words, "" if state == OK else advice)


def _queue(state: pulse.QueueState, waiting: int, now: datetime) -> Finding:
    name = _("Queue %(queue)s") % {"queue": state.queue}
    if state.since is None:
        words = _("Nothing has been done in it yet.")
    else:
        words = _("Last work done %(ago)s.") % {"ago": ago(state.since, now)}
    if waiting:
        words += " " + _("Tasks that wait: %(count)d.") % {"count": waiting}
    if not state.silent:
        return Finding(name, OK if state.since else LOOK, words)
    if state.queue in pulse.LONG_WORK and state.since is not None:
        advice = _("A long report or import may keep it busy. If none runs, restart its worker.")
        return Finding(name, LOOK, words, advice)
    advice = _("No worker consumes it. Start or restart the worker of this queue.")
    return Finding(name, BROKEN, words, advice)
