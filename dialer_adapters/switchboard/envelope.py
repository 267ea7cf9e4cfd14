"""Envelopes in and out: reading a request safely, checking it by the WSDL's schema, writing
answers.

Nothing here knows what an operation does. A request is read by a parser that loads no DTD, resolves
no entity and opens no connection; a document with a DOCTYPE is refused, well-formed or not.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from dialer_adapters.shoutpoint.wsdl import NAMESPACE, SOAP_ENVELOPE, WSDL_PATH
from dialer_adapters.switchboard.batches import TAG
from dialer_adapters.switchboard.faults import InvalidRequestFault

WSDL_ADDRESS = "https://dialer.example.invalid/soap/v1"
SOAP_TAG = f"{{{SOAP_ENVELOPE}}}"
MAX_BYTES = 8 * 1024 * 1024

_HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{SOAP_ENVELOPE}"><soap:Body>'
)
_TAIL = "</soap:Body></soap:Envelope>"
_own = threading.local()


@cache
def operation_names() -> frozenset[str]:
    """The operations of the WSDL."""
    tree = etree.parse(str(WSDL_PATH))
    path = "{*}portType/{*}operation"
    return frozenset(element.get("name", "") for element in tree.iterfind(path))


def _schema() -> etree.XMLSchema:
    # One per thread: a validator keeps its errors in itself.
    schema = getattr(_own, "schema", None)
    if schema is None:
        tree = etree.parse(str(WSDL_PATH))
        found = tree.find(".//{http://www.w3.org/2001/XMLSchema}schema")
        if found is None:
            raise RuntimeError("the WSDL holds no schema")
        # Through a string, or the prefixes that are declared on the WSDL's root get lost.
        schema = _own.schema = etree.XMLSchema(etree.fromstring(etree.tostring(found)))
    return schema


def serve_wsdl(address: str) -> bytes:
    """The WSDL with this server's own address in it."""
    text = WSDL_PATH.read_text(encoding="utf-8")
    return text.replace(WSDL_ADDRESS, escape(address, {'"': "&quot;"})).encode("utf-8")


def read_request(body: bytes) -> etree._Element:
    """The operation element of a request, valid by the schema. Raises InvalidRequestFault (SCHEMA
    or TOO_LARGE)."""
    if len(body) > MAX_BYTES:
        raise InvalidRequestFault("TOO_LARGE", f"A message has at most {MAX_BYTES} bytes.")
    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidRequestFault("SCHEMA", f"Not well-formed XML: {error}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise InvalidRequestFault("SCHEMA", "A document type declaration is not allowed.")
    if root.tag != f"{SOAP_TAG}Envelope":
        raise InvalidRequestFault("SCHEMA", "Not a SOAP 1.1 envelope.", "Envelope")
    operations = root.findall(f"{SOAP_TAG}Body/*")
    if len(operations) != 1:
        raise InvalidRequestFault("SCHEMA", "The body must hold one operation.", "Body")
    operation = operations[0]
    if operation.tag.removeprefix(TAG) not in operation_names():
        raise InvalidRequestFault("SCHEMA", "Unknown operation.", "Body")
    schema = _schema()
    if not schema.validate(operation):
        errors: Any = schema.error_log
        first = errors[0]
        # libxml2 quotes the offending value, which may be a phone number: name the place alone.
        place = (first.path or "").rpartition("/")[2].rpartition(":")[2]
        raise InvalidRequestFault(
            "SCHEMA", f"Line {first.line} does not follow the schema ({first.type_name}).", place
        )
    return operation


def write_answer(name: str, *parts: str) -> bytes:
    """The envelope of `<nameResponse>` around the given XML."""
    answer = f"{name}Response"
    content = f'<{answer} xmlns="{NAMESPACE}">{"".join(parts)}</{answer}>'
    return f"{_HEAD}{content}{_TAIL}".encode()


def write_fault(xml: str) -> bytes:
    """The envelope around a soap:Fault."""
    return f"{_HEAD}{xml}{_TAIL}".encode()


def element(name: str, value: object | None) -> str:
    """One element, or nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return f"<{name}>{'true' if value else 'false'}</{name}>"
    if isinstance(value, datetime):
        return f"<{name}>{format_time(value)}</{name}>"
    return f"<{name}>{escape(str(value))}</{name}>"


def format_time(moment: datetime) -> str:
    """An aware time as the contract writes it: UTC, milliseconds."""
    return (
        moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
    )


def read_text(operation: etree._Element, name: str) -> str | None:
    """The collapsed text of a child, or None when it is absent."""
    text = operation.findtext(f"{TAG}{name}")
    return None if text is None else " ".join(text.split())


def read_texts(operation: etree._Element, name: str) -> list[str]:
    """The collapsed texts of all children of that name."""
    return [" ".join((child.text or "").split()) for child in operation.iterfind(f"{TAG}{name}")]
