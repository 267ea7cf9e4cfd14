"""What each total of the classic log means: pure definitions, and the one statement that counts.

The definitions (`was_attempted`, `reached_by_phone`, `count_rows` ...) work on plain rows and are
the oracle of the tests; `count` asks PostgreSQL for the same figures of millions of rows. Where and
how long figures are kept is `sentlog.summary`'s business; how they are printed is the pages'.

The sources count the totals of a mode by number or address and people by person (B5-09 to B5-22),
so there are two aggregates over hashes, one keyed by (mode, address), one by recipient, beside a
count by device and outcome. Every figure is exact for the whole district and for any set of schools
alike, because none of them trusts the stored duplicate mark: that mark is for the printed rows, and
a test holds it against these totals (B5-10).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from django.db import connection, transaction

PHONE_MODES = frozenset({"voice", "text"})
# Modes whose totals count unique values: addresses for email, numbers for voice and text.
VALUE_MODES = frozenset({"email", "voice", "text"})

# Status types that "Attempted" leaves out: Cancelled (B5-20), opted out (B5-21, X-22, also when the
# provider was the one who said so), and rows that had nothing to send to.
NEVER_ATTEMPTED = frozenset({"canceled", "opted_out", "not_eligible", "no_device"})
# Reasons of rows that were closed at expansion or at hand-over and never left the house: the number
# was not one, or its owner must not be contacted. Their status is a failure, but nothing was tried.
CLOSED_BEFORE_HAND_OVER = frozenset({"invalid_number", "do_not_contact", "extension"})
# What a failed device is (B4-07). Canceled is not (B3-13); neither is an opt-out, which is a wish.
FAILED = frozenset({"failed", "expired", "unknown"})


class Row(NamedTuple):
    """What counting needs to know of one delivery row."""

    recipient: int
    mode: str
    address: str
    device: str
    state: str
    outcome: str
    reason: str = ""
    confirmed: bool = False
    tries: int = 0


def was_attempted(row: Row) -> bool:
    """Whether the message tried to reach the row's number or address (B3-09, B3-10, B5-20, B5-21).

    True once it was handed over or tried, and for every end but those of `NEVER_ATTEMPTED`: an
    expired call (-11) was given to the dialer and counts, since only Cancelled is left out. A
    number is attempted when any of its rows is: a canceled twin does not hide it (ruling 8).
    """
    if row.outcome in NEVER_ATTEMPTED:
        return False
    if row.tries > 0 or row.state == "submitted":
        return True
    return row.state == "done" and row.reason not in CLOSED_BEFORE_HAND_OVER


def reached_by_phone(row: Row) -> bool:
    """Whether this row alone makes its recipient "contacted successfully by phone".

    B5-02 to B5-07: which codes are successful is the table's word (`voice.outcomes`), stored as the
    row's outcome. A confirmed call counts whatever its code (B5-04); a queued text is pending and
    does not count (X-11).
    """
    return row.mode in PHONE_MODES and (row.confirmed or row.outcome == "successful")


def in_an_inbox(row: Row) -> bool:
    """Whether an inbox has the message or is about to have it (B5-16): not when that row ended
    otherwise, canceled for instance."""
    return row.mode == "inbox" and row.outcome in ("", "successful")


@dataclass(frozen=True)
class Figures:
    """The totals of one message for one scope; people, numbers and rows as each name says.

    `devices` counts rows by device, `outcomes` rows by outcome (open rows under ``""``), `codes`
    rows by call status code as text. Invariants (X-41): contacted + not contacted = recipients, no
    device ≤ not contacted, attempted ≤ total of the mode, rows = sum of `devices`.
    """

    total_recipients: int = 0
    total_no_device: int = 0
    total_inbox: int = 0
    total_emails: int = 0
    total_voice: int = 0
    total_text: int = 0
    total_emails_attempted: int = 0
    total_voice_attempted: int = 0
    total_text_attempted: int = 0
    contacted: int = 0
    rows: int = 0
    rows_done: int = 0
    devices: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def not_contacted(self) -> int:
        """Recipients not contacted by phone (B5-22)."""
        return self.total_recipients - self.contacted

    @property
    def rows_open(self) -> int:
        return self.rows - self.rows_done

    @property
    def total_voice_text(self) -> int:
        """The screen's combined total: a number used for both modes counts once in each (X-9)."""
        return self.total_voice + self.total_text

    @property
    def total_voice_text_attempted(self) -> int:
        return self.total_voice_attempted + self.total_text_attempted

    @property
    def rows_failed(self) -> int:
        return sum(self.outcomes.get(outcome, 0) for outcome in FAILED)

    @property
    def rows_canceled(self) -> int:
        return self.outcomes.get("canceled", 0)

    @property
    def rows_successful(self) -> int:
        return self.outcomes.get("successful", 0)

    @property
    def percent_done(self) -> int:
        """How much of the message is final, in whole percent: 100 only when nothing is open."""
        return 100 if not self.rows_open else min(99, self.rows_done * 100 // self.rows)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Figures":
        return cls(**stored)


def count_rows(rows: Iterable[Row]) -> Figures:
    """The figures of these rows, by the definitions above and nothing else (the oracle)."""
    attempted: dict[tuple[str, str], bool] = defaultdict(bool)
    reached: dict[int, bool] = defaultdict(bool)
    has_device: dict[int, bool] = defaultdict(bool)
    inboxes: set[int] = set()
    devices: dict[str, int] = defaultdict(int)
    outcomes: dict[str, int] = defaultdict(int)
    total = done = 0
    for row in rows:
        total += 1
        done += row.state == "done"
        devices[row.device] += 1
        outcomes[row.outcome] += 1
        reached[row.recipient] |= reached_by_phone(row)
        has_device[row.recipient] |= row.mode != "none"
        if in_an_inbox(row):
            inboxes.add(row.recipient)
        if row.mode in VALUE_MODES:
            attempted[row.mode, row.address] |= was_attempted(row)

    def totals(mode: str) -> tuple[int, int]:
        tried = [was for (of, _value), was in attempted.items() if of == mode]
        return len(tried), sum(tried)

    emails, voice, text = totals("email"), totals("voice"), totals("text")
    return Figures(
        total_recipients=len(reached),
        total_no_device=sum(not has for has in has_device.values()),
        total_inbox=len(inboxes),
        total_emails=emails[0],
        total_voice=voice[0],
        total_text=text[0],
        total_emails_attempted=emails[1],
        total_voice_attempted=voice[1],
        total_text_attempted=text[1],
        contacted=sum(reached.values()),
        rows=total,
        rows_done=done,
        devices=dict(devices),
        outcomes=dict(outcomes),
    )


def scope_condition(school_ids: Collection[int] | None, alias: str = "d") -> str:
    """SQL that limits rows to schools (parameter `schools`); `None` is the whole district.

    No schools at all match nothing. Rows of staff without a school belong to the district alone.
    """
    return "" if school_ids is None else f" AND {alias}.school_id = ANY(%(schools)s)"


# The definitions above, in SQL; the property test holds the two against each other.
REACHED_SQL = "(d.mode IN ('voice', 'text') AND (d.confirmed OR d.outcome = 'successful'))"
_ATTEMPTED_SQL = """(d.outcome <> ALL(%(never_attempted)s) AND (d.tries > 0
    OR d.state = 'submitted' OR (d.state = 'done' AND d.reason <> ALL(%(before_hand_over)s))))"""
FAILED_SQL = "d.outcome = ANY(%(failed)s)"
SQL_PARAMETERS: dict[str, Any] = {
    "never_attempted": sorted(NEVER_ATTEMPTED),
    "before_hand_over": sorted(CLOSED_BEFORE_HAND_OVER),
    "failed": sorted(FAILED),
}


def count(
    message_id: int, school_ids: Collection[int] | None = None, table: str = "messenger_delivery"
) -> Figures:
    """The figures of a message, exact, in one statement (P7): for the district, or some schools.
    `table` may name a copy of its rows (`sentlog.retention`).

    64 MB of work memory keep both hashes of a million rows out of temporary files (4 MB is the
    default and made each aggregate spill).
    """
    rows = f"{table} d WHERE d.message_id = %(message)s{scope_condition(school_ids)}"
    statement = f"""
        SELECT
            (SELECT json_object_agg(mode, json_build_array(total, attempted)) FROM (
                SELECT mode, count(*) AS total, count(*) FILTER (WHERE attempted) AS attempted
                FROM (
                    SELECT d.mode, d.address, bool_or({_ATTEMPTED_SQL}) AS attempted
                    FROM {rows} AND d.mode IN ('email', 'voice', 'text')
                    GROUP BY d.mode, d.address
                ) by_value GROUP BY mode
            ) by_mode),
            (SELECT json_build_array(count(*), count(*) FILTER (WHERE reached),
                    count(*) FILTER (WHERE NOT has_device), count(*) FILTER (WHERE in_inbox)) FROM (
                SELECT bool_or({REACHED_SQL}) AS reached, bool_or(d.mode <> 'none') AS has_device,
                    bool_or(d.mode = 'inbox' AND d.outcome IN ('', 'successful')) AS in_inbox
                FROM {rows} GROUP BY d.recipient_id
            ) by_person),
            (SELECT json_agg(json_build_array(device, outcome, code, rows)) FROM (
                SELECT d.device, d.outcome, d.code, count(*) AS rows
                FROM {rows} GROUP BY d.device, d.outcome, d.code
            ) by_kind)"""
    parameters = {
        **SQL_PARAMETERS,
        "message": message_id,
        "schools": None if school_ids is None else list(school_ids),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute(statement, parameters)
        by_mode, by_person, by_kind = cursor.fetchone()
    return _assembled(by_mode or {}, by_person, by_kind or [])


def _assembled(
    by_mode: dict[str, list[int]],
    by_person: list[int],
    by_kind: list[tuple[str, str, int | None, int]],
) -> Figures:
    devices: dict[str, int] = defaultdict(int)
    outcomes: dict[str, int] = defaultdict(int)
    codes: dict[str, int] = defaultdict(int)
    for device, outcome, code, rows in by_kind:
        devices[device] += rows
        outcomes[outcome] += rows
        if code is not None:
            codes[str(code)] += rows
    total = sum(devices.values())
    emails, voice, text = (by_mode.get(mode, [0, 0]) for mode in ("email", "voice", "text"))
    return Figures(
        total_recipients=by_person[0],
        contacted=by_person[1],
        total_no_device=by_person[2],
        total_inbox=by_person[3],
        total_emails=emails[0],
        total_voice=voice[0],
        total_text=text[0],
        total_emails_attempted=emails[1],
        total_voice_attempted=voice[1],
        total_text_attempted=text[1],
        rows=total,
        # A row has an outcome exactly when it is done (check constraint of the ledger).
        rows_done=total - outcomes.get("", 0),
        devices=dict(devices),
        outcomes=dict(outcomes),
        codes=dict(codes),
    )
