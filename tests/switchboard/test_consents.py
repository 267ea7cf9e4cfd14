"""Who takes texts: changes from the application, keywords from phones, and what is texted after."""

from __future__ import annotations

import pytest

from dialer_adapters.switchboard import invariants
from dialer_adapters.switchboard.inbound import receive_text
from dialer_adapters.switchboard.models import Account, Attempt, Consent, InboundText, ServiceText
from tests.switchboard.desk import Answer, Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

PHONE = number(110)


def set_consent(desk: Desk, state: str, ref: str, last: int = 110) -> Answer:
    return desk.call(
        "SetTextConsent", PhoneNumber=number(last), State=state, ChangeRef=ref, Source="PORTAL"
    )


def say(desk: Desk, body: str, phone: str = PHONE) -> InboundText:
    return receive_text(desk.dialer, Account.objects.get().pk, phone, body)


def text(desk: Desk) -> str | None:
    """Send a text to the phone; the code that became of it first."""
    desk.submit(chain("c1", "T" + PHONE))
    desk.run()
    closed = desk.closings().get("c1-1")
    return closed[0] if closed else desk.results()[0][2]


# ------------------------------------------------------------------------- from the application


def test_a_changed_consent_is_taken_once(desk: Desk) -> None:
    first, again = set_consent(desk, "OPTED_IN", "r-1"), set_consent(desk, "OPTED_IN", "r-1")
    assert (first["State"], first["Replayed"], first["ConfirmationQueued"]) == (
        "OPTED_IN",
        "false",
        "true",
    )
    assert (again["Replayed"], again["ConfirmationQueued"]) == ("true", "true")
    assert set_consent(desk, "OPTED_OUT", "r-1").fault == ("ConflictFault", "JOBREF_REUSED")
    assert set_consent(desk, "OPTED_IN", "r-2")["ConfirmationQueued"] == "false"
    assert [sent.phone_number for sent in ServiceText.objects.all()] == [PHONE]


def test_consents_are_listed_by_number(desk: Desk) -> None:
    for last in (110, 111, 112):
        set_consent(desk, "OPTED_IN", f"r-{last}", last)
    page = desk.call("GetTextConsents", MaxEntries=2)
    assert [consent["PhoneNumber"] for consent in page.all("Consent")] == [number(110), number(111)]
    assert page["HasMore"] == "true"
    rest = desk.call("GetTextConsents", AfterNumber=number(111))
    assert [consent["PhoneNumber"] for consent in rest.all("Consent")] == [number(112)]
    assert rest["HasMore"] == "false"


# ---------------------------------------------------------------------------------- from phones


def test_start_and_yes_opt_in(desk: Desk) -> None:
    assert (say(desk, "Start").consent_after, say(desk, "yes!").consent_after) == (
        "PENDING",
        "OPTED_IN",
    )
    consent = Consent.objects.get()
    assert (consent.state, consent.stopped, consent.source) == ("OPTED_IN", False, "TEXT")


def test_stop_holds_although_the_preference_is_on(desk: Desk) -> None:
    set_consent(desk, "OPTED_IN", "r-1")
    assert text(desk) == "-39"
    stopped = say(desk, "Stop.")
    assert (stopped.keyword, stopped.consent_after) == ("STOP", "OPTED_OUT")
    refused = set_consent(desk, "OPTED_IN", "r-2")
    assert refused.fault == ("ConflictFault", "CONSENT_STOPPED")
    assert text(desk) == "-33"
    # The whole opt-in must be repeated: START alone brings no texts back.
    assert say(desk, "START").consent_after == "PENDING"
    assert text(desk) == "-33"
    assert set_consent(desk, "OPTED_IN", "r-3").fault == ("ConflictFault", "CONSENT_STOPPED")
    assert say(desk, "YES").consent_after == "OPTED_IN"
    assert text(desk) == "-39"
    assert set_consent(desk, "OPTED_OUT", "r-4")["State"] == "OPTED_OUT"
    assert set_consent(desk, "OPTED_IN", "r-5")["State"] == "OPTED_IN"
    assert invariants.list_violations() == []


def test_stop_is_heeded_after_a_restart_too(desk: Desk) -> None:
    say(desk, "STOP")
    say(desk, "START")
    desk.open()
    assert text(desk) == "-33"


def test_stop_takes_effect_on_texts_that_wait(desk: Desk) -> None:
    """A text that is held back until the job is sealed is not sent after STOP."""
    desk.submit(chain("c1", "T" + PHONE), chain("c2", "T" + number(111)), TotalChains=None)
    desk.play()
    say(desk, "STOP")
    desk.add(1, total=2)
    desk.run()
    assert [attempt.phone_number for attempt in Attempt.objects.all()] == [number(111)]
    assert desk.closings() == {"c1-1": ("-33", "OPTED_OUT", "OPTED_OUT")}


def test_keywords_are_answered_and_other_words_are_not(desk: Desk) -> None:
    replies = {}
    for body in ("STOP", "START", "HELP", "YES"):
        replies[body] = say(desk, body).auto_reply
        assert replies[body]
    for body in ("see you at eight", "YES"):
        assert say(desk, body).auto_reply is None
    assert say(desk, "START").auto_reply == replies["YES"]  # it takes texts already
    assert ServiceText.objects.count() == 5
    assert {sent.phone_number for sent in ServiceText.objects.all()} == {PHONE}


def test_yes_without_start_gets_help_and_changes_nothing(desk: Desk) -> None:
    said = say(desk, "Yes")
    assert (said.keyword, said.consent_after) == ("YES", "UNKNOWN")
    assert said.auto_reply == say(desk, "help").auto_reply
    assert Consent.objects.count() == 0
    stopped = [say(desk, body).consent_after for body in ("STOP", "YES")]
    assert stopped == ["OPTED_OUT", "OPTED_OUT"]


# ---------------------------------------------------------------------------------------- pages


def test_inbound_texts_are_read_like_the_log(desk: Desk) -> None:
    bodies = ["Stop!", "who is this? <&>", "", "START"]
    for body in bodies:
        say(desk, body)
    page = desk.call("GetInboundTexts", AfterSeq=0, MaxEntries=3)
    assert [row["Seq"] for row in page.all("Text")] == ["1", "2", "3"]
    assert (page["NextSeq"], page["HasMore"], page["OldestSeq"]) == ("3", "true", "1")
    epoch = page["Epoch"]
    rest = desk.call("GetInboundTexts", Epoch=epoch, AfterSeq=3)
    rows = page.all("Text") + rest.all("Text")
    assert [row["Body"] for row in rows] == bodies
    assert [row["Keyword"] for row in rows] == ["STOP", "NONE", "NONE", "START"]
    assert [row["ConsentAfter"] for row in rows] == ["OPTED_OUT"] * 3 + ["PENDING"]
    assert {row["FromNumber"] for row in rows} == {PHONE}
    assert len({row["TextID"] for row in rows}) == 4
    assert (
        desk.call("GetInboundTexts", Epoch=epoch, AfterSeq=0, MaxEntries=3).all("Text") == rows[:3]
    )


@pytest.mark.parametrize("operation", ["GetInboundTexts", "GetRemoteDialInMessages"])
def test_their_cursors_are_guarded_as_the_logs(desk: Desk, operation: str) -> None:
    page = desk.call(operation, AfterSeq=0)
    assert (page["NextSeq"], page["HasMore"]) == ("0", "false")
    beyond = desk.call(operation, Epoch=page["Epoch"], AfterSeq=1)
    assert beyond.fault == ("CursorFault", "AHEAD_OF_LOG")
    assert desk.call(operation, AfterSeq=1).fault == ("CursorFault", "EPOCH_REQUIRED")
    assert desk.call(operation, Epoch="E-old", AfterSeq=0).fault == (
        "CursorFault",
        "EPOCH_CHANGED",
    )


def test_what_xml_cannot_carry_is_left_out_of_a_body(desk: Desk) -> None:
    say(desk, "ST\x00OP\x0b")
    (row,) = desk.call("GetInboundTexts", AfterSeq=0).all("Text")
    assert (row["Body"], row["Keyword"]) == ("STOP", "STOP")


def test_a_long_page_ends_before_the_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        say(desk, "ё" * 500)
    monkeypatch.setattr("dialer_adapters.switchboard.inbound.MOST_BYTES", 3000)
    page = desk.call("GetInboundTexts", AfterSeq=0)
    assert (len(page.all("Text")), page["NextSeq"], page["HasMore"]) == (2, "2", "true")
