"""How many calls will not fit into a window: the formula by hand, and its numbers' sources."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer_adapters.chain_engine import MACHINE, Policy
from dialer_adapters.contract import Segment
from dialer_adapters.switchboard.lines.simulated import decide_call
from messenger.audience.preview import Preview
from messenger.composition import Composition
from tests.launch.sending import draft, launched, verified_account
from tests.world import World, build_world
from voice import capacity
from voice.capacity import DIALING, Load, count_left_over, roughly, seconds_a_call, tries_a_number
from voice.models import CallChain, DialerBatch
from voice.windows import Window

HOUR = 3600.0
# 100 lines for an hour; a call plays 30 s to a person and 25 s to a machine.
LOAD = Load(dials=4200, chains=1500, lines=100, window=HOUR, live=30.0, machine=25.0)


def test_the_formula_by_hand() -> None:
    # 3 + 0.43 × (12 + 30) + 0.29 × (12 + 25) + 0.17 × 30 + 0.11 × 2
    assert seconds_a_call(LOAD) == pytest.approx(37.11)
    # Four redials of 15 minutes would have time; the district wants two: 1 + 0.28 + 0.28²
    assert tries_a_number(LOAD) == pytest.approx(1.3584)
    # 100 lines × 3,600 s ÷ (37.11 s × 1.3584) = 7,141 numbers
    assert count_left_over(LOAD) == 0
    assert count_left_over(replace(LOAD, dials=10_000)) == 10_000 - 7_141
    # Too short for a redial, and for more than 3.2 calls of a chain.
    short = replace(LOAD, window=120.0, lines=10_000, chains=100, dials=1_000)
    assert tries_a_number(short) == 1.0
    assert count_left_over(short) == 1_000 - 323
    assert count_left_over(replace(LOAD, window=0.0)) == 4_200


@given(
    dials=st.integers(1, 10**6), lines=st.integers(1, 5_000), window=st.floats(1, 86_400),
    live=st.floats(0, 400), redials=st.integers(0, 9), pause=st.floats(0, 7_200),
)  # fmt: skip
def test_more_lines_more_time_and_fewer_words_never_leave_more_over(
    dials: int, lines: int, window: float, live: float, redials: int, pause: float
) -> None:
    load = Load(
        dials=dials, chains=dials, lines=lines, window=window, live=live, machine=live,
        redials=redials, pause=pause,
    )  # fmt: skip
    left = count_left_over(load)
    assert 0 <= left <= dials
    assert count_left_over(replace(load, lines=lines + 1)) <= left
    assert count_left_over(replace(load, live=live + 10)) >= left
    assert count_left_over(replace(load, dials=dials + 1, chains=dials + 1)) >= left
    assert 0.5 * left <= roughly(left) <= 1.5 * left


@pytest.mark.parametrize(
    ("count", "shown"), [(0, 0), (7, 7), (37, 37), (214, 210), (1_312, 1_300), (99_600, 100_000)]
)
def test_an_estimate_shows_two_digits(count: int, shown: int) -> None:
    assert roughly(count) == shown


def test_the_estimate_lies_near_the_town_and_never_below() -> None:
    """2,000 ordinary numbers of the switchboard's town, each dialed as a job would: those people
    hang up early, which an estimate must not count on."""
    policy = Policy(max_attempts=1 + LOAD.redials)
    line_seconds = tries = 0.0
    for number in range(2_000):
        for attempt in range(1, policy.max_attempts + 1):
            call = decide_call(f"+1612{7_000_000 + number}", None, attempt, seed=1)
            words = LOAD.machine if call.code == MACHINE else LOAD.live
            line_seconds += DIALING + call.ring_seconds + call.talk_seconds * words
            tries += 1
            if not policy.redials(call.code, once_used=attempt > 1):
                break
    needed = seconds_a_call(LOAD) * tries_a_number(LOAD)
    assert 1.0 <= needed / (line_seconds / 2_000) <= 1.5
    assert 0.9 <= tries_a_number(LOAD) / (tries / 2_000) <= 1.15


def test_words_recordings_and_signs_have_a_length() -> None:
    parts = [
        Segment(say="one two three four five"),
        Segment(audio_id="abc"),
        Segment(say="学校今天停课"),
    ]
    assert capacity.spoken_seconds(parts, {"abc": 20.0}) == pytest.approx(2.0 + 20.0 + 1.5)


@pytest.fixture
def world(db: None) -> World:
    verified_account(lines=10, dialer_lines=200)
    return build_world()


@pytest.mark.django_db
def test_lines_are_the_fewer_of_what_hosting_and_the_dialer_say() -> None:
    for ours, theirs, expected in ((10, 200, 10), (None, 200, 200), (50, None, 50), (0, 8, 8)):
        assert capacity.lines_of(verified_account(lines=ours, dialer_lines=theirs)) == expected
    assert capacity.lines_of(verified_account(lines=None, dialer_lines=None)) is None


def test_what_is_counted_is_what_the_chains_will_dial(world: World) -> None:
    from messenger.audience.preview import preview

    made = draft()
    counted = preview(Composition.from_draft(made))
    message = launched()
    assert counted.chains == CallChain.objects.filter(message=message).count()
    frozen = sum(DialerBatch.objects.filter(job__message=message).values_list("steps", flat=True))
    assert counted.dials == frozen > counted.chains


def foreseen(world: World, hours: float, counted: Preview, **settings: object) -> list[str]:
    noon = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo(world.district.time_zone)).astimezone(UTC)
    window = Window(noon, noon + timedelta(hours=hours))
    composition = Composition.from_draft(draft())
    return capacity.foresee(composition, counted, window, verified_account(**settings))


def test_nothing_is_said_when_everything_fits_or_nobody_knows_the_lines(world: World) -> None:
    few, many = Preview(dials=40, chains=15, calls=30), Preview(dials=40_000, chains=15_000)
    assert foreseen(world, 4, few) == []
    assert foreseen(world, 4, many, lines=None, dialer_lines=None) == []
    (words,) = foreseen(world, 4, many, lines=10, dialer_lines=200)
    assert words.startswith("About ")
    assert "of 40,000 calls will not fit before 4:00 PM." in words
    assert "longer dialing window" in words


def test_several_messages_in_one_call_are_fewer_calls(world: World) -> None:
    settings = verified_account(bundle_messages=False)
    composition = Composition.from_draft(draft())
    counted = Preview(dials=3_000, chains=2_000, joined_dials=1_000, joined_chains=700)
    hour = timedelta(hours=1)
    alone = capacity.load_of(composition, counted, settings, hour)
    settings.bundle_messages = True
    together = capacity.load_of(composition, counted, settings, hour)
    assert alone is not None
    assert together is not None
    assert (alone.dials, alone.chains) == (3_000, 2_000)
    assert (together.dials, together.chains) == (1_000, 700)


def test_schools_whose_day_is_over_are_named(world: World) -> None:
    world.high.time_zone = "Atlantic/Azores"
    world.high.save()
    noon = datetime(2026, 11, 23, 19, tzinfo=ZoneInfo("America/Chicago")).astimezone(UTC)
    world.district.time_zone = "America/Chicago"
    world.district.save()
    window = Window(noon, noon + timedelta(hours=1))
    composition = Composition.from_draft(draft())
    (words,) = capacity.foresee(composition, Preview(), window, verified_account())
    assert "Nobody will be called about Prairie High School" in words
