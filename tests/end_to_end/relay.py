"""Another way to an address: a relay that can be shut, cut, held or left without answers, for tests
of doors. It passes bytes on and knows nothing of what they mean."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Relay:
    """Listens on a free loopback port and passes on what comes to `port`, both ways."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.lost = 0  # answers that were swallowed
        self._swallow = False
        self._held: set[socket.socket] = set()
        self._over = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.shut()

    def hold(self) -> None:
        """From now on the open connections stay open and carry nothing, as behind a firewall that
        has forgotten them; new ones are passed on."""
        self._held.update(self._open)

    def shut(self) -> None:
        """From now on connections are refused; open ones end."""
        self._over.set()
        # Closing does not wake a thread that waits in accept(); shutting down does.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()

    def lead_to(self, port: int) -> None:
        """From now on connections lead to another port; open ones end."""
        self.target = port
        self._hang_up()

    def _hang_up(self) -> None:
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def swallow_answers(self) -> None:
        """From now on requests arrive and their answers do not: the connection ends instead."""
        self._swallow = True

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                return
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source in self._held:
                    self._over.wait()
                    break
                if answers and self._swallow:
                    self.lost += 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
