"""The time that decides: the database's, which is one for all workers.

What is due, whose lease is over and when something may be tried again is compared with this clock;
a worker whose own clock is two hours wrong starts nothing early and takes nothing from another
(R11). What people are shown may come from the machine's clock. Nothing else lives here.
"""

from datetime import datetime

from django.db import connection


def now() -> datetime:
    """The database's time at this moment, aware (0.1 ms)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
