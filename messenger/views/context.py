"""What every page shows around its content: the district and what the user may reach."""

from typing import Any

from django.http import HttpRequest

from messenger import rights
from messenger.models import District


def district(request: HttpRequest) -> dict[str, Any]:
    """The district and the user's reach (`may_send`, `may_import` ...), for base templates."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {"district": District.objects.first()}
    return {
        "district": District.objects.first(),
        "may_send": rights.may(user, rights.SEND_GENERAL),
        "may_send_emergency": rights.may(user, rights.SEND_EMERGENCY),
        "may_see_log": rights.may(user, rights.LOG_VIEW_OWN)
        or rights.may(user, rights.LOG_VIEW_ALL),
        "may_import": rights.may(user, rights.IMPORT_RUN),
        "may_see_settings": rights.may(user, rights.SETTINGS_VIEW),
    }
