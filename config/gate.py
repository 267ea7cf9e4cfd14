"""What a process does before it does anything: it looks whether the installation is complete.

A web or a worker on a database of another version, or without its keys, would half-work: accept a
message and fail to send it. So a worker, beat and the fallback end at once with what to do, and are
started again by their starter until it is done; the web answers every page with plain words and
opens by itself. What makes an installation complete is `messenger.status.readiness`'s business.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from time import monotonic
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from django.db import DatabaseError, connection, connections
from django.utils.translation import gettext as _

from messenger.status.readiness import obstacles

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds between two looks while something is missing
UP = "/up"  # for monitors: 200 while pages can be served, else 503; asks for no sign-in and no host
HTML, TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="10"><title>{title}</title></head>
<body><main><h1>{title}</h1><p>{words}</p><p>{advice}</p></main></body></html>
"""

# Django's response is what a server iterates over, and says so in no type.
Application = Callable[[WSGIEnvironment, StartResponse], Any]


def stop_if_incomplete(program: str) -> None:
    """Ends this process, with what to do, when the installation is not complete. A database that
    does not answer ends nothing: it may come back."""
    try:
        found = obstacles()
    except DatabaseError as error:
        log.warning("%s starts without its database: %s", program, type(error).__name__)
        return
    finally:
        connections.close_all()  # no child inherits it
    if found:
        said = " ".join(f"{each.words} {each.advice}" for each in found)
        raise SystemExit(f"{program} does not start. {said}")


class Gate:
    """In front of the pages: lets nobody in until the installation is complete."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._open = False
        self._looked = -LOOK_EVERY
        self._closed = False  # what the last look found
        self._lock = threading.Lock()
        self._look()
        connections.close_all()  # the server forks after this

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        closed = not self._open and self._look()
        if environ.get("PATH_INFO") == UP:
            return self._answer_monitor(closed, start_response)
        if not closed:
            return self.application(environ, start_response)
        page = PAGE.format(
            title=_("Messenger is being set up"),
            words=_("Nothing can be sent and nothing is lost. This page looks again by itself."),
            advice=_("Whoever runs this installation: “manage.py doctor” says what is missing."),
        )
        return _answer(start_response, HTTPStatus.SERVICE_UNAVAILABLE, page, HTML)

    def _look(self) -> bool:
        """Whether something is missing; asked at most every two seconds."""
        with self._lock:
            if not self._open and monotonic() - self._looked >= LOOK_EVERY:
                self._looked = monotonic()
                try:
                    found = obstacles()
                except DatabaseError:
                    self._closed = False  # the pages say themselves that there is no database
                else:
                    if found and not self._closed:
                        log.error(
                            "the pages stay closed: %s",
                            " ".join(f"{each.words} {each.advice}" for each in found),
                        )
                    self._closed, self._open = bool(found), not found
            return self._closed

    def _answer_monitor(self, closed: bool, start_response: StartResponse) -> Iterable[bytes]:
        try:
            connection.close_if_unusable_or_obsolete()
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            closed = True
        if closed:
            return _answer(start_response, HTTPStatus.SERVICE_UNAVAILABLE, "closed\n", TEXT)
        return _answer(start_response, HTTPStatus.OK, "open\n", TEXT)


def _answer(
    start_response: StartResponse, status: HTTPStatus, text: str, kind: str
) -> Iterable[bytes]:
    body = text.encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
    headers += [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")]
    if status != HTTPStatus.OK:
        headers.append(("Retry-After", "10"))
    start_response(f"{status.value} {status.phrase}", headers)
    return [body]
