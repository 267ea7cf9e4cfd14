"""Delta files: only what they name changes."""

from pathlib import Path

import pytest

from messenger.models import (
    ClassEnrollment,
    ContactPoint,
    District,
    Enrollment,
    Household,
    Person,
    Relationship,
    RosterImport,
    School,
    StaffAssignment,
)
from tests.roster.bundles import Bundle, as_1_2, counts, nothing_changed, places, small_roster, user

pytestmark = pytest.mark.django_db
CHANGED = {"status": "active", "dateLastModified": "2026-11-20T08:00:00Z"}
GONE = {"status": "tobedeleted", "dateLastModified": "2026-11-20T08:00:00Z"}


def delta(version: str = "1.1", **files: list[dict[str, str]]) -> Bundle:
    return Bundle(files, version=version, modes=dict.fromkeys(files, "delta"))


@pytest.fixture(autouse=True)
def before(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "before")


def test_a_person_is_added_and_nobody_is_missed(tmp_path: Path) -> None:
    eva = user("eva", "student", "s1", grades="KG", agentSourcedIds="mom", **CHANGED)
    run = delta(users=[eva]).load(tmp_path / "r", accept=False)
    assert run.state == RosterImport.State.DONE
    made = counts(run)
    assert made["people"] == made["enrollments"] == made["relationships"] == (1, 0, 0)
    assert made["households"] == made["memberships"] == (0, 0, 0)
    assert Person.objects.filter(active=True).count() == 6


def test_a_person_is_removed_by_name(tmp_path: Path) -> None:
    run = delta(users=[user("tim", "teacher", "s1", **GONE)]).load(tmp_path / "r", accept=False)
    assert run.state == RosterImport.State.REFUSED  # the only staff member: a person decides
    assert Person.objects.get(sourced_id="tim").active
    delta(users=[user("tim", "teacher", "s1", **GONE)]).load(tmp_path / "r")
    assert not Person.objects.get(sourced_id="tim").active
    assert not StaffAssignment.objects.get().active
    assert not ContactPoint.objects.get(person__sourced_id="tim").active


def test_a_guardian_is_removed_with_links_and_membership(tmp_path: Path) -> None:
    delta(users=[user("dad", "parent", **GONE)]).load(tmp_path / "r")
    links = Relationship.objects.filter(active=True)
    assert set(links.values_list("guardian__sourced_id", flat=True)) == {"mom"}
    household = Household.objects.get()
    members = household.memberships.filter(active=True)
    # The household stays mom's until the next bulk file; its phone keeps its preferences.
    assert set(members.values_list("person__sourced_id", flat=True)) == {"mom", "ann", "bob"}


def test_a_row_names_all_agents_and_a_blank_says_nothing(tmp_path: Path) -> None:
    ann = user("ann", "student", "s1", grades="03", **CHANGED)
    assert counts(delta(users=[ann]).load(tmp_path / "r"))["relationships"] == (0, 0, 0)
    run = delta(users=[ann | {"agentSourcedIds": "mom"}]).load(tmp_path / "r")
    assert counts(run)["relationships"] == (0, 0, 1)
    ended = Relationship.objects.get(active=False)
    assert (ended.student.sourced_id, ended.guardian.sourced_id) == ("ann", "dad")


def test_a_changed_number_is_that_persons_alone(tmp_path: Path) -> None:
    mom = user("mom", "parent", sms="612-555-0144", phone="612-555-0100", email="Mom@Vang.Example")
    run = delta(users=[mom | CHANGED]).load(tmp_path / "r", accept=False)
    assert counts(run)["contact_points"] == (0, 1, 0)
    assert ContactPoint.objects.filter(active=True).count() == 6
    assert Household.objects.get().active


def test_a_new_guardian_joins_the_household_of_those_who_are_there(tmp_path: Path) -> None:
    gran = user("gran", "relative", phone="612-555-0100", agentSourcedIds="ann,bob", **CHANGED)
    delta(users=[gran]).load(tmp_path / "r")
    members = Household.objects.get().memberships.filter(active=True)
    assert set(members.values_list("person__sourced_id", flat=True)) == {
        *("mom", "dad", "gran", "ann", "bob")
    }
    assert Relationship.objects.get(guardian__sourced_id="gran", student__sourced_id="ann").label


def test_somebody_already_there_shares_a_number_with_somebody_new(tmp_path: Path) -> None:
    mom = user("mom", "parent", phone="612-555-0190", **CHANGED)
    delta(users=[mom]).load(tmp_path / "r")
    gran = user("gran", "relative", phone="612-555-0190", agentSourcedIds="ann", **CHANGED)
    delta(users=[gran]).load(tmp_path / "r")
    numbers = set(
        ContactPoint.objects.filter(device="household", active=True).values_list("value", flat=True)
    )
    assert numbers == {"+16125550100", "+16125550190"}
    assert not ContactPoint.objects.filter(
        person__sourced_id="mom", device="other", active=True
    ).exists()


def test_a_student_moves_to_another_school(tmp_path: Path) -> None:
    run = delta(users=[user("ann", "student", "s2", grades="04", **CHANGED)]).load(tmp_path / "r")
    assert counts(run)["enrollments"] == (1, 0, 1)
    now = Enrollment.objects.get(person__sourced_id="ann", active=True)
    assert (now.calendar.school.sourced_id, now.grade) == ("s2", "04")


def test_enrollments_in_classes_come_and_go(tmp_path: Path) -> None:
    rows = [
        {"sourcedId": "e1", **GONE, "classSourcedId": "c1", "userSourcedId": "ann",
         "schoolSourcedId": "s1", "role": "student"},
        {"sourcedId": "e7", **CHANGED, "classSourcedId": "c2", "userSourcedId": "ann",
         "schoolSourcedId": "s2", "role": "student", "beginDate": "2026-11-20"},
    ]  # fmt: skip
    run = delta(enrollments=rows).load(tmp_path / "r", accept=False)
    assert counts(run)["class_enrollments"] == (1, 0, 1)
    assert places(run) == set()
    assert str(ClassEnrollment.objects.get(sourced_id="e7").start_date) == "2026-11-20"


def test_references_may_lead_to_what_is_there_but_not_to_what_goes(tmp_path: Path) -> None:
    rows = [
        {"sourcedId": "c1", **GONE, "title": "x", "schoolSourcedId": "s1",
         "courseSourcedId": "math", "classType": "scheduled", "termSourcedIds": "y"},
        {"sourcedId": "c8", **CHANGED, "title": "Art", "schoolSourcedId": "s1",
         "courseSourcedId": "math", "classType": "scheduled", "termSourcedIds": "y"},
    ]  # fmt: skip
    seats = [
        {"sourcedId": "e8", **CHANGED, "classSourcedId": target, "userSourcedId": "ann",
         "schoolSourcedId": "s1", "role": "student"}
        for target in ("c1",)
    ]  # fmt: skip
    run = delta(classes=rows, enrollments=seats).load(tmp_path / "r")
    assert places(run) == {("enrollments.csv", 2, "classSourcedId", "broken_reference")}
    assert counts(run)["classes"] == (1, 0, 1)


def test_a_school_that_goes_needs_a_person(tmp_path: Path) -> None:
    rows = [{"sourcedId": "s2", **GONE, "name": "Prairie High", "type": "school"}]
    run = delta(orgs=rows).load(tmp_path / "r", accept=False)
    assert run.state == RosterImport.State.REFUSED
    assert "Prairie High" in run.refusal
    delta(orgs=rows).load(tmp_path / "r")
    assert not School.objects.get(sourced_id="s2").active


@pytest.mark.parametrize("status", ["", "perhaps"])
def test_a_delta_row_needs_a_status(status: str, tmp_path: Path) -> None:
    run = delta(users=[user("ann", "student", "s1", status=status)]).load(tmp_path / "r")
    code = "unknown_status" if status else "missing_status"
    assert places(run) == {("users.csv", 2, "status", code)}
    assert Person.objects.get(sourced_id="ann").active
    assert nothing_changed(run)


def test_without_a_manifest_rows_to_be_deleted_make_a_delta(tmp_path: Path) -> None:
    bundle = delta(users=[user("tim", "teacher", "s1", **GONE)])
    bundle.manifest = False
    bundle.load(tmp_path / "r")
    assert set(Person.objects.filter(active=False).values_list("sourced_id", flat=True)) == {"tim"}


def test_roles_of_1_2_come_and_go(tmp_path: Path) -> None:
    as_1_2(small_roster()).load(tmp_path / "full")
    role = {"roleType": "secondary", "orgSourcedId": "s1"}
    rows = [
        {"sourcedId": "r1", **GONE, "userSourcedId": "ann", "role": "student", **role},
        {"sourcedId": "r8", **CHANGED, "userSourcedId": "mom", "role": "aide", **role},
        {"sourcedId": "r9", **CHANGED, "userSourcedId": "tim", "role": "counselor", **role},
    ]
    run = delta("1.2", roles=rows).load(tmp_path / "r")
    assert places(run) == set()
    assert counts(run)["people"] == (0, 2, 0)
    ann = Person.objects.get(sourced_id="ann")
    assert (ann.is_student, ann.active) == (False, True)
    assert not Enrollment.objects.get(person=ann).active
    assert Person.objects.get(sourced_id="mom").is_staff_member
    types = StaffAssignment.objects.filter(active=True).values_list("staff_type", flat=True)
    assert set(types) == {"Teacher", "Aide", "Counselor"}
    assert ContactPoint.objects.filter(active=True).count() == 6


def test_a_delta_of_1_2_without_roles_leaves_the_roles_alone(tmp_path: Path) -> None:
    as_1_2(small_roster()).load(tmp_path / "full")
    ann = {"sourcedId": "ann", **CHANGED, "givenName": "Anne", "familyName": "Vang"}
    run = delta("1.2", users=[ann]).load(tmp_path / "r")
    assert counts(run)["people"] == (0, 1, 0)
    assert counts(run)["enrollments"] == (0, 0, 0)
    assert Person.objects.get(sourced_id="ann").is_student


def test_what_ends_is_looked_at_again_before_calls_go_out(tmp_path: Path) -> None:
    District.objects.update(contacts_changed_at=None)
    small_roster().load(tmp_path / "r")
    assert District.objects.get().contacts_changed_at is None
    delta(users=[user("dad", "parent", **GONE)]).load(tmp_path / "r")
    assert District.objects.get().contacts_changed_at is not None
