"""The small operations against hand-written answers: every field arrives where it belongs."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, datetime

import pytest

from dialer_adapters.contract import (
    Audio,
    Cancelled,
    ConsentChanged,
    Counts,
    InboundText,
    JobStatus,
    Rejected,
    RejectedStep,
    RemoteMessage,
    Retry,
    StoredAudio,
    Submitted,
    TextConsent,
)
from tests.shoutpoint.answers import SUBMITTED, response
from tests.shoutpoint.conftest import Dial
from tests.shoutpoint.raw_server import http
from tests.shoutpoint.test_building import CHAINS, JOB

NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
PAGING = (
    "<Epoch>e1</Epoch><NextSeq>{next}</NextSeq><HasMore>false</HasMore><OldestSeq>1</OldestSeq>"
    "<ServerTime>2026-11-23T12:00:00-06:00</ServerTime>"
)


def test_customer_id(dial: Dial) -> None:
    answer = "<CustomerID>S-12</CustomerID><Created>true</Created>"
    adapter, server = dial(http(response("GetCustomerID", answer)))
    assert adapter.customer_id("SCHOOL", "school-12", "Ñandú & Sons") == "S-12"
    assert "<ns0:Name>Ñandú &amp; Sons</ns0:Name>" in server.requests[0].decode()


def test_recordings_go_up_and_come_back(dial: Dial) -> None:
    sound = bytes(range(256)) * 40
    digest = hashlib.sha256(sound).hexdigest()
    up = (
        "<AudioID>a1</AudioID><Created>true</Created><State>READY</State>"
        "<DurationSeconds>3</DurationSeconds>"
    )
    down = (
        "<AudioID>a1</AudioID><ContentType>audio/wav</ContentType>"
        f"<Sha256>{digest}</Sha256><Content>{b64encode(sound).decode()}</Content>"
    )
    adapter, server = dial(http(response("UploadAudio", up)), http(response("GetAudio", down)))
    assert adapter.put_audio(sound, "audio/wav") == StoredAudio("a1", True, "READY", 3)
    assert adapter.get_audio("a1") == Audio("a1", "audio/wav", digest, sound)
    assert digest.encode() in server.requests[0]
    assert b64encode(sound) in server.requests[0]


def test_a_recording_that_is_not_what_it_claims_is_refused(dial: Dial) -> None:
    down = (
        "<AudioID>a1</AudioID><ContentType>audio/wav</ContentType>"
        f"<Sha256>{'0' * 64}</Sha256><Content>AAAA</Content>"
    )
    adapter, _ = dial(http(response("GetAudio", down)))
    with pytest.raises(Retry):
        adapter.get_audio("a1")


def test_a_recording_above_five_mebibytes_stays_here(dial: Dial) -> None:
    adapter, server = dial(b"")
    with pytest.raises(Rejected) as caught:
        adapter.put_audio(b"x" * (5 * 1024 * 1024 + 1), "audio/wav")
    assert (caught.value.code, server.connections) == ("TOO_LARGE", 0)


def test_receipts_of_jobs_and_batches(dial: Dial) -> None:
    refused = (
        "<Rejected><ChainRef>c1</ChainRef><StepRef>s2</StepRef><StatusCode>-3</StatusCode>"
        "<Detail>do not call</Detail></Rejected>"
        "<Rejected><ChainRef>c2</ChainRef><StatusCode>-2</StatusCode></Rejected>"
    )
    adapter, server = dial(
        http(response("SubmitJob", SUBMITTED)),
        http(response("AddChains", SUBMITTED.replace("false", "true") + refused)),
    )
    assert adapter.submit(JOB) == Submitted("J1", False, "RECEIVING", False, 1)
    assert adapter.add_chains("msg-7f1c", 1, CHAINS, 7) == Submitted(
        "J1",
        True,
        "RECEIVING",
        True,
        1,
        (RejectedStep("c1", "s2", -3, "do not call"), RejectedStep("c2", None, -2, None)),
    )
    assert b"<BatchNumber>1</BatchNumber>" in server.requests[1]
    assert b"<TotalChains>7</TotalChains>" in server.requests[1]


def test_cancel_a_job_some_chains_or_a_number(dial: Dial) -> None:
    answer = (
        "<JobRef>msg-7f1c</JobRef><State>CANCELLING</State>"
        "<ChainsCancelled>3</ChainsCancelled><AttemptsInProgress>2</AttemptsInProgress>"
    )
    adapter, server = dial(http(response("CancelJob", answer)))
    expected = Cancelled("msg-7f1c", None, "CANCELLING", 3, 2)
    assert adapter.cancel("msg-7f1c") == expected
    assert (
        adapter.cancel("msg-7f1c", ["c1", "c2"], "parent asked\x07", ["+16125557735"]) == expected
    )
    whole, some = (request.decode() for request in server.requests)
    assert "ChainRef" not in whole
    assert "Reason" not in whole
    assert "PhoneNumber" not in whole
    assert some.count("<ns0:ChainRef>") == 2
    assert "<ns0:Reason>parent asked</ns0:Reason>" in some
    assert "<ns0:PhoneNumber>+16125557735</ns0:PhoneNumber>" in some


def test_requests_outside_the_contract_never_leave(dial: Dial) -> None:
    adapter, server = dial(b"")
    for ask in (
        lambda: adapter.cancel("msg 7f1c"),
        lambda: adapter.cancel("msg-7f1c", phone_numbers=["5555555"]),
        lambda: adapter.customer_id("TOWN", "x", "y"),  # type: ignore[arg-type]
        lambda: adapter.verify("a b", "District"),
        lambda: adapter.job_status(["j"] * 101),
        lambda: adapter.job_status(["a b"]),
        lambda: adapter.read_log("e1", 0, 5_001),
        lambda: adapter.read_log("e1", 0, 0),
        lambda: adapter.set_text_consent("+16125557735", "MAYBE", "r", "s"),  # type: ignore[arg-type]
        lambda: adapter.get_audio(""),
    ):
        with pytest.raises(Rejected) as caught:
            ask()
        assert caught.value.code == "SCHEMA"
        assert caught.value.local
    assert adapter.job_status([]) == []
    assert server.connections == 0


def test_job_states(dial: Dial) -> None:
    counts = (
        "<Counts><Chains>5</Chains><ChainsOpen>0</ChainsOpen><ChainsConfirmed>2</ChainsConfirmed>"
        "<ChainsDone>2</ChainsDone><ChainsCancelled>1</ChainsCancelled>"
        "<StepsAttempted>9</StepsAttempted><Attempts>11</Attempts></Counts>"
    )
    answer = (
        "<Job><JobRef>one</JobRef><JobID>J1</JobID><State>CANCELLED</State><Sealed>true</Sealed>"
        f"{counts}<LastSeq>40</LastSeq><FinalSeq>41</FinalSeq>"
        "<CancelRequestedAt>2026-11-23T12:00:00-06:00</CancelRequestedAt></Job>"
        "<Job><JobRef>two</JobRef><State>UNKNOWN</State><Sealed>false</Sealed>"
        "<LastSeq>0</LastSeq></Job>"
        "<ServerTime>2026-11-23T12:00:00-06:00</ServerTime><Epoch>e1</Epoch>"
    )
    adapter, _ = dial(http(response("GetJobStatus", answer)))
    assert adapter.job_status(["one", "two"]) == [
        JobStatus("one", "J1", "CANCELLED", True, Counts(5, 0, 2, 2, 1, 9, 11), 40, 41, NOON, "e1"),
        JobStatus("two", None, "UNKNOWN", False, None, 0, None, None, "e1"),
    ]


def test_inbound_texts(dial: Dial) -> None:
    text = (
        "<Text><Seq>{seq}</Seq><TextID>t{seq}</TextID><ReceivedAt>2026-11-23T18:00:00Z</ReceivedAt>"
        "<FromNumber>+16125557735</FromNumber><ToSender>82290</ToSender><Body>{body}</Body>"
        "<Keyword>STOP</Keyword><ConsentAfter>OPTED_OUT</ConsentAfter></Text>"
    )
    texts = text.format(seq=4, body="Stop. &lt;3") + text.format(seq=9, body="")
    good = response("GetInboundTexts", texts + PAGING.format(next=9))
    wrong = response("GetInboundTexts", texts + PAGING.format(next=4))
    behind = response("GetInboundTexts", texts.replace("<Seq>4", "<Seq>2") + PAGING.format(next=9))
    adapter, _ = dial(http(good), http(wrong), http(behind))
    page = adapter.inbound_texts("e1", 3)
    assert page.texts[0] == InboundText(
        4, "t4", NOON, "+16125557735", "82290", "Stop. <3", "STOP", "OPTED_OUT", None
    )
    assert (page.texts[1].body, page.next_seq, page.has_more) == ("", 9, False)
    for _ in range(2):
        with pytest.raises(Retry) as caught:
            adapter.inbound_texts("e1", 3)
        assert caught.value.reason == "log"


def test_consents(dial: Dial) -> None:
    page = (
        "<Consent><PhoneNumber>+16125557735</PhoneNumber><State>OPTED_IN</State>"
        "<ChangedAt>2026-11-23T18:00:00Z</ChangedAt><Source>TEXT</Source></Consent>"
        "<HasMore>true</HasMore><AsOf>2026-11-23T18:00:00Z</AsOf>"
    )
    changed = (
        "<State>PENDING</State><Replayed>false</Replayed>"
        "<ConfirmationQueued>true</ConfirmationQueued>"
    )
    adapter, server = dial(
        http(response("GetTextConsents", page)), http(response("SetTextConsent", changed))
    )
    found = adapter.text_consents("+16125550000", 10)
    assert found.consents == (TextConsent("+16125557735", "OPTED_IN", NOON, "TEXT"),)
    assert (found.has_more, found.as_of) == (True, NOON)
    assert adapter.set_text_consent(
        "+16125557735", "OPTED_IN", "change-1", "PORTAL"
    ) == ConsentChanged("PENDING", False, True)
    assert b"<ns0:AfterNumber>+16125550000</ns0:AfterNumber>" in server.requests[0]


def test_remote_dial_in(dial: Dial) -> None:
    message = (
        "<Message><Seq>2</Seq><RemoteMessageID>r2</RemoteMessageID>"
        "<ReceivedAt>2026-11-23T18:00:00Z</ReceivedAt><UserRef>principal</UserRef>"
        "<CallerNumber>+16125557735</CallerNumber><AudienceCode>7</AudienceCode>"
        "<AudioID>a1</AudioID><DurationSeconds>30</DurationSeconds><State>NEW</State></Message>"
    )
    adapter, _ = dial(http(response("GetRemoteDialInMessages", message + PAGING.format(next=2))))
    page = adapter.remote_dial_in(None, 0)
    assert page.messages == (
        RemoteMessage(2, "r2", NOON, "principal", "+16125557735", "7", "a1", 30, "NEW"),
    )
    assert (page.epoch, page.server_time) == ("e1", NOON)
