"""From a day and a time on the wall to a moment, on the days when clocks change."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messenger.forms.district import US_ZONES
from messenger.forms.wall_time import moment_of

CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("day", "wall", "utc"),
    [
        (date(2027, 3, 14), time(1, 59), datetime(2027, 3, 14, 7, 59, tzinfo=UTC)),
        (date(2027, 3, 14), time(2, 30), datetime(2027, 3, 14, 8, 0, tzinfo=UTC)),
        (date(2027, 3, 14), time(3, 0), datetime(2027, 3, 14, 8, 0, tzinfo=UTC)),
        (date(2027, 11, 7), time(1, 30), datetime(2027, 11, 7, 6, 30, tzinfo=UTC)),
        (date(2027, 11, 7), time(2, 0), datetime(2027, 11, 7, 8, 0, tzinfo=UTC)),
    ],
)
def test_days_when_clocks_change(day: date, wall: time, utc: datetime) -> None:
    assert moment_of(day, wall, CHICAGO).astimezone(UTC) == utc


@given(
    day=st.dates(date(2025, 1, 1), date(2030, 12, 31)),
    wall=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    zone=st.sampled_from(US_ZONES).map(ZoneInfo),
)
def test_the_clocks_show_what_was_typed_or_the_end_of_the_gap(
    day: date, wall: time, zone: ZoneInfo
) -> None:
    shown = moment_of(day, wall, zone).astimezone(UTC).astimezone(zone)
    assert shown.date() == day
    assert shown.time() >= wall
    assert shown.time() == wall or shown.minute == 0
