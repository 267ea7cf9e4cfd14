"""A simulated town: what happens when a number is dialed is a pure function of the number, the
extension, the seed and the number of the attempt. Same seed, same town.

Most numbers belong to people who answer, sometimes, and of whom half press 0. Numbers of the form
NPA-555-01xx (any area code NPA) are reserved and always behave the same, so that tests and the demo
can choose what happens:

    555-0100 … 0109   a person answers and presses 0
    555-0110 … 0119   a person answers and presses nothing
    555-0120 … 0129   an answering machine
    555-0130 … 0139   busy on the first attempt, then a person who presses 0
    555-0140 … 0149   no answer, ever
    555-0150 … 0159   not in service (3)
    555-0160 … 0164   a fax machine (7)
    555-0165 … 0169   fast busy (14), ever
    555-0170 … 0174   busy, ever
    555-0175 … 0179   no answer twice, then a person who presses nothing
    555-0180 … 0189   rare codes, in order: 2, 4, 9, 10, 16, 17, -1, -5, -13, -25
    555-0190          refused at submission: do not call (-3)
    555-0191          refused at submission, calls and texts: suppressed (-22)
    555-0192          wireless: refused (-15) with ScrubWireless, else a person who presses 0
    555-0193, 4, 5    refused at submission: known not in service (-7), fax (-23), not to connect
                      (-21)
    555-0196          a person; a text fails at the provider (-30)
    555-0197          a person; a text meets an opt-out by STOP (-33)
    555-0198          a landline: a person; a text is sent, then undelivered (-40)
    555-0199          a code that no table lists (-17)

Texts to reserved numbers: 0100 to 0139 are queued (-39), sent (-27) and delivered (-28); 0140 to
0149 sent without a delivery report; 0150 to 0169 undelivered (-40) without having been sent; 0170
to 0179 sent and later undelivered (-40); 0180 to 0189 fail (-30). With an extension a call that is
answered ends as 13 (the extension was dialed) or, for reserved numbers ending in an even digit, as
8.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from dialer_adapters.switchboard.lines import Placement, Result

WIRELESS = -15
REFUSALS = {190: -3, 191: -22, 192: WIRELESS, 193: -7, 194: -23, 195: -21}
RARE_CODES = (2, 4, 9, 10, 16, 17, -1, -5, -13, -25)
UNLISTED_CODE = -17

NO_ANSWER, BUSY, NOT_IN_SERVICE, LIVE, MACHINE, FAX, PBX, PRECONNECT, FAST_BUSY = (
    *(0, 1, 3, 5, 6, 7, 8),
    *(13, 14),
)
QUEUED, SENT, DELIVERED, TEXT_FAILED, OPTED_OUT, UNDELIVERED = -39, -27, -28, -30, -33, -40

# What an attempt at an ordinary number ends as, of 1,000.
ORDINARY_ATTEMPT = (
    *((430, LIVE), (290, MACHINE), (170, NO_ANSWER), (50, BUSY), (15, FAST_BUSY)),
    *((10, 4), (10, 2), (10, 17), (5, 9), (3, 10), (3, -26), (2, -13), (2, -12)),
)
# What an ordinary number is, of 1,000; the rest belongs to people who answer.
ORDINARY_DEAD = ((24, NOT_IN_SERVICE), (5, FAX), (4, 16))
PRESSES_0 = 550  # of 1,000 people who answer

# SIP response and Q.850 cause of a code (contract 4.3).
SIGNALS: dict[int, tuple[int | None, int | None]] = {
    NO_ANSWER: (408, 18),
    BUSY: (486, 17),
    NOT_IN_SERVICE: (404, 1),
    4: (408, 102),
    LIVE: (200, 16),
    MACHINE: (200, 16),
    FAX: (200, 16),
    PBX: (200, 16),
    PRECONNECT: (200, 16),
    FAST_BUSY: (503, 34),
    17: (480, 18),
    -13: (503, 3),
    -26: (503, 41),
}
ANSWERED = {LIVE: "HUMAN", MACHINE: "MACHINE", FAX: "FAX", PBX: "UNKNOWN", PRECONNECT: "UNKNOWN"}
CALL_ERRORS = {-25: "SUBSYSTEM_FAILURE", 10: "CALL_FAILED", -14: "CALL_NOT_CREATED"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call goes, in seconds of the town's own time."""

    code: int
    ring_seconds: float
    talk_seconds: float = 0.0
    presses_0: bool = False


def find_reserved(number: str) -> int | None:
    """100 to 199 for a reserved number, else None."""
    if number[5:9] == "5550" and number[9:10] == "1" and number[9:12].isdigit():
        return int(number[9:12])
    return None


def find_refusal(number: str) -> int | None:
    """The code with which a reserved number is refused at submission, or None."""
    reserved = find_reserved(number)
    return None if reserved is None else REFUSALS.get(reserved)


def _draw(seed: int, *key: object) -> Iterator[int]:
    """Numbers from 0 to 65,535 that depend on the key alone."""
    text = repr((seed, *key)).encode()
    digest = blake2b(text, digest_size=16).digest()
    return (int.from_bytes(digest[at : at + 2], "big") for at in range(0, 16, 2))


def _pick(draw: int, table: Sequence[tuple[int, int]], default: int) -> int:
    place = draw * 1000 // 65536
    for share, value in table:
        if place < share:
            return value
        place -= share
    return default


def decide_call(number: str, extension: str | None, attempt: int, seed: int) -> Outcome:
    """How attempt `attempt` (from 1) at a number goes: code, ringing and talking time, and whether
    somebody presses 0. With an extension, what answers is the switchboard behind the number."""
    draws = _draw(seed, "call", number, extension or "", attempt)
    ring, patience, pick, press = (next(draws) for _ in range(4))
    reserved = find_reserved(number)
    if reserved is not None:
        code, presses_0 = _reserved_call(reserved, attempt)
    else:
        dead = _pick(next(_draw(seed, "number", number)), ORDINARY_DEAD, LIVE)
        code = dead if dead != LIVE else _pick(pick, ORDINARY_ATTEMPT, NO_ANSWER)
        presses_0 = code == LIVE and press * 1000 // 65536 < PRESSES_0
    if extension and code in (LIVE, MACHINE):
        code = PBX if reserved is not None and reserved % 2 == 0 else PRECONNECT
    rings = {NO_ANSWER: 30.0, BUSY: 1.0, NOT_IN_SERVICE: 2.0, FAST_BUSY: 1.0}
    ring_seconds = rings.get(code, 4.0 + ring / 65536 * 16.0)
    listens = 0.3 + 0.7 * patience / 65536  # the part of the message that is heard
    return Outcome(code, ring_seconds, listens if code in ANSWERED else 0.0, presses_0)


def _reserved_call(reserved: int, attempt: int) -> tuple[int, bool]:
    ten, last = divmod(reserved - 100, 10)
    by_ten: dict[int, tuple[int, bool]] = {
        0: (LIVE, True),
        1: (LIVE, False),
        2: (MACHINE, False),
        3: (BUSY, False) if attempt == 1 else (LIVE, True),
        4: (NO_ANSWER, False),
        5: (NOT_IN_SERVICE, False),
        6: (FAX if last < 5 else FAST_BUSY, False),
        8: (RARE_CODES[last], False),
    }
    if ten in by_ten:
        return by_ten[ten]
    if ten == 7:
        later = (LIVE, False) if attempt > 2 else (NO_ANSWER, False)
        return (BUSY, False) if last < 5 else later
    return (UNLISTED_CODE, False) if last == 9 else (LIVE, last == 2)


def decide_text(number: str, attempt: int, seed: int) -> list[tuple[float, int]]:
    """What becomes of a text: (seconds since the step before, code), the first at once."""
    draws = _draw(seed, "text", number, attempt)
    sending, delivery, pick = next(draws), next(draws), next(draws)
    to_send, to_deliver = 1.0 + sending / 65536 * 4.0, 3.0 + delivery / 65536 * 25.0
    delivered = [(0.0, QUEUED), (to_send, SENT), (to_deliver, DELIVERED)]
    unreported = delivered[:2]
    late = [(0.0, QUEUED), (to_send, SENT), (to_deliver, UNDELIVERED)]
    never = [(0.0, QUEUED), (to_send, UNDELIVERED)]
    failed = [(0.0, QUEUED), (to_send, TEXT_FAILED)]
    stopped = [(0.0, OPTED_OUT)]
    reserved = find_reserved(number)
    if reserved is not None:
        ways = [delivered] * 4 + [unreported, never, never, late, failed, delivered]
        special = {196: failed, 197: stopped, 198: late}
        return special.get(reserved, ways[(reserved - 100) // 10])
    place = pick * 1000 // 65536
    shares = [(820, delivered), (90, unreported), (40, late), (30, never), (12, failed)]
    for share, way in shares:
        if place < share:
            return way
        place -= share
    return stopped


class SimulatedLines:
    """Lines into the town. `speed` divides ringing, talking and text delays (ruling 35)."""

    def __init__(self, seed: int = 1, speed: float = 1.0) -> None:
        self.seed = seed
        self.speed = speed
        self._coming: list[tuple[float, int, Result]] = []
        self._order = count()

    def call(self, placement: Placement, now: float) -> None:
        number, extension = placement.number, placement.extension
        outcome = decide_call(number, extension, placement.attempt_number, self.seed)
        code, answered_by = outcome.code, ANSWERED.get(outcome.code)
        plays = code in (LIVE, PBX, PRECONNECT) or (code == MACHINE and placement.leave_message)
        if code == MACHINE and not placement.detect_machine:
            # Nobody listened for a machine, so it counts as a person (contract 4.1).
            code, answered_by, plays = LIVE, "UNKNOWN", True
        ring = placement.ring_seconds if code == NO_ANSWER else outcome.ring_seconds
        words = placement.machine_seconds if code == MACHINE else placement.talk_seconds
        talk = outcome.talk_seconds * words if plays else 1.0
        connected_at = now + ring / self.speed if answered_by else None
        at = connected_at + talk / self.speed if connected_at else now + ring / self.speed
        sip_code, cause = SIGNALS.get(outcome.code, (None, None))
        self._announce(
            Result(
                placement.attempt_id,
                at,
                code,
                answered_by=answered_by,
                digits=placement.confirm_digit if outcome.presses_0 else None,
                confirmed=outcome.presses_0,
                connected_at=connected_at,
                sip_code=sip_code,
                cause_q850=cause,
                call_error=CALL_ERRORS.get(code),
            )
        )

    def text(self, placement: Placement, now: float, after: int | None = None) -> bool:
        way = decide_text(placement.number, placement.attempt_number, self.seed)
        known = [code for _, code in way]
        done = known.index(after) + 1 if after in known else 0
        at = now
        for place, (seconds, code) in enumerate(way[done:], start=done + 1):
            at += seconds / self.speed
            last = place == len(way)
            self._announce(
                Result(placement.attempt_id, at, code, last, segments=placement.segments)
            )
        return done < len(way)

    def collect(self, now: float) -> list[Result]:
        results = []
        while self._coming and self._coming[0][0] <= now:
            results.append(heapq.heappop(self._coming)[2])
        return results

    def next_at(self) -> float | None:
        return self._coming[0][0] if self._coming else None

    def forget(self, attempt_ids: set[str]) -> None:
        self._coming = [item for item in self._coming if item[2].attempt_id not in attempt_ids]
        heapq.heapify(self._coming)

    def _announce(self, result: Result) -> None:
        heapq.heappush(self._coming, (result.at, next(self._order), result))
