"""What comes in and goes out: credentials, envelopes, the schema, faults, the WSDL."""

from __future__ import annotations

import pytest
from lxml import etree

from dialer_adapters.shoutpoint.wsdl import NAMESPACE
from dialer_adapters.switchboard.accounts import save_account
from dialer_adapters.switchboard.envelope import MAX_BYTES, operation_names
from tests.switchboard.desk import PASSWORD, USERNAME, Desk, chain, element, envelope, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])

VERIFY = envelope("VerifyCustomer", [element("ExternalID", "d-1"), element("Name", "District")])


def test_without_credentials_the_answer_is_401(desk: Desk) -> None:
    assert desk.post(VERIFY, credentials=None).status == 401


@pytest.mark.parametrize("credentials", [(USERNAME, "wrong"), ("nobody", PASSWORD), ("", "")])
def test_wrong_credentials_are_a_typed_fault(desk: Desk, credentials: tuple[str, str]) -> None:
    answer = desk.post(VERIFY, credentials)
    assert answer.fault == ("AuthenticationFault", "BAD_CREDENTIALS")
    assert answer.faultcode == "soap:Client"
    assert PASSWORD.encode() not in answer.body


def test_a_disabled_account_is_told_so(desk: Desk) -> None:
    save_account(USERNAME, PASSWORD, active=False)
    assert desk.post(VERIFY).fault == ("AuthenticationFault", "ACCOUNT_DISABLED")


def test_a_changed_password_ends_the_old_one_at_once(desk: Desk) -> None:
    assert desk.post(VERIFY).name == "VerifyCustomerResponse"
    save_account(USERNAME, "another")
    assert desk.post(VERIFY).name == "AuthenticationFault"
    assert desk.post(VERIFY, (USERNAME, "another")).name == "VerifyCustomerResponse"


def test_the_account_says_who_it_is_and_what_it_can(desk: Desk) -> None:
    first, again = desk.post(VERIFY), desk.post(VERIFY)
    for name in ("CustomerID", "StateID", "Epoch"):
        assert first[name] == again[name]
    assert first["AccountStatus"] == "ACTIVE"
    capabilities = {part.text for part in first.content.iterfind(f"{{{NAMESPACE}}}Capability")}
    assert capabilities == {
        *("CHAINS", "CURSOR_LOG", "VOICE", "TEXT", "AMD", "REMOTE_DIAL_IN", "INBOUND_TEXT")
    }
    (limits,) = first.all("Limits")
    assert (limits["NormalLines"], limits["EmergencyLines"]) == ("50", "10")
    assert (limits["MaxAudioBytes"], limits["LogRetentionDays"]) == (str(5 * 1024 * 1024), "30")


def test_customer_ids_are_made_once_for_each_school(desk: Desk) -> None:
    def ask(kind: str, external_id: str) -> tuple[str | None, str | None]:
        answer = desk.call("GetCustomerID", Kind=kind, ExternalID=external_id, Name="A school")
        return answer["CustomerID"], answer["Created"]

    one, created = ask("SCHOOL", "s-1")
    assert created == "true"
    assert ask("SCHOOL", "s-1") == (one, "false")
    assert ask("SCHOOL", "s-2")[0] != one
    assert ask("DISTRICT", "s-1")[0] != one


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<a/>",
        VERIFY[:-9],
        VERIFY.replace(b"</s:Body>", b"<x/></s:Body>"),
        VERIFY.replace(b"VerifyCustomer", b"DropCustomer"),
        VERIFY.replace(b"<d:Name>District</d:Name>", b""),
        VERIFY.replace(b"d-1", b"d 1"),
        VERIFY.replace(b"<d:Name>", b"<d:Novel>1</d:Novel><d:Name>"),
        b"<!DOCTYPE e>" + VERIFY,
        b'<!DOCTYPE e [<!ENTITY a "b">]>' + VERIFY.replace(b"District", b"&a;"),
        b'<!DOCTYPE e SYSTEM "http://127.0.0.1:9/x.dtd">' + VERIFY,
        '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE e><e/>'.encode("utf-16"),
        b"<a>" * 10_000,
    ],
)
def test_what_is_not_a_valid_request_is_refused_by_the_schema(desk: Desk, body: bytes) -> None:
    assert desk.post(body).fault == ("InvalidRequestFault", "SCHEMA")


def test_a_fault_names_the_place_and_never_the_value(desk: Desk) -> None:
    answer = desk.submit(chain("c1", "+1612555010"))
    assert answer.fault == ("InvalidRequestFault", "SCHEMA")
    assert answer["Field"] == "PhoneNumber"
    assert b"612555010" not in answer.body


def test_a_message_above_8_mib_is_too_large(desk: Desk) -> None:
    assert desk.post(b"x" * (MAX_BYTES + 1)).fault == ("InvalidRequestFault", "TOO_LARGE")


def test_comments_and_cdata_do_not_change_what_is_read(desk: Desk) -> None:
    plain = chain("c1", number(100))
    written = plain.replace(">c1<", "><!-- one --> c<![CDATA[1]]>\n<").replace(
        ">VOICE<", "> VOICE <"
    )
    assert desk.submit(plain, job_ref="j-1", TotalChains=1)["Replayed"] == "false"
    again = desk.post(envelope("AddChains", [element("JobRef", "j-1"), element("BatchNumber", 1)]))
    assert again.fault == ("ConflictFault", "JOB_CLOSED")
    assert desk.submit(plain, job_ref="j-2", TotalChains=5)["Replayed"] == "false"
    assert desk.add(1, chain("c2", number(100)), job_ref="j-2")["Replayed"] == "false"
    assert (
        desk.add(1, written.replace("c<", "c<").replace("[1]", "[2]"), job_ref="j-2").name
        == "ConflictFault"  # its StepRef differs
    )
    same = written.replace("[1]", "[2]").replace("c1-1", "c2-1")
    assert desk.add(1, same, job_ref="j-2")["Replayed"] == "true"


def test_every_operation_of_the_contract_is_served(desk: Desk) -> None:
    assert operation_names() == desk.endpoint.operations.keys()


def test_the_wsdl_carries_the_address_it_was_fetched_from(desk: Desk) -> None:
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/soap",
        "QUERY_STRING": "wsdl",
        "HTTP_HOST": "dialer.test:8100",
        "wsgi.url_scheme": "http",
    }
    parts = desk.endpoint(environ, lambda status, headers: said.append(status))
    tree = etree.fromstring(b"".join(parts))
    address = tree.find("{*}service/{*}port/{*}address")
    assert said == ["200 OK"]
    assert address is not None
    assert address.get("location") == "http://dialer.test:8100/soap"


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [("GET", "", "404 Not Found"), ("PUT", "", "405 Method Not Allowed")],
)
def test_other_requests_get_a_plain_refusal_and_control_is_off_by_default(
    desk: Desk, method: str, query: str, status: str
) -> None:
    said: list[str] = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": "/control", "QUERY_STRING": query}
    desk.endpoint(environ, lambda status, headers: said.append(status))
    assert said == [status]
