"""S7 and S11: a cancel against everything that may happen at the same moment, in threads.

Whoever is first, each row ends once, the message has one status that fits its cancel, and the
summary adds up.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from time import monotonic
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from dialer_adapters.contract import LogEntry, LogPage
from messenger import lifecycle
from messenger.models import Attempt, Delivery, LaunchSlice, Message, MessageMode
from messenger.tasks import start_due
from sentlog.counting import count
from tests.launch.sending import confirmed, expand_all, launched, sender, verified_account
from tests.launch.test_results import entry, job_result, steps
from tests.world import World, build_world
from voice import collect
from voice.models import DialerBatch, DialerJob, LogCursor
from voice.models import LogEntry as StoredEntry
from voice.tasks import sweep_phone

pytestmark = pytest.mark.django_db(transaction=True)

Status = Message.Status


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


@contextmanager
def threads(number: int) -> Iterator[ThreadPoolExecutor]:
    """So many threads, each with a connection that lasts as long as they do."""
    with ThreadPoolExecutor(max_workers=number) as pool:
        yield pool
        at_once(pool, *[lambda: connection.close()] * number)  # the thread's own


def at_once(
    pool: ThreadPoolExecutor, *works: Callable[[], object], late: float = 0.0
) -> list[object]:
    """Runs each in a thread of its own, the first `late` seconds after the others; their results
    or refusals."""
    together, pause = Barrier(len(works)), Event()

    def run(work: Callable[[], object], wait: float) -> object:
        try:
            together.wait()
            pause.wait(wait)
            return work()
        except lifecycle.NotPossible as refusal:
            return refusal

    waits = [late, *[0.0] * len(works)]
    runs = [pool.submit(run, *pair) for pair in zip(works, waits, strict=False)]
    return [work.result() for work in runs]


def back_to_the_start(message: Message) -> None:
    """Everything is at the dialer and nothing has come back."""
    Attempt.objects.filter(message=message).delete()
    StoredEntry.objects.all().delete()
    Delivery.objects.filter(message=message).exclude(chain=None).update(
        state="pending", outcome="", code=None, tries=0, confirmed=False, reason="", result_at=None
    )
    Message.objects.filter(pk=message.pk).update(
        status=Status.IN_PROGRESS, cancel_requested_at=None, finished_at=None, canceled_by=None
    )
    MessageMode.objects.filter(message=message).update(state=MessageMode.State.RUNNING)
    DialerJob.objects.filter(message=message).update(
        state="sealed", submitted_at=timezone.now(), cancel_sent_at=None, cancel_confirmed_at=None,
        result_at=None, final_seq=None, result_disposition="", result_reason="", retry_at=None,
    )  # fmt: skip
    DialerBatch.objects.filter(job__message=message).update(state="accepted")
    LogCursor.objects.update(seq=0)


def last_page(message: Message, chance: random.Random) -> LogPage:
    """Results of most steps, then the end of the job."""
    told = [
        entry(message, chain, step, status_code=chance.choice([5, 6, 3, 0]), confirmed=False)
        for chain, step in steps(message)
        if chance.random() < 0.7
    ]
    entries: list[LogEntry] = [*told, job_result(message, reason="COMPLETED")]
    numbered = [item._replace(seq=n) for n, item in enumerate(entries, start=1)]
    return LogPage(
        epoch="epoch-1", entries=numbered, next_seq=len(entries), has_more=False, oldest_seq=1,
        server_time=timezone.now(),
    )  # fmt: skip


def race_cancel_against_completion(
    pool: ThreadPoolExecutor, message: Message, rounds: int
) -> dict[str, int]:
    """Races them `rounds` times; how often which status was the end."""
    chance, user = random.Random(20261121), sender()
    ends: dict[str, int] = {}
    usual = 0.02  # seconds that the completion takes here, as seen in the round before
    for _round in range(rounds):
        back_to_the_start(message)
        page, cursor = last_page(message, chance), LogCursor.objects.get(current=True)

        def complete(cursor: LogCursor = cursor, page: LogPage = page) -> float:
            began = monotonic()
            assert collect._store(cursor, page) is not None
            return monotonic() - began

        canceled, took, _swept = at_once(
            pool,
            lambda: lifecycle.request_cancel(message.pk, user),
            complete,
            sweep_phone,
            late=chance.uniform(0.0, 2 * usual),
        )
        assert isinstance(took, float)
        usual = took
        message.refresh_from_db()
        refused = isinstance(canceled, lifecycle.NotPossible)
        assert (message.cancel_requested_at is None) == refused
        assert message.status == (Status.SENT if refused else Status.CANCELED_IP)
        check_rows(message, page)
        ends[message.status] = ends.get(message.status, 0) + 1
    return ends


def check_rows(message: Message, page: LogPage) -> None:
    """Every row has one end, its result's if it has one; the summary adds up."""
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    results = {item.step_ref: item.status_code for item in page.entries if item.step_ref}
    for chain, step, code, outcome in rows.exclude(chain=None).values_list(
        "chain", "step", "code", "outcome"
    ):
        told = results.get(f"{chain}-{step}")
        assert code == told if told is not None else outcome in ("canceled", "expired")
    figures = count(message.pk)
    assert figures.outcomes == Counter(rows.values_list("outcome", flat=True))
    assert figures.rows == figures.rows_done == sum(figures.outcomes.values())
    everybody = set(rows.values_list("recipient_id", flat=True))
    reached = set(rows.filter(outcome="successful").values_list("recipient_id", flat=True))
    assert (figures.total_recipients, figures.contacted) == (len(everybody), len(reached))
    assert figures.contacted + figures.not_contacted == figures.total_recipients


def at_the_dialer(world: World) -> Message:
    return launched([world.elementary], grades=("05",))


def test_s7_a_cancel_against_the_completion(world: World) -> None:
    """S7: 200 races; both ends happen."""
    with threads(3) as pool:
        ends = race_cancel_against_completion(pool, at_the_dialer(world), 200)
    assert set(ends) == {Status.SENT, Status.CANCELED_IP}


@pytest.mark.slow
def test_s7_ten_thousand_races(world: World) -> None:
    """S7 at its full size."""
    with threads(3) as pool:
        race_cancel_against_completion(pool, at_the_dialer(world), 10_000)


def nothing_was_claimed(message: Message) -> bool:
    return not any(
        found.exists()
        for found in (
            LaunchSlice.objects.filter(message=message),
            Delivery.objects.filter(message=message),
            DialerJob.objects.filter(message=message),
        )
    )


def test_s11_a_cancel_before_the_launch_leaves_nothing_behind(world: World) -> None:
    """S11: between confirm and launch a cancel means that nothing is ever claimed."""
    message = confirmed()
    lifecycle.request_cancel(message.pk, sender())
    assert not lifecycle.launch(message.pk)
    start_due()
    sweep_phone()
    message.refresh_from_db()
    assert message.status == Status.CANCELED
    assert nothing_was_claimed(message)


def test_s11_a_cancel_at_the_moment_of_the_launch(world: World) -> None:
    """Either it is Canceled and nothing was claimed, or it had begun and nothing goes on."""
    chance, user, ends = random.Random(11), sender(), set()
    for _round in range(30):
        message = confirmed([world.elementary], grades=("05",))

        def begin(message: Message = message) -> None:
            start_due()
            expand_all(message)

        late = chance.uniform(0.0, 0.02)
        with threads(2) as pool:
            at_once(pool, lambda m=message: lifecycle.request_cancel(m.pk, user), begin, late=late)
        sweep_phone()
        message.refresh_from_db()
        ends.add(message.status)
        assert message.status in (Status.CANCELED, Status.CANCELED_IP)
        assert nothing_was_claimed(message) or message.status == Status.CANCELED_IP
        open_rows: Any = Delivery.objects.filter(message=message).exclude(state="done")
        assert not open_rows.exists()
        batches = DialerBatch.objects.filter(job__message=message)
        assert not batches.exclude(state="canceled").exists()
    assert Status.CANCELED in ends
