"""A page of the call log as lines for COPY: what is stored, tries for the ledger, steps' results.

Columns are converted, not entries, a few hundred entries at a time: 5,000 entries cost 18 ms this
way, 27 in one piece (they do not fit into the processor's cache) and 45 one by one. Nothing is
executed here, and an odd value is cut or left out, never refused: an odd entry must not stop the
log (contract 8.3).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as quoted  # what json.dumps uses for text
from typing import Any
from uuid import UUID

from dialer_adapters.contract import LogColumns, LogEntry
from voice.outcomes import outcome_of

ATTEMPT_TYPES = frozenset({"ATTEMPT_RESULT", "ATTEMPT_UPDATE"})
STEP_TYPE, JOB_TYPE = "STEP_RESULT", "JOB_RESULT"
EPOCH_CHANGED = "EPOCH_CHANGED"  # why a restored dialer ends what it had before

LOG_COLUMNS = (
    *("state_id", "epoch", "seq", "entry_id", "entry_type", "occurred_at", "job_ref", "chain_ref"),
    *("step_ref", "attempt_ref", "number", "revision", "code", "disposition", "reason", "final"),
    *("confirmed", "rest"),
)
_OUR_STEPS = re.compile(r"(?:([0-9]{1,18}) \1-[0-9]{1,4}(?:\n|\Z))+")
NULL = "\\N"
SMALL = 30_000  # codes, numbers and revisions beyond it are kept raw and not computed with
CHUNK = 500

Column = list[str]
Columns = Mapping[str, list[Any]]


@dataclass(frozen=True)
class JobEnd:
    """A JOB_RESULT of one of our jobs; `place` is its index in the page."""

    place: int
    job_ref: str
    seq: int
    disposition: str
    reason: str


@dataclass
class PageLines:
    """Lines of a page. `log` has one for every entry; `attempts` and `results` (see
    `messenger.results`) hold "" where an entry concerns no try or no step of ours.

    `all_new`: nothing in the page itself speaks against every entry and every try being new.
    """

    log: list[str] = field(default_factory=list)
    attempts: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    job_ends: list[JobEnd] = field(default_factory=list)
    all_new: bool = True

    def only(self, places: Sequence[int]) -> "PageLines":
        """The lines of these entries alone."""
        kept = set(places)
        return PageLines(
            [self.log[place] for place in places],
            [self.attempts[place] for place in places],
            [self.results[place] for place in places],
            [end for end in self.job_ends if end.place in kept],
            all_new=False,
        )


def job_refs(entries: Sequence[LogEntry]) -> set[str]:
    """The job references of a page that could be ours, in their canonical form."""
    found = set()
    for text in set(LogColumns.from_entries(entries).of["job_ref"]):
        try:
            found.add(str(UUID(text or "")))
        except ValueError:
            continue  # another application's job under the same account: stored, not applied (C5)
    return found


def make_lines(
    entries: Sequence[LogEntry], state_id: str, epoch: str, messages: Mapping[str, int]
) -> PageLines:
    """The lines of a page; `messages` maps the job references that are ours to message ids."""
    columns = LogColumns.from_entries(entries)
    of = columns.of
    steps = _steps(of, messages)
    of_step = Counter(steps)
    head = f"{_text(state_id, 64)}\t{_text(epoch, 64)}"
    page = PageLines()
    for start in range(0, len(columns), CHUNK):
        end = start + CHUNK
        _add_chunk(page, head, columns.part(start, end).of, steps[start:end], of_step)
    if JOB_TYPE in of["entry_type"]:
        page.job_ends = [
            JobEnd(
                place, entry.job_ref or "", entry.seq, entry.disposition or "", entry.reason or ""
            )
            for place, entry in enumerate(columns)
            if entry.entry_type == JOB_TYPE and entry.job_ref in messages
        ]
    page.all_new = _all_differ(of["entry_id"]) and _tries_differ(of, steps)
    return page


def _all_differ(column: Column) -> bool:
    return len(set(column)) == len(column)


def _tries_differ(of: Columns, steps: Column) -> bool:
    """Whether no try is reported twice; as a rule no AttemptID comes twice at all."""
    if _all_differ(of["attempt_id"]):
        return True
    tries = [
        f"{step}\t{ref}"
        for step, ref, kind in zip(steps, of["attempt_id"], of["entry_type"], strict=True)
        if step and kind != STEP_TYPE
    ]
    return _all_differ(tries)


def _steps(of: Columns, messages: Mapping[str, int]) -> Column:
    """Message, chain and step as the first fields of a line; "" for an entry about no step of
    ours, or of a step that ended because its job is lost (`voice.epochs` ends those). Most pages
    hold nothing but tries of our steps, and are then proved so in one look."""
    prefixes = {ref: f"{message_id}\t" for ref, message_id in messages.items()}
    if prefixes.keys() >= set(of["job_ref"]) and _all_our_tries(of):
        parts = "\n".join(of["step_ref"]).replace("-", "\t").split("\n")
        return [prefixes[ref] + part for ref, part in zip(of["job_ref"], parts, strict=True)]
    steps = []
    for kind, job_ref, chain, step_ref, attempt, reason in zip(
        of["entry_type"],
        of["job_ref"],
        of["chain_ref"],
        of["step_ref"],
        of["attempt_id"],
        of["reason"],
        strict=True,
    ):
        ours = None if kind == STEP_TYPE and reason == EPOCH_CHANGED else prefixes.get(job_ref)
        if ours and chain and (kind == STEP_TYPE or (kind in ATTEMPT_TYPES and attempt)):
            head, _dash, step = (step_ref or "").partition("-")
            if head == chain and chain.isdecimal() and step.isdecimal():
                fits = len(chain) <= 18 and len(step) <= 4
                steps.append(f"{ours}{chain}\t{step}" if fits else "")
                continue
        steps.append("")
    return steps


def _all_our_tries(of: Columns) -> bool:
    needed = ("chain_ref", "step_ref", "attempt_id")
    if set(of["entry_type"]) - ATTEMPT_TYPES or not all(all(of[name]) for name in needed):
        return False
    pairs = map(" ".join, zip(of["chain_ref"], of["step_ref"], strict=True))
    return _OUR_STEPS.fullmatch("\n".join(pairs)) is not None


def _add_chunk(
    page: PageLines,
    head: str,
    of: Columns,
    steps: Sequence[str],
    of_step: Mapping[str, int],
) -> None:
    attempt_refs = [
        ref if kind in ATTEMPT_TYPES else ""
        for ref, kind in zip(_texts(of["attempt_id"], 64), of["entry_type"], strict=True)
    ]
    kept = {code: _computable(code) for code in set(of["status_code"])}
    codes = [kept[code] for code in of["status_code"]]
    number, revision = _each(of["attempt_number"], _small), _each(of["revision"], _revision)
    code, final, confirmed = (
        _each(codes, _or_null),
        _each(of["final"], _flag),
        _each(of["confirmed"], _flag),
    )
    occurred, reason = _texts(of["occurred_at"], 64), _texts(of["reason"], 60)
    page.log += _joined(
        [head] * len(steps),
        map(str, of["seq"]),
        _texts(of["entry_id"], 64),
        _texts(of["entry_type"], 40),
        occurred,
        _texts(of["job_ref"], 64),
        _texts(of["chain_ref"], 64),
        _texts(of["step_ref"], 64),
        attempt_refs,
        number,
        revision,
        code,
        _texts(of["disposition"], 40),
        reason,
        final,
        confirmed,
        _rest(of, codes),
    )
    if any(reason):
        reason = [text[:40] for text in reason]
    ended = _times(of["ended_at"])
    # How it ended: the same in a try's line and in its step's.
    ends = _joined(code, _outcomes(of), final, confirmed, reason)
    attempts = _joined(
        steps,
        attempt_refs,
        ["0" if text == NULL else text for text in number],
        revision,
        ["text" if channel == "TEXT" else "voice" for channel in of["channel"]],
        ends,
        _texts(of["answered_by"], 20),
        _times(of["started_at"]),
        ended,
        occurred,
        _each(of["duration_seconds"], _whole),
        _texts(of["call_error"], 200),
    )
    if not (all(steps) and all(attempt_refs)):
        attempts = [
            line if step and ref else ""
            for line, step, ref in zip(attempts, steps, attempt_refs, strict=True)
        ]
    page.attempts += attempts
    first = [
        "t\tf\t1" if ref and tried == revised == 1 and channel != "TEXT" and of_step[step] == 1
        else f"f\t{'f' if ref else 't'}\t{text}"
        for ref, tried, revised, channel, step, text in zip(
            attempt_refs, of["attempt_number"], of["revision"], of["channel"], steps, revision,
            strict=True,
        )
    ]  # fmt: skip
    at = [then if end == NULL else end for end, then in zip(ended, occurred, strict=True)]
    results = _joined(steps, first, ends, at)
    if not all(steps):
        results = [line if step else "" for line, step in zip(results, steps, strict=True)]
    page.results += results


def _joined(*columns: Iterable[str]) -> list[str]:
    """The columns as lines."""
    return list(map("\t".join, zip(*columns, strict=True)))


# ------------------------------------------------------------------------------------- columns

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": ""})


def _text(value: str | None, most: int) -> str:
    """A value for COPY's text format, never longer than its column."""
    return value[:most].translate(_ESCAPES) if value else ""


def _is_plain(text: str) -> bool:
    """Whether nothing in it needs an escape: no control character, no backslash. (Looking for those
    by a pattern takes 1.8 times as long.)"""
    return text.isprintable() and "\\" not in text


def _texts(column: list[Any], most: int) -> Column:
    """A column of text; absent values are empty. Only one with something odd in it is looked at
    value by value."""
    values = column if all(column) else [value or "" for value in column]
    if len(max(values, key=len)) <= most and _is_plain("".join(values)):
        return values
    return [_text(value, most) for value in values]


def _times(column: list[Any]) -> Column:
    values = _texts(column, 64)
    return [value or NULL for value in values] if "" in values else values


def _each(column: list[Any], write: Callable[[Any], str]) -> Column:
    """A column of few different values, each written once."""
    written = {value: write(value) for value in set(column)}
    return [written[value] for value in column]


def _outcomes(of: Columns) -> Column:
    pairs = list(zip(of["status_code"], of["disposition"], strict=True))
    return _each(pairs, lambda pair: outcome_of(pair[0], pair[1] or ""))


def _or_null(value: object) -> str:
    return NULL if value is None else str(value)


def _computable(code: int | None) -> int | None:
    return None if code is None or abs(code) >= SMALL else code


def _small(value: int | None) -> str:
    return str(value) if value is not None and 0 <= value <= SMALL else NULL


def _revision(value: int) -> str:
    return str(max(0, min(value, SMALL)))


def _whole(value: int | None) -> str:
    return str(value) if value is not None and 0 <= value < 2**31 else NULL


def _flag(value: bool) -> str:
    return "t" if value else "f"


# What nothing computes with: name in `LogEntry.rest` → field of the entry.
_REST = {
    "phone": "phone_number",
    "digits": "digits",
    "connected_at": "connected_at",
    "text_segments": "text_segments",
    "sip": "sip_code",
    "q850": "cause_q850",
    "next": "next_attempt_at",
    "properties": "properties",
}
_LONGEST_REST = 4_000
_TO_QUOTE = re.compile(r"[^ !#-\[\]-~]")  # what JSON writes otherwise


def _rest(of: Columns, codes: list[int | None]) -> Column:
    """The remaining fields as a JSON object, absent ones left out."""
    parts: list[list[str]] = []
    plain = True
    for name, source in _REST.items():
        column = of[source]
        there = [value for value in column if value is not None]
        if there:
            key = f', "{name}": '
            odd = _TO_QUOTE.search("".join(map(str, there)))
            plain = plain and not odd
            if isinstance(there[0], str) and not odd and len(max(there, key=len)) < _LONGEST_REST:
                parts.append(["" if value is None else f'{key}"{value}"' for value in column])
            else:
                parts.append(["" if value is None else key + _as_json(value) for value in column])
    if codes != of["status_code"]:
        parts.append(
            [
                "" if code is None or kept is not None else f', "code": {code}'
                for code, kept in zip(of["status_code"], codes, strict=True)
            ]
        )
    if not parts:
        return [NULL] * len(codes)
    bodies = list(map("".join, zip(*parts, strict=True))) if len(parts) > 1 else parts[0]
    lines = [f"{{{body[2:]}}}" if body else NULL for body in bodies]
    if not plain and not _is_plain("".join(bodies)):
        lines = [line if line == NULL else line.translate(_ESCAPES) for line in lines]
    return lines


def _as_json(value: str | int) -> str:
    """A value as JSON; jsonb takes no zero character."""
    if isinstance(value, str):
        return quoted(value[:_LONGEST_REST].replace("\0", ""))
    return str(value)
