"""Which door of the account is used: a breaker for each end point (F1, ruling 23).

Both doors lead to one account, and a repeated request is the same request there (same JobRef, same
batch number), so that going through the other one dials nothing twice. A door that fails is left
for the other at once; one that keeps failing is closed for everybody and tried again by one request
every half minute. Nothing is sent from here.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction

from messenger import clock
from voice import account
from voice.models import DialerJob, DoorHealth, VoiceSettings

FAILURES = 5  # so many failures ...
WITHIN = timedelta(seconds=30)  # ... within so long close a door
PROBE_EVERY = timedelta(seconds=30)


def doors_in_order(settings: VoiceSettings | None = None) -> list[str]:
    """The end points in the order in which they should be tried now: open ones first, as the
    settings have them; a closed one whose time has come is offered first, to one caller alone."""
    doors = account.doors(settings)
    if len(doors) == 1:
        return doors
    now = clock.now()
    closed = _closed(doors)
    due = [door for door in doors if door in closed and closed[door] <= now and _probe(door, now)]
    return sorted(doors, key=lambda door: door in closed and door not in due)


def choose_door(job: DialerJob) -> None:
    """Leads a job through the first door that is open, of the account that it belongs to. What was
    sent already has its door committed (ruling 23)."""
    settings = VoiceSettings.current()
    if job.endpoint and (job.failures or job.state_id != settings.state_id):
        return  # it was sent to the other door a moment ago, or belongs to another account
    door = doors_in_order(settings)[0]
    if job.submitted_at is not None and door != job.endpoint:
        DialerJob.objects.filter(pk=job.pk).update(endpoint=door)
    job.endpoint = door


def other_door(job: DialerJob) -> str:
    """The door that a job's request goes through next; its own when there is no other one."""
    settings = VoiceSettings.current()
    if job.state_id and job.state_id != settings.state_id:
        return job.endpoint
    others = [door for door in account.doors(settings) if door != job.endpoint]
    return others[0] if others else job.endpoint


def _closed(doors: Sequence[str]) -> dict[str, datetime]:
    """The closed doors, and when each may be tried again."""
    rows = DoorHealth.objects.filter(endpoint__in=doors)
    return {row.endpoint: row.closed_until for row in rows if row.closed_until is not None}


def _probe(door: str, now: datetime) -> bool:
    """Takes the turn to try a closed door; everybody else waits for the next turn."""
    turn = DoorHealth.objects.filter(endpoint=door, closed_until__lte=now)
    return bool(turn.update(closed_until=now + PROBE_EVERY))


def note_failure(endpoint: str, *, emergency: bool = False) -> None:
    """A request through this door got no answer that counts. An emergency does not wait for the
    fifth failure: the first closes the door."""
    now = clock.now()
    with transaction.atomic():
        DoorHealth.objects.get_or_create(endpoint=endpoint)
        health = DoorHealth.objects.select_for_update().get(endpoint=endpoint)
        if health.first_failed_at is None or health.first_failed_at < now - WITHIN:
            health.failures, health.first_failed_at = 0, now
        health.failures += 1
        if emergency or health.failures >= FAILURES or health.closed_until is not None:
            health.closed_until = now + PROBE_EVERY
        health.save()


def note_success(endpoint: str) -> None:
    """The door works: it is open, and counting begins anew."""
    DoorHealth.objects.filter(endpoint=endpoint).exclude(failures=0, closed_until=None).update(
        failures=0, first_failed_at=None, closed_until=None
    )
