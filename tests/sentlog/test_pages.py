"""The pages of the classic log: the search, a message's areas, cancel, and what moves by itself."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import Message, MessageDraft, User
from sentlog.views import finding
from sentlog.words import STATUS_NOTES
from tests.sentlog.looking import detail, listed, signed_in, text_of
from tests.sentlog.rows import NOON, Ledger, make_district, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")
Status = Message.Status
CELL = "+16125557735"


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --------------------------------------------------------------------------------- the search


@pytest.mark.spec("B1-03")
def test_without_a_right_the_log_is_closed_and_hidden(
    make_user: Callable[..., User], visitor: Client
) -> None:
    from voice.models import VoiceSettings

    VoiceSettings.current()  # Home shows the dialing hours
    nobody = signed_in(make_user("nobody"))
    message = make_message()
    assert nobody.get(reverse("log")).status_code == 403
    assert nobody.get(reverse("log_detail", args=[message.uuid])).status_code == 404
    assert reverse("log") not in nobody.get("/").content.decode()
    assert reverse("log") in visitor.get("/").content.decode()

    teacher = make_user("teacher")
    from messenger.models import Role, RoleAssignment

    own = Role.objects.create(name="Own messages", rights=["log.view_own"])
    RoleAssignment.objects.create(user=teacher, role=own)
    make_message(subject="Mine", sender=teacher, created_at=timezone.now())
    make_message(subject="Somebody else's", created_at=timezone.now())
    assert listed(signed_in(teacher)) == ["Mine"]


@pytest.mark.spec("B1-04", "B2-01")
def test_both_days_count_whole_in_the_districts_zone(visitor: Client) -> None:
    for subject, created in (
        ("the evening before", "2026-03-02T05:59:59"),  # 11:59:59 PM on March 1 in Chicago
        ("first second", "2026-03-02T06:00:00"),
        ("last second", "2026-03-04T05:59:59"),
        ("the morning after", "2026-03-04T06:00:00"),
    ):
        # Scheduled far away: the search is about the day of creation alone.
        make_message(subject=subject, created_at=day(created), scheduled_at=NOON)
    found = listed(visitor, created_from="2026-03-02", created_to="2026-03-03")
    assert found == ["last second", "first second"]
    page = visitor.get(reverse("log")).content.decode()
    assert "Created Between" in page
    assert len(re.findall(r'<input type="date"', page)) == 2


def test_a_search_that_makes_no_sense_says_why(visitor: Client) -> None:
    make_message(created_at=timezone.now())
    response = visitor.get(
        reverse("log"), {"created_from": "2026-03-03", "created_to": "2026-03-01"}
    )
    assert "The first day comes after the last day." in text_of(response)
    response = visitor.get(reverse("log"), {"created_from": "yesterday", "created_to": ""})
    assert response.status_code == 200
    assert "Enter a valid date." in text_of(response)
    assert 'value="yesterday"' in response.content.decode()


def test_filters_are_combined_and_live_in_the_address(visitor: Client) -> None:
    high, middle = make_school("High"), make_school("Middle")
    now = timezone.now()
    make_message(subject="A", created_at=now, status=Status.SENT, schools=[high])
    make_message(subject="B", created_at=now, status=Status.ERROR, schools=[high])
    make_message(subject="C", created_at=now, status=Status.SENT, schools=[middle])
    make_message(
        subject="D",
        created_at=now,
        status=Status.SENT,
        district_wide=True,
        type_label="Emergency Messenger",
        sender_name="Okafor, Grace",
    )
    assert set(listed(visitor, status="sent")) == {"A", "C", "D"}
    assert set(listed(visitor, school=str(high.uuid))) == {"A", "B", "D"}
    assert listed(visitor, status="sent", school=str(middle.uuid), sender="Okafor, Grace") == ["D"]
    assert listed(visitor, type="Emergency Messenger") == ["D"]
    page = visitor.get(reverse("log"), {"status": "sent"}).content.decode()
    assert re.search(r'class="row-link" href="[^"]*status=sent', page)  # links keep the search


@pytest.mark.spec("B1-05")
def test_four_thousand_are_listed_a_hundred_at_a_time(
    visitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walked in eight long pages instead of forty; a page's length is no part of the limit."""
    assert (finding.LIMIT, finding.PAGE) == (4_000, 100)
    monkeypatch.setattr(finding, "PAGE", 500)
    now = timezone.now()
    Message.objects.bulk_create(
        Message(
            subject=f"Message {number}",
            tool="general",
            type_label="General",
            contact_reason="general",
            sender_name="Admin, System",
            created_at=now - timedelta(seconds=number // 3),
            scheduled_at=now,
        )
        for number in range(4_001)
    )
    address: str | None = reverse("log")
    seen: list[str] = []
    pages = 0
    while address:
        page = visitor.get(address).content.decode()
        seen += re.findall(r'<a class="row-link"[^>]*>([^<]+)</a>', page)
        pages += 1
        following = re.search(r'<a href="(\?[^"]+)" rel="next"', page)
        address = reverse("log") + unescape(following[1]) if following else None
        words = unescape(re.sub(r"<[^>]+>", "", page))
        assert "4,001 messages were created between these days. The newest 4,000 are" in words
    assert pages == 8
    assert len(seen) == len(set(seen)) == 4_000
    oldest = Message.objects.order_by("created_at", "pk")[0].subject
    assert oldest not in seen
    # Filters and sorting act inside these rows.
    assert listed(visitor, subject=oldest) == []
    assert listed(visitor, sort="created")[0] == seen[-1]


@pytest.mark.spec("B1-08", "B2-10", "B2-11", "B2-12", "B2-13", "B2-15")
def test_the_columns_of_the_list(visitor: Client, administrator: User) -> None:
    high = make_school("Harrison High")
    created = day("2022-05-01T13:30:00")
    voice = make_message(
        subject="By phone",
        schools=[high],
        schedule_id=1234567,
        created_at=created,
        scheduled_at=day("2022-05-01T20:05:00"),
        sender=administrator,
        sender_name=administrator.name_in_log(),
    )
    make_message(
        subject="By email",
        district_wide=True,
        modes=["email"],
        created_at=created - timedelta(hours=1),
        scheduled_at=created,
    )
    page = visitor.get(reverse("log"), {"created_from": "2022-05-01", "created_to": "2022-05-01"})
    heads = re.findall(r'<th scope="col"[^>]*><a [^>]*>([^<]+)<', page.content.decode())
    assert heads == [
        "Status",
        "Message Type",
        "District/School",
        "Message Subject",
        "Sender",
        "Date Created",
        "Date Scheduled",
        "Schedule ID",
    ]
    rows = [
        [
            unescape(re.sub(r"<[^>]+>", "", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", page.content.decode(), re.DOTALL)
    ]
    assert rows == [
        [
            "Sent",
            voice.type_label,
            "Harrison High",
            "By phone",
            "Admin, System",
            "05/01/2022 8:30 AM",
            "05/01/2022 3:05 PM",
            "1234567",
        ],
        [
            "Sent",
            voice.type_label,
            "Harrison Unified",
            "By email",
            "Administrator, System",
            "05/01/2022 7:30 AM",
            "05/01/2022 8:30 AM",
            "",
        ],
    ]


def test_an_empty_search_says_what_to_do(visitor: Client) -> None:
    assert "No messages in this search" in text_of(visitor.get(reverse("log")))


# ------------------------------------------------------------------------------- one message


@pytest.mark.spec("B1-09", "B4-01", "B4-10")
@pytest.mark.parametrize("status", Status.values)
def test_a_selected_message_shows_the_four_areas(visitor: Client, status: str) -> None:
    message = make_message(status=status, criteria_shown=[["Grade", "All Grades"]])
    page = detail(visitor, message).content.decode()
    assert re.findall(r"<h2 id[^>]*>([^<]+)</h2>", page) == [
        "Delivery Summary",
        "Sent Message Report Options",
        "Filter Criteria Detail",
        "Message Detail",
    ]
    assert "Print Sent Message Report" in page


@pytest.mark.spec("B8-02", "B3-02")
def test_the_sources_screen(visitor: Client) -> None:
    make_district(voice_enabled=False, text_enabled=False)
    message = make_message(
        modes=["inbox", "email"],
        created_at=day("2020-01-07T13:30:00"),
        scheduled_at=day("2020-01-07T13:30:00"),
    )
    ledger = Ledger(message)
    for number in range(4):
        ledger.add(make_person(f"Nothing, {number}"), "none")
    for number in range(2):
        person = make_person(f"Portal, {number}")
        ledger.add(person, "inbox", outcome="successful")
        ledger.add(person, "email", f"portal{number}@example.org", outcome="successful")
    page = detail(visitor, message)
    shown = text_of(page)
    figures = {
        label: int(value)
        for label, value in re.findall(r"<dt>([^<]+)</dt><dd>([\d,]+)</dd>", page.content.decode())
    }
    assert figures == {
        "Total Recipients": 6,
        "Total No Device": 4,
        "Total Inbox": 2,
        "Total Emails": 2,
        "Total Emails Attempted": 2,
    }
    assert "Sender Administrator, System" in shown
    assert "Date/Time Created 01/07/2020 7:30 AM" in shown
    assert "Date/Time Scheduled 01/07/2020 7:30 AM" in shown
    assert "Sent" in shown
    assert "Refresh Status" in shown


@pytest.mark.spec("B3-03")
@pytest.mark.parametrize(("schedule_id", "shown"), [(4711, True), (None, False)])
def test_the_schedule_id_is_shown_for_phone_messages(
    visitor: Client, schedule_id: int | None, shown: bool
) -> None:
    page = text_of(detail(visitor, make_message(schedule_id=schedule_id)))
    assert ("ScheduleID 4711" in page) is shown
    assert ("ScheduleID" in page) is shown


@pytest.mark.spec("B3-08", "B3-10", "B5-01")
def test_the_label_says_whether_the_district_texts(visitor: Client) -> None:
    message = make_message(modes=["voice", "text"])
    ledger = Ledger(message)
    person = make_person("Anderson, Mom")
    ledger.add(person, "voice", CELL, outcome="failed", code=1, tries=3)
    ledger.add(person, "text", CELL, outcome="successful", code=-27, tries=1)
    ledger.add(person, "voice", "+16125557736", outcome="canceled")
    for text_enabled, total, attempted in (
        (True, "3 Total Voice/Text", "2 Total Voice/Text Attempted"),
        (False, "2 Total Voice", "1 Total Voice Attempted"),
    ):
        make_district(text_enabled=text_enabled)
        page = detail(visitor, message).content.decode()
        pairs = dict(re.findall(r"<dt>([^<]+)</dt><dd>([\d,]+)</dd>", page))
        for words in (total, attempted):
            value, _space, label = words.partition(" ")
            assert pairs[label] == value
    make_district(voice_enabled=False)
    assert "Total Voice" not in text_of(detail(visitor, message))


@pytest.mark.spec("B8-03", "B8-05", "B7-15", "B7-17", "B7-20")
def test_message_detail_in_the_sources_order(visitor: Client) -> None:
    message = make_message(
        schedule_name="Missing Assignment - Daily",
        type_label="Missing Assignment",
        subject="Student Missing Assignments",
        schools=[make_school("Harrison High")],
        settings_frozen={"caller_id": "+19879999876"},
        modes=["voice", "text", "email"],
        voice_text="Please check the portal.",
        text_body="Check <script>alert(1)</script> the portal.",
        email_body="Dear parents & friends",
        created_at=timezone.now(),
    )
    page = detail(visitor, message)
    area = page.content.decode().partition('id="detail-title"')[2]
    pairs = [
        (label, unescape(value))
        for label, value in re.findall(r'<dt>([^<]+)</dt><dd class="lines">(.*?)</dd>', area)
    ]
    assert pairs == [
        ("Schedule Name", "Missing Assignment - Daily"),
        ("Message Type", "Missing Assignment"),
        ("District/School", "Harrison High"),
        ("Caller ID", "(987)999-9876"),
        ("Message Subject", "Student Missing Assignments"),
        ("Voice Message", "Please check the portal."),
        ("Message Text", "Check <script>alert(1)</script> the portal."),
        ("Message Body", "Dear parents & friends"),
    ]
    assert "<script>alert" not in page.content.decode()
    assert "Missing Assignment" in text_of(visitor.get(reverse("log")))


@pytest.mark.spec("B7-16")
@pytest.mark.parametrize("modes", [["voice"], ["inbox", "email"]])
def test_the_senders_email_is_shown_when_email_was_used(visitor: Client, modes: list[str]) -> None:
    message = make_message(modes=modes, settings_frozen={"sender_email": "office@example.org"})
    shown = text_of(detail(visitor, message))
    assert ("Sender's Email office@example.org" in shown) is ("email" in modes)


@pytest.mark.spec("B7-10")
def test_the_criteria_are_those_of_the_confirm(visitor: Client) -> None:
    """Pairs in the order of their tool, whatever becomes of the draft; as text, never as markup."""
    pairs = [["Deliver To", "Ad Hoc Filter"], ["Selected Filters", "System: staff <b>&"]]
    message = make_message(criteria_shown=pairs)
    MessageDraft.objects.create(
        user=User.objects.get(), message=message, content={"criteria": {"grades": ["12"]}}
    )
    area = detail(visitor, message).content.decode().partition('id="criteria-title"')[2]
    area = area.partition("</section>")[0]
    shown = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", area)
    assert [[unescape(label), unescape(value)] for label, value in shown] == pairs
    assert "<b>" not in area


@pytest.mark.spec("B7-11")
def test_tools_without_criteria_have_no_such_area(visitor: Client) -> None:
    shown = {}
    for tool in ("class", "scheduling", "behavior_referral", "special_education", "staff"):
        message = make_message(tool=tool, criteria_shown=[["Grade", "All Grades"]])
        shown[tool] = "Filter Criteria Detail" in text_of(detail(visitor, message))
    assert [tool for tool, area in shown.items() if area] == ["staff"]


@pytest.mark.spec("B8-01")
def test_an_error_says_the_same_in_the_summary_and_in_the_list(visitor: Client) -> None:
    message = make_message(status=Status.ERROR, created_at=timezone.now())
    note = str(STATUS_NOTES[Status.ERROR])
    assert "Refresh Status may change this" in note
    page = detail(visitor, message)
    assert note in text_of(page)
    label = str(Status.ERROR.label)
    for shown in (page, visitor.get(reverse("log"))):
        badges = re.findall(r'<span class="badge[^>]*>(.*?)</span>', shown.content.decode(), re.S)
        assert label in [re.sub(r"<[^>]+>", "", badge).strip() for badge in badges]


@pytest.mark.spec("B3-01", "B3-13")
@pytest.mark.parametrize("status", Status.values)
def test_cancel_is_offered_for_waiting_and_running_messages_alone(
    visitor: Client, status: str
) -> None:
    message = make_message(status=status)
    page = detail(visitor, message).content.decode()
    unfinished = status in Message.UNFINISHED
    assert page.count("Cancel this Message") == (1 if unfinished else 0)
    if unfinished:
        summary = page.partition('id="summary"')[2].partition("<section")[0]
        assert "Cancel this Message" in summary
        assert "Cancel this Message" not in visitor.get(reverse("log")).content.decode()
    visitor.post(reverse("log_cancel", args=[message.uuid]))
    message.refresh_from_db()
    assert (message.cancel_requested_at is not None) is unfinished


@pytest.mark.spec("B3-17")
def test_the_warning_changes_nothing_by_itself(visitor: Client) -> None:
    message = make_message(status=Status.WAITING)
    page = visitor.get(reverse("log_cancel", args=[message.uuid]))
    assert "Nothing has been sent yet" in text_of(page)
    assert "Keep it" in text_of(page)
    message.refresh_from_db()
    assert (message.status, message.cancel_requested_at) == (Status.WAITING, None)


def test_a_cancel_says_by_whom_and_when(visitor: Client) -> None:
    message = make_message(status=Status.WAITING)
    visitor.post(reverse("log_cancel", args=[message.uuid]))
    shown = text_of(detail(visitor, message))
    assert "Canceled By Admin, System" in shown
    assert "Date/Time Canceled" in shown
    assert "Cancel requested. Nothing more is sent" in shown


def test_the_cancel_page_counts_what_stops(visitor: Client) -> None:
    message = make_message(status=Status.IN_PROGRESS)
    ledger = Ledger(message)
    for number in range(5):
        outcome = "successful" if number < 2 else ""
        ledger.add(make_person(f"P, {number}"), "voice", f"+161255500{number:02}", outcome=outcome)
    page = text_of(visitor.get(reverse("log_cancel", args=[message.uuid])))
    assert "3 deliveries have no result yet" in page
    assert "2 deliveries have their result" in page
    assert "Stop 3 deliveries" in page


def test_refresh_status_answers_in_words_with_and_without_a_script(visitor: Client) -> None:
    message = make_message(status=Status.ERROR)
    address = reverse("log_refresh", args=[message.uuid])
    assert "Nothing has been handed to the dialer yet." in text_of(
        visitor.post(address, follow=True)
    )
    part = visitor.post(address, headers={"HX-Request": "true"})
    assert part.content.decode().startswith('<div id="summary"')
    assert "Nothing has been handed to the dialer yet." in text_of(part)


# ------------------------------------------------------------------------------ the live part


def polled(visitor: Client, message: Message, **query: str) -> str:
    return visitor.get(
        reverse("log_summary", args=[message.uuid]), query, headers={"HX-Request": "true"}
    ).content.decode()


def test_a_running_message_looks_again_ever_more_slowly_until_something_changes(
    visitor: Client,
) -> None:
    message = make_message(status=Status.IN_PROGRESS)
    row = Ledger(message).add(make_person("P, One"), "voice", CELL)
    part = detail(visitor, message).content.decode().partition('id="summary"')[2]
    waits = []
    for _look in range(7):
        address = unescape(re.search(r'hx-get="([^"]+)"', part)[1])  # type: ignore[index]
        waits.append(float(re.search(r"every ([\d.]+)s", part)[1]))  # type: ignore[index]
        part = visitor.get(address).content.decode()
    assert waits[0] == 2.0
    assert waits == sorted(waits)
    assert max(waits) == 15.0
    row.state, row.outcome, row.confirmed = "done", "successful", True
    row.save()
    message.results_changed_at = timezone.now()
    message.save()
    address = unescape(re.search(r'hx-get="([^"]+)"', part)[1])  # type: ignore[index]
    assert "every 2.0s" in visitor.get(address).content.decode()


@pytest.mark.parametrize("status", [s for s in Status.values if s not in Message.UNFINISHED])
def test_a_finished_message_is_not_asked_for_again(visitor: Client, status: str) -> None:
    message = make_message(status=status)
    assert "hx-get" not in polled(visitor, message)


def test_paused_updates_stay_paused(visitor: Client) -> None:
    message = make_message(status=Status.IN_PROGRESS)
    address = reverse("log_detail", args=[message.uuid])
    assert "hx-get" in visitor.get(address).content.decode()
    paused = visitor.get(address, {"live": "0"}).content.decode()
    assert "hx-get" not in paused
    assert "Resume updates" in paused


def test_a_quarter_of_the_way_is_said_once(visitor: Client) -> None:
    message = make_message(status=Status.IN_PROGRESS)
    ledger = Ledger(message)
    for number in range(4):
        outcome = "successful" if number == 0 else ""
        ledger.add(make_person(f"P, {number}"), "voice", f"+161255500{number:02}", outcome=outcome)
    assert 'id="announce"' in polled(visitor, message, said="in_progress-0")
    assert 'id="announce"' not in polled(visitor, message, said="in_progress-1")
