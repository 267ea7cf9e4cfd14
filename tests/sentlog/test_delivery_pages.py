"""The pages below a message of the classic log: deliveries, reports, and who may open what."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from messenger.models import Attempt, Message, Person, School, User
from sentlog import delivery_pages
from sentlog.counting import Figures, count
from sentlog.delivery_rows import (
    DUPLICATE,
    NOT_CONTACTED,
    Selection,
    Wording,
    lines_statement,
)
from sentlog.models import Report
from sentlog.reports import making
from tests.sentlog.looking import detail, names, signed_in, text_of
from tests.sentlog.rows import NOON, Ledger, enroll, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")
Status = Message.Status
CELL = "+16125557735"


# ------------------------------------------------------------------------------- deliveries


@pytest.fixture
def rows(administrator: User) -> Message:
    message = make_message(modes=["voice", "text"])
    ledger = Ledger(message)
    school = make_school("Harrison High")
    for number, name in enumerate(["Brown, B", "Ávila, A", "Zoller, Z"]):
        student = make_person(f"Kid, {number}", is_student=True)
        ledger.add(
            make_person(name),
            "voice",
            f"+161255500{number:02}",
            student=student,
            school=school,
            outcome="failed" if number else "successful",
            code=1 if number else 5,
            tries=2 if number else 1,
            chain=number + 1,
            step=1,
            private=number == 2,
        )
    return message


def test_deliveries_are_filtered_by_status_device_and_name(visitor: Client, rows: Message) -> None:
    address = reverse("deliveries", args=[rows.uuid])
    assert names(visitor.get(address)) == ["Ávila, A*", "Brown, B", "Zoller, Z*"]
    assert names(visitor.get(address, {"status": "failed"})) == ["Ávila, A*", "Zoller, Z*"]
    assert names(visitor.get(address, {"name": "avi"})) == ["Ávila, A*"]
    assert names(visitor.get(address, {"name": "%"})) == []
    assert names(visitor.get(address, {"device": "cell", "status": "successful"})) == ["Brown, B"]
    assert "No delivery fits" in text_of(visitor.get(address, {"name": "nobody"}))


@pytest.mark.parametrize("few", [delivery_pages.FEW, 0])
def test_deliveries_are_paged_without_a_gap(
    visitor: Client, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(delivery_pages, "FEW", few)
    message = make_message()
    ledger = Ledger(message)
    for number in range(201):
        # Names repeat, so that a page may end in the middle of people with one name.
        ledger.add(make_person(f"Same{number % 3}, Name"), "voice", f"+1612555{number:04d}")
    gone = make_person("Gone, For Good")
    for number in range(4):
        ledger.add(gone, "voice", f"+1612556{number:04d}")
    Person.objects.filter(pk=gone.pk).delete()
    address: str | None = reverse("deliveries", args=[message.uuid])
    links: list[str] = []
    while address:
        page = visitor.get(address).content.decode()
        links += re.findall(r'<a class="row-link" href="([^"]+)"', page)
        following = re.search(r'<a href="(\?[^"]+)" rel="next"', page)
        address = (
            reverse("deliveries", args=[message.uuid]) + unescape(following[1])
            if following
            else None
        )
    assert len(links) == len(set(links)) == 205


@pytest.mark.spec("B7-01")
def test_every_way_to_a_page_finds_the_rows_that_a_report_prints(
    db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walking people by name and sorting the few rows that fit are one list, whatever is asked."""
    chance = Random(4)
    message = make_message(modes=["voice", "text", "email"])
    ledger = Ledger(message)
    schools = [make_school("High"), make_school("Middle")]
    people = [
        make_person(
            f"{chance.choice(['Ávila', 'Avila', 'Zoë', 'öz', 'Brown'])}, {chance.choice('ABC')}"
        )
        for _person in range(12)
    ]
    students = [make_person(f"Kid, {number}", is_student=True) for number in range(3)]
    drawn = {
        (
            chance.choice(people),
            chance.choice(["voice", "text", "email"]),
            chance.randrange(8),
            chance.choice(students),
        )
        for _row in range(80)
    }
    for person, mode, number, student in sorted(drawn, key=lambda row: (row[2], str(row))):
        outcome = chance.choice(["successful", "failed", "canceled", ""])
        value = f"{number}@example.org" if mode == "email" else f"+161255500{number:02}"
        ledger.add(
            person,
            mode,
            value,
            student=student,
            school=chance.choice([*schools, None]),
            outcome=outcome,
            code=1 if outcome == "failed" and mode == "voice" else None,
        )
    wording = Wording(zone="America/Chicago", codes={1: "1 Busy"}, see_private=True)
    for school_ids in (None, (schools[0].pk,)):
        figures = count(message.pk, school_ids)
        everything = Selection(message.pk, school_ids=school_ids)
        with connection.cursor() as cursor:
            cursor.execute(*lines_statement(everything, wording))
            printed = [tuple(row) for row in cursor.fetchall()]
        assert len(printed) == figures.rows > 12
        wanted: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
            ({}, lambda row: True),
            ({"status": "failed"}, lambda row: row[3] in ("1 Busy", "Failed")),
            ({"mode": "text"}, lambda row: "(text)" in row[2]),
            ({"mark": DUPLICATE}, lambda row: "†" in row[2]),
            ({"mark": NOT_CONTACTED}, lambda row: "*" in row[0]),
            ({"name": "ávi"}, lambda row: row[0][0] in "AÁ"),
            ({"name": "avila b", "devices": ("cell",)}, lambda row: row[0][1:7] == "vila, "),
        ]
        for chosen, fits in wanted:
            selection = replace(everything, **chosen)
            expected = [row for row in printed if fits(row)]
            if "devices" in chosen:
                expected = [row for row in expected if row[0][7] == "B" and "@" not in row[2]]
            for few in (0, delivery_pages.FEW):
                monkeypatch.setattr(delivery_pages, "FEW", few)
                assert walked(selection, wording, figures, size=7) == expected, (chosen, few)
            assert delivery_pages.count_rows_of(selection, figures) == len(expected), chosen


def walked(selection: Selection, wording: Wording, figures: Figures, size: int) -> list[Any]:
    """All rows of a selection, page by page."""
    rows: list[Any] = []
    after = None
    while True:
        page = delivery_pages.page_of_rows(selection, wording, figures, after, size)
        rows += [tuple(row[:5]) for row in page[:size]]
        if len(page) <= size:
            return rows
        after = page[size - 1].id


def test_private_numbers_need_a_right(
    visitor: Client, rows: Message, make_user: Callable[..., User]
) -> None:
    reader = signed_in(make_user("reader", "Read-only"))
    number = rows.deliveries.get(private=True).id
    for address in (
        reverse("deliveries", args=[rows.uuid]),
        reverse("delivery", args=[rows.uuid, number]),
    ):
        assert "(612) 555-0002" in text_of(visitor.get(address))
        hidden = text_of(reader.get(address))
        assert "555-0002" not in hidden
        assert "Private number" in hidden


def test_a_delivery_tells_every_try_in_plain_words(visitor: Client, rows: Message) -> None:
    row = rows.deliveries.get(chain=2)
    for number in (1, 2):
        Attempt.objects.create(
            message=rows,
            chain=2,
            step=1,
            attempt_ref=f"a{number}",
            number=number,
            revision=1,
            mode="voice",
            code=1,
            outcome="failed",
            occurred_at=NOON + timedelta(minutes=15 * number),
        )
    shown = text_of(visitor.get(reverse("delivery", args=[rows.uuid, row.id])))
    assert shown.count("The line was busy.") == 3  # the delivery's status and both tries
    assert "11/20/2026 12:20 PM" in shown
    assert "11/20/2026 12:35 PM" in shown


# ----------------------------------------------------------------------------------- reports


def order(visitor: Client, message: Message, **options: Any) -> Any:
    data = {"devices": ["cell"], "detail": "all", "format": "csv", **options}
    return visitor.post(reverse("report_order", args=[message.uuid]), data)


@pytest.mark.spec("B4-04")
def test_only_devices_used_can_be_chosen(visitor: Client, rows: Message) -> None:
    page = detail(visitor, rows).content.decode()
    assert re.findall(r'name="devices" value="(\w+)"', page) == ["cell"]
    answer = order(visitor, rows, devices=["email"])
    assert answer.status_code == 422
    assert "There is a problem" in text_of(answer)
    assert not Report.objects.exists()


@pytest.mark.spec("B4-08")
def test_failed_delivery_waits_for_the_end(visitor: Client, rows: Message) -> None:
    for status in Message.UNFINISHED:
        rows.status = status
        rows.save()
        page = detail(visitor, rows).content.decode()
        assert re.search(r'value="failed"[^>]*disabled', page)
        assert not re.search(r'value="(all|summary)"[^>]*disabled', page)
        assert order(visitor, rows, detail="failed").status_code == 422
        assert order(visitor, rows, detail="summary").status_code == 302
    rows.status = Status.SENT
    rows.save()
    assert order(visitor, rows, detail="failed").status_code == 302


def test_a_report_is_ordered_watched_and_downloaded(
    visitor: Client, rows: Message, tmp_path: Any, settings: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    answer = order(visitor, rows)
    report = Report.objects.get()
    assert answer["Location"] == reverse("report", args=[report.uuid])
    page = visitor.get(answer["Location"])
    assert "is being written" in text_of(page)
    assert "hx-trigger" in page.content.decode()
    assert visitor.get(reverse("report_file", args=[report.uuid])).status_code == 404
    making.make(report.pk)
    page = visitor.get(answer["Location"])
    assert "The CSV report is ready: 3 rows." in text_of(page)
    file = visitor.get(reverse("report_file", args=[report.uuid]))
    assert file["Content-Disposition"] == 'attachment; filename="school-is-closed-report.csv"'
    assert file["Content-Security-Policy"].startswith("sandbox")
    assert "Ávila, A*" in b"".join(file.streaming_content).decode()  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- rights

# Address → the answers to a superuser, an administrator, a secretary and a reader of the message's
# school, a secretary of another school, and a user without any right.
FORBIDDEN = 404
EVERYONE = (200, 200, 200, 200, FORBIDDEN, FORBIDDEN)
TABLE = {
    "log": ("GET", (200, 200, 200, 200, 200, 403)),
    "log_file": ("GET", (200, 200, 200, 200, 200, 403)),
    "log_cancel_several": ("POST", (302, 302, 302, 302, 302, 403)),  # nothing is marked
    "log_canceling": ("GET", (FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, FORBIDDEN, 403)),
    "log_detail": ("GET", EVERYONE),
    "log_summary": ("GET", EVERYONE),
    "retention": ("GET", (200, 200, 403, 403, 403, 403)),
    "hold_place": ("POST", (422, 422, 403, 403, 403, 403)),  # nothing is named
    "hold_lift": ("POST", (FORBIDDEN, FORBIDDEN, 403, 403, 403, 403)),  # there is none
    "log_cancel": ("GET", (200, 200, 200, FORBIDDEN, FORBIDDEN, FORBIDDEN)),
    "log_refresh": ("POST", (302, 302, 302, 302, FORBIDDEN, FORBIDDEN)),
    "log_lost": ("POST", (302, 302, 302, FORBIDDEN, FORBIDDEN, FORBIDDEN)),
    "report_order": ("POST", (302, 302, 302, 302, FORBIDDEN, FORBIDDEN)),
    "deliveries": ("GET", EVERYONE),
    "delivery": ("GET", EVERYONE),
    "person_messages": ("GET", (200, 200, 200, 200, FORBIDDEN, 403)),
    "reports": ("GET", (200, 200, 200, 200, 200, FORBIDDEN)),
    "report": ("GET", (FORBIDDEN,) * 6),  # somebody else's
    "report_cancel": ("POST", (FORBIDDEN,) * 6),
    "report_file": ("GET", (FORBIDDEN,) * 6),
}


def test_every_address_has_a_line() -> None:
    from sentlog.urls import urlpatterns

    assert {pattern.name for pattern in urlpatterns} == set(TABLE)  # type: ignore[union-attr]


def test_who_may_open_what(rows: Message, make_user: Callable[..., User]) -> None:
    school = School.objects.get(name="Harrison High")
    rows.schools.add(school)
    rows.status = Status.IN_PROGRESS
    rows.save()
    owner = make_user("owner", "District administrator")
    report = making.order(rows, owner, "csv", "all", ["cell"])
    cast = [
        User.objects.create_superuser("super"),
        make_user("a", "District administrator"),
        make_user("s", "School secretary", school),
        make_user("r", "Read-only", school),
        make_user("o", "School secretary", make_school("Elsewhere")),
        make_user("n"),
    ]
    number = rows.deliveries.first().id  # type: ignore[union-attr]
    pupil = make_person("Pupil, One", is_student=True)
    enroll(pupil, school)
    for name, (method, answers) in TABLE.items():
        arguments: list[Any] = [rows.uuid]
        if name == "log_file":
            arguments = ["csv"]
        elif name in ("log", "log_cancel_several", "log_canceling", "reports") or name in (
            "retention",
            "hold_place",
        ):
            arguments = []
        elif name == "hold_lift":
            arguments = [1]
        elif name == "delivery":
            arguments = [rows.uuid, number]
        elif name == "person_messages":
            arguments = [pupil.uuid]
        elif name.startswith("report") and name != "report_order":
            arguments = [report.uuid]
        address = reverse(name, args=arguments)
        data = {"devices": ["cell"], "detail": "summary", "format": "csv"}
        got = tuple(
            signed_in(user).generic(method, address).status_code
            if method == "GET"
            else signed_in(user).post(address, data).status_code
            for user in cast
        )
        assert got == answers, name
        stranger = Client().generic(method, address)
        assert stranger.status_code == 302
        assert stranger["Location"].startswith(reverse("login"))


def test_a_secretary_sees_the_rows_and_totals_of_her_school(
    rows: Message, make_user: Callable[..., User]
) -> None:
    school, other = School.objects.get(name="Harrison High"), make_school("Elsewhere")
    rows.schools.set([school, other])
    stranger = make_person("Elsewhere, Parent")
    row = Ledger(rows, ids=iter([99])).add(  # type: ignore[arg-type]
        stranger, "voice", "+16125559999", school=other, outcome="successful", code=5
    )
    secretary = signed_in(make_user("s", "School secretary", school))
    shown = text_of(detail(secretary, rows))
    assert "Counted for your schools alone." in shown
    assert "3 Every delivery" in shown
    assert "Elsewhere, Parent" not in text_of(
        secretary.get(reverse("deliveries", args=[rows.uuid]))
    )
    assert secretary.get(reverse("delivery", args=[rows.uuid, row.id])).status_code == 404
