"""Makes the demo district: its zone, its verified voice account, its users, what its calls sound
like.

May run again at any time (a new end point, a kill in the middle): it brings everything to the same
state and prints the same passwords, which are derived from this copy's secret key.
"""

import base64
import hashlib
import hmac
from argparse import ArgumentParser
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from messenger.models import District, RoleAssignment, User
from messenger.roles import set_up_roles
from voice import account, caller_ids
from voice.models import VoiceSettings
from voice.sound_models import CallerNumber, Prompt, SpokenWord

# One zone an hour round the globe, schools of the United States first.
ZONES = [
    "America/Chicago", "America/New_York", "America/Denver", "America/Los_Angeles",
    "America/Anchorage", "Pacific/Honolulu", "America/Halifax", "America/Sao_Paulo",
    "Atlantic/South_Georgia", "Atlantic/Azores", "Europe/London", "Europe/Berlin",
    "Europe/Helsinki", "Asia/Riyadh", "Asia/Dubai", "Asia/Karachi", "Asia/Dhaka", "Asia/Bangkok",
    "Asia/Shanghai", "Asia/Tokyo", "Australia/Brisbane", "Pacific/Guadalcanal", "Pacific/Auckland",
]  # fmt: skip

# username → (first name, last name, role; empty: superuser)
USERS = {
    "admin": ("System", "Administrator", ""),
    "district": ("Dana", "Whitfield", "District administrator"),
    "secretary": ("Sam", "Okafor", "School secretary"),
    "auditor": ("Alex", "Reyes", "Read-only"),
}

# 555-0100 to 555-0199 are kept free for made-up numbers. The switchboard lets the demo's account
# call from these alone; the first one is the district's, the other one is there to be tried.
CALLER_NUMBERS = ("+16125550100", "+16125550101")
CALLER_LABEL = "District office (made up)"
PROMPTS = {
    Prompt.Kind.GREETING: "This is a message for our families.",
    Prompt.Kind.CLOSING: "Thank you for listening. Goodbye.",
}
WORD, SAY_AS = "IEP", "I E P"


def morning_zone(now: datetime) -> str:
    """A zone where it is now between 9:00 and 12:00, so that the demo may dial (ruling 35)."""
    for name in ZONES:
        if 9 <= now.astimezone(ZoneInfo(name)).hour < 12:
            return name
    raise CommandError(f"no zone of the list is in its morning at {now}")


def demo_password(username: str) -> str:
    """The same for the same copy: sixteen characters from its secret key."""
    digest = hmac.new(
        settings.SECRET_KEY.encode(), f"demo user {username}".encode(), hashlib.sha256
    )
    return base64.b32encode(digest.digest()).decode().lower()[:16]


class Command(BaseCommand):
    help = "Make the demo district with its verified voice account and its users."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--endpoint", required=True)
        parser.add_argument("--username", required=True)
        parser.add_argument("--password", required=True)

    def handle(self, **options: Any) -> None:
        district = District.current()
        if not district.voice_enabled:
            district.name = "Prairie Lakes Public Schools"
            district.time_zone = morning_zone(timezone.now())
            district.voice_enabled = True
            district.roster_metadata_columns = {
                "work": "metadata.workPhone",
                "household": "metadata.homePhone",
                "language": "metadata.language",
                "private": "metadata.privatePhone",
            }
            district.save()
        result = account.verify_and_save(
            VoiceSettings.current(), options["username"], options["password"], options["endpoint"]
        )
        if not result.ok:
            raise CommandError(f"The switchboard did not take the demo's account: {result.words}")
        self._give_a_voice()
        roles = set_up_roles()
        for username, (first, last, role) in USERS.items():
            user, _created = User.objects.get_or_create(username=username)
            user.first_name, user.last_name = first, last
            user.is_superuser = user.is_staff = not role
            password = demo_password(username)
            user.set_password(password)
            user.save()
            if role and not user.role_assignments.exists():
                RoleAssignment.objects.create(user=user, role=roles[role])
            self.stdout.write(f"{username:<10} {password}  {role or 'Superuser'}")

    def _give_a_voice(self) -> None:
        """A verified caller ID, a greeting and a closing, a word of the dictionary: something to
        change. What somebody has already made is left as it is."""
        number, made = CallerNumber.objects.get_or_create(
            number=CALLER_NUMBERS[0], defaults={"label": CALLER_LABEL}
        )
        if number.verified_at is None:
            result = caller_ids.verify(number)
            if not result.ok:
                raise CommandError(f"The switchboard did not take the number: {result.words}")
        if made:
            VoiceSettings.objects.filter(default_caller_id="").update(
                default_caller_id=CALLER_NUMBERS[0]
            )
        for kind, words in PROMPTS.items():
            Prompt.objects.get_or_create(
                kind=kind, language="en-US", school=None, defaults={"words": words}
            )
        SpokenWord.objects.get_or_create(word=WORD, defaults={"say_as": SAY_AS})
