"""When each queue of Celery last did something.

A row is written by a task that really ran (`messenger.pulse`), so that a worker that is connected
and consumes nothing is found by its silence. What that silence means is not decided here.
"""

from django.db import models


class QueuePulse(models.Model):
    """One queue: when its last probe was done, and by which worker."""

    queue = models.CharField(primary_key=True, max_length=40)
    first_at = models.DateTimeField()
    done_at = models.DateTimeField()
    worker = models.CharField(max_length=200, blank=True, default="")
