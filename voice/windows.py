"""Dialing windows: message window ∩ district window, as instants. Pure.

No database and no Django model: wall times, a zone and a day go in, two aware instants come out.
A window never crosses midnight and never rolls over to the next day (X-27, X-30, A2-06, A2-08).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from messenger.forms.wall_time import moment_of

# Attendance and behavior need half an hour, before and after clipping (A2-07, X-26).
MINIMUM = timedelta(minutes=30)
REASONS_WITH_MINIMUM = frozenset({"attendance", "behavior"})

# Outside the district's reach: non-emergency calls keep 8:00 to 21:00 in the zone of the student's
# school too (ruling 4). The dialer holds them (LocalHours HOLD); here it is foreseen.
LOCAL_EARLIEST = time(8)
LOCAL_LATEST = time(21)


@dataclass(frozen=True)
class Window:
    """From `start` (inclusive) to `end` (exclusive), aware, in UTC."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True)
class NoWindow:
    """Why nothing can be dialed: `backwards` (start not before end), `outside` (no part of the
    message's window lies in the district's), `day` (not an allowed day), `over` (the day's window
    has ended), `short` (less than 30 minutes where the reason needs them), `local` (nothing of it
    lies between 8:00 and 21:00 where the people called are)."""

    why: str


def intersect(message: tuple[time, time], district: tuple[time, time]) -> tuple[time, time] | None:
    """The common part of two wall-time windows of one day; None when there is none."""
    start, end = max(message[0], district[0]), min(message[1], district[1])
    return (start, end) if start < end else None


def instant(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The moment when the zone's clocks show `wall` on `day`, in UTC.

    A wall time that a change of clocks skips becomes the first minute after the gap; one that comes
    twice is the earlier.
    """
    return moment_of(day, wall, zone).astimezone(UTC)


def opening(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The moment from which the clocks show `wall` or later until midnight: of a time that comes
    twice the later, because before it the clocks go back to an earlier time once more."""
    return moment_of(day, wall, zone).replace(fold=1).astimezone(UTC)


def effective_window(
    *,
    scheduled_at: datetime,
    message: tuple[time, time] | None,
    district: tuple[time, time],
    zone: ZoneInfo,
    allowed_days: Collection[int] = (),
    reason: str = "general",
) -> Window | NoWindow:
    """The instants between which calls may start on the local day of `scheduled_at`.

    `allowed_days` are weekdays (0 = Monday); empty allows all. What is left of the window after
    `scheduled_at` counts: a window that is over gives `over`.
    """
    day = scheduled_at.astimezone(zone).date()
    if allowed_days and day.weekday() not in allowed_days:
        return NoWindow("day")
    wanted = message or district
    if wanted[0] >= wanted[1] or district[0] >= district[1]:
        return NoWindow("backwards")
    common = intersect(wanted, district)
    if common is None:
        return NoWindow("outside")
    start, end = opening(day, common[0], zone), instant(day, common[1], zone)
    start = max(start, scheduled_at.astimezone(UTC))
    if start >= end:
        return NoWindow("over")
    if reason in REASONS_WITH_MINIMUM and end - start < MINIMUM:
        return NoWindow("short")
    return Window(start, end)


def local_parts(window: Window, zone: ZoneInfo) -> list[Window]:
    """The parts of a window in which calls into a zone are placed: 8:00 to 21:00 by its own clocks.

    Seen from another zone a window may touch two local days, and so have two parts; none when
    nobody there can be called in it.
    """
    first, last = (moment.astimezone(zone).date() for moment in (window.start, window.end))
    parts = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        start = max(window.start, opening(day, LOCAL_EARLIEST, zone))
        end = min(window.end, instant(day, LOCAL_LATEST, zone))
        if start < end:
            parts.append(Window(start, end))
    return parts


def time_to_call(window: Window, zone: ZoneInfo) -> timedelta:
    """How much of a window is left for calls into a zone."""
    return sum((part.length for part in local_parts(window, zone)), timedelta())
