"""`manage.py show_message UUID`: the Delivery Summary of a message as aligned text."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from messenger.models import District, Message
from sentlog import screen
from sentlog.counting import count
from sentlog.words import status_text, where


def message_of(uuid: str) -> Message:
    """The message of a command's argument. Raises CommandError in words."""
    try:
        return Message.objects.get(uuid=uuid)
    except (Message.DoesNotExist, ValidationError) as error:
        raise CommandError(_("There is no message %(uuid)s.") % {"uuid": uuid}) from error


class Command(BaseCommand):
    help = "Shows the Delivery Summary of a message, counted now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid", help="the message, as in its address: /log/UUID/")

    def handle(self, *args: Any, uuid: str, **options: Any) -> None:
        message, district = message_of(uuid), District.current()
        figures = count(message.pk)
        pairs = [
            (_("Status"), status_text(message)),
            (_("Message Subject"), message.subject),
            (_("Message Type"), message.type_label),
            (_("District/School"), where(message, district)),
            *screen.facts(message, district),
        ]
        for total in screen.totals(figures, district):
            pairs.append((total.label, f"{total.value:,}"))
            if total.attempted is not None:
                pairs.append((total.attempted_label, f"{total.attempted:,}"))
        if district.voice_enabled:
            pairs += [
                (_("Recipients contacted successfully by phone"), f"{figures.contacted:,}"),
                (_("Recipients not contacted by phone"), f"{figures.not_contacted:,}"),
            ]
        pairs.append((_("Deliveries with a result"), f"{figures.rows_done:,} / {figures.rows:,}"))
        width = max(len(label) for label, _value in pairs)
        self.stdout.write(_("Delivery Summary"))
        for label, value in pairs:
            self.stdout.write(f"  {label:<{width}}  {value}")
