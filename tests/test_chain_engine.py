"""The rules of a call chain: examples of contract 7.4."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer_adapters.call_codes import CODES, lookup
from dialer_adapters.chain_engine import (
    CALL_EXPIRED,
    CHAIN_STOPPED,
    DEFAULT_REDIAL_CODES,
    LOCAL_TIME_RESTRICTED,
    WINDOW_ENDED,
    Chain,
    Closing,
    LocalHours,
    Policy,
)
from tests.chain_run import MINUTE, NOON, ONCE_MORE, TEXT, VOICE, Step, run

# --------------------------------------------------------------------------- one call after another


def test_numbers_are_called_one_after_another_until_key_0() -> None:
    done = run(Chain(ONCE_MORE, [VOICE] * 3), 6, 5, 5, key_0=(1,))
    assert done.order() == [(0, 1), (1, 1)]
    assert done.most_calls_at_once == 1
    assert done.closings == [Closing(2, None, True, CHAIN_STOPPED)]


def test_a_person_or_machine_without_key_0_does_not_stop_the_chain() -> None:
    done = run(Chain(ONCE_MORE, [VOICE] * 3), 5, 6, 0)
    assert done.order() == [(0, 1), (1, 1), (2, 1), (2, 2)]
    assert done.closings == []


def test_every_number_is_called_once_before_any_is_redialed() -> None:
    done = run(Chain(replace(ONCE_MORE, max_attempts=3), [VOICE] * 3), 1, 0, 4)
    assert done.order() == [(step, number) for number in (1, 2, 3) for step in (0, 1, 2)]


def test_a_redial_waits_for_the_minutes_between() -> None:
    done = run(Chain(ONCE_MORE, [VOICE]), 1)
    (first, *_), (second, *_) = done.starts
    assert second == first + 30 + 15 * MINUTE


def test_key_0_in_one_chain_leaves_the_other_chains_alone() -> None:
    chains = [Chain(ONCE_MORE, [VOICE] * 3) for _ in range(6)]
    for chain in chains:
        chain.start(0)
    chains[2].report(0, 5, NOON, confirmed=True)
    assert chains[2].finished
    assert not any(chain.finished for chain in chains if chain is not chains[2])


def test_a_step_waiting_for_a_redial_is_closed_with_its_code_when_the_chain_stops() -> None:
    chain = Chain(ONCE_MORE, [VOICE, VOICE])
    chain.start(0)
    assert chain.report(0, 1, NOON) == []
    assert chain.redial_at(0) == NOON + 15 * MINUTE
    chain.start(1)
    closings = chain.report(1, 5, NOON + 40, confirmed=True)
    assert closings == [Closing(0, 1, True, CHAIN_STOPPED)]
    assert chain.finished
    assert chain.confirmed


# ------------------------------------------------------------------------------------- all at once


def test_a_simultaneous_chain_calls_all_numbers_at_once_and_redials_in_waves() -> None:
    chain = Chain(ONCE_MORE, [VOICE] * 3, "SIMULTANEOUS")
    done = run(chain, 1, 5, 0)
    assert [start[1:] for start in done.starts] == [(0, 1), (1, 1), (2, 1), (0, 2), (2, 2)]
    assert [start[0] - NOON for start in done.starts] == [0, 0, 0, 930, 930]
    assert done.most_calls_at_once == 3


def test_key_0_lets_the_other_ringing_legs_end_but_redials_none() -> None:
    chain = Chain(ONCE_MORE, [VOICE] * 3, "SIMULTANEOUS")
    for step in chain.startable(NOON):
        chain.start(step)
    chain.report(0, 1, NOON + 5)
    assert chain.report(1, 5, NOON + 20, True) == [Closing(0, 1, True, CHAIN_STOPPED)]
    assert not chain.finished
    assert chain.report(2, 0, NOON + 30) == []
    assert chain.is_final(2)
    assert chain.finished


def test_a_wave_that_lacked_lines_goes_on_before_the_next_wave() -> None:
    chain = Chain(replace(ONCE_MORE, seconds_between=0), [VOICE] * 3, "SIMULTANEOUS")
    assert chain.startable(NOON) == [0, 1, 2]
    chain.start(0)
    assert chain.startable(NOON) == [1, 2]
    chain.report(0, 1, NOON)
    assert chain.startable(NOON) == [1, 2]
    chain.start(1)
    chain.start(2)
    assert chain.startable(NOON) == []
    chain.report(1, 1, NOON)
    chain.report(2, 5, NOON)
    assert chain.startable(NOON) == [0, 1]


# ------------------------------------------------------------------------------------------ redials


@pytest.mark.parametrize("code", sorted(CODES.keys() - {-39}))
def test_each_code_is_redialed_as_the_table_says(code: int) -> None:
    expected = {"yes": 9, "once": 2}.get(lookup(code).redial, 1)
    done = run(Chain(Policy(max_attempts=9), [VOICE]), code)
    assert len(done.starts) == (expected if code in DEFAULT_REDIAL_CODES else 1)


@pytest.mark.parametrize("code", [-1, -5, -20, -25, -30, 10])
@pytest.mark.parametrize("redial", [True, False])
def test_a_code_of_doubt_is_governed_by_unknown_outcome_alone(code: int, redial: bool) -> None:
    policy = Policy(max_attempts=3, redial_codes=frozenset({code}), redial_unknown=redial)
    assert len(run(Chain(policy, [VOICE]), code).starts) == (3 if redial else 1)


def test_once_never_exceeds_the_allowed_attempts() -> None:
    assert len(run(Chain(Policy(max_attempts=1), [VOICE]), 2).starts) == 1
    assert len(run(Chain(Policy(max_attempts=9), [VOICE]), 2).starts) == 2


def test_an_unlisted_code_is_redialed_like_9() -> None:
    assert len(run(Chain(Policy(max_attempts=5), [VOICE]), -17).starts) == 2
    no_nine = Policy(max_attempts=5, redial_codes=frozenset({0, 1}))
    assert len(run(Chain(no_nine, [VOICE]), -17).starts) == 1


def test_a_machine_is_redialed_only_by_policy() -> None:
    policy = Policy(max_attempts=3, redial_codes=frozenset({6}))
    assert len(run(Chain(policy, [VOICE]), 6).starts) == 1
    assert len(run(Chain(replace(policy, redial_machine=True), [VOICE]), 6).starts) == 3


@pytest.mark.parametrize("code", [3, 7, 16, -2, -3, -7, -15, -19, -21, -22, -23, -40])
def test_a_listed_redial_code_never_revives_a_number_that_has_ended(code: int) -> None:
    policy = Policy(max_attempts=3, redial_codes=frozenset({code}))
    assert len(run(Chain(policy, [VOICE]), code).starts) == 1


@pytest.mark.parametrize(
    ("stop_on", "code", "confirmed", "stops"),
    [
        ("CONFIRM", 5, True, True),
        ("CONFIRM", 5, False, False),
        ("LIVE", 5, False, True),
        ("LIVE", 6, False, False),
        ("MACHINE", 6, False, True),
        ("TEXT_SENT", -27, False, True),
        ("TEXT_SENT", 5, True, False),
    ],
)
def test_only_what_stop_on_names_stops_a_chain(
    stop_on: str, code: int, confirmed: bool, stops: bool
) -> None:
    chain = Chain(Policy(stop_on=frozenset({stop_on})), [VOICE, VOICE])
    chain.start(0)
    assert bool(chain.report(0, code, NOON, confirmed)) is stops
    assert chain.is_final(1) is stops


def test_a_machine_hears_the_message_only_when_one_is_left() -> None:
    assert Policy().plays_message(6)
    assert not Policy(leave_message=False).plays_message(6)
    assert Policy(leave_message=False).plays_message(5)
    assert not Policy().plays_message(0)


# -------------------------------------------------------------------------------------------- texts


def test_texts_start_with_the_chain_and_delay_nothing() -> None:
    chain = Chain(ONCE_MORE, [VOICE, TEXT, VOICE])
    assert chain.startable(NOON) == [1, 0]


@pytest.mark.spec("B3-11")
def test_key_0_cancels_texts_that_were_not_handed_over() -> None:
    chain = Chain(ONCE_MORE, [VOICE, TEXT, TEXT])
    chain.start(0)
    chain.start(1)
    chain.report(1, -39, NOON + 1)
    closings = chain.report(0, 5, NOON + 20, confirmed=True)
    assert closings == [Closing(2, None, True, CHAIN_STOPPED)]
    assert not chain.is_final(1)
    chain.report(1, -27, NOON + 30)
    assert chain.finished


def test_a_queued_text_is_not_final_and_later_revisions_are_taken() -> None:
    chain = Chain(Policy(), [TEXT])
    chain.start(0)
    chain.report(0, -39, NOON)
    assert (chain.is_final(0), chain.last_code(0)) == (False, -39)
    chain.report(0, -27, NOON + 3)
    assert chain.is_final(0)
    chain.report(0, -40, NOON + 9)
    assert (chain.is_final(0), chain.last_code(0)) == (True, -40)


# ------------------------------------------------------------------------------- window and hours


def test_at_the_end_of_the_window_open_steps_get_their_code() -> None:
    policy = replace(ONCE_MORE, window_end=NOON + 10 * MINUTE, seconds_between=8 * MINUTE)
    chain = Chain(policy, [VOICE, VOICE, VOICE, TEXT])
    chain.start(3)
    chain.report(3, -39, NOON)
    chain.start(0)
    chain.report(0, 1, NOON + 4 * MINUTE)
    chain.start(1)
    assert chain.wake_at(NOON + 4 * MINUTE) is None
    assert chain.startable(NOON + 10 * MINUTE) == []
    assert chain.expire(NOON + 10 * MINUTE) == [
        Closing(3, -39, False, WINDOW_ENDED),
        Closing(0, 1, False, WINDOW_ENDED),
        Closing(2, CALL_EXPIRED, False, WINDOW_ENDED),
    ]
    assert not chain.finished
    chain.report(1, 0, NOON + 11 * MINUTE)
    assert chain.finished


def test_no_call_starts_at_the_very_end_of_the_window() -> None:
    chain = Chain(Policy(window_end=NOON), [VOICE])
    assert chain.startable(NOON - 0.001) == [0]
    assert chain.startable(NOON) == []


EIGHT_TO_NINE = LocalHours(time(8), time(21), "America/Chicago")
CHICAGO, HONOLULU = Step("VOICE", "America/Chicago"), Step("VOICE", "Pacific/Honolulu")


def test_local_hours_hold_a_number_back_and_no_other() -> None:
    seven = datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()  # 8:30 and 4:30
    chain = Chain(Policy(local_hours=EIGHT_TO_NINE), [HONOLULU, CHICAGO])
    assert chain.startable(seven) == [1]
    chain.start(1)
    chain.report(1, 5, seven + 30)
    eight_in_honolulu = datetime(2026, 11, 23, 18, 0, tzinfo=UTC).timestamp()
    assert chain.wake_at(seven + 30) == eight_in_honolulu
    assert chain.startable(eight_in_honolulu - 1) == []
    assert chain.startable(eight_in_honolulu) == [0]


def test_a_held_number_gets_minus_9_when_the_window_ends_first() -> None:
    seven = datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()
    policy = Policy(local_hours=EIGHT_TO_NINE, window_end=seven + 60 * MINUTE)
    chain = Chain(policy, [HONOLULU, CHICAGO])
    assert chain.expire(seven + 60 * MINUTE) == [
        Closing(0, LOCAL_TIME_RESTRICTED, False, WINDOW_ENDED),
        Closing(1, CALL_EXPIRED, False, WINDOW_ENDED),
    ]


def test_local_hours_that_fail_close_a_number_at_once() -> None:
    seven = datetime(2026, 11, 23, 14, 30, tzinfo=UTC).timestamp()
    hours = LocalHours(time(8), time(21), "America/Chicago", fail=True)
    chain = Chain(Policy(local_hours=hours), [HONOLULU, CHICAGO])
    assert chain.review(seven) == [Closing(0, LOCAL_TIME_RESTRICTED, False, "LOCAL_HOURS")]
    assert chain.startable(seven) == [1]


def test_an_unknown_zone_counts_as_the_default_zone() -> None:
    hours = LocalHours(time(8), time(21), "America/Chicago")
    assert hours.is_open("Mars/Olympus_Mons", NOON)
    assert hours.opens_at("../../etc/passwd", NOON) == NOON


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (datetime(2026, 3, 8, 13, 59, tzinfo=UTC), True),  # the day clocks go forward: 8:59
        (datetime(2026, 3, 8, 12, 59, tzinfo=UTC), False),  # 7:59, and 6:59 by the old clock
        (datetime(2026, 11, 1, 13, 59, tzinfo=UTC), False),  # the day they go back: 7:59
        (datetime(2026, 11, 1, 14, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 2, 2, 59, tzinfo=UTC), True),  # 20:59
        (datetime(2026, 11, 2, 3, 0, tzinfo=UTC), False),
    ],
)
def test_local_hours_follow_the_wall_clock_through_clock_changes(
    moment: datetime, is_open: bool
) -> None:
    assert EIGHT_TO_NINE.is_open(None, moment.timestamp()) is is_open


@given(
    st.integers(0, 2 * 365 * 24 * 4),
    st.sampled_from(["America/Chicago", "Pacific/Honolulu", "America/St_Johns", "Asia/Kathmandu"]),
)
def test_hours_begin_when_they_say(quarter: int, zone: str) -> None:
    now = NOON + quarter * 900 + 17
    hours = LocalHours(time(8), time(21), "America/Chicago")
    opens = hours.opens_at(zone, now)
    assert opens >= now
    assert hours.is_open(zone, opens)
    assert opens == now or not hours.is_open(zone, opens - 1)


# ------------------------------------------------------------------------- canceling and rebuilding


def test_a_canceled_chain_starts_nothing_and_lets_calls_end() -> None:
    chain = Chain(ONCE_MORE, [VOICE, VOICE])
    chain.start(0)
    assert chain.cancel("CANCELED") == [Closing(1, None, True, "CANCELED")]
    assert chain.startable(NOON) == []
    chain.report(0, 1, NOON)
    assert chain.finished
    assert not chain.confirmed


def test_a_number_closed_during_its_call_is_not_redialed() -> None:
    chain = Chain(ONCE_MORE, [VOICE])
    chain.start(0)
    assert chain.close(0, None, "CANCELED") is None
    chain.report(0, 1, NOON)
    assert chain.finished


def test_a_step_that_may_not_start_cannot_be_started() -> None:
    chain = Chain(ONCE_MORE, [VOICE])
    chain.start(0)
    with pytest.raises(ValueError, match="may not start"):
        chain.start(0)
