"""A server that says exactly the bytes it is told to, over a real socket, and remembers what it
heard.

The switchboard cannot send a cut, hostile or foreign answer on purpose; this one sends nothing
else."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Answer = bytes | Callable[[socket.socket, threading.Event], None]


def http(
    body: bytes,
    status: str = "200 OK",
    content_type: str | None = "text/xml; charset=utf-8",
    headers: tuple[str, ...] = (),
    length: int | None = None,
) -> bytes:
    """A whole HTTP answer; `length` lies about the body when it is given."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [*headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


class RawServer:
    """Answers each request with the next of its answers, the last one again and again. A callable
    gets the connection and an event that is set when the test is over."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/soap/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over.set()
        # Closing a socket does not wake a thread that waits in accept; a connection does.
        with socket.create_connection(("127.0.0.1", self.port), timeout=5):
            self._thread.join(timeout=5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self.over.is_set():
                connection.close()
                return
            self.connections += 1
            connection.settimeout(5)
            try:
                self._answer(connection)
            except OSError:
                pass  # the client hung up first, which is what many of these tests are about
            finally:
                connection.close()

    def _answer(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        request = _read_request(connection)
        if not request:
            return
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(connection, self.over)
        else:
            connection.sendall(answer)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
