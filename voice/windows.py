"""Dialing windows: message window ∩ district window, as instants. Pure.

No database and no Django model: wall times, a zone and a day go in, two aware instants come out.
A window never crosses midnight and never rolls over to the next day (X-27, X-30, A2-06, A2-08).
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Attendance and behavior need half an hour, before and after clipping (A2-07, X-26).
MINIMUM = timedelta(minutes=30)
REASONS_WITH_MINIMUM = frozenset({"attendance", "behavior"})

# Outside the district's reach: non-emergency calls keep 8:00 to 21:00 in the zone of the student's
# school too (ruling 4). The dialer holds them (LocalHours HOLD).
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
    has ended), `short` (less than 30 minutes where the reason needs them)."""

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
    moment = datetime.combine(day, wall, tzinfo=zone)
    back = moment.astimezone(UTC).astimezone(zone)
    if back.replace(tzinfo=None) != moment.replace(tzinfo=None):
        # In the gap: fold 0 maps it past the gap by its width. Walk back to the gap's end.
        before = moment.replace(fold=1).astimezone(UTC)
        after = moment.astimezone(UTC)
        low, high = min(before, after), max(before, after)
        offset = low.astimezone(zone).utcoffset()
        while high - low > timedelta(minutes=1):
            middle = low + (high - low) / 2
            middle = middle.replace(second=0, microsecond=0)
            if middle in (low, high):
                break
            if middle.astimezone(zone).utcoffset() == offset:
                low = middle
            else:
                high = middle
        return high
    return moment.astimezone(UTC)


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
    start, end = instant(day, common[0], zone), instant(day, common[1], zone)
    start = max(start, scheduled_at.astimezone(UTC))
    if start >= end:
        return NoWindow("over")
    if reason in REASONS_WITH_MINIMUM and end - start < MINIMUM:
        return NoWindow("short")
    return Window(start, end)
