"""Our frozen values to the elements of the WSDL and back: the one module that another WSDL would
change.

The bulky bodies, SubmitJob and AddChains, are written as text (330,000 records a second where zeep
writes 15,000), then read back by a parser and validated against the schema before they leave, so
that what is sent is well formed and within the contract whatever came in. The call log, which is as
bulky, is read in `log_pages`, the small answers in `replies`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from lxml import etree

from dialer_adapters.contract import (
    ChainRow,
    FrozenJob,
    Rejected,
    RejectedStep,
    Retry,
    Script,
    ScriptRow,
    Submitted,
    require_aware,
)
from dialer_adapters.shoutpoint.wsdl import NAMESPACE, SOAP_ENVELOPE, message_schema, tag

MOST_REQUEST_BYTES = 8 * 1024 * 1024
_OPEN = (
    f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="{SOAP_ENVELOPE}"><soap:Body>'
)
_CLOSE = "</soap:Body></soap:Envelope>"
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CHANNELS = {"V": "VOICE", "T": "TEXT"}
_ORDERS = {None: "SEQUENTIAL", "S": "SEQUENTIAL", "P": "SIMULTANEOUS"}


def clean(text: str) -> str:
    """The text without the characters that XML 1.0 cannot carry (control characters, lone
    surrogates), which a pasted message may hold."""
    if text.isascii() and text.isprintable():  # a batch: 0.4 ms where the pattern takes 0.9
        return text
    return _FORBIDDEN.sub("", text)


# --------------------------------------------------------------------------------- bulk, going out


def submit_envelope(job: FrozenJob, chains: Sequence[ChainRow], total_chains: int | None) -> bytes:
    """SubmitJob (A1-15): the job with batch 0 of its chains, validated. Raises Rejected(local=True)
    when it breaks the contract and ValueError for a time without offset."""
    return _envelope("SubmitJob", _job(job, total_chains) + _chains(chains))


def add_chains_envelope(
    job_ref: str, batch_number: int, chains: Sequence[ChainRow], total_chains: int | None
) -> bytes:
    """AddChains: one further batch, validated. Raises Rejected(local=True)."""
    head = f"{_leaf('JobRef', job_ref)}{_leaf('BatchNumber', batch_number)}"
    return _envelope("AddChains", head + _chains(chains) + _leaf("TotalChains", total_chains))


def call_log_envelope(
    epoch: str | None, after_seq: int, max_entries: int, job_ref: str | None
) -> bytes:
    """GetCallLog, validated. Raises Rejected(local=True)."""
    return _envelope(
        "GetCallLog",
        f"{_leaf('JobRef', job_ref)}{_leaf('Epoch', epoch)}{_leaf('AfterSeq', after_seq)}"
        f"{_leaf('MaxEntries', max_entries)}",
    )


def require_valid(element: etree._Element) -> None:
    """Raises Rejected("SCHEMA", the element at fault, local=True) unless the schema accepts this
    request. Values are never repeated in the error: they are phone numbers and words."""
    schema = message_schema()
    if not schema.validate(element):
        named = re.search(r"'\{" + re.escape(NAMESPACE) + r"\}(\w+)'", str(schema.error_log))
        name = named[1] if named else etree.QName(element).localname
        raise Rejected("SCHEMA", name, "outside the contract", local=True)


def _envelope(operation: str, inside: str) -> bytes:
    body = clean(f'<{operation} xmlns="{NAMESPACE}">{inside}</{operation}>')
    try:
        element = etree.fromstring(body.encode(), _own_parser())
    except etree.XMLSyntaxError:
        raise Rejected("SCHEMA", operation, "not well-formed", local=True) from None
    require_valid(element)
    envelope = (_OPEN + body + _CLOSE).encode()
    if len(envelope) > MOST_REQUEST_BYTES:
        raise Rejected("TOO_LARGE", operation, f"{len(envelope)} bytes", local=True)
    return envelope


def _own_parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, collect_ids=False
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _leaf(name: str, value: str | int | bool | datetime | None) -> str:
    """One element with a value; nothing at all for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, datetime):
        value = require_aware(value, name).isoformat()
    return f"<{name}>{_escape(str(value))}</{name}>"


def _job(job: FrozenJob, total_chains: int | None) -> str:
    hours = job.local_hours
    redial = job.redial
    return "".join(
        [
            "<Job>",
            _leaf("JobRef", job.job_ref),
            _leaf("CustomerID", job.customer_id),
            _leaf("Priority", job.priority),
            _leaf("MessageType", job.message_type),
            _leaf("Title", job.title),
            _leaf("CallerID", job.caller_id),
            _leaf("TextSender", job.text_sender),
            _leaf("WindowStart", job.window_start),
            _leaf("WindowEnd", job.window_end),
            ""
            if hours is None
            else f"<LocalHours>{_leaf('Earliest', hours.earliest.isoformat())}"
            f"{_leaf('Latest', hours.latest.isoformat())}{_leaf('OnViolation', hours.on_violation)}"
            f"{_leaf('DefaultTimeZone', hours.default_zone)}</LocalHours>",
            "<Redial>",
            _leaf("MaxAttemptsPerNumber", redial.max_attempts),
            _leaf("MinutesBetween", redial.minutes_between),
            *(_leaf("RedialCode", code) for code in redial.codes),
            _leaf("RedialMachine", redial.redial_machine),
            _leaf("UnknownOutcome", redial.unknown_outcome),
            "</Redial>",
            *(_leaf("StopOn", word) for word in job.stop_on),
            _leaf("MachineAction", job.machine_action),
            _leaf("DetectMachine", job.detect_machine),
            _leaf("MaxLines", job.max_lines),
            _leaf("SuppressDuplicates", job.suppress_duplicates),
            _leaf("ScrubWireless", job.scrub_wireless),
            _script(job.script.to_json()),
            _leaf("TotalChains", total_chains),
            _leaf("StartPolicy", job.start_policy),
            _leaf("RingSeconds", job.ring_seconds),
            "</Job>",
        ]
    )


def _script(row: ScriptRow) -> str:
    script = Script.from_json(row)
    parts = ["<Script>"]
    for name, segments in (("Live", script.live), ("Machine", script.machine)):
        for segment in segments:
            parts.append(
                f"<{name}>{_leaf('AudioID', segment.audio_id)}{_leaf('Say', segment.say)}"
                f"{_leaf('Language', segment.language)}</{name}>"
            )
    parts.append(_leaf("Text", script.text))
    parts.append(_leaf("ConfirmDigit", script.confirm_digit))
    parts.append(_leaf("RepeatDigit", script.repeat_digit))
    parts.append("</Script>")
    return "".join(parts)


def _chains(chains: Iterable[ChainRow]) -> str:
    parts: list[str] = []
    try:
        for chain in chains:
            parts.append(
                f"<Chain><ChainRef>{_escape(chain['r'])}</ChainRef>"
                f"<Order>{_ORDERS[chain.get('o')]}</Order>"
            )
            for step in chain["s"]:
                parts.append(_step(*step))
            if len(chain) > 2:
                own = chain.get("x")
                parts.append("" if own is None else _script(own))
                parts.append(_leaf("CallerID", chain.get("c")))
                parts.append(_leaf("CustomerID", chain.get("u")))
            parts.append("</Chain>")
    except (KeyError, TypeError, AttributeError):
        raise Rejected("SCHEMA", "Chain", "not a chain row", local=True) from None
    return "".join(parts)


def _step(
    step_ref: str | None,
    channel: str | None,
    number: str | None,
    extension: str | None = None,
    zone: str | None = None,
) -> str:
    if step_ref is None or channel is None or number is None:
        raise TypeError("a step needs a reference, a channel and a number")
    text = (
        f"<Step><StepRef>{_escape(step_ref)}</StepRef><Channel>{_CHANNELS[channel]}</Channel>"
        f"<PhoneNumber>{_escape(number)}</PhoneNumber>"
    )
    if extension is not None:
        text += f"<Extension>{_escape(extension)}</Extension>"
    if zone is not None:
        text += f"<TimeZone>{_escape(zone)}</TimeZone>"
    return text + "</Step>"


def submitted(element: etree._Element) -> Submitted:
    """The answer to SubmitJob or AddChains, from lxml. Raises Retry when it lacks what it must
    have."""
    return Submitted(
        job_id=_text(element, "JobID"),
        replayed=_flag(element, "Replayed"),
        state=_text(element, "State"),
        sealed=_flag(element, "Sealed"),
        chains_accepted=_int(element, "ChainsAccepted"),
        rejected=tuple(
            RejectedStep(
                chain_ref=_text(row, "ChainRef"),
                step_ref=row.findtext(tag("StepRef")),
                status_code=_int(row, "StatusCode"),
                detail=row.findtext(tag("Detail")),
            )
            for row in element.iterchildren(tag("Rejected"))
        ),
    )


def _text(element: etree._Element, name: str) -> str:
    text = (element.findtext(tag(name)) or "").strip()
    if not text:
        raise Retry("garbled", detail=f"{name} is missing")
    return text


def _flag(element: etree._Element, name: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[_text(element, name)]
    except KeyError:
        raise Retry("garbled", detail=f"{name} is no boolean") from None


def _int(element: etree._Element, name: str) -> int:
    try:
        return int(_text(element, name))
    except ValueError:
        raise Retry("garbled", detail=f"{name} is no number") from None
