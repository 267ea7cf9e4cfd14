"""What leaves: bulk bodies built as text, proven by the schema before they go."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from dialer_adapters.contract import (
    ChainRow,
    FrozenJob,
    LocalHours,
    Redial,
    Rejected,
    Script,
    Segment,
)
from dialer_adapters.shoutpoint.mapping import add_chains_envelope, submit_envelope
from dialer_adapters.shoutpoint.wsdl import SOAP_ENVELOPE, message_schema, tag
from tests.shoutpoint.answers import SUBMITTED, response
from tests.shoutpoint.conftest import Dial
from tests.shoutpoint.raw_server import http

SAMPLE = Path(__file__).with_name("submit-job.xml")
JOB = FrozenJob(
    job_ref="msg-7f1c",
    customer_id="D-0101",
    priority="NORMAL",
    message_type="ATTENDANCE",
    caller_id="+16125550100",
    window_start=datetime.fromisoformat("2026-11-23T16:00:00-06:00"),
    window_end=datetime.fromisoformat("2026-11-23T20:00:00-06:00"),
    local_hours=LocalHours(time(8), time(21), "America/Chicago"),
    redial=Redial(2, 15, (0, 1, 4, 14, 17)),
    script=Script(
        live=(Segment(audio_id="a1"), Segment(say="Your student was absent.", language="en-US")),
        confirm_digit="0",
    ),
)
CHAINS: list[ChainRow] = [
    {
        "r": "c1",
        "s": [
            ["s1", "V", "+16125557735", None, "America/Chicago"],
            ["s2", "V", "+16125553219", "4410"],
            ["s3", "T", "+16125557735"],
        ],
    }
]


def body(envelope: bytes) -> etree._Element:
    element = etree.fromstring(envelope)[0][0]
    assert element.getparent().tag == f"{{{SOAP_ENVELOPE}}}Body"
    return element


def canonical(element: etree._Element) -> str:
    """Names and values alone: prefixes and the white space between elements say nothing."""
    text = etree.tostring(element, encoding="unicode")
    return etree.canonicalize(text, strip_text=True, rewrite_prefixes=True)


@pytest.mark.spec("A1-15")
def test_the_sample_job_is_built_to_the_letter(dial: Dial) -> None:
    adapter, server = dial(http(response("SubmitJob", SUBMITTED)))
    assert adapter.submit(JOB, CHAINS, total_chains=1).job_id == "J1"
    head, _, sent = server.requests[0].partition(b"\r\n\r\n")
    assert canonical(body(sent)) == canonical(etree.parse(str(SAMPLE)).getroot())
    assert b'SOAPAction: "urn:school-messenger:dialer:v1:SubmitJob"' in head
    assert b"Content-Type: text/xml; charset=utf-8" in head


def test_a_job_read_from_the_outbox_builds_the_same_bytes() -> None:
    again = FrozenJob.from_json(JOB.to_json())
    assert submit_envelope(again, CHAINS, 1) == submit_envelope(JOB, CHAINS, 1)


def test_every_field_of_a_job_and_a_chain_is_valid() -> None:
    script = Script(
        live=(Segment(say="a < b & c"),),
        machine=(Segment(audio_id="a2", language="es"),),
        text="STOP to end",
        confirm_digit="0",
        repeat_digit="*",
    )
    job = replace(
        JOB,
        title="Snow <day>",
        text_sender="82290",
        stop_on=("CONFIRM", "LIVE", "MACHINE", "TEXT_SENT"),
        machine_action="HANG_UP",
        detect_machine=False,
        max_lines=3,
        suppress_duplicates=True,
        scrub_wireless=True,
        start_policy="IMMEDIATE",
        priority="EMERGENCY",
        ring_seconds=10,
        script=script,
    )
    chain: ChainRow = {
        "r": "c-1",
        "s": [["s1", "V", "+16125557735", "1,,2#", None]],
        "o": "P",
        "x": script.to_json(),
        "c": "+16125550101",
        "u": "S-12",
    }
    element = body(submit_envelope(job, [chain], None))
    assert message_schema().validate(element)
    assert element.findtext(f"{tag('Chain')}/{tag('Script')}/{tag('Live')}/{tag('Say')}") == (
        "a < b & c"
    )
    assert element.findtext(f"{tag('Chain')}/{tag('Order')}") == "SIMULTANEOUS"
    assert element.findtext(f"{tag('Chain')}/{tag('CustomerID')}") == "S-12"
    assert element.findtext(f"{tag('Job')}/{tag('Title')}") == "Snow <day>"
    assert element.find(f"{tag('Job')}/{tag('TotalChains')}") is None


def test_the_seal_travels_alone() -> None:
    element = body(add_chains_envelope("msg-7f1c", 3001, [], 740_000))
    assert [child.tag for child in element] == [
        tag("JobRef"),
        tag("BatchNumber"),
        tag("TotalChains"),
    ]


@settings(deadline=None)
@given(st.text())
def test_any_words_reach_the_dialer_without_what_xml_cannot_carry(words: str) -> None:
    job = replace(JOB, script=Script(live=(Segment(say=words),), text=words))
    said = body(submit_envelope(job, [], None)).findtext(f".//{tag('Say')}") or ""
    kept = "".join(
        sign
        for sign in words
        if sign in "\t\n\r" or (sign >= " " and not "\ud800" <= sign <= "\udfff")
    )
    kept = kept.replace("\ufffe", "").replace("\uffff", "")
    assert said == kept.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    "words", ["a\x00b", "a\x08b", "a\x1bb", "a\ud800b", "a\uffffb", "]]>", "<x>&amp;", "\u202eb"]
)
def test_hostile_words_stay_words(words: str) -> None:
    job = replace(JOB, title=words, script=Script(live=(Segment(say=words),)))
    element = body(submit_envelope(job, CHAINS, 1))
    assert message_schema().validate(element)
    assert len(element.findall(f".//{tag('Live')}")) == 1


CHAIN = CHAINS[0]
NOT_CHAINS: dict[str, object] = {
    "seven digits": {"r": "c1", "s": [["s1", "V", "5555555"]]},
    "toll of another country": {"r": "c1", "s": [["s1", "V", "+441632960961"]]},
    "an exchange that begins with 1": {"r": "c1", "s": [["s1", "V", "+16121555555"]]},
    "no steps": {"r": "c1", "s": []},
    "an unknown channel": {"r": "c1", "s": [["s1", "E", "+16125557735"]]},
    "an unknown order": {**CHAIN, "o": "X"},
    "a reference with a space": {"r": "c 1", "s": CHAIN["s"]},
    "a reference of 65": {"r": "c" * 65, "s": CHAIN["s"]},
    "an empty reference": {"r": "", "s": CHAIN["s"]},
    "no reference": {"s": CHAIN["s"]},
    "a number missing": {"r": "c1", "s": [["s1", "V"]]},
    "a null number": {"r": "c1", "s": [["s1", "V", None]]},
    "an extension with letters": {"r": "c1", "s": [["s1", "V", "+16125557735", "x12"]]},
    "an extension as a number": {"r": "c1", "s": [["s1", "V", "+16125557735", 12]]},
    "markup in a number": {
        "r": "c1",
        "s": [["s1", "V", "+16125557735</PhoneNumber></Step><Step>"]],
    },
    "markup in a reference": {"r": "c1</ChainRef><ChainRef>c2", "s": CHAIN["s"]},
    "a step that is no list": {"r": "c1", "s": [7]},
    "a caller ID that is none": {**CHAIN, "c": "unknown"},
}


@pytest.mark.parametrize("chain", NOT_CHAINS.values(), ids=NOT_CHAINS.keys())
def test_chains_outside_the_contract_never_leave(chain: ChainRow, dial: Dial) -> None:
    adapter, server = dial(http(response("AddChains", SUBMITTED)))
    with pytest.raises(Rejected) as caught:
        adapter.add_chains("msg-7f1c", 1, [CHAINS[0], chain])
    assert caught.value.code == "SCHEMA"
    assert caught.value.local
    assert not caught.value.retryable
    assert server.connections == 0
    for number in ("5555555", "+441632960961", "+16121555555"):
        assert number not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"priority": "URGENT"}, "Priority"),
        ({"ring_seconds": 5}, "RingSeconds"),
        ({"caller_id": "987-999-9876"}, "CallerID"),
        ({"job_ref": "a b"}, "JobRef"),
        ({"stop_on": ()}, "MachineAction"),
    ],
)
def test_a_job_outside_the_contract_is_named_by_its_field(
    changes: dict[str, object], field: str
) -> None:
    with pytest.raises(Rejected) as caught:
        submit_envelope(replace(JOB, **changes), CHAINS, 1)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.field) == ("SCHEMA", field)


@pytest.mark.parametrize(("number", "total"), [(0, None), (-1, None), (1, -1)])
def test_batch_numbers_and_totals_have_a_floor(number: int, total: int | None) -> None:
    with pytest.raises(Rejected):
        add_chains_envelope("msg-7f1c", number, [], total)


def test_a_request_above_eight_mebibytes_never_leaves() -> None:
    chains: list[ChainRow] = [
        {"r": f"c{n}", "s": CHAIN["s"], "x": {"live": [[None, "word " * 2000, None]]}}
        for n in range(900)
    ]
    with pytest.raises(Rejected) as caught:
        add_chains_envelope("msg-7f1c", 1, chains, None)
    assert caught.value.code == "TOO_LARGE"


def test_a_naive_time_smuggled_past_the_job_is_refused_here_too() -> None:
    job = replace(JOB)
    object.__setattr__(job, "window_end", datetime(2026, 11, 23, 20, 0))  # noqa: DTZ001
    with pytest.raises(ValueError, match="WindowEnd"):
        submit_envelope(job, CHAINS, 1)
