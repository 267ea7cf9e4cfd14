"""Lines of a CSV file made fit for COPY: numbered, of one width, in UTF-8, without passwords.

Rosters in the field quote at random, mix line ends, pad values and break lines inside values. What
can be understood is; every other row is reported with its number as a spreadsheet shows it (the
header is row 1) and left out. Nothing here knows what a column means.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import IO

from django.utils.translation import gettext as _

from messenger.roster.archive import RosterRefused

BLOCK = 1 << 18
LONGEST_LINE = 1 << 20
# A quote that is never closed would swallow the rest of the file: a value spans so many lines.
MOST_LINES_A_ROW = 20
_PADDING = (b" ,", b", ", b'" ', b' "', b" \n", b"\n ", b"\xc2\xa0")
_CONTROLS = bytes([*range(10), *range(11, 32), 127])  # all but the line feed
_PADDED_QUOTE = re.compile(r'"[ \t]+(?=,|$)')
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class BadLine:
    """A row that is no row: its number, what is wrong, the text, and the id if it shows one."""

    line: int
    code: str
    value: str
    sourced_id: str = ""


@dataclass
class Rows:
    """The rows of one file, read once from front to back.

    `header` is there from the start; iterating yields blocks for COPY (each row with its number in
    front) and fills `bad` with the rows that were left out or repaired. `blank` is the place of a
    column whose values must not be kept.
    """

    file: IO[bytes]
    name: str
    header: list[str] = field(init=False)
    blank: int | None = field(init=False, default=None)
    bad: list[BadLine] = field(init=False, default_factory=list)
    total: int = field(init=False, default=0)
    read: int = field(init=False, default=0)  # bytes

    def __post_init__(self) -> None:
        self._rest = b""
        self._line = 1
        self._ended = False
        first = self._first_line()
        fields = next(csv.reader([_decode(first)[0]], skipinitialspace=True), [])
        self.header = [name.strip() for name in fields]
        # A spreadsheet's empty columns at the end; the rows have as many. More would hide a comma
        # too many in a name.
        self._surplus = 0
        while self.header and not self.header[-1]:
            self.header.pop()
            self._surplus += 1

    def forget(self, column: str) -> None:
        """Leave a column's values out (they become blank), wherever the header has it."""
        lowered = [name.lower() for name in self.header]
        if column.lower() in lowered:
            self.blank = lowered.index(column.lower())

    def __iter__(self) -> Iterator[bytes]:
        while block := self._next_block():
            out: list[bytes] = []
            self._take_block(block, out)
            yield b"".join(out)

    # -- bytes to lines --------------------------------------------------------------------
    def _more(self) -> bytes:
        block = self.file.read(BLOCK)
        self.read += len(block)
        return block

    def _first_line(self) -> bytes:
        text = self._more().removeprefix(BOM)
        if text.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise RosterRefused(
                _("%(file)s.csv is saved as UTF-16. Save it as CSV UTF-8.") % {"file": self.name}
            )
        # Line ends of old Macs: a carriage return alone.
        self._old_mac = b"\n" not in text and b"\r" in text
        line, _end, self._rest = self._unify(text).partition(b"\n")
        return line

    def _unify(self, text: bytes) -> bytes:
        return text.replace(b"\r", b"\n") if self._old_mac else text.replace(b"\r\n", b"\n")

    def _next_block(self) -> bytes:
        """The next whole lines, each with its end; empty at the end of the file."""
        pieces = [self._rest]
        size = len(self._rest)
        while True:
            text = self._more()
            if not text:
                break
            if text.endswith(b"\r") and not self._old_mac:  # its line feed comes next
                text += self.file.read(1)
            text = self._unify(text)
            cut = text.rfind(b"\n") + 1
            if cut:
                pieces.append(text[:cut])
                self._rest = text[cut:]
                return b"".join(pieces)
            pieces.append(text)
            size += len(text)
            if size > LONGEST_LINE:
                raise RosterRefused(
                    _("Row %(line)s of %(file)s.csv is longer than any row of a roster.")
                    % {"line": self._line + 1, "file": self.name}
                )
        self._ended = True
        self._rest = b""
        last = b"".join(pieces)
        return last + b"\n" if last and not last.endswith(b"\n") else last

    # -- lines to rows ---------------------------------------------------------------------
    def _take_block(self, block: bytes, out: list[bytes]) -> None:
        """Number the plain rows of a block as they are; give every other one to `_repair`.

        A plain row needs about 0.5 µs, a repaired one 10 µs; nearly all rows are plain.
        """
        lines = block.split(b"\n")
        lines.pop()
        odd, quoted = _is_odd(block), b'"' in block
        commas, blank = len(self.header) - 1, self.blank
        empty = b"," * commas
        if not odd and not quoted and blank is None and empty not in lines:
            counts = set(map(bytes.count, lines, repeat(b",")))
            if counts == {commas}:
                first = self._line + 1
                self._line += len(lines)
                out.extend(map(b"%d,%b\n".__mod__, enumerate(lines, first)))
                self.total += len(lines)
                return
        place = 0
        while place < len(lines):
            line = lines[place]
            self._line += 1
            place += 1
            if line == empty or (odd and _is_odd(line)):
                place = self._repair(lines, place, out)
                continue
            values = _split_quoted(line) if b'"' in line else line.split(b",")
            if values is None or len(values) != commas + 1:
                place = self._repair(lines, place, out)
                continue
            if blank is not None and values[blank]:
                values[blank] = b""
                line = b",".join(values)
            out.append(b"%d,%b\n" % (self._line, line))
        self.total += len(out)

    def _repair(self, lines: list[bytes], place: int, out: list[bytes]) -> int:
        """Take the row that begins in the line before `place`; the place of the next row's line."""
        line = lines[place - 1]
        if not line.strip(b" ,\t\r"):  # an empty row of a spreadsheet: counted, not reported
            return place
        text, foreign = _decode(line)
        values = _parse(text)
        if values is None:
            after, joined = self._join(lines, place, text)
            if after is None:  # the rest of the value is in the next block
                self._rest = b"\n".join(lines[place - 1 :]) + b"\n" + self._rest
                self._line -= 1
                return len(lines)
            if after == place:
                self._report("malformed_row", text)
                return place
            values, place = joined, after
            self._report("line_break", text)
        surplus = self._surplus
        if surplus and len(values) == len(self.header) + surplus and not any(values[-surplus:]):
            del values[-surplus:]
        if len(values) != len(self.header):
            self._report("wrong_width", text)
            return place
        if foreign:
            self._report("not_utf8", text)
        if self.blank is not None:
            values[self.blank] = ""
        row = ",".join('"' + _clean(value).replace('"', '""') + '"' for value in values)
        out.append(f"{self._line},{row}\n".encode())
        return place

    def _join(self, lines: list[bytes], place: int, text: str) -> tuple[int | None, list[str]]:
        """A value that spans lines: the place after it with the whole row; the same place when the
        quote never closes; None when the block ends first."""
        for more in range(place, min(place + MOST_LINES_A_ROW, len(lines))):
            text += " " + _decode(lines[more])[0]
            values = _parse(text)
            if values is not None:
                fits = len(values) - len(self.header) in (0, self._surplus)
                return (more + 1, values) if fits else (place, [])
        if place + MOST_LINES_A_ROW > len(lines) and not self._ended:
            return None, []
        return place, []

    def _report(self, code: str, text: str) -> None:
        sourced_id = text.partition(",")[0].strip('" ')
        self.bad.append(BadLine(self._line, code, text[:200], sourced_id))


def _is_odd(text: bytes) -> bool:
    """Whether a block or a line needs a closer look: padding, control characters, not UTF-8."""
    if any(pattern in text for pattern in _PADDING):
        return True
    if len(text.translate(None, _CONTROLS)) != len(text):
        return True
    if text[:1] == b" " or text[-1:] == b" ":
        return True
    if text.isascii():
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return False


def _split_quoted(line: bytes) -> list[bytes] | None:
    """The values of a row whose quotes are all where the standard has them, with their quotes.

    None for every other row, also for one with a doubled quote inside a value: the csv module
    knows those better, at five times the price.
    """
    pieces = line.split(b'"')
    values = pieces[0].split(b",")
    for place in range(1, len(pieces) - 1, 2):
        after = pieces[place + 1].split(b",")
        if values[-1] or after[0]:
            return None
        values[-1] = b'"%b"' % pieces[place]
        values += after[1:]
        if len(after) == 1 and place + 2 < len(pieces):
            return None
    return values if len(pieces) % 2 else None


def _decode(line: bytes) -> tuple[str, bool]:
    """The text of a line, and whether it is not UTF-8 (then it is what Windows calls ANSI)."""
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace"), True


def _parse(text: str) -> list[str] | None:
    """The values of one row; None when its quotes do not close."""
    for attempt in (text, _PADDED_QUOTE.sub('"', text)):
        try:
            return next(csv.reader([attempt], strict=True, skipinitialspace=True), [])
        except csv.Error:
            continue
    return None


def _clean(value: str) -> str:
    """A value without control characters and without padding."""
    if not value.isprintable():
        value = "".join(" " if unicodedata.category(sign) == "Cc" else sign for sign in value)
    return value.strip()
