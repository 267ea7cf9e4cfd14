"""The Personal Contact Information editor: what is shown, refused, saved and remembered."""

import re
from typing import Any

import pytest
from django.db import InternalError, connection, transaction
from django.test import Client
from django.urls import reverse

from messenger.models import (
    ContactChange,
    ContactPoint,
    ContactPreference,
    ContactReason,
    Device,
    District,
    HouseholdMembership,
    Mode,
    Person,
    User,
)
from messenger.models.contact import ALL_BUT_TEACHER
from messenger.preferences import read_sheet
from tests.pages.cast import READ_ONLY, SECRETARY, client_of, make_user
from tests.pages.test_compose import text_of
from tests.world import add_household, add_person

EVERY = [str(reason.bit) for reason in ContactReason]


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


def page_of(client: Client, person: Person) -> Any:
    return client.get(reverse("person", args=[person.uuid]))


def form_of(client: Client, person: Person) -> dict[str, Any]:
    """What the page would send when nothing is changed."""
    form = page_of(client, person).context["form"]
    data: dict[str, Any] = {"seen": form["seen"].value(), "language": form["language"].value()}
    for row in form.rows():
        for field in (row.value, row.extension):
            if field is not None:
                data[field.html_name] = field.value() or ""
        if row.private is not None and row.private.value():
            data[row.private.html_name] = "on"
        for mode in row.modes:
            data[mode.name] = [str(cell.bit) for cell in mode.cells if cell.marked]
    return data


def save(client: Client, person: Person, **more: Any) -> Any:
    data = form_of(client, person) | {name.replace("__", "-"): v for name, v in more.items()}
    return client.post(reverse("person", args=[person.uuid]), data, follow=True)


def marks(person: Person, device: Device, mode: Mode = Mode.VOICE) -> int:
    wish = ContactPreference.objects.filter(
        contact_point__person=person, contact_point__device=device, mode=mode
    ).first()
    return wish.reasons if wish else 0


@pytest.mark.spec("A7-03")
def test_the_grid_has_the_sources_rows_and_columns(client: Client, world: Any) -> None:
    page = page_of(client, world.mom)
    form = page.context["form"]
    assert [row.label for row in form.rows()] == [
        *("Email", "Secondary Email", "Alisa & Jeremy Family Household"),
        *("Cell Phone", "Other Phone", "Work Phone", "Pager"),
    ]
    assert [label for label, _bit in form.reasons()] == [
        *("Emergency", "Attendance", "Behavior Messenger", "General", "Food Service"),
        *("Priority", "Teacher"),
    ]
    heads = re.findall(r'<th scope="col"[^>]*>(?:<span>)?([^<]+)', page.content.decode())
    assert heads[:4] == ["Contact Information", "Private", "Delivery Device", "Emergency"]
    assert [row.key for row in form.rows() if row.extension] == ["cell", "other", "work", "pager"]


@pytest.mark.spec("A7-04")
def test_the_sources_screenshot(client: Client, world: Any) -> None:
    """Household, cell, other and work: Voice for all but Teacher; the email rows are off."""
    shown = {
        row.label: [cell.marked for cell in mode.cells]
        for row in page_of(client, world.mom).context["form"].rows()
        for mode in row.modes
        if mode.mode != Mode.TEXT
    }
    six = [True] * 6 + [False]
    phones = ("Alisa & Jeremy Family Household", "Cell Phone", "Other Phone", "Work Phone")
    assert all(shown[label] == six for label in phones)
    assert shown["Email"] == shown["Secondary Email"] == shown["Pager"] == [False] * 7
    values = [
        row.value.value() for row in page_of(client, world.mom).context["form"].rows() if row.value
    ]
    assert values[2:6] == ["(612) 555-0225", "(612) 555-7735", "(612) 555-4454", "(612) 555-3218"]


@pytest.mark.spec("A4-11")
def test_marks_are_set_for_each_number_and_the_difference_is_said(
    client: Client, world: Any, admin: User
) -> None:
    """Three marks more, one less; on no other device and for nobody else."""
    bits = [str(r.bit) for r in ContactReason if r != ContactReason.GENERAL]
    email = [str(ContactReason.EMERGENCY.bit), str(ContactReason.ATTENDANCE.bit)]
    answer = save(client, world.mom, **{"marks-cell-voice": bits, "marks-email-email": email})
    assert "Saved: 3 marks added, 1 mark removed." in text_of(answer)
    assert marks(world.mom, Device.CELL) == 127 - ContactReason.GENERAL.bit
    assert marks(world.mom, Device.EMAIL, Mode.EMAIL) == 3
    assert marks(world.mom, Device.WORK) == marks(world.dad, Device.CELL) == ALL_BUT_TEACHER
    lines = list(ContactChange.objects.order_by("id"))
    assert [(line.device, line.mode) for line in lines] == [("email", "email"), ("cell", "voice")]
    assert {(line.door, line.user_id, line.person_id) for line in lines} == {
        ("admin", admin.pk, world.mom.pk)
    }
    history = text_of(client.get(reverse("person_history", args=[world.mom.uuid])))
    assert "Cell, Voice" in history
    assert "Person page" in history
    assert "Emergency, Attendance, Behavior Messenger, Food Service, Priority, Teacher" in history


def test_saving_without_a_change_writes_nothing(client: Client, world: Any) -> None:
    assert "Nothing was changed." in text_of(save(client, world.mom))
    assert not ContactChange.objects.exists()
    assert not ContactPreference.objects.exclude(set_by="").exists()


@pytest.mark.spec("A4-02")
@pytest.mark.spec("A7-06")
@pytest.mark.parametrize("device", ["household", "cell", "other", "work", "pager"])
@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("555-0142", "The area code is missing: ten digits are needed."),
        ("61255", "There are too few digits: ten are needed."),
        ("112 555 0142", "No area code looks like this one."),
        ("call me", "This is not a phone number."),
    ],
)
def test_every_phone_field_refuses_what_cannot_be_dialed(
    client: Client, world: Any, device: str, typed: str, reason: str
) -> None:
    key = f"household{world.household.pk}" if device == "household" else device
    answer = save(client, world.mom, **{f"value-{key}": typed, "value-email2": "a@b.example"})
    assert answer.status_code == 422
    assert reason in text_of(answer)
    assert f'value="{typed}"' in answer.content.decode(), "what was typed is not lost"
    assert 'value="a@b.example"' in answer.content.decode()
    assert not ContactChange.objects.exists()


@pytest.mark.spec("A4-02")
@pytest.mark.parametrize(
    "typed", ["612-555-0142", "(612)555-0142", "612.555.0142", "+1 612 555 0142", "6125550142"]
)
def test_the_usual_ways_of_writing_a_number_are_one_number(
    client: Client, world: Any, typed: str
) -> None:
    save(client, world.mom, **{"value-work": f"{typed} x204", "ext-work": ""})
    point = ContactPoint.objects.get(person=world.mom, device=Device.WORK)
    assert (point.value, point.extension, point.valid) == ("+16125550142", "204", True)


@pytest.mark.spec("A4-02")
def test_an_imported_number_without_area_code_is_kept_marked_and_may_stay(
    client: Client, world: Any
) -> None:
    page = text_of(page_of(client, world.seven_digits))
    assert "The area code is missing: ten digits are needed. It is never dialed." in page
    answer = save(client, world.seven_digits, **{"value-email": "joy@hart.example"})
    assert "Email changed" in text_of(answer)
    point = ContactPoint.objects.get(person=world.seven_digits, device=Device.CELL)
    assert (point.value, point.problem, point.source) == ("555-0331", "seven_digits", "roster")
    save(client, world.seven_digits, **{"value-cell": "612 555 0331"})
    point.refresh_from_db()
    assert (point.value, point.valid, point.problem) == ("+16125550331", True, "")
    assert marks(world.seven_digits, Device.CELL) == ALL_BUT_TEACHER, "its marks were kept"


@pytest.mark.spec("A3-03")
def test_the_household_phone_is_one_for_all_active_members(client: Client, world: Any) -> None:
    key = f"household{world.household.pk}"
    answer = save(
        client, world.mom, **{f"marks-{key}-voice": ["1"], f"value-{key}": "612 555 0226"}
    )
    assert "5 marks removed, Alisa &amp; Jeremy Family Household changed" in text_of(answer)
    assert "apply to all active members" in text_of(answer)
    for member in (world.dad, world.son):
        line = read_sheet(member)[key]
        assert (line.value, line.marks) == ("+16125550226", {"voice": 1})
    assert "Household Phone (Alisa &amp; Jeremy Family)" in text_of(
        client.get(reverse("person_history", args=[world.dad.uuid]))
    )
    assert ContactPoint.objects.filter(household=world.household).count() == 1
    HouseholdMembership.objects.filter(person=world.dad).update(active=False)
    assert key not in read_sheet(world.dad), "an ended membership removes it"
    assert f"household{world.max_household.pk}" not in read_sheet(world.moved_out)


def test_a_removed_number_is_not_reached_and_does_not_come_back(client: Client, world: Any) -> None:
    answer = save(client, world.mom, **{"value-cell": "", "marks-cell-voice": EVERY[:6]})
    assert "Saved: 6 marks removed, Cell Phone removed." in text_of(answer)
    point = ContactPoint.objects.get(person=world.mom, device=Device.CELL)
    assert (point.active, point.source) == (False, "admin")
    assert marks(world.mom, Device.CELL) == 0
    line = ContactChange.objects.get(subject="point")
    assert (line.before, line.after) == ("+16125557735", "")


def test_marks_need_something_to_reach(client: Client, world: Any) -> None:
    answer = save(client, world.mom, **{"marks-pager-voice": ["1"]})
    assert answer.status_code == 422
    assert "There is nothing to reach" in text_of(answer)


def test_texts_need_the_districts_messaging_and_a_phone_that_can_take_them(
    client: Client, world: Any
) -> None:
    assert "Text (SMS)" not in text_of(page_of(client, world.opted_in))
    save(client, world.opted_in, **{"value-work": "612 555 0143"})
    assert marks(world.opted_in, Device.CELL, Mode.TEXT) == ALL_BUT_TEACHER, "hidden and kept"
    District.objects.update(text_enabled=True)
    page = text_of(page_of(client, world.opted_out))
    assert "STOP was sent from this number: it gets no texts." in page
    for number, extension in (("800 555 0199", ""), ("612 555 0144", "12")):
        answer = save(
            client,
            world.mom,
            **{"value-work": number, "ext-work": extension, "marks-work-text": ["1"]},
        )
        assert answer.status_code == 422
        assert "No text can reach this number" in text_of(answer)
    save(client, world.mom, **{"marks-cell-text": ["1", "8"]})
    assert marks(world.mom, Device.CELL, Mode.TEXT) == 9


def test_whole_rows_and_columns_without_script(client: Client, world: Any) -> None:
    """The answer shows them and saves nothing."""
    shown = save(client, world.mom, set="row:marks-cell-voice:1")
    boxes = {row.key: row.modes[0].cells for row in shown.context["form"].rows()}
    assert [cell.marked for cell in boxes["cell"]] == [True] * 7
    assert "Not saved yet." in text_of(shown)
    shown = save(client, world.mom, set=f"column:{ContactReason.TEACHER.bit}:1")
    boxes = {row.key: row.modes[0].cells for row in shown.context["form"].rows()}
    on = {key for key, cells in boxes.items() if cells[6].marked}
    assert on == {"email", f"household{world.household.pk}", "cell", "other", "work"}
    assert not ContactChange.objects.exists()


def test_what_two_people_change_at_once_is_shown_and_not_lost(client: Client, world: Any) -> None:
    mine = form_of(client, world.mom)
    other = client_of(make_user("other", SECRETARY, world.elementary))
    save(other, world.mom, **{"value-work": "612 555 0177", "marks-cell-voice": [*EVERY[:6], "64"]})
    url = reverse("person", args=[world.mom.uuid])
    mine |= {"value-other": "612 555 0188", "marks-cell-voice": EVERY[1:6]}
    answer = client.post(url, mine)
    assert answer.status_code == 409
    assert "Somebody else has changed this meanwhile" in text_of(answer)
    assert "(612) 555-3218 → (612) 555-0177" in text_of(answer)
    assert ContactPoint.objects.get(person=world.mom, device="other").value == "+16125554454"
    form = answer.context["form"]
    rows = {row.key: row for row in form.rows()}
    assert rows["work"].value.value() == "(612) 555-0177", "theirs"
    assert rows["other"].value.value() == "(612) 555-0188", "mine"
    # Emergency off is mine, Teacher on is theirs.
    assert [cell.marked for cell in rows["cell"].modes[0].cells] == [False] + [True] * 6
    again = {"seen": form["seen"].value(), "language": ""}
    for row in rows.values():
        again |= {f.html_name: f.value() or "" for f in (row.value, row.extension) if f}
        again |= {m.name: [str(c.bit) for c in m.cells if c.marked] for m in row.modes}
    assert "Saved: 1 mark removed, Other Phone changed." in text_of(
        client.post(url, again, follow=True)
    )


def test_a_page_that_was_tampered_with_is_not_saved(client: Client, world: Any) -> None:
    answer = save(client, world.mom, seen="x:y:z", **{"value-work": ""})
    assert "too old to be saved" in text_of(answer)
    assert not ContactChange.objects.exists()


def test_a_private_number_is_shown_only_to_those_who_may(world: Any, admin: User) -> None:
    office = client_of(make_user("office", SECRETARY, world.high))
    page = page_of(office, world.private_cell)
    body = page.content.decode()
    assert "555-0341" not in body
    assert "(•••) •••-•••• private" in text_of(page)
    assert "555-0342" in body
    from django.core import signing

    packed = str(
        signing.loads(form_of(office, world.private_cell)["seen"], salt="contact information")
    )
    assert "5550341" not in packed
    # Its marks can be changed all the same, and the number stays.
    answer = save(office, world.private_cell, **{"marks-cell-voice": ["1"]})
    assert "5 marks removed" in text_of(answer)
    point = ContactPoint.objects.get(person=world.private_cell, device="cell")
    assert (point.value, point.private) == ("+16125550341", True)
    save(client_of(admin), world.private_cell, **{"value-cell": "612 555 0349"})
    history = text_of(office.get(reverse("person_history", args=[world.private_cell.uuid])))
    assert "Private Private Admin" in history.replace("\n", " ") or "0349" not in history
    assert "0341" not in history


def test_who_may_not_edit_sees_and_changes_nothing(world: Any) -> None:
    reader = client_of(make_user("reader", READ_ONLY))
    assert "Mark all" not in text_of(page_of(reader, world.mom))
    assert save(reader, world.mom, **{"value-cell": ""}).status_code == 403
    other_school = client_of(make_user("middle", SECRETARY, world.middle))
    url = reverse("person", args=[world.mom.uuid])
    never = reverse("person", args=["00000000-0000-4000-8000-000000000000"])
    for where in (url, never):
        assert other_school.get(where).status_code == 404
        assert other_school.post(where, {"seen": ""}).status_code == 404


def test_the_preferred_language_stays_when_the_roster_says_another(
    client: Client, world: Any, admin: User
) -> None:
    answer = save(client, world.mom, language="so")
    assert "preferred language changed" in text_of(answer)
    world.mom.refresh_from_db()
    assert (world.mom.language, world.mom.language_chosen) == ("so", True)


def test_the_history_only_grows(client: Client, world: Any) -> None:
    save(client, world.mom, **{"value-work": ""})
    for statement in (
        "UPDATE messenger_contactchange SET after = ''",
        "DELETE FROM messenger_contactchange",
    ):
        with pytest.raises(InternalError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert ContactChange.objects.exists()


def test_two_homes_are_two_lines(client: Client, world: Any) -> None:
    lone = add_person("Lone Wolf")
    assert [key for key in read_sheet(lone) if key.startswith("household")] == []
    labels = [row.label for row in page_of(client, world.minh).context["form"].rows()]
    assert labels[2:4] == [
        "Lan Nguyễn & Peter Olson Household",
        "Tuấn & Ana Nguyễn Household",
    ]
    assert add_household("X", "+16125550999", lone)


def test_stop_is_a_line_of_the_history(client: Client, world: Any) -> None:
    from messenger.opt_outs import stop_texts

    stop_texts("+16125557735", "text message")
    page = text_of(client.get(reverse("person_history", args=[world.mom.uuid])))
    assert "The owner of the number" in page
    assert "Opted out" in page
    assert "text message" in page
