"""What a text from a phone asks for: the keyword sets of contract 4.6, and what becomes of consent.

Pure rules. A text counts as a keyword only when it is nothing but the keyword: "we cannot stop by"
stops nothing. Texts are compared trimmed, in upper case, without punctuation and marks.
"""

from __future__ import annotations

import unicodedata
from typing import Literal, NamedTuple

Keyword = Literal["STOP", "START", "YES", "HELP", "NONE"]

UNKNOWN, PENDING, OPTED_IN, OPTED_OUT = "UNKNOWN", "PENDING", "OPTED_IN", "OPTED_OUT"

# The last two are the Spanish words that carriers treat alike.
OUT = ("STOP", "STOPALL", "END", "CANCEL", "UNSUBSCRIBE", "QUIT", "REVOKE", "OPTOUT", "OPT OUT")
WORDS: dict[str, Keyword] = {
    **dict.fromkeys((*OUT, "ALTO", "PARE"), "STOP"),
    **dict.fromkeys(("START", "JOIN", "UNSTOP"), "START"),
    **dict.fromkeys(("YES", "Y"), "YES"),
    **dict.fromkeys(("HELP", "INFO"), "HELP"),
}


class Standing(NamedTuple):
    """A number's consent. `stopped`: its owner sent STOP and has not finished opting in again."""

    state: str = UNKNOWN
    stopped: bool = False

    @property
    def blocked(self) -> bool:
        """Whether nothing may be texted to the number."""
        return self.stopped or self.state == OPTED_OUT


def recognize(body: str) -> Keyword:
    """The keyword that a text is, or NONE."""
    kept = "".join(
        " " if char.isspace() else char
        for char in unicodedata.normalize("NFKC", body)
        if char.isspace() or char.isalnum()
    )
    return WORDS.get(" ".join(kept.upper().split()), "NONE")


def follow(standing: Standing, keyword: Keyword) -> Standing:
    """The consent after a keyword (contract 7.7). STOP holds from any state, at once; START alone
    opts nobody in; YES counts only after START."""
    if keyword == "STOP":
        return Standing(OPTED_OUT, stopped=True)
    if keyword == "START" and standing.state != OPTED_IN:
        return Standing(PENDING, standing.stopped)
    if keyword == "YES" and standing.state == PENDING:
        return Standing(OPTED_IN, stopped=False)
    return standing
