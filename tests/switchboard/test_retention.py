"""How long the log is kept: what is old is first declared gone, then removed, and never the log of
an open job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dialer_adapters.switchboard import retention
from dialer_adapters.switchboard.invariants import list_violations
from dialer_adapters.switchboard.models import Account, Attempt, Batch, Entry, Job
from dialer_adapters.switchboard.retention import sweep
from tests.switchboard.desk import Answer, Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

NOW = datetime.now(UTC)
CUTOFF = NOW - timedelta(days=30)


def fill(desk: Desk, days_ago: float, chains: int = 3) -> str:
    """A finished job of some days ago, two entries a chain and one more."""
    desk.submit(*(chain(f"c{place}", number(110)) for place in range(chains)))
    desk.run()
    at = NOW - timedelta(days=days_ago)
    job = Job.objects.get(job_ref=desk.job_ref)
    Entry.objects.filter(job_id=job.pk).update(occurred_at=at)
    Attempt.objects.filter(job_id=job.pk).update(started_at=at)
    Job.objects.filter(pk=job.pk).update(
        created_at=at, body=job.body | {"window_start": None}, window_end=None
    )
    return desk.job_ref


def read(desk: Desk, after: int, epoch: str | None = None) -> Answer:
    return desk.call("GetCallLog", Epoch=epoch, AfterSeq=after)


def test_old_entries_expire_and_go_a_sweep_later(desk: Desk) -> None:
    old = fill(desk, 31)
    fill(desk, 29)
    epoch = read(desk, 0)["Epoch"]
    assert sweep(CUTOFF) == 0
    assert Entry.objects.count() == 14
    expired = read(desk, 3, epoch)
    assert (expired.fault, expired["OldestSeq"]) == (("CursorFault", "EXPIRED"), "8")
    # A page that begins at the last expired entry misses nothing.
    assert next(row["Seq"] for row in read(desk, 7, epoch).all("Entry")) == "8"
    assert sweep(CUTOFF) == 7
    page = read(desk, 0)
    assert [int(row["Seq"]) for row in page.all("Entry")] == list(range(8, 15))
    assert page["OldestSeq"] == "8"
    assert desk.read_log(old) == []
    assert sweep(CUTOFF) == 0
    assert list_violations() == []


def test_what_was_accepted_is_known_for_good(desk: Desk) -> None:
    """Keys never expire: a repeat of a job that has left the log is still a repeat."""
    old = fill(desk, 400, chains=1)
    sweep(CUTOFF)
    sweep(CUTOFF)
    assert Entry.objects.count() == 0
    assert Batch.objects.count() == 1
    assert desk.status(old)["State"] == "FINISHED"
    again = desk.submit(chain("other", number(110)), job_ref=old)
    assert again.fault == ("ConflictFault", "JOBREF_REUSED")
    assert read(desk, 0)["NextSeq"] == "0"
    fill(desk, 0)
    assert next(row["Seq"] for row in read(desk, 0).all("Entry")) == "4"


def test_the_log_of_an_open_job_stays(desk: Desk) -> None:
    fill(desk, 40)
    desk.submit(
        chain("c1", number(110)),
        TotalChains=None,
        StartPolicy="IMMEDIATE",
        Priority="EMERGENCY",
        WindowEnd=None,
    )
    desk.run(until=lambda: len(desk.results()) == 1)
    still_open = desk.job_ref
    Entry.objects.filter(seq__gt=7).update(occurred_at=NOW - timedelta(days=35))
    fill(desk, 33)
    sweep(CUTOFF)
    assert Account.objects.get().oldest_seq == 8
    assert sweep(CUTOFF) == 7
    assert len(desk.read_log(still_open)) == 2
    # Its chains are rebuilt from what was kept.
    desk.open()
    desk.add(1, total=1, job_ref=still_open)
    desk.run()
    assert desk.results(still_open) == [("c1-1", "1", "5")]
    assert desk.ending(still_open) == ("FINISHED", "COMPLETED", None)


def test_a_young_entry_keeps_all_that_follow_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries follow commit order, not time: nothing young is ever removed with its neighbours."""
    monkeypatch.setattr(retention, "CHUNK", 2)
    fill(desk, 50, chains=4)
    Entry.objects.filter(seq=6).update(occurred_at=NOW)
    sweep(CUTOFF)
    assert Account.objects.get().oldest_seq == 6
    assert sweep(CUTOFF) == 5
    assert Entry.objects.count() == 4
