"""The board that a worker, its pool and its watchdog share: times on one page of memory.

All times are of the monotonic clock, which is one for all processes of a machine. Plain writes of
eight bytes each: nobody waits for anybody, and a process that is killed in the middle leaves no
lock behind. What the times mean is the watchdog's business.
"""

import mmap
import os
import tempfile
from struct import Struct
from time import monotonic

NUMBER = Struct("=d")
# Places: the main process's last turn, the last probe done, whether the worker is about to end;
# then for each process of the pool the time until which it may be busy.
TURN, PROOF, LEAVING, SLOTS = 0, 1, 2, 3
SIZE = mmap.PAGESIZE
MOST_SLOTS = SIZE // NUMBER.size - SLOTS


class Board:
    """One page of memory behind a file descriptor, which children inherit."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._page = mmap.mmap(descriptor, SIZE)

    @classmethod
    def make(cls) -> "Board":
        """A new board, all zeros. Its file has no name, so that nothing is left of it."""
        with tempfile.TemporaryFile() as file:
            file.truncate(SIZE)
            return cls(os.dup(file.fileno()))

    def read(self, place: int) -> float:
        """The number at a place; 0.0 is never."""
        found: float = NUMBER.unpack_from(self._page, place * NUMBER.size)[0]
        return found

    def write(self, place: int, number: float) -> None:
        NUMBER.pack_into(self._page, place * NUMBER.size, number)

    def note(self, place: int) -> None:
        """This happens now."""
        self.write(place, monotonic())

    def occupy(self, slot: int, seconds: float) -> None:
        """A process of the pool begins a task that may take so long; 0 frees its slot."""
        self.write(SLOTS + slot % MOST_SLOTS, monotonic() + seconds if seconds else 0.0)

    def busy(self, slots: int, now: float) -> int:
        """How many of the first `slots` processes are at work on a task whose time is not over."""
        return sum(self.read(SLOTS + slot) > now for slot in range(min(slots, MOST_SLOTS)))
