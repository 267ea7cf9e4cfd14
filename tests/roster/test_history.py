"""What an import writes into the history of contact points, and what it never touches."""

from pathlib import Path

import pytest

from messenger.models import (
    ContactChange,
    ContactPoint,
    ContactPreference,
    HouseholdMembership,
    Person,
    Relationship,
)
from tests.roster.bundles import nothing_changed, small_roster

pytestmark = pytest.mark.django_db


def lines_of(sourced_id: str) -> list[tuple[str, str, str]]:
    person = Person.objects.get(sourced_id=sourced_id)
    lines = ContactChange.objects.filter(person_id=person.pk).order_by("id")
    assert all(line.door == "import" and line.user_name.startswith("r") for line in lines)
    return list(lines.values_list("device", "before", "after"))


def test_numbers_that_come_change_and_go_are_remembered(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    cell = ContactPoint.objects.get(person__sourced_id="mom", device="cell")
    first = lines_of("mom")
    assert ("cell", "", cell.value) in first
    assert ContactChange.objects.count() == ContactPoint.objects.count()
    assert nothing_changed(small_roster().load(tmp_path / "r"))
    assert ContactChange.objects.count() == ContactPoint.objects.count()
    bundle = small_roster()
    bundle.user("mom")["sms"] = "612-555-0444"
    bundle.load(tmp_path / "r")
    bundle.user("mom")["sms"] = ""
    bundle.load(tmp_path / "r", accept=True)
    bundle.user("mom")["sms"] = "612-555-0555"
    bundle.load(tmp_path / "r", accept=True)
    assert lines_of("mom")[len(first) :] == [
        ("cell", cell.value, "+16125550444"),
        ("cell", "+16125550444", ""),
        ("cell", "", "+16125550555"),
    ]


def test_what_was_decided_here_is_left_alone(tmp_path: Path) -> None:
    """Marks, relationships and members of a household that were made by hand, and a language."""
    small_roster().load(tmp_path / "r")
    ContactPreference.objects.update(reasons=5, set_by="admin")
    Person.objects.filter(sourced_id="mom").update(language="so", language_chosen=True)
    mom = Person.objects.get(sourced_id="mom")
    others = Person.objects.filter(is_student=True).exclude(relationships__guardian=mom)
    student = others.first() or Person.objects.create(given_name="New", family_name="Kid")
    Relationship.objects.create(student=student, guardian=mom, source="admin")
    household = HouseholdMembership.objects.filter(active=True).first()
    if household is not None:
        HouseholdMembership.objects.get_or_create(
            household=household.household, person=student, defaults={"source": "admin"}
        )
    before = HouseholdMembership.objects.filter(active=True).count()
    bundle = small_roster()
    bundle.metadata = (*bundle.metadata, "metadata.language")
    bundle.user("mom")["sms"] = "612-555-0444"
    bundle.user("mom")["metadata.language"] = "en"
    bundle.load(tmp_path / "r")
    mom.refresh_from_db()
    assert mom.language == "so"
    assert set(ContactPreference.objects.values_list("reasons", "set_by")) == {(5, "admin")}
    assert Relationship.objects.get(student=student, guardian=mom).active
    assert HouseholdMembership.objects.filter(active=True).count() == before
