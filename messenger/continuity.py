"""Whether this database goes on from where it was, or was restored from an older copy.

A restored database has forgotten what was sent and canceled since: messages that families have
had, or that somebody has taken back, are Waiting in it again (the incident of 2010). So the system
counts its own life, one beat every 10 s, and notes the count outside the database: in a file under
VAR_DIR, in the broker, and in the memory of every process. A count in the database that is lower
than one of the notes means that it went back. A database that slept and of which nothing is noted
here stands on a new machine: a restored or copied one, as far as anybody can know. A system that
merely was off goes on: its notes agree with it.

While held nothing is handed over but emergencies confirmed afterwards, until an administrator has
looked at what waits and resumes. Cancels and the call log go on. What is sent twice nevertheless is
stopped by its JobRef, which was frozen at confirm: the dialer knows it.
"""

import logging
import os
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from messenger import clock
from messenger.models import Continuity, Message, User
from messenger.status.pulse import broker

log = logging.getLogger(__name__)

# A database that was alive so lately belongs to a system that runs: who beats has compared.
RUNNING = timedelta(seconds=60)
# Without any note outside, a longer sleep counts as a restored copy.
ASLEEP = timedelta(minutes=10)

_seen: dict[UUID, int] = {}  # the highest count that this process has seen committed
_compared: dict[UUID, datetime] = {}  # at which sign of life the notes were read last


def beat() -> None:
    """The tick (10 s): counts on, and notes the count outside once it is committed."""
    with transaction.atomic():
        thread = check()
        Continuity.objects.filter(pk=1).update(beats=F("beats") + 1, alive_at=clock.now())
        beats = Continuity.objects.values_list("beats", flat=True).get(pk=1)
        transaction.on_commit(partial(_note, thread.identity, beats))


def check() -> Continuity:
    """The thread as it is now, held when it turns out to be broken. One query while all is well;
    the notes outside are read when the database does not beat, once for each last beat."""
    thread = Continuity.objects.filter(pk=1).first()
    now = clock.now()
    if thread is None:
        thread, _created = Continuity.objects.get_or_create(pk=1, defaults={"alive_at": now})
    if thread.held_since is not None:
        return thread
    why = ""
    if thread.beats < _seen.get(thread.identity, 0):
        why = Continuity.Why.WENT_BACK
    elif now - thread.alive_at > RUNNING and _compared.get(thread.identity) != thread.alive_at:
        noted = _noted(thread.identity)
        if noted is not None and noted > thread.beats:
            why = Continuity.Why.WENT_BACK
        elif noted is None and thread.beats and now - thread.alive_at > ASLEEP:
            why = Continuity.Why.NO_TRACE
        else:
            _compared[thread.identity] = thread.alive_at
    if why:
        _hold(thread, why)
    else:
        _seen[thread.identity] = thread.beats
    return thread


def _hold(thread: Continuity, why: str) -> None:
    thread.held_since, thread.held_why = clock.now(), why
    thread.last_alive_at = thread.alive_at
    Continuity.objects.filter(pk=1, held_since=None).update(
        held_since=thread.held_since, held_why=why, last_alive_at=thread.alive_at
    )
    thread.refresh_from_db()
    log.error("the database was restored (%s): nothing is sent until somebody resumes", why)


def lets_go(message: Message) -> bool:
    """Whether this message may be handed over now."""
    thread = check()
    if thread.held_since is None:
        return True
    return message.emergency and message.created_at >= thread.held_since


def held_back() -> QuerySet[Message]:
    """Unfinished messages that wait for somebody's word: those that were confirmed before the
    database was found restored. None while nothing is held."""
    thread = check()
    if thread.held_since is None:
        return Message.objects.none()
    return Message.objects.filter(
        status__in=Message.UNFINISHED, cancel_requested_at=None, created_at__lt=thread.held_since
    ).order_by("scheduled_at", "pk")


def released(path: str = "") -> Q:
    """Which messages `lets_go` lets go, as a condition; `path` leads to the message."""
    thread = check()
    if thread.held_since is None:
        return Q()
    return Q(**{f"{path}emergency": True, f"{path}created_at__gte": thread.held_since})


@transaction.atomic
def resume(user: User) -> None:
    """Sending goes on. From here on the restored state is the true one: the count goes on above
    every note, so that no process takes it for restored again."""
    thread = Continuity.objects.select_for_update().get(pk=1)
    if thread.held_since is None:
        return
    noted = _noted(thread.identity) or 0
    thread.beats = max(thread.beats, noted, _seen.get(thread.identity, 0)) + 1
    thread.alive_at = thread.resumed_at = clock.now()
    thread.resumed_by_name = user.name_in_log()
    thread.held_since, thread.held_why = None, ""
    thread.save()
    transaction.on_commit(partial(_note, thread.identity, thread.beats))
    log.warning("user %s resumed sending from the restored database", user.pk)


# ------------------------------------------------------------------------------------- the notes


def _note(identity: UUID, beats: int) -> None:
    """Notes the count outside. A place that cannot be written to is no error: there are others."""
    _seen[identity] = max(beats, _seen.get(identity, 0))
    try:
        place = _file(identity)
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_text(str(beats))
        fresh.replace(place)
    except OSError as error:
        log.warning("the count is not noted in VAR_DIR: %s", type(error).__name__)
    try:
        with broker() as connection:
            connection.set(_key(identity), beats)
    except redis.RedisError as error:
        log.warning("the count is not noted in the broker: %s", type(error).__name__)


def _noted(identity: UUID) -> int | None:
    """The highest count that is noted outside this process; None when there is none."""
    notes = []
    try:
        notes.append(int(_file(identity).read_text()))
    except (OSError, ValueError):
        log.info("no count of this database is noted in VAR_DIR")
    try:
        with broker() as connection:
            stored = connection.get(_key(identity))
        if stored is not None:
            notes.append(int(stored))
    except (redis.RedisError, ValueError) as error:
        log.warning("the broker cannot be asked for the count: %s", type(error).__name__)
    return max(notes, default=None)


def _file(identity: UUID) -> Path:
    return Path(settings.VAR_DIR) / "continuity" / str(identity)


def _key(identity: UUID) -> str:
    return f"messenger:beats:{identity}"
