"""Request forgery: addresses that never get a connection, judged with a listener that waits for
one."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterator

import pytest
import urllib3.util.connection

from dialer_adapters.contract import CredentialsRefused, DialerError, Retry
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from dialer_adapters.shoutpoint.endpoint import check_endpoint, is_public
from tests.shoutpoint.answers import VERIFIED
from tests.shoutpoint.conftest import PASSWORD, USER, Dial
from tests.shoutpoint.raw_server import RawServer, http

# Each stands for one trick; {port} is where the trap listens.
FORGED = [
    "http://127.0.0.1:{port}/",
    "https://127.0.0.1:{port}/",
    "https://127.0.0.1/",
    "http://localhost:{port}/",
    "https://localhost:{port}/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://127.0.0.1./",
    "https://127.000.000.001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://0.0.0.0:{port}/",
    "https://[::]/",
    "https://[::1]/",
    "https://[::1]:{port}/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[64:ff9b:1::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fc00::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
    "https://[5f00::1]/",
    "https://[3fff::1]/",
    "https://[2001:db8::1]/",
    "https://169.254.169.254/",
    "https://169.254.169.254:{port}/",
    "http://169.254.169.254/latest/",
    "https://2852039166/",
    "https://100.64.0.1/",
    "https://100.127.255.254/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.1.1/",
    "https://192.0.0.1/",
    "https://192.0.2.1/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://203.0.113.7/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://loc\u00adalhost/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "https://router/",
    "https://user@dialer.example.com/",
    "https://user:pw@dialer.example.com/",
    "https://dialer.example.com@127.0.0.1:{port}/",
    "https://@dialer.example.com/",
    "https://dialer.example.com/#x",
    "https://dialer.example.com#@127.0.0.1/",
    "https://dialer.example.com\\@127.0.0.1/",
    "https://dialer.example.com:22/",
    "https://dialer.example.com:{port}/",
    "https://dialer.example.com:80/",
    "https://dialer.example.com:99999/",
    "http://dialer.example.com/",
    "HTTP://dialer.example.com/",
    "//dialer.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "ftp://dialer.example.com/",
    "dict://127.0.0.1:{port}/",
    "ldap://127.0.0.1/",
    "jar:https://dialer.example.com!/",
    "data:text/xml,<a/>",
    "javascript:alert(1)",
    "unix:///run/docker.sock",
    "https:///soap",
    "https://",
    "https:dialer.example.com",
    "https://[127.0.0.1]/",
    "https://[::1/",
    "https://::1/",
    "https://dialer..example.com/",
    "https://-dialer.example.com/",
    "https://dialer.example.com:port/",
    "dialer.example.com",
    "https://xn--/",
    "https://{long}.example.com/",
    "https://dialer.example.com/\r\nHost: x",
    "https://dialer.example.com/\t",
    " https://dialer.example.com/",
    "https://dialer.example.com/ x",
    "https://dialer.example.com/\x00",
    "https://dialer.example.com/ä",
    "https://dialer.example.com/" + "x" * 2000,
    "",
]


@pytest.fixture
def trap() -> Iterator[socket.socket]:
    """A listener on loopback; a test of forged addresses ends by seeing that nobody came."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.spec("A1-13", "A1-16")
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_forged_addresses_are_refused_without_a_connection(
    trap: socket.socket, allow_loopback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", never)
    port = trap.getsockname()[1]
    assert len(FORGED) >= 60
    for form in FORGED:
        url = form.replace("{port}", str(port)).replace("{long}", "a" * 64)
        if allow_loopback and _is_loopback(url):
            continue
        with pytest.raises(CredentialsRefused) as caught:
            ShoutpointAdapter(url, USER, PASSWORD, allow_loopback=allow_loopback)
        assert caught.value.code == "ENDPOINT_NOT_ALLOWED", url
        assert caught.value.user_sentence == "This address cannot be used for the dialer."


def _is_loopback(url: str) -> bool:
    """The few of the list that the explicit flag lets through: this machine under its plain
    names."""
    try:
        return check_endpoint(url, allow_loopback=True).loopback
    except CredentialsRefused:
        return False


def test_the_flag_opens_this_machine_and_nothing_else() -> None:
    opened = {url for url in FORGED if "{" not in url and _is_loopback(url)}
    assert {check_endpoint(url, allow_loopback=True).url for url in opened} == {
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
    }


@pytest.mark.spec("A1-13", "A1-16")
@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://dialer.example.com/soap/v1", "https://dialer.example.com/soap/v1"),
        ("https://DIALER.example.com:443/soap?x=1", "https://dialer.example.com:443/soap?x=1"),
        ("https://dialer.example.com:8443", "https://dialer.example.com:8443/"),
        ("https://bücher.example.com/", "https://xn--bcher-kva.example.com/"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
    ],
)
def test_public_https_addresses_pass(url: str, checked: str) -> None:
    endpoint = check_endpoint(url)
    assert (endpoint.url, endpoint.loopback) == (checked, False)


def test_a_list_of_hosts_narrows_the_choice() -> None:
    hosts = frozenset({"dialer.example.com"})
    assert check_endpoint("https://dialer.example.com/", allowed_hosts=hosts)
    for url in ("https://other.example.com/", "https://8.8.8.8/", "https://xdialer.example.com/"):
        with pytest.raises(CredentialsRefused):
            check_endpoint(url, allowed_hosts=hosts)


PRIVATE = (
    *("127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.1", "240.0.0.1", "192.88.99.1", "::1", "::", "::127.0.0.1", "fe80::1"),
    *("::ffff:10.0.0.1", "64:ff9b::a00:1", "fd00::1", "fec0::1", "ff02::1", "2002:7f00:1::"),
    *("2001:0:7f00:1::", "5f00::1", "3fff::1"),
)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_name_for_a_private_address_gets_no_connection(
    address: str, trap: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolver([address]))
    monkeypatch.setattr(urllib3.util.connection, "create_connection", _never_connect)
    adapter = ShoutpointAdapter("https://dialer.example.com/", USER, PASSWORD, allow_loopback=True)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason == "address"


def test_the_address_that_was_judged_is_the_one_that_is_dialed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that answers differently the second time (rebinding) is asked only once."""
    asked = _resolver(["8.8.8.8", "127.0.0.1"])
    dialed: list[str] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> None:
        dialed.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", asked)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    adapter = ShoutpointAdapter("https://dialer.example.com/", USER, PASSWORD)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason == "unreachable"
    assert dialed == ["8.8.8.8"]


def test_a_loopback_name_that_leads_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _resolver(["8.8.8.8"]))
    monkeypatch.setattr(urllib3.util.connection, "create_connection", _never_connect)
    adapter = ShoutpointAdapter("http://localhost:8000/", USER, PASSWORD, allow_loopback=True)
    with pytest.raises(Retry) as caught:
        adapter.verify("D-0101", "District")
    assert caught.value.reason == "address"


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_redirects_are_not_followed(dial: Dial, status: str) -> None:
    with RawServer(http(VERIFIED)) as elsewhere:
        adapter, _ = dial(http(VERIFIED, status, headers=(f"Location: {elsewhere.url}",)))
        with pytest.raises(DialerError):
            adapter.verify("D-0101", "District")
        assert elsewhere.connections == 0


def test_proxies_and_certificates_of_the_environment_are_ignored(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(http(VERIFIED)) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
        adapter, server = dial(http(VERIFIED))
        assert adapter.verify("D-0101", "District").customer_id == "D-0101"
        assert (server.connections, proxy.connections) == (1, 0)


def test_what_is_public() -> None:
    assert not any(is_public(ipaddress.ip_address(address)) for address in PRIVATE)
    assert is_public(ipaddress.ip_address("8.8.8.8"))
    assert is_public(ipaddress.ip_address("2606:4700::1111"))


def _resolver(addresses: list[str]) -> Callable[..., list[tuple[object, ...]]]:
    """A name server that gives one address after the other."""
    left = list(addresses)

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        address = left.pop(0)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        end = (address, port or 443, 0, 0) if ":" in address else (address, port or 443)
        return [(family, socket.SOCK_STREAM, 6, "", end)]

    return getaddrinfo


def _never_connect(*_: object, **__: object) -> None:
    raise AssertionError("a connection was opened")
