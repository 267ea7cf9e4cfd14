"""A message that does not go out: the red banner, and a notice by another channel (F7, S4).

Of an emergency the dialer has 60 s to accept the first batch. After that the alarm stands until
something is accepted, the message is canceled or it ends; administrators and the sender get one
email when it begins and one when it ends. Any other message raises it when it Failed before the
dialer had taken a single call: missed, unreachable until its window was over, or refused. That one
stands for a day. Nothing here sends or repairs a message.
"""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings as django_settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger import rights
from messenger.models import District, Message, MessageMode, User
from messenger.templatetags.shown import moment_words
from voice.channel import PHONE_MODES
from voice.models import DialerJob, EmergencyAlarm, VoiceSettings

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=60)
# Older ones are history: nobody is helped by an alarm about yesterday.
LOOK_BACK = timedelta(hours=24)
# A refused one is not tried again: after an hour everybody knows.
REFUSED_FOR = timedelta(hours=1)
# A tick that died while it sent a notice gives it back after so long.
CLAIM = timedelta(seconds=60)
WAITED_FOR = (
    Message.Status.WAITING,
    Message.Status.IN_PROGRESS,
    Message.Status.ERROR,
    Message.Status.FAILED,
)


def watch(now: datetime) -> None:
    """The tick: raises and ends alarms, then sends the notices that are due. Twice at once is
    harmless."""
    silent = [*silent_emergencies(now), *failed_unheard(now)]
    EmergencyAlarm.objects.bulk_create(
        [EmergencyAlarm(message=message, raised_at=now) for message in silent],
        ignore_conflicts=True,
    )
    standing = EmergencyAlarm.objects.filter(ended_at=None)
    refused = Q(
        message__status=Message.Status.FAILED,
        message__emergency=True,
        raised_at__lt=now - REFUSED_FOR,
    )
    standing.filter(refused | Q(raised_at__lt=now - LOOK_BACK)).update(ended_at=now)
    standing.exclude(message__in=_unheard()).exclude(message__in=_failed()).update(ended_at=now)
    for alarm in _due(now, "claimed_at", Q(notified_at=None, ended_at=None)):
        _notify(alarm, "claimed_at", "notified_at", _begin_words, now)
    over = Q(notified_at__isnull=False, end_notified_at=None, ended_at__isnull=False)
    over &= Q(message__emergency=True)
    for alarm in _due(now, "end_claimed_at", over):
        _notify(alarm, "end_claimed_at", "end_notified_at", _end_words, now)


def silent_emergencies(now: datetime) -> QuerySet[Message]:
    """Emergencies confirmed more than 60 s ago of which the dialer has accepted nothing, and about
    which no alarm has been raised."""
    return _unheard().filter(
        created_at__lt=now - PATIENCE, created_at__gte=now - LOOK_BACK, emergency_alarm=None
    )


def failed_unheard(now: datetime) -> QuerySet[Message]:
    """Other messages that Failed lately without a single call, and about which no alarm has been
    raised."""
    return _failed().filter(finished_at__gte=now - LOOK_BACK, emergency_alarm=None)


def _failed() -> QuerySet[Message]:
    accepted = DialerJob.objects.filter(message=OuterRef("pk"), accepted_at__isnull=False)
    return Message.objects.filter(
        ~Exists(accepted),
        Exists(MessageMode.objects.filter(message=OuterRef("pk"), mode__in=PHONE_MODES)),
        emergency=False,
        status=Message.Status.FAILED,
    )


def _unheard() -> QuerySet[Message]:
    accepted = DialerJob.objects.filter(
        message=OuterRef("pk"), current=True, accepted_at__isnull=False
    )
    return Message.objects.filter(
        ~Exists(accepted),
        Exists(MessageMode.objects.filter(message=OuterRef("pk"), mode__in=PHONE_MODES)),
        emergency=True,
        status__in=WAITED_FOR,
        cancel_requested_at=None,
    )


def addresses(message: Message | None = None) -> list[str]:
    """Who is told: the district's administrators, superusers, whoever sent the message, and
    ALARM_EMAILS."""
    told = User.objects.filter(is_active=True).exclude(email="")
    administrators = Q(is_superuser=True) | Q(
        role_assignments__school=None,
        role_assignments__role__rights__contains=[rights.SETTINGS_EDIT],
    )
    if message is not None and message.sender_id is not None:
        administrators |= Q(pk=message.sender_id)
    found = told.filter(administrators).values_list("email", flat=True)
    return sorted({*found, *django_settings.ALARM_EMAILS})


def _due(now: datetime, claim: str, wanted: Q) -> list[EmergencyAlarm]:
    free = Q(**{claim: None}) | Q(**{f"{claim}__lt": now - CLAIM})
    return list(EmergencyAlarm.objects.filter(wanted, free).select_related("message"))


def _notify(
    alarm: EmergencyAlarm,
    claim: str,
    done: str,
    words: Callable[[EmergencyAlarm], tuple[str, str]],
    now: datetime,
) -> None:
    """Claims the notice, commits, sends it to each address, stores that it went out. What no
    address took is tried again after a minute."""
    before = {claim: getattr(alarm, claim)}
    if not EmergencyAlarm.objects.filter(pk=alarm.pk, **before).update(**{claim: now}):
        return  # another tick sends it
    with timezone.override(District.current().zone):
        subject, body = words(alarm)
    took = _send(subject, body, addresses(alarm.message))
    if took:
        EmergencyAlarm.objects.filter(pk=alarm.pk).update(
            **{done: timezone.now(), "notified": took}
        )


def _send(subject: str, body: str, to: list[str]) -> int:
    """One email to each address; how many were taken. An address that is refused stops no other."""
    if not to:
        log.error("an emergency does not go out and there is nobody to tell")
        return 0
    took = 0
    try:
        with get_connection() as connection:
            for address in to:
                try:
                    took += EmailMessage(
                        subject, body, None, [address], connection=connection
                    ).send()
                except OSError as error:  # smtplib's errors are OSErrors
                    log.error("notice not sent: %s", type(error).__name__)
    except OSError as error:
        log.error("no mail server for notices: %s", type(error).__name__)
    return took


def _begin_words(alarm: EmergencyAlarm) -> tuple[str, str]:
    message = alarm.message
    if not message.emergency:
        return _failed_words(message)
    subject = _("Emergency message is NOT going out: %(subject)s") % {"subject": message.subject}
    lines = [
        _("The emergency message “%(subject)s” was confirmed by %(who)s at %(when)s.")
        % {
            "subject": message.subject,
            "who": message.sender_name,
            "when": moment_words(message.created_at),
        },
        _("The dialer has accepted nothing of it so far. As far as we know, nobody is called."),
    ]
    if reason := reason_of(message):
        lines.append(_("Why: %(why)s") % {"why": reason})
    lines += [
        _("It is tried again without end until it is accepted or canceled.")
        if message.status != Message.Status.FAILED
        else _("It is not tried again."),
        _("Reach families another way now, then open System status in Messenger."),
    ]
    return _line(subject), "\n\n".join(lines)


def _failed_words(message: Message) -> tuple[str, str]:
    subject = _("Message was NOT sent: %(subject)s") % {"subject": message.subject}
    lines = [
        _("The message “%(subject)s” of %(who)s was meant to go out at %(when)s.")
        % {
            "subject": message.subject,
            "who": message.sender_name,
            "when": moment_words(message.scheduled_at),
        },
        reason_of(message),
        _("It is not tried again. Send it anew if it still matters."),
    ]
    return _line(subject), "\n\n".join(line for line in lines if line)


def _end_words(alarm: EmergencyAlarm) -> tuple[str, str]:
    message = alarm.message
    job = DialerJob.of(message.pk)
    if job is not None and job.accepted_at is not None:
        subject = _("Emergency message is going out now: %(subject)s")
        body = _("The dialer accepted the first calls at %(when)s.") % {
            "when": moment_words(job.accepted_at)
        }
    else:
        subject = _("Emergency message has ended without a call: %(subject)s")
        body = _("Its status is %(status)s.") % {"status": message.get_status_display()}
    return _line(subject % {"subject": message.subject}), body


def _line(subject: str) -> str:
    district = District.current().name
    return " ".join(f"[{district}] {subject}".split())[:200]


def reason_of(message: Message) -> str:
    """What is known of why nothing was accepted, in words."""
    job = DialerJob.of(message.pk)
    return message.status_reason or (job.trouble if job else "") or VoiceSettings.current().trouble
