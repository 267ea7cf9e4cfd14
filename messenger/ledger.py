"""The only writer of launch plans, deliveries and attempts: plan, expand, close. What a provider
reports is written by its other half, `messenger.results`.

Every statement here works on sets and says why it is written as it is; the ORM reads and does the
small things. `Message.status` is not written here (`lifecycle` does), and what a channel sends is
not known here: rows carry a chain and a step, and whoever reports a result names them.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper

from messenger.audience import placing, resolve
from messenger.audience.criteria import STAFF, Criteria
from messenger.models import ContactReason, District, LaunchSlice, Message, Mode
from messenger.models.delivery import ROWS_PER_SLICE
from messenger.results import BEST_FIRST, results_changed


class LedgerError(Exception):
    """The ledger would have broken one of its own rules; nothing was written."""


# ------------------------------------------------------------------------------------- the plan


def store_plan(message: Message, today: date) -> int:
    """Writes the message's launch plan, once: slices of whole families, staff after them.

    Returns the number of slices. Runs in the launch's transaction; ids never pass through Python.
    """
    criteria = Criteria.from_json(message.criteria)
    parameters = query_parameters(message, criteria, today)
    with connection.cursor() as cursor:
        # 200,000 students are hashed and sorted in memory, not in files as at the default 4 MB.
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        for kind, rows in (
            (LaunchSlice.Kind.STUDENTS, resolve.plan_students(criteria)),
            (LaunchSlice.Kind.STAFF, resolve.plan_staff() if STAFF in criteria.deliver_to else ""),
        ):
            if not rows:
                continue
            cursor.execute(
                f"""
                INSERT INTO messenger_launchslice
                    (message_id, number, kind, person_ids, state, deliveries, chains)
                SELECT %(message)s, number + (SELECT coalesce(max(number) + 1, 0)
                    FROM messenger_launchslice WHERE message_id = %(message)s),
                    %(kind)s, person_ids, 'planned', 0, 0
                FROM ({rows}) plan""",
                {**parameters, "kind": kind},
            )
        cursor.execute(
            "SELECT count(*) FROM messenger_launchslice WHERE message_id = %s", [message.pk]
        )
        return int(cursor.fetchone()[0])


def query_parameters(message: Message, criteria: Criteria, today: date) -> dict[str, Any]:
    """The named parameters of `audience.resolve` for a message, as frozen at confirm."""
    return audience_parameters(
        criteria,
        today,
        ContactReason(message.contact_reason),
        message.modes.values_list("mode", flat=True),
        message.settings_frozen.get("device_order"),
    ) | {"message": message.pk}


def audience_parameters(
    criteria: Criteria,
    today: date,
    reason: ContactReason,
    modes: Iterable[str],
    device_order: list[str] | None = None,
) -> dict[str, Any]:
    """The named parameters of `audience.resolve`; without an order the district's own."""
    return {
        "schools": list(criteria.school_ids),
        "grades": list(criteria.grades),
        "today": today,
        "bit": reason.bit,
        "modes": list(modes),
        "device_order": device_order
        or District.current().device_order
        or resolve.DEFAULT_DEVICE_ORDER,
    }


# ------------------------------------------------------------------------------------ expansion


def prepare(message: Message, launch_slice: LaunchSlice, today: date) -> None:
    """Works out the rows of a slice: who, about whom, by which device, on which chain and step.

    Leaves them in the temporary table `expansion` of this connection and its transaction; locks and
    changes nothing, so that one slice is prepared while the one before it is written. Devices are
    found, ordered and compared once for each person, then joined to the students and numbered over
    one sort of plain numbers. Ids follow that sort, so that the lowest id of a number is its first
    row (ruling 8).
    """
    criteria = Criteria.from_json(message.criteria)
    parameters = query_parameters(message, criteria, today) | {
        "people": launch_slice.person_ids,
        "base": launch_slice.number * ROWS_PER_SLICE,
    }
    of_staff = launch_slice.kind == LaunchSlice.Kind.STAFF
    links = resolve.staff_links() if of_staff else resolve.links(criteria)
    with_text = Mode.TEXT in parameters["modes"]
    with connection.cursor() as cursor:
        # Sorts and hashes of a slice fit into 64 MB and would spill at the default 4. Nested loops:
        # see `resolve.devices`. Compiling the statement (jit) would take longer than running it.
        cursor.execute(
            """SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off;
            DROP TABLE IF EXISTS expansion"""
        )
        cursor.execute(
            f"""
            CREATE TEMPORARY TABLE expansion ON COMMIT DROP AS
            WITH students AS MATERIALIZED ({resolve.students_of_slice(criteria)}),
            links AS MATERIALIZED ({links}),
            {placing.placed_devices(with_text)},
            lines AS ({placing.numbered_lines(with_text)})
            SELECT %(base)s + line AS id, recipient_id, student_id, school_id, point,
                %(base)s + chain AS chain, CASE WHEN kind IS NOT NULL THEN step END AS step,
                repeated, private, role, mode, device, value, extension, verdict
            FROM lines""",
            parameters,
        )
        _refuse_strangers(cursor)
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


def write_prepared(message: Message, launch_slice: LaunchSlice, now: datetime) -> int:
    """Inserts what `prepare` left. Returns the number of rows.

    Runs inside the transaction that locks the slice (ruling 14). Every earlier slice must have been
    written: a number that one of them has is no first row here (B5-09), and a text to it goes out
    once.
    """
    first_slice = launch_slice.number == 0
    with_text = message.modes.filter(mode=Mode.TEXT).exists()
    twin, chain_and_step = "", "e.chain, e.step"
    if with_text and not first_slice:
        twin = _EARLIER_TEXT
        chain_and_step = "coalesce(twin.chain, e.chain), coalesce(twin.step, e.step)"
    with connection.cursor() as cursor:
        # The table was filled in the order of its ids and is read as it lies.
        cursor.execute(
            f"""
            INSERT INTO messenger_delivery
                (message_id, id, recipient_id, student_id, school_id, contact_point_id, chain, step,
                 code, tries, duplicate, confirmed, private, role, mode, device, address, extension,
                 state, outcome, reason, result_at)
            SELECT %(message)s, e.id, e.recipient_id, e.student_id, e.school_id, e.point,
                {chain_and_step},
                CASE e.verdict WHEN 'invalid_number' THEN -2 WHEN 'do_not_contact' THEN -3 END,
                0, e.repeated OR {"false" if first_slice else _EARLIER_ROW}, false, e.private,
                e.role, e.mode, e.device, e.value, e.extension,
                CASE WHEN e.verdict = '' THEN 'pending' ELSE 'done' END,
                CASE e.verdict WHEN '' THEN '' WHEN 'opted_out' THEN 'opted_out'
                    WHEN 'extension' THEN 'not_eligible' WHEN 'no_device' THEN 'no_device'
                    ELSE 'failed' END,
                e.verdict, CASE WHEN e.verdict NOT IN ('', 'no_device') THEN %(now)s END
            FROM expansion e {twin}""",
            {"message": message.pk, "now": now},
        )
        written = int(cursor.rowcount)
    if written >= ROWS_PER_SLICE:
        raise LedgerError(f"slice {launch_slice.number} has {written} rows: ids would overlap")
    return written


def _refuse_strangers(cursor: CursorWrapper) -> None:
    """The hot tables have no checked foreign keys (they cost 23 s instead of 3 for a million rows);
    this is the one check instead: every recipient, student and school of the slice exists."""
    cursor.execute(
        """
        WITH named AS MATERIALIZED (
            SELECT recipient_id AS id FROM expansion
            UNION SELECT student_id FROM expansion WHERE student_id IS NOT NULL
        )
        SELECT (SELECT count(*) FROM named n LEFT JOIN messenger_person p
                ON p.id = n.id AND p.id = ANY(ARRAY(SELECT id FROM named)) WHERE p.id IS NULL)
            + (SELECT count(*) FROM (SELECT DISTINCT school_id FROM expansion) e
                LEFT JOIN messenger_school c ON c.id = e.school_id
                WHERE e.school_id IS NOT NULL AND c.id IS NULL)"""
    )
    if strangers := cursor.fetchone()[0]:
        raise LedgerError(f"{strangers} people or schools of the slice do not exist")


# Whether a row repeats a (mode, number) of an earlier slice (B5-09). Families are whole in a slice,
# so it finds little. Written as a scalar look-up in the unique index on purpose: an EXISTS is made
# into a hash of all rows that the message has so far, which every slice would build again. Slices
# are expanded in order, so that what is there already is earlier.
_EARLIER_ROW = """(e.mode <> 'none' AND (SELECT true FROM messenger_delivery d
        WHERE d.message_id = %(message)s AND d.mode = e.mode AND d.address = e.value LIMIT 1)
    IS NOT NULL)"""

# A text to a number that an earlier slice texts already hangs on that step: it goes out once. Its
# result may be there before this row is; `settle` gives the row what its step got.
_EARLIER_TEXT = """LEFT JOIN LATERAL (
        SELECT d.chain, d.step FROM messenger_delivery d
        WHERE d.message_id = %(message)s AND d.mode = 'text' AND e.mode = 'text'
            AND e.verdict = '' AND d.address = e.value AND d.extension = e.extension
            AND d.chain IS NOT NULL
        ORDER BY d.id LIMIT 1) twin ON true"""


# -------------------------------------------------------------------------------------- closing


def settle(message_id: int, now: datetime) -> int:
    """Gives open rows of a message what their step already got. Returns the number of rows.

    Needed once, at the end: a row of a later slice may hang on a step whose result came first, and
    a step whose last try was pending (code 17, -39) ends with that code.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH open AS (
                SELECT id, chain, step FROM messenger_delivery
                WHERE message_id = %(message)s AND state <> 'done' AND chain IS NOT NULL
            ), best AS (
                SELECT DISTINCT ON (a.chain, a.step) a.chain, a.step, a.code, a.outcome,
                    a.confirmed, a.reason, coalesce(a.ended_at, a.occurred_at) AS result_at,
                    count(*) OVER (PARTITION BY a.chain, a.step) AS tries
                FROM messenger_attempt a
                WHERE a.message_id = %(message)s
                    AND (a.chain, a.step) IN (SELECT chain, step FROM open)
                ORDER BY a.chain, a.step, {BEST_FIRST}
            )
            UPDATE messenger_delivery d SET state = 'done',
                outcome = coalesce(nullif(b.outcome, ''), 'failed'), code = b.code,
                confirmed = b.confirmed, reason = b.reason, result_at = b.result_at, tries = b.tries
            FROM open o JOIN best b ON b.chain = o.chain AND b.step = o.step
            WHERE d.message_id = %(message)s AND d.id = o.id""",
            {"message": message_id},
        )
        rows = cursor.rowcount
        if rows:
            results_changed(cursor, [message_id], now)
    return int(rows)


def close_open_rows(
    message_id: int,
    *,
    modes: Iterable[str],
    outcome: str,
    reason: str,
    now: datetime,
    code: int | None = None,
    chains: tuple[int, int] | None = None,
    untried_only: bool = False,
) -> int:
    """Ends every open row of these modes (of the chains from..to when given). Returns the rows.

    For what will never have a result of its own: canceled before it left, expired, refused.
    """
    where, parameters = "", {}
    if chains is not None:
        where, parameters = (
            " AND chain BETWEEN %(first)s AND %(last)s",
            {
                "first": chains[0],
                "last": chains[1],
            },
        )
    if untried_only:
        where += " AND tries = 0"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE messenger_delivery SET state = 'done', outcome = %(outcome)s, code = %(code)s,
                reason = %(reason)s, result_at = %(now)s
            WHERE message_id = %(message)s AND state <> 'done' AND mode = ANY(%(modes)s){where}""",
            {
                "message": message_id,
                "modes": list(modes),
                "outcome": outcome,
                "code": code,
                "reason": reason,
                "now": now,
                **parameters,
            },
        )
        rows = cursor.rowcount
        if rows:
            results_changed(cursor, [message_id], now)
    return int(rows)


def recheck(message_id: int, chains: tuple[int, int], today: date, now: datetime) -> int:
    """Takes back what may no longer be said since the chains were frozen (ruling 5): numbers on
    do-not-contact, texts after STOP, relationships that ended. Returns the rows closed.

    Called for a batch that was never sent, in the transaction that claims it (ruling 22).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH judged AS (
                SELECT d.id, CASE
                    WHEN EXISTS (SELECT 1 FROM messenger_donotcontact x
                        WHERE x.value = d.address AND x.mode = d.mode) THEN 'do_not_contact'
                    WHEN d.mode = 'text' AND EXISTS (SELECT 1 FROM messenger_textconsent t
                        WHERE t.number = d.address AND t.state = 'opted_out') THEN 'opted_out'
                    WHEN d.role = 'contact' AND NOT EXISTS (
                        SELECT 1 FROM messenger_relationship r
                        WHERE r.student_id = d.student_id AND r.guardian_id = d.recipient_id
                            AND r.messenger AND r.active
                            AND (r.end_date IS NULL OR r.end_date >= %(today)s))
                        THEN 'relationship_ended'
                    END AS verdict
                FROM messenger_delivery d
                WHERE d.message_id = %(message)s AND d.chain BETWEEN %(first)s AND %(last)s
                    AND d.state <> 'done'
            )
            UPDATE messenger_delivery d SET state = 'done', reason = j.verdict, result_at = %(now)s,
                code = CASE j.verdict WHEN 'do_not_contact' THEN -3 END,
                outcome = CASE j.verdict WHEN 'opted_out' THEN 'opted_out'
                    WHEN 'relationship_ended' THEN 'canceled' ELSE 'failed' END
            FROM judged j
            WHERE j.verdict IS NOT NULL AND d.message_id = %(message)s AND d.id = j.id""",
            {
                "message": message_id,
                "first": chains[0],
                "last": chains[1],
                "today": today,
                "now": now,
            },
        )
        rows = cursor.rowcount
        if rows:
            results_changed(cursor, [message_id], now)
    return int(rows)


def count_open(message_id: int, modes: Iterable[str]) -> int:
    """How many rows of these modes still wait for their end."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM messenger_delivery
            WHERE message_id = %s AND state <> 'done' AND mode = ANY(%s)""",
            [message_id, list(modes)],
        )
        return int(cursor.fetchone()[0])
