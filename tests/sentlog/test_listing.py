"""The list's filters, order and pages: what stands under each column, and where a click leads."""

import csv
import io
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from messenger.models import Message, Role, RoleAssignment, User
from sentlog.listing import COLUMNS
from sentlog.views import finding
from tests.sentlog.looking import listed, signed_in
from tests.sentlog.rows import make_message, make_school

pytestmark = pytest.mark.usefixtures("district")
Status = Message.Status
MAY = {"created_from": "2022-05-01", "created_to": "2022-05-31"}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def options(page: str, name: str) -> list[str]:
    """The words of a column's dropdown; of a text field, what it offers."""
    if found := re.search(rf'<select name="{name}".*?</select>', page, re.DOTALL):
        return [unescape(word) for word in re.findall(r">([^<>]+)</option>", found[0])]
    found = re.search(rf'<datalist id="present_{name}">.*?</datalist>', page, re.DOTALL)
    assert found, name
    return [unescape(word) for word in re.findall(r'value="([^"]*)"', found[0])]


@pytest.fixture
def three(district: object) -> list[Message]:
    """Three messages that differ in every column."""
    high, middle = make_school("High"), make_school("Middle")
    return [
        make_message(
            subject="apples",
            status=Status.WAITING,
            type_label="Message Builder",
            schools=[middle],
            sender_name="Young, Ann",
            created_at=at("2022-05-01T13:30:00"),  # 8:30 AM in Chicago
            scheduled_at=at("2022-05-09T20:05:00"),
            schedule_id=300,
        ),
        make_message(
            subject="Bananas",
            status=Status.SENT,
            type_label="Emergency Messenger",
            district_wide=True,
            sender_name="abbott, Bo",
            created_at=at("2022-05-02T18:30:00"),  # 1:30 PM
            scheduled_at=at("2022-05-02T18:30:00"),
            schedule_id=20,
        ),
        make_message(
            subject="cherries",
            status=Status.CANCELED,
            type_label="Attendance",
            schools=[high],
            sender_name="Moss, Cy",
            created_at=at("2022-05-03T05:01:00"),  # 12:01 AM
            scheduled_at=at("2022-05-20T13:00:00"),
            schedule_id=None,
        ),
    ]


@pytest.mark.spec("B1-06")
def test_each_column_offers_what_is_there(visitor: Client, three: list[Message]) -> None:
    make_message(created_at=timezone.now(), type_label="Not of these days")
    page = visitor.get(reverse("log"), MAY).content.decode()
    assert options(page, "status") == ["Any", "Waiting", "Sent", "Canceled"]
    assert options(page, "type") == ["Any", "Attendance", "Emergency Messenger", "Message Builder"]
    assert options(page, "school") == ["Any", "Harrison Unified", "High", "Middle"]
    assert options(page, "sender") == ["Any", "Moss, Cy", "Young, Ann", "abbott, Bo"]
    assert options(page, "subject") == ["Bananas", "apples", "cherries"]
    assert options(page, "created") == ["05/03/2022", "05/02/2022", "05/01/2022"]
    assert options(page, "scheduled") == ["05/20/2022", "05/09/2022", "05/02/2022"]
    assert options(page, "schedule_id") == ["300", "20"]


@pytest.mark.spec("B1-06")
def test_every_filter_chooses_and_all_of_them_together(
    visitor: Client, three: list[Message]
) -> None:
    def found(**query: str) -> list[str]:
        return listed(visitor, **MAY, **query)

    assert found(status="canceled") == ["cherries"]
    assert found(type="Message Builder") == ["apples"]
    assert found(school="district") == ["Bananas"]
    assert found(subject="AN") == ["Bananas"]
    assert found(subject="%") == found(created="_") == []
    assert found(sender="Young, Ann") == ["apples"]
    assert found(schedule_id="30") == ["apples"]
    assert found(subject="a", created="05/0", status="sent", sender="abbott, Bo") == ["Bananas"]
    assert found(status="sent", sender="Young, Ann") == []
    # A value that is not there any more is kept visible, and one that never was is refused.
    assert (
        "Select a valid choice"
        in visitor.get(reverse("log"), MAY | {"status": "x"}).content.decode()
    )
    page = visitor.get(reverse("log"), MAY | {"status": "failed"}).content.decode()
    assert "No message matches these filters" in page
    assert '<option value="failed" selected>' in page


@pytest.mark.spec("B1-07", "B1-08")
@pytest.mark.parametrize(
    "text", ["05/01", "8:30", "08:30 am", "2022 8", "05/01/2022 8:30 AM", " 2022  8"]
)
def test_part_of_a_date_or_time_is_enough(visitor: Client, three: list[Message], text: str) -> None:
    assert listed(visitor, **MAY, created=text) == ["apples"]


@pytest.mark.spec("B1-07")
def test_the_date_scheduled_is_matched_as_it_is_shown(
    visitor: Client, three: list[Message]
) -> None:
    assert listed(visitor, **MAY, scheduled="3:05 PM") == ["apples"]
    assert listed(visitor, **MAY, scheduled="05/20") == ["cherries"]
    assert listed(visitor, **MAY, created="12:01") == ["cherries"], "midnight is 12"
    assert listed(visitor, **MAY, created="18:30") == [], "not as it is stored"


@pytest.mark.spec("B1-06")
@pytest.mark.parametrize(
    ("column", "ascending"),
    [
        ("status", ["cherries", "Bananas", "apples"]),
        ("type", ["cherries", "Bananas", "apples"]),
        ("school", ["Bananas", "cherries", "apples"]),
        ("subject", ["apples", "Bananas", "cherries"]),
        ("sender", ["Bananas", "cherries", "apples"]),
        ("created", ["apples", "Bananas", "cherries"]),
        ("scheduled", ["Bananas", "apples", "cherries"]),
        ("schedule_id", ["cherries", "Bananas", "apples"]),
    ],
)
def test_a_click_on_a_head_sorts_and_a_second_one_turns(
    visitor: Client, three: list[Message], column: str, ascending: list[str]
) -> None:
    address = reverse("log") + "?created_from=2022-05-01&created_to=2022-05-31"
    for direction, order in (("ascending", ascending), ("descending", ascending[::-1])):
        page = visitor.get(address).content.decode()
        label = str(next(each.label for each in COLUMNS if each.name == column))
        (link,) = re.findall(rf'<a class="sort" href="([^"]+)">{label}<', page)
        address = reverse("log") + unescape(link)
        page = visitor.get(address).content.decode()
        assert re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', page) == order
        (head,) = re.findall(r'aria-sort="(\w+)"><a class="sort" href="[^"]+">([^<]+)<', page)
        assert head == (direction, label)
        if column == "created":
            break  # the list begins with the newest first: the first click has turned it


@pytest.mark.spec("B1-05")
@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_follow_each_other_without_a_gap_in_any_order(
    visitor: Client, monkeypatch: pytest.MonkeyPatch, column: str, sign: str
) -> None:
    """Many rows have the same value; there and back again."""
    monkeypatch.setattr(finding, "PAGE", 3)
    schools = [make_school("High"), make_school("Middle")]
    now = timezone.now()
    for number in range(10):
        make_message(
            subject=f"{number}",
            status=Status.SENT if number % 2 else Status.FAILED,
            type_label=f"Type {number % 3}",
            schools=[schools[number % 2]],
            sender_name=f"Sender {number % 2}",
            created_at=now - timedelta(minutes=number // 2),
            scheduled_at=now,
            schedule_id=number if number % 3 else None,
        )
    monkeypatch.setattr(finding, "PAGE", 100)
    whole = listed(visitor, sort=f"{sign}{column}")
    assert sorted(whole) == sorted(map(str, range(10)))
    monkeypatch.setattr(finding, "PAGE", 3)
    address, pages = reverse("log") + f"?sort={sign}{column}", []
    for rel in ("next", "prev"):
        walked: list[list[str]] = []
        while True:
            page = visitor.get(address).content.decode()
            walked.append(re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', page))
            following = re.search(rf'<a href="(\?[^"]+)" rel="{rel}"', page)
            if not following:
                break
            address = reverse("log") + unescape(following[1])
        pages.append(walked)
    forth, back = pages
    assert [subject for page in forth for subject in page] == whole
    assert back[::-1] == [forth[0], *forth[1:]]
    assert [len(page) for page in forth] == [3, 3, 3, 1]


def test_the_last_page_asks_as_little_as_the_first(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "PAGE", 2)
    for number in range(9):
        make_message(subject=str(number), created_at=timezone.now() - timedelta(hours=number))
    address, asked = reverse("log"), []
    while address:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page = visitor.get(address).content.decode()
        asked.append(len(queries))
        following = re.search(r'<a href="(\?[^"]+)" rel="next"', page)
        address = reverse("log") + unescape(following[1]) if following else ""
    assert max(asked) <= asked[0] + 1, "the row that it follows"
    # The end of the 4,000 lies as far away from every page; nothing else is counted off.
    asked_for = [query["sql"].replace("OFFSET 3999", "") for query in queries]
    assert not any("OFFSET" in sql for sql in asked_for)


@pytest.mark.spec("B1-03")
def test_my_messages_and_all_messages(
    visitor: Client, administrator: User, make_user: Callable[..., User]
) -> None:
    make_message(subject="Mine", sender=administrator, created_at=timezone.now())
    make_message(subject="Theirs", created_at=timezone.now())
    assert set(listed(visitor)) == {"Mine", "Theirs"}
    assert listed(visitor, whose="mine") == ["Mine"]
    assert "All Messages" in visitor.get(reverse("log")).content.decode()
    teacher = make_user("teacher")
    own = Role.objects.create(name="Own messages", rights=["log.view_own"])
    RoleAssignment.objects.create(user=teacher, role=own)
    assert "All Messages" not in signed_in(teacher).get(reverse("log")).content.decode()
    assert listed(signed_in(teacher), whose="") == []


def test_an_answer_to_htmx_names_the_short_address(visitor: Client) -> None:
    make_message(created_at=timezone.now())
    response = visitor.get(
        reverse("log"), MAY | {"status": "", "subject": "a", "type": ""}, HTTP_HX_REQUEST="true"
    )
    assert response["HX-Push-Url"] == (
        "/log/?created_from=2022-05-01&created_to=2022-05-31&subject=a"
    )


def test_selecting_a_row_keeps_the_place_in_the_list(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a message from page two stand the rows of page two."""
    monkeypatch.setattr(finding, "PAGE", 2)
    for number in range(5):
        make_message(subject=f"m{number}", created_at=timezone.now() - timedelta(hours=number))
    page = visitor.get(reverse("log")).content.decode()
    following = re.search(r'<a href="(\?[^"]+)" rel="next"', page)
    assert following
    page = visitor.get(reverse("log") + unescape(following[1])).content.decode()
    link = re.search(r'<a class="row-link" href="([^"]+)">m2<', page)
    assert link
    beside = visitor.get(unescape(link[1])).content.decode()
    names = re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', beside)
    assert names[:2] == ["m2", "m3"]
    assert re.search(r'aria-current="page">m2<', beside)


def test_the_filtered_list_as_a_file(visitor: Client, administrator: User) -> None:
    """What is listed, in its order, and nothing that a spreadsheet could take for a formula."""
    created = datetime(2022, 5, 1, 13, 30, tzinfo=UTC)
    high, middle = make_school("High"), make_school("Middle")
    make_message(
        subject='=HYPERLINK("http://example.org")',
        sender_name="@SUM, A",
        schools=[middle, high],
        schedule_id=77,
        created_at=created,
        scheduled_at=created,
    )
    make_message(subject="Ávila, B", created_at=created, district_wide=True, schedule_id=None)
    make_message(subject="Elsewhere", created_at=created, status=Message.Status.ERROR)
    query = {"created_from": "2022-05-01", "created_to": "2022-05-01"}
    chosen = query | {"status": "sent", "sort": "subject"}
    file = visitor.get(reverse("log_file", args=["csv"]), chosen)
    assert file["Content-Disposition"].startswith("attachment; filename=sent-messages-")
    assert file.content.startswith(b"\xef\xbb\xbf")
    heads, *rows = csv.reader(io.StringIO(file.content.decode("utf-8-sig")))
    assert heads[:2] == ["Status", "Message Type"]
    assert [row[3] for row in rows] == ['\'=HYPERLINK("http://example.org")', "Ávila, B"]
    assert rows[0][2:3] + rows[0][4:] == [
        "High, Middle",
        "'@SUM, A",
        "05/01/2022 8:30 AM",
        "05/01/2022 8:30 AM",
        "77",
    ]
    assert rows[1][2] == "Harrison Unified"
    assert rows[1][7] == ""
    data = visitor.get(reverse("log_file", args=["json"]), query).json()
    assert (data["total"], data["listed"], len(data["messages"])) == (3, 3, 3)
    assert {row["status"] for row in data["messages"]} == {"sent", "error"}
    assert visitor.get(reverse("log_file", args=["exe"])).status_code == 404


@pytest.mark.spec("B3-13")
def test_only_rows_that_may_be_canceled_can_be_marked(
    visitor: Client, make_user: Callable[..., User]
) -> None:
    now = timezone.now()
    going = {str(make_message(status=status, created_at=now).uuid) for status in Message.UNFINISHED}
    for status in set(Message.Status.values) - set(Message.UNFINISHED):
        make_message(status=status, created_at=now)
    make_message(status=Message.Status.IN_PROGRESS, created_at=now, cancel_requested_at=now)
    page = visitor.get(reverse("log")).content.decode()
    boxes = r'<input type="checkbox" name="message" value="([^"]+)" form="cancel-several">'
    assert set(re.findall(boxes, page)) == going
    assert "Cancel marked messages" in page
    reader = signed_in(make_user("reader", "Read-only")).get(reverse("log")).content.decode()
    assert not re.findall(boxes, reader)
    assert "Cancel marked messages" not in reader
