"""A dialer with moods: a proxy before the switchboard that takes requests to it and decides what
becomes of each answer. It knows the operation and the batch of a request, and keeps count."""

import http.client
import re
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

PASS, CUT, SILENCE = "pass", "cut", "silence"
_OPERATION = re.compile(r":(\w+)\"?$")
_KEY = re.compile(rb"<(?:\w+:)?(?:JobRef|BatchNumber)>([^<]+)<")


class _Handler(BaseHTTPRequestHandler):
    server: "Proxy"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = _OPERATION.search(self.headers["SOAPAction"] or "")
        operation = found[1] if found else ""
        key = (operation, *_KEY.findall(body)[:2])
        proxy = self.server
        if operation in proxy.deaf:
            self.close_connection = True
            return
        status, kind, answer = self._ask(body)
        with proxy.lock:
            proxy.answers[operation, status] += 1
            proxy.replayed += b"Replayed>true<" in answer
            mood = proxy.mood(operation, proxy.seen[key])
            proxy.seen[key] += 1
            proxy.lost += mood != PASS
        proxy.after(operation, status)
        if mood == SILENCE:
            self.connection.recv(1)  # until the other side gives up
        if mood != PASS:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _ask(self, body: bytes) -> tuple[int, str, bytes]:
        far = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=30)
        try:
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "content-length", "accept-encoding")
            }
            far.request("POST", self.path, body, headers)
            answer = far.getresponse()
            return answer.status, answer.getheader("Content-Type", ""), answer.read()
        finally:
            far.close()

    def log_message(self, *_args: object) -> None:
        """Nothing is printed."""


class Proxy(ThreadingHTTPServer):
    """`mood(operation, times)` says what becomes of the answer to a request that has been made so
    many times before; `after(operation, status)` is called once the switchboard has answered;
    requests of an operation in `deaf` never reach it."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(url)
        assert parts.port is not None
        self.target = parts.port
        self.url = f"http://127.0.0.1:{self.server_address[1]}{parts.path}"
        self.mood: Callable[[str, int], str] = lambda _operation, _times: PASS
        self.after: Callable[[str, int], None] = lambda _operation, _status: None
        self.deaf: set[str] = set()
        self.lock = threading.Lock()
        self.seen: Counter[tuple[str | bytes, ...]] = Counter()
        self.answers: Counter[tuple[str, int]] = Counter()  # by operation and HTTP status
        self.lost = 0
        self.replayed = 0

    def refused(self) -> int:
        """How many requests were refused for their credentials."""
        return sum(n for (_operation, status), n in self.answers.items() if status in (401, 500))

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shutdown()
        self.server_close()
