"""The telephone on the System status page: account, doors, call log, what waits, alarms.

Reads only. What a dialer that does not answer means for a message is `dispatch`'s business.
"""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings as django_settings
from django.db.models import Count, Min, Q
from django.utils.translation import gettext as _

from messenger.models import District, Message
from messenger.status.ages import age, ago
from messenger.status.findings import BROKEN, LOOK, OK, Finding, by_age
from voice import alarms, credentials
from voice.models import (
    DialerBatch,
    DialerJob,
    EmergencyAlarm,
    LogCursor,
    SecondDoor,
    VoiceSettings,
)

# Seconds. While something is unfinished the log is read every 15 s, else every 5 minutes.
POLL_LOOK, POLL_BROKEN = 60.0, 180.0
IDLE_LOOK, IDLE_BROKEN = 660.0, 1800.0
BATCH_LOOK, BATCH_BROKEN = 120.0, 600.0
URGENT_LOOK, URGENT_BROKEN = 20.0, 60.0
RESULTS_LOOK = 900.0  # results that do not move while calls are due
CONSOLE = "django.core.mail.backends.console.EmailBackend"
DONE = (DialerJob.State.FINISHED, DialerJob.State.REFUSED)


def check_phone(now: datetime) -> Iterator[Finding]:
    """Everything about the telephone; one line when the district has none."""
    settings = VoiceSettings.current()
    if not District.current().voice_enabled:
        words = _("Voice is not part of this district's contract. Hosting enables it.")
        yield Finding(_("Voice"), OK, words)
        return
    yield _account(settings)
    yield _password(settings)
    yield from _second_door(settings)
    yield _poll(settings, now)
    yield _results(now)
    yield _batches(now)
    yield _emergencies(now)
    yield _notices()


def _account(settings: VoiceSettings) -> Finding:
    name = _("Dialer account")
    if settings.paused:
        words = _("Paused: the dialer refuses the user name or password.")
        advice = _("Enter the right ones in Voice Settings. Waiting calls go out at once.")
        return Finding(name, BROKEN, words, advice)
    if not settings.verified:
        words = settings.trouble or _("It has never been verified.")
        advice = _("Enter User Name, Password and URL End Point in Voice Settings.")
        return Finding(name, BROKEN, words, advice)
    last = DialerJob.objects.filter(accepted_at__isnull=False).order_by("-accepted_at").first()
    through_second = bool(
        last and settings.second_endpoint and last.endpoint == settings.second_endpoint
    )
    door = _("second end point") if through_second else _("first end point")
    if settings.trouble:
        advice = _("Press Test connection in Voice Settings. Nothing is lost: it is tried again.")
        return Finding(name, LOOK, settings.trouble, advice)
    words = _("Verified. Calls go through the %(door)s.") % {"door": door}
    if through_second:
        return Finding(name, LOOK, words, _("Ask the provider what is wrong with the first one."))
    return Finding(name, OK, words)


def _password(settings: VoiceSettings) -> Finding:
    name = _("Password")
    try:
        credentials.decrypt(settings.password_encrypted)
    except credentials.Unreadable:
        words = _("The stored password cannot be read with the keys of this installation.")
        advice = _("Put the old key back into FIELD_ENCRYPTION_KEYS, or enter the password again.")
        return Finding(name, BROKEN, words, advice)
    if settings.password_encrypted and not credentials.uses_newest_key(settings.password_encrypted):
        advice = _("Run: manage.py rotate_keys")
        return Finding(name, LOOK, _("It is encrypted with an older key."), advice)
    return Finding(name, OK, _("Stored encrypted with the newest key."))


def _second_door(settings: VoiceSettings) -> Iterator[Finding]:
    name = _("Second end point")
    if not settings.second_endpoint:
        return
    if settings.second_state == SecondDoor.VERIFIED:
        yield Finding(name, OK, _("Verified as the same account; used when the first one fails."))
        return
    words = settings.second_trouble or _("It has not been verified yet.")
    advice = _("Until it is verified, calls go through the first one alone.")
    refused = settings.second_state == SecondDoor.REFUSED
    yield Finding(name, BROKEN if refused else LOOK, words, advice)


def _poll(settings: VoiceSettings, now: datetime) -> Finding:
    name, cursor = _("Call log"), LogCursor.objects.filter(current=True).first()
    if cursor is None or cursor.polled_at is None:
        words = _("It has not been read yet.")
        return Finding(name, LOOK, words, _("It is read as soon as the account is verified."))
    working = DialerJob.objects.exclude(state__in=DONE).exists()
    limits = (POLL_LOOK, POLL_BROKEN) if working else (IDLE_LOOK, IDLE_BROKEN)
    state = by_age((now - cursor.polled_at).total_seconds(), *limits)
    words = _("Read %(ago)s, up to entry %(seq)s.") % {
        "ago": ago(cursor.polled_at, now),
        "seq": f"{cursor.seq:,}",
    }
    if cursor.trouble:
        advice = _("It is tried again by itself. If it stays, ask the dialer's provider.")
        return Finding(name, max(state, LOOK, key=(OK, LOOK, BROKEN).index), cursor.trouble, advice)
    if state != OK:
        return Finding(name, state, words, _("See the queue collect and beat under Workers."))
    return Finding(name, OK, words)


def _results(now: datetime) -> Finding:
    """Whether results still come while calls are due: the age of the last one."""
    name = _("Results of calls")
    waiting = (
        DialerJob.objects.exclude(state__in=DONE)
        .filter(accepted_at__isnull=False)
        .aggregate(count=Count("pk"), first=Min("accepted_at"))
    )
    if not waiting["count"]:
        return Finding(name, OK, _("The dialer owes no results."))
    cursor = LogCursor.objects.filter(current=True).first()
    moved = max(filter(None, [waiting["first"], cursor and cursor.moved_at]))
    words = _("Messages whose results are not complete: %(count)d. Last new result %(ago)s.") % {
        "count": waiting["count"],
        "ago": ago(moved, now),
    }
    if (now - moved).total_seconds() <= RESULTS_LOOK:
        return Finding(name, OK, words)
    advice = _("Open the message and press Refresh Status; if nothing comes, ask the provider.")
    return Finding(name, LOOK, words, advice)


def _batches(now: datetime) -> Finding:
    """The oldest batch that should have left: frozen, or sent and not answered."""
    name = _("Waiting to be handed over")
    waiting = DialerBatch.objects.filter(
        state__in=[DialerBatch.State.FROZEN, DialerBatch.State.SENDING],
        total_chains=None,
        job__message__cancel_requested_at=None,
    ).exclude(job__state__in=DONE)
    found = waiting.aggregate(
        count=Count("pk"),
        first=Min("frozen_at", filter=Q(job__message__emergency=False)),
        urgent=Min("frozen_at", filter=Q(job__message__emergency=True)),
    )
    if not found["count"]:
        return Finding(name, OK, _("Nothing waits."))
    ages = [
        (by_age(seconds, look, broken), seconds)
        for moment, look, broken in (
            (found["first"], BATCH_LOOK, BATCH_BROKEN),
            (found["urgent"], URGENT_LOOK, URGENT_BROKEN),
        )
        if moment is not None
        for seconds in [(now - moment).total_seconds()]
    ]
    state = max((state for state, _seconds in ages), key=(OK, LOOK, BROKEN).index)
    words = _("Batches: %(count)d, the oldest for %(age)s.") % {
        "count": found["count"],
        "age": age(max(seconds for _state, seconds in ages)),
    }
    advice = _("See the dialer account above, and the queues dispatch and urgent under Workers.")
    return Finding(name, state, words, "" if state == OK else advice)


def _emergencies(now: datetime) -> Finding:
    name = _("Emergencies")
    standing = EmergencyAlarm.objects.filter(ended_at=None, message__emergency=True).count()
    unseen = alarms.silent_emergencies(now).count()
    if standing or unseen:
        words = _("Emergencies of which the dialer has accepted nothing: %(count)d.")
        advice = _("Reach families another way, then repair what is broken here.")
        return Finding(name, BROKEN, words % {"count": standing + unseen}, advice)
    running = Message.objects.filter(emergency=True, status__in=Message.UNFINISHED).count()
    if running:
        return Finding(name, OK, _("Being called now: %(count)d.") % {"count": running})
    return Finding(name, OK, _("None is running."))


def _notices() -> Finding:
    """Whether anybody would hear of an emergency that does not go out."""
    name, addresses = _("Notices by email"), alarms.addresses()
    if not addresses:
        words = _("No administrator has an email address: nobody would be told.")
        advice = _("Give the administrators email addresses, or set ALARM_EMAILS.")
        return Finding(name, LOOK, words, advice)
    if django_settings.EMAIL_BACKEND == CONSOLE:
        words = _("No mail server is set: notices go to the log alone.")
        return Finding(name, LOOK, words, _("Set EMAIL_URL."))
    words = _("Addresses that are told of trouble: %(count)d.") % {"count": len(addresses)}
    return Finding(name, OK, words)
