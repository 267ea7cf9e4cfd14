"""The table of call status codes against the source document: every label, note and count."""

import pytest

from dialer_adapters.call_codes import (
    CODES,
    CODES_FILE,
    SOURCE_CODES,
    CodeTableIncomplete,
    lookup,
    read_codes,
)

# (row, code, label, words that the note must carry, how the source counts it)
SOURCE_ROWS = [
    ("B6-02", 0, "No answer", "nobody answered", "not success"),
    ("B6-03", 1, "Busy", "busy", "not success"),
    ("B6-04", 2, "Operator", "automated operator; number; circuits", "not success"),
    ("B6-05", 3, "Not In Service", "not in service", "not success"),
    ("B6-06", 4, "No Ring Back", "dialed; no ring tone", "not success"),
    ("B6-07", 5, "Live Person", "live person", "success"),
    ("B6-08", 6, "Answering Machine", "answering machine", "success"),
    ("B6-09", 7, "Fax", "fax", "not success"),
    ("B6-10", 8, "PBX", "connected; extension", "success"),
    ("B6-11", 9, "Unknown", "provider could not", "not success"),
    ("B6-12", 10, "Failed", "failed; most likely; messenger", "not success"),
    ("B6-13", 13, "Preconnect Done", "extension; main number; call was made", "success"),
    ("B6-14", 14, "Fast-Busy", "fast busy; lines", "not success"),
    ("B6-15", 16, "Operator", "out of service; private", "not success"),
    ("B6-16", 17, "Temporarily Unavailable", "unavailable; redialed; other routes", "pending"),
    ("B6-17", -1, "N/S", "unknown error", "not success"),
    ("B6-18", -2, "Invalid Phone #", "not valid", "not success"),
    ("B6-19", -3, "Do Not Call", "do-not-call list", "not success"),
    ("B6-20", -4, "Duplicate", "already handled", "not attempted"),
    ("B6-21", -5, "No Response from Dialer", "may have been dialed; not known", "not success"),
    ("B6-22", -7, "Local Operator", "known; not to be in service", "not success"),
    ("B6-23", -9, "Local Time Restricted", "local time; not allowed", "not success"),
    ("B6-24", -10, "State Restricted", "every attempt; last route; state", "not success"),
    ("B6-25", -11, "Call Expired", "before the call was placed", "not success"),
    ("B6-26", -12, "No Channel", "processing failed; not dialed", "not success"),
    ("B6-27", -13, "Route Unavailable", "every attempt; failed", "not success"),
    ("B6-28", -14, "Call Error", "could not be created; call error", "not success"),
    ("B6-29", -15, "Wireless", "wireless number; leaves wireless numbers out", "not success"),
    (
        "B6-30",
        -18,
        "Origination Tollfree Restricted",
        "last route; toll-free caller",
        "not success",
    ),
    (
        "B6-31",
        -19,
        "Destination Tollfree Restricted",
        "last route; does not call toll-free",
        "not success",
    ),
    (
        "B6-32",
        -20,
        "Remote Dialer Did Not Set Call Progress",
        "communication; not known",
        "not success",
    ),
    ("B6-33", -21, "Local No Answer", "known not to connect", "not success"),
    ("B6-34", -22, "Suppressed Phone #", "suppression list", "not success"),
    ("B6-35", -23, "Local Fax", "known to be a fax", "not success"),
    ("B6-36", -24, "Low Resources", "every attempt", "not success"),
    ("B6-37", -25, "Sub-System Error", "part of the dialer failed; call error", "not success"),
    (
        "B6-38",
        -26,
        "All Routes Temporarily Unavailable to Destination",
        "no route; for the moment",
        "not success",
    ),
    ("B6-39", -27, "SMS Sent", "handed to the recipient's telephone company", "success"),
    ("B6-40", -28, "SMS Delivered", "sent; reported it delivered", "success"),
    ("B6-41", -29, "Email Sent", "email was sent", "email hand-off"),
    ("B6-42", -30, "Text Message Failed", "provider could not send; settings", "not success"),
    (
        "B6-43",
        -31,
        "Origination International Restricted",
        "last route; international caller",
        "not success",
    ),
    ("B6-44", -32, "Web Stream Connected", "", "unknown"),
    ("B6-45", -33, "SMS Opt Out", "opted out; STOP", "opted out"),
    ("B6-46", -34, "Phone Quota Exceeded", "", "not success"),
    ("B6-47", -35, "Script Ended Before Dialing", "", "not attempted"),
    ("B6-48", -36, "Origination US Restricted", "", "not success"),
    ("B6-49", -37, "Canada Intra Restricted", "", "not success"),
    ("B6-50", -38, "Max Customer Minute Charge", "", "not success"),
    ("B6-51", -39, "SMS Queued", "", "pending"),
    ("B6-52", -40, "Undelivered", "", "not success"),
]
CLASSES_OF_COUNT = {
    "success": {"successful"},
    "not success": {"failed"},
    "pending": {"pending"},
    "not attempted": {"canceled"},
    "email hand-off": {"successful"},
    "opted out": {"opted_out"},
    "unknown": {"unknown"},
}


@pytest.mark.parametrize(
    ("code", "label", "words", "count"),
    [
        pytest.param(*row[1:], id=f"code {row[1]}", marks=pytest.mark.spec(row[0]))
        for row in SOURCE_ROWS
    ],
)
def test_a_code_has_its_label_its_note_and_its_count(
    code: int, label: str, words: str, count: str
) -> None:
    entry = lookup(code)
    assert entry.known
    assert entry.status == label
    assert entry.outcome_class in CLASSES_OF_COUNT[count]
    assert entry.contacts_by_phone is (count == "success")
    assert entry.note
    for phrase in filter(None, words.split("; ")):
        assert phrase.lower() in entry.note.lower()


def test_the_table_is_exactly_the_51_codes_of_the_source() -> None:
    assert len(SOURCE_ROWS) == len(CODES) == len(SOURCE_CODES) == 51
    assert {row[1] for row in SOURCE_ROWS} == CODES.keys() == SOURCE_CODES


@pytest.mark.parametrize("code", sorted(SOURCE_CODES))
def test_the_table_does_not_load_with_a_code_missing(code: int) -> None:
    lines = CODES_FILE.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"{code},")]
    assert len(kept) == len(lines) - 1
    with pytest.raises(CodeTableIncomplete, match=rf"missing: \[{code}\]"):
        read_codes(kept)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("\n1,Busy,failed,", "\n1,Busy,filed,", "filed"),
        ("\n1,Busy,", "\n0,Busy,", "listed twice"),
        ("\n1,Busy,failed,yes,yes,no,", "\n1,Busy,failed,yes,perhaps,no,", "perhaps"),
        ("\n-40,", "\n-41,Novel,failed,yes,no,no,,x\n-40,", "-41"),
    ],
)
def test_the_table_does_not_load_with_a_word_nobody_defined(
    before: str, after: str, complaint: str
) -> None:
    text = CODES_FILE.read_text(encoding="utf-8").replace("\r\n", "\n")
    assert before in text
    with pytest.raises(CodeTableIncomplete, match=complaint):
        read_codes(text.replace(before, after).splitlines())


@pytest.mark.parametrize("code", [-17, -16, -8, -6, 11, 12, 15, 4711])
def test_a_code_the_source_does_not_list_is_kept_raw_and_treated_as_9(code: int) -> None:
    entry, pattern = lookup(code), lookup(9)
    assert entry.code == code
    assert entry.status == f"code {code}"
    assert not entry.known
    assert (entry.outcome_class, entry.dialled, entry.redial, entry.ends_number, entry.alert) == (
        pattern.outcome_class,
        pattern.dialled,
        pattern.redial,
        pattern.ends_number,
        pattern.alert,
    )


def test_codes_of_doubt_are_those_that_unknown_outcome_governs() -> None:
    in_doubt = {code for code in CODES if lookup(code).outcome_unknown}
    assert in_doubt == {-1, -5, -20, -25, -30, 10}


def test_a_number_is_never_called_again_after_a_code_that_ends_it() -> None:
    for entry in CODES.values():
        if entry.ends_number:
            assert entry.redial in {"no", "never"}
        if entry.redial == "yes":
            assert entry.outcome_class in {"failed", "pending"}
