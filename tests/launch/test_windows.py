"""Dialing windows over zones and changes of clocks (A2-06 to A2-08, X-26, X-30, S1, S3)."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voice.windows import NoWindow, Window, effective_window, instant, intersect

CHICAGO = ZoneInfo("America/Chicago")
US_ZONES = [
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "Pacific/Honolulu",
]
DISTRICT = (time(8), time(20))
# Hypothesis wants naive bounds; the test reads what it draws as UTC.
FIRST, LAST = datetime.fromisoformat("2025-01-01"), datetime.fromisoformat("2030-12-31")


def at(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone).astimezone(UTC)  # type: ignore[misc]


@pytest.mark.spec("A2-06")
def test_the_message_s_window_is_clipped_to_the_district_s() -> None:
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 23, 5),
        message=(time(6), time(22)),
        district=DISTRICT,
        zone=CHICAGO,
    )
    assert found == Window(at(CHICAGO, 2026, 11, 23, 8), at(CHICAGO, 2026, 11, 23, 20))


def test_nothing_in_common_is_no_window() -> None:
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 23, 5),
        message=(time(20), time(22)),
        district=DISTRICT,
        zone=CHICAGO,
    )
    assert found == NoWindow("outside")


@pytest.mark.parametrize(
    ("reason", "end", "expected"),
    [
        ("attendance", time(9, 29), NoWindow("short")),
        ("attendance", time(9, 30), None),
        ("behavior", time(9, 29), NoWindow("short")),
        ("behavior", time(9, 30), None),
        ("general", time(9, 10), None),
    ],
)
@pytest.mark.spec("A2-07")
def test_attendance_and_behavior_need_half_an_hour(
    reason: str, end: time, expected: NoWindow | None
) -> None:
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 23, 6),
        message=(time(9), end),
        district=DISTRICT,
        zone=CHICAGO,
        reason=reason,
    )
    assert isinstance(found, Window) if expected is None else found == expected


@pytest.mark.spec("A2-07")
def test_the_half_hour_is_checked_after_clipping_too() -> None:
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 23, 6),
        message=(time(19, 45), time(21)),
        district=DISTRICT,
        zone=CHICAGO,
        reason="attendance",
    )
    assert found == NoWindow("short")


def test_a_window_that_is_over_is_never_moved_to_the_next_day() -> None:
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 23, 20), message=None, district=DISTRICT, zone=CHICAGO
    )
    assert found == NoWindow("over")


def test_days_that_the_district_does_not_allow() -> None:
    sunday = at(CHICAGO, 2026, 11, 22, 10)
    found = effective_window(
        scheduled_at=sunday, message=None, district=DISTRICT, zone=CHICAGO, allowed_days=[0, 1]
    )
    assert found == NoWindow("day")


def test_a_skipped_wall_time_is_the_first_minute_after_the_gap() -> None:
    assert instant(date(2027, 3, 14), time(2, 30), CHICAGO) == at(CHICAGO, 2027, 3, 14, 3)


def test_a_wall_time_that_comes_twice_is_the_first() -> None:
    first = datetime(2026, 11, 1, 1, 30, tzinfo=CHICAGO, fold=0).astimezone(UTC)
    assert instant(date(2026, 11, 1), time(1, 30), CHICAGO) == first


walls = st.times(max_value=time(23, 59)).map(lambda wall: wall.replace(second=0, microsecond=0))


@settings(max_examples=500)
@given(
    zone=st.sampled_from(US_ZONES).map(ZoneInfo),
    moment=st.datetimes(FIRST, LAST),
    message=st.tuples(walls, walls),
    district=st.tuples(walls, walls),
)
def test_no_instant_of_the_window_is_outside_of_either(
    zone: ZoneInfo,
    moment: datetime,
    message: tuple[time, time],
    district: tuple[time, time],
) -> None:
    """S1: whatever the clocks do, a call that may start now may start by both walls' clocks."""
    scheduled = moment.replace(tzinfo=UTC)
    found = effective_window(scheduled_at=scheduled, message=message, district=district, zone=zone)
    if isinstance(found, NoWindow):
        return
    assert found.start >= scheduled
    assert found.start < found.end
    day = scheduled.astimezone(zone).date()
    common = intersect(message, district)
    assert common is not None
    step = (found.end - found.start) / 7
    for part in range(7):
        wall = (found.start + part * step).astimezone(zone)
        assert wall.date() == day
        # Inside a gap or a repeated hour the wall shows more than the window's bounds by the
        # width of the change at most; everywhere else exactly.
        assert common[0] <= wall.time() or instant(day, common[0], zone) <= wall
        assert wall < instant(day, common[1], zone)
    assert found.end - found.start <= timedelta(hours=25)
