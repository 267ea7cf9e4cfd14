"""What a line of the log may say: ids, classes and words of ours, never whom a message is for.

Every process writes through the formatter that is made here (Django, Celery, gunicorn, the
switchboard; also what ends a process or a thread). It takes phone numbers, email addresses and
credentials out of every line, and shows of an exception where it happened, its class and its first
line without the values in it: a database's error names the row that failed. Where lines go, and how
many, never lives here (`config.settings.LOGGING`).
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

LONGEST_REASON = 300  # characters of an exception's first line
MOST_CAUSES = 5  # exceptions of one chain that are shown
_KEPT_WORD = re.compile(r"[a-z0-9_.:/<>\[\]-]*")
_QUOTED = re.compile(r"""(['"])(?:\\.|(?!\1).)*(?:\1|$)""", re.DOTALL)
# What PostgreSQL adds to the first line of its errors: the values, and the statement.
_DETAILS = re.compile(r"(?:\\n|\n)\s*(?:DETAIL|CONTEXT|QUERY|STATEMENT|LINE \d+):.*", re.DOTALL)
_PRIVATE = (
    (re.compile(r"(://)[^\s/@'\"]+@"), r"\1[account]@"),
    (re.compile(r"(?i)\b(basic|bearer|authorization\W{1,4}\w+)\s+[\w+/=.~-]{8,}"), r"\1 [secret]"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "[email]"),
    # E.164, then ten digits as North America writes them, then seven.
    (re.compile(r"\+\d[\d .()-]{6,18}\d"), "[number]"),
    (
        re.compile(
            r"(?<![\w.-])(?:1[ .-]?)?(?:\([2-9]\d{2}\)|[2-9]\d{2})[ .-]?[2-9]\d{2}"
            r"[ .-]?\d{4}(?![\w-])"
        ),
        "[number]",
    ),
    (re.compile(r"(?<![\w.-])\d{3}-\d{4}(?![\w-])"), "[number]"),
)


def without_private(text: str) -> str:
    """The text without phone numbers, email addresses and credentials."""
    for pattern, instead in _PRIVATE:
        text = pattern.sub(instead, text)
    return text


def reason_of(error: BaseException) -> str:
    """The first line of an exception's words, without quoted values; a quoted word of plain lower
    case stays, because it is the name of a column, a setting or a key."""
    first = (_DETAILS.sub("", str(error)).splitlines() or [""])[0]
    return without_private(_QUOTED.sub(_kept, first))[:LONGEST_REASON]


def _kept(match: re.Match[str]) -> str:
    return match[0] if _KEPT_WORD.fullmatch(match[0][1:-1]) else f"{match[1]}…{match[1]}"


def shown(error: BaseException) -> str:
    """An exception for the log: the chain that led to it, its frames, its class and its reason."""
    parts = []
    for cause in reversed(list(_chain(error))):
        frames = "".join(traceback.format_tb(cause.__traceback__))
        kind = f"{type(cause).__module__}.{type(cause).__qualname__}".removeprefix("builtins.")
        parts.append(f"Traceback (most recent call last):\n{frames}{kind}: {reason_of(cause)}")
    return "\n\nwhich led to:\n\n".join(parts)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, then what it came from, as Python would print it."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(seen) < MOST_CAUSES:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )


# ----------------------------------------------------------------------------- structlog's steps


def _take_out(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """The private parts of one line, and of the exception beside it."""
    words = str(event.get("event", ""))
    exc_info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    event.pop("exception", None)
    error = sys.exc_info()[1] if exc_info is True else None
    if isinstance(exc_info, BaseException):
        error = exc_info
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    if error is not None:
        # Celery says the exception in its own sentence too.
        for cause in _chain(error):
            for said in (repr(cause), str(cause)):
                if said:
                    words = words.replace(said, f"{type(cause).__name__}: {reason_of(cause)}")
    event["event"] = without_private(_DETAILS.sub("", words))
    if error is not None:
        event["event"] += "\n" + shown(error)
    return event


def _one_line(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    return f"{event['timestamp']} {event['level'].upper()} {event['logger']} {event['event']}"


def make_formatter(**_options: Any) -> logging.Formatter:
    """The formatter of every handler."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="%Y-%m-%dT%H:%M:%S.%fZ", utc=True),
        ],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _take_out,
            _one_line,
        ],
        keep_exc_info=False,
        keep_stack_info=False,
    )


# ------------------------------------------------------------------------------------- set-up


def configure(settings: dict[str, Any]) -> None:
    """Sets logging up (Django's LOGGING_CONFIG), and leads what nobody caught the same way."""
    logging.config.dictConfig(settings)
    sys.excepthook = _say_uncaught
    threading.excepthook = _say_uncaught_in_thread


def _say_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("uncaught").critical("The process ends", exc_info=error)


def _say_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
        logging.getLogger("uncaught").critical("A thread ends", exc_info=args.exc_value)
