"""Makes the ready roles of a fresh district: administrator, secretary, read-only.

May run again: a role that exists is left as the district has it.
"""

from typing import Any

from django.core.management.base import BaseCommand

from messenger.roles import set_up_roles


class Command(BaseCommand):
    help = "Make the ready roles that are missing."

    def handle(self, **options: Any) -> None:
        for name in set_up_roles():
            self.stdout.write(name)
