"""R4: SIGKILL at each of the nine labelled points, for SubmitJob, AddChains and GetCallLog.

A worker runs into the point and dies of kill -9 exactly there; another one takes over, and the
switchboard's books say that nobody was lost and nobody was called twice. Email has the same points
in the issue that brings it (messages are composed there).
"""

from typing import Any

import pytest

from dialer_adapters.contract import LogPage
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from messenger import doorbell, lifecycle
from messenger.models import LaunchSlice, Message
from sentlog import summary
from tests.crash.judging import await_end, await_summary, judge
from tests.crash.workers import Trap, WireTrap, Workers, at_ring
from tests.end_to_end.town import Exchange
from tests.launch.sending import confirmed, sender
from voice import breaker, collect, dispatch
from voice.claims import Claimed
from voice.models import DialerBatch, DialerJob, LogCursor

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])


def claimed_first(batch: object, _job: object, *, first: bool = False) -> bool:
    return first and batch is not None


def claimed_another(batch: object, _job: object, *, first: bool = False) -> bool:
    return not first and batch is not None


def is_last(_job: object, batch: Claimed, *_rest: object, **_named: object) -> bool:
    return batch.total_chains is not None


def ends_it(_answer: object, job: object, batch: Claimed, *_rest: object, **_named: object) -> bool:
    return is_last(job, batch)


def has_entries(_cursor: object, page: LogPage, *_rest: object) -> bool:
    return len(page.entries) > 0


def stored_something(stored: Any, *_rest: object) -> bool:
    return stored is not None and stored[1] > 0


POINTS = {
    # before anything leaves
    "plan stored": at_ring("expand_message"),
    "slice committed": at_ring("dispatch_message"),
    # SubmitJob, with the first batch in it
    "SubmitJob marked sent": Trap(dispatch, "claim", at_end=True, suits=claimed_first),
    "SubmitJob half written": WireTrap("SubmitJob", half=True),
    "SubmitJob written, no answer": WireTrap("SubmitJob"),
    "SubmitJob answer read, not stored": Trap(ShoutpointAdapter, "submit", at_end=True),
    "SubmitJob answer stored": Trap(breaker, "note_success"),
    # AddChains
    "AddChains marked sent": Trap(dispatch, "claim", at_end=True, suits=claimed_another, nth=2),
    "AddChains half written": WireTrap("AddChains", half=True, nth=2),
    "AddChains written, no answer": WireTrap("AddChains", nth=2),
    "AddChains answer read, not stored": Trap(ShoutpointAdapter, "add_chains", at_end=True, nth=2),
    "AddChains answer stored": Trap(dispatch, "_accepted", at_end=True, nth=3),
    # the last batch, which carries TotalChains alone
    "TotalChains marked sent": Trap(dispatch, "_send", suits=is_last),
    "TotalChains answer read, not stored": Trap(dispatch, "_accepted", suits=is_last),
    "TotalChains answer stored": Trap(dispatch, "_send", at_end=True, suits=ends_it),
    # GetCallLog
    "GetCallLog written, no answer": WireTrap("GetCallLog"),
    "GetCallLog page read, not stored": Trap(collect, "_store"),
    "GetCallLog page in the middle of being stored": Trap(
        collect, "_apply", at_end=True, suits=lambda result, *_rest: result[0] > 0
    ),
    "GetCallLog page stored": Trap(collect, "_store", at_end=True, suits=stored_something),
    "GetCallLog last page stored, message not told": Trap(lifecycle, "modes_final"),
    # the summary
    "summary computed, not stored": Trap(summary, "count", at_end=True),
    "summary stored": Trap(summary, "_count_and_store", at_end=True),
}


@pytest.mark.parametrize("point", POINTS)
def test_r4_killed_there_and_nobody_is_lost_or_called_twice(
    point: str, switchboard: Exchange, workers: Workers
) -> None:
    message = confirmed()
    workers.await_death(workers.start(POINTS[point]))
    with workers.working():
        await_end(message)
        await_summary(message)
    judge(message, switchboard)


def test_r4_a_plan_is_stored_once(switchboard: Exchange, workers: Workers) -> None:
    """Killed between the plan and its first slice: the restart reads the plan, and makes none."""
    message = confirmed()
    workers.await_death(workers.start(at_ring("expand_message")))
    stored = list(LaunchSlice.objects.filter(message=message).values_list("number", "person_ids"))
    assert stored
    with workers.working():
        await_end(message)
    assert stored == list(
        LaunchSlice.objects.filter(message=message).values_list("number", "person_ids")
    )
    judge(message, switchboard)


def test_r4_a_job_that_is_half_written_is_not_there(
    switchboard: Exchange, workers: Workers
) -> None:
    """The dialer takes nothing of a request that breaks off; all of one that is complete."""
    message = confirmed()
    workers.await_death(workers.start(POINTS["SubmitJob half written"]))
    assert switchboard.books(message).jobs == 0
    batch = DialerBatch.objects.get(job__message=message, number=0)
    assert batch.state == DialerBatch.State.SENDING
    with workers.working():
        await_end(message)
    judge(message, switchboard)


def test_r4_the_answer_to_a_submit_and_its_job_are_one(
    switchboard: Exchange, workers: Workers
) -> None:
    """No crash may fall between the receipt of the first batch and the job that is open with it:
    such a job would wait for ever."""
    message = confirmed()
    workers.await_death(workers.start(POINTS["SubmitJob answer stored"]))
    job = DialerJob.objects.get(message=message)
    assert job.state == DialerJob.State.OPEN
    assert job.batches.get(number=0).state == DialerBatch.State.ACCEPTED


def test_r4_the_cursor_never_passes_what_is_not_stored(
    switchboard: Exchange, workers: Workers
) -> None:
    """Invariant 12: killed inside the page's transaction, the cursor is where it was."""
    message = confirmed()
    before = LogCursor.objects.get(current=True).seq
    workers.await_death(workers.start(POINTS["GetCallLog page in the middle of being stored"]))
    assert LogCursor.objects.get(current=True).seq == before
    with workers.working():
        await_end(message)
    assert LogCursor.objects.get(current=True).seq > before
    judge(message, switchboard)


def test_r4_a_message_in_error_is_told_of_its_last_page_too(
    switchboard: Exchange, workers: Workers
) -> None:
    """Its results were overdue, came after all, and whoever stored them died before saying so."""
    message = confirmed()
    workers.await_death(workers.start(POINTS["GetCallLog last page stored, message not told"]))
    assert lifecycle.mark_overdue(message.pk, "Results are overdue.")
    with workers.working():
        await_end(message)
    judge(message, switchboard)


# ------------------------------------------------------------------------------------- cancels

# How far the message had come when its cancel was committed, and its worker died too.
STAGES = {
    "nothing was sent": at_ring("dispatch_message"),
    "SubmitJob was written": WireTrap("SubmitJob"),
    "some AddChains were answered": Trap(dispatch, "_accepted", at_end=True, nth=3),
    "everything was accepted": Trap(dispatch, "_send", at_end=True, suits=ends_it),
    "a page of the log was read": Trap(collect, "_store", suits=has_entries),
}
CANCEL_POINTS = {
    "CancelJob about to leave": Trap(ShoutpointAdapter, "cancel"),
    "CancelJob written, no answer": WireTrap("CancelJob"),
    "CancelJob answer read, not stored": Trap(ShoutpointAdapter, "cancel", at_end=True),
    "CancelJob answer stored": at_ring("collect_call_log"),
}


def cancel_and_die(message: Message, workers: Workers) -> None:
    """The cancel is committed; its process dies before anybody hears of it."""
    rings = Trap(doorbell, "_send")
    workers.await_death(
        workers.start(rings, work=lambda: lifecycle.request_cancel(message.pk, sender()))
    )
    message.refresh_from_db()
    assert message.cancel_requested_at is not None


@pytest.mark.parametrize(
    ("tool", "stage"),
    [
        *(("general", stage) for stage in STAGES),
        # An emergency's calls begin before it is sealed.
        ("emergency", "some AddChains were answered"),
    ],
)
def test_r4_a_cancel_that_was_committed_is_sent_by_the_next_worker(
    tool: str, stage: str, switchboard: Exchange, workers: Workers
) -> None:
    message = confirmed(tool=tool)
    workers.await_death(workers.start(STAGES[stage]))
    cancel_and_die(message, workers)
    with workers.working():
        await_end(message)
    judge(message, switchboard, Message.Status.CANCELED_IP)
    if stage == "nothing was sent":
        assert switchboard.books(message).jobs == 0


@pytest.mark.parametrize("point", CANCEL_POINTS)
def test_r4_a_worker_that_dies_with_the_cancel_in_its_hand(
    point: str, switchboard: Exchange, workers: Workers
) -> None:
    message = confirmed()
    workers.await_death(workers.start(STAGES["everything was accepted"]))
    cancel_and_die(message, workers)
    workers.await_death(workers.start(CANCEL_POINTS[point]))
    with workers.working():
        await_end(message)
    judge(message, switchboard, Message.Status.CANCELED_IP)
