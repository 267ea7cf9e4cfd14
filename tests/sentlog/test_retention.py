"""Detail goes when the district's days are over, and nothing that is held ever does (L4)."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import Attempt, Delivery, LaunchSlice, Message, MessageDraft, School, User
from messenger.rights import scope_of
from sentlog import retention
from sentlog.models import DetailRemoval, LegalHold, Report, Retention
from sentlog.reports import making
from sentlog.summary import summary_of
from tests.sentlog.looking import detail, signed_in, text_of
from tests.sentlog.rows import Ledger, make_message, make_person, make_school
from voice.models import CallChain, DialerBatch, DialerJob, LogEntry

pytestmark = pytest.mark.usefixtures("district")
NOW = timezone.now()


def sent_message(days_ago: int, schools: list[School], rows: int = 4, **values: Any) -> Message:
    """A message that ended so many days ago, with everything that names people."""
    at = NOW - timedelta(days=days_ago, hours=1)
    moments = dict.fromkeys(
        ("scheduled_at", "launched_at", "finished_at", "results_changed_at"), at
    )
    message = make_message(**{"created_at": at, **moments, "schools": schools, **values})
    ledger = Ledger(message)
    for number in range(rows):
        ledger.add(
            make_person(f"Parent, {number}"),
            "voice",
            f"+1612555{number:04}",
            school=schools[number % len(schools)],
            chain=number + 1,
            step=1,
            outcome="failed" if number else "successful",
            code=1 if number else 5,
            tries=1,
        )
        Attempt.objects.create(
            message=message,
            chain=number + 1,
            step=1,
            attempt_ref=f"a{number}",
            number=1,
            revision=1,
            mode="voice",
            occurred_at=at,
        )
        CallChain.objects.create(message=message, number=number + 1, batch=0, steps=1)
    LaunchSlice.objects.create(message=message, number=0, person_ids=[1, 2], state="frozen")
    job = DialerJob.objects.create(message=message, job_ref=message.job_ref, content={})
    DialerBatch.objects.create(job=job, number=0, content="[names and numbers]")
    LogEntry.objects.create(
        state_id="s",
        entry_id=str(uuid4()),
        epoch="e",
        seq=1,
        entry_type="ATTEMPT",
        occurred_at=at,
        job_ref=str(message.job_ref),
        revision=1,
        disposition="x",
        final=True,
        confirmed=False,
    )
    return message


def left_of(message: Message) -> list[int]:
    """Deliveries, tries, chains, slices, batches with content, log entries."""
    return [
        Delivery.objects.filter(message=message).count(),
        Attempt.objects.filter(message=message).count(),
        CallChain.objects.filter(message=message).count(),
        LaunchSlice.objects.filter(message=message).count(),
        DialerBatch.objects.filter(job__message=message).exclude(content="").count(),
        LogEntry.objects.filter(job_ref=message.job_ref).count(),
    ]


def test_only_what_is_due_goes_and_the_figures_stay(
    school: School, make_user: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PIECE", 3)  # several pieces
    other, third = make_school("Elsewhere"), make_school("Third")
    old = sent_message(401, [school, other, third], rows=8)
    young, running = sent_message(399, [school]), sent_message(500, [school])
    Message.objects.filter(pk=running.pk).update(status=Message.Status.IN_PROGRESS)
    of_two = make_user("two", "School secretary", school)
    of_two.role_assignments.create(role=of_two.role_assignments.get().role, school=other)
    scopes = [
        scope_of(user, "log.view_all")
        for user in (
            make_user("all", "District administrator"),
            make_user("one", "School secretary", third),
            of_two,
        )
    ]
    wanted = [retention.summary.count(old.pk, retention.summary.schools_of(s)) for s in scopes]
    assert [figures.rows for figures in wanted] == [8, 2, 6]

    assert retention.due_now().messages == 1
    assert retention.remove_due() == 1
    assert left_of(old) == [0] * 6
    assert left_of(young) == [*left_of(running)[:5], 1] == [4, 4, 4, 1, 1, 1]
    # By its own age, whatever its message.
    assert left_of(running)[5] == 0
    assert [summary_of(old, scope) for scope in scopes] == wanted  # none was asked for before
    removal = DetailRemoval.objects.get()
    assert (removal.message_id, removal.days, removal.rows) == (old.pk, 400, 8)
    assert removal.removed_at is not None
    assert retention.remove_due() == 0


@pytest.mark.parametrize("of_days", [False, True])
def test_a_held_message_stays_until_the_hold_is_lifted(
    of_days: bool, school: School, administrator: User
) -> None:
    message, free = sent_message(450, [school]), sent_message(480, [school])
    day = timezone.localtime(message.created_at, timezone=retention.District.current().zone).date()
    span = {"first_day": day, "last_day": day} if of_days else {"message": message}
    hold = retention.place_hold(LegalHold(reason="Case 17", **span), administrator)
    assert (retention.due_now().messages, retention.due_now().held) == (1, 1)
    assert retention.remove_due() == 1
    assert left_of(message) == [4, 4, 4, 1, 1, 1]
    assert left_of(free) == [0] * 6
    assert not retention.remove_detail(message.pk, 400)  # whoever asks
    assert left_of(message)[:5] == [4, 4, 4, 1, 1]

    assert retention.lift_hold(hold, administrator)
    assert not retention.lift_hold(hold, administrator)
    assert retention.remove_due() == 1
    assert left_of(message)[:5] == [0] * 5
    hold.refresh_from_db()
    assert hold.placed_by_name == hold.lifted_by_name == administrator.name_in_log()


def test_a_hold_stops_a_removal_on_its_way_and_the_figures_stay_right(
    school: School, administrator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PIECE", 1)
    message = sent_message(450, [school])
    purge, calls = retention.ledger.purge, []

    def held_meanwhile(message_id: int, table: str, *where: int) -> Any:
        calls.append(table)
        if calls.count("delivery") == 2:
            retention.place_hold(LegalHold(reason="Case 17", message=message), administrator)
        return purge(message_id, table, *where)

    monkeypatch.setattr(retention.ledger, "purge", held_meanwhile)
    assert retention.remove_due() == 0
    assert left_of(message)[0] == 2
    Message.objects.filter(pk=message.pk).update(results_changed_at=NOW)
    message.refresh_from_db()
    retention.summary.recompute_stale()
    assert summary_of(message, scope_of(administrator, "log.view_all")).rows == 4
    assert "Details are being removed" in text_of(detail(signed_in(administrator), message))


def test_the_time_of_a_tick_is_kept_and_the_next_one_goes_on(school: School) -> None:
    message = sent_message(450, [school])
    assert retention.remove_due(seconds=-1) == 0
    assert left_of(message) == [4, 4, 4, 1, 1, 1]
    assert retention.remove_due() == 1


def test_the_dry_run_counts_and_removes_nothing(school: School, administrator: User) -> None:
    message = sent_message(450, [school])
    summary_of(message, scope_of(administrator, "log.view_all"))
    draft = MessageDraft.objects.create(user=administrator)
    MessageDraft.objects.filter(pk=draft.pk).update(updated_at=NOW - timedelta(days=91))
    said = StringIO()
    call_command("retention", "--dry-run", stdout=said)
    numbers = [line.split()[-1] for line in said.getvalue().splitlines()]
    assert numbers == ["1", "4", "0", "1", "1", "removed."]
    assert left_of(message) == [4, 4, 4, 1, 1, 1]
    call_command("retention", stdout=said)
    assert "1 message lost its detail." in said.getvalue()
    assert left_of(message) == [0] * 6
    assert not MessageDraft.objects.exists()


def test_a_page_says_that_details_are_gone_and_offers_what_is_left(
    school: School, administrator: User, visitor: Client
) -> None:
    message = sent_message(450, [school])
    report = making.order(message, administrator, "csv", "all", ["cell"])
    making.make(report.pk)
    report.refresh_from_db()
    file = making.path_of(report)
    assert file.exists()
    retention.remove_due()
    assert not file.exists()
    assert Report.objects.get().state == Report.State.EXPIRED
    page = text_of(detail(visitor, message))
    assert "Details were removed on" in page
    assert "after 400 days" in page
    assert "<time" not in page
    assert "Sent Message Report Options" not in page
    assert "Details were removed" in text_of(
        visitor.get(reverse("deliveries", args=[message.uuid]))
    )
    order = reverse("report_order", args=[message.uuid])
    visitor.post(order, {"devices": ["cell"], "detail": "all", "format": "csv"})
    assert Report.objects.count() == 1


def test_days_and_holds_are_decided_on_the_page(
    school: School, administrator: User, visitor: Client
) -> None:
    message = sent_message(450, [school])
    page = reverse("retention")
    days = {"detail_days": 500, "log_days": 500, "draft_days": 60}
    assert visitor.post(page, days | {"detail_days": 29}).status_code == 422
    assert visitor.post(page, days).status_code == 302
    assert Retention.current().detail_days == 500
    assert Retention.current().changed_by_name == administrator.name_in_log()

    place = reverse("hold_place")
    wrong: list[dict[str, str]] = [
        {"reason": "No message"},
        {"reason": "", "address": str(message.uuid)},
        {"reason": "Unknown", "address": f"/log/{uuid4()}/"},
        {"reason": "Backwards", "first_day": "2026-02-02", "last_day": "2026-02-01"},
        {"reason": "Half", "first_day": "2026-02-02"},
        {"reason": "Both", "address": str(message.uuid), "first_day": "2026-02-02"},
    ]
    for data in wrong:
        assert visitor.post(place, data).status_code == 422, data
    assert not LegalHold.objects.exists()
    address = f"https://messenger.example/log/{message.uuid}/?page=2"
    assert visitor.post(place, {"reason": "Case 17", "address": address}).status_code == 302
    hold = LegalHold.objects.get()
    assert hold.message == message
    assert "Case 17" in text_of(visitor.get(page))
    visitor.post(reverse("hold_lift", args=[hold.pk]))
    hold.refresh_from_db()
    assert hold.lifted_at is not None


def test_an_administrator_of_one_school_decides_nothing(
    school: School, make_user: Callable[..., User]
) -> None:
    client = signed_in(make_user("local", "District administrator", school))
    assert client.get(reverse("retention")).status_code == 200
    days = {"detail_days": 30, "log_days": 30, "draft_days": 30}
    assert client.post(reverse("retention"), days).status_code == 403
    assert client.post(reverse("hold_place"), {"reason": "x"}).status_code == 403
    assert Retention.current().detail_days == 400
