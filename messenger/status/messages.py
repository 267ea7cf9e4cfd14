"""The messages themselves: what has not started, what is not finished, what misses results."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Count, F, Min, Q
from django.db.models.functions import Coalesce, Greatest
from django.utils.translation import gettext as _

from messenger.models import Message
from messenger.status.ages import ago
from messenger.status.findings import LOOK, OK, Finding, by_age

# A tick of 5 s starts what is due; a launch of 100,000 families is planned in seconds.
START_LOOK, START_BROKEN = 60.0, 180.0
EXPANSION = timedelta(minutes=10)


def check_messages(now: datetime) -> Iterator[Finding]:
    yield _unfinished()
    yield _late(now)
    yield from _slow(now)
    yield _overdue()


def _unfinished() -> Finding:
    counts = Message.objects.filter(status__in=Message.UNFINISHED).aggregate(
        waiting=Count("pk", filter=Q(status=Message.Status.WAITING)),
        running=Count("pk", filter=Q(status=Message.Status.IN_PROGRESS)),
    )
    words = _("%(running)d in progress, %(waiting)d waiting for their time.") % counts
    return Finding(_("Unfinished"), OK, words)


def _late(now: datetime) -> Finding:
    starts = Greatest(F("scheduled_at"), Coalesce(F("dial_from"), F("scheduled_at")))
    late = (
        Message.objects.filter(status=Message.Status.WAITING, cancel_requested_at=None)
        .annotate(starts=starts)
        .filter(starts__lt=now)
        .aggregate(count=Count("pk"), first=Min("starts"))
    )
    name, first = _("Start on time"), late["first"]
    state = by_age((now - first).total_seconds() if first else 0.0, START_LOOK, START_BROKEN)
    if state == OK:
        return Finding(name, OK, _("Every message that is due has started."))
    words = _("Messages that should have started: %(count)d, the first one %(ago)s.")
    return Finding(
        name,
        state,
        words % {"count": late["count"], "ago": ago(first, now)},
        _("The queue periodic or beat has stopped: see Workers."),
    )


def _slow(now: datetime) -> Iterator[Finding]:
    slow = Message.objects.filter(
        status=Message.Status.IN_PROGRESS,
        expanded_at=None,
        cancel_requested_at=None,
        launched_at__lt=now - EXPANSION,
    ).count()
    if slow:
        words = _("Messages still being worked out after 10 minutes: %(count)d.")
        advice = _("See the queues dispatch and urgent under Workers.")
        yield Finding(_("Working out recipients"), LOOK, words % {"count": slow}, advice)


def _overdue() -> Finding:
    name = _("Results")
    overdue = Message.objects.filter(status=Message.Status.ERROR).count()
    if not overdue:
        return Finding(name, OK, _("No message misses results."))
    words = _("Messages that miss results after their time-out (status Error): %(count)d.")
    advice = _("Open each one in the log and press Refresh Status.")
    return Finding(name, LOOK, words % {"count": overdue}, advice)
