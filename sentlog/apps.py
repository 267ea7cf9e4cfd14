"""The sentlog app."""

from django.apps import AppConfig


class SentlogConfig(AppConfig):
    name = "sentlog"
