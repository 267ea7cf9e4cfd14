"""The classic totals: each definition as the source words it, and the SQL held against them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import Delivery, Message, School
from messenger.roster.phones import normalise_email
from sentlog.counting import Figures, Row, count, count_rows, reached_by_phone, was_attempted
from tests.sentlog.rows import NOON, Ledger, make_message, make_person, make_school, plain
from voice.outcomes import outcome_of

MOM, DAD = "+16125557735", "+16125557736"


def row(mode: str = "voice", **values: Any) -> Row:
    """A finished voice row, changed where the test says so."""
    base = {"recipient": 1, "address": MOM, "device": "cell", "state": "done", "outcome": "failed"}
    return Row(**{**base, "mode": mode, **values})


@pytest.fixture
def message(db: Any) -> Message:
    return make_message(modes=["inbox", "email", "voice", "text"])


@pytest.fixture
def ledger(message: Message) -> Ledger:
    return Ledger(message)


# ----------------------------------------------------------------- the source's words, once more


def told(rows: list[Delivery], words: str) -> int:
    """A total by the words of the source alone, without a definition of `sentlog.counting`: each
    is a set of people, numbers or addresses, picked row by row from what was stored."""

    def values(mode: str) -> set[str]:
        return {row.address for row in rows if row.mode == mode}

    def given_up(row: Delivery) -> bool:
        """Cancelled, or opted out, or closed here before anything left the house."""
        here = {"invalid_number", "do_not_contact", "extension"}
        return row.outcome in {"canceled", "opted_out", "not_eligible"} or (
            row.tries == 0 and row.state == "done" and row.reason in here
        )

    def on_its_way(row: Delivery) -> bool:
        return row.state in {"submitted", "done"} or row.tries >= 1

    def tried(mode: str) -> set[str]:
        of_mode = [row for row in rows if row.mode == mode]
        return {row.address for row in of_mode if on_its_way(row) and not given_up(row)}

    everybody = {row.recipient_id for row in rows}
    success = {
        row.recipient_id
        for row in rows
        if row.mode in {"voice", "text"} and (row.outcome == "successful" or row.confirmed)
    }
    with_device = {row.recipient_id for row in rows if row.mode != "none"}
    inboxes = {
        row.recipient_id
        for row in rows
        if row.mode == "inbox" and row.outcome in {"", "successful"}
    }
    totals = {
        "recipients": everybody,
        "no device": everybody - with_device,
        "inbox": inboxes,
        "contacted": success,
        "not contacted": everybody - success,
        **{mode: values(mode) for mode in ("email", "voice", "text")},
        **{f"{mode} attempted": tried(mode) for mode in ("email", "voice", "text")},
    }
    return len(totals[words])


# --------------------------------------------------------------------------- one row, in words


@pytest.mark.spec("B5-04")
@pytest.mark.parametrize("outcome", ["failed", "expired", "unknown", "successful"])
def test_a_confirmed_call_reached_someone_whatever_its_code(outcome: str) -> None:
    assert reached_by_phone(row(outcome=outcome, confirmed=True))


@pytest.mark.parametrize("mode", ["inbox", "email", "none"])
def test_only_calls_and_texts_contact_by_phone(mode: str) -> None:
    assert not reached_by_phone(row(mode, outcome="successful"))


def test_a_queued_text_is_no_success_yet() -> None:
    assert not reached_by_phone(row("text", state="submitted", outcome="", tries=1))


@pytest.mark.parametrize(
    ("tried", "values"),
    [
        (True, {"outcome": "failed", "tries": 3}),
        (True, {"outcome": "successful", "tries": 1}),
        (True, {"outcome": "expired"}),  # given to the dialer; only Cancelled is left out
        (True, {"outcome": "unknown", "tries": 1}),
        (True, {"state": "submitted", "outcome": "", "tries": 1}),  # busy, a redial to come
        (False, {"state": "pending", "outcome": ""}),
        (False, {"outcome": "canceled"}),
        (False, {"outcome": "opted_out"}),
        (False, {"outcome": "opted_out", "tries": 1}),  # -33: the provider knew of the STOP
        (False, {"outcome": "not_eligible", "reason": "extension"}),
        (False, {"outcome": "failed", "reason": "invalid_number"}),
        (False, {"outcome": "failed", "reason": "do_not_contact"}),
    ],
)
def test_attempted_is_what_was_handed_over_and_not_canceled(
    tried: bool, values: dict[str, Any]
) -> None:
    assert was_attempted(row(**values)) is tried


@pytest.mark.spec("B5-02", "B5-05", "B5-07")
@pytest.mark.parametrize(
    ("mode", "code", "reached"),
    [
        ("voice", 5, True),  # live voice
        ("voice", 6, True),  # voicemail
        ("voice", 13, True),  # preconnect for an extension
        ("voice", 8, True),  # connected through an extension
        ("text", -27, True),
        ("text", -28, True),
        ("text", -39, False),  # queued: pending, no outcome yet
        ("text", -30, False),
        ("text", -33, False),
        ("text", -40, False),
        ("voice", 2, False),
        ("voice", 7, False),
        ("voice", 9, False),
        ("voice", -11, False),
        ("voice", -32, False),
    ],
)
def test_which_codes_contact_someone(ledger: Ledger, mode: str, code: int, reached: bool) -> None:
    ledger.add(make_person("A, Mom"), mode, MOM, outcome=outcome_of(code), code=code, tries=1)
    assert count(ledger.message.pk).contacted == int(reached)


# ------------------------------------------------------------------------------ the source's rows


@pytest.mark.spec("B3-04")
def test_the_screen_sample_six_recipients(ledger: Ledger) -> None:
    """Total Recipients: 6, No Device: 4, Inbox: 2, Emails: 2, Emails Attempted: 2."""
    for number in range(4):
        ledger.add(make_person(f"Nothing, {number}"), "none")
    for number in range(2):
        person = make_person(f"Portal, {number}")
        ledger.add(person, "inbox", outcome="successful")
        ledger.add(person, "email", f"portal{number}@example.org", outcome="successful")
    figures = count(ledger.message.pk)
    assert figures.total_recipients == 6
    assert figures.total_no_device == 4
    assert figures.total_inbox == 2
    assert (figures.total_emails, figures.total_emails_attempted) == (2, 2)


@pytest.mark.spec("B5-22")
def test_the_report_sample_127_is_93_and_34(ledger: Ledger) -> None:
    """93 inboxes + 34 without a device = 127 recipients, 3 emails, all 127 not contacted."""
    for number in range(93):
        person = make_person(f"Parent, {number}")
        ledger.add(person, "inbox", outcome="successful")
        if number < 3:
            ledger.add(person, "email", f"parent{number}@example.org")
    for number in range(34):
        ledger.add(make_person(f"Without, {number}"), "none")
    figures = count(ledger.message.pk)
    assert (figures.total_recipients, figures.total_no_device, figures.total_inbox) == (127, 34, 93)
    assert (figures.total_emails, figures.total_emails_attempted) == (3, 0)
    assert (figures.total_voice, figures.total_text) == (0, 0)
    assert (figures.total_voice_attempted, figures.total_text_attempted) == (0, 0)
    assert (figures.contacted, figures.not_contacted) == (0, 127)


@pytest.mark.spec("B5-11", "B5-14")
def test_two_people_on_one_number_are_two_contacted_and_one_number(ledger: Ledger) -> None:
    for name in ("Anderson, Mom", "Anderson, Dad"):
        ledger.add(make_person(name), "voice", MOM, outcome="successful", code=5, tries=1)
    figures = count(ledger.message.pk)
    assert (figures.total_recipients, figures.contacted) == (2, 2)
    assert (figures.total_voice, figures.total_voice_attempted) == (1, 1)


@pytest.mark.spec("B5-12")
def test_one_success_among_failures_counts_the_person_once(ledger: Ledger) -> None:
    person = make_person("Anderson, Mom")
    ledger.add(person, "voice", MOM, outcome="failed", code=1, tries=3)
    ledger.add(person, "voice", DAD, outcome="successful", code=5, tries=1)
    ledger.add(person, "text", MOM, outcome="successful", code=-27, tries=1)
    assert count(ledger.message.pk).contacted == 1


@pytest.mark.spec("B5-13")
def test_a_guardian_of_two_students_is_one_recipient(ledger: Ledger) -> None:
    guardian = make_person("Anderson, Mom")
    for name in ("Anderson, Son", "Anderson, Daughter"):
        ledger.add(guardian, "voice", MOM, student=make_person(name, is_student=True))
    ledger.add(make_person("Nobody, Reachable"), "none")
    assert count(ledger.message.pk).total_recipients == 2


@pytest.mark.spec("B3-05")
def test_no_device_means_no_device_at_all(ledger: Ledger) -> None:
    """Someone with an inbox, or with a device for one of two students, has a device."""
    ledger.add(make_person("Inbox, Only"), "inbox", outcome="successful")
    half = make_person("Half, Way")
    ledger.add(half, "voice", MOM, student=make_person("Way, Son"), outcome="failed")
    ledger.add(half, "none", student=make_person("Way, Daughter"))
    ledger.add(make_person("Nothing, At All"), "none")
    figures = count(ledger.message.pk)
    assert (figures.total_recipients, figures.total_no_device) == (3, 1)


@pytest.mark.spec("B3-11")
def test_confirmed_on_the_first_of_three_numbers(ledger: Ledger) -> None:
    """Total Voice 3, Attempted 1; the text in the chain was not sent either."""
    person = make_person("Anderson, Mom")
    numbers = [MOM, DAD, "+16125557737"]
    ledger.add(person, "voice", MOM, outcome="successful", code=5, confirmed=True, tries=1)
    for number in numbers[1:]:
        ledger.add(person, "voice", number, outcome="canceled", reason="CONFIRMED")
    ledger.add(person, "text", MOM, outcome="canceled", reason="CONFIRMED")
    figures = count(ledger.message.pk)
    assert (figures.total_voice, figures.total_voice_attempted) == (3, 1)
    assert (figures.total_text, figures.total_text_attempted) == (1, 0)


@pytest.mark.spec("B5-18", "B5-20", "B3-09")
def test_canceled_numbers_are_not_attempted_but_their_dialed_twins_are(ledger: Ledger) -> None:
    first, second = make_person("A, Mom"), make_person("B, Mom")
    ledger.add(first, "voice", MOM, outcome="canceled")  # unmarked, canceled
    ledger.add(second, "voice", MOM, outcome="failed", code=0, tries=3)  # marked, dialed 3 times
    ledger.add(first, "voice", DAD, outcome="canceled")
    ledger.add(first, "email", "a@example.org", outcome="canceled")
    ledger.add(second, "email", "b@example.org", outcome="successful")
    figures = count(ledger.message.pk)
    assert (figures.total_voice, figures.total_voice_attempted) == (2, 1)
    assert (figures.total_emails, figures.total_emails_attempted) == (2, 1)


@pytest.mark.spec("B5-19")
def test_opted_out_numbers_are_texts_but_not_attempted(ledger: Ledger) -> None:
    person = make_person("Quiet, Please")
    ledger.add(person, "text", MOM, outcome="opted_out")
    ledger.add(person, "text", DAD, outcome="opted_out", code=-33, tries=1)
    ledger.add(person, "text", "+16125557737", outcome="successful", code=-28, tries=1)
    figures = count(ledger.message.pk)
    assert (figures.total_text, figures.total_text_attempted) == (3, 1)


@pytest.mark.spec("B5-17")
def test_an_email_address_counts_once_however_it_is_written(ledger: Ledger) -> None:
    """Failed, canceled and shared: the address is one, in whatever letters the roster had it."""
    written = ["Family@Example.org", " family@example.ORG", "family@example.org", "dad@example.org"]
    ends = ["failed", "canceled", "successful", "failed"]
    for number, (address, outcome) in enumerate(zip(written, ends, strict=True)):
        person = make_person(f"Family, {number}")
        ledger.add(person, "email", normalise_email(address).value, outcome=outcome)
    figures = count(ledger.message.pk)
    assert (figures.total_emails, figures.total_emails_attempted) == (2, 2)
    assert figures.total_recipients == 4


@pytest.mark.spec("B3-07")
def test_an_email_address_counts_once_whatever_its_end(ledger: Ledger) -> None:
    for name in ("A, Mom", "A, Dad"):
        ledger.add(make_person(name), "email", "family@example.org", outcome="failed")
    assert count(ledger.message.pk).total_emails == 1


@pytest.mark.spec("B3-06")
def test_inboxes_are_counted_by_person_unless_canceled(ledger: Ledger) -> None:
    twice = make_person("Two, Students")
    for name in ("One, S", "Two, S"):
        ledger.add(twice, "inbox", outcome="successful", student=make_person(name))
    ledger.add(make_person("Stopped, In Time"), "inbox", outcome="canceled")
    assert count(ledger.message.pk).total_inbox == 1


# -------------------------------------------------------------------------- scopes and the oracle


def test_a_school_counts_its_own_rows_alone(ledger: Ledger) -> None:
    high, middle = make_school("High"), make_school("Middle")
    parent = make_person("Anderson, Mom")
    son, daughter = make_person("Anderson, Son"), make_person("Anderson, Daughter")
    ledger.add(parent, "voice", MOM, student=son, school=high, outcome="failed", tries=1)
    ledger.add(parent, "voice", MOM, student=daughter, school=middle, outcome="successful", tries=1)
    ledger.add(make_person("Office, Staff"), "voice", DAD, outcome="failed", tries=1)
    assert count(ledger.message.pk, [middle.pk]).contacted == 1
    of_high = count(ledger.message.pk, [high.pk])
    assert (of_high.total_voice, of_high.contacted, of_high.rows) == (1, 0, 1)
    assert count(ledger.message.pk, [high.pk, middle.pk]).rows == 2
    assert count(ledger.message.pk, []) == Figures()
    assert count(ledger.message.pk).rows == 3


STATES = st.one_of(
    st.tuples(st.just("pending"), st.just("")),
    st.tuples(st.just("claimed"), st.just("")),
    st.tuples(st.just("submitted"), st.just("")),
    st.tuples(
        st.just("done"),
        st.sampled_from(
            ["successful", "failed", "canceled", "opted_out", "expired", "not_eligible", "unknown"]
        ),
    ),
)
ROWS = st.lists(
    st.tuples(
        st.integers(0, 5),  # recipient
        st.sampled_from(["inbox", "email", "voice", "text", "none"]),
        st.integers(0, 4),  # address
        STATES,
        st.sampled_from(["", "invalid_number", "do_not_contact", "CONFIRMED"]),
        st.booleans(),  # confirmed
        st.integers(0, 2),  # tries
        st.sampled_from([None, 0, 1]),  # school
    ),
    max_size=30,
)


@pytest.mark.spec("B5-10")
@pytest.mark.django_db
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(drawn=ROWS)
def test_the_statement_counts_as_the_definitions_do(drawn: list[Any]) -> None:
    message = make_message()
    people = [make_person(f"Family {number}, Given") for number in range(6)]
    schools = [School.objects.create(name=f"School {number}") for number in range(2)]
    seen: set[tuple[str, str]] = set()
    rows = []
    for number, drawing in enumerate(drawn):
        who, mode, where, (state, outcome), reason, confirmed, tries, school = drawing
        if mode == "none":
            state, outcome, confirmed, tries = "done", "no_device", False, 0
        # Voice and text share their numbers: one that is used for both is no duplicate.
        address = {"email": f"{where}@example.org", "voice": f"+1{where}", "text": f"+1{where}"}
        value = address.get(mode, "")
        rows.append(
            Delivery(
                message=message,
                id=number,
                recipient=people[who],
                # Students keep rows apart that the unique key would take for one.
                student_id=10_000 + number,
                school=None if school is None else schools[school],
                mode=mode,
                device=mode if mode in ("inbox", "email", "none") else "cell",
                address=value,
                role="contact",
                private=number % 3 == 0,
                state=state,
                outcome=outcome,
                reason=reason,
                confirmed=confirmed,
                tries=tries,
                duplicate=mode != "none" and (mode, value) in seen,
                result_at=NOON,
            )
        )
        seen.add((mode, value))
    Delivery.objects.bulk_create(rows)

    figures = count(message.pk)
    assert figures == count_rows(plain(rows))
    for words, counted in {
        "recipients": figures.total_recipients,
        "no device": figures.total_no_device,
        "inbox": figures.total_inbox,
        "contacted": figures.contacted,
        "not contacted": figures.not_contacted,
        "email": figures.total_emails,
        "voice": figures.total_voice,
        "text": figures.total_text,
        "email attempted": figures.total_emails_attempted,
        "voice attempted": figures.total_voice_attempted,
        "text attempted": figures.total_text_attempted,
    }.items():
        assert counted == told(rows, words), words
    of_school = [row for row in rows if row.school_id == schools[0].pk]
    assert count(message.pk, [schools[0].pk]) == count_rows(plain(of_school))

    assert figures.contacted + figures.not_contacted == figures.total_recipients
    assert figures.total_no_device <= figures.not_contacted
    for mode, total, attempted in (
        ("email", figures.total_emails, figures.total_emails_attempted),
        ("voice", figures.total_voice, figures.total_voice_attempted),
        ("text", figures.total_text, figures.total_text_attempted),
    ):
        assert attempted <= total
        assert total == sum(row.mode == mode and not row.duplicate for row in rows)
    assert figures.rows == len(rows) == sum(figures.devices.values())
    assert figures.rows_done == sum(row.state == "done" for row in rows)


def test_the_combined_total_counts_a_number_once_in_each_mode() -> None:
    figures = Figures(total_voice=3, total_text=2, total_voice_attempted=2, total_text_attempted=1)
    assert (figures.total_voice_text, figures.total_voice_text_attempted) == (5, 3)


def test_a_hundred_percent_means_nothing_is_open() -> None:
    assert Figures(rows=1000, rows_done=999).percent_done == 99
    assert Figures(rows=1000, rows_done=1000).percent_done == 100
    assert Figures().percent_done == 100
