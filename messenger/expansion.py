"""Expanding a message's slices on two lines at once, each with a connection of its own.

Both work slices out and write them beside each other, so that both of two cores have work; they
commit in the order of the slices, because a number is compared with every slice before it. What a
slice is and how it is written never lives here (`lifecycle`, `ledger`).
"""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Condition
from time import monotonic

from django.db import connection

from messenger import lifecycle, right_of_way
from messenger.models import LaunchSlice, Message

# Below this many slices (5,200 students) a second line is not worth its connection.
ENOUGH_FOR_TWO = 5


class Turns:
    """Who writes which slice, and whose turn it is to commit; shared by the two lines."""

    def __init__(self, numbers: list[int], until: float, urgent: bool = False) -> None:
        self.urgent = urgent
        self._waiting = deque(numbers)
        self._uncommitted = deque(numbers)
        self._until = until
        self._changed = Condition()
        self._broken = False

    def take(self) -> int | None:
        """The next slice to write; None when there is none or the time is up."""
        with self._changed:
            if self._broken or not self._waiting or monotonic() > self._until:
                return None
            return self._waiting.popleft()

    def await_turn(self, number: int) -> bool:
        """Waits until every slice before this one is committed; False when that will not be."""
        with self._changed:
            self._changed.wait_for(lambda: self._broken or self._uncommitted[0] == number)
            return not self._broken

    def committed(self) -> None:
        with self._changed:
            self._uncommitted.popleft()
            self._changed.notify_all()

    def give_up(self) -> None:
        """Something went wrong: nobody waits any more."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()


def expand(message_id: int, seconds: float) -> bool:
    """Expands the planned slices of a message until none is left or the time is up. Returns whether
    some are left. One process at a time: the order of writing is kept here, not by locks."""
    until = monotonic() + seconds
    urgent = Message.objects.filter(pk=message_id, emergency=True).exists()
    planned = LaunchSlice.objects.filter(message_id=message_id, state=LaunchSlice.State.PLANNED)
    numbers = list(planned.order_by("number").values_list("number", flat=True))
    if len(numbers) < ENOUGH_FOR_TWO:
        while lifecycle.expand_next(message_id):
            if monotonic() > until:
                return True
            if not urgent:
                right_of_way.give_way()
        return False
    turns = Turns(numbers, until, urgent)
    with ThreadPoolExecutor(max_workers=1) as second:
        other = second.submit(_run_second_line, message_id, turns)
        _run_line(message_id, turns)
        other.result()
    return planned.exists()


def _run_second_line(message_id: int, turns: Turns) -> None:
    try:
        _run_line(message_id, turns)
    finally:
        connection.close()


def _run_line(message_id: int, turns: Turns) -> None:
    finished = False
    try:
        while True:
            if not turns.urgent:
                right_of_way.give_way()  # before a slice is taken: nobody waits for one meanwhile
            if (number := turns.take()) is None:
                break
            if not lifecycle.expand_ahead(message_id, number, partial(turns.await_turn, number)):
                return  # the last one, or canceled: what the other line has written has no use
            turns.committed()
        finished = True
    finally:
        if not finished:
            turns.give_up()
