"""The HTTP end of the switchboard: a WSGI application of its own, one address for all.

GET ?wsdl gives the contract, GET / the page of the board. POST takes an envelope, checks who sends
it, and hands the operation to its function. Faults go with HTTP 500 and one typed detail. What an
operation does is not here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from django.db import DatabaseError
from lxml import etree

from dialer_adapters.switchboard import audio, consents, inbound, operations
from dialer_adapters.switchboard.accounts import (
    ASK_FOR_CREDENTIALS,
    Caller,
    NoCredentials,
    authenticate,
)
from dialer_adapters.switchboard.batches import TAG
from dialer_adapters.switchboard.board import Board
from dialer_adapters.switchboard.calllog import get_call_log
from dialer_adapters.switchboard.control import Control, Trouble
from dialer_adapters.switchboard.database import connection
from dialer_adapters.switchboard.dialing import Dialer
from dialer_adapters.switchboard.envelope import (
    MAX_BYTES,
    read_request,
    serve_wsdl,
    write_answer,
    write_fault,
)
from dialer_adapters.switchboard.faults import Fault, InvalidRequestFault, ServerBusyFault
from dialer_adapters.switchboard.intake import Intake
from dialer_adapters.switchboard.retention import RETENTION_DAYS
from dialer_adapters.switchboard.throttle import Throttle

log = logging.getLogger(__name__)

XML = "text/xml; charset=utf-8"
Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]
Operation = Callable[[Caller, etree._Element], list[str]]


class Endpoint:
    """The WSGI application. `control`, when given, makes trouble for tests; `board` is the page
    that shows the lines. `retention_days` is what the account is told of its log."""

    def __init__(
        self,
        dialer: Dialer,
        control: Control | None = None,
        board: Board | None = None,
        throttle: Throttle | None = None,
        retention_days: int = RETENTION_DAYS,
    ) -> None:
        intake = Intake(dialer, self._is_forgetful)
        self.control = control
        self.board = board
        self.throttle = throttle or Throttle()
        self.operations: dict[str, Operation] = {
            "VerifyCustomer": lambda who, what: operations.verify_customer(
                who, what, dialer, retention_days
            ),
            "GetCustomerID": operations.get_customer_id,
            "UploadAudio": audio.upload_audio,
            "GetAudio": audio.get_audio,
            "SubmitJob": intake.submit_job,
            "AddChains": intake.add_chains,
            "CancelJob": intake.cancel_job,
            "GetJobStatus": lambda who, what: operations.get_job_status(
                who, what, dialer.epoch, looks_up=not self._is_forgetful()
            ),
            "GetCallLog": lambda who, what: get_call_log(who, what, dialer.epoch),
            "GetInboundTexts": lambda who, what: inbound.get_inbound_texts(who, what, dialer.epoch),
            "GetTextConsents": consents.get_text_consents,
            "SetTextConsent": lambda who, what: consents.set_text_consent(who, what, dialer),
            "GetRemoteDialInMessages": lambda who, what: inbound.get_recordings(
                who, what, dialer.epoch
            ),
        }

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if self.control is not None and environ.get("PATH_INFO") == "/control":
            status, content_type, body = self.control.answer(environ)
        elif self.board is not None and self.board.shows(environ):
            return self.board(environ, start_response)
        elif environ["REQUEST_METHOD"] == "GET":
            status, content_type, body = self._give_wsdl(environ)
        elif environ["REQUEST_METHOD"] == "POST":
            status, content_type, body = self._serve(environ)
        else:
            status, content_type, body = HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b""
        length = len(body)
        headers = [("Content-Type", content_type)]
        if status is HTTPStatus.UNAUTHORIZED:
            headers.append(ASK_FOR_CREDENTIALS)
        if self.control is not None:
            body = self.control.cut(environ, body)
        headers.append(("Content-Length", str(length)))
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _is_forgetful(self) -> bool:
        return self.control is not None and self.control.forgetful

    def _give_wsdl(self, environ: Environ) -> tuple[HTTPStatus, str, bytes]:
        if environ.get("QUERY_STRING", "").lower() != "wsdl":
            return HTTPStatus.NOT_FOUND, "text/plain", b"The contract is at ?wsdl\n"
        host = environ.get("HTTP_HOST") or f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
        address = f"{environ['wsgi.url_scheme']}://{host}{environ.get('PATH_INFO') or '/soap'}"
        return HTTPStatus.OK, XML, serve_wsdl(address)

    def _serve(self, environ: Environ) -> tuple[HTTPStatus, str, bytes]:
        try:
            caller = authenticate(environ.get("HTTP_AUTHORIZATION"))
            operation = read_request(_read_body(environ))
            name = operation.tag.removeprefix(TAG)
            self.throttle.admit(caller.account_id, name)
            if self.control is not None:
                self.control.before(environ, name)
            parts = self.operations[name](caller, operation)
            if self.control is not None:
                parts = self.control.after(environ, name, parts)
            answer = write_answer(name, *parts)
        except NoCredentials:
            return HTTPStatus.UNAUTHORIZED, "text/plain", b"Credentials are needed.\n"
        except Trouble as trouble:
            return trouble.status, trouble.content_type, trouble.body
        except Fault as fault:
            return HTTPStatus.INTERNAL_SERVER_ERROR, XML, write_fault(fault.to_xml())
        except DatabaseError:
            log.exception("The database failed")
            connection().close()  # the next request of this thread opens a new one
            busy = ServerBusyFault("MAINTENANCE", "The dialer's database is away.", 2)
            return HTTPStatus.INTERNAL_SERVER_ERROR, XML, write_fault(busy.to_xml())
        return HTTPStatus.OK, XML, answer


def _read_body(environ: Environ) -> bytes:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    if length > MAX_BYTES:
        raise InvalidRequestFault("TOO_LARGE", f"A message has at most {MAX_BYTES} bytes.")
    body: bytes = environ["wsgi.input"].read(length)
    return body
