"""The messenger app: who is told and what. Its channels register themselves in `ready`."""

from django.apps import AppConfig


class MessengerConfig(AppConfig):
    name = "messenger"
    verbose_name = "Messenger"
