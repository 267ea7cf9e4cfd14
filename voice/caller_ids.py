"""Caller ID Preferences: which number families see, and whether the dialer takes it.

A number is verified by asking the dialer itself: it refuses a job from a number that is not
registered for the account (CALLER_ID_NOT_ALLOWED), and takes one without calls, which is canceled
at once. Nothing is dialed. The choice for a message is frozen at its confirm.
"""

from collections.abc import Iterable
from datetime import timedelta
from uuid import uuid4

from django.utils import timezone
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    CredentialsRefused,
    DialerError,
    FrozenJob,
    Redial,
    Rejected,
    Script,
    Segment,
)
from messenger.models import ContactReason
from voice import account, credentials
from voice.account import FINE, REFUSED, UNREACHABLE, CheckResult
from voice.models import VoiceSettings
from voice.sound_models import CallerChoice, CallerNumber

NOT_ALLOWED = "CALLER_ID_NOT_ALLOWED"


def choose(reason: str, school_ids: Iterable[int]) -> tuple[str, dict[int, str]]:
    """The number that a message's job comes from, and those of schools that differ (ruling 16).

    For a school the nearest choice wins: its number for the type, its number, the type's number,
    the district's default. With one school the job itself carries the school's; with several it
    carries the district's and each school's chains their own. Only verified numbers count, apart
    from the default; '' leaves the number to the dialer.
    """
    schools = list(school_ids)
    chosen: dict[tuple[int | None, str], str] = {
        (school, of_reason): number
        for school, of_reason, number in CallerChoice.objects.filter(
            reason__in=["", reason], number__verified_at__isnull=False
        ).values_list("school_id", "reason", "number__number")
    }
    district = chosen.get((None, reason)) or VoiceSettings.current().default_caller_id

    def of_school(school: int) -> str:
        return chosen.get((school, reason)) or chosen.get((school, "")) or district

    if len(schools) == 1:
        return of_school(schools[0]), {}
    own = {school: of_school(school) for school in schools}
    return district, {school: number for school, number in own.items() if number != district}


def verify(row: CallerNumber) -> CheckResult:
    """Asks the dialer whether calls may come from this number, and stores the answer. What could
    not be asked changes nothing but the time of the check."""
    result = _ask(row.number)
    row.checked_at = timezone.now()
    if result.kind == FINE:
        row.verified_at, row.trouble = row.checked_at, ""
    elif result.kind == REFUSED:
        row.verified_at, row.trouble = None, result.words[:300]
    row.save(update_fields=["checked_at", "verified_at", "trouble"])
    return result


def _ask(number: str) -> CheckResult:
    now = timezone.now()
    probe = FrozenJob(
        job_ref=str(uuid4()),
        customer_id=account.district_customer_id() or "unassigned",
        priority="NORMAL",
        message_type=ContactReason.GENERAL.value.upper(),
        title="Caller ID",
        caller_id=number,
        window_start=now,
        window_end=now + timedelta(hours=1),
        redial=Redial(max_attempts=1, minutes_between=1, codes=()),
        script=Script(live=(Segment(say="Caller ID"),)),
    )
    try:
        adapter = account.adapter()
        adapter.submit(probe)
        adapter.cancel(probe.job_ref, reason="caller ID verified")
    except Rejected as error:
        return CheckResult(REFUSED, _(error.user_sentence))
    except credentials.Unreadable:
        words = _("Enter the password again: its key has changed.")
    except CredentialsRefused as error:
        words = _(error.user_sentence)
    except DialerError as error:
        words = _(error.user_sentence)
    else:
        return CheckResult(FINE, _("The dialer takes this number."))
    return CheckResult(UNREACHABLE, _("The number could not be checked: %(why)s") % {"why": words})


def is_toll_free(number: str) -> bool:
    """Whether routes may refuse it as a caller (codes -18 and -19)."""
    return number[2:5] in {"800", "833", "844", "855", "866", "877", "888"}
