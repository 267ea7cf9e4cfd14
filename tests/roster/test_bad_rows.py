"""Every bad row is named with its file, row, column and what to do; the rest is taken (U7)."""

from collections.abc import Callable
from pathlib import Path

import pytest

from messenger.models import ClassEnrollment, ContactPoint, Person, Relationship, RosterImport
from messenger.roster import importer, problems
from messenger.roster.importer import import_roster
from messenger.roster.problems import PROBLEMS
from tests.roster.bundles import Bundle, as_1_2, places, small_roster, user

pytestmark = pytest.mark.django_db


def change(sourced_id: str, **values: str) -> Callable[[Bundle], None]:
    return lambda bundle: bundle.user(sourced_id).update(values)


def add(name: str, /, **values: str) -> Callable[[Bundle], None]:
    return lambda bundle: bundle.files[name].append(values)


ENROLLMENT = {
    "sourcedId": "e9",
    "classSourcedId": "c1",
    "schoolSourcedId": "s1",
    "userSourcedId": "ann",
    "role": "student",
}
SESSION = {
    "sourcedId": "y2",
    "title": "x",
    "type": "term",
    "startDate": "2026-07-01",
    "endDate": "2027-06-30",
    "schoolYear": "2027",
}
CLASS = {
    "sourcedId": "c9",
    "title": "Art",
    "courseSourcedId": "math",
    "classType": "scheduled",
    "schoolSourcedId": "s1",
    "termSourcedIds": "y",
}
CASES = [
    # users.csv: ann is row 2, bob 3, mom 4, dad 5, tim 6, an added one 7
    (change("mom", sourcedId=""), ("users", 4, "sourcedId", "missing_value")),
    (change("mom", sourcedId="x" * 256), ("users", 4, "sourcedId", "too_long")),
    (change("mom", givenName="", familyName=""), ("users", 4, "familyName", "missing_name")),
    (change("mom", givenName="x" * 151), ("users", 4, "givenName", "cut")),
    (change("mom", role=""), ("users", 4, "role", "missing_value")),
    (change("mom", role="ext:coach"), ("users", 4, "role", "unknown_user_role")),
    (change("mom", status="gone"), ("users", 4, "status", "unknown_status")),
    (change("mom", enabledUser="yes"), ("users", 4, "enabledUser", "odd_boolean")),
    (change("ann", grades="third"), ("users", 2, "grades", "unknown_grade")),
    (change("ann", orgSourcedIds="s1,s7"), ("users", 2, "orgSourcedIds", "broken_org")),
    (change("ann", agentSourcedIds="mom,eve"), ("users", 2, "agentSourcedIds", "broken_agent")),
    (change("ann", agentSourcedIds="mom,ann"), ("users", 2, "agentSourcedIds", "own_agent")),
    (
        change("mom", agentSourcedIds="dad"),
        ("users", 4, "agentSourcedIds", "agent_without_student"),
    ),
    (lambda b: b.files["users"].append(dict(b.user("mom"))),
     ("users", 7, "sourcedId", "duplicate_id")),
    (change("mom", sms="555-0101"), ("users", 4, "sms", "phone_seven_digits")),
    (change("mom", phone="211-555-0101"), ("users", 4, "phone", "phone_area_code")),
    (change("mom", sms="612-911-0101"), ("users", 4, "sms", "phone_exchange")),
    (change("mom", sms="612-555-01"), ("users", 4, "sms", "phone_too_short")),
    (change("mom", sms="612-555-010199"), ("users", 4, "sms", "phone_too_long")),
    (change("mom", sms="+44 20 7946 0958"), ("users", 4, "sms", "phone_foreign")),
    (change("mom", sms="ask dad"), ("users", 4, "sms", "phone_not_a_number")),
    (
        change("mom", **{"metadata.workPhone": "5550101 x2"}),
        ("users", 4, "metadata.workPhone", "phone_seven_digits"),
    ),
    (change("mom", email="mom at home"), ("users", 4, "email", "email_not_an_address")),
    # the others
    (add("orgs", sourcedId="o", name="O", type="club"), ("orgs", 5, "type", "unknown_org_type")),
    (add("orgs", sourcedId="o", type="school"), ("orgs", 5, "name", "missing_value")),
    (
        add("orgs", sourcedId="o", name="O", type="local", parentSourcedId="zz"),
        ("orgs", 5, "parentSourcedId", "broken_link"),
    ),
    (add("academicSessions", **SESSION | {"type": "year"}),
     ("academicSessions", 3, "type", "unknown_session_type")),
    (add("academicSessions", **SESSION | {"startDate": "2026-02-30"}),
     ("academicSessions", 3, "startDate", "bad_date")),
    (add("academicSessions", **SESSION | {"startDate": "07/01/2026"}),
     ("academicSessions", 3, "startDate", "american_date")),
    (add("academicSessions", **SESSION | {"endDate": "2025-06-30"}),
     ("academicSessions", 3, "endDate", "end_before_start")),
    (add("academicSessions", **SESSION | {"schoolYear": "27"}),
     ("academicSessions", 3, "schoolYear", "bad_school_year")),
    (add("courses", sourcedId="co", title="x", orgSourcedId="zz"),
     ("courses", 3, "orgSourcedId", "broken_link")),
    (add("classes", **CLASS | {"title": ""}), ("classes", 4, "title", "missing_value")),
    (add("classes", **CLASS | {"schoolSourcedId": "zz"}),
     ("classes", 4, "schoolSourcedId", "broken_reference")),
    (add("classes", **CLASS | {"schoolSourcedId": "d"}),
     ("classes", 4, "schoolSourcedId", "not_a_school")),
    (add("classes", **CLASS | {"courseSourcedId": "zz"}),
     ("classes", 4, "courseSourcedId", "broken_link")),
    (add("classes", **CLASS | {"termSourcedIds": "y, zz"}),
     ("classes", 4, "termSourcedIds", "broken_link")),
    (add("classes", **CLASS | {"classType": "club"}),
     ("classes", 4, "classType", "unknown_class_type")),
    (add("enrollments", **ENROLLMENT | {"classSourcedId": "zz"}),
     ("enrollments", 5, "classSourcedId", "broken_reference")),
    (add("enrollments", **ENROLLMENT | {"userSourcedId": "zz"}),
     ("enrollments", 5, "userSourcedId", "broken_reference")),
    (add("enrollments", **ENROLLMENT | {"role": "guest"}),
     ("enrollments", 5, "role", "unknown_role")),
    (add("enrollments", **ENROLLMENT | {"primary": "1"}),
     ("enrollments", 5, "primary", "bad_boolean")),
    (add("enrollments", **ENROLLMENT | {"beginDate": "soon"}),
     ("enrollments", 5, "beginDate", "bad_date")),
    (add("enrollments", **ENROLLMENT | {"beginDate": "2026-10-01", "endDate": "2026-09-01"}),
     ("enrollments", 5, "endDate", "end_before_start")),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "place"), CASES, ids=[f"{p[0]}-{p[3]}" for _s, p in CASES])
def test_a_bad_row_is_named_with_its_place(
    spoil: Callable[[Bundle], None], place: tuple[str, int, str, str], tmp_path: Path
) -> None:
    bundle = small_roster()
    spoil(bundle)
    run = bundle.load(tmp_path / "r")
    assert run.state == RosterImport.State.DONE
    file, line, column, code = place
    assert (f"{file}.csv", line, column, code) in places(run)
    problem = run.problems.get(file=f"{file}.csv", line=line, code=code)
    assert problem.what.endswith(".")
    assert problem.advice.endswith(".")
    assert "%(" not in problem.what + problem.advice
    assert run.counts["problems"] >= 1


ROLES = [
    ({"userSourcedId": "zz"}, ("roles.csv", 9, "userSourcedId", "broken_reference")),
    ({"role": "boss"}, ("roles.csv", 9, "role", "unknown_role")),
    ({"orgSourcedId": "zz"}, ("roles.csv", 9, "orgSourcedId", "broken_org")),
    ({"orgSourcedId": ""}, ("roles.csv", 9, "orgSourcedId", "missing_value")),
    ({"beginDate": "1 May"}, ("roles.csv", 9, "beginDate", "bad_date")),
]


@pytest.mark.parametrize(("values", "place"), ROLES, ids=[place[3] for _v, place in ROLES])
def test_a_bad_role_is_named(
    values: dict[str, str], place: tuple[str, int, str, str], tmp_path: Path
) -> None:
    bundle = as_1_2(small_roster())
    row = {"sourcedId": "r9", "userSourcedId": "tim", "roleType": "secondary", "role": "aide"}
    bundle.files["roles"].append(row | {"orgSourcedId": "s1"} | values)
    assert len(bundle.files["roles"]) == 8
    assert place in places(bundle.load(tmp_path / "r"))


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
