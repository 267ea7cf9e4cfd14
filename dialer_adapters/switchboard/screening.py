"""Which steps are refused at submission: numbers that cannot be, and lists of numbers not to call.

A refused step comes back in `Rejected` and as a log entry (contract 7.4.11). What is refused
follows from the stored chains alone, so that a repeated request and the dialing thread find the
same. The lists are those of the simulated town: reserved numbers, see `lines.simulated`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dialer_adapters.switchboard.batches import iterate_chains
from dialer_adapters.switchboard.lines.simulated import WIRELESS, find_refusal

# Area code or exchange N11 (the schema lets them pass), or a reserved number that may be listed.
# One search over a batch's text costs 0.02 µs a chain; most batches need no more.
SUSPICIOUS = re.compile(r"\+1(?:[2-9]11|[2-9]\d\d[2-9]11|[2-9]\d\d55501[0-9]{2})")
IMPOSSIBLE = re.compile(r"\+1(?:[2-9]11|[2-9]\d\d[2-9]11)")
INVALID_NUMBER = -2

DETAILS = {
    -2: "Invalid phone number",
    -3: "Do not call",
    -7: "Known not to be in service",
    -15: "Wireless number",
    -21: "Known not to connect",
    -22: "Suppressed phone number",
    -23: "Known fax number",
}


class Refusal(NamedTuple):
    """A step that will not be called. `pos` and `step` are its place in the batch."""

    pos: int
    step: int
    chain_ref: str
    step_ref: str
    code: int

    @property
    def detail(self) -> str:
        return DETAILS[self.code]


def refuse(text: str, scrub_wireless: bool) -> list[Refusal]:
    """The refused steps of a batch's canonical text, in order."""
    if SUSPICIOUS.search(text) is None:
        return []
    return [
        Refusal(chain.pos, index, chain.ref, step.ref, code)
        for chain in iterate_chains(text)
        for index, step in enumerate(chain.steps)
        if (code := screen(step.number, step.channel, scrub_wireless)) is not None
    ]


def screen(number: str, channel: str, scrub_wireless: bool) -> int | None:
    """The code with which a number is refused for a channel, or None."""
    if IMPOSSIBLE.match(number):
        return INVALID_NUMBER
    code = find_refusal(number)
    if code is None or (channel == "TEXT" and code != -22):
        return None
    return code if code != WIRELESS or scrub_wireless else None
