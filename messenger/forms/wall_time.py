"""From what a sender types (a day and a time on the wall) to the moment that is meant."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def moment_of(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """The moment at which the zone's clocks show `wall` on `day`.

    2:30 AM that a change of clocks skips is the first minute after the gap (3:00 AM); one that
    comes twice is the earlier (interface conventions).
    """
    wanted = datetime.combine(day, wall)
    while (
        wanted.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != wanted
    ):
        wanted = (wanted + timedelta(minutes=1)).replace(second=0)
    return wanted.replace(tzinfo=zone)
