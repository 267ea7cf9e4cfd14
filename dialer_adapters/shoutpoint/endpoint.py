"""Which addresses may be a dialer's end point, and the connection that holds them to it.

An end point is a district's setting, so it is hostile until shown otherwise (request forgery):
https on 443 or 8443, no user name in it, and the address behind the name is public, looked up once
and pinned for the connection. Loopback is for the switchboard beside us and needs an explicit flag.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import idna
import requests
from requests_hardened.ip_filter import EXTRA_BLOCKED_NET_RANGES, InvalidIPAddress
from requests_hardened.ip_filter_adapter import IPFilterAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from dialer_adapters.contract import CredentialsRefused

PORTS = frozenset({443, 8443})
LONGEST_URL = 2000
_PLAIN_URL = re.compile(r"[^\s\x00-\x20\x7f\\<>\"{}|^`]+")
_HOST = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A checked address: the URL in plain ASCII, and whether it is this machine itself."""

    url: str
    loopback: bool


def check_endpoint(
    url: str,
    *,
    allow_loopback: bool = False,
    allowed_hosts: frozenset[str] = frozenset(),
) -> Endpoint:
    """Judges a URL without opening a connection (A1-13, A1-16).

    `allowed_hosts` (lower case, ASCII) narrows public hosts to a list; empty means any public host.
    `allow_loopback` lets http and any port through for this machine alone. Raises
    CredentialsRefused("ENDPOINT_NOT_ALLOWED").
    """
    if len(url) > LONGEST_URL or not _PLAIN_URL.fullmatch(url):
        raise _refusal("spaces or forbidden characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = _ascii_host(parts.hostname or "")
    except (ValueError, UnicodeError):
        raise _refusal("not a URL") from None
    if "@" in parts.netloc or "#" in url:
        raise _refusal("user name or fragment")
    address = _literal(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if loopback:
        if not allow_loopback or parts.scheme not in ("http", "https"):
            raise _refusal("this machine")
    else:
        _check_public(parts.scheme, host, port, address, allowed_hosts)
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port is None else f"{shown}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    path = parts.path or "/"
    if not (path + query).isascii():
        raise _refusal("path outside ASCII")
    return Endpoint(f"{parts.scheme}://{netloc}{path}{query}", loopback)


def is_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether the address is ordinary public unicast; IPv6 forms that wrap an IPv4 one are not."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    if isinstance(address, ipaddress.IPv6Address) and (address.sixtofour or address.teredo):
        return False
    if any(address in network for network in EXTRA_BLOCKED_NET_RANGES):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _check_public(
    scheme: str,
    host: str,
    port: int | None,
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None,
    allowed_hosts: frozenset[str],
) -> None:
    if scheme != "https":
        raise _refusal("only https")
    if port is not None and port not in PORTS:
        raise _refusal("port")
    if address is not None and not is_public(address):
        raise _refusal("network")
    if address is None and (
        "." not in host or re.fullmatch(r"\d+|0x[0-9a-f]*", host.split(".")[-1])
    ):
        # One label is a name of the local network; a last label of digits is an address in disguise
        # (2130706433, 0x7f.1, 0177.0.0.1): the resolver of the C library would take it as one.
        raise _refusal("host")
    if allowed_hosts and host not in allowed_hosts:
        raise _refusal("host is not on the list")


def _ascii_host(host: str) -> str:
    """The host in lower-case ASCII: full-width digits and other dots become plain ones here, before
    anything is decided. Raises UnicodeError or ValueError."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode("ascii")
    host = host.lower().removesuffix(".")
    if not _HOST.fullmatch(host) or len(host) > 253:
        raise ValueError("host")
    return host


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _refusal(why: str) -> CredentialsRefused:
    return CredentialsRefused("ENDPOINT_NOT_ALLOWED", why)


# ------------------------------------------------------------------------ the pinned connection


class Deadline:
    """Ends one exchange as a whole. The time-outs of a socket count from byte to byte, so that a
    server sending one byte a second would hold a worker for hours; at the deadline the connection
    is shut instead, and whatever read was waiting comes back at once. Looking the name up is not
    covered: the resolver has limits of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _current.deadline = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        _current.deadline = None
        self._timer.cancel()
        with self._lock:
            self._let_go()

    def watch(self, connection: socket.socket) -> None:
        """Takes a duplicate of the connection: TLS takes the original over, and an answer without
        length is read on after the HTTP library has closed it."""
        with self._lock:
            self._let_go()
            self._connection = socket.socket(fileno=os.dup(connection.fileno()))
        if self.expired:
            self._expire()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _expire(self) -> None:
        self.expired = True
        with self._lock, suppress(OSError):  # it may have ended by itself at the same moment
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    deadline: Deadline | None = None


_current = _Current()


class _Watched(HTTPConnection):
    """A connection, new or kept, that the running deadline can shut."""

    def _new_conn(self) -> socket.socket:
        connection = super()._new_conn()
        if _current.deadline is not None:
            _current.deadline.watch(connection)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        if _current.deadline is not None and self.sock is not None:
            _current.deadline.watch(self.sock)
        super().request(*args, **kwargs)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


class PinnedAdapter(IPFilterAdapter):
    """requests-hardened looks the name up once, refuses private networks and connects to that very
    address under the name's certificate. On top: a second, stricter opinion on the address (it
    knows neither ::127.0.0.1 nor site-local IPv6), loopback only for an end point that *is*
    loopback, and connections that a deadline can end."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        address = ipaddress.ip_address(host["host"].strip("[]"))
        if self._allow_loopback != address.is_loopback or not (
            address.is_loopback or is_public(address)
        ):
            raise InvalidIPAddress(str(address))
        return host, pool


def open_session(endpoint: Endpoint) -> requests.Session:
    """A session that can reach this kind of end point and nothing else: no proxies or netrc from
    the environment, no cookies, no redirects (the caller passes allow_redirects=False as well), TLS
    always verified."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.adapters.clear()
    session.mount("https://", PinnedAdapter(is_https_proto=True, allow_loopback=endpoint.loopback))
    if endpoint.loopback:
        session.mount("http://", PinnedAdapter(is_https_proto=False, allow_loopback=True))
    return session
