"""How long ago something was, in words."""

from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

MINUTE, HOUR, DAY = 60, 3600, 86_400


def ago(moment: datetime, now: datetime) -> str:
    """12 s ago, 3 min ago, 5 h ago, 4 days ago; never in the future."""
    return _("%(age)s ago") % {"age": age(max(0.0, (now - moment).total_seconds()))}


def age(seconds: float) -> str:
    """12 s, 3 min, 5 h, 4 days."""
    whole = int(seconds)
    if whole < 2 * MINUTE:
        return _("%(n)d s") % {"n": whole}
    if whole < 2 * HOUR:
        return _("%(n)d min") % {"n": whole // MINUTE}
    if whole < 2 * DAY:
        return _("%(n)d h") % {"n": whole // HOUR}
    return ngettext("%(n)d day", "%(n)d days", whole // DAY) % {"n": whole // DAY}
