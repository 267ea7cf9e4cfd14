"""The web process: `gunicorn config.wsgi`. Nothing but the entry point lives here."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

_pages = get_wsgi_application()

from config.gate import Gate  # noqa: E402 - needs the apps that the line above loads

application = Gate(_pages)
