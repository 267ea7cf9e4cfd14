"""The Sent Message Report: what it says in which detail, in all three formats, read by others."""

from typing import Any

import pytest

from messenger.models import Message, School
from messenger.rights import Scope
from tests.sentlog.printed import (
    FORMATS,
    HOME,
    Report,
    make_every_end,
    table,
)
from tests.sentlog.rows import Ledger, make_district, make_message, make_person, make_school

pytestmark = pytest.mark.usefixtures("district")


@pytest.fixture
def message(school: School) -> Message:
    return make_every_end(school)


# ------------------------------------------------------------------------------------- sections


@pytest.mark.spec("B4-05", "B4-11")
@FORMATS
def test_all_prints_every_section_in_order(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    titles = [
        "Sent Message Report",
        "Delivery Summary",
        "Filter Criteria Detail",
        "Message Detail",
        "Delivery Detail",
    ]
    assert [text.index(f"{title}") for title in titles] == sorted(
        text.index(title) for title in titles
    )


@pytest.mark.spec("B4-06")
@FORMATS
def test_summary_prints_header_and_summary_alone(
    message: Message, report: Report, format: str
) -> None:
    text = report(message, format, detail="summary")
    assert "Sent Message Report" in text
    assert "Delivery Summary" in text
    for title in ("Filter Criteria Detail", "Message Detail", "Delivery Detail", "Anderson"):
        assert title not in text


@pytest.mark.spec("B4-07", "B3-13")
@FORMATS
def test_failed_delivery_prints_whole_people(message: Message, report: Report, format: str) -> None:
    """Mom has a failed and a successful device: all of hers. Staff was canceled: not failed."""
    text = report(message, format, detail="failed")
    for device in ("(612) 555-7700", "(612) 555-7735", "mom@example.org", "Inbox"):
        assert device in text
    assert "Zimmer" not in text
    assert "Nowhere" not in text


@pytest.mark.spec("B4-12")
@FORMATS
def test_the_header_says_what_when_and_by_whom(
    message: Message, report: Report, format: str
) -> None:
    message.status = Message.Status.IN_PROGRESS
    message.save()
    text = report(message, format, devices=("cell", "email"))
    assert "Harrison High" in text
    assert "Message Status: In-Progress" in text
    assert "Generated on " in text
    for label, value in (
        ("Subject", "School is Cancelled"),
        ("Type", "Message Builder - General Notification"),
        ("Sender", "Administrator, System"),
        ("Date Created", "11/20/2026 12:05 PM"),
        ("Include Recipient Devices", "Email, Cell"),
    ):
        assert label in text
        assert value in text


@pytest.mark.spec("B4-13", "B4-09")
@FORMATS
def test_the_summary_of_the_sources_sample(district: Any, report: Report, format: str) -> None:
    """93 inboxes and 34 people without a device are 127 recipients, in every format."""
    message = make_message(modes=["inbox", "email"], status=Message.Status.IN_PROGRESS)
    ledger = Ledger(message)
    for number in range(93):
        person = make_person(f"Parent, {number}")
        ledger.add(person, "inbox", outcome="successful")
        if number < 3:
            ledger.add(person, "email", f"parent{number}@example.org")
    for number in range(34):
        ledger.add(make_person(f"Without, {number}"), "none")
    text = report(message, format, detail="summary")
    if format == "pdf":
        text = text.replace(" \n", " ")
    for label, value in (
        ("Start Time", "11/20/2026 12:05 PM"),
        ("End Time", "11/20/2026 12:05 PM"),
        ("Duration", "0 minutes"),
        ("Total Recipients", "127"),
        ("Total No Device", "34"),
        ("Total Inbox", "93"),
        ("Total Emails", "3"),
        ("Total Voice", "0"),
        ("Total Text", "0"),
        ("Total Voice Attempted", "0"),
        ("Total Text Messages Attempted", "0"),
        ("Recipients contacted successfully by phone", "0"),
        ("Recipients not contacted by phone", "127"),
    ):
        assert label in text
        assert f"{label}\t{value}" in text or f"{label} {value}" in text.replace("\n", " ")


@pytest.mark.spec("B5-01")
@FORMATS
def test_no_phone_totals_and_no_stars_without_voice(
    message: Message, report: Report, format: str
) -> None:
    make_district(voice_enabled=False, text_enabled=False)
    text = report(message, format)
    for words in ("Total Voice", "Total Text", "contacted successfully", "not contacted by phone"):
        assert words not in text
    assert "Anderson, Dad*" not in text


@pytest.mark.spec("B4-14")
@FORMATS
def test_filter_criteria_are_printed(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    for label, value in message.criteria_shown:
        assert label in text
        assert value in text


@pytest.mark.spec("B5-06", "B8-04")
@FORMATS
def test_the_legend_promises_no_reading_of_texts(
    message: Message, report: Report, format: str
) -> None:
    text = " ".join(report(message, format).split())
    assert "may still not be read" in text
    assert "carrier" in text


# ----------------------------------------------------------------------------------------- rows


@pytest.mark.spec("B4-16", "B7-01", "B7-02", "B7-03", "B7-04")
@pytest.mark.parametrize("format", ["csv", "docx"])
def test_one_row_per_device_by_recipient(message: Message, report: Report, format: str) -> None:
    rows = table(report(message, format))
    mark = "&" if format == "csv" else "†"
    assert [row[:3] for row in rows] == [
        ["Anderson, Dad*", "Anderson, Son", "Email dad@example.org"],
        ["Anderson, Dad*", "Anderson, Son", f"Household Phone (612) 555-7700 {mark}"],
        ["Anderson, Dad*", "Anderson, Son", "Work (612) 555-7999 (text)"],
        ["Anderson, Mom", "Anderson, Son", "Email mom@example.org"],
        ["Anderson, Mom", "Anderson, Son", "Household Phone (612) 555-7700"],
        ["Anderson, Mom", "Anderson, Son", "Cell (612) 555-7735"],
        ["Anderson, Mom", "Anderson, Son", "Cell (612) 555-7735 (text)"],
        ["Anderson, Mom", "Anderson, Son", "Inbox"],
        ["Nowhere, Grandma*", "Anderson, Son", "No Device"],
        ["Zimmer, Staff*", "", "Work (612) 555-7999 ext. 101"],
    ]


@pytest.mark.spec("B5-08", "B5-09")
@FORMATS
def test_stars_and_marks_in_every_format(message: Message, report: Report, format: str) -> None:
    text = report(message, format)
    for name in ("Anderson, Dad*", "Nowhere, Grandma*", "Zimmer, Staff*"):
        assert name in text
    assert "Anderson, Mom*" not in text
    mark = "&" if format == "csv" else "†"
    assert text.count(f"(612) 555-7700 {mark}") == 1
    assert text.count("(612) 555-7700") == 2
    assert f"{mark} This address or number is listed above already" in text


@pytest.mark.spec("B6-01", "B7-05", "B7-08", "B7-09", "B5-21")
def test_what_the_status_says(message: Message, report: Report) -> None:
    """Code and label for phones, Sent and In-Progress for the others, blank for a known STOP."""
    ledger = Ledger(message, ids=iter(range(100, 200)))  # type: ignore[arg-type]
    strange = make_person("Strange, Code")
    ledger.add(strange, "voice", "+16125550001", outcome="failed", code=999, tries=1)
    ledger.add(strange, "text", "+16125550002", outcome="opted_out", code=-33, tries=1)
    status = {(row[0], row[2]): (row[3], row[4]) for row in table(report(message, "docx"))}
    time = "11/20/2026 12:05 PM"
    assert status["Anderson, Mom", "Cell (612) 555-7735"] == ("5 Live Person", time)
    assert status["Anderson, Mom", "Cell (612) 555-7735 (text)"] == ("-27 SMS Sent", time)
    assert status["Anderson, Mom", "Inbox"] == ("Sent", time)
    assert status["Anderson, Mom", "Email mom@example.org"] == ("Sent", time)
    assert status["Anderson, Dad*", "Email dad@example.org"] == ("In-Progress", "")
    assert status["Anderson, Dad*", "Work (612) 555-7999 (text)"] == ("", time)
    assert status["Nowhere, Grandma*", "No Device"] == ("No Device", "")
    assert status["Zimmer, Staff*", "Work (612) 555-7999 ext. 101"] == ("Canceled", time)
    assert status["Strange, Code*", "Cell (612) 555-0001"] == ("code 999", time)
    assert status["Strange, Code*", "Cell (612) 555-0002 (text)"] == ("-33 SMS Opt Out", time)


@pytest.mark.spec("B4-03", "B5-15")
@FORMATS
def test_no_device_is_printed_when_it_is_marked(
    message: Message, report: Report, format: str
) -> None:
    marked = report(message, format, devices=("cell", "none"))
    assert "Total No Device" in marked
    assert "Nowhere, Grandma" in marked
    unmarked = report(message, format, devices=("cell",))
    assert "Total No Device" not in unmarked
    assert "Nowhere, Grandma" not in unmarked


@pytest.mark.spec("B4-02", "B5-16")
def test_only_marked_devices_have_rows(message: Message, report: Report) -> None:
    text = report(message, "csv", devices=("cell", "email"))
    assert {row[2].split()[0] for row in table(text)} == {"Cell", "Email"}
    assert "Total Inbox\t1" in text
    assert [row[2] for row in table(report(message, "csv", devices=("inbox",)))] == ["Inbox"]


def test_failed_delivery_looks_at_the_marked_devices(message: Message, report: Report) -> None:
    """Mom's failed device is the household phone; with cells alone she has no failure."""
    text = report(message, "csv", detail="failed", devices=("cell",))
    assert table(text) == []


@FORMATS
def test_private_numbers_are_never_printed(message: Message, report: Report, format: str) -> None:
    message.deliveries.filter(device__in=["cell", "email"]).update(private=True)
    text = report(message, format)
    for secret in ("555-7735", "mom@example.org", "dad@example.org"):
        assert secret not in text
    assert "Cell Private number" in text
    assert "Email Private address" in text
    assert "555-7735" in report(message, format, see_private=True)


@FORMATS
def test_a_school_reads_its_own_rows_and_totals(
    message: Message, school: School, report: Report, format: str
) -> None:
    other = make_school("Lincoln Middle")
    parent = make_person("Brown, Parent")
    ledger = Ledger(message, ids=iter(range(100, 200)))  # type: ignore[arg-type]
    # Marked as a repeat in the district; in its own school it is the first, and counts.
    ledger.add(parent, "voice", HOME, school=other, outcome="successful", code=5, duplicate=True)
    text = report(message, format, Scope(False, frozenset({other.pk})))
    assert "Brown, Parent" in text
    assert "Anderson" not in text
    assert "(612) 555-7700 †" not in text
    assert "(612) 555-7700 &" not in text


def test_the_order_folds_accents_and_case(report: Report) -> None:
    make_district()
    message = make_message()
    ledger = Ledger(message)
    for name in ("Zoller, A", "Ávila, B", "avery, C", "de la Cruz, D", "Álvarez, E", "Doe, F"):
        ledger.add(make_person(name), "voice", f"+1612555{len(ledger.seen):04d}")
    names = [row[0].rstrip("*") for row in table(report(message, "csv"))]
    assert names == ["Álvarez, E", "avery, C", "Ávila, B", "de la Cruz, D", "Doe, F", "Zoller, A"]
