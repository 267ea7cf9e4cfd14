"""The interpreter's setting for two threads that both have much to do, of which one often waits.

Nothing of the phone is known here.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCH_SECONDS = 0.0005


@contextmanager
def for_two_threads() -> Iterator[None]:
    """Sets the interpreter for one thread that computes while another talks to PostgreSQL or to the
    dialer.

    The computing one would keep the interpreter for 5 ms after each answer, a third of the time.
    And a page of the log is 300,000 small objects, a batch 5,000, without a cycle among them:
    looking for cycles 400 times a page took another fifth.
    """
    collecting, interval = gc.isenabled(), sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        if collecting:
            gc.enable()
