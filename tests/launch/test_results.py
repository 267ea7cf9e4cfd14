"""The call log and the ledger: any order, any repetition, the same end (R16, contract 8.3, C1-C5).

Pages are built as the wire's values; everything behind them is real. What comes over HTTP is
proven in `tests/end_to_end`.
"""

import itertools
import random
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer_adapters.contract import LogEntry, LogPage
from messenger.models import Attempt, Delivery, Message
from sentlog.counting import count
from tests.launch.sending import launched, verified_account
from tests.world import World, build_world
from voice import collect, finishing
from voice.models import DialerJob, LogCursor
from voice.models import LogEntry as StoredEntry

pytestmark = pytest.mark.django_db

_ids = itertools.count(1)


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


@pytest.fixture
def message(world: World) -> Message:
    """The source's family: six chains, the household's and three numbers of each parent."""
    made = launched([world.elementary], grades=("03", "05"))
    DialerJob.objects.filter(message=made).update(submitted_at=timezone.now(), state="sealed")
    return made


def entry(
    message: Message, chain: int | None = None, step: int | None = None, **values: object
) -> LogEntry:
    """One entry of the log; an attempt's result unless said otherwise."""
    defaults: dict[str, object] = dict.fromkeys(LogEntry._fields)
    defaults.update(
        seq=0,
        entry_id=f"e{next(_ids)}",
        entry_type="ATTEMPT_RESULT",
        occurred_at="2026-11-23T15:00:00Z",
        job_ref=str(message.job_ref),
        chain_ref=str(chain) if chain else None,
        step_ref=f"{chain}-{step}" if step else None,
        attempt_number=1,
        revision=1,
        channel="VOICE",
        disposition="COMPLETED",
        final=True,
        confirmed=False,
    )
    defaults.update(values)
    if defaults["attempt_id"] is None and defaults["entry_type"] == "ATTEMPT_RESULT":
        defaults["attempt_id"] = f"a{next(_ids)}"
    return LogEntry(**defaults)  # type: ignore[arg-type]


def read(*entries: LogEntry, has_more: bool = False) -> None:
    """Stores a page as the collector does, numbered after the cursor."""
    cursor = LogCursor.objects.get(current=True)
    numbered = [item._replace(seq=cursor.seq + n) for n, item in enumerate(entries, start=1)]
    page = LogPage(
        epoch=cursor.epoch,
        entries=numbered,
        next_seq=cursor.seq + len(entries),
        has_more=has_more,
        oldest_seq=1,
        server_time=timezone.now(),
    )
    assert collect._store(cursor, page) is not None


def steps(message: Message) -> list[tuple[int, int]]:
    rows = Delivery.objects.filter(message=message).exclude(chain=None)
    return sorted({(row.chain, row.step) for row in rows})  # type: ignore[misc]


def row(message: Message, chain: int, step: int) -> Delivery:
    found = Delivery.objects.filter(message=message, chain=chain, step=step).first()
    assert found is not None
    return found


def job_result(message: Message, disposition: str = "COMPLETED", reason: str = "") -> LogEntry:
    return entry(
        message,
        entry_type="JOB_RESULT",
        disposition=disposition,
        reason=reason,
        attempt_number=None,
    )


def test_a_result_reaches_every_row_of_its_step(message: Message, world: World) -> None:
    chain, step = next(
        (c, s) for c, s in steps(message) if row(message, c, s).device == "household"
    )
    read(entry(message, chain, step, status_code=5, confirmed=True))
    rows = Delivery.objects.filter(message=message, chain=chain, step=step)
    assert rows.count() == 2
    assert {(r.state, r.outcome, r.code, r.confirmed, r.tries) for r in rows} == {
        ("done", "successful", 5, True, 1)
    }


def test_a_redial_is_a_try_of_its_own_and_the_best_try_counts(message: Message) -> None:
    chain, step = steps(message)[0]
    read(entry(message, chain, step, status_code=1, final=False))
    assert row(message, chain, step).state == "submitted"
    read(entry(message, chain, step, status_code=6, attempt_number=2, final=False))
    read(entry(message, chain, step, status_code=0, attempt_number=3))
    found = row(message, chain, step)
    assert (found.state, found.outcome, found.code, found.tries) == ("done", "successful", 6, 3)


@pytest.mark.spec("B5-03")
@pytest.mark.parametrize("redialed", [False, True])
def test_a_machine_is_a_success_whether_or_not_it_is_called_again(
    message: Message, redialed: bool
) -> None:
    chain, step = next((c, s) for c, s in steps(message) if row(message, c, s).device == "cell")
    read(entry(message, chain, step, status_code=6, final=not redialed))
    if redialed:
        read(entry(message, chain, step, status_code=0, attempt_number=2))
    found = row(message, chain, step)
    assert (found.outcome, found.code, found.tries) == ("successful", 6, 1 + redialed)
    assert count(message.pk).contacted == 1


def test_a_step_that_was_never_tried_is_closed_by_its_own_entry(message: Message) -> None:
    (chain, first), (_same, second) = [s for s in steps(message) if s[0] == steps(message)[-1][0]][
        :2
    ]
    read(
        entry(message, chain, first, status_code=5, confirmed=True),
        entry(
            message, chain, second, entry_type="STEP_RESULT", disposition="CANCELLED",
            reason="CHAIN_STOPPED", attempt_number=None,
        ),
    )  # fmt: skip
    found = row(message, chain, second)
    assert (found.state, found.outcome, found.reason, found.code) == (
        "done", "canceled", "CHAIN_STOPPED", None,
    )  # fmt: skip


@pytest.mark.spec("A2-08")
def test_what_the_window_left_over_is_expired_and_the_message_is_sent(message: Message) -> None:
    chain, step = steps(message)[0]
    with_page = [
        entry(
            message, chain, step, entry_type="STEP_RESULT", disposition="EXPIRED", status_code=-11,
            attempt_number=None,
        ),
        job_result(message, "EXPIRED", "WINDOW_END"),
    ]  # fmt: skip
    from django.test import TestCase

    with TestCase.captureOnCommitCallbacks(execute=True):
        read(*with_page)
    assert set(
        Delivery.objects.filter(message=message).values_list("state", "outcome", "code")
    ) == {("done", "expired", -11)}
    message.refresh_from_db()
    assert message.status == Message.Status.SENT


def test_a_late_revision_changes_the_outcome_and_never_reopens(message: Message) -> None:
    chain, step = steps(message)[0]
    read(entry(message, chain, step, status_code=-27, attempt_id="text-1"))
    read(
        entry(
            message, chain, step, entry_type="ATTEMPT_UPDATE", status_code=-40,
            attempt_id="text-1", revision=2, final=False,
        )
    )  # fmt: skip
    found = row(message, chain, step)
    assert (found.state, found.outcome, found.code) == ("done", "failed", -40)


def test_revisions_that_arrive_backwards_end_the_same(message: Message) -> None:
    chain, step = steps(message)[0]
    newer = entry(message, chain, step, status_code=-28, attempt_id="t", revision=2)
    older = entry(message, chain, step, status_code=-27, attempt_id="t", revision=1)
    read(newer)
    read(older)
    assert row(message, chain, step).code == -28
    assert Attempt.objects.get(message=message).revision == 2


def test_the_same_entry_again_changes_nothing(message: Message) -> None:
    chain, step = steps(message)[0]
    once = entry(message, chain, step, status_code=5)
    read(once)
    before = list(Delivery.objects.filter(message=message).order_by("id").values())
    read(once)
    assert list(Delivery.objects.filter(message=message).order_by("id").values()) == before
    assert StoredEntry.objects.count() == 1


def test_two_pollers_store_a_page_once(message: Message) -> None:
    """8.3: the second one finds the cursor moved and drops its page."""
    chain, step = steps(message)[0]
    used = LogCursor.objects.get(current=True)
    page = LogPage(
        epoch="epoch-1", entries=[entry(message, chain, step, status_code=5)._replace(seq=1)],
        next_seq=1, has_more=False, oldest_seq=1, server_time=timezone.now(),
    )  # fmt: skip
    assert collect._store(used, page) is not None
    assert collect._store(used, page) is None


def test_an_unknown_job_an_unknown_type_and_odd_references_are_kept_and_passed(
    message: Message,
) -> None:
    """C5: one odd entry must not stop the log."""
    chain, step = steps(message)[0]
    read(
        entry(message, chain, step, status_code=5, job_ref="somebody-elses-job"),
        entry(message, chain, step, entry_type="WEATHER_REPORT"),
        entry(message, status_code=5, chain_ref="not-ours", step_ref="x-1"),
        entry(message, chain, step, status_code=2_000_000_000, disposition="ODD" * 30),
    )
    assert StoredEntry.objects.count() == 4
    assert LogCursor.objects.get(current=True).seq == 4
    assert row(message, chain, step).outcome == "unknown" or row(message, chain, step).code is None


@pytest.mark.spec("A2-10", "A1-17")
def test_a_code_nobody_knows_is_stored_as_it_came(message: Message) -> None:
    chain, step = steps(message)[0]
    read(entry(message, chain, step, status_code=-17))
    found = row(message, chain, step)
    assert (found.code, found.outcome) == (-17, "failed")
    assert found.result_at is not None


@pytest.mark.spec("B2-05")
def test_missing_results_become_an_error_that_a_late_result_ends(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(dial_until=timezone.now() - timedelta(minutes=61))
    assert finishing.sweep(timezone.now()) == 1
    message.refresh_from_db()
    assert message.status == Message.Status.ERROR
    from django.test import TestCase

    with TestCase.captureOnCommitCallbacks(execute=True):
        read(
            *[entry(message, chain, step, status_code=5) for chain, step in steps(message)],
            job_result(message),
        )
    message.refresh_from_db()
    assert message.status == Message.Status.SENT


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_end_does_not_depend_on_order_or_repetition(
    message: Message, data: st.DataObject
) -> None:
    """R16: shuffled, doubled and cut into pages anywhere, the rows end as in order."""
    Attempt.objects.filter(message=message).delete()
    StoredEntry.objects.all().delete()
    Delivery.objects.filter(message=message).update(
        state="pending", outcome="", code=None, tries=0, confirmed=False, reason="", result_at=None
    )
    story = []
    for chain, step in steps(message)[:4]:
        tries = data.draw(st.integers(1, 3))
        for number in range(1, tries + 1):
            code = data.draw(st.sampled_from([0, 1, 5, 6, 17, -5]))
            story.append(
                entry(
                    message, chain, step, status_code=code, attempt_number=number,
                    attempt_id=f"{chain}.{step}.{number}", final=number == tries,
                    entry_id=f"{chain}.{step}.{number}:1",
                )
            )  # fmt: skip

    def outcome_of_rows() -> list[tuple[object, ...]]:
        return list(
            Delivery.objects.filter(message=message)
            .order_by("id")
            .values_list("id", "state", "outcome", "code", "tries", "confirmed")
        )

    read(*story)
    in_order = outcome_of_rows()
    Attempt.objects.filter(message=message).delete()
    StoredEntry.objects.all().delete()
    Delivery.objects.filter(message=message).update(
        state="pending", outcome="", code=None, tries=0, confirmed=False, reason="", result_at=None
    )
    mixed = story * 2
    random.Random(data.draw(st.integers())).shuffle(mixed)
    cut = data.draw(st.integers(1, len(mixed)))
    for start in range(0, len(mixed), cut):
        read(*{item.entry_id: item for item in mixed[start : start + cut]}.values())
    assert outcome_of_rows() == in_order


def test_a_refused_account_is_not_asked_for_its_log(db: None) -> None:
    """A wrong password every 15 s would lock the account at some dialers."""
    verified_account()
    now = timezone.now()
    assert collect.due(now)
    verified_account(paused=True)
    assert not collect.due(now)
    assert not collect.due(now + timedelta(days=1))
    verified_account(paused=False)
    assert collect.due(now)
