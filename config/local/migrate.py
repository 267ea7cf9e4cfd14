"""Bring both databases up to date in one process: each start of Django takes about two seconds."""

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    """Migrate every database of the settings."""
    django.setup()
    for alias in settings.DATABASES:
        call_command("migrate", database=alias, interactive=False, verbosity=0)


if __name__ == "__main__":
    main()
