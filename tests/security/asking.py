"""A process that asks a dialer what it is told to, by the real adapter over a real socket, and
tells what came of it: the error, how far memory grew, whom it connected to, which files it opened.

`python -m tests.security.asking URL`: each line of input names an operation, each line of output is
the account of it, as JSON. The answers are the business of whoever listens at URL.
"""

from __future__ import annotations

import gc
import hashlib
import json
import sys
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from dialer_adapters.contract import DialerError
from dialer_adapters.shoutpoint.client import ShoutpointAdapter
from tests.shoutpoint.answers import NS, SUBMITTED, VERIFIED, entry
from tests.shoutpoint.hostile import _kilobytes, _start_measuring
from tests.shoutpoint.test_building import CHAINS, JOB

SOUND = b"RIFF"
_PAGE = (
    "<Epoch>e1</Epoch><NextSeq>{next}</NextSeq><HasMore>false</HasMore><OldestSeq>1</OldestSeq>"
    "<ServerTime>2026-11-23T12:00:00Z</ServerTime>"
)
_OPENING = f'<VerifyCustomerResponse xmlns="{NS}">'.encode()
_CLOSING = b"</VerifyCustomerResponse>"

# Each operation: how it is asked, and what a right answer holds.
OPERATIONS: dict[str, tuple[Callable[[ShoutpointAdapter], Any], str]] = {
    "VerifyCustomer": (lambda a: a.verify("D-0101", "District"), ""),
    "GetCustomerID": (
        lambda a: a.customer_id("SCHOOL", "s-1", "School"),
        "<CustomerID>S-1</CustomerID><Created>true</Created>",
    ),
    "UploadAudio": (
        lambda a: a.put_audio(SOUND, "audio/wav"),
        "<AudioID>a1</AudioID><Created>true</Created><State>READY</State>",
    ),
    "GetAudio": (
        lambda a: a.get_audio("a1"),
        "<AudioID>a1</AudioID><ContentType>audio/wav</ContentType>"
        f"<Sha256>{hashlib.sha256(SOUND).hexdigest()}</Sha256>"
        f"<Content>{b64encode(SOUND).decode()}</Content>",
    ),
    "SubmitJob": (lambda a: a.submit(JOB, CHAINS, 1), SUBMITTED),
    "AddChains": (lambda a: a.add_chains("msg-7f1c", 1, CHAINS), SUBMITTED),
    "CancelJob": (
        lambda a: a.cancel("msg-7f1c"),
        "<JobRef>msg-7f1c</JobRef><State>CANCELLING</State><ChainsCancelled>3</ChainsCancelled>"
        "<AttemptsInProgress>2</AttemptsInProgress>",
    ),
    "GetJobStatus": (
        lambda a: a.job_status(["one"]),
        "<Job><JobRef>one</JobRef><State>UNKNOWN</State><Sealed>false</Sealed><LastSeq>0</LastSeq>"
        "</Job><ServerTime>2026-11-23T12:00:00Z</ServerTime><Epoch>e1</Epoch>",
    ),
    "GetCallLog": (lambda a: a.read_log("e1", 0), entry(1) + _PAGE.format(next=1)),
    "GetInboundTexts": (lambda a: a.inbound_texts("e1", 0), _PAGE.format(next=0)),
    "GetRemoteDialInMessages": (lambda a: a.remote_dial_in("e1", 0), _PAGE.format(next=0)),
    "GetTextConsents": (
        lambda a: a.text_consents(),
        "<HasMore>false</HasMore><AsOf>2026-11-23T18:00:00Z</AsOf>",
    ),
    "SetTextConsent": (
        lambda a: a.set_text_consent("+16125557735", "OPTED_OUT", "r1", "person"),
        "<State>OPTED_OUT</State><Replayed>false</Replayed>"
        "<ConfirmationQueued>false</ConfirmationQueued>",
    ),
}


def as_answer_to(operation: str, content: bytes) -> bytes:
    """An answer to VerifyCustomer made one to another operation: what that one reads comes first,
    whatever was hostile stays (newer elements at the end are allowed)."""
    if operation == "VerifyCustomer":
        return content
    opening = f'<{operation}Response xmlns="{NS}">{OPERATIONS[operation][1]}'.encode()
    inside = content
    for name in (b"Epoch", b"ServerTime", b"CustomerID"):  # would stand there twice
        inside = inside.replace(b"<%s>" % name, b"<x%s>" % name)
        inside = inside.replace(b"</%s>" % name, b"</x%s>" % name)
    if inside.startswith((b"\xff\xfe", b"\xfe\xff")) or _OPENING not in inside:
        return content  # not in UTF-8, or no answer to begin with
    return inside.replace(_OPENING, opening).replace(
        _CLOSING, b"</%sResponse>" % operation.encode()
    )


def harmless(operation: str) -> bytes:
    """The answer from which the hostile ones are made; it is taken."""
    return as_answer_to(operation, VERIFIED)


def main(url: str) -> None:
    adapter = ShoutpointAdapter(url, "user", "secret", allow_loopback=True)
    connected: list[str] = []
    opened: list[str] = []

    def watch(event: str, what: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            connected.append(str(what[1]))
        elif event == "socket.getaddrinfo":
            connected.append(str(what[:2]))
        elif event == "open":
            opened.append(str(what[0]))

    sys.addaudithook(watch)
    for line in sys.stdin:
        ask, _fields = OPERATIONS[line.strip()]
        connected.clear()
        opened.clear()
        gc.collect()
        gc.freeze()  # what is left is the libraries': not looked at again, 60 ms each time
        before = _start_measuring()
        opened.clear()
        outcome: dict[str, Any] = {"error": None}
        try:
            ask(adapter)
        except DialerError as error:
            outcome = {
                "error": type(error).__name__,
                "reason": getattr(error, "reason", None),
                "detail": getattr(error, "detail", ""),
                "sentence": error.user_sentence,
            }
        files = [name for name in opened if not name.endswith((".py", ".pyc"))]
        outcome |= {"kb": _kilobytes("VmHWM") - before, "to": sorted(set(connected))}
        print(json.dumps(outcome | {"files": files}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
