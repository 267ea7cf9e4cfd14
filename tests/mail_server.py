"""A mail server for tests: takes letters over a real socket, refuses the addresses it is told to.

with MailServer() as server:
    settings.EMAIL_PORT = server.port; server.refused = {"gone@district.example"}; server.taken
"""

import socketserver
import threading
from types import TracebackType
from typing import Self


class _Talk(socketserver.StreamRequestHandler):
    server: "MailServer"

    def handle(self) -> None:
        self._say("220 ready")
        to = ""
        for line in iter(self.rfile.readline, b""):
            word = line.decode().strip()
            command = word.partition(" ")[0].upper()
            if command == "RCPT":
                to = word.partition("<")[2].partition(">")[0]
                self._say("550 no such mailbox" if to in self.server.refused else "250 ok")
            elif command == "DATA":
                self._say("354 go on")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.taken.append((to, b"".join(lines).decode()))
                self._say("250 taken")
            elif command == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok")

    def _say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


class MailServer(socketserver.ThreadingTCPServer):
    """Letters that were taken are (address, text), in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.port: int = self.server_address[1]
        self.refused: set[str] = set()
        self.taken: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown()
        self.server_close()
