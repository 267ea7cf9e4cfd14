"""A request without an answer that counts: when it is tried again, and through which door.

Nothing is sent from here and no batch changes its number or content; whether a request may be
repeated at all is the business of `voice.claims`.
"""

import logging
import random
from datetime import timedelta

from django.conf import settings as django_settings
from django.db.models import F
from django.utils.translation import gettext as _

from dialer_adapters.contract import CredentialsRefused, DialerError, Retry
from messenger import clock
from voice import account, breaker, credentials
from voice.claims import Claimed, give_back
from voice.models import DialerJob

log = logging.getLogger(__name__)

MAX_WAIT = 300.0  # seconds between two tries of a request that is in doubt
MAX_WAIT_EMERGENCY = 10.0

Doubt = DialerError | credentials.Unreadable


def words_of(doubt: Doubt) -> str:
    """What went wrong, for people."""
    if isinstance(doubt, DialerError):
        return _(doubt.user_sentence)
    return _("Enter the password again: its key has changed.")


def wait_after(failures: int, emergency: bool, asked: float | None) -> float:
    """Seconds until the next try: what the dialer asked for, else twice as long each time, with a
    random part."""
    first = float(django_settings.DISPATCH_FIRST_WAIT)
    most = MAX_WAIT_EMERGENCY if emergency else MAX_WAIT
    return asked or min(most, first * 2 ** min(failures - 1, 10)) * random.uniform(0.5, 1.0)


def note_trouble(doubt: Doubt) -> str:
    """Tells the pages of the account; refused credentials pause it. Returns the words."""
    words = words_of(doubt)
    if isinstance(doubt, (CredentialsRefused, credentials.Unreadable)):
        account.pause(words)
    else:
        account.note_trouble(words)
    return words


def stand_back(job: DialerJob, batch: Claimed | None, doubt: Doubt) -> None:
    """In doubt: the same request again, at once through the other door if there is one, then later
    each time (random, up to five minutes); refused credentials pause the account. The batch keeps
    its number and its content."""
    now = clock.now()
    words = note_trouble(doubt)
    failures = DialerJob.objects.filter(pk=job.pk).values_list("failures", flat=True).get() + 1
    asked = getattr(doubt, "retry_after", None)
    wait = wait_after(failures, job.message.emergency, asked)
    door = job.endpoint
    if isinstance(doubt, Retry) and asked is None:
        breaker.note_failure(job.endpoint, emergency=job.message.emergency)
        door = breaker.other_door(job)
        if door != job.endpoint and failures == 1:
            wait = 0.0
    retry_at = now + timedelta(seconds=wait)
    log.warning("message %s: %s; again in %.1f s", job.message_id, doubt, wait)
    DialerJob.objects.filter(pk=job.pk).update(
        failures=F("failures") + 1, retry_at=retry_at, trouble=words[:300], endpoint=door
    )
    if batch is not None:
        left = isinstance(doubt, DialerError) and not getattr(doubt, "nothing_sent", False)
        give_back(
            batch,
            retry_at,
            words,
            maybe_acted=left and not isinstance(doubt, CredentialsRefused),
        )
