"""Who lives together, and which number is whose: households and contact points that the files mean.

A household is the guardians who share a number and at least one student, with those students
(ruling 3). It is found again by its members, never by its number, so that a changed number keeps
its preferences. Only staging tables are written here.
"""

from messenger.models import District
from messenger.models.contact import Device
from messenger.roster.check import ROOM, email_columns, phone_columns
from messenger.roster.layout import METADATA_PHONES
from messenger.roster.read import Roster
from messenger.roster.staging import make, run

# Words that anybody may have typed into a phone column; sharing them makes no household.
_SHAREABLE = "a.problem <> 'not_a_number'"


def find_households(roster: Roster) -> None:
    """roster_home: the homes that the files mean, with roster_home_member and the live household
    of each (or a new id). Needs roster_tie: every guardian link that will hold."""
    _gather_numbers(roster)
    _group_into_homes()
    _match_by_members()


def _gather_numbers(roster: Roster) -> None:
    """roster_number: the number that a person may share. A column mapped to the household phone
    says so itself (`is_explicit`) and goes before `phone`."""
    columns = ["t.phone"]
    if "household" in roster.metadata:
        columns.insert(0, "t.metadata_household")
    number = f"left(coalesce({', '.join(columns)}), {ROOM['phone']})"
    private = _private("'household', 'phone'", "t.metadata_private")
    # Without users.csv nobody is listed, and the table is empty but there.
    make(
        "roster_number",
        "SELECT p.id AS person_id, a.value || ' ' || a.extension AS key, a.raw, a.value,"
        " a.extension, a.problem, t.metadata_household IS NOT NULL AS is_explicit,"
        f" {private} AS private FROM roster_person p"
        " JOIN roster_users t ON t.line = p.line"
        f" JOIN roster_address a ON a.kind = 'phone' AND a.raw = {number}"
        f" WHERE p.listed AND {_SHAREABLE}",
    )
    # Whoever the files do not list (a delta; a bad row) still shares the number they have.
    run(
        "INSERT INTO roster_number SELECT DISTINCT ON (g.id) g.id, c.value || ' ' || c.extension,"
        " c.raw, c.value, c.extension, c.problem, c.household_id IS NOT NULL, c.private"
        " FROM messenger_person g"
        " LEFT JOIN messenger_householdmembership m ON m.person_id = g.id AND m.active"
        " JOIN messenger_contactpoint c ON c.active AND c.source = 'roster' AND"
        f"  ((c.household_id = m.household_id AND c.device = '{Device.HOUSEHOLD}')"
        f"   OR (c.person_id = g.id AND c.device = '{Device.OTHER}'))"
        " WHERE g.active AND NOT g.is_student"
        " AND NOT EXISTS (SELECT FROM roster_person p WHERE p.id = g.id AND p.listed)"
        " AND NOT EXISTS (SELECT FROM roster_person_gone p WHERE p.id = g.id)"
        " AND c.problem <> 'not_a_number'"
        " ORDER BY g.id, c.household_id NULLS LAST"
    )
    run("ANALYZE roster_number")


def _private(names: str, field: str) -> str:
    """Whether a new number starts private: "true" means all of the person's, else devices or
    columns are named."""
    return (
        f"coalesce(lower({field}) IN ('true', 'yes', 'y', '1') OR"
        f" regexp_split_to_array(lower({field}), '[,; ]+') && ARRAY[{names}], false)"
    )


def _group_into_homes() -> None:
    make(
        "roster_edge",
        "SELECT n.key, t.guardian_id AS guardian, t.student_id AS student FROM roster_number n"
        " JOIN roster_tie t ON t.guardian_id = n.person_id WHERE n.key IN"
        " (SELECT key FROM roster_number GROUP BY key HAVING count(*) > 1 OR bool_or(is_explicit))",
    )
    # Guardians of one number who are connected by students, however long the way: label by label.
    make(
        "roster_label",
        "SELECT key, guardian, min(lowest) AS label FROM (SELECT key, guardian,"
        " min(guardian) OVER (PARTITION BY key, student) AS lowest FROM roster_edge) AS e"
        " GROUP BY key, guardian",
    )
    while run(_NEXT_LABEL):
        pass
    make(
        "roster_home",
        "SELECT row_number() OVER () AS home, l.key, l.label, count(*) AS guardians,"
        " (array_agg(n.raw ORDER BY n.person_id))[1] AS raw, min(n.value) AS value,"
        " min(n.extension) AS extension, min(n.problem) AS problem,"
        " bool_or(n.private) AS private FROM roster_label l"
        " JOIN roster_number n ON n.key = l.key AND n.person_id = l.guardian"
        " GROUP BY l.key, l.label HAVING count(*) > 1 OR bool_or(n.is_explicit)",
    )
    # The students that two of the guardians share (all of them, where one guardian lives alone).
    make(
        "roster_home_member",
        "SELECT h.home, l.guardian AS person_id, true AS is_guardian FROM roster_home h"
        " JOIN roster_label l ON l.key = h.key AND l.label = h.label"
        " UNION ALL SELECT h.home, e.student, false FROM roster_home h"
        " JOIN roster_label l ON l.key = h.key AND l.label = h.label"
        " JOIN roster_edge e ON e.key = l.key AND e.guardian = l.guardian"
        " GROUP BY h.home, e.student, h.guardians HAVING count(*) >= least(2, h.guardians)",
    )


_NEXT_LABEL = """
UPDATE roster_label AS old SET label = better.lowest FROM (
    SELECT e.key, e.guardian, min(seen.lowest) AS lowest FROM roster_edge e JOIN (
        SELECT e.key, e.student, min(l.label) AS lowest FROM roster_edge e
        JOIN roster_label l ON l.key = e.key AND l.guardian = e.guardian GROUP BY e.key, e.student
    ) AS seen ON seen.key = e.key AND seen.student = e.student GROUP BY e.key, e.guardian
) AS better
WHERE old.key = better.key AND old.guardian = better.guardian AND better.lowest < old.label
"""


def _match_by_members() -> None:
    """roster_household: each home with the live household of (mostly) the same guardians.

    Whoever has more guardians in common goes first, present members before former ones, then
    students. The best pair of all is always its own best, so every round takes at least one.
    """
    make(
        "roster_match",
        "SELECT h.home, m.household_id,"
        " sum(CASE WHEN m.active THEN 2 ELSE 1 END) FILTER (WHERE h.is_guardian) AS guardians,"
        " count(*) FILTER (WHERE NOT h.is_guardian) AS students FROM roster_home_member h"
        " JOIN messenger_householdmembership m ON m.person_id = h.person_id"
        " GROUP BY h.home, m.household_id HAVING bool_or(h.is_guardian)",
    )
    run("CREATE TEMPORARY TABLE roster_matched (home bigint, household_id bigint)")
    best = "ORDER BY guardians DESC, students DESC, household_id, home"
    while run(
        "INSERT INTO roster_matched SELECT home, household_id FROM (SELECT home, household_id,"
        f" row_number() OVER (PARTITION BY home {best}) AS of_home,"
        f" row_number() OVER (PARTITION BY household_id {best}) AS of_household"
        " FROM roster_match) AS ranked WHERE of_home = 1 AND of_household = 1"
    ):
        run(
            "DELETE FROM roster_match WHERE home IN (SELECT home FROM roster_matched)"
            " OR household_id IN (SELECT household_id FROM roster_matched)"
        )
    make(
        "roster_household",
        "SELECT h.home, coalesce(m.household_id, nextval('messenger_household_id_seq')) AS id,"
        " m.household_id IS NULL AS is_new, h.raw, h.value, h.extension, h.problem,"
        " h.private FROM roster_home h LEFT JOIN roster_matched m ON m.home = h.home",
    )


def gather_points(roster: Roster, district: District) -> None:
    """roster_point: every number and address of a person that the files mean, one a device.

    A shared `phone` is the household's, any other is Other. Where two columns mean one device, a
    mapped column goes before `sms`, and that before `phone`.
    """
    run(
        "CREATE TEMPORARY TABLE roster_point (person_id bigint, device text, raw text, value text,"
        " extension text, problem text, private boolean)"
    )
    if not roster.has("users"):
        return
    devices = {"sms": district.roster_sms_device, "phone": Device.OTHER, "email": Device.EMAIL}
    devices |= {f"metadata_{key}": key for key in METADATA_PHONES}
    devices |= {"metadata_household": Device.OTHER, "metadata_email2": Device.EMAIL2}
    rank = {"sms": 2, "phone": 3, "metadata_household": 4}
    columns = [*phone_columns(roster), *email_columns(roster)]
    each = " UNION ALL ".join(
        f"SELECT p.id, '{devices[column]}', {rank.get(column, 1)}, '{column}', '{kind}',"
        f" left(t.{column}, {ROOM[column]}), t.metadata_private FROM roster_person p"
        f" JOIN roster_users t ON t.line = p.line WHERE p.listed AND t.{column} IS NOT NULL"
        for column in columns
        for kind in ["email" if column in email_columns(roster) else "phone"]
    )
    private = _private("x.device, x.source", "x.private")
    run(
        "INSERT INTO roster_point SELECT DISTINCT ON (x.person_id, x.device) x.person_id, x.device,"
        f" x.raw, a.value, a.extension, a.problem, {private} FROM ({each}) AS"
        " x(person_id, device, rank, source, kind, raw, private)"
        " JOIN roster_address a ON a.kind = x.kind AND a.raw = x.raw"
        f" WHERE x.source NOT IN ('phone', 'metadata_household') OR NOT EXISTS ({_OF_HOUSEHOLD})"
        " ORDER BY x.person_id, x.device, x.rank"
    )
    run("ANALYZE roster_point")


# The number is the phone of a household that the person belongs to, as guardian or student.
_OF_HOUSEHOLD = (
    "SELECT FROM roster_home_member m JOIN roster_household h ON h.home = m.home"
    " WHERE m.person_id = x.person_id AND h.value = a.value AND h.extension = a.extension"
)
