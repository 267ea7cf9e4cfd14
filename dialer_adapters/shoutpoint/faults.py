"""The six typed faults of the contract (7.3) and the HTTP statuses, turned into our three errors.

Only a fault whose detail holds one of the six elements is the dialer's word. Everything else, from
a gateway's HTML page to a bare SOAP fault, is a failure on the way: repeat the same request later.
"""

from __future__ import annotations

from lxml import etree

from dialer_adapters.contract import (
    CredentialsRefused,
    CursorLost,
    DialerError,
    Rejected,
    Retry,
)
from dialer_adapters.shoutpoint.wsdl import SOAP_ENVELOPE, tag

LONGEST_WORD = 100
LONGEST_MESSAGE = 300
LONGEST_WAIT_SECONDS = 3600


def fault_in(root: etree._Element) -> DialerError | None:
    """The error that a typed SOAP fault in this envelope stands for; None when there is none."""
    detail = root.find(f"{{{SOAP_ENVELOPE}}}Body/{{{SOAP_ENVELOPE}}}Fault/detail")
    if detail is None:
        return None
    for element in detail.iterchildren(etree.Element):
        error = _error_from(element)
        if error is not None:
            return error
    return None


def error_for_status(status: int, retry_after: str | None) -> DialerError:
    """The error for an answer that is neither a result nor a typed fault, by its HTTP status."""
    if status == 401:
        return CredentialsRefused()
    if status in (429, 503):
        return Retry("busy", _seconds(retry_after), f"HTTP {status}")
    if status >= 500:
        return Retry("failed", detail=f"HTTP {status}")
    return Retry("foreign", detail=f"HTTP {status}")


def _error_from(element: etree._Element) -> DialerError | None:
    code = _word(element, "Code") or "UNSPECIFIED"
    message = (element.findtext(tag("Message")) or "")[:LONGEST_MESSAGE]
    if element.tag == tag("AuthenticationFault"):
        return CredentialsRefused(code, message)
    if element.tag == tag("InvalidRequestFault"):
        return Rejected(code, _word(element, "Field"), message)
    if element.tag == tag("ConflictFault"):
        return Rejected(code, None, message, kind="conflict", job_id=_word(element, "JobID"))
    if element.tag == tag("NotFoundFault"):
        return Rejected(code, None, message, kind="not_found")
    if element.tag == tag("CursorFault"):
        oldest = _number(_word(element, "OldestSeq"))
        return CursorLost(code, _word(element, "CurrentEpoch"), oldest, message)
    if element.tag == tag("ServerBusyFault"):
        after = _seconds(_word(element, "RetryAfterSeconds"))
        return Retry("busy", after, code, nothing_sent=True)
    return None


def _word(element: etree._Element, name: str) -> str | None:
    return (element.findtext(tag(name)) or "").strip()[:LONGEST_WORD] or None


def _number(word: str | None) -> int | None:
    if word is None or not word.isascii() or not word.isdigit() or len(word) > 18:
        return None
    return int(word)


def _seconds(word: str | None) -> int | None:
    """A wait the other side asked for, at most an hour; a date or nonsense is no number."""
    number = _number(word.strip() if word else None)
    return None if number is None else min(number, LONGEST_WAIT_SECONDS)
