"""The Relationships tab: columns, marks, dates, households, and what follows for a message."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from messenger.audience import preview
from messenger.composition import Composition
from messenger.models import (
    ContactChange,
    District,
    HouseholdMembership,
    Person,
    Relationship,
    User,
)
from messenger.preferences import read_sheet
from tests.launch.sending import draft
from tests.pages.cast import READ_ONLY, SECRETARY, client_of, make_user
from tests.pages.test_compose import text_of
from tests.world import local_today


@pytest.fixture
def client(admin: User) -> Client:
    return client_of(admin)


def url_of(person: Person) -> str:
    return reverse("person_relationships", args=[person.uuid])


def form_of(client: Client, person: Person) -> dict[str, Any]:
    """What the page would send when nothing is changed."""
    page = client.get(url_of(person))
    data = {}
    for form in [*page.context["links"], *page.context["members"]]:
        for field in form:
            value = field.value()
            if value is True or (value and not isinstance(value, bool)):
                data[field.html_name] = "on" if value is True else str(value)
    return data


def field_of(student: Person, guardian: Person, name: str) -> str:
    return f"relationship-{Relationship.objects.get(student=student, guardian=guardian).pk}-{name}"


def recipients(world: Any) -> int:
    return preview.preview(Composition.from_draft(draft([world.high]))).recipients


@pytest.mark.spec("A7-05")
def test_the_columns_of_the_source(client: Client, world: Any) -> None:
    Person.objects.filter(pk=world.mom.pk).update(gender="F")
    page = client.get(url_of(world.son))
    heads = re.findall(r'<th scope="col">([^<]+)', page.content.decode())
    assert heads[:11] == [
        *("Name", "Gender", "Relationship", "Start Date", "End Date", "Emergency Priority"),
        *("Guardian", "Mailing", "Portal", "Messenger", "Private"),
    ]
    shown = text_of(page)
    assert "Family, Alisa F" in shown
    mothers = text_of(client.get(url_of(world.mom)))
    assert "Family, Jake" in mothers, "from the contact's side as well"
    assert "Family, Brenna" in mothers


@pytest.mark.spec("A4-07")
@pytest.mark.spec("A7-05")
def test_only_the_messenger_mark_with_current_dates_makes_a_contact(
    client: Client, world: Any
) -> None:
    before = recipients(world)
    no_mark = field_of(world.iris, world.no_mark, "messenger")
    for other in ("mailing", "portal", "is_guardian"):
        data = form_of(client, world.iris) | {no_mark.replace("messenger", other): "on"}
        client.post(url_of(world.iris), data)
    assert recipients(world) == before, "other marks make nobody a contact"
    changed_at = District.current().contacts_changed_at
    client.post(url_of(world.iris), form_of(client, world.iris) | {no_mark: "on"})
    assert recipients(world) == before + 1
    assert District.current().contacts_changed_at != changed_at, "frozen calls are looked at again"
    yesterday = str(local_today() - timedelta(days=1))
    ended = {field_of(world.iris, world.no_mark, "end_date"): yesterday}
    answer = client.post(url_of(world.iris), form_of(client, world.iris) | ended, follow=True)
    assert "Saved: 1 change." in text_of(answer)
    assert recipients(world) == before
    fields = ContactChange.objects.filter(subject="link").values_list("field", flat=True)
    assert list(fields.order_by("id"))[-2:] == ["messenger", "end_date"]
    history = text_of(client.get(reverse("person_history", args=[world.no_mark.uuid])))
    assert "Day, Iris – Day, Una: Messenger – yes" in history


@pytest.mark.spec("A4-06")
def test_a_student_without_a_contact_gets_one(client: Client, world: Any) -> None:
    page = client.get(url_of(world.alone), {"q": "quist"})
    assert "Without a messenger contact no message about a student reaches anybody." in text_of(
        page
    )
    assert "Add Quist, Paula as contact" in text_of(page)
    before = recipients(world)
    relate = reverse("person_relate", args=[world.alone.uuid])
    client.post(relate, {"person": str(world.principal.uuid), "label": "Aunt"})
    link = Relationship.objects.get(student=world.alone)
    assert (link.guardian, link.label, link.messenger) == (world.principal, "Aunt", True)
    assert link.source == "admin", "no import ends it"
    assert recipients(world) == before + 1
    world.alone.refresh_from_db()
    assert world.alone.family == world.alone.pk


def test_two_people_at_once_lose_nothing(client: Client, world: Any) -> None:
    mine = form_of(client, world.son)
    label = field_of(world.son, world.mom, "label")
    office = client_of(make_user("office", SECRETARY, world.elementary))
    office.post(url_of(world.son), form_of(office, world.son) | {label: "Mother"})
    answer = client.post(url_of(world.son), mine | {label: "Stepmother"})
    assert answer.status_code == 409
    shown = text_of(answer)
    assert "Somebody else has changed this meanwhile" in shown
    assert "Guard: Mother → Mother" in shown
    assert 'value="Stepmother"' in answer.content.decode()
    link = Relationship.objects.get(student=world.son, guardian=world.mom)
    assert link.label == "Mother"
    seen = {f["seen"].html_name: f["seen"].value() for f in answer.context["links"]}
    seen |= {f["seen"].html_name: f["seen"].value() for f in answer.context["members"]}
    client.post(url_of(world.son), mine | {label: "Stepmother"} | seen)
    link.refresh_from_db()
    assert link.label == "Stepmother"


def test_bad_dates_are_refused_with_the_reason(client: Client, world: Any) -> None:
    data = form_of(client, world.son)
    start = field_of(world.son, world.mom, "start_date")
    answer = client.post(
        url_of(world.son), data | {start: "2026-09-01", start.replace("start", "end"): "2026-08-01"}
    )
    assert answer.status_code == 422
    assert "The end is before the start." in text_of(answer)
    assert not ContactChange.objects.exists()


@pytest.mark.spec("A3-03")
def test_members_of_a_household_come_and_go(client: Client, world: Any) -> None:
    key = f"household{world.max_household.pk}"
    member = HouseholdMembership.objects.get(household=world.max_household, person=world.stayed)
    yesterday = str(local_today() - timedelta(days=1))
    data = form_of(client, world.max) | {f"householdmembership-{member.pk}-end_date": yesterday}
    client.post(url_of(world.max), data)
    assert key not in read_sheet(world.stayed)
    relate = reverse("person_relate", args=[world.max.uuid])
    client.post(
        relate, {"person": str(world.moved_out.uuid), "household": str(world.max_household.uuid)}
    )
    assert key in read_sheet(world.moved_out)
    assert "Tess &amp; Karl Holm – Holm, Karl: Added" in text_of(
        client.get(reverse("person_history", args=[world.max.uuid]))
    )


def test_nobody_changes_what_they_may_not_see(client: Client, world: Any) -> None:
    reader = client_of(make_user("reader", READ_ONLY))
    assert reader.post(url_of(world.son), form_of(client, world.son)).status_code == 403
    middle = client_of(make_user("middle", SECRETARY, world.middle))
    assert middle.get(url_of(world.son)).status_code == 404
    # Finn Moe is of another school: his line is not on the page of his stepfather.
    shown = text_of(middle.get(url_of(world.between)))
    assert "Park, Sara" in shown
    assert "Moe, Finn" not in shown
    outside = reverse("person_relate", args=[world.second_child.uuid])
    assert middle.post(outside, {"person": str(world.mom.uuid)}).status_code == 404
