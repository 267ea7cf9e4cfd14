"""A roster in, people out: both versions, every tolerance, and the same file twice."""

import csv
import io
import random
from pathlib import Path

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import (
    Calendar,
    ClassEnrollment,
    ContactPoint,
    District,
    Enrollment,
    Person,
    Relationship,
    RosterImport,
    School,
    SchoolClass,
    StaffAssignment,
)
from messenger.roster.importer import import_roster
from tests.roster.bundles import (
    as_1_2,
    counts,
    nothing_changed,
    places,
    small_roster,
    user,
    year_name,
)

pytestmark = pytest.mark.django_db
DONE = RosterImport.State.DONE


def links() -> set[tuple[str, str]]:
    return set(
        Relationship.objects.filter(active=True).values_list(
            "student__sourced_id", "guardian__sourced_id"
        )
    )


def numbers() -> set[tuple[str, str, str]]:
    """Owner, device and value of every active contact point; a household is named by its name."""
    points = ContactPoint.objects.filter(active=True).select_related("person", "household")
    return {
        (p.person.sourced_id if p.person else p.household.name, p.device, p.value) for p in points
    }


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_a_roster_becomes_people(version: str, tmp_path: Path) -> None:
    bundle = small_roster()
    run = (bundle if version == "1.1" else as_1_2(bundle)).load(tmp_path / "r", accept=False)
    assert (run.state, run.version, run.refusal) == (DONE, version, "")
    assert places(run) == set()
    assert set(School.objects.values_list("name", flat=True)) == {
        "Cedar Elementary",
        "Prairie High",
    }
    assert set(Calendar.objects.values_list("school__sourced_id", "school_year", "name")) == {
        ("s1", 2027, "2026-2027 Cedar Elementary"),
        ("s2", 2027, "2026-2027 Prairie High"),
    }
    people = Person.objects.values_list("sourced_id", "is_student", "is_staff_member")
    assert set(people) == {
        ("ann", True, False),
        ("bob", True, False),
        ("mom", False, False),
        ("dad", False, False),
        ("tim", False, True),
    }
    assert set(Enrollment.objects.values_list("person__sourced_id", "grade")) == {
        ("ann", "03"),
        ("bob", "10"),
    }
    assert StaffAssignment.objects.get().staff_type == "Teacher"
    assert links() == {("ann", "mom"), ("ann", "dad"), ("bob", "mom"), ("bob", "dad")}
    assert set(Relationship.objects.values_list("label", "messenger")) == {("Parent", True)}
    assert numbers() == {
        ("Mom & Dad Vang", "household", "+16125550100"),
        ("mom", "cell", "+16125550101"),
        ("dad", "cell", "+16125550102"),
        ("tim", "cell", "+16125550103"),
        ("mom", "email", "mom@vang.example"),
        ("dad", "email", "dad@vang.example"),
    }
    assert SchoolClass.objects.count() == 2
    seats = ClassEnrollment.objects.values_list("sourced_id", "role", "primary")
    assert set(seats) == {
        ("e1", "student", False),
        ("e2", "student", False),
        ("e3", "teacher", True),
    }
    ann, bob = Person.objects.get(sourced_id="ann"), Person.objects.get(sourced_id="bob")
    assert ann.family == bob.family == min(ann.pk, bob.pk)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_the_same_file_twice_changes_nothing(version: str, tmp_path: Path) -> None:
    bundle = small_roster() if version == "1.1" else as_1_2(small_roster())
    bundle.load(tmp_path / "r")
    before = list(Person.objects.order_by("pk").values())
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == DONE
    assert nothing_changed(run)
    assert run.counts["people"]["unchanged"] == 5
    assert list(Person.objects.order_by("pk").values()) == before  # updated_at too


def test_both_versions_mean_the_same(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    assert nothing_changed(as_1_2(small_roster()).load(tmp_path / "r"))


def test_a_zip_is_as_good_as_a_folder(tmp_path: Path) -> None:
    run = import_roster(small_roster().zip(tmp_path / "roster.zip"))
    assert (run.state, run.file_name) == (DONE, "roster.zip")
    assert Person.objects.count() == 5


def test_guardian_links_count_in_either_direction(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("ann")["agentSourcedIds"] = ""
    bundle.user("bob")["agentSourcedIds"] = "mom"
    bundle.user("dad")["agentSourcedIds"] = "ann, bob"
    bundle.user("mom")["agentSourcedIds"] = "bob"
    bundle.load(tmp_path / "r")
    assert links() == {("ann", "dad"), ("bob", "dad"), ("bob", "mom")}


def test_staff_may_be_guardians(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("ann")["agentSourcedIds"] = "mom,tim"
    bundle.load(tmp_path / "r")
    assert ("ann", "tim") in links()
    tim = Person.objects.get(sourced_id="tim")
    assert (tim.is_staff_member, tim.is_student) == (True, False)


def test_an_older_sibling_may_be_named_by_the_standards_direction(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("ann")["agentSourcedIds"] = "bob"
    bundle.load(tmp_path / "r")
    assert ("ann", "bob") in links()
    assert ("bob", "ann") not in links()


def test_a_byte_order_mark_and_a_spreadsheets_habits(tmp_path: Path) -> None:
    bundle = small_roster()
    folder = bundle.folder(tmp_path / "r")
    for file in folder.glob("*.csv"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\r\n", b",,\n") + b"\n\n")
    run = import_roster(folder)
    assert run.state == DONE, run.refusal
    assert Person.objects.count() == 5
    assert places(run) == set()


def test_columns_in_another_order_and_case(tmp_path: Path) -> None:
    bundle = small_roster()
    folder = bundle.folder(tmp_path / "r")
    table = list(csv.reader(io.StringIO((folder / "users.csv").read_text())))
    text = io.StringIO()
    csv.writer(text).writerows(list(reversed(row)) for row in table)
    header, _end, rest = text.getvalue().partition("\r\n")
    (folder / "users.csv").write_text(header.upper() + "\r\n" + rest)
    bundle.load(tmp_path / "other")
    assert nothing_changed(import_roster(folder))


def test_without_a_manifest_the_files_are_asked(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.manifest = False
    run = bundle.load(tmp_path / "r")
    assert (run.state, run.version) == (DONE, "1.1")
    assert places(run) == {("", None, "", "no_manifest")}
    assert run.defaults_used["manifest"] is False
    bundle = as_1_2(bundle)
    assert bundle.load(tmp_path / "r").version == "1.2"


def test_a_status_in_a_bulk_file_is_no_reason_to_refuse(tmp_path: Path) -> None:
    bundle = small_roster()
    for row in bundle.files["users"]:
        row["status"] = "active"
    bundle.user("tim")["status"] = "tobedeleted"
    run = bundle.load(tmp_path / "r")
    assert run.state == DONE
    assert places(run) >= {("users.csv", None, "status", "status_in_bulk")}
    assert not Person.objects.filter(sourced_id="tim").exists()


def test_demographics_are_never_opened(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.extra["demographics.csv"] = b"\xff\xfe not even text \x00"
    run = bundle.load(tmp_path / "r")
    assert (run.state, places(run)) == (DONE, set())


def test_passwords_are_not_even_staged(tmp_path: Path) -> None:
    from messenger.models import District
    from messenger.roster.archive import open_bundle
    from messenger.roster.read import read_bundle
    from messenger.roster.staging import begin_staging, rows

    bundle = small_roster()
    for row in bundle.files["users"]:
        row["password"] = "hunter2"
    begin_staging()
    folder = bundle.folder(tmp_path / "r")
    read_bundle(open_bundle(folder), District.current(), lambda *_told: None)
    assert rows("SELECT DISTINCT password FROM roster_users") == [(None,)]


def test_metadata_columns_can_be_given_a_meaning(tmp_path: Path) -> None:
    district = District.current()
    district.roster_metadata_columns = {
        "work": "metadata.office",
        "language": "metadata.homeLang",
        "private": "",
    }
    district.save()
    bundle = small_roster()
    bundle.metadata = ("metadata.office", "metadata.homeLang", "metadata.private")
    values = {
        "metadata.office": "612-555-0199 x7",
        "metadata.homeLang": "es",
        "metadata.private": "true",
    }
    bundle.user("mom").update(values)
    run = bundle.load(tmp_path / "r")
    point = ContactPoint.objects.get(person__sourced_id="mom", device="work")
    assert (point.value, point.extension, point.private) == ("+16125550199", "7", False)
    assert Person.objects.get(sourced_id="mom").language == "es"
    assert ("users.csv", None, "", "ignored_columns") in places(run)
    assert run.defaults_used["metadata_columns"]["work"] == "metadata.office"


def test_private_numbers_start_private(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("mom").update({"metadata.private": "true"})
    bundle.user("dad").update({"metadata.private": "cell", "metadata.workPhone": "6125550177"})
    bundle.load(tmp_path / "r")
    points = ContactPoint.objects.filter(person__sourced_id__in=["mom", "dad"])
    private = set(points.filter(private=True).values_list("person__sourced_id", "device"))
    assert private == {("mom", "cell"), ("mom", "email"), ("dad", "cell")}
    assert ContactPoint.objects.get(device="household").private


def test_without_sessions_the_year_is_assumed_and_said(tmp_path: Path) -> None:
    bundle = small_roster()
    del bundle.files["academicSessions"]
    run = bundle.load(tmp_path / "r")
    assert Calendar.objects.count() == 2
    assert run.defaults_used["assumed_year"] == year_name()
    assert ("academicSessions.csv", None, "", "no_sessions") in places(run)
    assert nothing_changed(bundle.load(tmp_path / "r"))


def test_terms_alone_make_a_year(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.files["academicSessions"] = [
        {"sourcedId": "t1", "title": "Fall", "type": "term", "startDate": "2026-08-20",
         "endDate": "2027-01-10", "schoolYear": "2027"},
        {"sourcedId": "t2", "title": "Spring", "type": "term", "startDate": "1/11/2027",
         "endDate": "2027-06-04", "schoolYear": "2026-2027"},
    ]  # fmt: skip
    run = bundle.load(tmp_path / "r")
    years = set(Calendar.objects.values_list("school_year", "start_date", "end_date"))
    assert [(y, str(a), str(b)) for y, a, b in years] == [(2027, "2026-08-20", "2027-06-04")]
    assert ("academicSessions.csv", 3, "startDate", "american_date") in places(run)


def test_a_student_without_a_school_gets_that_of_the_classes(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("ann")["orgSourcedIds"] = "d"
    bundle.user("bob")["orgSourcedIds"] = "d"
    bundle.files["enrollments"] = bundle.files["enrollments"][:1]
    run = bundle.load(tmp_path / "r")
    schools = Enrollment.objects.values_list("person__sourced_id", "calendar__school__sourced_id")
    assert set(schools) == {("ann", "s1")}
    assert ("users.csv", 3, "orgSourcedIds", "no_school") in places(run)


def test_a_person_may_be_student_and_guardian_and_in_two_schools(tmp_path: Path) -> None:
    bundle = as_1_2(small_roster())
    bundle.files["roles"] += [
        {"sourcedId": "x1", "userSourcedId": "ann", "roleType": "secondary", "role": "student",
         "orgSourcedId": "s2", "beginDate": "2026-09-01", "endDate": "2027-05-01"},
        {"sourcedId": "x2", "userSourcedId": "mom", "roleType": "secondary", "role": "principal",
         "orgSourcedId": "s1"},
    ]  # fmt: skip
    bundle.load(tmp_path / "r")
    assert Enrollment.objects.filter(person__sourced_id="ann").count() == 2
    assert StaffAssignment.objects.get(person__sourced_id="mom").staff_type == "Principal"
    assert ("ann", "mom") in links()


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    run = small_roster().load(tmp_path / "r", dry_run=True)
    assert (run.state, run.dry_run) == (DONE, True)
    assert counts(run)["people"] == (5, 0, 0)
    assert run.samples["added"] == [
        "Quist, Tim",
        "Vang, Ann",
        "Vang, Bob",
        "Vang, Dad",
        "Vang, Mom",
    ]
    assert not Person.objects.exists()
    assert not School.objects.exists()


def test_changes_are_counted_and_written(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.load(tmp_path / "r")
    bundle.user("ann")["givenName"] = "Anne"
    bundle.user("ann")["grades"] = "04"
    bundle.user("dad")["sms"] = "612-555-0142"
    bundle.files["users"].append(user("eva", "student", "s1", grades="KG", agentSourcedIds="mom"))
    run = bundle.without("tim").load(tmp_path / "r")
    made = counts(run)
    assert made["people"] == (1, 1, 1)
    assert made["enrollments"] == (1, 1, 0)
    assert made["contact_points"] == (0, 1, 1)
    assert made["relationships"] == (1, 0, 0)
    assert made["staff_assignments"] == (0, 0, 1)
    assert Person.objects.get(sourced_id="ann").given_name == "Anne"
    tim = Person.objects.get(sourced_id="tim")
    assert not tim.active
    assert not ContactPoint.objects.get(person=tim).active


def test_who_comes_back_is_the_same_person(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.load(tmp_path / "r")
    before = Person.objects.get(sourced_id="dad").pk
    small_roster().without("dad").load(tmp_path / "r")
    assert not Person.objects.get(pk=before).active
    assert ("ann", "dad") not in links()
    bundle.load(tmp_path / "r")
    assert Person.objects.get(sourced_id="dad").pk == before
    assert Person.objects.get(pk=before).active
    assert ("ann", "dad") in links()


def test_people_who_are_not_the_rosters_stay_as_they_are(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    neighbour = Person.objects.create(given_name="Nan", family_name="Next")
    ann = Person.objects.get(sourced_id="ann")
    link = Relationship.objects.create(student=ann, guardian=neighbour)
    point = ContactPoint.objects.create(person=neighbour, device="cell", value="+16125550188")
    assert nothing_changed(small_roster().load(tmp_path / "r"))
    for row in (neighbour, link, point):
        row.refresh_from_db()
        assert row.active


def test_the_rows_may_stand_in_any_order(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    bundle = small_roster()
    for number, rows in enumerate(bundle.files.values()):
        random.Random(number).shuffle(rows)
    assert nothing_changed(bundle.load(tmp_path / "r"))


def test_nothing_temporary_is_left_behind(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE 'roster\\_%'")
        assert cursor.fetchone()[0] == 0


ids = st.sampled_from([f"p{number}" for number in range(6)])
phones = st.sampled_from(["", "612-555-0100", "(612) 555-0100", "6125550101", "555-0102", "office"])
people = st.lists(
    st.builds(
        lambda sourced_id, role, agents, phone, sms, email: user(
            sourced_id,
            role,
            "s1" if role in ("student", "teacher") else "",
            agentSourcedIds=",".join(agents),
            phone=phone,
            sms=sms,
            email=email,
        ),
        ids,
        st.sampled_from(["student", "parent", "teacher", "relative"]),
        st.lists(ids, max_size=3, unique=True),
        phones,
        phones,
        st.sampled_from(["", "a@b.example", "A@B.example", "wrong"]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda row: row["sourcedId"],
)


@settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(people, people, st.randoms())
def test_any_roster_twice_and_shuffled_changes_nothing(
    tmp_path: Path, first: list[dict[str, str]], then: list[dict[str, str]], chance: random.Random
) -> None:
    with transaction.atomic():
        for rows in (first, then):
            bundle = small_roster()
            bundle.files["users"] = rows
            bundle.files["enrollments"] = []
            assert bundle.load(tmp_path / "r").state == DONE
            chance.shuffle(rows)
            again = bundle.load(tmp_path / "r")
            assert nothing_changed(again), counts(again)
        active = Person.objects.filter(active=True).values_list("sourced_id", flat=True)
        assert set(active) == {row["sourcedId"] for row in then}
        transaction.set_rollback(True)
