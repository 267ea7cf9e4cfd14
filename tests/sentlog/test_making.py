"""Reports made by a worker: claimed once, taken over from the dead, handed to their owner alone."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from messenger.models import Message, RoleAssignment, User
from sentlog.models import Report
from sentlog.reports import making
from sentlog.tasks import make_report, purge_reports
from tests.sentlog.rows import Ledger, make_message, make_person, make_school

MakeUser = Callable[..., User]


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def message(district: Any) -> Message:
    message = make_message()
    ledger = Ledger(message)
    for number in range(3):
        ledger.add(
            make_person(f"Family{number}, Parent"),
            "voice",
            f"+1612555000{number}",
            outcome="successful",
            code=5,
            private=number == 0,
        )
    return message


@pytest.fixture
def report(message: Message, administrator: User) -> Report:
    return making.order(message, administrator, "csv", "all", ["cell"])


def test_a_worker_writes_the_file_once(report: Report, media: Path) -> None:
    make_report(report.pk)
    report.refresh_from_db()
    assert report.state == Report.State.READY
    assert (report.rows_done, report.rows_total) == (3, 3)
    assert making.path_of(report).is_file()
    assert not making.make(report.pk)
    assert len(list((media / "reports").iterdir())) == 1


def test_the_file_name_says_nothing(report: Report) -> None:
    make_report(report.pk)
    report.refresh_from_db()
    name = making.path_of(report).name
    assert str(report.uuid) not in name
    assert len(name) > 30


def test_a_report_that_a_living_worker_holds_is_left_alone(report: Report) -> None:
    Report.objects.update(
        state=Report.State.RUNNING, lease_until=timezone.now() + timedelta(seconds=30)
    )
    assert not making.make(report.pk)
    assert making.ring_for_forgotten() == 0


def test_a_report_of_a_dead_worker_is_made_by_the_next(report: Report) -> None:
    Report.objects.update(
        state=Report.State.RUNNING, lease_until=timezone.now() - timedelta(seconds=1), rows_done=2
    )
    assert making.ring_for_forgotten() == 1
    assert making.make(report.pk)
    report.refresh_from_db()
    assert (report.state, report.rows_done) == (Report.State.READY, 3)


def test_an_order_whose_bell_was_lost_is_found(report: Report) -> None:
    assert making.ring_for_forgotten() == 0
    Report.objects.update(created_at=timezone.now() - timedelta(minutes=2))
    assert making.ring_for_forgotten() == 1


def test_a_report_that_cannot_be_written_says_so(
    report: Report, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (media / "reports").write_text("a file where the directory should be")
    with pytest.raises(FileExistsError):
        making.make(report.pk)
    report.refresh_from_db()
    assert report.state == Report.State.FAILED
    assert "Ask for it again" in report.problem


def test_a_canceled_report_ends_and_leaves_nothing(
    message: Message, report: Report, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = making.order(message, report.user, "csv", "all", ["cell"])
    assert making.cancel(waiting)
    assert not making.make(waiting.pk)

    # Canceled while it is written: at its next word the worker stops.
    tell = making._tell

    def cancel_then_tell(name: str, done: int, total: int) -> None:
        if total:
            assert making.cancel(report)
        tell(name, done, total)

    monkeypatch.setattr(making, "_tell", cancel_then_tell)
    assert not making.make(report.pk)
    assert list((media / "reports").iterdir()) == []
    for found in Report.objects.all():
        assert (found.state, found.lease_until) == (Report.State.CANCELED, None)
        assert not making.cancel(found)


def test_a_worker_that_was_overtaken_writes_nothing(
    report: Report, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, overtaken = making._tell, []

    def fall_asleep(name: str, done: int, total: int) -> None:
        if total and not overtaken:
            overtaken.append(name)
            Report.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
            assert making.make(report.pk)
        tell(name, done, total)

    monkeypatch.setattr(making, "_tell", fall_asleep)
    assert not making.make(report.pk)
    report.refresh_from_db()
    assert report.state == Report.State.READY
    assert report.file != overtaken[0]
    assert [path.name for path in (media / "reports").iterdir()] == [making.path_of(report).name]


def test_files_go_when_they_were_kept_long_enough(
    message: Message, report: Report, media: Path, settings: Any
) -> None:
    settings.REPORTS_KEPT_DAYS = 7
    fresh = making.order(message, report.user, "csv", "all", ["cell"])
    for made in (report, fresh):
        make_report(made.pk)
        made.refresh_from_db()
    gone = making.path_of(report)
    left_behind = media / "reports" / ".killed.csv.part"
    left_behind.write_text("half a report")
    just_begun = media / "reports" / ".begun.csv.part"
    just_begun.write_text("")
    two_days_ago = (timezone.now() - timedelta(days=2)).timestamp()
    for path in (left_behind, making.path_of(fresh)):
        os.utime(path, (two_days_ago, two_days_ago))
    Report.objects.filter(pk=report.pk).update(finished_at=timezone.now() - timedelta(days=8))

    purge_reports()
    report.refresh_from_db()
    assert report.state == Report.State.EXPIRED
    assert not gone.exists()
    assert not left_behind.exists()
    assert just_begun.exists()
    assert making.path_of(fresh).exists()
    assert making.purge() == 0


def test_private_numbers_follow_the_right_of_who_asked(
    message: Message, make_user: MakeUser, administrator: User
) -> None:
    reader = make_user("reader", "Read-only")
    words = {}
    for user in (administrator, reader):
        report = making.order(message, user, "csv", "all", ["cell"])
        making.make(report.pk)
        report.refresh_from_db()
        words[user] = making.path_of(report).read_text(encoding="utf-8-sig")
    assert "(612) 555-0000" in words[administrator]
    assert "(612) 555-0000" not in words[reader]
    assert "Private number" in words[reader]


def test_only_the_owner_downloads_and_only_what_they_still_see(
    message: Message, make_user: MakeUser, administrator: User
) -> None:
    other = make_user("other", "District administrator")
    report = making.order(message, administrator, "csv", "all", ["cell"])
    assert making.may_download(administrator, report)
    assert not making.may_download(other, report)

    RoleAssignment.objects.filter(user=administrator).delete()
    school = make_school()
    message.schools.add(school)
    for role, allowed in (("School secretary", False), ("Read-only", False)):
        RoleAssignment.objects.filter(user=administrator).delete()
        made = make_user(f"a {role}", role, school)
        assignment = made.role_assignments.get()
        assignment.user = administrator
        assignment.save()
        again = User.objects.get(pk=administrator.pk)
        assert making.may_download(again, report) is allowed


def test_commands_show_and_write(message: Message, tmp_path: Path, capsys: Any) -> None:
    call_command("show_message", str(message.uuid))
    shown = capsys.readouterr().out
    assert "Total Recipients" in shown
    assert "Status" in shown
    target = tmp_path / "report.csv"
    call_command("write_report", str(message.uuid), format="csv", out=target)
    assert "Family2, Parent" in target.read_text(encoding="utf-8-sig")
    assert "Private number" in target.read_text(encoding="utf-8-sig")


def test_commands_answer_in_words(message: Message, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no message"):
        call_command("show_message", "no-uuid")
    message.status = Message.Status.IN_PROGRESS
    message.save()
    with pytest.raises(CommandError, match="not available"):
        call_command("write_report", str(message.uuid), detail="failed", out=tmp_path / "r.pdf")
