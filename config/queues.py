"""The queues of Celery, each of which some worker must consume, and how often each is probed.

Read without Django, because the watchdog of a worker reads it too.
"""

import os

URGENT = "urgent"  # emergencies and cancels, with workers of its own
EVERYDAY = ("dispatch", "collect", "email", "periodic")
# Work of up to half an hour: no call and no page of the call log may wait behind four reports.
LONG = ("reports", "imports")
WORK_QUEUES = (URGENT, *EVERYDAY, *LONG)
# Seconds between two probes of a queue; four that are not done mean that nobody works on it. Tests
# shorten it.
PULSE_SECONDS = float(os.environ.get("PULSE_SECONDS", "30"))
# Seconds without a sign after which a worker that is there and does nothing is ended, to be started
# again (`config.watch`); 0 leaves it alone. Tests shorten it.
WORKER_SILENT_SECONDS = float(os.environ.get("WORKER_SILENT_SECONDS", "120"))
# A file whose time a watchdog renews while its worker works, for a container's health check.
AT_WORK_FILE = os.environ.get("AT_WORK_FILE", "")
