"""Encrypts stored secrets anew with the first of FIELD_ENCRYPTION_KEYS.

To change the key: put the new one in front, restart, run this, take the old one away, restart. Run
again at any time; what already uses the newest key is left alone.
"""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from voice import credentials
from voice.models import VoiceSettings


class Command(BaseCommand):
    help = "Encrypt the stored password anew with the first of FIELD_ENCRYPTION_KEYS."

    def handle(self, **options: Any) -> None:
        with transaction.atomic():
            settings = VoiceSettings.objects.select_for_update().filter(pk=1).first()
            if settings is None or not settings.password_encrypted:
                self.stdout.write("No password is stored.")
                return
            if credentials.uses_newest_key(settings.password_encrypted):
                self.stdout.write("The password already uses the newest key.")
                return
            try:
                settings.password_encrypted = credentials.rotate(settings.password_encrypted)
            except credentials.Unreadable as error:
                raise CommandError(
                    "The stored password cannot be read with any of FIELD_ENCRYPTION_KEYS. Put the "
                    "old key back behind the new one, or enter the password in Voice Settings."
                ) from error
            settings.save(update_fields=["password_encrypted"])
        self.stdout.write("The password is encrypted with the newest key. Older keys may go.")
