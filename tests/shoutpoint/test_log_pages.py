"""GetCallLog answers: section 9 of the contract, guard by guard, and two readers that agree."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer_adapters.contract import LogEntry, LogPage, Retry
from dialer_adapters.shoutpoint.log_pages import COLUMNS, read_page
from dialer_adapters.shoutpoint.transport import read_reply
from tests.shoutpoint.answers import ENTRY, NS, entry, page
from tests.shoutpoint.conftest import Dial
from tests.shoutpoint.raw_server import http

HEADERS = {"Content-Type": "text/xml; charset=utf-8"}


def read(
    content: bytes, epoch: str | None = "e1", after: int = 0, job_ref: str | None = None
) -> LogPage:
    return read_page(read_reply("GetCallLog", 200, HEADERS, content), epoch, after, job_ref)


def pretty(content: bytes) -> bytes:
    """The same page with white space between its elements, which only the careful reader takes."""
    return content.replace(b"><", b">\n  <")


def test_the_columns_of_the_entry_are_those_of_the_wire() -> None:
    snake = [re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower() for name in COLUMNS]
    assert [name.replace("_", "") for name in LogEntry._fields[:-1]] == [
        name.replace("_", "") for name in snake
    ]


def test_an_entry_is_read_column_by_column() -> None:
    found = read(page(entry(7, SipCode="200", CallError="a &amp; b"), next_seq=7))
    assert found.entries == [
        LogEntry(
            seq=7,
            entry_id="a7:1",
            entry_type="ATTEMPT_RESULT",
            occurred_at="2026-11-23T22:00:01.5Z",
            job_id="J1",
            job_ref="msg-7f1c",
            chain_ref="c1",
            step_ref="s1",
            attempt_id="a1",
            attempt_number=1,
            revision=1,
            channel="VOICE",
            phone_number="+16125557735",
            status_code=5,
            disposition="SUCCESSFUL",
            reason=None,
            final=True,
            confirmed=False,
            answered_by="HUMAN",
            digits=None,
            started_at="2026-11-23T22:00:00Z",
            connected_at=None,
            ended_at=None,
            duration_seconds=20,
            text_segments=None,
            next_attempt_at=None,
            sip_code=200,
            cause_q850=None,
            call_error="a & b",
            properties=None,
        )
    ]
    assert (found.epoch, found.next_seq, found.has_more, found.oldest_seq) == ("e1", 7, False, 1)
    assert found.server_time == datetime(2026, 11, 23, 22, 0, 9, tzinfo=UTC)


def test_an_empty_page_leaves_the_cursor_where_it_was() -> None:
    found = read(page(next_seq=41), after=41)
    assert (list(found.entries), found.next_seq) == ([], 41)


def test_gaps_in_seq_mean_nothing_and_newer_words_pass() -> None:
    found = read(
        page(
            entry(3, EntryType="NEWER", StatusCode="-77"), entry(90, Disposition="ODD"), next_seq=90
        )
    )
    assert [row.seq for row in found.entries] == [3, 90]
    assert (found.entries[0].entry_type, found.entries[0].status_code) == ("NEWER", -77)
    assert found.entries[1].disposition == "ODD"


WRONG_PAGES = {
    "NextSeq is missing": page(entry(1)).replace(b"<NextSeq>1</NextSeq>", b""),
    "NextSeq is a word": page(entry(1), next_seq="abc"),
    "NextSeq is behind": page(entry(1), entry(2), next_seq=1),
    "NextSeq is ahead: something would be skipped": page(entry(1), next_seq=2),
    "NextSeq moves on an empty page": page(next_seq=5),
    "Seq is a word": page(entry(1, Seq="abc"), next_seq=1),
    "Seq is missing": page(entry(1, Seq=None), next_seq=1),
    "Seq is empty": page(entry(1, Seq=""), next_seq=1),
    "Seq is negative": page(entry(1, Seq="-1"), next_seq=-1),
    "Seq is a fraction": page(entry(1, Seq="1.0"), next_seq=1),
    "Seq has an underscore": page(entry(1, Seq="1_0"), next_seq=10),
    "Seq is in another script": page(entry(1, Seq="١"), next_seq=1),
    "Seq is beyond 64 bits": page(entry(1, Seq="9" * 19), next_seq="9" * 19),
    "Seq repeats": page(entry(1), entry(1), next_seq=1),
    "Seq falls": page(entry(2), entry(1), next_seq=2),
    "EntryID is missing": page(entry(1, EntryID=None)),
    "EntryID is empty": page(entry(1, EntryID="")),
    "EntryID is no reference": page(entry(1, EntryID="a b")),
    "EntryID has markup": page(entry(1, EntryID="a&lt;b")),
    "EntryID is too long": page(entry(1, EntryID="a" * 65)),
    "Epoch is another": page(entry(1), epoch="e2"),
    "Epoch is missing": page(entry(1)).replace(b"<Epoch>e1</Epoch>", b""),
    "HasMore is missing": page(entry(1)).replace(b"<HasMore>false</HasMore>", b""),
    "HasMore is a word": page(entry(1), has_more="maybe"),
    "HasMore on an empty page would never end": page(next_seq=0, has_more="true"),
    "OldestSeq is a word": page(entry(1), oldest="first"),
    "ServerTime has no offset": page(entry(1), server_time="2026-11-23T22:00:09"),
    "ServerTime is a word": page(entry(1), server_time="now"),
}


@pytest.mark.parametrize("content", WRONG_PAGES.values(), ids=WRONG_PAGES.keys())
@pytest.mark.parametrize("form", [bytes, pretty], ids=["as sent", "spread out"])
def test_a_page_that_contradicts_itself_is_dropped_whole(content: bytes, form: type) -> None:
    with pytest.raises(Retry) as caught:
        read(form(content))
    assert caught.value.reason == "log"


def test_a_page_above_the_highest_page_size_is_refused() -> None:
    content = page("<Entry/>" * 5_001, next_seq=0)
    with pytest.raises(Retry) as caught:
        read(content)
    assert caught.value.detail == "5001 entries on one page"


@pytest.mark.parametrize("after", [1, 2])
def test_entries_behind_the_cursor_are_refused(after: int) -> None:
    with pytest.raises(Retry) as caught:
        read(page(entry(1), next_seq=1), after=after)
    assert caught.value.reason == "log"


def test_the_first_read_asks_for_no_epoch_and_takes_the_one_it_gets() -> None:
    assert read(page(entry(1), epoch="e9"), epoch=None).epoch == "e9"


def test_the_log_of_one_job_holds_that_job_alone() -> None:
    assert len(read(page(entry(1)), job_ref="msg-7f1c").entries) == 1
    with pytest.raises(Retry) as caught:
        read(page(entry(1), entry(2, JobRef="another")), job_ref="msg-7f1c")
    assert caught.value.reason == "log"


ODD_VALUES = [
    ("StatusCode", "five", "status_code", None),
    ("StatusCode", "9" * 12, "status_code", None),
    ("Revision", "x", "revision", 0),
    ("OccurredAt", "yesterday", "occurred_at", "2026-11-23T22:00:09+00:00"),
    ("OccurredAt", "2026-11-23T22:00:01", "occurred_at", "2026-11-23T22:00:09+00:00"),
    ("StartedAt", "2026-02-31T22:00:00Z", "started_at", None),
    ("StartedAt", "2026-11-23T24:00:01Z", "started_at", None),
    ("Final", "perhaps", "final", False),
    ("JobRef", "a b", "job_ref", None),
    ("ChainRef", "c" * 65, "chain_ref", None),
    ("Disposition", "D" * 101, "disposition", None),
]


@pytest.mark.parametrize(("name", "raw", "column", "value"), ODD_VALUES)
@pytest.mark.parametrize("form", [bytes, pretty], ids=["as sent", "spread out"])
def test_one_odd_value_is_kept_raw_and_does_not_stop_the_log(
    name: str, raw: str, column: str, value: object, form: type
) -> None:
    found = read(form(page(entry(1), entry(2, **{name: raw}), entry(3))))
    assert [row.seq for row in found.entries] == [1, 2, 3]
    odd = found.entries[1]
    assert getattr(odd, column) == value
    assert json.loads(odd.properties or "") == {"malformed": {name: raw}}
    for sound in (found.entries[0], found.entries[2]):
        assert sound.properties is None
        assert sound.status_code == 5


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("2026-11-23T16:00:01.25-06:00", "2026-11-23T16:00:01.25-06:00"),
        ("2026-W48-1T22:00:01.25Z", "2026-11-23T22:00:01.250000+00:00"),
        ("20261123T220001.25+0000", "2026-11-23T22:00:01.250000+00:00"),
        ("2026-11-23 22:00:01,25+00:00", "2026-11-23T22:00:01.250000+00:00"),
        ("2026-11-24T18:00:01.25+20:00", "2026-11-23T22:00:01.250000+00:00"),
    ],
)
@pytest.mark.parametrize("others", ["2026-11-23T22:00:01.5Z", None], ids=["among others", "alone"])
def test_a_time_in_an_unusual_form_is_one_that_the_database_takes(
    raw: str, kept: str, others: str | None
) -> None:
    """Python reads forms that PostgreSQL refuses: such an entry must not stop the log either."""
    rest = {"StartedAt": others} if others else {}
    found = read(page(entry(1, **rest), entry(2, StartedAt=raw), entry(3, **rest))).entries[1]
    assert (found.started_at, found.properties) == (kept, None)
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s::timestamptz", [found.started_at])
        assert cursor.fetchone() == (datetime(2026, 11, 23, 22, 0, 1, 250_000, tzinfo=UTC),)


def test_a_time_too_early_for_utc_is_kept_raw() -> None:
    found = read(page(entry(1), entry(2, StartedAt="0001-01-01T00:00:00+20:00"))).entries[1]
    assert found.started_at is None
    assert json.loads(found.properties or "") == {
        "malformed": {"StartedAt": "0001-01-01T00:00:00+20:00"}
    }


@pytest.mark.parametrize("form", [bytes, pretty], ids=["as sent", "spread out"])
def test_properties_and_elements_newer_than_the_wsdl_are_kept(form: type) -> None:
    rest = (
        "<Property><Name>carrier</Name><Value>A &lt; B</Value></Property>"
        "<Property><Name>route</Name><Value>7</Value></Property><Sentiment>calm</Sentiment>"
    )
    found = read(form(page(entry(1), entry(2, rest))))
    assert found.entries[0].properties is None
    assert json.loads(found.entries[1].properties or "") == {
        "carrier": "A < B",
        "route": "7",
        "Sentiment": "calm",
    }


FORMS = {
    "as sent": lambda content: content,
    "spread out": pretty,
    "with a prefix": lambda content: re.sub(
        rb"<(/?)([A-Z]\w+)(?=[ >])", rb"<\1d:\2", content
    ).replace(b"xmlns=", b"xmlns:d="),
    "with a comment": lambda content: content.replace(b"<JobID>", b"<!-- x --><JobID>", 1),
    "with CDATA": lambda content: content.replace(b"HUMAN", b"<![CDATA[HUMAN]]>"),
    "with an instruction": lambda content: content.replace(b"<JobID>", b"<?x y?><JobID>", 1),
    "with attributes": lambda content: content.replace(b"<JobID>", b'<JobID a="1">'),
    "with character references": lambda content: content.replace(b"HUMAN", b"&#72;U&#x4D;AN"),
    "with empty elements": lambda content: content.replace(b"<Reason></Reason>", b"<Reason/>"),
    "in another order": lambda content: content.replace(b"<Channel>VOICE</Channel>", b"").replace(
        b"<Seq>", b"<Channel>VOICE</Channel><Seq>"
    ),
    "a column behind its place": lambda content: content.replace(
        b"<AnsweredBy>HUMAN</AnsweredBy>", b""
    ).replace(b"</Entry>", b"<AnsweredBy>HUMAN</AnsweredBy></Entry>"),
    "a column among the properties": lambda content: content.replace(
        b"<Confirmed>false</Confirmed>", b""
    ).replace(b"</Entry>", b"<Confirmed >false</Confirmed></Entry>"),
    "without a declaration": lambda content: content.split(b"?>", 1)[1],
    "with a byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "with spaces around the number": lambda content: re.sub(
        rb"<Seq>(\d+)</Seq>", rb"<Seq> \1\n</Seq>", content
    ),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_way_to_write_a_page_gives_the_same_entries(
    form: Callable[[bytes], bytes],
) -> None:
    content = page(*(entry(n, Reason="", PhoneNumber=None) for n in range(1, 30)))
    changed = form(content)
    assert form in (FORMS["as sent"], FORMS["with empty elements"]) or changed != content
    found = read(changed)
    assert found == read(content)
    assert found.entries[0].reason is None
    assert found.entries[0].answered_by == "HUMAN"


def test_an_entry_hidden_elsewhere_in_the_envelope_is_not_read() -> None:
    content = page(entry(1))
    hidden = content.replace(
        b"<soap:Body>", f"<soap:Header xmlns='{NS}'>{entry(9)}</soap:Header><soap:Body>".encode()
    )
    assert [row.seq for row in read(hidden).entries] == [1]
    inner = page(entry(1, f"<Later>{entry(9)}</Later>"))
    assert [row.seq for row in read(inner).entries] == [1]


OPTIONAL = sorted(set(ENTRY) - {"Seq", "EntryID"})
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=70)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(OPTIONAL), VALUES | st.none()), max_size=6))
def test_both_readers_agree_on_whatever_the_values_are(
    changes: list[dict[str, str | None]],
) -> None:
    def escape(text: str | None) -> str | None:
        if text is None or any(ord(sign) in (0xFFFE, 0xFFFF) for sign in text):
            return None
        return text.strip().replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "")

    content = page(
        *(
            entry(number, **{name: escape(text) for name, text in change.items()})
            for number, change in enumerate(changes, start=1)
        )
    )
    assert read(content) == read(pretty(content))


def test_a_page_comes_over_the_wire(dial: Dial) -> None:
    adapter, server = dial(http(page(entry(5), entry(6), next_seq=6, has_more="true")))
    found = adapter.read_log("e1", 4, 2)
    assert [row.seq for row in found.entries] == [5, 6]
    assert found.has_more
    assert (
        b"<Epoch>e1</Epoch><AfterSeq>4</AfterSeq><MaxEntries>2</MaxEntries>" in server.requests[0]
    )
