"""What pages outside the phone's room show of it: the district's hours, and what is wrong.

Templates reach the phone through these tags, because no other room may import it.
"""

from datetime import time
from hashlib import md5
from typing import Any

from django import template
from django.contrib.auth.models import AnonymousUser
from django.template import Context
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger import continuity, rights
from messenger.composition import Composition
from messenger.models import User
from messenger.reach import may_send_again
from messenger.status.pulse import stopped_queues
from messenger.templatetags.shown import clock, moment_words, number
from voice import epochs
from voice.alarms import reason_of
from voice.models import EmergencyAlarm, VoiceSettings
from voice.windows import intersect

ALARM_SECONDS = 20  # between two looks of an open page: F7 has 90 s from the confirm

register = template.Library()


@register.simple_tag
def district_window() -> dict[str, time]:
    """The district's dialing hours: `start` and `end`, wall time."""
    settings = VoiceSettings.current()
    return {"start": settings.district_start, "end": settings.district_end}


@register.simple_tag
def calling_window(composition: Composition) -> dict[str, Any]:
    """When calls of a message may be placed: its own window as the district's hours leave it, with
    `why` when that is not what the sender wrote. No part in common: what was written."""
    settings = VoiceSettings.current()
    district = (settings.district_start, settings.district_end)
    if composition.window_start is None or composition.window_end is None:
        return {"start": district[0], "end": district[1], "why": _("(the district's hours)")}
    wanted = (composition.window_start, composition.window_end)
    start, end = intersect(wanted, district) or wanted
    shortened = _("(what the district's hours leave of %(start)s – %(end)s)") % {
        "start": clock(wanted[0]),
        "end": clock(wanted[1]),
    }
    return {"start": start, "end": end, "why": "" if (start, end) == wanted else shortened}


@register.inclusion_tag("voice/parts/alarms.html", takes_context=True)
def voice_alarms(context: Context) -> dict[str, Any]:
    """What stands in the way of calling, each with what to do; nothing when all is well."""
    settings = VoiceSettings.current()
    district = context.get("district")
    alarms = []
    if district is not None and not district.voice_enabled:
        alarms.append(
            (_("Voice is not enabled for this district"), _("Hosting turns it on by contract."))
        )
    elif settings.paused:
        alarms.append(
            (
                _("Calls are paused: the dialer refuses the user name or password"),
                _("Waiting calls go out once the right credentials are saved."),
            )
        )
    elif not settings.verified:
        alarms.append(
            (
                _("No call can be made yet: the dialer has not accepted this district's account"),
                settings.trouble or _("User name, password and URL End Point are still missing."),
            )
        )
    elif settings.trouble:
        alarms.append((_("The dialer is in trouble"), settings.trouble))
    return {"alarms": alarms, "may_see_settings": context.get("may_see_settings", False)}


@register.inclusion_tag("voice/parts/standing_alarms.html", takes_context=True)
def banners(context: Context) -> dict[str, Any]:
    """The red banners at the head of every page, which look for themselves whether that changes.
    A page whose updates are paused (`?live=0`) is left in peace."""
    request = context["request"]
    return standing_alarms(request.user) | {"watches": request.GET.get("live") != "0"}


def standing_alarms(user: User | AnonymousUser) -> dict[str, Any]:
    """What the user must know at once: messages that do not go out, of those they may see; for
    administrators also queues that have stopped."""
    standing = _restored_banners(user) + [
        _emergency_banner(alarm) if alarm.message.emergency else _failed_banner(alarm)
        for alarm in EmergencyAlarm.objects.filter(
            ended_at=None, message__in=rights.messages_for(user)
        )
        .select_related("message")
        .order_by("raised_at")
    ]
    standing += _lost_banners(user)
    if rights.may(user, rights.SETTINGS_VIEW):
        standing += _queue_banners()
    seen = md5(repr(standing).encode(), usedforsecurity=False).hexdigest()
    return {"standing": standing, "seen": seen, "seconds": ALARM_SECONDS, "watches": True}


def _restored_banners(user: User | AnonymousUser) -> list[dict[str, str]]:
    """Everybody is told why nothing is sent; who may see settings is led to where it is resumed."""
    thread = continuity.check()
    if thread.held_since is None:
        return []
    words = _(
        "Messages are on hold, because what was sent or canceled since then is unknown. "
        "Emergencies that are confirmed from now on are sent at once."
    )
    may_look = rights.may(user, rights.SETTINGS_VIEW)
    return [
        {
            "kind": "error",
            "title": _("The database was restored"),
            "words": words if may_look else words + " " + _("An administrator can resume."),
            "url": reverse("restored") if may_look else "",
            "action": _("Look at what waits and resume"),
        }
    ]


def _failed_banner(alarm: EmergencyAlarm) -> dict[str, str]:
    message = alarm.message
    return {
        "kind": "error",
        "title": _("“%(subject)s” was not sent") % {"subject": message.subject},
        "words": reason_of(message),
        "url": reverse("log_detail", args=[message.uuid]),
        "action": _("Open the message"),
    }


def _emergency_banner(alarm: EmergencyAlarm) -> dict[str, str]:
    message = alarm.message
    words = _(
        "Confirmed %(when)s, and the dialer has accepted nothing of it. As far as we know, nobody "
        "is called. Reach families another way. %(why)s"
    )
    return {
        "kind": "alarm",
        "title": _("The emergency “%(subject)s” is not going out") % {"subject": message.subject},
        "words": words % {"when": moment_words(message.created_at), "why": reason_of(message)},
        "url": reverse("log_detail", args=[message.uuid]),
        "action": _("Open the message"),
    }


def _lost_banners(user: User | AnonymousUser) -> list[dict[str, str]]:
    """Messages that wait for the word of somebody who may send them (ruling 24)."""
    words = _(
        "The dialer was restored from a backup, or has forgotten the message. Recipients who have "
        "not been called: %(count)s. They are called only when somebody says so."
    )
    return [
        {
            "kind": "alarm",
            "title": _("The dialer has lost “%(subject)s”") % {"subject": message.subject},
            "words": words % {"count": number(epochs.awaits_word(message.pk) or 0)},
            "url": reverse("log_detail", args=[message.uuid]),
            "action": _("Open the message and decide"),
        }
        for message in epochs.awaiting()
        if isinstance(user, User) and may_send_again(user, message)
    ]


def _queue_banners() -> list[dict[str, str]]:
    stopped = stopped_queues(timezone.now())
    if not stopped:
        return []
    return [
        {
            "kind": "error",
            "title": _("Part of Messenger has stopped working"),
            "words": _("Nothing is done in: %(queues)s.") % {"queues": ", ".join(stopped)},
            "url": reverse("status"),
            "action": _("Open System status"),
        }
    ]
