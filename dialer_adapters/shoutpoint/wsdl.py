"""The contract file itself: where it is, its namespace, and its schema compiled once per thread.

Both sides of the wire may use this module; nothing here opens a connection or knows zeep.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path

from lxml import etree

WSDL_PATH = Path(__file__).with_name("dialer-v1.wsdl")
NAMESPACE = "urn:school-messenger:dialer:v1"
SOAP_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"

_own = threading.local()


def tag(name: str) -> str:
    """The name of one of our elements as lxml writes it."""
    return f"{{{NAMESPACE}}}{name}"


def message_schema() -> etree.XMLSchema:
    """The schema of every message, for validating one body element at a time. Compiled once per
    thread (5 ms), since a validator keeps its errors in itself."""
    schema: etree.XMLSchema | None = getattr(_own, "schema", None)
    if schema is None:
        schema = _own.schema = etree.XMLSchema(etree.fromstring(_schema_text()))
    return schema


@cache
def _schema_text() -> bytes:
    """The xs:schema by itself. It goes through its own text because, taken straight out of the
    WSDL, it would lose the prefixes that are declared on the WSDL's root."""
    document = etree.parse(str(WSDL_PATH), etree.XMLParser(resolve_entities=False, no_network=True))
    schema = document.find(".//{http://www.w3.org/2001/XMLSchema}schema")
    if schema is None:
        raise RuntimeError("the WSDL holds no schema")
    return etree.tostring(schema)
