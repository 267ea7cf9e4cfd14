"""What a person, or a student's family, was sent, whatever their numbers are now."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from messenger.models import (
    ContactPoint,
    Message,
    Person,
    Relationship,
    School,
    User,
)
from sentlog import received
from sentlog.views import received as page
from tests.sentlog.looking import signed_in, text_of
from tests.sentlog.rows import Ledger, enroll, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")
CELL, OLD, DADS = "+16125557735", "+16125550001", "+16125559999"


@pytest.fixture
def school(district: object) -> School:
    return make_school("Harrison High")


@pytest.fixture
def family(school: School) -> dict[str, Person]:
    """A student with two parents, who have a cell phone each."""
    son = make_person("Lee, Son", is_student=True)
    mom, dad = make_person("Lee, Mom"), make_person("Lee, Dad")
    enroll(son, school)
    for parent, number in ((mom, CELL), (dad, DADS)):
        Relationship.objects.create(student=son, guardian=parent, messenger=True)
        ContactPoint.objects.create(person=parent, device="cell", value=number)
    return {"son": son, "mom": mom, "dad": dad}


def sent(subject: str, hours_ago: int = 0, **values: Any) -> Ledger:
    now = timezone.now() - timedelta(hours=hours_ago)
    return Ledger(make_message(subject=subject, created_at=now, launched_at=now, **values))


def words(client: Client, person: Person, **query: str) -> str:
    return text_of(client.get(reverse("person_messages", args=[person.uuid]), query))


def test_each_message_with_number_result_and_reason(
    visitor: Client, family: dict[str, Person], school: School
) -> None:
    son, mom, dad = family["son"], family["mom"], family["dad"]
    common = {"student": son, "school": school}
    snow = sent("Snow day", 2, district_wide=True)
    snow.add(mom, "voice", CELL, outcome="successful", code=5, tries=2, confirmed=True, **common)
    snow.add(dad, "voice", DADS, outcome="failed", code=3, tries=1, **common)
    late = sent("Bus is late", 1)
    late.add(mom, "none", **common)
    sent("Not to them").add(make_person("Else, Who"), "voice", "+16125550123", school=school)
    shown = words(visitor, mom)
    assert shown.index("Bus is late") < shown.index("Snow day"), "newest first"
    assert "No number or address was marked for this kind of message." in shown
    assert "Cell (612) 555-7735" in shown
    assert "5 Live Person" in shown
    assert "Confirmed with 0" in shown
    assert "Lee, Dad" not in shown
    assert "Not to them" not in shown
    # About the student: everybody who was told.
    shown = words(visitor, son)
    assert "Lee, Mom" in shown
    assert "Lee, Dad" in shown
    assert "3 Not In Service" in shown
    assert (
        reverse("person_messages", args=[son.uuid])
        in visitor.get(reverse("person", args=[son.uuid])).content.decode()
    )


def test_rows_keep_the_number_of_their_day(
    visitor: Client, family: dict[str, Person], school: School
) -> None:
    mom = family["mom"]
    sent("Last year").add(mom, "voice", OLD, outcome="failed", code=1, tries=3, school=school)
    assert "Cell (612) 555-0001" in words(visitor, mom)


def test_private_numbers_and_other_schools_stay_hidden(
    visitor: Client, family: dict[str, Person], school: School, make_user: Callable[..., User]
) -> None:
    mom, other = family["mom"], make_school("Elsewhere")
    ledger = sent("To two schools", schools=[school, other])
    ledger.add(mom, "voice", CELL, outcome="successful", code=5, school=school, private=True)
    elsewhere = sent("Elsewhere alone", schools=[other])
    elsewhere.add(mom, "voice", CELL, outcome="successful", code=5, school=other)
    assert "(612) 555-7735" in words(visitor, mom), "an administrator may see private numbers"
    secretary = signed_in(make_user("s", "School secretary", school))
    shown = words(secretary, mom)
    assert "Cell Private number" in shown
    assert "555-7735" not in shown
    assert "Elsewhere alone" not in shown
    stranger = signed_in(make_user("o", "School secretary", other))
    address = reverse("person_messages", args=[mom.uuid])
    assert stranger.get(address).status_code == 404
    assert signed_in(make_user("n")).get(address).status_code == 403


def test_pages_go_on_where_the_last_one_ended(
    visitor: Client,
    family: dict[str, Person],
    school: School,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many messages lie between that were not for them."""
    monkeypatch.setattr(page, "PAGE", 2)
    monkeypatch.setattr(received, "CHUNK", 3)
    mom = family["mom"]
    for number in range(20):
        ledger = sent(f"m{number}.", hours_ago=number)
        if number % 5 == 0:
            ledger.add(mom, "voice", CELL, outcome="successful", code=5, school=school)
    first = visitor.get(reverse("person_messages", args=[mom.uuid]))
    assert [each.message.subject for each in first.context["shown"]] == ["m0.", "m5."]
    second = visitor.get(
        reverse("person_messages", args=[mom.uuid]), {"after": str(first.context["go_on"])}
    )
    assert [each.message.subject for each in second.context["shown"]] == ["m10.", "m15."]


def test_rows_are_found_by_index(visitor: Client, family: dict[str, Person]) -> None:
    """The table is never read through."""
    for number in range(3):
        sent(f"m{number}").add(family["mom"], "voice", CELL)
    with CaptureQueriesContext(connection) as queries:
        visitor.get(reverse("person_messages", args=[family["mom"].uuid]))
    (walk,) = [query["sql"] for query in queries if "unnest(" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_hashjoin = off")
        cursor.execute(f"EXPLAIN {walk}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan; RESET enable_hashjoin")
    assert "Index Scan" in plan or "Index Only Scan" in plan
    assert "Seq Scan" not in plan
    assert Message.objects.count() == 3
