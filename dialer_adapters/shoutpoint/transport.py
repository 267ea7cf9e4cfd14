"""One SOAP exchange over HTTP: what is sent, how long it may take, and what counts as an answer.

The whole body is read under a cap and a deadline, then by a strict parser, before anyone looks for
a value in it: it is complete, it is XML without a DOCTYPE, it is the answer to what was asked.
Everything else leaves as one of the three errors. No body, number or credential is ever logged from
here, and exceptions of the HTTP library end here, because they carry the request with them."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests
import urllib3
from lxml import etree
from requests.auth import HTTPBasicAuth
from requests_hardened.ip_filter import InvalidIPAddress

from dialer_adapters.contract import CredentialsRefused, Retry
from dialer_adapters.shoutpoint import plain_entries
from dialer_adapters.shoutpoint.endpoint import Deadline, Endpoint, open_session
from dialer_adapters.shoutpoint.faults import error_for_status, fault_in
from dialer_adapters.shoutpoint.wsdl import NAMESPACE, SOAP_ENVELOPE, tag

CONNECT_SECONDS = 5
CALL_SECONDS = 10
AUDIO_SECONDS = 30
MOST_BYTES = 10 * 1024 * 1024
"""Of a decoded answer. A full page of 5,000 entries has 4 MB; the dialer ends pages before 8
MiB."""
MOST_ELEMENTS = 100_000
MOST_LOG_ELEMENTS = 300_000
"""A full log page has 160,000, any other answer 50,000. An element costs 100 bytes in our parser
and as much again in zeep's, so that ten megabytes of empty ones would cost half a gigabyte."""
MOST_ATTRIBUTES = 20_000
_CHUNK = 64 * 1024
_DECLARED = re.compile(rb"\s*<\?xml[^>]*?\sencoding\s*=\s*[\"']([^\"']*)[\"']")
_ATTRIBUTE = re.compile(rb"=\s*[\"']")
_OUR_ENCODINGS = (b"utf-8", b"us-ascii", b"ascii")


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete, well-formed answer: the response element and the bytes it came from. The fields
    in the second half are what zeep asks of a response. Of a page of the log the entries may have
    been read already (`plain`); one empty Entry then stands for all of them."""

    element: etree._Element
    content: bytes
    headers: Mapping[str, str]
    status_code: int = 200
    encoding: str = "utf-8"
    plain: plain_entries.Cut | None = None


@dataclass(slots=True)
class Wire:
    """The way to one end point with one user's credentials. Belongs to one process, made after
    fork; each thread gets a session of its own, since sessions of requests are not made for
    sharing."""

    endpoint: Endpoint
    username: str = field(repr=False)
    password: str = field(repr=False)
    _local: threading.local = field(default_factory=threading.local, repr=False)

    def exchange(self, operation: str, envelope: bytes, seconds: float = CALL_SECONDS) -> Reply:
        """Posts the envelope and returns the answer to it; `seconds` covers everything from
        connecting to the last byte. Raises Retry, Rejected or CredentialsRefused."""
        with Deadline(seconds) as deadline:
            status, headers, content = self._post(operation, envelope, deadline)
        if deadline.expired:
            raise Retry("timeout")
        return read_reply(operation, status, headers, content)

    def close(self) -> None:
        session = getattr(self._local, "session", None)
        if session is not None:
            session.close()
            self._local.session = None

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = open_session(self.endpoint)
            self._local.session = session
        return session

    def _post(
        self, operation: str, envelope: bytes, deadline: Deadline
    ) -> tuple[int, Mapping[str, str], bytes]:
        try:
            response = self._session().post(
                self.endpoint.url,
                data=envelope,
                headers={
                    "Content-Type": "text/xml; charset=utf-8",
                    "SOAPAction": f'"{NAMESPACE}:{operation}"',
                    "Accept": "text/xml",
                    "Accept-Encoding": "gzip",
                    "User-Agent": "school-messenger",
                },
                auth=HTTPBasicAuth(self.username.encode(), self.password.encode()),
                timeout=(min(CONNECT_SECONDS, deadline.seconds), deadline.seconds),
                allow_redirects=False,
                stream=True,
            )
            with response:
                response.cookies.clear()
                self._session().cookies.clear()
                return (
                    response.status_code,
                    response.headers,
                    b"".join(_decoded(response)),
                )
        except InvalidIPAddress:
            raise Retry("address") from None
        except requests.exceptions.SSLError:
            raise Retry("tls") from None
        except requests.exceptions.ConnectTimeout:
            raise Retry("timeout", nothing_sent=True) from None
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise Retry("timeout") from None
        except (requests.exceptions.ConnectionError, OSError) as problem:
            raise Retry(
                "timeout" if deadline.expired else "unreachable",
                detail=type(problem).__name__,
                nothing_sent=_never_connected(problem),
            ) from None
        except (urllib3.exceptions.HTTPError, ValueError) as problem:
            raise Retry(
                "timeout" if deadline.expired else "garbled",
                detail=type(problem).__name__,
            ) from None


def _never_connected(problem: Exception) -> bool:
    """Whether the connection itself failed, so that no byte of the request left."""
    cause = problem.args[0] if problem.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, urllib3.exceptions.NewConnectionError)


def _decoded(response: requests.Response) -> Iterator[bytes]:
    """The body in pieces, unpacked here and not by the library: a piece of 64 KB may unpack to 64
    MB, and the cap must hold before that memory is spent."""
    coding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        raise Retry("garbled", detail="content encoding")
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 16) if coding == "gzip" else None
    left = MOST_BYTES
    while piece := response.raw.read1(_CHUNK, decode_content=False):
        if unpack is not None:
            try:
                piece = unpack.decompress(piece, left + 1)
            except zlib.error:
                raise Retry("garbled", detail="content encoding") from None
        left -= len(piece)
        if left < 0:
            raise Retry("garbled", detail="answer too large")
        yield piece
    if unpack is not None and not unpack.eof:
        raise Retry("garbled", detail="answer cut short")


def read_reply(operation: str, status: int, headers: Mapping[str, str], content: bytes) -> Reply:
    """Judges a whole answer. A typed fault is raised whatever its HTTP status; anything that is not
    the answer to this operation is judged by the status alone, so that a gateway's page never
    passes for the dialer's word."""
    is_log = operation == "GetCallLog"
    most = MOST_LOG_ELEMENTS if is_log else MOST_ELEMENTS
    content_type = headers.get("Content-Type", "")
    plain = plain_entries.cut(content) if is_log and status == 200 else None
    try:
        root = _strict(content_type, plain.rest if plain else content, most)
        if plain is not None and not _stands_for_all(root):
            plain, root = None, _strict(content_type, content, most)
    except Retry:
        if status == 200:
            raise
        raise error_for_status(status, headers.get("Retry-After")) from None
    fault = fault_in(root)
    if isinstance(fault, CredentialsRefused) or (fault is not None and status != 401):
        raise fault
    if status != 200:
        raise error_for_status(status, headers.get("Retry-After"))
    if root.find(f"{{{SOAP_ENVELOPE}}}Body/{{{SOAP_ENVELOPE}}}Fault") is not None:
        raise Retry("failed", detail="untyped fault")
    body = root.findall(f"{{{SOAP_ENVELOPE}}}Body/*")
    if len(body) != 1 or body[0].tag != tag(f"{operation}Response"):
        raise Retry("foreign", detail="not the answer to this request")
    return Reply(body[0], content, headers, plain=plain)


def _stands_for_all(root: etree._Element) -> bool:
    """Whether the only Entry of the envelope is an empty one where a page has its entries."""
    there = root.findall(f"{{{SOAP_ENVELOPE}}}Body/{tag('GetCallLogResponse')}/{tag('Entry')}")
    return len(there) == len(list(root.iter("{*}Entry"))) == 1 and len(there[0]) == 0


def _strict(content_type: str, content: bytes, most_elements: int) -> etree._Element:
    """The SOAP envelope, from a parser that accepts no half measures. Raises Retry."""
    media, _, parameters = content_type.partition(";")
    if media.strip().lower() != "text/xml":
        raise Retry("foreign", detail="content type")
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]+)", parameters, re.IGNORECASE)
    if charset is not None and charset[1].lower() not in ("utf-8", "us-ascii"):
        raise Retry("garbled", detail="charset")
    if not content:
        raise Retry("garbled", detail="empty answer")
    declared = _DECLARED.match(content.removeprefix(b"\xef\xbb\xbf"))
    if declared is not None and declared[1].lower() not in _OUR_ENCODINGS:
        raise Retry("garbled", detail="encoding")
    # The encoding is ours by now, so these bytes cannot hide in another one. They are refused
    # before the parser sees an entity; they occur in no honest answer.
    if b"!" in content and (b"<!DOCTYPE" in content or b"<!ENTITY" in content):
        raise Retry("garbled", detail="DOCTYPE")
    tags = content.count(b"<")
    if tags > most_elements and tags - content.count(b"</") > most_elements:
        raise Retry("garbled", detail="too many elements")
    if content.count(b"=") > MOST_ATTRIBUTES and len(_ATTRIBUTE.findall(content)) > MOST_ATTRIBUTES:
        raise Retry("garbled", detail="too many attributes")
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise Retry("garbled", detail="not well-formed") from None
    if root.tag != f"{{{SOAP_ENVELOPE}}}Envelope":
        raise Retry("foreign", detail="no SOAP envelope")
    return root
