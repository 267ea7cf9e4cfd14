"""The call log: order, pages, cursors, epochs, and what an entry says."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, transaction

from dialer_adapters.switchboard import recording
from dialer_adapters.switchboard.accounts import store_new_epoch
from dialer_adapters.switchboard.control import Control
from dialer_adapters.switchboard.entries import Draft
from dialer_adapters.switchboard.invariants import list_violations
from dialer_adapters.switchboard.models import Account, Entry, Job
from dialer_adapters.switchboard.recording import JobKey, Unit
from tests.switchboard.desk import Answer, Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


def read(desk: Desk, after: int = 0, epoch: str | None = None, **more: object) -> Answer:
    ref = more.pop("JobRef", None)
    return desk.call(
        "GetCallLog", JobRef=ref, Epoch=epoch, AfterSeq=after, MaxEntries=more.get("MaxEntries")
    )


def fill(desk: Desk, chains: int = 7) -> None:
    desk.submit(*(chain(f"c{place}", number(110)) for place in range(chains)))
    desk.run()


def test_pages_are_in_order_and_reading_changes_nothing(desk: Desk) -> None:
    fill(desk)
    whole = read(desk).all("Entry")
    assert [int(entry["Seq"]) for entry in whole] == list(range(1, 16))
    epoch = read(desk)["Epoch"]
    pages: list[dict[str, str]] = []
    after, has_more = 0, "true"
    while has_more == "true":
        page = read(desk, after, epoch, MaxEntries=4)
        pages += page.all("Entry")
        after, has_more = int(page["NextSeq"] or 0), page["HasMore"]
    assert pages == whole
    assert read(desk).all("Entry") == whole
    end = read(desk, 15, epoch)
    assert (end.all("Entry"), end["NextSeq"], end["HasMore"]) == ([], "15", "false")


def test_an_empty_log_has_an_empty_page(desk: Desk) -> None:
    page = read(desk)
    assert (page["NextSeq"], page["HasMore"], page["OldestSeq"]) == ("0", "false", "1")


def test_one_job_is_read_by_its_ref_without_guards(desk: Desk) -> None:
    fill(desk, 2)
    first = desk.job_ref
    fill(desk, 3)
    epoch = read(desk)["Epoch"]
    assert {entry["JobRef"] for entry in desk.read_log(first)} == {first}
    assert len(desk.read_log(first)) == 5
    assert read(desk, 10_000, epoch, JobRef=first).all("Entry") == []
    assert read(desk, JobRef="nobody").all("Entry") == []


@pytest.mark.parametrize(
    ("after", "given", "code"),
    [
        (1, None, "EPOCH_REQUIRED"),
        (0, "E-other", "EPOCH_CHANGED"),
        (3, "E-other", "EPOCH_CHANGED"),
        (16, "right", "AHEAD_OF_LOG"),
        (3, "right", "EXPIRED"),
    ],
)
def test_a_cursor_that_does_not_fit_is_a_typed_fault(
    desk: Desk, after: int, given: str | None, code: str
) -> None:
    fill(desk)
    epoch = read(desk)["Epoch"]
    if code == "EXPIRED":
        Control(desk.dialer).apply({"oldest_seq": 5})
        assert read(desk, 4, epoch)["NextSeq"] == "15"
        assert len(read(desk).all("Entry")) == 11  # AfterSeq 0 is the oldest kept entry
    answer = read(desk, after, epoch if given == "right" else given)
    assert answer.fault == ("CursorFault", code)
    assert answer["CurrentEpoch"] == epoch
    assert answer["OldestSeq"] == ("5" if code == "EXPIRED" else "1")


def test_a_page_ends_before_8_mib(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(desk)
    size = len(read(desk).body)
    monkeypatch.setattr("dialer_adapters.switchboard.calllog.MOST_BYTES", size // 3)
    page = read(desk, MaxEntries=5000)
    assert 1 <= len(page.all("Entry")) < 15
    assert page["HasMore"] == "true"
    assert len(desk.read_log()) == 15


def test_an_attempt_tells_everything_about_itself(desk: Desk) -> None:
    desk.submit(chain("c1", number(100), TimeZone="America/Chicago"))
    started = desk.now
    desk.run()
    result = desk.read_log()[0]
    assert result["EntryType"] == "ATTEMPT_RESULT"
    assert result["EntryID"] == f"{result['AttemptID']}:1"
    assert len(result["AttemptID"]) <= 48
    assert result["PhoneNumber"] == number(100)
    assert (result["StatusCode"], result["Disposition"]) == ("5", "SUCCESSFUL")
    assert (result["Final"], result["Confirmed"], result["Digits"]) == ("true", "true", "0")
    assert (result["AnsweredBy"], result["SipCode"], result["CauseQ850"]) == ("HUMAN", "200", "16")
    assert result["StartedAt"] <= result["ConnectedAt"] <= result["EndedAt"]
    assert int(result["DurationSeconds"]) > 0
    assert Entry.objects.order_by("seq")[0].started_at.timestamp() == pytest.approx(started)


def test_entry_ids_are_derived_and_differ(desk: Desk) -> None:
    desk.submit(chain("c1", number(100), number(110), "T" + number(100)))
    desk.run()
    ids = {entry["EntryID"]: entry["EntryType"] for entry in desk.read_log()}
    assert len(ids) == len(desk.read_log())
    draft = Draft("JOB_RESULT", desk.now, "FINISHED", True)
    assert ids[draft.make_id(desk.job_ref)] == "JOB_RESULT"


def test_an_entry_cannot_be_written_twice(desk: Desk) -> None:
    fill(desk)
    job = Job.objects.get()
    unit = Unit(JobKey(job.pk, job.account_id, job.job_ref), 2)
    unit.drafts.append(Draft("JOB_RESULT", desk.now, "FINISHED", True))
    with pytest.raises(IntegrityError), transaction.atomic(using="switchboard"):
        recording.write([], [unit])
    assert Account.objects.get().last_seq == 15


def test_entries_are_written_in_groups_the_most_urgent_first(desk: Desk) -> None:
    desk.submit(chain("c1", number(110)))
    job = Job.objects.get()
    units = []
    for place in range(1500):
        urgency = 0 if place == 1499 else 2
        unit = Unit(JobKey(job.pk, job.account_id, job.job_ref), urgency)
        unit.drafts.append(
            Draft("STEP_RESULT", desk.now, "FAILED", True, chain_ref=f"x{place}", step_ref="s")
        )
        units.append(unit)
    recording.write([], units)
    assert Entry.objects.order_by("seq")[0].chain_ref == "x1499"
    assert [len(group) for group in recording._group(units)] == [1000, 500]


def test_a_new_epoch_closes_older_jobs_and_old_cursors(desk: Desk) -> None:
    desk.submit(chain("c1", number(140), number(110)), chain("c2", number(140)))
    desk.play()
    old = read(desk)["Epoch"]
    Control(desk.dialer).apply({"new_epoch": True})
    assert read(desk, 0, old).fault == ("CursorFault", "EPOCH_CHANGED")
    desk.run()
    assert desk.results() == [("c1-1", "1", "0"), ("c2-1", "1", "0")]
    assert desk.ending() == ("CANCELLED", "EPOCH_CHANGED", None)
    assert desk.add(1, chain("c3", number(110))).fault == ("ConflictFault", "JOB_CLOSED")
    assert desk.submit(chain("c1", number(110)), job_ref=str(uuid.uuid4()))["State"] == "READY"
    desk.run()
    assert desk.ending() == ("FINISHED", "COMPLETED", None)


def test_a_restored_switchboard_dials_nothing_of_before(desk: Desk) -> None:
    """A backup was put back and the switchboard started with a new epoch (ruling 24)."""
    desk.submit(chain("c1", number(140), number(110)), chain("c2", number(110)), TotalChains=None)
    desk.add(1, chain("c3", number(110)))
    before = desk.job_ref
    epoch = store_new_epoch()
    desk.open()
    assert desk.add(2, total=3).fault == ("ConflictFault", "JOB_CLOSED")
    assert desk.add(1, chain("c3", number(110)))["Replayed"] == "true"
    desk.run()
    assert desk.results(before) == []
    assert desk.ending(before) == ("CANCELLED", "EPOCH_CHANGED", None)
    assert desk.status(before)["ChainsCancelled"] == "3"
    assert list_violations() == []
    fault = read(desk, 1, "E-before")
    assert (fault.fault, fault["CurrentEpoch"]) == (("CursorFault", "EPOCH_CHANGED"), epoch)
    assert len(read(desk).all("Entry")) == 1
    desk.submit(chain("c1", number(140), number(110)), job_ref=str(uuid.uuid4()))
    desk.run()
    assert desk.results() == [("c1-1", "1", "0"), ("c1-2", "1", "5")]


def test_a_job_can_be_forgotten(desk: Desk) -> None:
    desk.submit(chain("c1", number(140)), TotalChains=None, StartPolicy="IMMEDIATE")
    desk.play()
    Control(desk.dialer).apply({"forget": desk.job_ref})
    assert desk.add(1, chain("c2", number(110))).fault == ("NotFoundFault", "JOB")
    assert desk.status()["State"] == "UNKNOWN"
    desk.run()
    assert Entry.objects.count() == 0
    assert desk.dialer.pools.free(emergency=False) == 50
    assert desk.submit(chain("c1", number(110)), job_ref=desk.job_ref)["Replayed"] == "false"
    desk.run()
    assert desk.results() == [("c1-1", "1", "5")]
