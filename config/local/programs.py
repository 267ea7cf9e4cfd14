"""Which processes one copy of the project consists of, with their exact words.

The list is the one of docker-compose.yml plus the switchboard, which stands in for the telephone
company in demo and tests. How they are kept running is the supervisor's business.
"""

import os
import re
import socket
import sys
from pathlib import Path

from config.local.lifetime import SetupError
from config.local.supervisor import Program
from config.queues import EVERYDAY, LONG, URGENT

ROOT = Path(__file__).resolve().parent.parent.parent
LISTENING = re.compile(rb"switchboard listening on (http://\S+)")


def manage(*words: str) -> list[str]:
    """The command line of a management command."""
    return [sys.executable, str(ROOT / "manage.py"), *words]


def switchboard(port: int, speed: str) -> Program:
    """The telephone company; it prints its address, which find_addresses reads, once it listens."""
    words = manage("switchboard", "--port", str(port), "--speed", speed)
    return Program("switchboard", tuple(words), stage=1)


def web(listener: socket.socket) -> Program:
    """The pages, served from a socket that we hold: its port stays ours while gunicorn restarts."""
    return Program(
        "web",
        (
            *(sys.executable, "-m", "gunicorn", "config.wsgi", "--chdir", str(ROOT)),
            *("--bind", f"fd://{listener.fileno()}", "--workers", "2", "--threads", "4"),
            *("--graceful-timeout", "5", "--no-control-socket", "--preload"),
            *("--logger-class", "config.gunicorn_log.PrivateLogger"),
        ),
        sockets=(listener.fileno(),),
    )


def background(directory: Path) -> list[Program]:
    """The three workers, beat, and the one that works while they cannot."""
    # A worker of an urgent message never waits behind a report: it reads no other queue. Four:
    # two emergencies at once are expanded and sent.
    everyday = str(max(4, os.cpu_count() or 4))
    schedule = str(directory / "beat-schedule")
    return [
        _celery("worker-urgent", *_worker_words("urgent", URGENT, "4")),
        _celery("worker", *_worker_words("worker", ",".join(EVERYDAY), everyday)),
        _celery("worker-long", *_worker_words("long", ",".join(LONG), "2")),
        # No pid file: after a kill -9 a stale one would keep beat from starting.
        _celery("beat", "beat", "--schedule", schedule, "--pidfile", ""),
        # Without Redis nobody hears a bell: an emergency goes out all the same (R7).
        Program("spare", tuple(manage("tick", "--every", "5", "--spare"))),
    ]


def _worker_words(name: str, queues: str, processes: str) -> list[str]:
    words = ["worker", "--hostname", f"{name}@%h", "--queues", queues, "--concurrency", processes]
    return [*words, "--without-gossip", "--without-mingle"]


def _celery(name: str, *words: str) -> Program:
    base = (sys.executable, "-m", "celery", "--app", "config", "--workdir", str(ROOT))
    return Program(name, (*base, *words, "--loglevel", "INFO"))


def listen(port: int, *, or_next: int = 0) -> socket.socket:
    """A socket on the loopback at ``port`` or one of the ``or_next`` ports after it (0: any)."""
    for candidate in range(port, port + or_next + 1):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except OSError:
            listener.close()
            continue
        listener.listen(256)
        return listener
    raise SetupError(f"No port from {port} to {port + or_next} is free; set PORT to another.")


def is_free(port: int) -> bool:
    """Whether a port of the loopback can be bound now; port 0 always can."""
    try:
        listen(port).close()
    except SetupError:
        return False
    return True


def find_addresses(output: bytes) -> list[str]:
    """The address in what the switchboard has printed, once it has; else nothing."""
    return [found.decode() for found in LISTENING.findall(output)]
