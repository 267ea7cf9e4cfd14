"""Cancels and crashes: nothing starts after a cancel, nothing is lost or doubled by a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.control import Control
from dialer_adapters.switchboard.invariants import list_violations
from dialer_adapters.switchboard.lines import Placement
from dialer_adapters.switchboard.lines.simulated import SimulatedLines
from dialer_adapters.switchboard.models import Attempt, Batch, Entry, Job
from tests.switchboard.desk import Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

CONFIRMS, LIVE, MACHINE, NOBODY = number(100), number(110), number(120), number(140)
TWICE = {"Redial": {"MaxAttemptsPerNumber": 2, "MinutesBetween": 15}}


# -------------------------------------------------------------------------------------- cancels


def test_after_a_cancel_nothing_starts_and_calls_in_progress_end(desk: Desk) -> None:
    desk.pools = (2, 0)
    desk.open()
    desk.submit(
        chain("c1", number(130), LIVE),
        *(chain(f"c{place}", LIVE) for place in range(2, 7)),
        **TWICE,
    )
    desk.run(until=lambda: Attempt.objects.count() == 3)
    answer = desk.cancel()
    assert (answer["State"], answer["AttemptsInProgress"]) == ("CANCELLING", "2")
    assert answer["ChainsCancelled"] == "6"
    desk.run()
    assert Attempt.objects.count() == 3
    assert desk.ending() == ("CANCELLED", "CANCELLED", None)
    assert desk.closings() == {"c1-1": ("1", "CANCELLED", "CANCELLED")}
    finals = {
        entry["StepRef"]
        for entry in desk.read_log()
        if entry["Final"] == "true" and "StepRef" in entry
    }
    assert finals == {attempt.step_ref for attempt in Attempt.objects.all()}
    assert (desk.status()["State"], desk.status()["ChainsCancelled"]) == ("CANCELLED", "6")


def test_a_number_canceled_during_its_call_is_not_redialed(desk: Desk) -> None:
    desk.submit(chain("c1", NOBODY, MACHINE), chain("c2", LIVE, NOBODY), **TWICE)
    desk.play()
    assert desk.cancel(PhoneNumber=[NOBODY])["AttemptsInProgress"] == "1"
    desk.run()
    assert sorted(desk.results()) == [("c1-1", "1", "0"), ("c1-2", "1", "6"), ("c2-1", "1", "5")]
    assert desk.closings() == {"c2-2": (None, "CANCELLED", "CANCELLED")}


# ------------------------------------------------------------------------------------- restarts


def test_a_crash_during_calls_reports_them_as_minus_5_and_goes_on(desk: Desk) -> None:
    desk.pools = (3, 0)
    desk.open()
    desk.submit(
        *(chain(f"c{place}", NOBODY, CONFIRMS) for place in range(6)),
        Redial={"MaxAttemptsPerNumber": 3, "MinutesBetween": 1},
    )
    desk.run(until=lambda: Attempt.objects.count() > 5)
    under_way = Attempt.objects.count() - len(desk.results())
    assert under_way > 0
    desk.open()
    desk.run()
    in_doubt = [result for result in desk.results() if result[2] == "-5"]
    assert len(in_doubt) == under_way
    assert all(
        entry["Final"] == "true" for entry in desk.read_log() if entry.get("StatusCode") == "-5"
    )
    totals = ledger.add_up()
    assert (totals.lost, totals.doubled, totals.under_way) == (0, 0, 0)
    assert totals.no_response == under_way
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


@pytest.mark.parametrize(("policy", "attempts"), [("STOP", 1), ("REDIAL", 2)])
def test_unknown_outcome_decides_whether_a_call_in_doubt_is_repeated(
    desk: Desk, policy: str, attempts: int
) -> None:
    desk.submit(
        chain("c1", LIVE),
        Redial={"MaxAttemptsPerNumber": 2, "MinutesBetween": 0, "UnknownOutcome": policy},
    )
    desk.play()
    desk.open()
    desk.run()
    expected = [("c1-1", "1", "-5"), ("c1-1", "2", "5")]
    assert desk.results() == expected[:attempts]


def test_after_a_restart_everything_goes_on_where_it_was(desk: Desk) -> None:
    """The same job, with and without a crash after every round: the same calls in the end."""
    chains = [
        chain(f"c{place}", number(last), number(last + 10), "T" + number(last))
        for place, last in enumerate((100, 110, 120, 130, 140, 165, 175))
    ]

    def calls() -> dict[str, list[tuple[str, str | None]]]:
        found: dict[str, list[tuple[str, str | None]]] = {}
        for step, attempt, code in desk.results():
            found.setdefault(step, []).append((attempt, code))
        return found

    redial = {"MaxAttemptsPerNumber": 3, "MinutesBetween": 10}
    desk.submit(*chains, Redial=redial)
    desk.run()
    undisturbed = calls()
    desk.submit(*chains, Redial=redial)
    for _ in range(2000):
        wake = desk.play()
        if desk.status()["State"] == "FINISHED":
            break
        if not desk.dialer.flights:
            desk.open()  # nothing is in doubt, so a crash here must change nothing
            desk.play()
        assert wake is not None
        desk.now = max(desk.now, wake)
    assert calls() == undisturbed
    assert list(ledger.find_lost()) == []
    assert ledger.find_excess() == []


def test_a_text_that_was_queued_at_the_crash_is_still_reported(desk: Desk) -> None:
    desk.submit(chain("c1", "T" + LIVE), chain("c2", LIVE, "T" + number(150)))
    desk.run(until=lambda: Entry.objects.filter(status_code=-39).count() == 2)
    desk.open()
    desk.run()
    codes = [
        (entry["StepRef"], entry["StatusCode"], entry["Revision"])
        for entry in desk.read_log()
        if entry.get("Channel") == "TEXT"
    ]
    assert sorted(codes) == [
        ("c1-1", "-27", "2"),
        ("c1-1", "-28", "3"),
        ("c1-1", "-39", "1"),
        ("c2-2", "-39", "1"),
        ("c2-2", "-40", "2"),
    ]
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def codes_of(desk: Desk, job_ref: str | None = None) -> dict[str, list[tuple[str, str]]]:
    """By step: (revision, code) of its texts, in the order of the log."""
    found: dict[str, list[tuple[str, str]]] = {}
    for entry in desk.read_log(job_ref):
        if entry.get("Channel") == "TEXT" and "AttemptID" in entry:
            found.setdefault(entry["StepRef"], []).append((entry["Revision"], entry["StatusCode"]))
    return found


DELIVERED = [("1", "-39"), ("2", "-27"), ("3", "-28")]
UNDELIVERED = [("1", "-39"), ("2", "-27"), ("3", "-40")]
UNREPORTED = [("1", "-39"), ("2", "-27")]


@pytest.mark.parametrize("restarts", [1, 3])
def test_the_last_word_about_a_text_comes_although_the_switchboard_died(
    desk: Desk, restarts: int
) -> None:
    """Sent, its job finished, and the report still to come: due while nobody listened."""
    desk.submit(
        chain("c1", "T" + LIVE),
        chain("c2", "T" + number(170), LIVE),
        chain("c3", "T" + NOBODY),
    )
    desk.run(until=lambda: Entry.objects.filter(status_code=-27).count() == 3)
    for _ in range(restarts):
        desk.open()
        desk.play()
        desk.play()
    desk.run()
    expected = {"c1-1": DELIVERED, "c2-1": UNDELIVERED, "c3-1": UNREPORTED}
    assert codes_of(desk) == expected
    assert all(entry["Final"] == "true" for entry in desk.read_log() if entry["Revision"] == "3")
    assert desk.ending() == ("FINISHED", "COMPLETED", None)
    assert desk.dialer.late == {}
    assert list_violations() == []
    seqs = [int(entry["Seq"]) for entry in desk.read_log()]
    assert int(desk.status()["LastSeq"]) == seqs[-1]


def test_a_text_released_by_its_jobs_end_is_reported_after_a_restart(desk: Desk) -> None:
    """The window closed on a queued text; what became of it later still comes, twice revised."""
    desk.submit(chain("c1", "T" + LIVE), WindowEnd=datetime.now(UTC) + timedelta(minutes=5))
    desk.run(until=lambda: Entry.objects.filter(status_code=-39).exists())
    desk.dialer.lines.forget(set(desk.dialer.flights))  # the provider takes its time
    desk.now += 600
    desk.play()
    desk.play()
    assert desk.ending() == ("FINISHED", "WINDOW_ENDED", "-11")
    assert codes_of(desk) == {"c1-1": [("1", "-39")]}
    desk.open()
    desk.run()
    assert codes_of(desk) == {"c1-1": DELIVERED}
    assert list_violations() == []


def test_after_three_days_no_word_is_awaited(desk: Desk) -> None:
    desk.submit(chain("c1", "T" + LIVE))
    desk.run(until=lambda: Entry.objects.filter(status_code=-27).exists())
    desk.play()
    desk.now += 73 * 3600
    desk.open()
    desk.run()
    assert codes_of(desk) == {"c1-1": UNREPORTED}


def test_a_text_under_way_after_a_restart_is_not_asked_for_twice(desk: Desk) -> None:
    desk.submit(chain("c1", "T" + LIVE), TotalChains=None, StartPolicy="IMMEDIATE")
    desk.run(until=lambda: Entry.objects.filter(status_code=-27).exists())
    desk.open()
    desk.add(1, chain("c2", "T" + LIVE), total=2)
    desk.run()
    assert codes_of(desk) == {"c1-1": DELIVERED, "c2-1": DELIVERED}


def test_a_forgotten_job_is_not_reported_on(desk: Desk) -> None:
    desk.submit(chain("c1", "T" + LIVE))
    desk.run(until=lambda: Entry.objects.filter(status_code=-27).exists())
    desk.open()
    desk.play()
    assert len(desk.dialer.late) == 1
    Control(desk.dialer).apply({"forget": desk.job_ref})
    desk.run()
    assert (desk.dialer.late, Entry.objects.count()) == ({}, 0)


def test_a_cancel_committed_before_a_crash_is_heeded_after_it(desk: Desk) -> None:
    desk.submit(chain("c1", NOBODY, LIVE), chain("c2", LIVE), **TWICE)
    desk.run(until=lambda: len(desk.results()) >= 1)
    attempts = Attempt.objects.count()
    desk.cancel()
    desk.open()
    desk.run()
    assert Attempt.objects.count() == attempts
    assert desk.ending() == ("CANCELLED", "CANCELLED", None)
    assert list(ledger.find_lost()) == []


def test_an_attempt_is_written_down_before_it_is_dialed(desk: Desk) -> None:
    dialed = []

    class WatchedLines(SimulatedLines):
        def call(self, placement: Placement, now: float) -> None:
            dialed.append(Attempt.objects.get(attempt_id=placement.attempt_id).step_ref)
            super().call(placement, now)

    desk.dialer.lines = WatchedLines()
    desk.submit(chain("c1", LIVE, MACHINE), chain("c2", NOBODY))
    desk.run()
    assert sorted(dialed) == ["c1-1", "c1-2", "c2-1"]


def test_what_the_round_did_not_commit_is_not_dialed(desk: Desk) -> None:
    """The attempt exists already, as if another process had placed it: the commit fails."""
    desk.submit(chain("c1", LIVE))
    job = Job.objects.get()
    Attempt.objects.create(
        attempt_id="A-other",
        batch_id=Batch.objects.get().pk,
        pos=0,
        step=0,
        number=1,
        job_id=job.pk,
        chain_ref="c1",
        step_ref="c1-1",
        channel="VOICE",
        phone_number=LIVE,
        started_at=datetime.now(UTC),
    )
    with pytest.raises(IntegrityError):
        desk.play()
    assert desk.dialer.lines.next_at() is None
