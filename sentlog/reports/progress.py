"""How far a report is: counted by whoever writes it, told at most twice a second."""

from collections.abc import Callable
from time import monotonic

SECONDS_BETWEEN_WORDS = 0.5


class Progress:
    """Counts rows and tells `say(rows_done, rows_total)`: at once when the total is known, then
    now and then, and at the end."""

    def __init__(self, say: Callable[[int, int], None] | None = None) -> None:
        self._say = say
        self._said_at = 0.0
        self.done = 0
        self.total = 0

    def start(self, total: int) -> None:
        self.total = total
        self._tell()

    def add(self, rows: int) -> None:
        self.done += rows
        if monotonic() - self._said_at >= SECONDS_BETWEEN_WORDS:
            self._tell()

    def finish(self) -> None:
        self.total = self.done
        self._tell()

    def _tell(self) -> None:
        if self._say is not None:
            self._said_at = monotonic()
            self._say(self.done, self.total)
