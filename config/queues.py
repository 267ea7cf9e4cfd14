"""The queues of Celery, each of which some worker must consume."""

URGENT = "urgent"  # emergencies and cancels, with workers of its own
EVERYDAY = ("dispatch", "collect", "email", "reports", "imports", "periodic")
WORK_QUEUES = (URGENT, *EVERYDAY)
