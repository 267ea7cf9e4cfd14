"""The judge's books must see what is wrong: each kind of wrong is made here, and found."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.models import Attempt, Entry, Job
from tests.switchboard.desk import Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


@pytest.fixture
def done(desk: Desk) -> Desk:
    """A finished job: one chain of two numbers, one of one."""
    desk.submit(chain("c1", number(140), number(110)), chain("c2", number(110)))
    desk.run()
    return desk


def test_a_clean_job_has_clean_books(done: Desk) -> None:
    assert ledger.add_up(done.job_ref) == ledger.Totals(1, 1, 2, 3, 3, 0, 0, 0, 0)
    assert ledger.find_excess() == []
    assert ledger.find_late() == []
    calls = ledger.list_attempts(number(110))
    assert [(call.step_ref, call.attempt_number, call.status_code) for call in calls] == [
        ("c2-1", 1, 5),
        ("c1-2", 1, 5),
    ]
    assert ledger.list_attempts(since=datetime.now(UTC) + timedelta(days=1)) == []
    assert ledger.add_up("nobody") == ledger.Totals(0, 0, 0, 0, 0, 0, 0, 0, 0)


def test_a_step_without_a_final_entry_is_lost(done: Desk) -> None:
    Entry.objects.filter(step_ref="c1-2").delete()
    Entry.objects.filter(step_ref="c2-1").update(final=False)
    lost = [
        ledger.LostStep(done.job_ref, "c1", "c1-2"),
        ledger.LostStep(done.job_ref, "c2", "c2-1"),
    ]
    assert list(ledger.find_lost()) == lost
    assert ledger.add_up().lost == 2
    assert ledger.add_up().under_way == 1


def test_a_job_result_closes_only_what_has_no_entry_at_all(done: Desk) -> None:
    Entry.objects.filter(step_ref="c1-2").delete()
    Entry.objects.filter(step_ref="c2-1").update(final=False)
    Entry.objects.filter(entry_type="JOB_RESULT").update(reason="WINDOW_ENDED")
    assert [step.step_ref for step in ledger.find_lost()] == ["c2-1"]


def test_the_same_attempt_twice_is_doubled_and_too_many_are_excess(done: Desk) -> None:
    twin = Attempt.objects.get(step_ref="c2-1")
    twin.attempt_id, twin.pos = "A-twin", 17
    twin.save(force_insert=True)
    assert ledger.find_doubled() == [ledger.Doubled(done.job_ref, "c2", "c2-1", 1, 2)]
    assert ledger.find_excess() == [ledger.Excess(done.job_ref, "c2", "c2-1", 2, 1)]
    assert ledger.add_up().doubled == 1


@pytest.mark.parametrize("moment", ["after the cancel", "after the window", "before the window"])
def test_a_call_at_the_wrong_time_is_late(done: Desk, moment: str) -> None:
    call = Attempt.objects.get(step_ref="c2-1")
    minute = timedelta(minutes=1)
    job = Job.objects.get()
    if moment == "after the cancel":
        Job.objects.update(cancel_requested_at=call.started_at - minute)
    elif moment == "after the window":
        Attempt.objects.filter(step_ref="c2-1").update(started_at=job.window_end)
    else:
        opens = datetime.fromisoformat(job.body["window_start"])
        Attempt.objects.filter(step_ref="c2-1").update(started_at=opens - minute)
    assert "c2-1" in {late.step_ref for late in ledger.find_late()}
