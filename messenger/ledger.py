"""The only writer of launch plans, deliveries and attempts: plan, expand, close. What a provider
reports is written by its other half, `messenger.results`.

Every statement here works on sets and says why it is written as it is; the ORM reads and does the
small things. `Message.status` is not written here (`lifecycle` does), and what a channel sends is
not known here: rows carry a chain and a step, and whoever reports a result names them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import Max

from messenger.audience import placing, resolve
from messenger.audience.criteria import CONTACTS, STAFF, STUDENTS, Criteria
from messenger.audience.placing import Bundling
from messenger.models import ContactReason, District, LaunchSlice, Message, Mode
from messenger.models.delivery import ROWS_PER_SLICE
from messenger.results import BEST_FIRST, results_changed


class LedgerError(Exception):
    """The ledger would have broken one of its own rules; nothing was written."""


# ------------------------------------------------------------------------------------- the plan


def store_plan(message: Message, today: date) -> int:
    """Writes the message's launch plan, once: slices of whole families, staff after them; each
    only when someone of them is told.

    Returns the number of slices. Runs in the launch's transaction; ids never pass through Python.
    """
    criteria = Criteria.from_json(message.criteria)
    parameters = query_parameters(message, criteria, today)
    of_students = {CONTACTS, STUDENTS} & set(criteria.deliver_to)
    with connection.cursor() as cursor:
        # 200,000 students are hashed and sorted in memory, not in files as at the default 4 MB.
        cursor.execute("SET LOCAL work_mem = '64MB'; SET LOCAL jit = off")
        for kind, rows in (
            (LaunchSlice.Kind.STUDENTS, resolve.plan_students(criteria) if of_students else ""),
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


@dataclass(frozen=True)
class Written:
    """What `write_slice` inserted: its number of rows, and the first slice that it could not see
    and has not been compared with."""

    rows: int
    unseen: int


def write_slice(message: Message, launch_slice: LaunchSlice, now: datetime, today: date) -> Written:
    """Works out the rows of a slice and inserts them: who, about whom, by which device, on which
    chain and step.

    Devices are found, ordered and compared once for each person, then joined to the students and
    numbered over one sort of plain numbers. Ids follow that sort, so that the lowest id of a number
    is its first row (ruling 8). Rows are compared with every slice that is committed by now: a
    number that an earlier one has is no first row here (B5-09), and a text to it goes out once
    (ruling 9), as does a call that is bundled by number: the plan's order says whose it is.

    Locks nothing and may run before the slices before this one are committed; `join_latest` must
    follow when they are.
    """
    criteria = Criteria.from_json(message.criteria)
    parameters = query_parameters(message, criteria, today) | {
        "people": launch_slice.person_ids,
        "base": launch_slice.number * ROWS_PER_SLICE,
        "now": now,
    }
    of_staff = launch_slice.kind == LaunchSlice.Kind.STAFF
    links = resolve.staff_links() if of_staff else resolve.links(criteria)
    with_text = Mode.TEXT in parameters["modes"]
    bundling = bundling_of(message)
    if bundling == Bundling.RECIPIENT:
        parameters["zone"] = District.current().time_zone
    unseen = _first_unseen(launch_slice)
    repeated, twin, chain, step = "e.repeated", "", "%(base)s + e.chain", "e.step"
    earlier = ""
    if unseen:
        earlier = _EARLIER_NUMBERS
        repeated = "e.repeated OR (e.mode, e.value) IN (SELECT mode, address FROM earlier)"
        if with_text or bundling == Bundling.NUMBER:
            twin = _EARLIER_STEP.format(alike=_ALIKE[bundling == Bundling.NUMBER])
            chain = f"coalesce(twin.chain, {chain})"
            step = "coalesce(twin.step, e.step)"
    with connection.cursor() as cursor:
        # Sorts and hashes of a slice fit into 64 MB and would spill at the default 4. Nested loops:
        # see `resolve.devices`. Compiling the statement (jit) would take longer than running it.
        cursor.execute(
            "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"
        )
        cursor.execute(
            f"""
            WITH students AS MATERIALIZED ({resolve.students_of_slice(criteria)}),
            links AS MATERIALIZED ({links}),
            {placing.placed_devices(with_text, bundling)},
            lines AS ({placing.numbered_lines(with_text, bundling)}){earlier}
            INSERT INTO messenger_delivery
                (message_id, id, recipient_id, student_id, school_id, contact_point_id, chain, step,
                 code, tries, duplicate, confirmed, private, role, mode, device, address, extension,
                 state, outcome, reason, result_at)
            SELECT %(message)s, %(base)s + e.line, e.recipient_id, e.student_id, e.school_id,
                e.point, {chain}, CASE WHEN e.kind IS NOT NULL THEN {step} END,
                CASE e.verdict WHEN 'invalid_number' THEN -2 WHEN 'do_not_contact' THEN -3 END,
                0, {repeated}, false, e.private, e.role, e.mode, e.device, e.value, e.extension,
                CASE WHEN e.verdict = '' THEN 'pending' ELSE 'done' END,
                CASE e.verdict WHEN '' THEN '' WHEN 'opted_out' THEN 'opted_out'
                    WHEN 'extension' THEN 'not_eligible' WHEN 'no_device' THEN 'no_device'
                    ELSE 'failed' END,
                e.verdict, CASE WHEN e.verdict NOT IN ('', 'no_device') THEN %(now)s END
            FROM lines e {twin}""",
            parameters,
        )
        rows = int(cursor.rowcount)
        if rows >= ROWS_PER_SLICE:
            raise LedgerError(f"slice {launch_slice.number} has {rows} rows: ids would overlap")
        _refuse_strangers(cursor, launch_slice)
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")
    return Written(rows, unseen)


def bundling_of(message: Message) -> Bundling:
    """Which of the message's calls are one, as frozen at confirm."""
    return Bundling(message.settings_frozen.get("bundling", Bundling.NONE))


def _first_unseen(launch_slice: LaunchSlice) -> int:
    """The number of the first slice before this one that is not committed; slices are in order."""
    before = LaunchSlice.objects.filter(
        message=launch_slice.message_id,
        state=LaunchSlice.State.FROZEN,
        number__lt=launch_slice.number,
    )
    last = before.aggregate(last=Max("number"))["last"]
    return 0 if last is None else last + 1


def join_latest(message: Message, launch_slice: LaunchSlice, unseen: int) -> None:
    """Compares a slice that is written with those from number `unseen` up to it, which must be
    committed by now.

    Runs inside the transaction that locks the slice (ruling 14). Families are whole in a slice, so
    it finds little.
    """
    if unseen >= launch_slice.number:
        return
    parameters = _span(launch_slice) | {"unseen": unseen * ROWS_PER_SLICE}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(_JOIN_LATEST_ROWS, parameters)
        if bundling_of(message) == Bundling.NUMBER:
            cursor.execute(_JOIN_LATEST_STEPS, parameters | {"modes": [Mode.VOICE, Mode.TEXT]})
        elif message.modes.filter(mode=Mode.TEXT).exists():
            cursor.execute(_JOIN_LATEST_STEPS, parameters | {"modes": [Mode.TEXT]})
        cursor.execute("SET LOCAL enable_nestloop TO DEFAULT")


def _span(launch_slice: LaunchSlice) -> dict[str, int]:
    """Where the rows of a slice lie: id > base and id < end; `message`."""
    base = launch_slice.number * ROWS_PER_SLICE
    return {"message": launch_slice.message_id, "base": base, "end": base + ROWS_PER_SLICE}


def _refuse_strangers(cursor: CursorWrapper, launch_slice: LaunchSlice) -> None:
    """The hot tables have no checked foreign keys (they cost 23 s instead of 3 for a million rows);
    this is the one check instead: every recipient, student and school of the slice exists."""
    cursor.execute(
        """
        WITH written AS MATERIALIZED (
            -- Several rows about a student and a person become one first: 10 ms a slice, not 12.
            SELECT DISTINCT recipient_id, student_id, school_id FROM messenger_delivery
            WHERE message_id = %(message)s AND id > %(base)s AND id < %(end)s
        ), named AS MATERIALIZED (
            SELECT recipient_id AS id FROM written
            UNION SELECT student_id FROM written WHERE student_id IS NOT NULL
        )
        SELECT (SELECT count(*) FROM named n LEFT JOIN messenger_person p
                ON p.id = n.id AND p.id = ANY(ARRAY(SELECT id FROM named)) WHERE p.id IS NULL)
            + (SELECT count(*) FROM (SELECT DISTINCT school_id FROM written) w
                LEFT JOIN messenger_school c ON c.id = w.school_id
                WHERE w.school_id IS NOT NULL AND c.id IS NULL)""",
        _span(launch_slice),
    )
    if strangers := cursor.fetchone()[0]:
        raise LedgerError(f"{strangers} people or schools of the slice do not exist")


# The (mode, number) of the slice that an earlier one has. Families are whole in a slice, so these
# are few. Found by a list of keys, which PostgreSQL walks in one pass over the unique index: 0.6 µs
# a number, where looking each one up took 4; a join would hash all rows that the message has so
# far, for every slice again. Slices are committed in order, so that what is visible is earlier. A
# function (see its migration), because it must be found by that index whatever the planner thinks.
_EARLIER_NUMBERS = """,
            earlier AS MATERIALIZED (
                SELECT mode, address FROM messenger_earlier_numbers(%(message)s, %(modes)s,
                    ARRAY(SELECT value::text FROM placed WHERE first))
            )"""

# A text to a number that an earlier slice texts already hangs on that step: it goes out once. So
# does a call that is bundled by number. Its result may be there before this row is; `settle` gives
# the row what its step got. A row that was taken back (`recheck`) may have taken its step with it.
_EARLIER_STEP = """LEFT JOIN LATERAL (
        SELECT d.chain, d.step FROM messenger_delivery d
        WHERE d.message_id = %(message)s AND {alike}
            AND e.verdict = '' AND d.address = e.value AND d.extension = e.extension
            AND d.chain IS NOT NULL AND d.reason <> 'relationship_ended'
        ORDER BY d.id LIMIT 1) twin ON true"""
_ALIKE = {
    False: "d.mode = 'text' AND e.mode = 'text'",
    True: "d.mode = e.mode AND e.mode IN ('voice', 'text')",
}

# The same for the few slices that were on their way while this one was: two hashes of a slice.
# First rows suffice: what repeats a row of a slice before those was marked when it was written.
_JOIN_LATEST_ROWS = """
    WITH found AS MATERIALIZED (
        SELECT o.id FROM messenger_delivery o
        WHERE o.message_id = %(message)s AND o.id > %(base)s AND o.id < %(end)s
            AND NOT o.duplicate AND (o.mode, o.address) IN (
                SELECT l.mode, l.address FROM messenger_delivery l
                WHERE l.message_id = %(message)s AND l.id > %(unseen)s AND l.id <= %(base)s
                    AND NOT l.duplicate AND l.mode <> 'none')
    )
    UPDATE messenger_delivery d SET duplicate = true
    WHERE d.message_id = %(message)s AND d.id = ANY(ARRAY(SELECT id FROM found ORDER BY id))"""
_JOIN_LATEST_STEPS = """
    WITH twins AS MATERIALIZED (
        SELECT DISTINCT ON (l.mode, l.address, l.extension) l.mode, l.address, l.extension, l.chain,
            l.step
        FROM messenger_delivery l
        WHERE l.message_id = %(message)s AND l.id > %(unseen)s AND l.id <= %(base)s
            AND l.mode = ANY(%(modes)s) AND l.chain IS NOT NULL
            AND l.reason <> 'relationship_ended'
        ORDER BY l.mode, l.address, l.extension, l.id
    ), found AS MATERIALIZED (
        -- Not one that hangs on a still earlier step already.
        SELECT o.id, t.chain, t.step
        FROM messenger_delivery o JOIN twins t
            ON t.mode = o.mode AND t.address = o.address AND t.extension = o.extension
        WHERE o.message_id = %(message)s AND o.id > %(base)s AND o.id < %(end)s
            AND o.mode = ANY(%(modes)s) AND o.state <> 'done' AND o.chain > %(base)s
    )
    UPDATE messenger_delivery d SET chain = f.chain, step = f.step
    FROM found f
    WHERE d.message_id = %(message)s AND d.id = f.id
        AND d.id = ANY(ARRAY(SELECT id FROM found ORDER BY id))"""


# -------------------------------------------------------------------------------------- closing


# Rows that hang on the chain of an earlier slice, and there are few, end as the row that was there
# first; not when that was taken back (`recheck`).
_TAKE_ENDS_OF_STEPS = f"""
    WITH late AS MATERIALIZED (
        SELECT id, chain, step FROM messenger_delivery
        WHERE message_id = %(message)s AND state <> 'done'
            AND chain <= id / {ROWS_PER_SLICE} * {ROWS_PER_SLICE}
    ), first AS (
        SELECT DISTINCT ON (d.chain, d.step) d.*
        FROM messenger_delivery d
        WHERE d.message_id = %(message)s AND d.state = 'done'
            AND (d.chain, d.step) IN (SELECT chain, step FROM late)
            AND d.reason <> 'relationship_ended'
        ORDER BY d.chain, d.step, d.id
    )
    UPDATE messenger_delivery d SET state = 'done', outcome = f.outcome, code = f.code,
        confirmed = f.confirmed, reason = f.reason, result_at = f.result_at, tries = f.tries
    FROM late l JOIN first f ON f.chain = l.chain AND f.step = l.step
    WHERE d.message_id = %(message)s AND d.id = l.id"""


def settle(message_id: int, now: datetime) -> int:
    """Gives open rows of a message what their step already got. Returns the number of rows.

    Needed once, at the end: a row of a later slice may hang on a step whose result came first
    (also one without a try, as after key 0), and a step whose last try was pending (code 17, -39)
    ends with that code.
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
        cursor.execute(_TAKE_ENDS_OF_STEPS, {"message": message_id})
        rows += cursor.rowcount
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
    tried_chains_only: bool = False,
) -> int:
    """Ends every open row of these modes (of the chains from..to when given; those that were not
    tried themselves, or those of chains of which anything was tried). Returns the rows.

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
    if tried_chains_only:
        where += """ AND chain IN (
            SELECT chain FROM messenger_attempt WHERE message_id = %(message)s)"""
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


def purge(message_id: int, table: str, after: int, rows: int) -> tuple[int, int | None]:
    """Removes the next `rows` (or a few more) rows of a message from "delivery" or "attempt",
    whose ids or chains lie above `after`. Returns how many went and where the next piece begins
    (None: nothing is left). For `sentlog.retention` alone: it asks whether they may go."""
    key = {"delivery": "id", "attempt": "chain"}[table]
    with connection.cursor() as cursor:
        # A walk along the key from where the last piece ended: rows that just went cost nothing.
        cursor.execute(
            f"""WITH gone AS (DELETE FROM messenger_{table} WHERE message_id = %(message)s
                AND {key} > %(after)s AND {key} <= (SELECT max({key}) FROM (SELECT {key}
                    FROM messenger_{table} WHERE message_id = %(message)s AND {key} > %(after)s
                    ORDER BY {key} LIMIT %(rows)s) piece) RETURNING {key})
            SELECT count(*), max({key}) FROM gone""",
            {"message": message_id, "after": after, "rows": rows},
        )
        gone, last = cursor.fetchone()
    return int(gone), last
