"""Dates as rosters write them. Nothing here knows a database."""

import re
from datetime import date

_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ].*)?")
# What a spreadsheet program makes of a date when somebody saves the file again.
_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?: .*)?")


def read_date(text: str) -> tuple[date | None, bool]:
    """The date that a roster means, and whether it is written as the standard asks (YYYY-MM-DD).

    A date with a time keeps its day; month/day/year is understood and reported. None: no date.
    """
    match = _ISO.fullmatch(text)
    if match:
        year, month, day = (int(part) for part in match.groups())
    else:
        american = _AMERICAN.fullmatch(text)
        if american is None:
            return None, False
        month, day, year = (int(part) for part in american.groups())
    try:
        return date(year, month, day), match is not None
    except ValueError:
        return None, False
