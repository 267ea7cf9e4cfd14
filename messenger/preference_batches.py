"""The Contact Preferences Batch: marks of many people at once, in sets, with progress and undo.

Voice and email marks alone: a text costs its reader money and needs their own word (A4-12). Marks
are written here and in `preferences`, and nowhere else; each change is a line of the history, from
which an undo puts back what nobody has changed since. A batch that broke off is done again from
the start: what is set already is no change.
"""

from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from messenger.audience import resolve
from messenger.audience.criteria import STAFF, Criteria
from messenger.models import ContactReason, Device, Door, Mode, PreferenceBatch
from messenger.people import local_today
from messenger.preferences import ADDRESSES

State = PreferenceBatch.State
ADD, REMOVE, OVERRIDE = "add", "remove", "override"
# People of one transaction: 50,000 take 20 s at most, and nobody waits longer than one piece.
PIECE = 5_000
UNDO_PIECE = 20_000  # lines of the history
SAMPLE = 20
# The planner takes what a batch has just written for rare, and a nested loop over it for cheap: one
# piece of an undo took minutes. Tables are read by lists of keys instead (see `resolve.devices`).
_PLAN = "SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True)
class Rule:
    """What becomes of the marks: of which devices, for which reasons (a mask).

    `add` marks them, `remove` clears them, `override` leaves exactly them. `only_unmarked` spares
    devices that have any mark already, `protect_portal` those that their owner has set in the
    portal.
    """

    devices: tuple[str, ...]
    reasons: int
    action: str = ADD
    only_unmarked: bool = False
    protect_portal: bool = True

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Rule":
        return cls(**{**data, "devices": tuple(data["devices"])})


@dataclass(frozen=True)
class Example:
    """One device whose marks would change: whose it is, and its masks."""

    name: str
    device: str
    before: int
    after: int


@dataclass(frozen=True)
class BatchPreview:
    """What a batch would do now. `left_alone` are devices spared because of the portal;
    `emergency_lost` are those that would no longer be used in an emergency."""

    people: int
    points: int
    marks_added: int
    marks_removed: int
    left_alone: int
    emergency_lost: int
    examples: list[Example]


def preview_batch(criteria: Criteria, rule: Rule) -> BatchPreview:
    """Counts what the batch would change, with examples. Writes nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        people = _stage_people(cursor, criteria, local_today(), "ON COMMIT DROP")
        cursor.execute(_PLAN)
        parameters = _parameters(rule) | {"after": 0, "upto": _last(cursor)}
        cursor.execute(
            f"""{_changes(rule)}
            SELECT count(*) FILTER (WHERE NOT spared),
                coalesce(sum(bit_count((after & ~before)::bit(16))) FILTER (WHERE NOT spared), 0),
                coalesce(sum(bit_count((before & ~after)::bit(16))) FILTER (WHERE NOT spared), 0),
                count(*) FILTER (WHERE spared),
                count(*) FILTER (WHERE NOT spared AND before & %(emergency)s <> 0
                    AND after & %(emergency)s = 0)
            FROM changes""",
            parameters,
        )
        points, added, removed, left_alone, lost = (int(number) for number in cursor.fetchone())
        cursor.execute(
            f"""{_changes(rule)}
            SELECT coalesce(nullif(concat_ws(', ', p.family_name,
                    nullif(coalesce(nullif(p.preferred_given_name, ''), p.given_name), '')), ''),
                h.name), x.device, x.before, x.after
            FROM (SELECT * FROM changes WHERE NOT spared ORDER BY id LIMIT {SAMPLE}) x
            JOIN messenger_contactpoint c ON c.id = x.id
            LEFT JOIN messenger_person p ON p.id = c.person_id
            LEFT JOIN messenger_household h ON h.id = c.household_id ORDER BY 1, 2""",
            parameters,
        )
        examples = [Example(*row) for row in cursor.fetchall()]
    return BatchPreview(people, points, added, removed, left_alone, lost, examples)


def carry_out(batch: PreferenceBatch) -> None:
    """Do a batch that waits, or goes on after a worker was lost, and note how far it is."""
    criteria, rule = Criteria.from_json(batch.criteria), Rule.from_json(batch.rule)
    with connection.cursor() as cursor:
        batch.people = _stage_people(cursor, criteria, local_today(), "")
        batch.state, batch.people_done = State.RUNNING, 0
        batch.save()
        after = 0
        while upto := _next(cursor, after):
            with transaction.atomic():
                cursor.execute(_PLAN)
                _lock_owners(cursor, after, upto)
                changed = _write(cursor, rule, batch, after, upto)
                for name, number in changed.items():
                    batch.counts[name] = batch.counts.get(name, 0) + number
                batch.people_done = min(batch.people, batch.people_done + PIECE)
                batch.save()
            after = upto
        cursor.execute("DROP TABLE batch_person")
    batch.state, batch.finished_at = State.DONE, timezone.now()
    batch.people_done = batch.people
    batch.save()


def undo(batch: PreferenceBatch) -> None:
    """Put back every mark that the batch set and nobody has changed since."""
    batch.state, batch.people_done = State.UNDOING, 0
    batch.save()
    after = 0
    with connection.cursor() as cursor:
        while True:
            with transaction.atomic():
                cursor.execute(_PLAN)
                parameters = {"batch": batch.pk, "after": after, "door": Door.BATCH.value}
                cursor.execute(_UNDO, _signed(batch) | parameters)
                last, seen, back = cursor.fetchone()
                batch.counts["put_back"] = batch.counts.get("put_back", 0) + back
                batch.save()
            if not seen:
                break
            after = last
    changed = batch.counts.get("points", 0)
    batch.counts["changed_since"] = max(0, changed - batch.counts.get("put_back", 0))
    batch.state, batch.people_done = State.UNDONE, batch.people
    batch.finished_at = timezone.now()
    batch.save()


# ------------------------------------------------------------------------------------- in sets


def _stage_people(cursor: Any, criteria: Criteria, today: date, on_commit: str) -> int:
    """batch_person: everybody whom the criteria mean now, and whether as a contact."""
    staff = (
        f"UNION ALL {resolve.staff_links(of_slice=False)}" if STAFF in criteria.deliver_to else ""
    )
    cursor.execute("DROP TABLE IF EXISTS batch_person")
    cursor.execute(
        f"""
        CREATE TEMPORARY TABLE batch_person {on_commit} AS
        WITH students AS MATERIALIZED ({resolve.students_of_all(criteria)}),
        links AS (({resolve.links(criteria, of_slice=False)}) {staff})
        SELECT p.id, bool_or(l.role = 'contact') AS contact
        FROM links l JOIN messenger_person p ON p.id = l.recipient_id
        WHERE p.active GROUP BY p.id""",
        {
            "schools": list(criteria.school_ids),
            "grades": list(criteria.grades),
            "today": today,
        },
    )
    people = int(cursor.rowcount)
    cursor.execute("CREATE INDEX ON batch_person (id); ANALYZE batch_person")
    return people


def _last(cursor: Any) -> int:
    cursor.execute("SELECT coalesce(max(id), 0) FROM batch_person")
    return int(cursor.fetchone()[0])


def _next(cursor: Any, after: int) -> int:
    """The id at which the next piece ends; 0 at the end."""
    cursor.execute(
        "SELECT coalesce(max(id), 0) FROM (SELECT id FROM batch_person WHERE id > %s"
        " ORDER BY id LIMIT %s) piece",
        [after, PIECE],
    )
    return int(cursor.fetchone()[0])


def _lock_owners(cursor: Any, after: int, upto: int) -> None:
    """As the editor does: people, then households, each in the order of ids."""
    piece = {"after": after, "upto": upto, "today": local_today()}
    cursor.execute(
        """SELECT count(*) FROM (SELECT p.id FROM messenger_person p
            WHERE p.id = ANY(ARRAY(
                SELECT id FROM batch_person WHERE id > %(after)s AND id <= %(upto)s))
            ORDER BY p.id FOR NO KEY UPDATE) locked""",
        piece,
    )
    cursor.execute(
        f"""SELECT count(*) FROM (SELECT h.id FROM messenger_household h
            WHERE h.id = ANY(ARRAY(SELECT m.household_id {_HOMES}))
            ORDER BY h.id FOR NO KEY UPDATE) locked""",
        piece,
    )


_HOMES = """
    FROM batch_person b JOIN messenger_householdmembership m ON m.person_id = b.id AND m.active
        AND (m.start_date IS NULL OR m.start_date <= %(today)s)
        AND (m.end_date IS NULL OR m.end_date >= %(today)s)
    WHERE b.contact AND b.id > %(after)s AND b.id <= %(upto)s"""


def _changes(rule: Rule) -> str:
    """CTEs ending in `changes`: every device of the piece whose marks the rule changes, what they
    are and become, and whether it is spared because of the portal."""
    becomes = {
        ADD: "m.before | %(reasons)s",
        REMOVE: "m.before & ~%(reasons)s",
        OVERRIDE: "%(reasons)s",
    }[rule.action]
    addresses = ", ".join(f"'{device.value}'" for device in ADDRESSES)
    return f"""
        WITH points AS MATERIALIZED (
            SELECT c.id, c.device, c.person_id, c.household_id FROM messenger_contactpoint c
            WHERE c.active AND c.device = ANY(%(devices)s) AND c.person_id = ANY(ARRAY(
                SELECT id FROM batch_person WHERE id > %(after)s AND id <= %(upto)s))
            UNION ALL
            SELECT c.id, c.device, c.person_id, c.household_id FROM messenger_contactpoint c
            WHERE c.active AND c.device = '{Device.HOUSEHOLD}' AND c.device = ANY(%(devices)s)
                AND c.household_id = ANY(ARRAY(SELECT m.household_id {_HOMES}))
        ), wishes AS MATERIALIZED (
            SELECT * FROM messenger_contactpreference
            WHERE contact_point_id = ANY(ARRAY(SELECT id FROM points))
        ), marks AS (
            SELECT p.*, coalesce(f.reasons, 0)::int AS before, coalesce(f.set_by, '') AS set_by
            FROM (SELECT *, CASE WHEN device IN ({addresses}) THEN '{Mode.EMAIL}'
                ELSE '{Mode.VOICE}' END AS mode FROM points) p
            LEFT JOIN wishes f ON f.contact_point_id = p.id AND f.mode = p.mode
        ), changes AS (
            SELECT m.*, {becomes} AS after,
                {"m.set_by = 'portal'" if rule.protect_portal else "false"} AS spared
            FROM marks m
            WHERE m.before <> ({becomes}) {"AND m.before = 0" if rule.only_unmarked else ""}
        )"""


def _parameters(rule: Rule) -> dict[str, Any]:
    return {
        "devices": list(rule.devices),
        "reasons": rule.reasons,
        "today": local_today(),
        "emergency": ContactReason.EMERGENCY.bit,
    }


def _signed(batch: PreferenceBatch) -> dict[str, Any]:
    user = batch.started_by
    return {"user": user and user.pk, "name": user.name_in_log() if user else ""}


def _write(
    cursor: Any, rule: Rule, batch: PreferenceBatch, after: int, upto: int
) -> dict[str, int]:
    """Write one piece with its history; what it changed."""
    cursor.execute(
        f"""{_changes(rule)}, written AS (
            INSERT INTO messenger_contactpreference (contact_point_id, mode, reasons, set_by)
            SELECT id, mode, after, %(door)s FROM changes WHERE NOT spared ORDER BY id
            ON CONFLICT (contact_point_id, mode)
            DO UPDATE SET reasons = excluded.reasons, set_by = excluded.set_by
        ), told AS (
            INSERT INTO messenger_contactchange (door, subject, person_id, household_id,
                contact_point_id, device, mode, before, marks_before, marks_after, user_id,
                user_name, batch_id)
            SELECT %(door)s, 'marks', person_id, household_id, id, device, mode, set_by, before,
                after, %(user)s, %(name)s, %(batch)s
            FROM changes WHERE NOT spared ORDER BY id
        )
        SELECT count(*) FILTER (WHERE NOT spared),
            coalesce(sum(bit_count((after & ~before)::bit(16))) FILTER (WHERE NOT spared), 0),
            coalesce(sum(bit_count((before & ~after)::bit(16))) FILTER (WHERE NOT spared), 0),
            count(*) FILTER (WHERE spared) FROM changes""",
        _parameters(rule)
        | _signed(batch)
        | {"after": after, "upto": upto, "door": Door.BATCH.value, "batch": batch.pk},
    )
    names = ("points", "marks_added", "marks_removed", "left_alone")
    return dict(zip(names, (int(number) for number in cursor.fetchone()), strict=True))


_UNDO = f"""
WITH piece AS MATERIALIZED (
    SELECT * FROM messenger_contactchange
    WHERE batch_id = %(batch)s AND id > %(after)s AND NOT undo AND subject = 'marks'
    ORDER BY id LIMIT {UNDO_PIECE}
), back AS (
    UPDATE messenger_contactpreference f SET reasons = h.marks_before, set_by = h.before
    FROM piece h
    WHERE f.contact_point_id = h.contact_point_id AND f.mode = h.mode
        AND f.reasons = h.marks_after AND f.set_by = %(door)s
        AND f.contact_point_id = ANY(ARRAY(SELECT contact_point_id FROM piece))
    RETURNING h.*
), told AS (
    INSERT INTO messenger_contactchange (door, subject, person_id, household_id, contact_point_id,
        device, mode, before, marks_before, marks_after, user_id, user_name, batch_id, undo)
    SELECT h.door, h.subject, h.person_id, h.household_id, h.contact_point_id, h.device, h.mode,
        %(door)s, h.marks_after, h.marks_before, %(user)s, %(name)s, %(batch)s, true
    FROM back h ORDER BY h.id
)
SELECT coalesce(max(id), 0), count(*), (SELECT count(*) FROM back) FROM piece
"""
