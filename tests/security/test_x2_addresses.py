"""X2: addresses that a district's settings may hold and that must never get a connection: through
the form, through a stored row, and through the adapter.

The corpus is `tests.shoutpoint.test_endpoint`'s (which judges each form by itself). Here it goes
the way it would come: through Voice Settings, and out again through every part that speaks to the
dialer. A process-wide trap stands where connections are made: nothing may be looked up, nothing
connected, and listeners on the loopback see nobody.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3.util.connection
from django.test import Client
from django.urls import reverse

from dialer_adapters.contract import CredentialsRefused, DialerError, Retry
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from tests.launch.sending import launched, verified_account
from tests.pages.cast import ADMINISTRATOR, client_of, make_user
from tests.shoutpoint.answers import VERIFIED
from tests.shoutpoint.conftest import PASSWORD, USER
from tests.shoutpoint.raw_server import RawServer, http
from tests.shoutpoint.test_endpoint import FORGED, PRIVATE
from tests.world import build_world
from voice import account, collect, credentials, dispatch
from voice.models import DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db

PORTS = (":{port}", ":22", ":80", ":6379", ":5432", ":9200", ":8000")
MORE = [
    # The metadata services of the clouds, by address and by name.
    *("https://169.254.170.2/", "https://169.254.169.254.:443/", "https://[fd00:ec2::254]:443/"),
    *("https://100.100.100.200/", "https://192.0.0.192/", "https://168.63.129.16:80/"),
    "http://metadata.google.internal/computeMetadata/v1/",
    # Our own services and the usual neighbours, on a public name.
    *(f"https://dialer.example.com{port}/" for port in PORTS),
    # Other ways to write this machine.
    *("https://127.127.127.127/", "https://127.0.0.1%2f@dialer.example.com/", "https://0x7f.1/"),
    *("https://0177.1/", "https://00000177.0.0.1/", "https://127.0x1/", "https://0b1111111.1/"),
    *("https://[::ffff:0:127.0.0.1]/", "https://[0:0:0:0:0:ffff:7f00:1]:{port}/"),
    *("https://[64:ff9b::7f00:1]:443/", "https://[64:ff9b::a9fe:a9fe]/", "https://[::1%25lo]/"),
    *("https://127．0．0．1/", "https://１２７。０。０。１:443/", "https://ⓛocalhost:443/"),
    *("https://localhost:443", "https://sub.localhost:{port}/", "https://ip6-localhost/"),
    # Schemes that libraries know.
    *("sftp://dialer.example.com/", "tftp://127.0.0.1/", "netdoc:///etc/passwd", "phar://x"),
    *("expect://id", "php://filter", "http+unix://%2frun%2fredis.sock/", "ws://127.0.0.1:{port}/"),
    # Splitting a request, or a parser from another.
    *("https://dialer.example.com/%0d%0aHost:%20x\r\n", "https://dialer.example.com\n.evil/"),
    *("https://dialer.example.com:443@127.0.0.1:{port}/", "https://127.0.0.1:{port}\\@public.com/"),
    *("https://[dialer.example.com]/", "https://dialer.example.com:443:{port}/", "https:///@x/"),
]


class Trap:
    """Listeners on both loopbacks, and every name and address that was asked for."""

    def __init__(self) -> None:
        self.listeners = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self.listeners[0].getsockname()[1]
        self.asked: list[str] = []

    def visitors(self) -> int:
        count = 0
        for listener in self.listeners:
            listener.setblocking(False)
            try:
                listener.accept()
                count += 1
            except BlockingIOError:
                pass
        return count

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Trap]:
    """Nothing but our own database and broker may be looked up or connected to."""
    trap = Trap()

    def look_up(host: str, *_: object, **__: object) -> list[Any]:
        trap.asked.append(f"looked up {host}")
        raise socket.gaierror(socket.EAI_NONAME, "no name is looked up in this test")

    def connect(address: tuple[str, int], *_: object, **__: object) -> None:
        trap.asked.append(f"connected to {address}")
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    yield trap
    assert trap.asked == []
    assert trap.visitors() == 0
    trap.close()


@pytest.fixture
def client(settings: Any) -> Client:
    """An administrator's browser, in an installation without a switchboard beside it."""
    settings.DIALER_ALLOW_LOOPBACK = False
    settings.AXES_ENABLED = False
    build_world()
    return client_of(make_user("admin", ADMINISTRATOR))


def save(client: Client, first: str, second: str = "", password: str = PASSWORD) -> Any:
    return client.post(
        reverse("voice_account"),
        {
            "account-username": USER,
            "account-password": password,
            "account-endpoint": first,
            "account-second_endpoint": second,
        },
    )


def forged(port: int) -> list[str]:
    forms = dict.fromkeys([*FORGED, *MORE])
    return [form.replace("{port}", str(port)).replace("{long}", "a" * 64) for form in forms]


def test_x2_the_corpus_is_as_wide_as_promised() -> None:
    assert len(forged(1)) >= 120


def test_x2_the_form_connects_to_none_of_them(client: Client, trap: Trap) -> None:
    """Voice Settings: each as the first end point, and as the second one."""
    kept = [url for url in forged(trap.port) if url == url.strip()]  # a form takes the space away
    assert len(kept) >= 110
    for url in kept:
        page = save(client, url)
        assert page.status_code == 422, url
        assert not VoiceSettings.current().verified
        assert trap.asked == [], url
    verified_account(endpoint="https://8.8.8.8/soap", password_encrypted=credentials.encrypt("x"))
    for url in filter(None, kept):
        result = account.verify_second(VoiceSettings.current(), url)
        assert result is not None
        assert result.kind == account.REFUSED, url
        assert account.doors() == ["https://8.8.8.8/soap"]
        assert VoiceSettings.current().second_endpoint == ""
        assert trap.asked == [], url


def test_x2_what_a_row_holds_is_judged_again(client: Client, trap: Trap) -> None:
    """An address that was written into the database (or was allowed once) goes nowhere: not by
    Test connection, not by a send, not by the log, not by Refresh, and not by a customerID."""
    verified_account()
    message = launched()
    job = DialerJob.objects.get(message=message)
    storable = [url for url in forged(trap.port) if url and "\0" not in url and len(url) <= 300]
    for url in storable:
        verified_account(endpoint=url, paused=False, password_encrypted=credentials.encrypt("x"))
        DialerJob.objects.update(endpoint=url, retry_at=None)
        client.post(reverse("voice_test"))
        dispatch.push(message.pk)
        collect.collect(seconds=1)
        assert trap.asked == [], url
    DialerJob.objects.update(submitted_at=message.created_at)
    collect.refresh(message.pk)
    account.fetch_school_ids(message.schools.values_list("pk", flat=True))
    job.refresh_from_db()
    assert job.accepted_at is None


def test_x2_the_adapter_connects_to_none_of_them(trap: Trap) -> None:
    """What the corpus of `test_endpoint` does not have."""
    for form in MORE:
        url = form.replace("{port}", str(trap.port))
        with pytest.raises(CredentialsRefused) as caught:
            ShoutpointAdapter(url, USER, PASSWORD)
        assert caught.value.code == "ENDPOINT_NOT_ALLOWED", url


# ------------------------------------------------------------------------------------ rebinding


def resolver(*answers: str | list[str]) -> Callable[..., list[tuple[Any, ...]]]:
    """A name server that gives one answer after the other, the last one again and again; an answer
    may be several addresses."""
    left = [[answer] if isinstance(answer, str) else answer for answer in answers]

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port or 443, 0, 0) if ":" in address else (address, port or 443),
            )
            for address in found
        ]

    return getaddrinfo


@pytest.fixture
def dialed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses to which a connection was begun; none is ever made."""
    begun: list[str] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> None:
        begun.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    return begun


@pytest.mark.parametrize("private", PRIVATE)
def test_x2_a_name_that_turns_private_through_the_form(
    client: Client, dialed: list[str], private: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Public when it is saved, private from then on; and a name that is both at once."""
    url = "https://dialer.example.com/soap"
    monkeypatch.setattr(socket, "getaddrinfo", resolver("8.8.8.8", private))
    assert save(client, url).status_code == 302
    assert dialed in ([], ["8.8.8.8"])
    client.post(reverse("voice_test"))
    client.post(reverse("voice_test"))
    monkeypatch.setattr(socket, "getaddrinfo", resolver(["8.8.8.8", private]))
    client.post(reverse("voice_test"))
    monkeypatch.setattr(socket, "getaddrinfo", resolver([private, "8.8.8.8"]))
    client.post(reverse("voice_test"))
    assert set(dialed) <= {"8.8.8.8"}


def test_x2_every_request_is_pinned_anew(
    dialed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kept adapter does not keep trust: each request judges the address it connects to."""
    monkeypatch.setattr(socket, "getaddrinfo", resolver("8.8.8.8", "127.0.0.1", "10.0.0.1"))
    adapter = ShoutpointAdapter("https://dialer.example.com/", USER, PASSWORD, allow_loopback=True)
    reasons = []
    for _request in range(3):
        with pytest.raises(Retry) as caught:
            adapter.verify("D-0101", "District")
        reasons.append(caught.value.reason)
    assert reasons == ["unreachable", "address", "address"]
    assert dialed == ["8.8.8.8"]


# ------------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    "status",
    ["300 Choices", "301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"],
)
@pytest.mark.parametrize("by", ["Location", "Refresh", "Content-Location", "Link"])
def test_x2_an_answer_leads_nowhere(status: str, by: str, settings: Any) -> None:
    """Through Test connection: the dialer's answer points to a trap, in every header that might."""
    settings.DIALER_ALLOW_LOOPBACK = True
    with RawServer(http(VERIFIED)) as elsewhere:
        value = {"Refresh": f"0; url={elsewhere.url}", "Link": f"<{elsewhere.url}>"}.get(
            by, elsewhere.url
        )
        answer = http(VERIFIED, status, headers=(f"{by}: {value}",))
        with RawServer(answer) as dialer:
            verified_account(endpoint=dialer.url, password_encrypted=credentials.encrypt("x"))
            build_world()
            assert account.check(VoiceSettings.current()).kind == account.UNREACHABLE
            adapter = ShoutpointAdapter(dialer.url, USER, PASSWORD, allow_loopback=True)
            with pytest.raises(DialerError):
                adapter.read_log("e1", 0)
            assert dialer.connections == 2
        assert elsewhere.connections == 0
