"""Taking jobs in: natural keys, fingerprints, seals, tombstones, and every refusal of 7.3."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from dialer_adapters.switchboard.accounts import save_account
from dialer_adapters.switchboard.models import Batch, Job
from tests.switchboard.desk import HOUR, PASSWORD, USERNAME, Answer, Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

LIVE, MACHINE = number(110), number(120)
NOW = datetime.now(UTC)


def outline(answer: Answer) -> tuple[str | None, ...]:
    return tuple(answer[name] for name in ("Replayed", "State", "Sealed", "ChainsAccepted"))


# ------------------------------------------------------------------------------------ repeats


def test_a_repeated_submit_gives_the_same_job(desk: Desk) -> None:
    window = {"WindowStart": NOW - HOUR, "WindowEnd": NOW + HOUR}
    first = desk.submit(chain("c1", LIVE), job_ref="j-1", **window)
    again = desk.submit(chain("c1", LIVE), job_ref="j-1", **window)
    assert outline(first) == ("false", "READY", "true", "1")
    assert outline(again) == ("true", "READY", "true", "1")
    assert first["JobID"] == again["JobID"]
    assert (Job.objects.count(), Batch.objects.count()) == (1, 1)


def test_the_fingerprint_is_over_values_and_not_over_bytes(desk: Desk) -> None:
    start, end = NOW.replace(microsecond=0), NOW.replace(microsecond=0) + HOUR
    desk.submit(chain("c1", LIVE), job_ref="j-1", WindowStart=start, WindowEnd=end)
    elsewhere = start.astimezone(ZoneInfo("America/Chicago"))
    again = desk.submit(
        chain("c1", LIVE, Order="SEQUENTIAL"),
        job_ref=" j-1 ",
        WindowStart=elsewhere,
        WindowEnd=end,
        DetectMachine="1",
        SuppressDuplicates="0",
        RingSeconds="30",
        Redial={"RedialCode": [-26, 0, 1, 2, 4, 9, 14, 17, -12, -13, -24]},
    )
    assert again["Replayed"] == "true"


@pytest.mark.parametrize(
    "change",
    [
        {"Title": "Another"},
        {"Priority": "PRIORITY"},
        {"Redial": {"MaxAttemptsPerNumber": 2}},
        {"Script": {"Live": {"Say": "Other words"}}},
        {"TotalChains": 7},
    ],
)
def test_a_submit_with_other_content_is_refused(desk: Desk, change: dict[str, object]) -> None:
    window = {"WindowStart": NOW, "WindowEnd": NOW + HOUR}
    job_id = desk.submit(chain("c1", LIVE), job_ref="j-1", **window)["JobID"]
    again = desk.submit(chain("c1", LIVE), job_ref="j-1", **window, **change)
    assert again.fault == ("ConflictFault", "JOBREF_REUSED")
    assert again["JobID"] == job_id
    other = desk.submit(chain("c1", MACHINE), job_ref="j-1", **window)
    assert other.fault == ("ConflictFault", "JOBREF_REUSED")


def test_a_repeat_is_answered_before_every_other_check(desk: Desk) -> None:
    window = {"WindowStart": NOW - HOUR, "WindowEnd": NOW + HOUR}
    desk.submit(job_ref="j-1", TotalChains=None, **window)
    desk.add(1, chain("c1", LIVE), total=1, job_ref="j-1")
    desk.cancel("j-1")
    desk.run()
    assert desk.status("j-1")["State"] == "CANCELLED"
    Job.objects.update(window_end=NOW - HOUR)
    again = desk.submit(job_ref="j-1", TotalChains=None, **window)
    assert outline(again)[:2] == ("true", "CANCELLED")
    assert desk.add(1, chain("c1", LIVE), total=1, job_ref="j-1")["Replayed"] == "true"
    assert desk.add(2, chain("c9", LIVE), job_ref="j-1").fault == ("ConflictFault", "JOB_CLOSED")


def test_two_accounts_have_their_own_jobs_and_logs(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), job_ref="j-1")
    save_account("other", "secret")
    desk.credentials = ("other", "secret")
    assert desk.status("j-1")["State"] == "UNKNOWN"
    assert outline(desk.submit(chain("c1", MACHINE), job_ref="j-1"))[0] == "false"
    desk.run()
    assert desk.results("j-1") == [("c1-1", "1", "6")]
    desk.credentials = (USERNAME, PASSWORD)
    assert desk.results("j-1") == [("c1-1", "1", "5")]
    assert [entry["Seq"] for entry in desk.read_log("j-1")] == ["1", "2", "3"]


# ------------------------------------------------------------------------------------- batches


def test_a_job_seals_itself_with_its_last_chain(desk: Desk) -> None:
    assert outline(desk.submit(job_ref="j-1", TotalChains=3)) == (
        "false",
        "RECEIVING",
        "false",
        "0",
    )
    assert desk.add(2, chain("c1", LIVE), chain("c2", LIVE))["Sealed"] == "false"
    assert outline(desk.add(1, chain("c3", LIVE))) == ("false", "READY", "true", "1")
    assert desk.add(3, chain("c4", LIVE)).fault == ("ConflictFault", "JOB_CLOSED")
    assert desk.status()["Chains"] == "3"


def test_the_total_may_travel_alone_in_its_own_batch(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), TotalChains=None)
    desk.add(1, chain("c2", LIVE))
    assert outline(desk.add(2, total=2)) == ("false", "READY", "true", "0")
    assert desk.add(2, total=2)["Replayed"] == "true"


def test_no_chains_at_all_is_a_job_too(desk: Desk) -> None:
    assert desk.submit(TotalChains=0)["Sealed"] == "true"
    desk.run()
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_a_total_that_contradicts_is_a_conflict(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), chain("c2", LIVE), TotalChains=None)
    assert desk.add(1, total=1).name == "ConflictFault"
    assert desk.add(1, chain("c3", LIVE), total=5)["Sealed"] == "false"
    assert desk.add(2, total=4).fault == ("ConflictFault", "BATCH_REUSED")
    assert desk.add(2, *(chain(f"d{place}", LIVE) for place in range(3))).name == "ConflictFault"
    assert desk.status()["Chains"] == "3"


def test_a_batch_number_stands_for_its_chains(desk: Desk) -> None:
    desk.submit(TotalChains=None)
    first = desk.add(1, chain("c1", LIVE))
    assert outline(desk.add(1, chain("c1", LIVE))) == ("true", "RECEIVING", "false", "1")
    other = desk.add(1, chain("c2", LIVE))
    assert other.fault == ("ConflictFault", "BATCH_REUSED")
    assert other["JobID"] == first["JobID"]
    assert desk.add(1, chain("c1", LIVE), total=9).fault == ("ConflictFault", "BATCH_REUSED")


def test_a_chain_ref_is_unique_in_its_job(desk: Desk) -> None:
    twice = desk.submit(chain("c1", LIVE), chain("c1", MACHINE))
    assert twice.name == "ConflictFault"
    desk.submit(chain("c1", LIVE), TotalChains=None)
    desk.add(1, chain("c2", LIVE))
    for ref in ("c1", "c2"):
        assert desk.add(2, chain("c3", LIVE), chain(ref, LIVE)).name == "ConflictFault"
    assert desk.status()["Chains"] == "2"
    desk.open()  # the index of refs is gone with the process
    assert desk.add(2, chain("c2", LIVE)).name == "ConflictFault"
    assert desk.add(2, chain("c3", LIVE))["Replayed"] == "false"


def test_a_batch_for_an_unknown_job_is_not_found(desk: Desk) -> None:
    answer = desk.add(1, chain("c1", LIVE), job_ref="nobody")
    assert answer.fault == ("NotFoundFault", "JOB")


def test_nothing_is_taken_after_the_end_of_the_window(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE), TotalChains=None)
    Job.objects.update(window_end=NOW - HOUR)
    assert desk.add(1, chain("c2", LIVE)).fault == ("ConflictFault", "JOB_CLOSED")
    late = desk.submit(chain("c1", LIVE), WindowStart=NOW - 2 * HOUR, WindowEnd=NOW - HOUR)
    assert late.fault == ("ConflictFault", "JOB_CLOSED")


# ------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"WindowEnd": None}, "WINDOW_REQUIRED"),
        ({"WindowStart": NOW + HOUR, "WindowEnd": NOW + HOUR}, "WINDOW_TOO_SHORT"),
        (
            {
                "MessageType": "ATTENDANCE",
                "WindowStart": NOW,
                "WindowEnd": NOW + timedelta(minutes=29),
            },
            "WINDOW_TOO_SHORT",
        ),
        (
            {
                "MessageType": "BEHAVIOR",
                "WindowStart": NOW,
                "WindowEnd": NOW + timedelta(minutes=29),
            },
            "WINDOW_TOO_SHORT",
        ),
        ({"Script": {"Text": "only a text"}}, "NO_SCRIPT"),
        ({"Script": {"Live": {"AudioID": "a1"}}}, "UNKNOWN_AUDIO"),
        ({"Priority": "URGENT"}, "SCHEMA"),
        ({"WindowEnd": "2026-11-23T20:00:00"}, "SCHEMA"),
        ({"WindowEnd": "2026-11-23T24:00:00Z"}, "SCHEMA"),
    ],
)
def test_a_job_that_breaks_a_rule_is_refused(
    desk: Desk, changes: dict[str, object], code: str
) -> None:
    answer = desk.submit(chain("c1", LIVE), **changes)
    assert answer.fault == ("InvalidRequestFault", code)
    assert Job.objects.count() == 0


def test_an_emergency_needs_no_window(desk: Desk) -> None:
    answer = desk.submit(chain("c1", LIVE), Priority="EMERGENCY", WindowStart=None, WindowEnd=None)
    assert answer["State"] == "READY"


def test_a_step_without_words_is_refused_even_in_a_later_batch(desk: Desk) -> None:
    desk.submit(TotalChains=None, Script={"Live": {"Say": "Hello"}})
    assert desk.add(1, chain("c1", "T" + LIVE)).fault == ("InvalidRequestFault", "NO_SCRIPT")
    own = chain("c1", "T" + LIVE, Script={"Text": "Hello"})
    assert desk.add(1, own)["ChainsAccepted"] == "1"
    mute = chain("c2", LIVE, Script={"Text": "Hello"})
    assert desk.add(2, mute).fault == ("InvalidRequestFault", "NO_SCRIPT")


def test_more_chains_than_allowed_are_refused(desk: Desk) -> None:
    many = [chain(f"c{place}", LIVE) for place in range(2001)]
    assert desk.submit(*many).fault == ("InvalidRequestFault", "TOO_MANY_CHAINS")


def test_a_caller_id_must_be_registered_where_any_is(desk: Desk) -> None:
    ours, foreign = "+16125550199", "+16125550198"
    save_account(USERNAME, PASSWORD, caller_ids=(ours,))
    assert desk.submit(chain("c1", LIVE), CallerID=ours)["Sealed"] == "true"
    for refused in (
        desk.submit(chain("c1", LIVE), CallerID=foreign),
        desk.submit(chain("c1", LIVE, CallerID=foreign)),
    ):
        assert refused.fault == ("InvalidRequestFault", "CALLER_ID_NOT_ALLOWED")


def test_refused_steps_come_back_and_are_logged(desk: Desk) -> None:
    chains = [
        chain("c1", "+19115550100", LIVE),
        chain("c2", number(190)),
        chain("c3", "T" + number(191), number(192)),
    ]
    expected = [
        {"ChainRef": "c1", "StepRef": "c1-1", "StatusCode": "-2", "Detail": "Invalid phone number"},
        {"ChainRef": "c2", "StepRef": "c2-1", "StatusCode": "-3", "Detail": "Do not call"},
        {
            "ChainRef": "c3",
            "StepRef": "c3-1",
            "StatusCode": "-22",
            "Detail": "Suppressed phone number",
        },
        {"ChainRef": "c3", "StepRef": "c3-2", "StatusCode": "-15", "Detail": "Wireless number"},
    ]
    window = {"WindowStart": NOW - HOUR, "WindowEnd": NOW + HOUR, "ScrubWireless": True}
    first = desk.submit(*chains, job_ref="j-1", **window)
    assert first["ChainsAccepted"] == "3"
    assert first.all("Rejected") == expected
    assert desk.submit(*chains, job_ref="j-1", **window).all("Rejected") == expected
    desk.run()
    assert desk.closings() == {
        "c1-1": ("-2", "FAILED", "REFUSED"),
        "c2-1": ("-3", "FAILED", "REFUSED"),
        "c3-1": ("-22", "FAILED", "REFUSED"),
        "c3-2": ("-15", "FAILED", "REFUSED"),
    }
    assert desk.results() == [("c1-2", "1", "5")]
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


# ------------------------------------------------------------------------------------- cancels


def test_a_cancel_of_an_unknown_job_leaves_a_tombstone(desk: Desk) -> None:
    job_ref = str(uuid.uuid4())
    answer = desk.cancel(job_ref)
    assert (answer["State"], answer["ChainsCancelled"]) == ("CANCELLING", "0")
    desk.run()
    assert desk.ending(job_ref) == ("CANCELLED", "CANCELLED", None)
    late = desk.submit(chain("c1", LIVE), job_ref=job_ref)
    assert outline(late) == ("true", "CANCELLED", "true", "0")
    assert late["JobID"] == answer["JobID"]
    assert desk.add(1, chain("c2", LIVE)).fault == ("ConflictFault", "JOB_CLOSED")
    desk.run()
    assert len(desk.read_log(job_ref)) == 1


def test_listed_refs_and_numbers_stop_later_batches_and_count_for_the_seal(desk: Desk) -> None:
    job_ref = str(uuid.uuid4())
    early = desk.cancel(job_ref, ChainRef=["c1"], PhoneNumber=[MACHINE])
    assert (early["JobID"], early["State"]) == (None, "UNKNOWN")
    desk.submit(chain("c1", LIVE), job_ref=job_ref, TotalChains=3)
    assert desk.add(1, chain("c2", MACHINE, LIVE), chain("c3", MACHINE))["Sealed"] == "true"
    desk.run()
    assert desk.results() == [("c2-2", "1", "5")]
    assert desk.closings() == {
        "c1-1": (None, "CANCELLED", "CANCELLED"),
        "c2-1": (None, "CANCELLED", "CANCELLED"),
        "c3-1": (None, "CANCELLED", "CANCELLED"),
    }
    status = desk.status()
    assert (status["ChainsCancelled"], status["ChainsDone"]) == ("2", "1")
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_a_cancel_of_chains_is_logged_long_before_their_turn(desk: Desk) -> None:
    later = {"WindowStart": NOW + HOUR, "WindowEnd": NOW + 2 * HOUR}
    desk.submit(chain("c1", LIVE), chain("c2", LIVE), **later)
    desk.play()
    answer = desk.cancel(ChainRef=["c2", "never-seen"])
    assert (answer["State"], answer["ChainsCancelled"]) == ("READY", "1")
    assert desk.cancel(ChainRef=["c2", "never-seen"])["ChainsCancelled"] == "1"
    desk.play()
    desk.play()
    assert [entry["EntryType"] for entry in desk.read_log()] == ["STEP_RESULT", "CHAIN_RESULT"]
    desk.run()
    assert desk.results() == [("c1-1", "1", "5")]


def test_a_cancel_after_the_end_changes_nothing(desk: Desk) -> None:
    desk.submit(chain("c1", LIVE))
    desk.run()
    before = desk.read_log()
    answer = desk.cancel()
    assert (answer["State"], answer["ChainsCancelled"]) == ("FINISHED", "0")
    desk.run()
    assert desk.read_log() == before


def test_an_unknown_job_has_the_state_unknown(desk: Desk) -> None:
    assert desk.status("nobody") == {
        "JobRef": "nobody",
        "State": "UNKNOWN",
        "Sealed": "false",
        "LastSeq": "0",
    }
