"""One exchange on the wire: what is sent, when it ends, and that nothing of it is ever logged."""

from __future__ import annotations

import base64
import gzip
import logging
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dialer_adapters.contract import CredentialsRefused, Retry
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from dialer_adapters.shoutpoint.endpoint import check_endpoint
from dialer_adapters.shoutpoint.transport import MOST_BYTES, Wire, read_reply
from tests.shoutpoint.answers import SUBMITTED, VERIFIED, entry, page, response
from tests.shoutpoint.conftest import PASSWORD, USER, Dial
from tests.shoutpoint.raw_server import RawServer, http
from tests.shoutpoint.test_building import CHAINS, JOB


@pytest.mark.spec("A1-15")
def test_what_is_sent_is_soap_with_basic_credentials_in_utf_8(dial: Dial) -> None:
    adapter, server = dial(http(VERIFIED))
    found = adapter.verify("D-0101", "Añoka & <Hennepin>\x0b")
    assert found.capabilities == {"VOICE", "TEXT"}
    assert found.limits.calls_per_second == 12.5
    assert found.server_time == datetime(2026, 11, 23, 22, 0, tzinfo=UTC)
    request = server.requests[0].decode()
    assert request.startswith("POST /soap/v1 HTTP/1.1\r\n")
    assert 'SOAPAction: "urn:school-messenger:dialer:v1:VerifyCustomer"' in request
    assert "Añoka &amp; &lt;Hennepin&gt;<" in request
    credentials = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert f"Authorization: Basic {credentials}" in request
    assert PASSWORD not in request


class Dripper:
    """Sends its bytes one at a time, each well within the time-out of a single read, for ever."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.cut_off = threading.Event()

    def __call__(self, connection: socket.socket, over: threading.Event) -> None:
        try:
            connection.sendall(self.head)
            while not over.wait(0.02):
                connection.sendall(b"x")
        except OSError:
            self.cut_off.set()
            raise


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 100000\r\n\r\n<a>",
    ],
    ids=["status line", "header", "body without end", "body of a length"],
)
def test_a_dripping_dialer_is_cut_off_at_the_deadline(head: bytes) -> None:
    dripper = Dripper(head)
    with RawServer(dripper) as server:
        wire = Wire(check_endpoint(server.url, allow_loopback=True), USER, PASSWORD)
        with pytest.raises(Retry) as caught:
            wire.exchange("VerifyCustomer", b"<x/>", seconds=0.4)
        assert caught.value.reason == "timeout"
        assert dripper.cut_off.wait(5)


def test_a_silent_dialer_times_out() -> None:
    def say_nothing(connection: socket.socket, over: threading.Event) -> None:
        over.wait(5)

    with RawServer(say_nothing) as server:
        wire = Wire(check_endpoint(server.url, allow_loopback=True), USER, PASSWORD)
        with pytest.raises(Retry) as caught:
            wire.exchange("VerifyCustomer", b"<x/>", seconds=0.3)
        assert caught.value.reason == "timeout"
        assert caught.value.user_sentence == "The dialer did not answer in time."
        server.over.set()


def test_a_deadline_that_is_over_does_not_touch_the_next_call() -> None:
    with RawServer(http(VERIFIED)) as server:
        wire = Wire(check_endpoint(server.url, allow_loopback=True), USER, PASSWORD)
        for _ in range(3):
            assert wire.exchange("VerifyCustomer", b"<x/>", seconds=5).status_code == 200


def test_nobody_listening_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    adapter = ShoutpointAdapter(f"http://127.0.0.1:{port}/", USER, PASSWORD, allow_loopback=True)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason == "unreachable"


def hang_up(connection: socket.socket, over: threading.Event) -> None:
    connection.shutdown(socket.SHUT_RDWR)


CUT = {
    "no answer at all": (hang_up, "unreachable"),
    "cut in the body, length known": (http(VERIFIED[:300], length=len(VERIFIED)), "garbled"),
    "cut in the body, length unknown": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n" + VERIFIED[:300],
        "garbled",
    ),
    "cut by one byte": (http(VERIFIED[:-1]), "garbled"),
    "cut in the headers": (b"HTTP/1.1 200 OK\r\nContent-Ty", "foreign"),
    "an empty body": (http(b""), "garbled"),
    "an empty body and 202": (http(b"", "202 Accepted"), "foreign"),
    "a chunk that ends early": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"ffff\r\n" + VERIFIED,
        "garbled",
    ),
    "not HTTP": (b"220 smtp.example.com ESMTP\r\n", "unreachable"),
    "two answers in one": (http(VERIFIED + VERIFIED), "garbled"),
    "gzip cut short": (
        http(gzip.compress(VERIFIED)[:-20], headers=("Content-Encoding: gzip",)),
        "garbled",
    ),
    "gzip that is none": (http(VERIFIED, headers=("Content-Encoding: gzip",)), "garbled"),
    "an encoding nobody asked for": (http(VERIFIED, headers=("Content-Encoding: br",)), "garbled"),
    "no content type": (http(VERIFIED, content_type=None), "foreign"),
    "JSON": (http(b'{"error": 1}', content_type="application/json"), "foreign"),
    "a type of SOAP 1.2": (http(VERIFIED, content_type="application/soap+xml"), "foreign"),
    "multipart": (http(VERIFIED, content_type="multipart/related; boundary=x"), "foreign"),
}


@pytest.mark.parametrize(("answer", "reason"), CUT.values(), ids=CUT.keys())
def test_half_an_answer_is_no_answer(dial: Dial, answer: bytes, reason: str) -> None:
    adapter, _ = dial(answer)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason == reason
    assert caught.value.retryable
    adapter, _ = dial(answer)
    with pytest.raises(Retry) as caught:
        adapter.submit(JOB, CHAINS, 1)


@pytest.mark.parametrize("operation", ["GetCallLog", "SubmitJob"])
def test_every_shorter_answer_is_refused(operation: str) -> None:
    """A truncated answer never passes for a shorter complete one, wherever it is cut."""
    content = (
        page(entry(1), entry(2)) if operation == "GetCallLog" else response(operation, SUBMITTED)
    )
    for length in range(len(content)):
        with pytest.raises(Retry):
            read_reply(operation, 200, {"Content-Type": "text/xml"}, content[:length])
    assert read_reply(operation, 200, {"Content-Type": "text/xml"}, content)


def test_compressed_answers_are_read(dial: Dial) -> None:
    packed = gzip.compress(page(entry(1)))
    adapter, server = dial(http(packed, headers=("Content-Encoding: gzip",)))
    assert len(adapter.read_log("e1", 0).entries) == 1
    assert b"Accept-Encoding: gzip\r\n" in server.requests[0]


def test_an_answer_above_the_cap_is_refused(dial: Dial) -> None:
    blown = VERIFIED.replace(b"</StateID>", b"</StateID><Pad>" + b"x" * MOST_BYTES + b"</Pad>")
    for answer in (
        http(blown),
        http(gzip.compress(blown, 1), headers=("Content-Encoding: gzip",)),
    ):
        adapter, _ = dial(answer)
        with pytest.raises(Retry) as caught:
            adapter.verify("D-0101", "District")
        assert (caught.value.reason, caught.value.detail) == ("garbled", "answer too large")


def certificate(directory: Path) -> ssl.SSLContext:
    """A server certificate for 127.0.0.1 that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.spec("A1-16")
def test_a_certificate_that_nobody_vouches_for_ends_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = certificate(tmp_path)
    # Not even the environment can vouch for it: only the certificates of the installation count.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "server.pem"))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "server.pem"))
    with RawServer(http(VERIFIED), tls=context) as server:
        adapter = ShoutpointAdapter(server.url, USER, PASSWORD, allow_loopback=True)
        with pytest.raises(Retry) as caught:
            adapter.verify("D-0101", "District")
        assert caught.value.reason == "tls"
        assert server.requests == []


@pytest.mark.spec("A1-16")
def test_plain_http_needs_the_flag_and_this_machine() -> None:
    for url in ("http://dialer.example.com/", "http://127.0.0.1:8000/"):
        with pytest.raises(CredentialsRefused):
            ShoutpointAdapter(url, USER, PASSWORD)
    with pytest.raises(CredentialsRefused):
        ShoutpointAdapter("http://dialer.example.com/", USER, PASSWORD, allow_loopback=True)
    assert ShoutpointAdapter("http://127.0.0.1:8000/", USER, PASSWORD, allow_loopback=True)


def test_no_body_number_or_credential_is_logged_or_carried_by_an_error(
    dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "Mother of Ada, room 12"
    said = VERIFIED.replace(b"<NormalLines>40", f"<NormalLines>{secret}".encode())
    with caplog.at_level(logging.DEBUG):
        adapter, _ = dial(http(said), http(b"", "401 Unauthorized"), http(VERIFIED[:200]))
        for kind in (Retry, CredentialsRefused, Retry):
            with pytest.raises(kind) as caught:
                adapter.verify("D-0101", secret)
            error: BaseException | None = caught.value
            while error is not None:
                for hidden in (secret, PASSWORD, "D-0101"):
                    assert hidden not in repr(error) + str(vars(error))
                assert not hasattr(error, "request")
                error = error.__cause__
        with pytest.raises(Retry):
            adapter.submit(JOB, CHAINS, 1)
    for hidden in (secret, PASSWORD, USER, "6125557735", "absent", "Basic "):
        assert hidden not in caplog.text
    assert PASSWORD not in repr(adapter._wire)


def test_a_cookie_is_not_sent_back(dial: Dial) -> None:
    adapter, server = dial(http(VERIFIED, headers=("Set-Cookie: a=b; Path=/",)))
    adapter.verify("D-0101", "District")
    adapter.verify("D-0101", "District")
    assert b"ookie" not in server.requests[1]
