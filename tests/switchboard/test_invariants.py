"""The judge must see every kind of wrong: each is made here, and found; clean books are clean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.inbound import receive_text
from dialer_adapters.switchboard.invariants import Violation, describe, list_violations
from dialer_adapters.switchboard.models import Account, Attempt, Cancellation, Entry, Job
from tests.switchboard.desk import Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

CONFIRMS, LIVE, MACHINE, NOBODY = number(100), number(110), number(120), number(140)


@pytest.fixture
def done(desk: Desk) -> Desk:
    """A finished job: a chain that key 0 stopped, one that went to its end, and a text."""
    desk.submit(
        chain("c1", CONFIRMS, LIVE),
        chain("c2", NOBODY, MACHINE, TimeZone="America/Chicago"),
        chain("c3", "T" + LIVE),
        LocalHours={
            "Earliest": "00:00:00",
            "Latest": "24:00:00",
            "OnViolation": "HOLD",
            "DefaultTimeZone": "America/Chicago",
        },
    )
    desk.run()
    return desk


def find(job_ref: str | None = None) -> set[tuple[int, str | None]]:
    return {(found.invariant, found.step_ref) for found in list_violations(job_ref)}


def copy_attempt(step_ref: str, **changes: Any) -> None:
    attempt = Attempt.objects.get(step_ref=step_ref)
    for name, value in {"attempt_id": "A-twin", **changes}.items():
        setattr(attempt, name, value)
    attempt.save(force_insert=True)


def started(step_ref: str) -> datetime:
    return Attempt.objects.get(step_ref=step_ref).started_at


MINUTE = timedelta(minutes=1)


def allow_two_attempts() -> None:
    job = Job.objects.get()
    job.body["redial"]["max_attempts"] = 2
    job.save()


def test_clean_books_have_no_violation(done: Desk) -> None:
    assert list_violations() == []
    assert list_violations(done.job_ref) == []
    assert list_violations("nobody") == []
    assert describe([]) == ""


def cancel_before(done: Desk) -> None:
    Job.objects.update(cancel_requested_at=started("c2-2") - MINUTE / 60)


def cancel_chain_before(done: Desk) -> None:
    job = Job.objects.get()
    Cancellation.objects.create(
        account_id=job.account_id,
        job_ref=job.job_ref,
        kind="C",
        value="c2",
        canceled_at=started("c2-2") - MINUTE / 60,
    )


def cancel_number_before(done: Desk) -> None:
    job = Job.objects.get()
    Cancellation.objects.create(
        account_id=job.account_id,
        job_ref=job.job_ref,
        kind="N",
        value=MACHINE,
        canceled_at=started("c2-2") - MINUTE / 60,
    )


def end_window_before(done: Desk) -> None:
    Job.objects.update(window_end=started("c2-2"))


def close_hours_before(done: Desk) -> None:
    job = Job.objects.get()
    job.body["local_hours"] |= {"zone": "Etc/UTC", "earliest": "00:00:00", "latest": "00:00:01"}
    job.save()
    at = datetime(2026, 3, 3, 18, 0, tzinfo=UTC)
    Job.objects.update(window_end=None, body=job.body | {"window_start": None})
    Attempt.objects.exclude(step_ref="c2-2").update(started_at=at.replace(hour=6))
    Attempt.objects.filter(step_ref="c2-2").update(started_at=at)


def stop_before(done: Desk) -> None:
    earlier = Desk.__new__(Desk)
    earlier.now = done.now - 365 * 86400
    done.dialer.clock = lambda: earlier.now
    receive_text(done.dialer, Account.objects.get().pk, LIVE, "STOP")
    receive_text(done.dialer, Account.objects.get().pk, LIVE, "START")


def list_number(done: Desk) -> None:
    Attempt.objects.filter(step_ref="c2-2").update(phone_number=number(190))


def lose_a_step(done: Desk) -> None:
    Entry.objects.filter(step_ref="c2-2").update(final=False)


def lose_a_result(done: Desk) -> None:
    Entry.objects.filter(step_ref="c2-2").delete()


def dial_a_final_step(done: Desk) -> None:
    allow_two_attempts()
    copy_attempt("c2-2", number=2)
    entry = Entry.objects.get(step_ref="c2-2")
    entry.seq, entry.entry_id, entry.attempt_id = 1000, "A-twin:1", "A-twin"
    entry.entry_type, entry.attempt_number = "ATTEMPT_UPDATE", 2
    entry.save(force_insert=True)
    Account.objects.update(last_seq=1000)


def dial_after_the_job(done: Desk) -> None:
    end = Entry.objects.get(entry_type="JOB_RESULT").occurred_at
    Entry.objects.filter(entry_type="JOB_RESULT").update(occurred_at=end - timedelta(hours=9))


def dial_twice(done: Desk) -> None:
    allow_two_attempts()
    copy_attempt("c2-2", pos=77)
    entry = Entry.objects.get(step_ref="c2-2")
    entry.seq, entry.entry_id, entry.attempt_id, entry.pos = 1000, "A-twin:1", "A-twin", 77
    entry.entry_type = "ATTEMPT_UPDATE"
    entry.save(force_insert=True)
    Account.objects.update(last_seq=1000)


def go_on_after_the_key(done: Desk) -> None:
    Entry.objects.filter(step_ref="c2-1").update(confirmed=True)


def stop_without_a_key(done: Desk) -> None:
    Entry.objects.filter(chain_ref="c1").update(confirmed=False)


def write_after_the_end(done: Desk) -> None:
    Entry.objects.filter(entry_type="CHAIN_RESULT", chain_ref="c2").update(seq=1000)
    Account.objects.update(last_seq=1000)


def write_ahead_of_the_counter(done: Desk) -> None:
    Account.objects.update(last_seq=Job.objects.get().final_seq - 1)


def lose_a_revision(done: Desk) -> None:
    Entry.objects.filter(step_ref="c3-1", revision=2).delete()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (cancel_before, (1, "c2-2")),
        (cancel_chain_before, (1, "c2-2")),
        (cancel_number_before, (1, "c2-2")),
        (end_window_before, (2, "c2-2")),
        (close_hours_before, (2, "c2-2")),
        (stop_before, (3, "c3-1")),
        (list_number, (3, "c2-2")),
        (lose_a_step, (4, "c2-2")),
        (lose_a_result, (4, "c2-2")),
        (dial_a_final_step, (5, "c2-2")),
        (dial_after_the_job, (5, "c2-2")),
        (dial_twice, (6, "c2-2")),
        (go_on_after_the_key, (8, "c2-2")),
        (stop_without_a_key, (8, "c1-2")),
        (write_after_the_end, (12, None)),
        (write_ahead_of_the_counter, (12, None)),
        (lose_a_revision, (12, "c3-1")),
    ],
)
def test_each_kind_of_wrong_is_found(
    done: Desk, wrong: Callable[[Desk], None], expected: tuple[int, str | None]
) -> None:
    wrong(done)
    assert expected in find(done.job_ref)
    assert find("nobody") == set()


def test_more_attempts_than_allowed_are_found(done: Desk) -> None:
    copy_attempt("c2-2", pos=77, number=2)
    assert (7, "c2-2") in find()
    (excess,) = [found for found in list_violations() if found.invariant == 7]
    assert excess.attempt_number == 2


def test_violations_are_told_in_lines() -> None:
    many = [Violation(5, "dialed again", "j", "c", f"s{place}", 2) for place in range(23)]
    lines = describe(many).splitlines()
    assert lines[0] == "(5) dialed again: j c s0 2"
    assert (len(lines), lines[-1]) == (21, "... and 3 more")


def test_an_emergency_ignores_windows_and_hours_and_is_not_blamed(desk: Desk) -> None:
    hours = {
        "Earliest": "00:00:00",
        "Latest": "00:00:01",
        "OnViolation": "HOLD",
        "DefaultTimeZone": "Etc/UTC",
    }
    desk.submit(chain("c1", LIVE), Priority="EMERGENCY", WindowEnd=None, LocalHours=hours)
    desk.run()
    assert desk.results() == [("c1-1", "1", "5")]
    assert list_violations() == []


def test_jobs_that_have_left_the_log_are_not_judged(done: Desk) -> None:
    end = Job.objects.get().final_seq
    Entry.objects.filter(seq__lt=end).delete()
    assert list(ledger.find_lost()) != []
    Account.objects.update(oldest_seq=end)
    Entry.objects.update(occurred_at=datetime.now(UTC) + timedelta(days=40))
    assert list(ledger.find_lost()) == []
    assert [found for found in list_violations() if found.invariant in (4, 12)] == []
