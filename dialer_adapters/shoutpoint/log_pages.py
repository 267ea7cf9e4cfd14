"""GetCallLog answers to log entries: 250,000 of them in seconds, and not one of them wrong.

Two readers give the same columns of text. The plain one (`plain_entries`) has cut them out of the
bytes already, when every entry was as the schema orders it; otherwise (other order, attributes,
white space, new elements in the middle) the careful one walks the tree. Then columns, not entries,
are converted and checked: Seq and EntryID must be right or the page is refused whole; anything else
that cannot be read is kept as raw text and the log goes on (contract 8.3 C5 and section 9)."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, NamedTuple

from lxml import etree

from dialer_adapters.contract import LogColumns, LogEntry, LogPage, Retry
from dialer_adapters.shoutpoint.plain_entries import COLUMNS, MOST_ENTRIES
from dialer_adapters.shoutpoint.replies import require_in_order
from dialer_adapters.shoutpoint.transport import Reply
from dialer_adapters.shoutpoint.wsdl import tag

MOST_SEQ = 2**63 - 1
_SEQS = re.compile(r"[0-9]{1,19}(?:\n[0-9]{1,19})*")
_REF_BYTES = (string.ascii_letters + string.digits + "._:-").encode()
_DIGITS = b"0123456789."
# A time as PostgreSQL reads it too, without its digits; Python alone takes weeks, commas and more.
_TIME_SHAPES = (b"--T::+:", b"--T::-:", b"--T::Z")
_MOST_OFFSET = timedelta(hours=15)
_LONGEST_REF = 64
_LONGEST_TOKEN = 100
_LONGEST_TEXT = 1000

Column = list[Any]
Pairs = list[tuple[str, str]]
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
    server_time = _head(answer, "ServerTime", lambda text: _moment(_time(text)))
    columns, properties = _columns(reply)
    seqs = _seqs(columns[0])
    require_in_order(seqs, asked_epoch, after_seq, epoch, next_seq, has_more)
    _require_refs(columns[1])
    if job_ref is not None and set(columns[COLUMNS.index("JobRef")]) - {job_ref}:
        raise Retry("log", detail="entries of another job")
    entries = _entries(columns, seqs, properties, server_time.isoformat())
    return LogPage(epoch, entries, next_seq, has_more, oldest_seq, server_time)


# -------------------------------------------------------------------------------------- two readers


def _columns(reply: Reply) -> tuple[list[Column], list[Pairs]]:
    """29 columns of text, None where an element is absent, and what else each entry has."""
    plain = reply.plain
    nodes = [] if plain else reply.element.findall(tag("Entry"))
    count = len(plain.properties) if plain else len(nodes)
    if count > MOST_ENTRIES:
        raise Retry("log", detail=f"{count} entries on one page")
    if plain is not None:
        return plain.columns, plain.properties
    rows = [_walk(node) for node in nodes]
    columns = [[values.get(tag(name)) for values, _pairs in rows] for name in COLUMNS]
    return columns, [pairs for _values, pairs in rows]


def _walk(node: etree._Element) -> tuple[dict[str, str], Pairs]:
    """The texts of an entry by tag, and its Property elements and elements newer than our WSDL."""
    values: dict[str, str] = {}
    pairs: Pairs = []
    for child in node.iterchildren(etree.Element):
        name = etree.QName(child).localname
        if child.tag == tag("Property"):
            pairs.append((child.findtext(tag("Name")) or "", child.findtext(tag("Value")) or ""))
        elif name in COLUMNS:
            values[str(child.tag)] = (child.text or "").strip()
        else:
            pairs.append((name, child.text or ""))
    return values, pairs


# ------------------------------------------------------------------------- columns, checked as such


def _seqs(column: Column) -> list[int]:
    if column and (None in column or not _SEQS.fullmatch("\n".join(column))):
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
    if None in column or "" in column:
        raise Retry("log", detail="an EntryID is missing")


def _entries(
    columns: list[Column], seqs: list[int], others: list[Pairs], server_time: str
) -> LogColumns:
    malformed: Malformed = {}
    columns = [seqs, columns[1], *map(partial(_converted, malformed), COLUMNS[2:], columns[2:])]
    _fill(columns, "Revision", 0)
    _fill(columns, "OccurredAt", server_time)
    _fill(columns, "EntryType", "")
    _fill(columns, "Final", False)
    _fill(columns, "Confirmed", False)
    properties: Column = [None] * len(seqs)
    if malformed or any(others):
        properties = [_as_json(pairs, malformed.get(row)) for row, pairs in enumerate(others)]
    return LogColumns(dict(zip(LogEntry._fields, [*columns, properties], strict=True)))


def _converted(malformed: Malformed, name: str, column: Column) -> Column:
    """The column as its values; "" becomes None, and so does what cannot be read, which is noted.
    All at once first; one by one, 3 times slower, only where that failed."""
    if not any(column):
        return [None] * len(column)
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


def _as_json(pairs: Pairs, malformed: dict[str, str] | None) -> str | None:
    """Property elements, elements newer than our WSDL and unreadable values, as one JSON object."""
    kept: dict[str, Any] = {name[:_LONGEST_TOKEN]: value[:_LONGEST_TEXT] for name, value in pairs}
    if malformed:
        kept["malformed"] = malformed
    return json.dumps(kept, ensure_ascii=False) if kept else None


# --------------------------------------------------------------------------------- kinds of values


class _Kind(NamedTuple):
    """How one value is read and how a whole column is, in C loops; both raise ValueError."""

    one: Callable[[str], Any]
    all: Callable[[Column], Column]


def _filled(column: Column) -> Column:
    """The texts that are there."""
    return column if all(column) else [text for text in column if text]


def _emptied(column: Column) -> Column:
    return column if all(column) else [text or None for text in column]


def _token(text: str) -> str:
    if len(text) > _LONGEST_TOKEN:
        raise ValueError("too long")
    return text


def _tokens(column: Column) -> Column:
    # Few different ones, as a rule.
    _token(max(set(_filled(column)), key=len, default=""))
    return _emptied(column)


def _text(text: str) -> str:
    return text[:_LONGEST_TEXT]


def _texts(column: Column) -> Column:
    return [text[:_LONGEST_TEXT] if text else None for text in column]


def _ref(text: str) -> str:
    if not text or len(text) > _LONGEST_REF or not _has_ref_characters(text):
        raise ValueError("not a reference")
    return text


def _has_ref_characters(text: str) -> bool:
    return text.isascii() and not text.encode().translate(None, _REF_BYTES)


def _refs(column: Column) -> Column:
    texts = _filled(column)
    if max(map(len, texts), default=0) > _LONGEST_REF or not _has_ref_characters("".join(texts)):
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
    """The time as PostgreSQL reads it: as it came when it is of the usual shape, else in UTC."""
    moment = _moment(text)
    if text.encode().translate(None, _DIGITS) in _TIME_SHAPES and _is_near(moment.tzinfo):
        return text
    try:
        return moment.astimezone(UTC).isoformat()
    except OverflowError:
        raise ValueError("out of range") from None


def _times(column: Column) -> Column:
    texts = _filled(column)
    zones = {moment.tzinfo for moment in map(datetime.fromisoformat, texts)}
    shape = texts[0].encode().translate(None, _DIGITS)
    alike = "".join(texts).encode().translate(None, _DIGITS) == shape * len(texts)
    if alike and shape in _TIME_SHAPES and all(map(_is_near, zones)):
        return _emptied(column)
    return [_time(text) if text else None for text in column]


def _is_near(zone: tzinfo | None) -> bool:
    """Whether an offset is one that PostgreSQL takes."""
    offset = zone.utcoffset(None) if zone else None
    return offset is not None and abs(offset) < _MOST_OFFSET


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
