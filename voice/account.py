"""The district's account at the dialer: verifying it, its customerIDs, its troubles, its adapter.

Only a successful VerifyCustomer makes the account verified (A1-08); a refused one turns it off; one
that could not be checked changes nothing. Nothing is held open while the dialer is asked.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings as django_settings
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
from messenger.models import District, School
from voice import credentials
from voice.models import CustomerAccount, LogCursor, VoiceSettings

log = logging.getLogger(__name__)

FINE, REFUSED, UNREACHABLE = "fine", "refused", "unreachable"


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
            allow_loopback=django_settings.DIALER_ALLOW_LOOPBACK,
            allowed_hosts=frozenset(django_settings.DIALER_ALLOWED_HOSTS),
        )
    )


def verify_and_save(
    settings: VoiceSettings, username: str, password: str | None, endpoint: str
) -> CheckResult:
    """Asks the dialer whether these credentials are good and stores what follows (A1-06 to A1-09).

    `password` None keeps the stored one. Refused: the credentials are stored, voice stays off.
    Could not be checked: they are stored and the old state is kept.
    """
    settings.username, settings.endpoint = username.strip(), endpoint.strip()
    if password is not None:
        settings.password_encrypted = credentials.encrypt(password)
    result, verified = _ask(settings)
    settings.checked_at = timezone.now()
    if verified is not None:
        _adopt(settings, verified)
    elif result.kind == REFUSED:
        settings.verified = False
        settings.trouble = result.words[:300]
    else:
        settings.trouble = result.words[:300]
    settings.save()
    return result


def check(settings: VoiceSettings) -> CheckResult:
    """Test connection: tells unreachable, refused and fine apart (A1-14). Changes nothing."""
    return _ask(settings)[0]


def _ask(settings: VoiceSettings) -> tuple[CheckResult, Verified | None]:
    district = District.current()
    missing = [
        words
        for words, value in (
            (_("User Name"), settings.username),
            (_("Password"), settings.password_encrypted),
            (_("URL End Point"), settings.endpoint),
        )
        if not value
    ]
    if missing:
        return CheckResult(REFUSED, _("Missing: %(names)s.") % {"names": ", ".join(missing)}), None
    try:
        verified = adapter(settings).verify("district", district.name[:200])
    except credentials.Unreadable:
        return CheckResult(REFUSED, _("Enter the password again: its key has changed.")), None
    except (CredentialsRefused, Rejected) as error:
        return CheckResult(REFUSED, _(error.user_sentence)), None
    except DialerError as error:
        words = _("The account could not be checked: %(why)s") % {"why": _(error.user_sentence)}
        return CheckResult(UNREACHABLE, words), None
    return CheckResult(FINE, _("The dialer accepts the user name and password.")), verified


def _adopt(settings: VoiceSettings, verified: Verified) -> None:
    settings.verified = True
    settings.verified_at = settings.checked_at
    settings.trouble, settings.paused = "", False
    settings.state_id, settings.epoch = verified.state_id, verified.epoch
    settings.max_chains_per_batch = max(1, min(1000, verified.limits.max_chains_per_batch))
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
