"""The made-up district: the same every time, awkward in every way, and taken by the importer."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import (
    ContactPoint,
    Enrollment,
    Household,
    Person,
    Relationship,
    RosterImport,
    School,
)
from messenger.roster.demo_district import write_district
from messenger.roster.importer import import_roster
from messenger.roster.phones import normalise_phone
from tests.roster.bundles import nothing_changed

Row = dict[str, str]


def rows(folder: Path, name: str) -> list[Row]:
    with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("district")
    write_district(folder, size=3000)
    return folder


def test_the_same_arguments_give_the_same_bytes(district: Path, tmp_path: Path) -> None:
    write_district(tmp_path / "again", size=3000)
    assert contents(tmp_path / "again") == contents(district)
    write_district(tmp_path / "other", size=3000, seed=2)
    assert contents(tmp_path / "other")["users.csv"] != contents(district)["users.csv"]


def test_equal_districts_are_equal_zips(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_district(tmp_path / name, size=200, zipped=True)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip", "b.zip"]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(20, 700), st.integers(1, 5), st.sampled_from(["1.1", "1.2"]))
def test_the_size_is_the_number_of_people(
    tmp_path: Path, size: int, seed: int, version: str
) -> None:
    written = write_district(tmp_path / "d", size=size, seed=seed, version=version)
    users = rows(tmp_path / "d", "users")
    assert written.people == size == len(users)
    assert len({user["sourcedId"] for user in users}) == size
    assert written.people == written.students + written.guardians + written.staff


def test_so_many_families(tmp_path: Path) -> None:
    written = write_district(tmp_path / "d", families=100)
    assert written.families == 100
    assert written.people == len(rows(tmp_path / "d", "users"))


@pytest.mark.parametrize("wrong", [{"size": 5}, {"version": "2.0"}])
def test_a_district_that_cannot_be_is_not_written(wrong: dict, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"20 people|not 1\.1 or 1\.2"):
        write_district(tmp_path / "d", **wrong)


def test_every_awkward_case_is_there(district: Path) -> None:
    users = rows(district, "users")
    guardians = [user for user in users if user["role"] in ("parent", "relative")]
    numbers = [normalise_phone(user[c]) for user in users for c in ("sms", "phone") if user[c]]
    problems = Counter(number.problem for number in numbers)
    assert problems["seven_digits"] > 5
    assert sum(problems.values()) - problems[""] < 0.05 * len(numbers)
    assert any("x" in user["metadata.workPhone"] for user in users)
    assert any(user["metadata.private"] == "true" for user in guardians)
    assert any(not (user["sms"] or user["phone"]) for user in guardians)
    assert any("," in user["orgSourcedIds"] for user in guardians)  # siblings in two schools
    assert any(user["agentSourcedIds"] for user in guardians)  # the other direction of the links
    named = {agent for user in users for agent in user["agentSourcedIds"].split(",")}
    staff = {user["sourcedId"] for user in users if user["sourcedId"].startswith("T")}
    assert named & staff  # staff who are parents
    assert any(not user["givenName"].isascii() for user in users)
    assert {"es", "so", "hmn", "vi", "zh", "ar"} <= {user["metadata.language"] for user in users}


def test_numbers_reach_nobody_and_are_shared_at_home_alone(district: Path) -> None:
    seen = Counter()
    for user in rows(district, "users"):
        for column in ("sms", "phone", "metadata.workPhone"):
            number = normalise_phone(user[column])
            if user[column] and not number.problem:
                assert number.value[5:8] == "555"
                seen[number.value] += 1
    assert set(seen.values()) <= {1, 2}
    assert 2 in seen.values()


@pytest.mark.django_db
@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_the_importer_takes_the_district(version: str, tmp_path: Path) -> None:
    size = write_district(tmp_path / "d.zip", size=400, version=version, zipped=True)
    run = import_roster(tmp_path / "d.zip")
    assert (run.state, run.version) == (RosterImport.State.DONE, version)
    assert all(code.startswith("phone_") for code in run.counts["problems_by_code"])
    assert Person.objects.count() == 400
    assert Person.objects.filter(is_student=True).count() == size.students
    assert Enrollment.objects.count() == size.students
    assert School.objects.count() == size.schools
    assert Household.objects.count() > 20
    assert Relationship.objects.filter(guardian__is_staff_member=True).exists()
    assert ContactPoint.objects.filter(private=True).exists()
    assert ContactPoint.objects.exclude(extension="").exists()
    assert nothing_changed(import_roster(tmp_path / "d.zip"))


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("demo_district", "--size", "100", "--out", str(tmp_path / "d.zip"), "--zip")
    assert "100 people" in capsys.readouterr().out
    assert (tmp_path / "d.zip").is_file()
