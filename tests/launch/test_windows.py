"""Dialing windows over zones and changes of clocks (A2-06 to A2-08, X-26, ruling 4, S1, S3)."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer_adapters.chain_engine import Chain, LocalHours, Policy
from messenger.forms.wall_time import moment_of
from voice.windows import (
    LOCAL_EARLIEST,
    LOCAL_LATEST,
    NoWindow,
    Window,
    effective_window,
    instant,
    local_parts,
    time_to_call,
)

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


quarters = st.integers(0, 95)


def wall_of(quarter: int) -> time:
    """The quarter of an hour of a day; the 96th is its last second."""
    return time(23, 59, 59) if quarter == 96 else time(quarter // 4, quarter % 4 * 15)


hours = st.tuples(quarters, st.integers(1, 96)).map(
    lambda pair: (wall_of(pair[0]), wall_of(min(96, pair[0] + pair[1])))
)
YEARS = range(2025, 2031)


def days_of_change(zone: str) -> list[date]:
    """The days of 2025 to 2030 on which the clocks of a zone change."""
    found, midnight = [], datetime(YEARS[0], 1, 1, tzinfo=ZoneInfo(zone))
    while midnight.year in YEARS:
        following = midnight + timedelta(days=1)
        if following.utcoffset() != midnight.utcoffset():
            found.append(midnight.date())
        midnight = following
    return found


CHANGES = sorted({day for zone in US_ZONES for day in days_of_change(zone)})
near_changes = st.tuples(st.sampled_from(CHANGES), st.integers(-1, 1)).map(
    lambda pair: pair[0] + timedelta(days=pair[1])
)
days = near_changes | st.dates(date(YEARS[0], 1, 1), date(YEARS[-1], 12, 31))
three_days = st.integers(0, 3 * 86_400)
DELAYS = 10  # moments looked at for each drawn message: that many cases


def look_for_calls_outside(
    zone: str,
    there: str,
    day: date,
    at: int,
    district: tuple[time, time],
    wanted: tuple[time, time] | None,
    delays: list[int],
) -> None:
    """Draws one message, tries to place its call after each delay, and asks two wall clocks about
    every moment at which the dialer would have started it.

    The moments come from the product: the window that confirm freezes, the local hours that travel
    with the job and the chain engine that keeps them. The judge knows the clocks alone.
    """
    ours, theirs = ZoneInfo(zone), ZoneInfo(there)
    scheduled = datetime.combine(day, wall_of(at), tzinfo=ours).astimezone(UTC)
    day = scheduled.astimezone(ours).date()
    window = effective_window(scheduled_at=scheduled, message=wanted, district=district, zone=ours)
    if isinstance(window, NoWindow):
        return  # refused: nothing is ever submitted
    assert scheduled <= window.start < window.end
    local = LocalHours(LOCAL_EARLIEST, LOCAL_LATEST, default_zone=zone)
    policy = Policy(window_end=window.end.timestamp(), local_hours=local)
    moments = [scheduled + timedelta(seconds=delay) for delay in delays]
    edges = [window.start, window.end, window.end - timedelta(seconds=1)]
    for submitted in (*moments, *edges):
        chain = Chain(policy, [Step("VOICE", None if there == zone else there)])
        # As the switchboard does: nothing before the window, then whenever the engine says.
        now: float | None = max(submitted, window.start).timestamp()
        while now is not None and now < window.end.timestamp():
            if list(chain.startable(now)):
                judge(datetime.fromtimestamp(now, UTC), day, ours, theirs, district, wanted)
                break
            now = chain.wake_at(now)


def judge(
    moment: datetime,
    day: date,
    ours: ZoneInfo,
    theirs: ZoneInfo,
    district: tuple[time, time],
    wanted: tuple[time, time] | None,
) -> None:
    here = moment.astimezone(ours)
    assert here.date() == day, "on another day"
    assert district[0] <= here.time() < district[1], "outside the district's hours"
    if wanted:
        assert wanted[0] <= here.time() < wanted[1], "outside the message's window"
    assert time(8) <= moment.astimezone(theirs).time() < time(21), "outside the family's day"


class Step(NamedTuple):
    channel: str
    zone: str | None


messages = given(
    zone=st.sampled_from(US_ZONES),
    there=st.sampled_from(US_ZONES),
    day=days,
    at=quarters,
    district=hours,
    wanted=st.none() | hours,
    delays=st.lists(three_days, min_size=DELAYS, max_size=DELAYS),
)


@settings(max_examples=50_000 // DELAYS, deadline=None)
@messages
def test_s1_no_call_outside_the_window_or_the_family_s_day(**message: Any) -> None:
    """S1: 50,000 cases of zone, window, schedule, delay and change of clocks; 0 violations."""
    look_for_calls_outside(**message)


@pytest.mark.slow
@settings(max_examples=1_000_000 // DELAYS, deadline=None)
@messages
def test_s1_a_million(**message: Any) -> None:
    """S1 at its full size."""
    look_for_calls_outside(**message)


def test_a_window_that_begins_in_the_repeated_hour_waits_for_its_second_time() -> None:
    """Between the first 1:30 and the second the wall shows 1:00 once more."""
    november = date(2026, 11, 1)
    found = effective_window(
        scheduled_at=at(CHICAGO, 2026, 11, 1, 0),
        message=(time(1, 30), time(22)),
        district=(time(0), time(22)),
        zone=CHICAGO,
    )
    assert isinstance(found, Window)
    assert found.start == instant(november, time(1, 30), CHICAGO) + timedelta(hours=1)


def test_the_day_of_another_zone_cuts_a_window_in_two() -> None:
    """All day in New York is an evening and a day in Honolulu."""
    eastern, hawaii = ZoneInfo("America/New_York"), ZoneInfo("Pacific/Honolulu")
    whole = Window(at(eastern, 2026, 11, 23, 0), at(eastern, 2026, 11, 23, 23, 59))
    assert local_parts(whole, hawaii) == [
        Window(at(hawaii, 2026, 11, 22, 19), at(hawaii, 2026, 11, 22, 21)),
        Window(at(hawaii, 2026, 11, 23, 8), at(hawaii, 2026, 11, 23, 18, 59)),
    ]
    early = Window(at(eastern, 2026, 11, 23, 8), at(eastern, 2026, 11, 23, 12))
    assert local_parts(early, hawaii) == []
    assert time_to_call(early, eastern) == timedelta(hours=4)


@pytest.mark.parametrize("zone", US_ZONES)
def test_s3_a_wall_time_is_one_moment_on_every_day_of_change(zone: str) -> None:
    """S3: at the stated wall time, the first of two; skipped, the first minute after the gap."""
    there = ZoneInfo(zone)
    if zone in ("America/Phoenix", "Pacific/Honolulu"):
        assert days_of_change(zone) == []
    else:
        assert len(days_of_change(zone)) == 2 * len(YEARS)
    skipped = twice = 0
    for day in CHANGES:
        for minute in range(0, 24 * 60, 5):
            wall = time(minute // 60, minute % 60)
            moment = moment_of(day, wall, there).astimezone(UTC)
            assert instant(day, wall, there) == moment
            shown = moment.astimezone(there)
            before = (moment - timedelta(hours=1)).astimezone(there)
            assert shown.date() == day
            assert shown.fold == 0, "the second of two"
            if shown.time() != wall:
                skipped += 1
                assert (
                    (moment - timedelta(minutes=1)).astimezone(there).time() < wall < shown.time()
                )
            twice += before.fold == 0 and (moment + timedelta(hours=1)).astimezone(there).fold
    changes = len(days_of_change(zone)) // 2
    assert (skipped, twice) == (12 * changes, 12 * changes)
