"""How fast requests leave, so that the dialer need not turn them away, and who goes first (F3).

The dialer says that it was asked too much by a ServerBusyFault with a number of seconds. All
workers keep them, each with the request that it has in its hand; while they last and shortly after,
routine messages stand still as long as an emergency asks. Where the limit is known
(DIALER_REQUESTS_PER_SECOND), a bucket of tokens that all workers share keeps it from being reached.
Cancels and the call log are never held back here. What is sent, and what becomes of it, is decided
elsewhere; nothing is held open while a worker waits.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from math import ceil
from threading import Event
from time import monotonic
from typing import TypeVar

from django.conf import settings as django_settings
from django.db import transaction
from django.db.models.functions import Now

from dialer_adapters.contract import Retry
from messenger import clock, lifecycle
from messenger.models import Message
from voice.models import RequestQuota

# A worker waits with a claimed batch in its hand: a third of its lease, a request beside it.
PATIENCE = min(20.0, django_settings.DISPATCH_LEASE_SECONDS / 3)
BURST_SECONDS = 1.0  # so much of the rate may leave at once after a pause
# After an emergency's last request routine ones stand still for so long: its next one is written.
URGENT_FOR = timedelta(seconds=1)
# So long after it turned somebody away the dialer is thought to be at its limit.
TIGHT_FOR = timedelta(seconds=10)

T = TypeVar("T")


def paced(send: Callable[[], T], message: Message) -> T:
    """Sends when it is this request's turn, and again when the dialer says that it did nothing yet.
    A message that was canceled while its request waited is not sent. Raises what `send` raises, and
    Retry("busy") when its turn does not come in time; then nothing has left."""
    until, pause = monotonic() + PATIENCE, Event()  # nobody sets it: a wait that ends by its time
    while True:
        waited = False
        while wait := _take(message.emergency):
            if monotonic() + wait > until:
                raise Retry("busy", ceil(wait), "waiting for its turn", nothing_sent=True)
            waited = True
            pause.wait(wait)
        if waited and not _goes_on(message.pk):
            raise Retry("busy", 1, "canceled while it waited", nothing_sent=True)
        try:
            return send()
        except Retry as doubt:
            if doubt.reason != "busy" or doubt.retry_after is None:
                raise
            _hold(doubt.retry_after)
            if not doubt.nothing_sent or monotonic() + doubt.retry_after > until:
                raise


def _goes_on(message_id: int) -> bool:
    with transaction.atomic():
        return lifecycle.may_go_on(message_id)


def turn(quota: RequestQuota, now: datetime, rate: float, *, urgent: bool) -> float:
    """Seconds until a request may leave; 0 takes its token. Changes `quota` and writes nothing;
    `rate` is requests a second, 0 where it is not known."""
    held = max(quota.held_until or now, now)
    if urgent:
        quota.urgent_until = held + URGENT_FOR
    elif quota.urgent_until is not None and quota.urgent_until > now:
        return (quota.urgent_until - now).total_seconds()
    if held > now:
        return (held - now).total_seconds()
    if not rate:
        return 0.0
    since = max(0.0, (now - quota.as_of).total_seconds()) if quota.as_of else BURST_SECONDS
    tokens = min(max(1.0, rate * BURST_SECONDS), quota.tokens + since * rate)
    quota.as_of = now
    if tokens < 1.0:
        quota.tokens = tokens
        return (1.0 - tokens) / rate
    quota.tokens = tokens - 1.0
    return 0.0


def _take(urgent: bool) -> float:
    """The shared turn of all workers. Without a known rate nothing is asked but whether the dialer
    is at its limit, which is one look at a row."""
    rate = django_settings.DIALER_REQUESTS_PER_SECOND
    if not rate:
        held = RequestQuota.objects.filter(held_until__gt=Now() - TIGHT_FOR)
        if not held.exists():
            return 0.0
    with transaction.atomic():
        RequestQuota.objects.get_or_create(pk=1)
        quota = RequestQuota.objects.select_for_update().get(pk=1)
        wait = turn(quota, clock.now(), rate, urgent=urgent)
        quota.save()
    return wait


def _hold(seconds: int) -> None:
    """The dialer turned a request away: nobody asks for so long."""
    held_until = clock.now() + timedelta(seconds=seconds)
    with transaction.atomic():
        RequestQuota.objects.get_or_create(pk=1)
        quota = RequestQuota.objects.select_for_update().get(pk=1)
        quota.held_until = max(quota.held_until or held_until, held_until)
        quota.tokens = 0.0
        quota.save(update_fields=["held_until", "tokens"])
