"""Every bad row is named with its file, row, column and what to do; the rest is taken (U7)."""

from pathlib import Path

import pytest

from messenger.models import ClassEnrollment, ContactPoint, Person, Relationship, RosterImport
from messenger.roster import importer, problems
from messenger.roster.importer import import_roster
from messenger.roster.problems import PROBLEMS
from tests.roster.bundles import Row, as_1_2, places, small_roster, user

pytestmark = pytest.mark.django_db


ENROLLMENT = {
    "classSourcedId": "c1",
    "schoolSourcedId": "s1",
    "userSourcedId": "ann",
    "role": "student",
}
SESSION = {
    "title": "x",
    "type": "term",
    "startDate": "2026-07-01",
    "endDate": "2027-06-30",
    "schoolYear": "2027",
}
CLASS = {
    "title": "Art",
    "courseSourcedId": "math",
    "classType": "scheduled",
    "schoolSourcedId": "s1",
    "termSourcedIds": "y",
}
PARENT = user("", "parent")
STUDENT = user("", "student", "s1", grades="03")
# Each is one more row of its file with one fault: what is wrong, in which column, by which name.
CASES: dict[str, list[tuple[Row, Row, str, str]]] = {
    "users": [
        (PARENT, {"sourcedId": ""}, "sourcedId", "missing_value"),
        (PARENT, {"sourcedId": "x" * 256}, "sourcedId", "too_long"),
        (PARENT, {"sourcedId": "mom"}, "sourcedId", "duplicate_id"),
        (PARENT, {"givenName": "", "familyName": ""}, "familyName", "missing_name"),
        (PARENT, {"givenName": "x" * 151}, "givenName", "cut"),
        (PARENT, {"role": ""}, "role", "missing_value"),
        (PARENT, {"role": "ext:coach"}, "role", "unknown_user_role"),
        (PARENT, {"status": "gone"}, "status", "unknown_status"),
        (PARENT, {"enabledUser": "yes"}, "enabledUser", "odd_boolean"),
        (PARENT, {"agentSourcedIds": "dad"}, "agentSourcedIds", "agent_without_student"),
        (STUDENT, {"agentSourcedIds": "mom,eve"}, "agentSourcedIds", "broken_agent"),
        (STUDENT, {"sourcedId": "me", "agentSourcedIds": "me"}, "agentSourcedIds", "own_agent"),
        (STUDENT, {"grades": "third"}, "grades", "unknown_grade"),
        (STUDENT, {"orgSourcedIds": "s1,s7"}, "orgSourcedIds", "broken_org"),
        (STUDENT, {"orgSourcedIds": "d"}, "orgSourcedIds", "no_school"),
        (PARENT, {"sms": "555-0101"}, "sms", "phone_seven_digits"),
        (PARENT, {"phone": "211-555-0101"}, "phone", "phone_area_code"),
        (PARENT, {"sms": "612-911-0101"}, "sms", "phone_exchange"),
        (PARENT, {"sms": "612-555-01"}, "sms", "phone_too_short"),
        (PARENT, {"sms": "612-555-010199"}, "sms", "phone_too_long"),
        (PARENT, {"sms": "+44 20 7946 0958"}, "sms", "phone_foreign"),
        (PARENT, {"sms": "ask dad"}, "sms", "phone_not_a_number"),
        (
            PARENT,
            {"metadata.workPhone": "5550101 x2"},
            "metadata.workPhone",
            "phone_seven_digits",
        ),
        (PARENT, {"email": "mom at home"}, "email", "email_not_an_address"),
    ],
    "orgs": [
        ({}, {"name": "O", "type": "club"}, "type", "unknown_org_type"),
        ({}, {"type": "school"}, "name", "missing_value"),
        (
            {"name": "O", "type": "local"},
            {"parentSourcedId": "zz"},
            "parentSourcedId",
            "broken_link",
        ),
    ],
    "academicSessions": [
        (SESSION, {"type": "year"}, "type", "unknown_session_type"),
        (SESSION, {"startDate": "2026-02-30"}, "startDate", "bad_date"),
        (SESSION, {"startDate": "07/01/2026"}, "startDate", "american_date"),
        (SESSION, {"endDate": "2025-06-30"}, "endDate", "end_before_start"),
        (SESSION, {"schoolYear": "27"}, "schoolYear", "bad_school_year"),
        (SESSION, {"parentSourcedId": "zz"}, "parentSourcedId", "broken_link"),
    ],
    "courses": [({"title": "x"}, {"orgSourcedId": "zz"}, "orgSourcedId", "broken_link")],
    "classes": [
        (CLASS, {"title": ""}, "title", "missing_value"),
        (CLASS, {"schoolSourcedId": "zz"}, "schoolSourcedId", "broken_reference"),
        (CLASS, {"schoolSourcedId": "d"}, "schoolSourcedId", "not_a_school"),
        (CLASS, {"courseSourcedId": "zz"}, "courseSourcedId", "broken_link"),
        (CLASS, {"termSourcedIds": "y, zz"}, "termSourcedIds", "broken_link"),
        (CLASS, {"classType": "club"}, "classType", "unknown_class_type"),
    ],
    "enrollments": [
        (ENROLLMENT, {"classSourcedId": "zz"}, "classSourcedId", "broken_reference"),
        (ENROLLMENT, {"userSourcedId": "zz"}, "userSourcedId", "broken_reference"),
        (ENROLLMENT, {"role": "guest"}, "role", "unknown_role"),
        (ENROLLMENT, {"primary": "1"}, "primary", "bad_boolean"),
        (ENROLLMENT, {"beginDate": "soon"}, "beginDate", "bad_date"),
        (
            ENROLLMENT,
            {"beginDate": "2026-10-01", "endDate": "2026-09-01"},
            "endDate",
            "end_before_start",
        ),
    ],
}


def test_every_bad_row_is_named_with_its_place_and_nothing_else_is(tmp_path: Path) -> None:
    bundle = small_roster()
    planted = set()
    for name, cases in CASES.items():
        rows = bundle.files[name]
        for sound, fault, column, code in cases:
            rows.append({"sourcedId": f"{name}-{len(rows)}", **sound, **fault})
            if not rows[-1]["sourcedId"] and "sourcedId" not in fault:
                rows[-1]["sourcedId"] = f"{name}-{len(rows)}"
            planted.add((f"{name}.csv", len(rows) + 1, column, code))
    run = bundle.load(tmp_path / "r")
    assert run.state == RosterImport.State.DONE
    rows_named = {place for place in places(run) if place[1] is not None}
    assert rows_named == planted
    assert run.counts["problems"] == run.problems.count()
    for problem in run.problems.all():
        assert problem.what.endswith(".")
        assert problem.advice.endswith(".")
        assert "%(" not in problem.what + problem.advice


ROLES = [
    ({"userSourcedId": "zz"}, "userSourcedId", "broken_reference"),
    ({"role": "boss"}, "role", "unknown_role"),
    ({"orgSourcedId": "zz"}, "orgSourcedId", "broken_org"),
    ({"orgSourcedId": ""}, "orgSourcedId", "missing_value"),
    ({"beginDate": "1 May"}, "beginDate", "bad_date"),
]


def test_every_bad_role_is_named(tmp_path: Path) -> None:
    bundle = as_1_2(small_roster())
    rows = bundle.files["roles"]
    planted = set()
    for fault, column, code in ROLES:
        sound = {"userSourcedId": "tim", "roleType": "secondary", "role": "aide"}
        rows.append({"sourcedId": f"x{len(rows)}", **sound, "orgSourcedId": "s1", **fault})
        planted.add(("roles.csv", len(rows) + 1, column, code))
    assert places(bundle.load(tmp_path / "r")) == planted


def test_a_person_without_a_role_is_named(tmp_path: Path) -> None:
    bundle = as_1_2(small_roster())
    bundle.files["roles"] = [r for r in bundle.files["roles"] if r["userSourcedId"] != "tim"]
    run = bundle.load(tmp_path / "r")
    assert ("users.csv", 6, "sourcedId", "no_role") in places(run)


# U7: twelve errors planted in one file of users, each found by name.
TWELVE = [
    (2, "", "malformed_row"),
    (3, "", "wrong_width"),
    (4, "", "not_utf8"),
    (5, "sourcedId", "missing_value"),
    (6, "familyName", "missing_name"),
    (8, "sourcedId", "duplicate_id"),
    (9, "role", "missing_value"),
    (10, "sms", "phone_seven_digits"),
    (11, "email", "email_not_an_address"),
    (12, "orgSourcedIds", "broken_org"),
    (13, "agentSourcedIds", "broken_agent"),
    (14, "grades", "unknown_grade"),
]
PLANTED = """\
sourcedId,enabledUser,orgSourcedIds,role,username,givenName,familyName,email,sms,agentSourcedIds,grades
u2,true,s1,parent,u2,"Ann,Vang,,,,
u3,true,s1,parent,u3,Vang, Ann,x,,,,,
u4,true,s1,parent,u4,Peña,Vang,,,,
,true,s1,parent,u5,Ann,Vang,,,,
u6,true,s1,parent,u6,,,,,,
u7,true,s1,parent,u7,Ann,Vang,,,,
u7,true,s1,parent,u7,Ann,Vang,,,,
u9,true,s1,,u9,Ann,Vang,,,,
u10,true,s1,parent,u10,Ann,Vang,,555-0110,,
u11,true,s1,parent,u11,Ann,Vang,ann(at)vang,,,
u12,true,"s1,s99",student,u12,Ann,Vang,,,,03
u13,true,s1,student,u13,Ann,Vang,,,"u7,u99",03
u14,true,s1,student,u14,Ann,Vang,,,u7,three
u15,true,s1,parent,u15,Good,Row,good@row.example,612-555-0115,u14,
"""


def test_twelve_planted_errors_are_all_named_with_row_column_and_fix(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.files["enrollments"] = []
    bundle.extra["users.csv"] = PLANTED.encode("cp1252")
    run = bundle.load(tmp_path / "r")
    named = run.problems.filter(file="users.csv", line__isnull=False)
    assert sorted(named.values_list("line", "column", "code")) == sorted(TWELVE)
    for problem in named:
        assert len(problem.what) > 10
        assert len(problem.advice) > 10
    assert run.problems.get(code="missing_name").line == 6
    assert Person.objects.filter(sourced_id="u15", given_name="Good").exists()
    assert Person.objects.get(sourced_id="u4").given_name == "Peña"
    taken = {"u4", "u7", "u10", "u11", "u12", "u13", "u14", "u15"}
    assert set(Person.objects.values_list("sourced_id", flat=True)) == taken


def test_what_a_bad_row_stood_for_stays_as_it_is(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    bundle = small_roster()
    bundle.user("mom").update(familyName="", givenName="")  # nameless: the row is left out
    bundle.files["enrollments"][0]["role"] = "guest"
    bundle.files["classes"][1]["schoolSourcedId"] = "zz"
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == RosterImport.State.DONE
    assert Person.objects.get(sourced_id="mom").active
    assert ContactPoint.objects.get(person__sourced_id="mom", device="cell").active
    assert Relationship.objects.filter(guardian__sourced_id="mom", active=True).count() == 2
    assert ClassEnrollment.objects.filter(active=True).count() == 3
    assert run.counts["households"]["unchanged"] == 1


def test_a_row_that_cannot_be_read_removes_nobody(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.load(tmp_path / "r")
    folder = bundle.folder(tmp_path / "r")
    text = (folder / "users.csv").read_text()
    (folder / "users.csv").write_text(text.replace("tim,", 'tim,"', 1))
    run = import_roster(folder)
    assert ("users.csv", 6, "", "malformed_row") in places(run)
    assert Person.objects.get(sourced_id="tim").active


def test_invalid_numbers_are_kept_and_marked(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("mom")["sms"] = "555-0101"
    bundle.load(tmp_path / "r")
    point = ContactPoint.objects.get(person__sourced_id="mom", device="cell")
    assert (point.value, point.valid, point.problem) == ("555-0101", False, "seven_digits")
    assert point.preferences.exists()


def test_a_file_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.extra["users.csv"] = b"sourcedId,name\n1,Ann\n"
    run = bundle.load(tmp_path / "r")
    assert run.state == RosterImport.State.REFUSED
    assert "givenName, familyName" in run.refusal


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.extra["users.csv"] = b""
    assert bundle.load(tmp_path / "r").state == RosterImport.State.REFUSED


def test_a_file_that_the_manifest_promises_must_be_there(tmp_path: Path) -> None:
    folder = small_roster().folder(tmp_path / "r")
    (folder / "classes.csv").unlink()
    run = import_roster(folder)
    assert run.state == RosterImport.State.REFUSED
    assert "classes.csv" in run.refusal


def test_a_file_that_the_manifest_calls_absent_is_not_read(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.modes["classes"] = bundle.modes["enrollments"] = "absent"
    run = bundle.load(tmp_path / "r")
    assert ("classes.csv", None, "", "absent_but_there") in places(run)
    assert run.counts["classes"]["added"] == 0


def test_a_header_may_name_a_column_twice(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.extra["orgs.csv"] = (
        b"sourcedId,name,type,name\nd,D,district,x\ns1,A,school,x\ns2,B,school,x\n"
    )
    run = bundle.load(tmp_path / "r")
    assert ("orgs.csv", None, "", "double_column") in places(run)
    assert run.counts["schools"]["added"] == 2


def test_a_manifest_in_other_words_is_guessed_around(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.extra["manifest.csv"] = b"propertyName,value\noneroster.version,2\nfile.users,full\n"
    run = bundle.load(tmp_path / "r")
    assert (run.state, run.version) == (RosterImport.State.DONE, "1.1")
    columns = run.problems.filter(code="bad_manifest").values_list("column", flat=True)
    assert set(columns) == {"oneroster.version", "file.users"}


def test_all_problems_are_counted_and_the_worst_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "MOST_STORED", 4)
    monkeypatch.setattr(problems, "MOST_STORED", 4)
    bundle = small_roster()
    for number in range(9):
        bundle.files["users"].append(user(f"x{number}", "parent", grades="odd", sms="555-0101"))
    run = bundle.load(tmp_path / "r")
    assert (run.counts["problems"], run.counts["errors"]) == (18, 9)
    assert [p.severity for p in run.problems.all()] == ["error"] * 4


def test_every_problem_has_words_and_an_action() -> None:
    for code, problem in PROBLEMS.items():
        assert len(str(problem.what)) > 10, code
        assert len(str(problem.advice)) > 5, code
        assert problem.severity in ("error", "warning")
        assert not (problem.drops and problem.severity == "warning"), code
        assert len(code) <= 40
