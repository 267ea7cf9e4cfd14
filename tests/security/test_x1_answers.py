"""X1: what a dialer may answer, through every operation of the real adapter, over a real socket.

The corpus is `tests.shoutpoint.hostile`'s, put inside a right answer to each operation, so that it
is refused for what it holds and not because it answers something else; here beside it are answers
whose harm lies in HTTP. A process of its own asks; its memory, its connections and the files that
it opens are counted. Nothing is timed: what is bounded is how much of an answer is read.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialer_adapters.contract import Retry
from dialer_adapters.shoutpoint.endpoint import check_endpoint
from dialer_adapters.shoutpoint.transport import MOST_BYTES, Wire
from tests.security.asking import OPERATIONS, as_answer_to, harmless
from tests.shoutpoint.answers import VERIFIED, entry
from tests.shoutpoint.hostile import STATE, corpus, inside
from tests.shoutpoint.raw_server import RawServer, http

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measured as Linux tells it")

ROOT = Path(__file__).resolve().parents[2]
MOST_GROWTH_KB = 50 * 1024
SECRET = "the-district-password"
# What is wrong with these is one value that VerifyCustomer needs; other answers do without it.
VALUES = {"a value by XInclude", "a value by reference", "a value that is nil"}
BULK = ("VerifyCustomer", "SubmitJob", "GetCallLog")
HEAVY = 50_000  # bytes: answers above go through the three ways of parsing alone
NAMES = list(corpus("http://127.0.0.1/", "/nowhere"))
IN_MODIFY_OPEN_ACCESS = 0x00000001 | 0x00000020


class Asking:
    """The process that asks, and the server that answers it."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.security.asking", server.url],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, operation: str, answer: Any) -> dict[str, Any]:
        self.server.answers[:] = [answer]
        assert self.child.stdin is not None
        assert self.child.stdout is not None
        self.child.stdin.write(f"{operation}\n")
        self.child.stdin.flush()
        line = self.child.stdout.readline()
        assert line, f"the process died of {operation}"
        account: dict[str, Any] = json.loads(line)
        return account

    def end(self) -> None:
        assert self.child.stdin is not None
        self.child.stdin.close()
        self.child.wait(10)


@pytest.fixture(scope="module")
def asking() -> Iterator[Asking]:
    with RawServer(http(VERIFIED)) as server:
        asking = Asking(server)
        for operation in OPERATIONS:  # what is read once is read before anything is measured
            account = asking.ask(operation, http(harmless(operation)))
            assert account["error"] is None, (operation, account)
        yield asking
        asking.end()


@pytest.fixture(scope="module")
def trap() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x.dtd"
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that is watched by the kernel: nobody opens it, not even a library."""
    path = tmp_path_factory.mktemp("x1") / "secret.txt"
    path.write_text(SECRET)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert watch >= 0
    assert libc.inotify_add_watch(watch, os.fsencode(path), IN_MODIFY_OPEN_ACCESS) >= 0
    yield path
    with pytest.raises(BlockingIOError):
        os.read(watch, 4096)
    path.read_text()
    assert os.read(watch, 4096), "the watch was awake"
    os.close(watch)


def require_refused(account: dict[str, Any], server: RawServer) -> None:
    """A named error of ours, little memory, nobody called but the dialer, no file read."""
    assert account["error"] == "Retry", account
    assert account["reason"] in ("garbled", "foreign", "log"), account
    assert account["sentence"]
    assert SECRET not in json.dumps(account)
    assert account["kb"] <= MOST_GROWTH_KB, account
    assert all(str(server.port) in address for address in account["to"]), account
    assert account["files"] == [], account


@pytest.mark.parametrize("name", NAMES)
def test_x1_hostile_xml_in_the_answer_to_each_operation(
    name: str, asking: Asking, trap: str, secret: Path
) -> None:
    content = corpus(trap, str(secret))[name]()
    operations = OPERATIONS if len(content) < HEAVY else BULK
    for operation in ("VerifyCustomer",) if name in VALUES else operations:
        account = asking.ask(operation, http(as_answer_to(operation, content)))
        require_refused(account, asking.server)


# -------------------------------------------------------------------------- harm that lies in HTTP


def gzip_bomb(megabytes: int) -> bytes:
    """A right gzip file of an answer with so many megabytes of spaces inside, made without ever
    holding them: a block of sixteen is packed once and repeated."""
    block = b" " * (16 * 1024 * 1024)
    before, after = VERIFIED.split(STATE)
    before, after = before + STATE + b"<a>", b"</a>" + after
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    one = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    times = megabytes // 16
    tail = packer.compress(after) + packer.flush()
    check = zlib.crc32(before)
    for _time in range(times):
        check = zlib.crc32(block, check)
    check = zlib.crc32(after, check)
    size = (len(before) + len(block) * times + len(after)) & 0xFFFFFFFF
    header = b"\x1f\x8b\x08\0\0\0\0\0\2\xff"
    trailer = check.to_bytes(4, "little") + size.to_bytes(4, "little")
    return header + head + one * times + tail + trailer


PACKED = ("Content-Encoding: gzip",)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end


HTTP: dict[str, Callable[[], bytes]] = {
    "1 GB in gzip": lambda: http(gzip_bomb(1024), headers=PACKED),
    "1 GB in gzip within gzip": lambda: http(
        zlib.compress(gzip_bomb(1024)), headers=("Content-Encoding: gzip, gzip",)
    ),
    "gzip that says it is none": lambda: http(gzip_bomb(16)),
    "gzip cut short": lambda: http(gzip_bomb(16)[:-4000], headers=PACKED),
    "gzip with a wrong checksum": lambda: http(gzip_bomb(0)[:-8] + b"\0" * 8, headers=PACKED),
    "deflate": lambda: http(zlib.compress(VERIFIED), headers=("Content-Encoding: deflate",)),
    "brotli, or so it says": lambda: http(VERIFIED, headers=("Content-Encoding: br",)),
    "50 MB in chunks": lambda: chunked(*[b"x" * 1_000_000] * 50),
    "a chunk of 2^62 bytes": lambda: chunked(end=b"3fffffffffffffff\r\n" + b"x" * 11_000_000),
    "a chunk of minus one byte": lambda: chunked(end=b"-1\r\n" + VERIFIED),
    "a chunk without a size": lambda: chunked(end=b"z\r\n" + VERIFIED),
    "chunks that never end": lambda: chunked(VERIFIED, end=b""),
    "a length of 2^62 bytes": lambda: http(VERIFIED, length=2**62),
    "a length below zero": lambda: http(b"", length=-1),
    "a length that cuts the end off": lambda: http(VERIFIED, length=len(VERIFIED) - 5),
    "a type of HTML": lambda: http(VERIFIED, content_type="text/html"),
    "a type of JSON": lambda: http(b"{}", content_type="application/json"),
    "a type of an external body": lambda: http(
        VERIFIED, content_type="message/external-body; access-type=URL"
    ),
    "a type and a charset that is not ours": lambda: http(
        VERIFIED, content_type="text/xml; charset=utf-16"
    ),
    "no type at all": lambda: http(VERIFIED, content_type=None),
    "a page of HTML": lambda: http(b"<!doctype html><html></html>"),
    "the WSDL instead of an answer": lambda: http(b"<definitions/>"),
    "only white space": lambda: http(b" \n" * 1000),
    "the answer to another request": lambda: http(
        VERIFIED.replace(b"VerifyCustomerResponse", b"PingResponse")
    ),
    "a multipart answer": lambda: http(
        b"--x\r\nContent-Type: text/xml\r\n\r\n" + VERIFIED + b"\r\n--x--",
        content_type='multipart/related; boundary="x"',
    ),
    "a partial answer": lambda: http(VERIFIED, "206 Partial Content"),
    "a status of 299": lambda: http(VERIFIED, "299 Odd"),
}


@pytest.mark.parametrize("name", HTTP)
def test_x1_hostile_http_in_the_answer_to_each_way_of_parsing(
    name: str, asking: Asking, secret: Path
) -> None:
    content = HTTP[name]()
    for operation in BULK:
        require_refused(asking.ask(operation, content), asking.server)


def test_x1_no_more_is_read_than_the_cap(asking: Asking) -> None:
    """Of 400 MB that a dialer would send, ten are taken, and what fits into buffers."""
    sent = 0

    def flood(connection: socket.socket, _over: threading.Event) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n")
        for _megabyte in range(400):
            sent += connection.send(b"x" * 1_000_000)

    for operation in BULK:
        sent = 0
        account = asking.ask(operation, flood)
        require_refused(account, asking.server)
        assert account["detail"] == "answer too large"
        assert sent + 8_000_000 >= MOST_BYTES
        assert sent < MOST_BYTES + 16_000_000, f"{sent} bytes"


def test_x1_an_answer_that_never_begins_ends_at_the_deadline() -> None:
    """Interim answers without end, and headers without end: the deadline counts as a whole."""

    def interim(connection: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            connection.settimeout(1)
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    def headers(connection: socket.socket, over: threading.Event) -> None:
        connection.settimeout(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not over.is_set():
            connection.sendall(b"X: " + b"y" * 1000)

    for answer in (interim, headers):
        with RawServer(answer) as server:
            wire = Wire(check_endpoint(server.url, allow_loopback=True), "user", "secret")
            with pytest.raises(Retry) as caught:
                wire.exchange("VerifyCustomer", b"<x/>", seconds=0.5)
            wire.close()
            assert caught.value.reason in ("timeout", "unreachable", "garbled")


# ------------------------------------------------------------------- just within, and right besides


def smallest_entry(seq: int) -> str:
    optional = ("ChainRef", "StepRef", "AttemptID", "AttemptNumber", "Channel", "PhoneNumber")
    more = ("StatusCode", "AnsweredBy", "StartedAt", "DurationSeconds")
    return entry(seq, **dict.fromkeys((*optional, *more)))


def test_x1_pages_full_of_junk_below_the_cap_cost_little(asking: Asking) -> None:
    """What is within every cap is read, or refused as a page; either way it costs little."""
    plain = "".join(smallest_entry(seq) for seq in range(1, 30_000)).encode()
    empty = b"<Property><Name></Name><Value></Value></Property>"
    full = entry(1).encode()
    pages = {
        "30,000 entries": plain,
        "an entry of 150,000 properties": full.replace(b"</Entry>", empty * 150_000 + b"</Entry>"),
        "an entry of 9 MB": full.replace(b"<Digits>", b"").replace(
            b"</Entry>", b"<CallError>" + b"x" * 9_000_000 + b"</CallError></Entry>"
        ),
        "entries that never end": b"<Entry><Seq>1</Seq>" * 200_000,
        "an entry that almost ends": (b"<Entry><Seq>1</Seq><EntryID>" + b"x" * 9_000_000),
    }
    base = harmless("GetCallLog")
    for name, content in pages.items():
        assert len(content) < MOST_BYTES, name
        account = asking.ask("GetCallLog", http(base.replace(full, content)))
        assert account["error"] in (None, "Retry"), (name, account)
        assert account["kb"] <= MOST_GROWTH_KB, (name, account)
    junk = inside(b"<a/>" * 90_000)
    for operation in BULK:
        account = asking.ask(operation, http(as_answer_to(operation, junk)))
        assert account["error"] is None, (operation, account)
        assert account["kb"] <= MOST_GROWTH_KB, (operation, account)


def test_x1_the_corpus_is_as_wide_as_promised() -> None:
    assert len(NAMES) + len(HTTP) >= 80
    assert len(OPERATIONS) == 13
