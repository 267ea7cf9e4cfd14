"""The lines of the switchboard: a normal pool, and one that only emergencies use (contract
7.4.8)."""

from __future__ import annotations

from typing import Literal

Pool = Literal["normal", "emergency"]


class LinePools:
    """Counts free lines. Emergencies take emergency lines first, then free normal ones; all other
    calls take normal lines alone. Calls in progress are never cut."""

    def __init__(self, normal: int, emergency: int) -> None:
        self.normal = normal
        self.emergency = emergency
        self._free: dict[Pool, int] = {"normal": normal, "emergency": emergency}

    def free(self, emergency: bool) -> int:
        """How many calls more may start."""
        return self._free["normal"] + (self._free["emergency"] if emergency else 0)

    def busy(self, pool: Pool) -> int:
        """How many lines of a pool are in a call."""
        size = self.normal if pool == "normal" else self.emergency
        return size - self._free[pool]

    def take(self, emergency: bool) -> Pool | None:
        """Take a line, or None when there is none."""
        pools: tuple[Pool, ...] = ("emergency", "normal") if emergency else ("normal",)
        for pool in pools:
            if self._free[pool] > 0:
                self._free[pool] -= 1
                return pool
        return None

    def release(self, pool: Pool) -> None:
        self._free[pool] += 1

    def release_all(self) -> None:
        """After the dialing thread has forgotten its calls."""
        self._free = {"normal": self.normal, "emergency": self.emergency}
