"""Builders for tests that send: a verified account, a composition, a confirmed message.

A message is made by the product's own verbs; the account's row is written as a verification would
leave it, for tests that need no dialer.
"""

from datetime import datetime, time
from typing import Any

from django.utils import timezone

from messenger import lifecycle
from messenger.audience.criteria import Criteria
from messenger.models import District, Message, MessageDraft, School, User
from voice import epochs
from voice.models import CustomerAccount, DialerBatch, DialerJob, LogCursor, VoiceSettings

ALL_DAY = {"window_start": "00:01", "window_end": "23:59"}


def verified_account(**changes: Any) -> VoiceSettings:
    """Voice Settings of a district whose account was verified; hours wide open."""
    settings = VoiceSettings.current()
    settings.username, settings.endpoint = "district", "http://127.0.0.1:9/soap"
    settings.verified, settings.state_id, settings.epoch = True, "state-1", "epoch-1"
    settings.district_start, settings.district_end = time(0, 0), time(23, 59, 59)
    for name, value in changes.items():
        setattr(settings, name, value)
    settings.save()
    CustomerAccount.objects.get_or_create(kind="district", defaults={"customer_id": "D-1"})
    LogCursor.objects.get_or_create(state_id="state-1", epoch="epoch-1")
    return settings


def sender(username: str = "sender") -> User:
    user, _created = User.objects.get_or_create(
        username=username, defaults={"first_name": "System", "last_name": "Administrator"}
    )
    return user


def draft(
    schools: list[School] | None = None,
    *,
    tool: str = "general",
    user: User | None = None,
    grades: tuple[str, ...] = (),
    deliver_to: tuple[str, ...] = ("contacts",),
    modes: tuple[str, ...] = ("voice",),
    **content: Any,
) -> MessageDraft:
    """A draft to these schools (all of them when none is named)."""
    picked = schools if schools is not None else list(School.objects.all())
    criteria = Criteria(
        school_ids=tuple(school.pk for school in picked), grades=grades, deliver_to=deliver_to
    )
    return MessageDraft.objects.create(
        user=user or sender(),
        tool=tool,
        content={
            "subject": "Snow day",
            "voice_text": "School is closed today because of snow.",
            "criteria": criteria.to_json(),
            "modes": list(modes),
            **content,
        },
    )


def confirmed(*args: Any, **kwargs: Any) -> Message:
    """A message, confirmed and not yet launched (an emergency is launched by its confirm)."""
    made = draft(*args, **kwargs)
    return lifecycle.confirm(made, made.user)


def launched(*args: Any, **kwargs: Any) -> Message:
    """A message, confirmed, launched and expanded; nothing is sent."""
    message = confirmed(*args, **kwargs)
    lifecycle.launch(message.pk)
    expand_all(message)
    message.refresh_from_db()
    return message


def expand_all(message: Message) -> None:
    while lifecycle.expand_next(message.pk):
        pass


def noon(day: datetime | None = None) -> datetime:
    """Noon in the district's zone, aware."""
    local = (day or timezone.now()).astimezone(District.current().zone)
    return local.replace(hour=12, minute=0, second=0, microsecond=0)


def lost_message(school: School) -> Message:
    """A routine message of one school, handed over and lost before anybody was called."""
    message = launched([school], subject="Early release")
    DialerJob.objects.filter(message=message).update(
        submitted_at=timezone.now(), accepted_at=timezone.now(), state="open"
    )
    DialerBatch.objects.filter(job__message=message, total_chains=None).update(state="accepted")
    job = DialerJob.of(message.pk)
    assert job is not None
    epochs.mark_lost(job, epochs.EPOCH_CHANGED)
    epochs.decide(message.pk)
    return message
