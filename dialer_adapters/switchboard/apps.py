"""The Django app of the switchboard. Nothing but its name lives here."""

from django.apps import AppConfig


class SwitchboardConfig(AppConfig):
    name = "dialer_adapters.switchboard"
    label = "switchboard"
    default_auto_field = "django.db.models.BigAutoField"
