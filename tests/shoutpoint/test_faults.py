"""The six typed faults, and everything that only looks like one."""

from __future__ import annotations

import pytest

from dialer_adapters.contract import (
    CREDENTIALS_SENTENCES,
    REJECTED_SENTENCES,
    RETRY_SENTENCES,
    CredentialsRefused,
    CursorLost,
    DialerError,
    Rejected,
    Retry,
)
from tests.shoutpoint.answers import SUBMITTED, VERIFIED, envelope, fault, fault_values, response
from tests.shoutpoint.conftest import Dial
from tests.shoutpoint.raw_server import http
from tests.shoutpoint.test_building import CHAINS, JOB

FAULT = "500 Internal Server Error"


def error_of(dial: Dial, answer: bytes) -> DialerError:
    """The same error must come out of zeep's way in (verify) and of ours (submit)."""
    adapter, _ = dial(answer)
    with pytest.raises(DialerError) as first:
        adapter.verify("D-0101", "District")
    with pytest.raises(DialerError) as second:
        adapter.submit(JOB, CHAINS, 1)
    assert type(first.value) is type(second.value)
    assert str(first.value) == str(second.value)
    return second.value


@pytest.mark.parametrize("status", [FAULT, "200 OK", "401 Unauthorized"])
@pytest.mark.parametrize("code", ["BAD_CREDENTIALS", "ACCOUNT_DISABLED"])
def test_authentication_fault(dial: Dial, code: str, status: str) -> None:
    answer = fault("AuthenticationFault", fault_values(Code=code, Message="no"))
    error = error_of(dial, http(answer, status))
    assert isinstance(error, CredentialsRefused)
    assert error.code == code
    assert not error.retryable
    assert error.at_fault == "settings"
    assert ("disabled" in error.user_sentence) == (code == "ACCOUNT_DISABLED")


@pytest.mark.parametrize("content_type", ["text/html", "text/xml", None])
def test_a_bare_401_means_the_credentials(dial: Dial, content_type: str | None) -> None:
    error = error_of(dial, http(b"<html>who?</html>", "401 Unauthorized", content_type))
    assert isinstance(error, CredentialsRefused)
    assert error.user_sentence == "The dialer does not accept the user name or password."


@pytest.mark.parametrize("status", [FAULT, "200 OK"])
def test_invalid_request_fault(dial: Dial, status: str) -> None:
    answer = fault(
        "InvalidRequestFault",
        fault_values(Code="CALLER_ID_NOT_ALLOWED", Message="not yours", Field="Job/CallerID"),
    )
    error = error_of(dial, http(answer, status))
    assert isinstance(error, Rejected)
    assert (error.code, error.field, error.kind) == (
        "CALLER_ID_NOT_ALLOWED",
        "Job/CallerID",
        "invalid",
    )
    assert not error.local
    assert not error.retryable
    assert error.message == "not yours"
    assert str(error) == "CALLER_ID_NOT_ALLOWED"  # a log gets the code, never the dialer's words
    assert "caller ID" in error.user_sentence


def test_conflict_fault(dial: Dial) -> None:
    answer = fault("ConflictFault", fault_values(Code="JOB_CLOSED", Message="closed", JobID="J77"))
    error = error_of(dial, http(answer, FAULT))
    assert isinstance(error, Rejected)
    assert (error.code, error.kind, error.job_id) == ("JOB_CLOSED", "conflict", "J77")


def test_not_found_fault(dial: Dial) -> None:
    error = error_of(
        dial, http(fault("NotFoundFault", fault_values(Code="JOB", Message="")), FAULT)
    )
    assert isinstance(error, Rejected)
    assert (error.code, error.kind) == ("JOB", "not_found")


@pytest.mark.parametrize("code", ["EPOCH_CHANGED", "EPOCH_REQUIRED", "EXPIRED", "AHEAD_OF_LOG"])
def test_cursor_fault(dial: Dial, code: str) -> None:
    values = fault_values(Code=code, Message="", CurrentEpoch="e2", OldestSeq=17)
    adapter, _ = dial(http(fault("CursorFault", values), FAULT))
    with pytest.raises(CursorLost) as caught:
        adapter.read_log("e1", 400, 1000)
    error = caught.value
    assert (error.code, error.current_epoch, error.oldest_seq) == (code, "e2", 17)
    assert error.kind == "cursor"
    assert code in REJECTED_SENTENCES


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [("30", 30), ("999999", 3600), ("-5", None), ("soon", None), ("", None)],
)
def test_server_busy_fault(dial: Dial, seconds: str, expected: int | None) -> None:
    values = fault_values(Code="THROTTLED", Message="slow", RetryAfterSeconds=seconds)
    error = error_of(dial, http(fault("ServerBusyFault", values, "soap:Server"), FAULT))
    assert isinstance(error, Retry)
    assert (error.reason, error.retry_after) == ("busy", expected)
    assert error.retryable


UNTYPED = {
    "a bare fault": envelope(
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>x</faultstring></soap:Fault>"
    ),
    "a fault of another kind": envelope(
        "<soap:Fault><faultcode>soap:Server</faultcode><faultstring>x</faultstring><detail>"
        "<InvalidRequestFault xmlns='urn:other'><Code>SCHEMA</Code></InvalidRequestFault>"
        "</detail></soap:Fault>"
    ),
    "a typed element outside a detail": envelope(
        "<d:InvalidRequestFault xmlns:d='urn:school-messenger:dialer:v1'>"
        "<d:Code>SCHEMA</d:Code></d:InvalidRequestFault>"
    ),
}


@pytest.mark.parametrize("answer", UNTYPED.values(), ids=UNTYPED.keys())
@pytest.mark.parametrize("status", [FAULT, "200 OK"])
def test_what_only_looks_like_a_fault_is_a_failure_on_the_way(
    dial: Dial, answer: bytes, status: str
) -> None:
    error = error_of(dial, http(answer, status))
    assert isinstance(error, Retry)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("503 Service Unavailable", "busy"),
        ("429 Too Many Requests", "busy"),
        ("500 Internal Server Error", "failed"),
        ("502 Bad Gateway", "failed"),
        ("403 Forbidden", "foreign"),
        ("404 Not Found", "foreign"),
        ("302 Found", "foreign"),
        ("200 OK", "foreign"),
    ],
)
@pytest.mark.parametrize("content_type", ["text/html", "text/xml"])
def test_a_gateways_page_is_not_the_dialers_word(
    dial: Dial, status: str, reason: str, content_type: str
) -> None:
    page = b"<html><body><h1>Sorry</h1></body></html>"
    error = error_of(dial, http(page, status, content_type, ("Retry-After: 12",)))
    assert isinstance(error, Retry)
    assert error.reason == reason
    assert error.retry_after == (12 if reason == "busy" else None)


def test_the_answer_to_something_else_is_refused(dial: Dial) -> None:
    adapter, _ = dial(http(response("AddChains", SUBMITTED)))
    with pytest.raises(Retry) as caught:
        adapter.submit(JOB, CHAINS, 1)
    assert caught.value.reason == "foreign"


@pytest.mark.parametrize(
    "missing", ["CustomerID", "AccountStatus", "Epoch", "ServerTime", "StateID", "NormalLines"]
)
def test_a_small_answer_without_what_it_must_hold_is_refused(dial: Dial, missing: str) -> None:
    tag = missing.encode()
    start, end = VERIFIED.index(b"<" + tag + b">"), VERIFIED.index(b"</" + tag + b">")
    for broken in (
        VERIFIED[:start] + VERIFIED[end + len(tag) + 3 :],
        VERIFIED[:start] + b"<" + tag + b">" + VERIFIED[end:],
    ):
        adapter, _ = dial(http(broken))
        with pytest.raises(Retry) as caught:
            adapter.verify("D-0101", "District")
        assert caught.value.reason == "garbled"


@pytest.mark.parametrize(
    ("element", "broken"),
    [("JobID", ""), ("Replayed", "perhaps"), ("Sealed", ""), ("ChainsAccepted", "many")],
)
def test_a_receipt_without_what_it_must_hold_is_refused(
    dial: Dial, element: str, broken: str
) -> None:
    start = SUBMITTED.index(f"<{element}>") + len(element) + 2
    end = SUBMITTED.index(f"</{element}>")
    adapter, _ = dial(http(response("SubmitJob", SUBMITTED[:start] + broken + SUBMITTED[end:])))
    with pytest.raises(Retry) as caught:
        adapter.submit(JOB, CHAINS, 1)
    assert caught.value.reason == "garbled"


def test_newer_elements_at_the_end_of_an_answer_do_no_harm(dial: Dial) -> None:
    newer = VERIFIED.replace(b"</StateID>", b"</StateID><Region>north</Region>")
    adapter, _ = dial(http(newer), http(response("SubmitJob", SUBMITTED + "<Region>n</Region>")))
    assert adapter.verify("D-0101", "District").state_id == "state-1"
    assert adapter.submit(JOB, CHAINS, 1).job_id == "J1"


def test_every_error_has_a_plain_sentence() -> None:
    errors: list[DialerError] = [
        *(Retry(reason) for reason in RETRY_SENTENCES),
        *(Rejected(code) for code in REJECTED_SENTENCES),
        Rejected("SOMETHING_NEW"),
        CursorLost("EPOCH_CHANGED", "e2", 1),
        CredentialsRefused(),
        *(CredentialsRefused(code) for code in CREDENTIALS_SENTENCES),
    ]
    for error in errors:
        assert error.user_sentence.endswith(".")
        assert error.at_fault in ("provider", "request", "settings")
        assert isinstance(error.retryable, bool)
