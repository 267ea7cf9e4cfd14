"""Reports over the web: asked for, watched, canceled, opened in a tab, expired, listed; by whom."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import Message, School, User
from sentlog.models import Report
from sentlog.reports import html, making
from tests.sentlog.looking import detail, signed_in, text_of
from tests.sentlog.printed import make_every_end
from tests.sentlog.rows import Ledger, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")


@pytest.fixture(autouse=True)
def media(tmp_path: Path, settings: Any) -> Path:
    settings.MEDIA_ROOT = tmp_path
    return tmp_path


@pytest.fixture
def message(school: School) -> Message:
    return make_every_end(school)


def order(visitor: Client, message: Message, **options: Any) -> Report:
    data = {"devices": ["cell"], "detail": "all", "format": "pdf", **options}
    answer = visitor.post(reverse("report_order", args=[message.uuid]), data)
    assert answer.status_code == 302, text_of(answer)
    report = Report.objects.latest("pk")
    assert answer["Location"] == reverse("report", args=[report.uuid])
    return report


def page_of(visitor: Client, report: Report, **headers: str) -> Any:
    return visitor.get(reverse("report", args=[report.uuid]), headers=headers)


def opened(visitor: Client, report: Report, query: str = "?open=1") -> Any:
    return visitor.get(reverse("report_file", args=[report.uuid]) + query)


@pytest.mark.spec("B4-01", "B4-02", "B4-10")
def test_options_open_in_a_new_tab(visitor: Client, message: Message) -> None:
    page = detail(visitor, message).content.decode()
    form = page[page.index('id="report-options"') :]
    assert re.search(r'<form[^>]*id="report-options"[^>]*target="_blank"', page)
    assert "Print Sent Message Report" in form
    assert re.findall(r'name="format" value="(\w+)"', form) == ["pdf", "csv", "docx", "html"]
    assert re.findall(r'name="detail" value="(\w+)"', form) == ["all", "summary", "failed"]
    assert set(re.findall(r'name="devices" value="(\w+)"', form)) == {
        "inbox",
        "email",
        "household",
        "cell",
        "work",
        "none",
    }


@pytest.mark.parametrize("format", ["pdf", "html"])
def test_a_report_that_browsers_show_opens_by_itself(
    visitor: Client, message: Message, format: str
) -> None:
    report = order(visitor, message, format=format)
    assert "HX-Redirect" not in page_of(visitor, report, HX_Request="true")
    making.make(report.pk)
    answer = page_of(visitor, report, HX_Request="true")
    assert answer["HX-Redirect"] == reverse("report_file", args=[report.uuid]) + "?open=1"
    # Coming back to the page of the report does not lead away from it again.
    assert "HX-Redirect" not in page_of(visitor, report)
    file = opened(visitor, report)
    assert file["Content-Disposition"].startswith("inline")
    policy = file["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    if format == "html":
        assert policy.startswith("sandbox")
        assert html.STYLE_HASH in policy
        assert b"Anderson, Mom" in file.getvalue()
    assert opened(visitor, report, "")["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("format", ["csv", "docx"])
def test_other_files_are_only_ever_saved(visitor: Client, message: Message, format: str) -> None:
    report = order(visitor, message, format=format)
    making.make(report.pk)
    assert "HX-Redirect" not in page_of(visitor, report, HX_Request="true")
    assert opened(visitor, report)["Content-Disposition"].startswith("attachment")


def test_a_report_is_canceled_while_it_waits(visitor: Client, message: Message) -> None:
    report = order(visitor, message)
    assert "Cancel this report" in text_of(page_of(visitor, report))
    address = reverse("report_cancel", args=[report.uuid])
    assert visitor.get(address).status_code == 405
    page = visitor.post(address, follow=True)
    assert "This report was canceled." in text_of(page)
    assert "Print it again" in text_of(page)
    assert not making.make(report.pk)
    assert opened(visitor, report).status_code == 404
    done = order(visitor, message)
    making.make(done.pk)
    page = visitor.post(reverse("report_cancel", args=[done.uuid]), follow=True)
    assert "The report was finished already." in text_of(page)
    assert "is ready" in text_of(page)


def test_an_expired_report_says_so_and_is_printed_again(visitor: Client, message: Message) -> None:
    report = order(visitor, message, format="csv", detail="summary", no_mark="on")
    making.make(report.pk)
    assert "Kept until" in text_of(page_of(visitor, report))
    Report.objects.update(finished_at=timezone.now() - making.kept() - timedelta(seconds=1))
    making.purge()
    page = page_of(visitor, report)
    assert "This report has expired: files are kept for 30 days." in text_of(page)
    assert opened(visitor, report).status_code == 404
    form = page.content.decode()
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    sent.pop("csrfmiddlewaretoken", None)
    again = order(visitor, message, **sent)
    for field in ("format", "detail", "devices", "bom", "by_school"):
        assert getattr(again, field) == getattr(report, field), field
    assert again.bom is False


def test_my_reports_lists_mine_and_no_one_elses(
    visitor: Client, message: Message, make_user: Callable[..., User]
) -> None:
    first, second = order(visitor, message), order(visitor, message, format="csv")
    making.make(second.pk)
    other = signed_in(make_user("other", "District administrator"))
    theirs = order(other, message, format="docx")
    page = visitor.get(reverse("reports"))
    links = re.findall(r'class="row-link" href="([^"]+)"', page.content.decode())
    assert links == [reverse("report", args=[r.uuid]) for r in (second, first)]
    assert "Ready" in text_of(page)
    assert "Waiting" in text_of(page)
    # Somebody else's, and one that never was, look alike at every address (X5).
    never = Report()
    for name in ("report", "report_file", "report_cancel"):
        bodies = set()
        for found in (theirs, never):
            address = reverse(name, args=[found.uuid])
            answer = visitor.post(address) if name == "report_cancel" else visitor.get(address)
            assert answer.status_code == 404
            bodies.add(re.sub(r'(value|token)="[^"]*"', "", answer.content.decode()))
        assert len(bodies) == 1
    theirs.refresh_from_db()
    assert theirs.state == Report.State.WAITING
    assert "No reports yet" in text_of(
        signed_in(make_user("new", "Read-only")).get(reverse("reports"))
    )


def test_a_secretarys_report_holds_the_rows_of_her_school(
    message: Message, school: School, make_user: Callable[..., User]
) -> None:
    other = make_school("Elsewhere")
    message.schools.add(other)
    Ledger(message, ids=iter([900])).add(  # type: ignore[arg-type]
        make_person("Elsewhere, Parent"), "voice", "+16125559999", school=other
    )
    report = order(
        signed_in(make_user("s", "School secretary", school)), message, format="csv", detail="all"
    )
    assert report.schools == [school.pk]
    making.make(report.pk)
    report.refresh_from_db()
    words = making.path_of(report).read_text(encoding="utf-8-sig")
    assert "Anderson, Mom" in words
    assert "Elsewhere, Parent" not in words


@pytest.mark.spec("B4-08")
def test_the_list_of_failures_waits_for_the_end_too(visitor: Client, message: Message) -> None:
    report = order(visitor, message, work_list="1", format="pdf", devices="household")
    assert (report.detail, report.format) == ("work_list", "csv")
    making.make(report.pk)
    file = opened(visitor, report)
    assert file["Content-Disposition"].endswith('"school-is-cancelled-work-list.csv"')
    assert "The list of failures is ready: 2 rows." in text_of(page_of(visitor, report))
    message.status = Message.Status.IN_PROGRESS
    message.save()
    page = detail(visitor, message).content.decode()
    assert re.search(r'name="work_list"[^>]*disabled', page)
    answer = visitor.post(
        reverse("report_order", args=[message.uuid]),
        {"devices": ["cell"], "detail": "all", "format": "csv", "work_list": "1"},
    )
    assert answer.status_code == 422
    assert "The work list is not available while the message is waiting" in text_of(answer)


def test_rows_by_school_are_offered_where_there_are_several(
    visitor: Client, message: Message
) -> None:
    assert 'name="by_school"' not in detail(visitor, message).content.decode()
    assert not order(visitor, message, by_school="on").by_school
    message.schools.add(make_school("Elsewhere"))
    assert 'name="by_school"' in detail(visitor, message).content.decode()
    assert order(visitor, message, by_school="on").by_school


def test_a_wrong_order_is_answered_with_the_options(visitor: Client) -> None:
    message = make_message()
    Ledger(message).add(make_person("A, B"), "voice", "+16125550000")
    answer = visitor.post(
        reverse("report_order", args=[message.uuid]),
        {"devices": ["email"], "detail": "everything", "format": "exe"},
    )
    assert answer.status_code == 422
    assert "Error:" in answer.content.decode()
    assert not Report.objects.exists()
