"""What is dialed, when, and in which order: chains, windows, lines, cancels, restarts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.models import Attempt, Entry, Job
from tests.switchboard.desk import Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

CONFIRMS, LIVE, MACHINE, NOBODY = number(100), number(110), number(120), number(140)
TWICE = {"Redial": {"MaxAttemptsPerNumber": 2, "MinutesBetween": 15}}


def later(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)


# --------------------------------------------------------------------------------------- chains


@pytest.mark.spec("A3-07", "A3-08")
def test_key_0_ends_its_own_chain_and_no_other(desk: Desk) -> None:
    """The example of the source: household, Dad and Mom, each about Son and Daughter."""
    household, moms = CONFIRMS, [number(last, 651) for last in (110, 121, 141)]
    dads = [number(last, 763) for last in (120, 140, 111)]
    desk.submit(
        *(
            chain(f"{who}-{child}", *numbers)
            for child in ("son", "daughter")
            for who, numbers in (("house", [household, moms[0]]), ("dad", dads), ("mom", moms))
        )
    )
    desk.run()
    confirmed = {entry["ChainRef"] for entry in desk.read_log() if entry["Confirmed"] == "true"}
    assert confirmed == {"house-son", "house-daughter"}
    assert desk.closings() == {
        f"house-{child}-2": (None, "CANCELLED", "CHAIN_STOPPED") for child in ("son", "daughter")
    }
    attempts = Counter(step for step, _, _ in desk.results())
    for child in ("son", "daughter"):
        for who in ("dad", "mom"):
            assert [attempts[f"{who}-{child}-{place}"] for place in (1, 2, 3)] == [1, 1, 1]
    status = desk.status()
    assert (status["ChainsConfirmed"], status["ChainsDone"]) == ("2", "4")


def test_all_chains_call_at_once_and_each_one_number_at_a_time(desk: Desk) -> None:
    desk.submit(*(chain(f"c{place}", LIVE, MACHINE) for place in range(6)))
    desk.play()
    assert [attempt.step_ref for attempt in Attempt.objects.order_by("pos")] == [
        f"c{place}-1" for place in range(6)
    ]
    desk.run()
    for place in range(6):
        first, second = Attempt.objects.filter(chain_ref=f"c{place}").order_by("step")
        ended = Entry.objects.get(attempt_id=first.attempt_id).ended_at
        assert second.started_at >= ended


def test_redials_wait_their_minutes_and_come_after_every_number(desk: Desk) -> None:
    desk.submit(chain("c1", number(170), NOBODY, number(130)), **TWICE)
    desk.run()
    assert desk.results() == [
        ("c1-1", "1", "1"),
        ("c1-2", "1", "0"),
        ("c1-3", "1", "1"),
        ("c1-1", "2", "1"),
        ("c1-2", "2", "0"),
        ("c1-3", "2", "5"),
    ]
    first, again = Attempt.objects.filter(step=0).order_by("number")
    ended = Entry.objects.get(attempt_id=first.attempt_id)
    assert again.started_at - ended.ended_at >= timedelta(minutes=15)
    assert ended.next_attempt_at == ended.ended_at + timedelta(minutes=15)
    finals = [entry["Final"] for entry in desk.read_log() if entry["EntryType"] == "ATTEMPT_RESULT"]
    assert finals == ["false"] * 3 + ["true"] * 3


def test_speed_shortens_the_pause_between_redials(desk: Desk) -> None:
    desk.speed = 60
    desk.open()
    desk.submit(chain("c1", number(170)), **TWICE)
    desk.run()
    first, again = Attempt.objects.order_by("number")
    pause = again.started_at - Entry.objects.get(attempt_id=first.attempt_id).ended_at
    assert timedelta(seconds=15) <= pause < timedelta(seconds=20)


def test_a_simultaneous_chain_calls_all_its_numbers_at_once(desk: Desk) -> None:
    desk.submit(chain("c1", number(130), NOBODY, MACHINE, Order="SIMULTANEOUS"), **TWICE)
    desk.play()
    assert Attempt.objects.count() == 3
    desk.run()
    assert sorted(desk.results()) == [
        ("c1-1", "1", "1"),
        ("c1-1", "2", "5"),
        ("c1-2", "1", "0"),
        ("c1-2", "2", "0"),
        ("c1-3", "1", "6"),
    ]


def test_a_machine_hears_the_message_or_not(desk: Desk) -> None:
    long = {"Script": {"Live": {"Say": "word " * 500}}}
    desk.submit(chain("c1", MACHINE), MachineAction="LEAVE_MESSAGE", **long)
    desk.run()
    left = int(desk.read_log()[0]["DurationSeconds"])
    desk.submit(chain("c1", MACHINE), MachineAction="HANG_UP", **long)
    desk.run()
    hung_up = int(desk.read_log()[0]["DurationSeconds"])
    assert hung_up <= 1 < 60 < left


def test_a_machine_hears_its_own_words(desk: Desk) -> None:
    """Live and Machine are different scripts; without the second a machine hears the first."""
    seconds = []
    short, long = {"Say": "word " * 10}, {"Say": "word " * 500}
    for script in ({"Live": long, "Machine": short}, {"Live": short, "Machine": long}):
        desk.submit(chain("c1", MACHINE), chain("c2", LIVE), Script=script)
        desk.run()
        heard = {entry["ChainRef"]: entry for entry in desk.read_log() if "AttemptID" in entry}
        seconds.append([int(heard[ref]["DurationSeconds"]) for ref in ("c1", "c2")])
    (machine_short, live_long), (machine_long, live_short) = seconds
    assert max(machine_short, live_short) <= 4
    assert min(machine_long, live_long) >= 60


def test_messages_bundled_into_one_call_are_one_chain(desk: Desk) -> None:
    """Allow Multiple Messages in a Single Call: the client puts them into a script of the chain;
    one call plays them all, and one key confirms."""
    words = [{"Say": "word " * 100}, {"Say": "word " * 150}]
    own = {"Live": words, "Text": "x" * 200}
    desk.submit(
        chain("c1", LIVE, CONFIRMS, "T" + LIVE, Script=own),
        chain("c2", number(111), "T" + number(111)),
        Script={"Live": words[:1], "Text": "short"},
    )
    desk.run()
    assert desk.results().count(("c1-1", "1", "5")) == 1
    assert Attempt.objects.filter(chain_ref="c1").count() == 3
    seen = {entry["StepRef"]: entry for entry in desk.read_log() if "AttemptID" in entry}
    assert int(seen["c1-1"]["DurationSeconds"]) >= 0.3 * 100
    assert int(seen["c2-1"]["DurationSeconds"]) <= 40
    assert (seen["c1-3"]["TextSegments"], seen["c2-2"]["TextSegments"]) == ("2", "1")
    assert seen["c1-2"]["Confirmed"] == "true"


def test_a_number_with_an_extension_ends_as_13_or_8(desk: Desk) -> None:
    desk.submit(chain("c1", number(111), Extension="4410"), chain("c2", LIVE, Extension="1,2"))
    desk.run()
    assert sorted(desk.results()) == [("c1-1", "1", "13"), ("c2-1", "1", "8")]


def test_the_same_number_with_the_same_words_is_suppressed_on_wish(desk: Desk) -> None:
    chains = [chain("c1", LIVE), chain("c2", LIVE, MACHINE), chain("c3", LIVE, Extension="1")]
    own = chain("c4", LIVE, Script={"Live": {"Say": "Other words"}})
    desk.submit(*chains, own, SuppressDuplicates=True)
    desk.run()
    assert desk.closings() == {"c2-1": ("-4", "CANCELLED", "DUPLICATE")}
    assert sorted(step for step, _, _ in desk.results()) == ["c1-1", "c2-2", "c3-1", "c4-1"]


# ---------------------------------------------------------------------------------------- texts


def test_texts_start_with_their_chain_and_are_revised(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE, "T" + LIVE))
    desk.run()
    text = [entry for entry in desk.read_log() if entry.get("StepRef") == "c1-2"]
    assert [(entry["EntryType"], entry["StatusCode"]) for entry in text] == [
        ("ATTEMPT_RESULT", "-39"),
        ("ATTEMPT_UPDATE", "-27"),
        ("ATTEMPT_UPDATE", "-28"),
    ]
    assert [entry["Revision"] for entry in text] == ["1", "2", "3"]
    assert [entry["Final"] for entry in text] == ["false", "true", "true"]
    assert len({entry["AttemptID"] for entry in text}) == 1
    assert Attempt.objects.get(step=0).started_at == Attempt.objects.get(step=1).started_at


def test_texts_do_not_wait_for_lines(desk: Desk) -> None:
    desk.pools = (1, 0)
    desk.open()
    desk.submit(*(chain(f"c{place}", LIVE, "T" + LIVE) for place in range(9)))
    desk.play()
    channels = Counter(Attempt.objects.values_list("channel", flat=True))
    assert channels == {"TEXT": 9, "VOICE": 1}
    desk.run()
    assert len(desk.results()) == 18
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_a_queued_text_keeps_its_job_open(desk: Desk) -> None:
    desk.submit(chain("c1", "T" + LIVE))
    desk.play()
    desk.play()
    assert desk.status()["State"] == "RUNNING"
    desk.run()
    kinds = [(entry["EntryType"], entry.get("StatusCode")) for entry in desk.read_log()]
    assert kinds == [
        ("ATTEMPT_RESULT", "-39"),
        ("ATTEMPT_UPDATE", "-27"),
        ("CHAIN_RESULT", None),
        ("JOB_RESULT", None),
        ("ATTEMPT_UPDATE", "-28"),
    ]


def test_a_number_that_opted_out_gets_no_text(desk: Desk) -> None:
    desk.call(
        "SetTextConsent", PhoneNumber=LIVE, State="OPTED_OUT", ChangeRef="r-1", Source="PORTAL"
    )
    desk.submit(chain("c1", LIVE, "T" + LIVE), chain("c2", "T" + MACHINE))
    desk.run()
    assert desk.closings() == {"c1-2": ("-33", "OPTED_OUT", "OPTED_OUT")}
    assert Counter(Attempt.objects.values_list("step_ref", flat=True)) == {"c1-1": 1, "c2-1": 1}


# ------------------------------------------------------------------------------- start and window


def test_nothing_is_dialed_before_the_whole_job_is_in(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), TotalChains=None)
    desk.add(1, chain("c2", LIVE))
    desk.play()
    assert Attempt.objects.count() == 0
    assert desk.status()["State"] == "RECEIVING"
    desk.add(2, total=2)
    desk.play()
    assert Attempt.objects.count() == 2
    assert desk.status()["State"] == "RUNNING"


def test_an_immediate_job_is_dialed_batch_by_batch(desk: Desk) -> None:
    desk.submit(
        chain("c1", LIVE),
        TotalChains=None,
        StartPolicy="IMMEDIATE",
        Priority="EMERGENCY",
        WindowEnd=None,
    )
    desk.run()
    assert desk.results() == [("c1-1", "1", "5")]
    assert (desk.status()["State"], desk.status()["Sealed"]) == ("RUNNING", "false")
    desk.add(1, chain("c2", LIVE), total=2)
    desk.run()
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_a_job_waits_for_its_window_without_being_read(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), WindowStart=later(hours=2), WindowEnd=later(hours=3))
    desk.play()
    job = desk.dialer.jobs[Job.objects.get().pk]
    assert all(not batch.open for batch in job.batches.values())
    opens = desk.play()
    assert opens == pytest.approx(job.window_start)
    desk.run()
    assert Attempt.objects.get().started_at.timestamp() >= job.window_start
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_at_the_end_of_the_window_one_entry_closes_what_was_never_called(desk: Desk) -> None:
    desk.pools = (2, 0)
    desk.open()
    desk.submit(
        chain("c1", number(170), LIVE),
        chain("c2", NOBODY),
        *(chain(f"c{place}", NOBODY) for place in range(3, 9)),
        WindowEnd=later(seconds=45),
        Redial={"MaxAttemptsPerNumber": 2, "MinutesBetween": 1},
    )
    desk.run()
    assert desk.ending() == ("FINISHED", "WINDOW_ENDED", "-11")
    end = Job.objects.get().window_end
    assert all(attempt.started_at < end for attempt in Attempt.objects.all())
    called = {attempt.step_ref for attempt in Attempt.objects.all()}
    assert 2 < len(called) < 9
    entries = desk.read_log()
    assert {entry["StepRef"] for entry in entries if "StepRef" in entry} == called
    final = {
        entry["StepRef"] for entry in entries if entry["Final"] == "true" and "StepRef" in entry
    }
    assert final == called
    closings = desk.closings()
    assert closings["c1-1"] == ("1", "FAILED", "WINDOW_ENDED")
    status = desk.status()
    assert (status["State"], status["ChainsOpen"]) == ("FINISHED", "0")
    assert list(ledger.find_lost()) == []


def test_a_job_never_sealed_ends_with_its_window(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), TotalChains=None, WindowEnd=later(minutes=5))
    desk.run()
    assert desk.ending() == ("CANCELLED", "NEVER_SEALED", "-11")
    assert Attempt.objects.count() == 0


def test_an_emergency_never_sealed_ends_after_a_day(desk: Desk) -> None:
    desk.submit(TotalChains=None, StartPolicy="IMMEDIATE", Priority="EMERGENCY", WindowEnd=None)
    desk.play()
    desk.now += timedelta(hours=23, minutes=59).total_seconds()
    desk.play()
    assert desk.read_log() == []
    desk.now += 120
    desk.play()
    assert desk.ending() == ("CANCELLED", "NEVER_SEALED", None)


def hours(zone: str, opens_in: timedelta, on_violation: str = "HOLD") -> dict[str, object]:
    """Local hours in UTC that begin in `opens_in`, for steps of `zone` by default."""
    opens = datetime.now(UTC) + opens_in
    closes = opens + timedelta(hours=4)
    return {
        "Earliest": opens.time().isoformat(timespec="seconds"),
        "Latest": closes.time().isoformat(timespec="seconds"),
        "OnViolation": on_violation,
        "DefaultTimeZone": zone,
    }


def test_local_hours_hold_a_number_and_leave_it_in_its_batch(desk: Desk) -> None:
    desk.submit(
        chain("c1", LIVE, TimeZone="Etc/GMT+2"),
        chain("c2", MACHINE),
        LocalHours=hours("Etc/UTC", timedelta(hours=-1)),
    )
    desk.play()
    assert [attempt.step_ref for attempt in Attempt.objects.all()] == ["c2-1"]
    job = desk.dialer.jobs[Job.objects.get().pk]
    desk.run(seconds=600)
    assert all(not batch.open for batch in job.batches.values())
    desk.run()
    assert desk.results() == [("c2-1", "1", "6"), ("c1-1", "1", "5")]
    wait = Attempt.objects.get(step_ref="c1-1").started_at - datetime.now(UTC)
    assert timedelta(minutes=55) < wait < timedelta(minutes=65)


def test_a_held_number_gets_minus_9_when_the_window_ends_first(desk: Desk) -> None:
    desk.submit(
        chain("c1", LIVE, "T" + LIVE),
        chain("c2", MACHINE, TimeZone="Etc/GMT-4"),
        LocalHours=hours("Etc/UTC", timedelta(hours=3)),
        WindowEnd=later(hours=2),
    )
    desk.run()
    assert desk.closings() == {
        "c1-1": ("-9", "FAILED", "WINDOW_ENDED"),
        "c1-2": ("-9", "FAILED", "WINDOW_ENDED"),
    }
    assert desk.results() == [("c2-1", "1", "6")]
    assert desk.ending() == ("FINISHED", "WINDOW_ENDED", "-11")


def test_local_hours_that_fail_close_a_number_at_once(desk: Desk) -> None:
    desk.submit(
        chain("c1", LIVE, "T" + LIVE),
        LocalHours=hours("Etc/UTC", timedelta(hours=3), "FAIL"),
    )
    desk.run()
    assert desk.closings() == {
        "c1-1": ("-9", "FAILED", "LOCAL_HOURS"),
        "c1-2": ("-9", "FAILED", "LOCAL_HOURS"),
    }
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


# ---------------------------------------------------------------------------------------- lines


@pytest.mark.spec("A2-04")
def test_an_emergency_has_lines_of_its_own_and_then_the_others(desk: Desk) -> None:
    desk.pools = (3, 2)
    desk.open()
    desk.submit(*(chain(f"c{place}", LIVE) for place in range(10)))
    desk.play()
    assert Attempt.objects.count() == 3
    desk.submit(
        *(chain(f"e{place}", LIVE) for place in range(10)),
        Priority="EMERGENCY",
        WindowStart=later(hours=5),
        WindowEnd=later(hours=6),
        LocalHours=hours("Etc/UTC", timedelta(hours=3)),
    )
    desk.play()
    assert Attempt.objects.filter(chain_ref__startswith="e").count() == 2
    assert Attempt.objects.filter(chain_ref__startswith="c").count() == 3
    desk.run()
    last = Attempt.objects.filter(chain_ref__startswith="e").latest("started_at")
    others = Attempt.objects.filter(chain_ref__startswith="c").order_by("started_at")[3:]
    assert len(others) == 7
    assert all(other.started_at >= last.started_at for other in others)


def test_priority_goes_before_normal_when_a_line_frees(desk: Desk) -> None:
    desk.pools = (2, 0)
    desk.open()
    desk.submit(*(chain(f"n{place}", LIVE) for place in range(6)))
    desk.play()
    desk.submit(*(chain(f"p{place}", LIVE) for place in range(4)), Priority="PRIORITY")
    desk.run()
    order = [
        attempt.chain_ref[0] for attempt in Attempt.objects.order_by("started_at", "chain_ref")
    ]
    assert order == ["n"] * 2 + ["p"] * 4 + ["n"] * 4


def test_jobs_of_one_priority_take_turns(desk: Desk) -> None:
    desk.pools = (32, 0)
    desk.open()
    for name in ("a", "b"):
        desk.submit(*(chain(f"{name}{place}", LIVE) for place in range(100)))
    desk.play()
    started = Counter(ref[0] for ref in Attempt.objects.values_list("chain_ref", flat=True))
    assert started == {"a": 16, "b": 16}


def test_a_job_uses_no_more_lines_than_it_asked_for(desk: Desk) -> None:
    desk.submit(*(chain(f"c{place}", LIVE) for place in range(10)), MaxLines=3)
    desk.play()
    assert Attempt.objects.count() == 3
    desk.run()
    assert Attempt.objects.count() == 10
