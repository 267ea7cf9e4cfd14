"""What every page shows around its content: district, theme, and what the user may reach."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from messenger import access, rights
from messenger.models import District

THEMES = ("light", "dark")


@dataclass(frozen=True)
class RailEntry:
    """One place in the rail; `prefix` tells which pages belong to it."""

    name: str
    prefix: str
    icon: str
    label: str | Promise
    short: str | Promise
    allowed: str  # the context's `may_...` that opens it; empty for everybody who is signed in
    alarm: bool = False


RAIL = (
    RailEntry("home", "/", "home", _("Home"), _("Home"), ""),
    RailEntry("general_new", "/messages/", "pencil-square", _("New message"), _("New"), "may_send"),
    RailEntry(
        "emergency_new",
        "/emergency/",
        "bell-alert",
        _("Emergency"),
        _("Emergency"),
        "may_send_emergency",
        alarm=True,
    ),
    RailEntry("log", "/log/", "queue-list", _("Sent Message Log"), _("Log"), "may_see_log"),
    RailEntry("people", "/people/", "users", _("People"), _("People"), "may_see_people"),
    RailEntry("imports", "/imports/", "arrow-up-tray", _("Imports"), _("Imports"), "may_import"),
    RailEntry(
        "settings", "/settings/", "cog-6-tooth", _("Settings"), _("Settings"), "may_see_settings"
    ),
    RailEntry("status", "/status/", "heart", _("System status"), _("Status"), "may_see_settings"),
)


def district(request: HttpRequest) -> dict[str, Any]:
    """The district and the user's reach (`may_send`, `may_import` ...), for base templates."""
    theme = request.COOKIES.get("theme", "")
    shown: dict[str, Any] = {
        "district": getattr(request, "district", None) or District.current(),
        "theme": theme if theme in THEMES else "",
    }
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return shown
    voice = shown["district"].voice_enabled
    shown |= {
        # Voice is the one way of sending there is: without it nothing is offered (A1-01).
        "may_send": voice and rights.may(user, rights.SEND_GENERAL),
        "may_send_emergency": voice and rights.may(user, rights.SEND_EMERGENCY),
        "may_see_log": rights.may(user, rights.LOG_VIEW_OWN)
        or rights.may(user, rights.LOG_VIEW_ALL),
        "may_see_people": rights.may(user, rights.PEOPLE_VIEW),
        "may_set_batches": rights.may(user, rights.PREFERENCES_BATCH),
        "may_import": rights.may(user, rights.IMPORT_RUN),
        "may_see_settings": rights.may(user, rights.SETTINGS_VIEW),
        "may_edit_settings": rights.may(user, rights.SETTINGS_EDIT),
        "may_edit_credentials": rights.may(user, rights.CREDENTIALS_EDIT),
        "may_manage_users": access.may_manage(user),
        "may_host": rights.may(user, rights.HOSTING_EDIT),
    }
    shown["rail"] = [
        {"entry": entry, "url": url, "current": _stands_in(request.path, entry)}
        for entry in RAIL
        if (not entry.allowed or shown[entry.allowed]) and (url := _address(entry.name))
    ]
    return shown


def _stands_in(path: str, entry: RailEntry) -> bool:
    return path == "/" if entry.prefix == "/" else path.startswith(entry.prefix)


def _address(name: str) -> str:
    """The page's address; empty where this installation does not have the page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
