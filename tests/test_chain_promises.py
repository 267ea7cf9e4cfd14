"""What every call chain keeps, whatever happens to it: properties over random chains."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer_adapters.chain_engine import (
    DEFAULT_REDIAL_CODES,
    Chain,
    Policy,
)
from tests.chain_run import NOON, ONCE_MORE, TEXT, VOICE, Run

# --------------------------------------------------------------------------------------- properties

STOPS = ["CONFIRM", "LIVE", "MACHINE", "TEXT_SENT"]
ANSWERS = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 14, 17, -5, -12, -13, -17, 8, 13]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    return Policy(
        max_attempts=draw(st.integers(1, 4)),
        seconds_between=draw(st.sampled_from([0.0, 10.0, 900.0])),
        redial_codes=draw(
            st.one_of(st.just(DEFAULT_REDIAL_CODES), st.frozensets(st.sampled_from(ANSWERS)))
        ),
        redial_machine=draw(st.booleans()),
        redial_unknown=draw(st.booleans()),
        stop_on=frozenset(draw(st.lists(st.sampled_from(STOPS), min_size=1, max_size=4))),
        window_end=draw(st.one_of(st.none(), st.floats(NOON + 1, NOON + 5000))),
    )


@st.composite
def runs(draw: st.DrawFn) -> Run:
    order = draw(st.sampled_from(["SEQUENTIAL", "SIMULTANEOUS"]))
    steps = draw(st.lists(st.sampled_from([VOICE, VOICE, TEXT]), min_size=1, max_size=5))
    script: dict[tuple[int, int], tuple[int, bool]] = {}

    def answer(step: int, number: int) -> tuple[int, bool]:
        key = (step, number)
        if key not in script:
            if steps[step].channel == "TEXT":
                script[key] = (draw(st.sampled_from([-27, -30, -33, -40])), False)
            else:
                code = draw(st.sampled_from(ANSWERS))
                script[key] = (code, code == 5 and draw(st.booleans()))
        return script[key]

    return Run(Chain(draw(policies()), steps, order), answer).to_the_end()


@settings(max_examples=400)
@given(runs())
def test_a_chain_keeps_its_promises(done: Run) -> None:
    chain, policy = done.chain, done.chain.policy
    attempts = [
        [number for _, step, number in done.starts if step == index]
        for index in range(len(chain.steps))
    ]
    for numbers in attempts:
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) <= policy.max_attempts
    closed = [closing.step for closing in done.closings]
    assert len(closed) == len(set(closed))
    assert not done.finals & set(closed), "a step ends by its last result or by a closing"
    for index, numbers in enumerate(attempts):
        assert chain.is_final(index)
        assert numbers or index in closed, "every step ends by a call or by a closing"
    if policy.window_end is not None:
        assert all(start[0] < policy.window_end for start in done.starts)
    if done.confirmed_at is not None and "CONFIRM" in policy.stop_on:
        assert all(start[0] <= done.confirmed_at for start in done.starts)
    voice = [
        (number, step) for _, step, number in done.starts if chain.steps[step].channel == "VOICE"
    ]
    rounds = [number for number, _ in voice]
    assert rounds == sorted(rounds), "every number once before any is redialed"
    if chain.order == "SEQUENTIAL":
        assert done.most_calls_at_once <= 1
        assert voice == sorted(voice)


@settings(max_examples=200)
@given(runs(), st.data())
def test_a_chain_rebuilt_from_its_log_goes_on_as_before(done: Run, data: st.DataObject) -> None:
    before = done.chain
    copy = Chain(before.policy, before.steps, before.order)
    order = data.draw(st.permutations(range(len(before.steps))))
    history = {
        step: [(number, done.answer(step, number)) for _, at, number in done.starts if at == step]
        for step in order
    }
    for step, tries in history.items():
        for number, (code, confirmed) in tries:
            copy.resume(step, number)
            copy.report(step, code, NOON, confirmed)
        if step in done.finals:
            copy.finish(step)
    for closing in done.closings:
        copy.finish(closing.step)
    assert copy.finished
    assert copy.confirmed == before.confirmed
    for index in range(len(before.steps)):
        assert copy.attempts(index) == before.attempts(index)


def test_a_waiting_chain_of_two_numbers_stays_small() -> None:
    chain = Chain(ONCE_MORE, (VOICE, VOICE))
    states = chain._states
    size = sys.getsizeof(chain) + sys.getsizeof(states) + sum(map(sys.getsizeof, states))
    assert size < 500  # 300,000 of them are 150 MB at most
