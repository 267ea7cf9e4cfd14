"""The simulated town: the same number always does the same, and reserved numbers do as written."""

from __future__ import annotations

from collections import Counter

import pytest

from dialer_adapters.switchboard.lines import Placement
from dialer_adapters.switchboard.lines.simulated import (
    RARE_CODES,
    SimulatedLines,
    decide_call,
    decide_text,
    find_reserved,
)


def call(last: int, attempt: int = 1, extension: str | None = None) -> tuple[int, bool]:
    outcome = decide_call(f"+1612555{last:04d}", extension, attempt, seed=1)
    return outcome.code, outcome.presses_0


@pytest.mark.parametrize(
    ("numbers", "attempt", "code", "presses_0"),
    [
        (range(100, 110), 1, 5, True),
        (range(110, 120), 1, 5, False),
        (range(120, 130), 1, 6, False),
        (range(130, 140), 1, 1, False),
        (range(130, 140), 2, 5, True),
        (range(140, 150), 3, 0, False),
        (range(150, 160), 1, 3, False),
        (range(160, 165), 1, 7, False),
        (range(165, 170), 2, 14, False),
        (range(170, 175), 4, 1, False),
        (range(175, 180), 2, 0, False),
        (range(175, 180), 3, 5, False),
        (range(192, 193), 1, 5, True),
        (range(196, 199), 1, 5, False),
        (range(199, 200), 1, -17, False),
    ],
)
def test_reserved_numbers_do_as_written(
    numbers: range, attempt: int, code: int, presses_0: bool
) -> None:
    for last in numbers:
        assert call(last, attempt) == (code, presses_0)


def test_rare_codes_have_their_numbers() -> None:
    assert [call(180 + place)[0] for place in range(10)] == list(RARE_CODES)


def test_a_number_with_an_extension_ends_at_the_extension() -> None:
    assert call(100, extension="4410") == (8, True)
    assert call(111, extension="4410") == (13, False)
    assert call(140, extension="4410") == (0, False)


@pytest.mark.parametrize(
    ("last", "codes"),
    [
        (100, [-39, -27, -28]),
        (140, [-39, -27]),
        (150, [-39, -40]),
        (170, [-39, -27, -40]),
        (180, [-39, -30]),
        (197, [-33]),
        (198, [-39, -27, -40]),
    ],
)
def test_texts_to_reserved_numbers_do_as_written(last: int, codes: list[int]) -> None:
    assert [code for _, code in decide_text(f"+1612555{last:04d}", 1, seed=1)] == codes


@pytest.mark.parametrize("number", ["+16125550099", "+16125550200", "+16125540100", "+16125551100"])
def test_other_numbers_are_not_reserved(number: str) -> None:
    assert find_reserved(number) is None


def test_the_town_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    numbers = [f"+1612{2000000 + 37 * place}" for place in range(300)]

    def town(seed: int) -> list[object]:
        return [
            (decide_call(number, None, attempt, seed), decide_text(number, attempt, seed))
            for number in numbers
            for attempt in (1, 2)
        ]

    assert town(1) == town(1)
    assert town(1) != town(2)


def test_the_town_is_believable() -> None:
    outcomes = [decide_call(f"+1612{2000000 + place}", None, 1, 1) for place in range(20_000)]
    codes = Counter(outcome.code for outcome in outcomes)
    share = {code: times / len(outcomes) for code, times in codes.items()}
    assert 0.35 < share[5] < 0.50
    assert 0.20 < share[6] < 0.35
    assert 0.10 < share[0] < 0.25
    assert 0.01 < share[3] < 0.05
    live = [outcome for outcome in outcomes if outcome.code == 5]
    assert 0.4 < sum(outcome.presses_0 for outcome in live) / len(live) < 0.7
    assert all(0 < outcome.ring_seconds <= 30 for outcome in outcomes)


def test_speed_shortens_ringing_and_talking_alone() -> None:
    slow, fast = SimulatedLines(speed=1), SimulatedLines(speed=60)
    for lines in (slow, fast):
        lines.call(Placement("A1", "+16125550100", None, 1), now=1000.0)
        assert lines.collect(1000.0) == []
    slow_at, fast_at = slow.next_at(), fast.next_at()
    assert slow_at is not None
    assert fast_at is not None
    assert (slow_at - 1000) == pytest.approx((fast_at - 1000) * 60)
    (result,) = fast.collect(fast_at)
    assert result.connected_at is not None
    assert 1000 < result.connected_at < result.at == fast_at


def test_without_detection_a_machine_counts_as_a_person() -> None:
    lines = SimulatedLines()
    lines.call(Placement("A1", "+16125550120", None, 1, detect_machine=False), now=0.0)
    (result,) = lines.collect(1000.0)
    assert (result.code, result.answered_by) == (5, "UNKNOWN")


def test_a_text_goes_on_after_its_last_known_code() -> None:
    lines = SimulatedLines()
    lines.text(Placement("A1", "+16125550100", None, 1), now=0.0, after=-39)
    assert [(result.code, result.last) for result in lines.collect(1000.0)] == [
        (-27, False),
        (-28, True),
    ]


def test_forgotten_attempts_are_not_reported() -> None:
    lines = SimulatedLines()
    for name in ("A1", "A2"):
        lines.call(Placement(name, "+16125550100", None, 1), now=0.0)
    lines.forget({"A1"})
    assert [result.attempt_id for result in lines.collect(1000.0)] == ["A2"]
