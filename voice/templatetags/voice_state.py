"""What pages outside the phone's room show of it: the district's hours and what is wrong.

Templates reach the phone through these tags, because no other room may import it.
"""

from datetime import time
from typing import Any

from django import template
from django.template import Context
from django.utils.translation import gettext as _

from voice.models import VoiceSettings

register = template.Library()


@register.simple_tag
def district_window() -> dict[str, time]:
    """The district's dialing hours: `start` and `end`, wall time."""
    settings = VoiceSettings.current()
    return {"start": settings.district_start, "end": settings.district_end}


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
