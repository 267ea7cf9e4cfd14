"""The Contact Preferences Batch: group, rule, preview, run, what is spared, undo (A4-12)."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messenger import batch_tasks
from messenger.models import (
    ContactChange,
    ContactPreference,
    ContactReason,
    Device,
    Door,
    Mode,
    PreferenceBatch,
    Role,
    RoleAssignment,
    User,
)
from messenger.models.contact import ALL_BUT_TEACHER
from messenger.preferences import Author, read_sheet, save_sheet
from messenger.rights import PREFERENCES_BATCH
from tests.pages.cast import client_of, make_user
from tests.pages.test_compose import text_of

TEACHER, GENERAL = ContactReason.TEACHER.bit, ContactReason.GENERAL.bit
State = PreferenceBatch.State


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


def answers(world: Any, **more: Any) -> dict[str, Any]:
    return {
        "schools": [str(world.elementary.pk)],
        "deliver_to": ["contacts"],
        "devices": ["household", "cell", "email"],
        "reasons": [str(TEACHER)],
        "action": "add",
    } | more


def run(client: Client, world: Any, **more: Any) -> PreferenceBatch:
    answer = client.post(reverse("batch_new"), answers(world, **more))
    assert answer.status_code == 302, text_of(answer)
    batch = PreferenceBatch.objects.latest("pk")
    batch_tasks.run_batch(batch.pk)
    batch.refresh_from_db()
    return batch


def masks(mode: str = Mode.VOICE) -> dict[tuple[int, str], int]:
    rows = ContactPreference.objects.filter(mode=mode).values_list(
        "contact_point__person_id",
        "contact_point__household_id",
        "contact_point__device",
        "reasons",
    )
    return {(person or -(home or 0), device): mask for person, home, device, mask in rows}


@pytest.mark.spec("A4-12")
def test_a_group_is_previewed_set_and_undone(client: Client, world: Any, admin: User) -> None:
    before, texts = masks(), masks(Mode.TEXT)
    emails = masks(Mode.EMAIL)
    page = client.get(reverse("batch_new"), answers(world))
    preview = page.context["preview"]
    shown = text_of(page)
    assert "Family, Alisa" in shown
    assert masks() == before, "a preview changes nothing"
    batch = run(client, world)
    assert (batch.state, batch.people) == (State.DONE, preview.people)
    after = masks()
    changed = {key for key in after if after[key] != before.get(key)}
    changed_emails = {k for k, v in masks(Mode.EMAIL).items() if v != emails.get(k)}
    assert len(changed) + len(changed_emails) == preview.points == batch.counts["points"]
    assert all(after[key] == before[key] | TEACHER for key in changed)
    assert (world.mom.pk, "cell") in changed
    assert (-world.household.pk, "household") in changed, "once for the household"
    assert (world.mom.pk, "work") not in changed, "another device"
    assert (world.lan.pk, "cell") not in changed, "another school"
    assert masks(Mode.TEXT) == texts, "texts cannot be set here"
    assert preview.marks_added == batch.counts["marks_added"] == preview.points
    lines = ContactChange.objects.filter(batch_id=batch.pk)
    assert lines.count() == preview.points
    assert {(line.door, line.user_id) for line in lines} == {("batch", admin.pk)}
    # What somebody has changed since stays; everything else becomes what it was.
    sheet = read_sheet(world.mom)
    wanted = sheet | {"cell": sheet["cell"].__class__(Device.CELL, None, "+16125557735", marks={})}
    save_sheet(world.mom, sheet, wanted, Author(Door.ADMIN, admin))
    assert "Undo this batch?" in text_of(client.get(reverse("batch", args=[batch.uuid])))
    client.post(reverse("batch_undo", args=[batch.uuid]))
    batch_tasks.run_batch(batch.pk)
    batch.refresh_from_db()
    assert (batch.state, batch.counts["changed_since"]) == (State.UNDONE, 1)
    assert masks() == before | {(world.mom.pk, "cell"): 0}
    assert "Changed since, left alone" in text_of(client.get(reverse("batch", args=[batch.uuid])))
    assert "Undo of a batch" in text_of(
        client.get(reverse("person_history", args=[world.dad.uuid]))
    )


@pytest.mark.spec("A4-12")
@pytest.mark.parametrize(
    ("action", "becomes"),
    [
        ("add", ALL_BUT_TEACHER | TEACHER),
        ("remove", ALL_BUT_TEACHER & ~GENERAL),
        ("override", GENERAL),
    ],
)
def test_marks_are_added_cleared_or_overridden(
    client: Client, world: Any, action: str, becomes: int
) -> None:
    reasons = [str(TEACHER)] if action == "add" else [str(GENERAL)]
    batch = run(client, world, action=action, reasons=reasons, devices=["cell"])
    assert masks()[(world.dad.pk, "cell")] == becomes
    assert batch.counts["marks_added"] + batch.counts["marks_removed"] >= 1
    again = run(client, world, action=action, reasons=reasons, devices=["cell"])
    assert again.counts.get("points", 0) == 0, "the same again changes nothing"


def test_choices_of_the_portal_and_devices_with_marks_are_spared(
    client: Client, world: Any
) -> None:
    mine = ContactPreference.objects.filter(
        contact_point__person=world.mom, contact_point__device="cell"
    )
    mine.update(reasons=1, set_by=Door.PORTAL)
    batch = run(client, world, devices=["cell"])
    assert mine.get().reasons == 1
    assert batch.counts["left_alone"] == 1
    batch = run(client, world, devices=["email"], reasons=["1"], only_unmarked="on")
    assert masks(Mode.EMAIL)[(world.mom.pk, "email")] == 1
    assert (
        run(client, world, devices=["email"], reasons=["2"], only_unmarked="on").counts["points"]
        == 0
    )
    run(client, world, devices=["cell"], replace_portal="on")
    assert mine.get().reasons == 1 | TEACHER
    replaced = PreferenceBatch.objects.latest("pk")
    PreferenceBatch.objects.filter(pk=replaced.pk).update(state=State.UNDO_WAITING)
    batch_tasks.run_batch(replaced.pk)
    assert (mine.get().reasons, mine.get().set_by) == (1, "portal"), "it is the portal's again"


def test_a_lost_worker_is_found_and_the_batch_ends_once(
    client: Client, world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post(reverse("batch_new"), answers(world))
    batch = PreferenceBatch.objects.get()
    PreferenceBatch.objects.update(state=State.RUNNING, counts={"points": 0})
    rung: list[int] = []
    monkeypatch.setattr(batch_tasks, "start_batch", rung.append)
    batch_tasks.resume_batches()
    assert rung == [batch.pk]
    batch_tasks.run_batch(batch.pk)
    lines = ContactChange.objects.count()
    batch_tasks.run_batch(batch.pk)
    assert ContactChange.objects.count() == lines
    batch.refresh_from_db()
    assert batch.state == State.DONE


def test_losing_the_emergency_mark_is_warned_of(client: Client, world: Any) -> None:
    page = client.get(reverse("batch_new"), answers(world, action="override", devices=["cell"]))
    assert "would no longer be used in an emergency" in text_of(page)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"schools": []}, "Choose a school."),
        ({"devices": []}, "Choose a device."),
        ({"reasons": []}, "Choose a reason."),
        ({"deliver_to": []}, "Choose whose preferences are set."),
        ({"devices": ["text"]}, "Select a valid choice."),
    ],
)
def test_what_is_missing_is_said(
    client: Client, world: Any, more: dict[str, Any], words: str
) -> None:
    for answer in (
        client.get(reverse("batch_new"), answers(world, **more)),
        client.post(reverse("batch_new"), answers(world, **more)),
    ):
        assert answer.status_code == 422
        assert words in text_of(answer)
    assert not PreferenceBatch.objects.exists()


def test_only_schools_of_the_right(client: Client, world: Any) -> None:
    limited = make_user("limited")
    role = Role.objects.create(name="Batches", rights=[PREFERENCES_BATCH])
    RoleAssignment.objects.create(user=limited, role=role, school=world.middle)
    own = client_of(limited)
    assert own.post(reverse("batch_new"), answers(world)).status_code == 422
    theirs = run(client, world)
    mine = run(own, world, schools=[str(world.middle.pk)])
    assert own.get(reverse("batch", args=[theirs.uuid])).status_code == 404
    assert own.post(reverse("batch_undo", args=[theirs.uuid])).status_code == 404
    assert own.get(reverse("batch", args=[mine.uuid])).status_code == 200
    assert len(own.get(reverse("batches")).context["rows"]) == 1
    assert len(client.get(reverse("batches")).context["rows"]) == 2
