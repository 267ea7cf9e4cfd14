"""What no import does without a person: large removals, missing schools, broken numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections

from messenger.models import ContactPoint, Person, RosterImport, School
from messenger.one_at_a_time import only_one
from messenger.roster import importer
from messenger.roster.importer import LOCK, import_roster
from messenger.roster.tasks import resume_imports, run_import
from tests.roster.bundles import Bundle, as_1_2, counts, small_roster, user

pytestmark = pytest.mark.django_db
REFUSED, DONE = RosterImport.State.REFUSED, RosterImport.State.DONE


def crowd(number: int) -> Bundle:
    """The small roster and so many guardians without a student more."""
    bundle = small_roster()
    bundle.files["users"] += [
        user(f"g{place:02}", "parent", sms=f"612-555-{place:04}") for place in range(number)
    ]
    return bundle


def test_more_than_a_fifth_of_the_people_is_refused_and_can_be_accepted(tmp_path: Path) -> None:
    crowd(15).load(tmp_path / "r")  # 20 people
    assert crowd(11).load(tmp_path / "r", accept=False).state == DONE  # 4 of 20 go
    run = crowd(7).load(tmp_path / "r", accept=False)  # 4 of 16
    assert run.state == REFUSED
    assert "4 of 16 people would be removed" in run.refusal
    assert "--accept" in run.refusal or "accept" in run.refusal
    assert counts(run)["people"] == (0, 0, 4)
    assert run.samples["removed"] == ["Vang, G07", "Vang, G08", "Vang, G09", "Vang, G10"]
    assert Person.objects.filter(active=True).count() == 16
    assert crowd(7).load(tmp_path / "r").state == DONE
    assert Person.objects.filter(active=True).count() == 12


def test_a_dry_run_says_that_it_would_be_refused(tmp_path: Path) -> None:
    crowd(15).load(tmp_path / "r")
    run = crowd(0).load(tmp_path / "r", accept=False, dry_run=True)
    assert run.state == REFUSED
    assert Person.objects.filter(active=True).count() == 20


def test_students_and_staff_are_counted_for_themselves(tmp_path: Path) -> None:
    crowd(30).load(tmp_path / "r")
    run = crowd(30).without("tim").load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "1 of 1 staff" in run.refusal


def test_lost_guardian_links_are_noticed(tmp_path: Path) -> None:
    crowd(30).load(tmp_path / "r")
    bundle = crowd(30)
    bundle.user("bob")["agentSourcedIds"] = ""
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "2 of 4 guardian links" in run.refusal


def test_a_lost_column_of_numbers_is_noticed(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    bundle = small_roster()
    for row in bundle.files["users"]:
        row.pop("sms", None)
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "numbers and addresses would be removed" in run.refusal
    assert ContactPoint.objects.filter(device="cell", active=True).count() == 3


def test_a_roster_without_people_is_refused(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.files["users"] = bundle.files["enrollments"] = []
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "no people" in run.refusal
    assert not School.objects.exists()


def test_a_roster_without_roles_is_refused(tmp_path: Path) -> None:
    bundle = as_1_2(small_roster())
    del bundle.files["roles"]
    bundle.files["enrollments"] = []
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "Nobody in the file is a student" in run.refusal


def test_a_missing_school_is_refused_by_name(tmp_path: Path) -> None:
    small_roster().load(tmp_path / "r")
    bundle = small_roster()
    del bundle.files["orgs"][2]
    run = bundle.load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "Prairie High" in run.refusal
    assert School.objects.filter(active=True).count() == 2


def test_more_than_one_number_in_twenty_wrong_is_refused(tmp_path: Path) -> None:
    def roster(wrong: int) -> Bundle:
        bundle = crowd(36)  # 36 + 3 cells + 1 household = 40 numbers
        for place in range(wrong):
            bundle.user(f"g{place:02}")["sms"] = "555-0101"
        return bundle

    assert roster(2).load(tmp_path / "r", accept=False).state == DONE
    run = roster(3).load(tmp_path / "r", accept=False)
    assert run.state == REFUSED
    assert "3 of 40 phone numbers are not valid" in run.refusal


# -- the run ---------------------------------------------------------------------------------
def test_the_stages_are_told_in_order(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    import_roster(small_roster().folder(tmp_path / "r"), progress=lambda *news: told.append(news))
    stages = list(dict.fromkeys(stage for stage, _done, _total in told))
    assert stages == ["reading", "checking", "comparing", "applying"]
    reading = [(done, total) for stage, done, total in told if stage == "reading" and total]
    assert reading == sorted(reading)
    assert reading[-1][0] == reading[-1][1] > 0


@contextmanager
def somebody_else_imports() -> Iterator[None]:
    """The lock of the importer, held by another connection."""
    other = connections["default"].copy()
    mine, connections["default"] = connections["default"], other
    with only_one(LOCK) as alone:
        assert alone
        connections["default"] = mine
        yield
        connections["default"] = other
    connections["default"] = mine
    other.close()


def test_one_import_at_a_time(tmp_path: Path) -> None:
    folder = small_roster().folder(tmp_path / "r")
    waiting = RosterImport.objects.create(file_name="r", stored_path=str(folder))
    with somebody_else_imports():
        run = import_roster(folder)
        run_import(waiting.pk)
        resume_imports()
    assert run.state == REFUSED
    assert "Another import" in run.refusal
    waiting.refresh_from_db()
    assert waiting.state == RosterImport.State.WAITING
    run_import(waiting.pk)
    waiting.refresh_from_db()
    assert waiting.state == DONE


@pytest.mark.django_db(transaction=True)
def test_a_fault_of_the_machine_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall_over(*_args: object) -> None:
        School.objects.create(name="Half done")
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(importer, "refresh_statistics", lambda: None)
    monkeypatch.setattr("messenger.roster.apply.recompute_families", fall_over)
    with pytest.raises(RuntimeError):
        import_roster(small_roster().folder(tmp_path / "r"))
    run = RosterImport.objects.get()
    assert run.state == RosterImport.State.FAILED
    assert "nothing was changed" in run.refusal
    assert run.finished_at is not None
    assert not Person.objects.exists()
    assert not School.objects.exists()
    monkeypatch.undo()
    assert import_roster(small_roster().folder(tmp_path / "r")).state == DONE


def test_a_worker_carries_out_a_waiting_run_once(tmp_path: Path) -> None:
    path = small_roster().zip(tmp_path / "roster.zip")
    run = RosterImport.objects.create(file_name="roster.zip", stored_path=str(path))
    run_import(run.pk)
    run.refresh_from_db()
    assert run.state == DONE
    finished = run.finished_at
    run_import(run.pk)
    run.refresh_from_db()
    assert run.finished_at == finished


def test_a_run_whose_worker_was_lost_is_ended() -> None:
    run = RosterImport.objects.create(file_name="x.zip", state=RosterImport.State.COMPARING)
    resume_imports()
    run.refresh_from_db()
    assert run.state == RosterImport.State.FAILED
    assert "Import again" in run.refusal


# -- the command -----------------------------------------------------------------------------
def command(path: Path, *words: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("import_roster", str(path), *words, stdout=out)
    except SystemExit as end:
        return out.getvalue(), int(end.code or 0)
    return out.getvalue(), 0


def test_the_command_says_what_came_of_it(tmp_path: Path) -> None:
    bundle = small_roster()
    bundle.user("tim")["sms"] = "555-0101"
    folder = bundle.folder(tmp_path / "r")
    said, code = command(folder)
    assert code == 1
    assert "1 of 4 phone numbers are not valid" in said
    assert "To go on all the same: --accept" in said
    said, code = command(folder, "--accept", "--dry-run")
    assert code == 0
    assert "Nothing was changed (dry run)." in said
    said, code = command(folder, "--accept", "--progress")
    assert code == 0
    assert "people             5 added, 0 changed, 0 removed, 0 unchanged" in said
    assert "users.csv, row 6, sms: The area code is missing" in said
    assert "A number in “sms” became Cell." in said
    assert "every reason but Teacher" in said
    assert "reading 100 %" in said
    assert "Done: r" in said


def test_the_command_fails_on_what_is_no_roster(tmp_path: Path) -> None:
    said, code = command(tmp_path / "none.zip")
    assert code == 1
    assert "Refused" in said


def test_the_session_is_put_back(tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW work_mem")
        before = cursor.fetchone()
        small_roster().load(tmp_path / "r")
        cursor.execute("SHOW work_mem")
        assert cursor.fetchone() == before
