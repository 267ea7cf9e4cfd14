"""Frozen jobs: what the outbox stores is what is sent, days and versions later."""

import json
from datetime import UTC, datetime, time, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer_adapters.contract import FrozenJob, LocalHours, Redial, Script, Segment

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES)
WORDS = st.none() | st.text()
SEGMENTS = st.tuples(WORDS, WORDS, WORDS).map(lambda words: Segment(*words))
SCRIPTS = st.builds(
    Script,
    live=st.lists(SEGMENTS).map(tuple),
    machine=st.lists(SEGMENTS).map(tuple),
    text=WORDS,
    confirm_digit=WORDS,
    repeat_digit=WORDS,
)
JOBS = st.builds(
    FrozenJob,
    job_ref=st.text(),
    customer_id=st.text(),
    priority=st.sampled_from(["EMERGENCY", "PRIORITY", "NORMAL"]),
    message_type=st.text(),
    title=WORDS,
    redial=st.builds(
        Redial,
        max_attempts=st.integers(),
        minutes_between=st.integers(),
        codes=st.lists(st.integers()).map(tuple),
        redial_machine=st.booleans(),
        unknown_outcome=st.sampled_from(["REDIAL", "STOP"]),
    ),
    script=SCRIPTS,
    window_start=st.none() | MOMENTS,
    window_end=st.none() | MOMENTS,
    local_hours=st.none()
    | st.builds(
        LocalHours,
        earliest=st.times(),
        latest=st.times(),
        default_zone=st.text(),
        on_violation=st.sampled_from(["HOLD", "FAIL"]),
    ),
    stop_on=st.lists(st.sampled_from(["CONFIRM", "LIVE"]), min_size=1).map(tuple),
    max_lines=st.none() | st.integers(),
    ring_seconds=st.none() | st.integers(),
)


@settings(deadline=None)
@given(JOBS)
def test_a_job_comes_back_from_json_as_it_was(job: FrozenJob) -> None:
    stored = json.dumps(job.to_json())
    again = FrozenJob.from_json(json.loads(stored))
    assert again == job
    assert json.dumps(again.to_json()) == stored


@pytest.mark.parametrize("name", ["window_start", "window_end"])
def test_a_time_without_offset_is_refused(name: str) -> None:
    values = {"redial": Redial(1, 15, ()), "script": Script()}
    with pytest.raises(ValueError, match=name):
        FrozenJob(
            job_ref="j",
            customer_id="D",
            priority="NORMAL",
            message_type="GENERAL",
            **{name: datetime(2026, 11, 23, 16, 0)},  # noqa: DTZ001
            **values,
        )


def test_local_hours_are_wall_time() -> None:
    with pytest.raises(ValueError, match="wall time"):
        LocalHours(time(8, tzinfo=UTC), time(21), "America/Chicago")
