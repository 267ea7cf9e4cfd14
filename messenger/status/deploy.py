"""What `manage.py check --deploy` asks of an installation besides Django's own questions.

Only what would expose people: what keeps messages from going out is `readiness`'s business.
"""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register

PRINTS_LETTERS = "django.core.mail.backends.console.EmailBackend"


@register(Tags.security, deploy=True)
def check_secrets(app_configs: Any, **_options: Any) -> list[CheckMessage]:
    """Keys of their own for what is encrypted; letters that go to a mail server, not to a log."""
    found: list[CheckMessage] = []
    if not settings.FIELD_ENCRYPTION_KEYS:
        found.append(
            Warning(
                "The dialer's password is encrypted with a key derived from SECRET_KEY.",
                hint="Set FIELD_ENCRYPTION_KEYS, then run: manage.py rotate_keys",
                id="messenger.W001",
            )
        )
    if settings.EMAIL_BACKEND == PRINTS_LETTERS:
        found.append(
            Warning(
                "Letters are printed into the log, with their addresses.",
                hint="Set EMAIL_URL to your mail server.",
                id="messenger.W002",
            )
        )
    return found
