"""Stored summaries: served from one row, kept fresh by a tick, never counted up."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import DjangoAssertNumQueries

from messenger.models import Delivery, Message
from messenger.rights import Scope
from sentlog import summary
from sentlog.models import MessageSummary
from tests.sentlog.rows import Ledger, make_message, make_person, make_school

DISTRICT = Scope(district=True)


@pytest.fixture
def message(db: Any) -> Message:
    message = make_message(results_changed_at=timezone.now())
    ledger = Ledger(message)
    ledger.add(make_person("A, Mom"), "voice", "+16125550001")
    return message


def finish_rows(message: Message) -> None:
    """What the ledger does when a result comes: the row, and the message's mark."""
    Delivery.objects.filter(message=message).update(state="done", outcome="successful")
    message.results_changed_at = timezone.now()
    message.save()


def test_the_second_question_reads_one_row(
    message: Message, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    first = summary.summary_of(message, DISTRICT)
    with django_assert_num_queries(1):
        assert summary.summary_of(message, DISTRICT) == first


def test_a_small_message_is_never_shown_stale(message: Message) -> None:
    assert summary.summary_of(message, DISTRICT).contacted == 0
    finish_rows(message)
    assert summary.summary_of(message, DISTRICT).contacted == 1


def test_the_tick_keeps_a_large_message_fresh(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "COUNTED_AT_ONCE", 0)
    school = make_school()
    Delivery.objects.filter(message=message).update(school=school)
    of_school = Scope(False, frozenset({school.pk}))
    assert summary.summary_of(message, DISTRICT).contacted == 0
    assert summary.summary_of(message, of_school).contacted == 0
    finish_rows(message)
    assert summary.summary_of(message, DISTRICT).contacted == 0  # until the tick
    assert summary.recompute_stale() == 1
    assert summary.summary_of(message, DISTRICT).contacted == 1
    assert summary.summary_of(message, of_school).contacted == 1
    assert summary.recompute_stale() == 0


def test_the_tick_counts_a_message_nobody_has_opened(message: Message) -> None:
    assert summary.recompute_stale() == 1
    stored = MessageSummary.objects.get(message=message)
    assert stored.schools is None
    assert stored.as_of == message.results_changed_at


def test_a_change_that_the_tick_missed_is_counted_by_the_next_view(
    message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "COUNTED_AT_ONCE", 0)
    summary.summary_of(message, DISTRICT)
    finish_rows(message)
    message.results_changed_at = timezone.now() - timedelta(days=3)
    message.save()
    assert summary.recompute_stale() == 0
    assert summary.summary_of(message, DISTRICT).contacted == 1


def test_nobodys_scope_sees_nothing(message: Message) -> None:
    assert summary.summary_of(message, Scope(district=False)).rows == 0
    assert summary.summary_of(message, DISTRICT).rows == 1
