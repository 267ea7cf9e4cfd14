"""P5, an emergency: from confirm to the first SubmitJob that is accepted, idle and under load.

Confirmed through the pages by HTTP; the product's own web, workers and beat do the rest. The limit
is a bare SubmitJob with the same first batch. Under load a routine message is being sent and a PDF
report being written at every moment, and beat lets the call log be read.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from time import perf_counter
from uuid import uuid4

from django.db import connection
from django.urls import reverse

from dialer_adapters.contract import FrozenJob
from messenger.models import Message
from sentlog.models import MessageSummary, Report
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask
from tests.bench.measure import percentile
from tests.bench.sending import Sender, end, wait_for
from voice import account
from voice.models import DialerBatch, DialerJob

REPORTED = 100_000  # rows
BUSY = (Report.State.WAITING, Report.State.RUNNING)


def measure_emergency(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    sender = Sender(ground)
    figures = [_measure(ground, sender, "P5", "idle", 1.0, "")]
    with load(ground) as done:
        loaded = _measure(ground, sender, "P5 loaded", "while others work", 2.0, "")
    note = (
        f"{loaded.note} Meanwhile {done['messages']} routine messages of about "
        f"{ground.size.rows:,} rows each were sent one after the other, {done['reports']} PDF "
        f"reports of about {min(ground.size.rows, REPORTED):,} rows were written, and beat had the "
        "call log read."
    )
    return [*figures, replace(loaded, note=note)]


def _measure(
    ground: Ground, sender: Sender, name: str, words: str, goal: float, note: str
) -> Figure:
    schools = ground.all_schools()
    ours: list[float] = []
    bare: list[float] = []
    students = 0
    for trial in range(ground.size.trials + 1):
        message, began = sender.confirm(schools, "emergency")
        job = DialerJob.objects.filter(message=message, accepted_at__isnull=False)
        wait_for(job.exists, "no SubmitJob is accepted")
        accepted = job.get()
        assert accepted.accepted_at is not None
        seconds = accepted.accepted_at.timestamp() - began
        students = ask(
            "SELECT sum(cardinality(person_ids)) FROM messenger_launchslice WHERE message_id = %s",
            [message.pk],
        )[0]
        content = DialerBatch.objects.get(job=accepted, number=0).content
        end(message)
        alone = _submit_bare(accepted, content)
        if trial:  # the first one warms every process up
            ours.append(seconds)
            bare.append(alone)
    return Figure(
        name,
        f"emergency, {words}: from confirm to the first SubmitJob accepted, p95",
        students,
        percentile(ours, 0.95),
        percentile(bare, 0.95),
        goal_seconds=goal,
        note=f"{len(ours)} trials, each canceled after its acceptance; rows are students of "
        f"{ground.size.families:,} families. Median {percentile(ours, 0.5):.3f} s, slowest "
        f"{max(ours):.3f} s. Limit: a bare SubmitJob with the same first batch, p95.{note}",
    )


def _submit_bare(job: DialerJob, content: str) -> float:
    """Seconds of a SubmitJob with nothing of the product's work before it."""
    frozen = replace(FrozenJob.from_json(job.content), job_ref=str(uuid4()))
    chains = json.loads(content)
    adapter = account.adapter()
    started = perf_counter()
    adapter.submit(frozen, chains)
    seconds = perf_counter() - started
    adapter.cancel(frozen.job_ref)
    return seconds


@contextmanager
def load(ground: Ground) -> Iterator[dict[str, int]]:
    """Keeps a routine message and a PDF report under way while the block runs. Yields what was
    done, complete when the block is over."""
    sender, over = Sender(ground), Event()
    schools = ground.schools_for(ground.size.rows)
    # The report is about 100,000 rows at most: a PDF ends at 5,000 pages.
    first = _send(sender, ground.schools_for(min(ground.size.rows, REPORTED)), Event())
    devices = ask(
        "SELECT array_agg(DISTINCT device) FROM messenger_delivery"
        " WHERE message_id = %s AND chain IS NOT NULL",
        [first.pk],
    )[0]
    counted = MessageSummary.objects.filter(message=first)
    wait_for(counted.exists, "the message is not summed up")
    done = {"messages": 0, "reports": 0}
    errors: list[BaseException] = []

    def repeat(name: str, work: Callable[[], object]) -> None:
        try:
            while not over.is_set():
                work()
                done[name] += 1
        except BaseException as error:  # noqa: BLE001 - raised again where the block ends
            errors.append(error)
        finally:
            connection.close()

    def order_report() -> None:
        address = sender.web + reverse("report_order", args=[first.uuid])
        answer = sender.post(address, format="pdf", detail="all", devices=devices)
        assert answer.status_code == 302, f"no report: {answer.status_code}"
        ours = Report.objects.filter(message=first)
        wait_for(lambda: not ours.filter(state__in=BUSY).exists(), "the report is not written")
        assert not ours.filter(state=Report.State.FAILED).exists()

    def send() -> None:
        end(_send(sender, schools, over))

    workers = [
        Thread(target=repeat, args=("messages", send)),
        Thread(target=repeat, args=("reports", order_report)),
    ]
    for worker in workers:
        worker.start()
    try:
        yield done
    finally:
        over.set()
        for worker in workers:
            worker.join()
        end(first)
    if errors:
        raise errors[0]


def _send(sender: Sender, schools: tuple[int, ...], over: Event) -> Message:
    """A routine message, once its last chain is accepted or the load is `over`."""
    message, _began = sender.confirm(schools, "general")
    job = DialerJob.objects.filter(message=message, all_accepted_at__isnull=False)
    wait_for(lambda: over.is_set() or job.exists(), "the last chain is not accepted")
    return message
