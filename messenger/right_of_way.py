"""An emergency goes first (A2-03): what is not one stands aside while an emergency is planned or
expanded. It has lines of its own at the dialer and workers of its own here, but both of two cores
were busy with a routine message, and its first call left after 2.8 s instead of 0.9.

Standing aside is a courtesy with an end; nothing is lost when nobody does.
"""

from threading import Event
from time import monotonic

from django.db import connection

from messenger.models import LaunchSlice

# The advisory lock that an emergency's confirm shares with others until it is committed.
KEYS = (1_917, 3)
LOOK_AGAIN = 0.1  # seconds
# Seconds before each slice, or each second of sending. Well below the time after which a task gives
# its worker back: an emergency that is stuck must not stop everything else for ever.
LONGEST = 3.0
_nobody = Event()  # never set: a wait that ends by its time


def claim() -> None:
    """From now on, until this transaction ends, an emergency is on its way."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", KEYS)


def is_claimed() -> bool:
    """Whether an emergency is being planned, or has slices that are not expanded."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND classid = %s AND objid = %s)",
            KEYS,
        )
        if cursor.fetchone()[0]:
            return True
    return LaunchSlice.objects.filter(
        state=LaunchSlice.State.PLANNED,
        message__emergency=True,
        message__status="in_progress",
        message__cancel_requested_at=None,
    ).exists()


def give_way() -> None:
    """Waits while an emergency is on its way; outside of any transaction."""
    until = monotonic() + LONGEST
    while is_claimed() and monotonic() < until:
        _nobody.wait(LOOK_AGAIN)
