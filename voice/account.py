"""The district's account at the dialer: verifying it, its doors, its customerIDs, its troubles.

Only a successful VerifyCustomer makes the account verified (A1-08); a refused one turns it off; one
that could not be checked changes nothing. A second end point is used only while it is known to be a
second door to the same account (ruling 23). Nothing is held open while the dialer is asked.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    CredentialsRefused,
    DialerAdapter,
    DialerError,
    Rejected,
    Verified,
)
from dialer_adapters.registry import DialerDoor, adapter_for
from dialer_adapters.registry import looks_up as adapter_looks_up
from messenger import clock
from messenger.models import District, School
from voice import credentials
from voice.models import (
    CustomerAccount,
    DialerBatch,
    DialerJob,
    LogCursor,
    SecondDoor,
    VoiceSettings,
)

log = logging.getLogger(__name__)

FINE, REFUSED, UNREACHABLE = "fine", "refused", "unreachable"
RECHECK_EVERY = timedelta(minutes=5)  # a second end point that could not be checked
PAUSE_RECHECK_EVERY = timedelta(minutes=1)  # an account whose credentials were refused
# What a person enters and what a check finds are written apart, so that a check that takes ten
# seconds puts back nothing that was entered, or encrypted with a new key, meanwhile.
ENTERED_COLUMNS = ("username", "endpoint")
PASSWORD_COLUMNS = ("password_encrypted", "password_set_at", "password_set_by")
FOUND_COLUMNS = (
    "verified",
    "verified_at",
    "checked_at",
    "trouble",
    "paused",
    "state_id",
    "epoch",
    "max_chains_per_batch",
    "dialer_lines",
    "dialer_emergency_lines",
    "second_state",
)
SECOND_COLUMNS = ("second_endpoint", "second_state", "second_checked_at", "second_trouble")


@dataclass(frozen=True)
class CheckResult:
    """What a check of the account found: `kind` is fine, refused or unreachable."""

    kind: str
    words: str

    @property
    def ok(self) -> bool:
        return self.kind == FINE


def adapter(settings: VoiceSettings | None = None, endpoint: str = "") -> DialerAdapter:
    """The adapter for the account, or for another of its doors. Raises what `adapter_for` raises
    and `credentials.Unreadable`; opens no connection."""
    settings = settings or VoiceSettings.current()
    return adapter_for(
        DialerDoor(
            endpoint_url=endpoint or settings.endpoint,
            username=settings.username,
            password=credentials.decrypt(settings.password_encrypted),
            adapter=django_settings.DIALER_ADAPTER,
            allow_loopback=django_settings.DIALER_ALLOW_LOOPBACK,
            allowed_hosts=frozenset(django_settings.DIALER_ALLOWED_HOSTS),
        )
    )


def looks_up() -> bool:
    """Whether the provider can be asked what became of a request (`DialerAdapter.looks_up`)."""
    return adapter_looks_up(django_settings.DIALER_ADAPTER)


@dataclass(frozen=True)
class Door:
    """One end point of the account and what a check found there; `number` is 1 or 2."""

    number: int
    endpoint: str
    result: CheckResult


def doors(settings: VoiceSettings | None = None) -> list[str]:
    """The end points that lead to the account, in the order in which they are to be tried: the
    first, then the second one while it is verified as the same account (A1-05, ruling 23)."""
    settings = settings or VoiceSettings.current()
    second = settings.second_endpoint
    usable = second and settings.second_state == SecondDoor.VERIFIED
    return [settings.endpoint, second] if usable else [settings.endpoint]


def verify_and_save(
    settings: VoiceSettings, username: str, password: str | None, endpoint: str, by: str = ""
) -> CheckResult:
    """Asks the dialer whether these credentials are good and stores what follows (A1-06 to A1-09).

    `password` None keeps the stored one; `by` is the name of who entered it. Refused: the
    credentials are stored, voice stays off. Could not be checked: they are stored and the old state
    is kept. The second end point is the business of `verify_second`; it is set aside here when it
    may no longer lead to the same account.
    """
    columns: tuple[str, ...] = (*ENTERED_COLUMNS, *FOUND_COLUMNS)
    known = _whose(settings)
    settings.username, settings.endpoint = username.strip(), endpoint.strip()
    if password is not None:
        settings.password_encrypted = credentials.encrypt(password)
        settings.password_set_at, settings.password_set_by = timezone.now(), by[:310]
        columns += PASSWORD_COLUMNS
    result, verified = _ask(settings, settings.endpoint)
    settings.checked_at = timezone.now()
    if verified is not None:
        _adopt(settings, verified)
    else:
        settings.trouble = result.words[:300]
        settings.verified = settings.verified and result.kind == UNREACHABLE
    if known != _whose(settings):
        settings.second_state = SecondDoor.UNVERIFIED
    settings.save(update_fields=columns)
    return result


def recheck_paused(now: datetime) -> CheckResult | None:
    """Asks again, once a minute, whether credentials that were refused are good by now, and resumes
    by itself when they are (F4): the dialer may have been the one who was wrong, and a request that
    was under way with the old password may have paused what a new one had just resumed. None when
    there is nothing to check."""
    settings = VoiceSettings.current()
    checked = settings.checked_at
    if not settings.paused or (checked is not None and now - checked < PAUSE_RECHECK_EVERY):
        return None
    result, verified = _ask(settings, settings.endpoint)
    with transaction.atomic():
        stored = VoiceSettings.objects.select_for_update().get(pk=1)
        if not stored.paused or _entered(stored) != _entered(settings):
            return None  # entered anew meanwhile: what was found says nothing about that
        known = _whose(stored)
        stored.checked_at = now
        if verified is not None:
            _adopt(stored, verified)
        if known != _whose(stored):
            stored.second_state = SecondDoor.UNVERIFIED
        stored.save(update_fields=FOUND_COLUMNS)
    return result


def _whose(settings: VoiceSettings) -> tuple[str, str, str]:
    """What a second door was compared with."""
    return settings.username, settings.state_id, district_customer_id()


def _entered(settings: VoiceSettings) -> tuple[str, str, str]:
    return settings.username, settings.endpoint, settings.password_encrypted


def verify_second(settings: VoiceSettings, endpoint: str) -> CheckResult | None:
    """Saves the second end point if it is a door to the same account: the StateID and customerID of
    its VerifyCustomer are those of the first (ruling 23). None when it is taken away.

    Refused, or another account: an end point that is new is not saved; the stored one is kept and
    no longer used. Could not be checked: it is kept, and not used until it is verified.
    """
    endpoint = endpoint.strip()
    if not endpoint:
        settings.second_endpoint, settings.second_trouble = "", ""
        settings.second_state, settings.second_checked_at = SecondDoor.UNVERIFIED, None
        settings.save(update_fields=SECOND_COLUMNS)
        return None
    result = _ask_second(settings, endpoint)
    if result.kind == REFUSED and endpoint != settings.second_endpoint:
        return result
    settings.second_endpoint = endpoint
    settings.second_state = {
        FINE: SecondDoor.VERIFIED,
        REFUSED: SecondDoor.REFUSED,
        UNREACHABLE: SecondDoor.UNVERIFIED,
    }[result.kind]
    settings.second_trouble = "" if result.ok else result.words[:300]
    settings.second_checked_at = timezone.now()
    settings.save(update_fields=SECOND_COLUMNS)
    return result


def who_is_behind(settings: VoiceSettings, endpoint: str) -> Verified:
    """The account that an end point leads to. Raises what the adapter raises and
    `credentials.Unreadable`; changes nothing."""
    return adapter(settings, endpoint).verify("district", District.current().name[:200])


def second_is_same(settings: VoiceSettings) -> bool:
    """Looks again whether the second end point still leads to the same account; when it does not,
    it is used no more (ruling 23). True when there is none in use."""
    if settings.second_endpoint not in doors(settings):
        return True
    result = verify_second(settings, settings.second_endpoint)
    return result is None or result.kind != REFUSED


def recheck_second(now: datetime) -> CheckResult | None:
    """Verifies a second end point that could not be checked when it was saved; at most every five
    minutes, and never one that was refused. None when there is nothing to check."""
    settings = VoiceSettings.current()
    checked = settings.second_checked_at
    if (
        not settings.second_endpoint
        or not settings.verified
        or settings.paused
        or settings.second_state != SecondDoor.UNVERIFIED
        or (checked is not None and now - checked < RECHECK_EVERY)
    ):
        return None
    return verify_second(settings, settings.second_endpoint)


def check(settings: VoiceSettings) -> CheckResult:
    """Whether the first end point is fine, refuses or cannot be reached. Changes nothing."""
    return _ask(settings, settings.endpoint)[0]


def check_doors(settings: VoiceSettings) -> list[Door]:
    """Test connection: tells unreachable, refused and fine apart for each end point (A1-14).
    Changes nothing."""
    found = [Door(1, settings.endpoint, check(settings))]
    if second := settings.second_endpoint:
        found.append(Door(2, second, _ask_second(settings, second)))
    return found


def _ask_second(settings: VoiceSettings, endpoint: str) -> CheckResult:
    """Asks the second door who it belongs to, and compares."""
    result, verified = _ask(settings, endpoint)
    if verified is None:
        return result
    customer_id = district_customer_id()
    if not settings.state_id or not settings.verified:
        words = _("The account could not be checked: the first end point is not verified yet.")
        return CheckResult(UNREACHABLE, words)
    if verified.state_id != settings.state_id or verified.customer_id != (
        customer_id or verified.customer_id
    ):
        words = _("This end point leads to another account than the first one.")
        return CheckResult(REFUSED, words)
    return CheckResult(FINE, _("It leads to the same account as the first end point."))


def _ask(settings: VoiceSettings, endpoint: str) -> tuple[CheckResult, Verified | None]:
    district = District.current()
    missing = [
        words
        for words, value in (
            (_("User Name"), settings.username),
            (_("Password"), settings.password_encrypted),
            (_("URL End Point"), endpoint),
        )
        if not value
    ]
    if missing:
        return CheckResult(REFUSED, _("Missing: %(names)s.") % {"names": ", ".join(missing)}), None
    try:
        verified = adapter(settings, endpoint).verify("district", district.name[:200])
    except credentials.Unreadable:
        return CheckResult(REFUSED, _("Enter the password again: its key has changed.")), None
    except (CredentialsRefused, Rejected) as error:
        return CheckResult(REFUSED, _(error.user_sentence)), None
    except DialerError as error:
        words = _("The account could not be checked: %(why)s") % {"why": _(error.user_sentence)}
        return CheckResult(UNREACHABLE, words), None
    return CheckResult(FINE, _("The dialer accepts the user name and password.")), verified


def _adopt(settings: VoiceSettings, verified: Verified) -> None:
    if settings.paused:
        _resume()
    settings.verified = True
    settings.verified_at = settings.checked_at
    settings.trouble, settings.paused = "", False
    settings.state_id, settings.epoch = verified.state_id, verified.epoch
    settings.max_chains_per_batch = max(1, min(1000, verified.limits.max_chains_per_batch))
    settings.dialer_lines = max(0, verified.limits.normal_lines)
    settings.dialer_emergency_lines = max(0, verified.limits.emergency_lines)
    CustomerAccount.objects.update_or_create(
        kind=CustomerAccount.Kind.DISTRICT,
        school=None,
        defaults={
            "state_id": verified.state_id,
            "customer_id": verified.customer_id,
            "assigned_at": settings.checked_at,
        },
    )
    LogCursor.objects.exclude(state_id=verified.state_id, epoch=verified.epoch).update(
        current=False
    )
    LogCursor.objects.update_or_create(
        state_id=verified.state_id, epoch=verified.epoch, defaults={"current": True}
    )


def _resume() -> None:
    """What waited for good credentials goes out with the next tick, not when its back-off is over
    (F4). A request that is repeated too early is answered Replayed."""
    waiting = DialerJob.objects.filter(retry_at__isnull=False)
    DialerBatch.objects.filter(job__in=waiting, state=DialerBatch.State.SENDING).update(
        lease_until=clock.now()
    )
    waiting.update(retry_at=None)


def pause(reason: str) -> None:
    """The dialer refuses the credentials: nothing is sent until they are right again, and the one
    banner says so (F4). Saving good credentials resumes."""
    VoiceSettings.objects.filter(pk=1).update(paused=True, trouble=reason[:300])


def note_trouble(reason: str) -> None:
    """What goes wrong with the account at the moment, for the pages; '' when it works again."""
    VoiceSettings.objects.filter(pk=1).exclude(trouble=reason[:300]).update(trouble=reason[:300])


def fetch_school_ids(school_ids: Iterable[int]) -> None:
    """Gets the customerID of each school that has none yet (A1-10), one request each.

    For the dialer's recognition only (A1-11): a failure is logged and changes nothing.
    """
    settings = VoiceSettings.current()
    known = CustomerAccount.objects.filter(state_id=settings.state_id).exclude(customer_id="")
    missing = School.objects.filter(pk__in=list(school_ids)).exclude(
        pk__in=known.filter(school__isnull=False).values("school_id")
    )
    for school in missing:
        try:
            customer_id = adapter(settings).customer_id("SCHOOL", str(school.uuid), school.name)
        except (DialerError, credentials.Unreadable) as error:
            log.warning("no customerID for school %s: %s", school.pk, type(error).__name__)
            return
        CustomerAccount.objects.update_or_create(
            kind=CustomerAccount.Kind.SCHOOL,
            school=school,
            defaults={
                "state_id": settings.state_id,
                "customer_id": customer_id,
                "assigned_at": timezone.now(),
            },
        )


def district_customer_id() -> str:
    """The district's customerID, '' before the first verification."""
    account = CustomerAccount.objects.filter(kind=CustomerAccount.Kind.DISTRICT).first()
    return account.customer_id if account else ""


def customer_id_for(school_ids: list[int]) -> str:
    """The school's customerID when there is one school, else the district's (ruling 16)."""
    if len(school_ids) == 1:
        account = CustomerAccount.objects.filter(school_id=school_ids[0]).first()
        if account and account.customer_id:
            return account.customer_id
    return district_customer_id()


def note_polled() -> None:
    """The log was read: a trouble that came from not reading it is over."""
    settings = VoiceSettings.current()
    if settings.trouble and settings.verified and not settings.paused:
        note_trouble("")
