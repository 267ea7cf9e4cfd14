"""The Celery application: queues, routes and the fixed ticks of beat.

Celery is the doorbell: it makes things happen soon and never decides whether they happen. Every
task gets ids and is a thin shell over a function that a test calls directly; every tick may run
twice at once, and ``manage.py tick`` does what beat does. What a task does never lives here.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("messenger")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
