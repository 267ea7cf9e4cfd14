"""The rows of Delivery Detail, worded by PostgreSQL: for reports as a stream, for pages by keyset.

One statement says what a row looks like (recipient, student, device, status, time), so that page,
PDF, CSV and DOCX cannot differ; formatting 100,000 rows in Python would cost more than all the rest
of a CSV. What the columns mean is the sources' (B4-16, B7-01 to B7-09); who may see the rows is
decided by the caller. Which rows are on a page is found by `sentlog.delivery_pages`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django.db import connection
from django.utils.translation import gettext as _

from messenger.models import Device
from sentlog.counting import FAILED, REACHED_SQL, SQL_PARAMETERS, scope_condition
from sentlog.words import code_text

# The page's status filter: a choice → the outcomes that it shows ('' is an open row).
STATUS_CHOICES: dict[str, tuple[str, ...]] = {
    "successful": ("successful",),
    "failed": tuple(sorted(FAILED)),
    "canceled": ("canceled",),
    "opted_out": ("opted_out",),
    "in_progress": ("",),
    "no_device": ("no_device", "not_eligible"),
}
# The page's filter by mark: recipients not contacted by phone (*), or values listed before (†).
NOT_CONTACTED, DUPLICATE = "not_contacted", "duplicate"
MARKS = (NOT_CONTACTED, DUPLICATE)


@dataclass(frozen=True)
class Selection:
    """Which rows: of a message, in some schools (None: the district), by device, mode, status, mark
    and the recipient's name.

    `mark` is one of `MARKS`; `name` holds beginnings of words of the name. `failed_only` keeps
    every row of recipients who had at least one failed device (B4-07); `row` is one row by its id,
    `recipients` are the people of a page that was found already.
    """

    message_id: int
    school_ids: tuple[int, ...] | None = None
    devices: tuple[str, ...] | None = None
    failed_only: bool = False
    status: str = ""
    mode: str = ""
    mark: str = ""
    name: str = ""
    row: int | None = None
    recipients: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Wording:
    """How rows are said: the zone of times, the marks, the codes that occur, private numbers.

    `star` marks recipients not contacted by phone (B5-08); `duplicate` follows a repeated value
    (B5-09), † or & by format.
    """

    zone: str
    codes: Mapping[int, str] = field(default_factory=dict)
    star: bool = True
    duplicate: str = " †"
    see_private: bool = False
    hour: str = "HH12"


class Line(NamedTuple):
    """One row of Delivery Detail, ready to be printed."""

    recipient: str
    student: str
    device: str
    status: str
    time: str


class PageRow(NamedTuple):
    """A line with what a page needs beside it."""

    recipient: str
    student: str
    device: str
    status: str
    time: str
    id: int
    outcome: str
    code: int | None
    confirmed: bool
    tries: int
    chain: int | None
    step: int | None


def words_of_codes(codes: Mapping[str, int]) -> dict[int, str]:
    """The texts of the codes that occur in a message (the keys of `Figures.codes`)."""
    return {int(code): code_text(int(code)) for code in codes}


def _given(alias: str) -> str:
    return f"coalesce(nullif({alias}.preferred_given_name, ''), {alias}.given_name)"


def _name(alias: str) -> str:
    """Last, First of a person, or what remains to be said of one who is gone."""
    given = _given(alias)
    return (
        f"coalesce(CASE WHEN {alias}.family_name = '' THEN {given} WHEN {given} = '' "
        f"THEN {alias}.family_name ELSE {alias}.family_name || ', ' || {given} END, %(gone)s)"
    )


# By recipient, then student, then device in the grid's order (B4-16). Every part has a value, so
# that a comparison of whole rows finds the next page. `sort_name` is a column that PostgreSQL keeps
# (migration 0010): Last First without case and accents. Who is gone from Census comes last.
GONE_LAST = "U&'\\+10FFFF'"
SORT_NAME = f"coalesce(p.sort_name, {GONE_LAST})"
_ORDER = f"""r.sort_name, d.recipient_id, coalesce(s.family_name, ''), coalesce({_given("s")}, ''),
    coalesce(d.student_id, 0), array_position(%(device_order)s::text[], d.device::text),
    d.mode = 'text', d.id"""

_PHONE = """CASE WHEN d.address LIKE '+1%%' AND length(d.address) = 12
    THEN '(' || substr(d.address, 3, 3) || ') ' || substr(d.address, 6, 3) || '-'
        || substr(d.address, 9)
    ELSE d.address END || CASE WHEN d.extension <> ''
    THEN ' ' || %(extension)s || ' ' || d.extension ELSE '' END"""


def _case(column: str, prefix: str, words: Mapping[Any, str], parameters: dict[str, Any]) -> str:
    """A CASE that says each value of a column in words; the words travel as parameters."""
    if not words:
        return "''"
    parts = []
    for number, (value, text) in enumerate(words.items()):
        parameters[f"{prefix}_value_{number}"] = value
        parameters[f"{prefix}_text_{number}"] = text
        parts.append(f"WHEN %({prefix}_value_{number})s THEN %({prefix}_text_{number})s")
    return f"CASE {column} {' '.join(parts)} ELSE '' END"


def _columns(wording: Wording, parameters: dict[str, Any]) -> str:
    devices = _case("d.device", "device", {d.value: str(d.label) for d in Device}, parameters)
    codes = _case("d.code", "code", wording.codes, parameters)
    # A known opt-out before sending is blank in the classic log.
    outcomes = _case(
        "d.outcome",
        "outcome",
        {
            "successful": _("Sent"),
            "failed": _("Failed"),
            "canceled": _("Canceled"),
            "expired": _("Expired"),
            "not_eligible": _("Not Eligible"),
            "no_device": _("No Device"),
            "unknown": _("Unknown"),
        },
        parameters,
    )
    star = "CASE WHEN r.reached THEN '' ELSE '*' END" if wording.star else "''"
    value = _PHONE
    if not wording.see_private:
        value = f"""CASE WHEN d.private THEN CASE d.mode WHEN 'email' THEN %(private_address)s
            ELSE %(private_number)s END ELSE {_PHONE} END"""
    parameters |= {
        "zone": wording.zone,
        "duplicate": wording.duplicate,
        "time_format": f"MM/DD/YYYY {wording.hour}:MI AM",
        "in_progress": _("In-Progress"),
        "text_sign": _("(text)"),
        "extension": _("ext."),
        "private_number": _("Private number"),
        "private_address": _("Private address"),
    }
    return f"""
        r.name || {star} AS recipient,
        CASE WHEN d.student_id IS NULL THEN '' ELSE {_name("s")} END AS student,
        {devices} || CASE WHEN d.mode IN ('none', 'inbox') THEN '' ELSE ' ' || {value}
            || CASE WHEN d.mode = 'text' THEN ' ' || %(text_sign)s ELSE '' END
            || CASE WHEN d.marked THEN %(duplicate)s ELSE '' END END AS device_text,
        CASE WHEN d.state <> 'done' THEN %(in_progress)s
            WHEN d.code IS NOT NULL AND d.mode IN ('voice', 'text') THEN {codes}
            ELSE {outcomes} END AS status_text,
        coalesce(to_char(d.result_at AT TIME ZONE %(zone)s, %(time_format)s), '') AS time_text"""


def duplicate_condition(school_ids: Collection[int] | None) -> str:
    """SQL: whether a row's address or number is listed above already (†).

    In the whole district the stored mark is right; in some schools the first row of a number may be
    another school's, so the mark is looked for among the rows of the scope: unmarked rows are the
    totals in every scope (B5-10). One look in an index for each row, cheap for a page.
    """
    if school_ids is None:
        return "(d.duplicate AND d.mode IN ('email', 'voice', 'text'))"
    return f"""(d.mode IN ('email', 'voice', 'text') AND EXISTS (
        SELECT FROM messenger_delivery e WHERE e.message_id = d.message_id AND e.mode = d.mode
            AND e.address = d.address AND e.id < d.id{scope_condition(school_ids, "e")}))"""


def row_conditions(selection: Selection) -> list[str]:
    """SQL: what a row `d` of the message must be to belong to the selection, names apart."""
    scope = scope_condition(selection.school_ids, "e")
    of_recipient = f"""SELECT FROM messenger_delivery e WHERE e.message_id = d.message_id
        AND e.recipient_id = d.recipient_id{scope}"""
    conditions = []
    if selection.devices is not None:
        conditions.append("d.device = ANY(%(devices)s)")
    if selection.mode:
        conditions.append("d.mode = %(mode)s")
    if selection.status:
        conditions.append("d.outcome = ANY(%(outcomes)s)")
    if selection.row is not None:
        conditions.append("d.id = %(row)s")
    if selection.mark == DUPLICATE:
        conditions.append(duplicate_condition(selection.school_ids))
    if selection.mark == NOT_CONTACTED:
        reached = REACHED_SQL.replace("d.", "e.")
        conditions.append(f"NOT EXISTS ({of_recipient} AND {reached})")
    return conditions


def parameters_of(selection: Selection) -> dict[str, Any]:
    """The parameters of the conditions."""
    return {
        **SQL_PARAMETERS,
        "message": selection.message_id,
        "schools": None if selection.school_ids is None else list(selection.school_ids),
        "devices": list(selection.devices or ()),
        "outcomes": list(STATUS_CHOICES.get(selection.status, ())),
        "mode": selection.mode,
        "row": selection.row,
        "recipients": list(selection.recipients or ()),
        "device_order": [device.value for device in Device],
    }


def _source(selection: Selection, parameters: dict[str, Any]) -> tuple[str, list[str]]:
    """The rows of the scope with their mark, joined with who is named in them: FROM and WHERE."""
    parameters |= parameters_of(selection) | {"gone": _("(no longer in Census)")}
    where = row_conditions(selection)
    scope = scope_condition(selection.school_ids)
    if selection.recipients is not None:
        return _of_people(duplicate_condition(selection.school_ids), scope), where
    of_message = f"FROM messenger_delivery d WHERE d.message_id = %(message)s{scope}"
    marked = duplicate_condition(None)
    if selection.school_ids is not None:
        # The same as `duplicate_condition` for all rows at once.
        marked = """d.mode IN ('email', 'voice', 'text')
            AND row_number() OVER (PARTITION BY d.mode, d.address ORDER BY d.id) > 1"""
    if selection.failed_only:
        device = "AND d.device = ANY(%(devices)s)" if selection.devices is not None else ""
        where.append(
            f"""d.recipient_id IN (SELECT d.recipient_id {of_message}
                AND d.outcome = ANY(%(failed)s) {device})"""
        )
    # Names are made once for a recipient, not once for a row: OFFSET 0 keeps the planner from
    # moving them up. A person who is gone leaves the row in place.
    joined = f"""
        FROM (SELECT d.*, {marked} AS marked {of_message}) d
        JOIN (
            SELECT g.recipient_id, g.reached, {_name("p")} AS name, {SORT_NAME} AS sort_name
            FROM (SELECT d.recipient_id, bool_or({REACHED_SQL}) AS reached {of_message}
                GROUP BY d.recipient_id) g
            LEFT JOIN messenger_person p ON p.id = g.recipient_id OFFSET 0
        ) r ON r.recipient_id = d.recipient_id
        LEFT JOIN messenger_person s ON s.id = d.student_id"""
    return joined, where


def _of_people(marked: str, scope: str) -> str:
    """The same for the people of a page: each one's rows by one look in an index. Asked for all of
    them at once, the planner, which knows nothing about a message, reads all of its rows."""
    return f"""
        FROM (
            SELECT d.*, {marked} AS marked,
                bool_or({REACHED_SQL}) OVER (PARTITION BY d.recipient_id) AS reached
            FROM unnest(%(recipients)s::bigint[]) person JOIN LATERAL (
                SELECT * FROM messenger_delivery d WHERE d.message_id = %(message)s
                    AND d.recipient_id = person OFFSET 0) d ON true WHERE true{scope}
        ) d
        JOIN LATERAL (
            SELECT d.reached, {_name("p")} AS name, {SORT_NAME} AS sort_name
            FROM (SELECT 1) one LEFT JOIN messenger_person p ON p.id = d.recipient_id
        ) r ON true
        LEFT JOIN messenger_person s ON s.id = d.student_id"""


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def lines_statement(
    selection: Selection, wording: Wording, *, more: str = "", joined: str = "", before: str = ""
) -> tuple[str, dict[str, Any]]:
    """The statement of all lines in the report's order, and its parameters.

    `more` are columns after the five of a line, `joined` is what they need beside the row `d`, and
    `before` comes before the order by recipient.
    """
    parameters: dict[str, Any] = {}
    columns = _columns(wording, parameters)
    source, where = _source(selection, parameters)
    return (
        f"SELECT {columns}{more} {source} {joined}{_where(where)} ORDER BY {before}{_ORDER}",
        parameters,
    )


def count_lines(selection: Selection) -> int:
    """How many lines there will be, for the progress bar of a report."""
    parameters: dict[str, Any] = {}
    source, where = _source(selection, parameters)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {source}{_where(where)}", parameters)
        return int(cursor.fetchone()[0])


def rows_statement(
    selection: Selection, wording: Wording, after: int | None, size: int
) -> tuple[str, dict[str, Any]]:
    """The statement of at most `size` rows that follow the row with id `after`, as `PageRow`."""
    parameters: dict[str, Any] = {"after": after, "size": size}
    columns = _columns(wording, parameters)
    source, where = _source(selection, parameters)
    if after is not None:
        where.append(
            f"""({_ORDER}) > (SELECT {_ORDER} FROM messenger_delivery d
                LEFT JOIN LATERAL (SELECT {SORT_NAME} AS sort_name FROM (SELECT 1) one
                    LEFT JOIN messenger_person p ON p.id = d.recipient_id) r ON true
                LEFT JOIN messenger_person s ON s.id = d.student_id
                WHERE d.message_id = %(message)s AND d.id = %(after)s)"""
        )
    return (
        f"""SELECT {columns}, d.id, d.outcome, d.code, d.confirmed, d.tries, d.chain, d.step
        {source}{_where(where)} ORDER BY {_ORDER} LIMIT %(size)s""",
        parameters,
    )
