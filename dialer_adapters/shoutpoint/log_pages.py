"""GetCallLog answers to log entries: 250,000 of them in seconds, and not one of them wrong.

Two readers give the same columns of text. The quick one is a pattern of the whole entry over the
answer's bytes, sound only because the transport's parser has proved them well formed; it is used
when it finds exactly as many entries as the parser did, none within another. Otherwise (other
order, attributes, white space, new elements in the middle) the careful one walks the tree. Then
columns, not entries, are converted and checked: Seq and EntryID must be right or the page is
refused whole; anything else that cannot be read is kept as raw text and the log goes on (contract
8.3 C5 and section 9)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from lxml import etree

from dialer_adapters.contract import LogColumns, LogEntry, LogPage, Retry
from dialer_adapters.shoutpoint.replies import require_in_order
from dialer_adapters.shoutpoint.transport import Reply
from dialer_adapters.shoutpoint.wsdl import NAMESPACE, tag

COLUMNS: tuple[str, ...] = (
    *("Seq", "EntryID", "EntryType", "OccurredAt", "JobID", "JobRef", "ChainRef", "StepRef"),
    *("AttemptID", "AttemptNumber", "Revision", "Channel", "PhoneNumber", "StatusCode"),
    *("Disposition", "Reason", "Final", "Confirmed", "AnsweredBy", "Digits", "StartedAt"),
    *("ConnectedAt", "EndedAt", "DurationSeconds", "TextSegments", "NextAttemptAt", "SipCode"),
    *("CauseQ850", "CallError"),
)
"""The WSDL's LogEntry without Property: the fields of `contract.LogEntry` in the same order."""
REQUIRED = frozenset({*COLUMNS[:6], "Revision", "Disposition", "Final", "Confirmed"})
MOST_SEQ = 2**63 - 1
MOST_ENTRIES = 5_000
"""The highest page size of the contract (8.2 S6); junk beyond it would cost memory."""
_SEQS = re.compile(r"[0-9]{1,19}(?:\n[0-9]{1,19})*")
_NO_REF = re.compile(r"[^A-Za-z0-9._:\n-]")
_LONGEST_REF = 64
_MARKUP = re.compile(rb"<[!?]")
_ENTITY = re.compile(r"&(?:#x([0-9a-fA-F]+)|#([0-9]+)|(\w+));")
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_LONGEST_TOKEN = 100
_LONGEST_TEXT = 1000

_COUNT_ALL: Callable[[etree._Element], Any] = etree.XPath(
    "count(//d:Entry)", namespaces={"d": NAMESPACE}
)
_COUNT: Callable[[etree._Element], Any] = etree.XPath("count(d:Entry)", namespaces={"d": NAMESPACE})

Column = list[Any]
Malformed = dict[int, dict[str, str]]


def read_page(
    reply: Reply, asked_epoch: str | None, after_seq: int, job_ref: str | None
) -> LogPage:
    """The page in this answer, checked by the rules of section 9. Raises Retry("log") and takes
    nothing when Seq, NextSeq, EntryID, Epoch, HasMore or OldestSeq is wrong, or when a page of one
    job (`job_ref`) holds another's entries."""
    answer = reply.element
    epoch = _head(answer, "Epoch", _ref)
    next_seq = _head(answer, "NextSeq", _whole)
    has_more = _head(answer, "HasMore", _boolean)
    oldest_seq = _head(answer, "OldestSeq", _whole)
    server_time = _head(answer, "ServerTime", _moment)
    columns, rests = _columns(reply)
    seqs = _seqs(columns[0])
    require_in_order(seqs, asked_epoch, after_seq, epoch, next_seq, has_more)
    _require_refs(columns[1])
    if job_ref is not None and set(columns[COLUMNS.index("JobRef")]) - {job_ref}:
        raise Retry("log", detail="entries of another job")
    entries = _entries(columns, seqs, rests, answer, server_time.isoformat())
    return LogPage(epoch, entries, next_seq, has_more, oldest_seq, server_time)


# -------------------------------------------------------------------------------------- two readers


def _columns(reply: Reply) -> tuple[list[Column], Sequence[str]]:
    """29 columns of text, "" where an element is absent, and what follows them in each entry."""
    rows: list[tuple[str, ...]] | None = None
    after_declaration = reply.content.find(b"?>", 0, 200) + 1
    first = reply.element.find(tag("Entry"))
    if first is None:
        return [[] for _ in COLUMNS], []
    count = int(_COUNT(reply.element))
    if count > MOST_ENTRIES:
        raise Retry("log", detail=f"{count} entries on one page")
    if not _has_markup(reply.content, after_declaration):
        found = _entry_pattern(first.prefix or "").findall(reply.content.decode("utf-8"))
        if len(found) == count == int(_COUNT_ALL(reply.element)):
            rows = found
    if rows is None:
        rows = [_walk(node) for node in reply.element.iterchildren(tag("Entry"))]
    elif b"&" in reply.content:
        rows = [tuple(_unescape(value) if "&" in value else value for value in row) for row in rows]
    *columns, rests = (list(column) for column in zip(*rows, strict=True))
    return columns, rests


def _has_markup(content: bytes, start: int) -> bool:
    """Whether there is a comment, CDATA or instruction. Their second characters are rare, and are
    looked for first: 0.1 ms a page instead of 2."""
    rare = content.find(b"!", start) >= 0 or content.find(b"?", start) >= 0
    return rare and _MARKUP.search(content, start) is not None


@lru_cache(maxsize=16)
def _entry_pattern(prefix: str) -> re.Pattern[str]:
    """One entry as our WSDL orders it, a group for each column and one for what follows. Possessive
    throughout, so that it never goes back: 440,000 entries a second."""
    p = re.escape(prefix) + ":" if prefix else ""
    parts = []
    for name in COLUMNS:
        text = "[0-9]++" if name == "Seq" else r"[^<\s]*+" if name == "EntryID" else "[^<]*+"
        element = f"<{p}{name}>({text})</{p}{name}>"
        parts.append(element if name in REQUIRED else f"(?:{element})?+")
    # What follows is for `properties`, unless it is one of the columns out of its place: then the
    # pattern must fail, so that the careful reader puts it where it belongs.
    rest = rf"((?:<(?!/{p}Entry>|{p}(?:{'|'.join(COLUMNS)})[>\s/])[^<]*+)*+)"
    return re.compile(f"<{p}Entry>{''.join(parts)}{rest}</{p}Entry>")


def _walk(node: etree._Element) -> tuple[str, ...]:
    values = {child.tag: (child.text or "") for child in node.iterchildren(etree.Element)}
    row = [values.get(tag(name), "").strip() for name in COLUMNS]
    return (*row, "<" if len(node) > len(row) or node.find(tag("Property")) is not None else "")


def _unescape(text: str) -> str:
    def character(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1], 16))
        return chr(int(match[2])) if match[2] else _NAMED[match[3]]

    return _ENTITY.sub(character, text)


# ------------------------------------------------------------------------- columns, checked as such


def _seqs(column: Column) -> list[int]:
    if column and not _SEQS.fullmatch("\n".join(column)):
        raise Retry("log", detail="a Seq is missing or no number")
    seqs = list(map(int, column))
    if seqs and max(seqs) > MOST_SEQ:
        raise Retry("log", detail="a Seq is out of range")
    return seqs


def _require_refs(column: Column) -> None:
    try:
        _refs(column)
    except ValueError:
        raise Retry("log", detail="an EntryID is malformed") from None
    if "" in column:
        raise Retry("log", detail="an EntryID is missing")


def _entries(
    columns: list[Column],
    seqs: list[int],
    rests: Sequence[str],
    answer: etree._Element,
    server_time: str,
) -> LogColumns:
    malformed: Malformed = {}
    columns[0] = seqs
    for place, name in enumerate(COLUMNS):
        if place > 1:
            columns[place] = _converted(name, columns[place], malformed)
    _fill(columns, "Revision", 0)
    _fill(columns, "OccurredAt", server_time)
    _fill(columns, "EntryType", "")
    _fill(columns, "Final", False)
    _fill(columns, "Confirmed", False)
    properties: Column = [None] * len(seqs)
    if malformed or any(rests):
        for row, node in enumerate(answer.iterchildren(tag("Entry"))):
            if rests[row] or row in malformed:
                properties[row] = _properties(node, malformed.get(row))
    return LogColumns(dict(zip(LogEntry._fields, [*columns, properties], strict=True)))


def _converted(name: str, column: Column, malformed: Malformed) -> Column:
    """The column as its values; "" becomes None, and so does what cannot be read, which is noted.
    All at once first; one by one, 3 times slower, only where that failed."""
    kind = _KINDS.get(name, _TOKEN)
    try:
        return kind.all(column)
    except ValueError:
        values: Column = []
        for row, text in enumerate(column):
            try:
                values.append(kind.one(text) if text else None)
            except ValueError:
                values.append(None)
                malformed.setdefault(row, {})[name] = text[:_LONGEST_TEXT]
        return values


def _fill(columns: list[Column], name: str, value: Any) -> None:
    place = COLUMNS.index(name)
    if None in columns[place]:
        columns[place] = [value if each is None else each for each in columns[place]]


def _properties(node: etree._Element, malformed: dict[str, str] | None) -> str | None:
    """Property elements, elements newer than our WSDL and unreadable values, as one JSON object."""
    kept: dict[str, Any] = {}
    for child in node.iterchildren(etree.Element):
        name = etree.QName(child).localname
        if child.tag == tag("Property"):
            key = (child.findtext(tag("Name")) or "")[:_LONGEST_TOKEN]
            kept[key] = (child.findtext(tag("Value")) or "")[:_LONGEST_TEXT]
        elif name not in COLUMNS:
            kept[name] = (child.text or "")[:_LONGEST_TEXT]
    if malformed:
        kept["malformed"] = malformed
    return json.dumps(kept, ensure_ascii=False) if kept else None


# --------------------------------------------------------------------------------- kinds of values


class _Kind(NamedTuple):
    """How one value is read and how a whole column is, in C loops; both raise ValueError."""

    one: Callable[[str], Any]
    all: Callable[[Column], Column]


def _filled(column: Column) -> Column:
    return [text for text in column if text] if "" in column else column


def _emptied(column: Column) -> Column:
    return [text or None for text in column] if "" in column else column


def _token(text: str) -> str:
    if len(text) > _LONGEST_TOKEN:
        raise ValueError("too long")
    return text


def _tokens(column: Column) -> Column:
    if column:
        _token(max(column, key=len))
    return _emptied(column)


def _text(text: str) -> str:
    return text[:_LONGEST_TEXT]


def _texts(column: Column) -> Column:
    return [text[:_LONGEST_TEXT] or None for text in column]


def _ref(text: str) -> str:
    if not text or len(text) > _LONGEST_REF or _NO_REF.search(text):
        raise ValueError("not a reference")
    return text


def _refs(column: Column) -> Column:
    if column and (len(max(column, key=len)) > _LONGEST_REF or _NO_REF.search("\n".join(column))):
        raise ValueError("not a reference")
    return _emptied(column)


def _small(text: str) -> int:
    number = int(text)
    if not -(2**31) <= number < 2**31:
        raise ValueError("out of range")
    return number


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text]
    except KeyError:
        raise ValueError("not a boolean") from None


def _distinct(read: Callable[[str], Any]) -> Callable[[Column], Column]:
    """Reads each distinct text once: a page has few different numbers."""

    def read_all(column: Column) -> Column:
        values = {text: read(text) if text else None for text in set(column)}
        return [values[text] for text in column]

    return read_all


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment


def _time(text: str) -> str:
    _moment(text)
    return text


def _times(column: Column) -> Column:
    if None in [moment.tzinfo for moment in map(datetime.fromisoformat, _filled(column))]:
        raise ValueError("no offset")
    return _emptied(column)


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MOST_SEQ:
        raise ValueError("out of range")
    return number


def _head(answer: etree._Element, name: str, read: Callable[[str], Any]) -> Any:
    try:
        return read((answer.findtext(tag(name)) or "").strip())
    except ValueError:
        raise Retry("log", detail=f"{name} is missing or unreadable") from None


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_TOKEN = _Kind(_token, _tokens)
_REF = _Kind(_ref, _refs)
_INT = _Kind(_small, _distinct(_small))
_BOOL = _Kind(_boolean, _distinct(_boolean))
_TIME = _Kind(_time, _times)
_KINDS: dict[str, _Kind] = {
    **dict.fromkeys(["JobID", "JobRef", "ChainRef", "StepRef", "AttemptID"], _REF),
    **dict.fromkeys(["AttemptNumber", "Revision", "StatusCode", "DurationSeconds"], _INT),
    **dict.fromkeys(["TextSegments", "SipCode", "CauseQ850"], _INT),
    **dict.fromkeys(["Final", "Confirmed"], _BOOL),
    **dict.fromkeys(["OccurredAt", "StartedAt", "ConnectedAt", "EndedAt", "NextAttemptAt"], _TIME),
    "CallError": _Kind(_text, _texts),
}
