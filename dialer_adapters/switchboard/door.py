"""The listening socket, which a test may close for a while: connections are then refused, while the
switchboard lives, dials and remembers.

Sockets belong to the server's loop, so that all is done there, woken by its trigger.
"""

from __future__ import annotations

import threading
from typing import Any


class Door:
    """Closes and opens a waitress server's door."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._address = (server.effective_host, int(server.effective_port))

    def close_for(self, seconds: float) -> None:
        """Refuse connections, and end those that are idle, for some seconds."""
        self._server.trigger.pull_trigger(self._close)
        timer = threading.Timer(seconds, self._server.trigger.pull_trigger, [self._open])
        timer.daemon = True
        timer.start()

    def _close(self) -> None:
        server = self._server
        if not server.accepting:
            return
        server.accepting = False
        server.del_channel()
        server.socket.close()
        for channel in list(server.active_channels.values()):
            if not channel.requests:
                channel.will_close = True

    def _open(self) -> None:
        server = self._server
        if server.accepting:
            return
        server.create_socket(server.family, server.socktype)
        server.set_reuse_addr()
        server.bind(self._address)
        server.accept_connections()
