"""From criteria to people and their devices, in SQL: who, about whom, by which number.

Everything here is text for PostgreSQL and the parameters it needs; nothing is executed and nothing
is written. `ledger` builds a launch from it and `preview` counts with it, so that what the sender
sees and what is sent come from one definition. Parameters are psycopg2's named ones:

======================  ==========================================================================
``schools``             ids of the schools picked (empty: nobody)
``grades``              CEDS grades picked; empty for all
``today``               date in the district's zone: relationships and enrollments must include it
``bit``                 bit of the contact reason
``modes``               delivery modes picked
``device_order``        devices in dialing order (X-29)
``people``              person ids of a slice
======================  ==========================================================================
"""

from messenger.audience.criteria import CONTACTS, STUDENTS, Criteria

# Household phones are chains of their own and come first; unnamed devices come last.
DEFAULT_DEVICE_ORDER = ["cell", "work", "other", "pager"]

# Slice ends, in students: small ones first so that the first call leaves at once (performance.md:
# one transaction for 100,000 families let the first call wait 48.9 s; slices: 0.1 to 0.3 s).
SLICE_ENDS = [200, 1_200]
# The highest number of students of the others. They are alike and even in number, so that two lines
# (`messenger.expansion`) end together.
SLICE_STUDENTS = 2_000
# Families stay together up to this many students (ruling 13: about 200 people).
FAMILY_STUDENTS = 100


def enrolled(criteria: Criteria) -> str:
    """Rows (student_id, school_id) of the enrollments that the criteria mean; a student may appear
    once for every school. Only active people."""
    active = """
        AND e.active AND (e.start_date IS NULL OR e.start_date <= %(today)s)
        AND (e.end_date IS NULL OR e.end_date >= %(today)s)"""
    return f"""
        SELECT e.person_id AS student_id, c.school_id
        FROM messenger_calendar c
        JOIN messenger_enrollment e ON e.calendar_id = c.id
        WHERE c.active AND c.school_id = ANY(%(schools)s)
        {"AND e.grade = ANY(%(grades)s)" if criteria.grades else ""}
        {active if criteria.active_only else ""}"""


def plan_students(criteria: Criteria) -> str:
    """Rows (number, person_ids) of the student slices, numbered from 0 without gaps.

    Families are whole: a student's place is that of the first of its family (or of its part of a
    very large one), so that shared numbers meet in one slice.
    """
    ends = ", ".join(str(end) for end in SLICE_ENDS)
    # One sort serves both numbers, and a place follows from them without another: 0.3 s for
    # 200,000 students, which an emergency's sender waits for.
    return f"""
        WITH chosen AS (
            SELECT DISTINCT p.id, coalesce(p.family, p.id) AS family
            FROM ({enrolled(criteria)}) e JOIN messenger_person p ON p.id = e.student_id
            WHERE p.active
        ), placed AS (
            SELECT id, row_number() OVER (ORDER BY family, id)
                - (row_number() OVER (PARTITION BY family ORDER BY id) - 1) %% {FAMILY_STUDENTS}
                AS place
            FROM chosen
        ), rest AS (
            SELECT greatest(1, ceil(students / (2 * ceil(students / {2 * SLICE_STUDENTS}.0))))::int
                AS size
            FROM (SELECT greatest(1, count(*) - {SLICE_ENDS[-1]}) AS students FROM chosen) s
        ), sliced AS (
            SELECT id, CASE WHEN place <= {SLICE_ENDS[-1]}
                THEN width_bucket(place, ARRAY[{ends}]::bigint[])
                ELSE {len(SLICE_ENDS)} + (place - {SLICE_ENDS[-1] + 1}) / rest.size END AS slice
            FROM placed, rest
        )
        SELECT (row_number() OVER (ORDER BY slice) - 1)::int AS number, person_ids
        FROM (SELECT slice, array_agg(id) AS person_ids FROM sliced GROUP BY slice) s"""


def plan_staff() -> str:
    """Rows (number, person_ids) of the staff slices, numbered from 0."""
    return f"""
        SELECT (row_number() OVER (ORDER BY slice) - 1)::int AS number, person_ids FROM (
            SELECT n / {SLICE_STUDENTS} AS slice, array_agg(id ORDER BY id) AS person_ids FROM (
                SELECT p.id, row_number() OVER (ORDER BY p.id) - 1 AS n
                FROM messenger_person p
                WHERE p.active AND EXISTS (
                    SELECT 1 FROM messenger_staffassignment a
                    WHERE a.person_id = p.id AND a.school_id = ANY(%(schools)s) AND {_current("a")})
            ) numbered GROUP BY slice
        ) sliced"""


def students_of_slice(criteria: Criteria) -> str:
    """Rows (student_id, school_id) of the slice's people; of several schools the lowest id."""
    return f"""
        SELECT e.student_id, min(e.school_id) AS school_id
        FROM ({enrolled(criteria)} AND e.person_id = ANY(%(people)s)) e
        GROUP BY e.student_id"""


def students_of_all(criteria: Criteria) -> str:
    """The same for everybody whom the criteria mean."""
    return f"""
        SELECT e.student_id, min(e.school_id) AS school_id
        FROM ({enrolled(criteria)}) e JOIN messenger_person p ON p.id = e.student_id
        WHERE p.active GROUP BY e.student_id"""


def links(criteria: Criteria, of_slice: bool = True) -> str:
    """Rows (student_id, school_id, recipient_id, role) from a CTE `students`: a recipient appears
    once for each student (A3-02, A4-07), active or not. A student who is their own messenger
    contact (emancipated) counts as a contact."""
    # Says nothing new, but gives the index a list to walk: 0.5 µs a row instead of 2 by a join.
    people = "%(people)s" if of_slice else "ARRAY(SELECT student_id FROM students)"
    among = f" AND r.student_id = ANY({people})"
    parts = []
    if CONTACTS in criteria.deliver_to:
        parts.append(f"""
        SELECT s.student_id, s.school_id, r.guardian_id AS recipient_id, 'contact' AS role
        FROM students s
        JOIN messenger_relationship r ON r.student_id = s.student_id{among}
        WHERE r.messenger AND {_current("r")}""")
    if STUDENTS in criteria.deliver_to:
        unless_contact = f"""
        WHERE NOT EXISTS (
            SELECT 1 FROM messenger_relationship r WHERE r.student_id = s.student_id{among}
                AND r.guardian_id = s.student_id AND r.messenger AND {_current("r")})"""
        parts.append(f"""
        SELECT s.student_id, s.school_id, s.student_id AS recipient_id, 'student' AS role
        FROM students s {unless_contact if CONTACTS in criteria.deliver_to else ""}""")
    if not parts:
        return """
        SELECT NULL::bigint AS student_id, NULL::bigint AS school_id, NULL::bigint AS recipient_id,
            '' AS role WHERE false"""
    return " UNION ALL ".join(parts)


def staff_links(of_slice: bool = True) -> str:
    """Rows like `links` for current staff of the schools; no student (B7-03)."""
    return f"""
        SELECT NULL::bigint AS student_id, min(a.school_id) AS school_id,
            a.person_id AS recipient_id, 'staff' AS role
        FROM messenger_staffassignment a
        WHERE a.school_id = ANY(%(schools)s) AND {_current("a")}
            {"AND a.person_id = ANY(%(people)s)" if of_slice else ""}
        GROUP BY a.person_id"""


def devices() -> str:
    """CTEs from a CTE `links` to `recipients` and `devices`, which are the same for every student
    of a person: what is looked up here is looked up once a person.

    `recipients`: rows (recipient_id, contact, first_student) of every active person, once as a
    contact and once otherwise, with the first student it is about.

    `devices`: rows of every marked device, one for each (recipient, contact, mode, number with
    extension), named after the first device that has it (ruling 6). `household_id` is set for a
    household phone, which only contacts have: it serves every student who has a member as messenger
    contact (ruling 3), so the student need not live there. `rank` is the place in the dialing
    order. `verdict` says why a row is not handed over: invalid_number (A4-02), do_not_contact,
    extension (a text), opted_out (A5-10); empty when it is.

    Tables are read by lists of keys (`= ANY`), which PostgreSQL 17 walks in one pass over the
    index: 0.5 µs a row where a nested loop takes 2 to 3. The planner takes every such list for ten
    keys, so run this with `enable_nestloop` off.
    """
    return f"""
        recipients AS MATERIALIZED (
            SELECT l.* FROM (
                SELECT recipient_id, role = 'contact' AS contact, min(student_id) AS first_student
                FROM links GROUP BY recipient_id, role = 'contact'
            ) l
            JOIN messenger_person p ON p.id = l.recipient_id
            WHERE p.active AND p.id = ANY(ARRAY(SELECT recipient_id FROM links))
        ), homes AS MATERIALIZED (
            SELECT h.person_id, h.household_id FROM messenger_householdmembership h
            WHERE h.person_id = ANY(ARRAY(SELECT recipient_id FROM recipients WHERE contact))
                AND {_current("h")}
        ), points AS MATERIALIZED (
            SELECT r.recipient_id, r.contact, r.first_student, cp.id AS point,
                NULL::bigint AS household_id, cp.device, cp.value, cp.extension, cp.valid,
                cp.private, coalesce(array_position(%(device_order)s, cp.device::text), 90) AS rank
            FROM recipients r JOIN messenger_contactpoint cp ON cp.person_id = r.recipient_id
            WHERE cp.active AND cp.person_id = ANY(ARRAY(SELECT recipient_id FROM recipients))
            UNION ALL
            SELECT r.recipient_id, r.contact, r.first_student, cp.id, cp.household_id, cp.device,
                cp.value, cp.extension, cp.valid, cp.private, 0
            FROM recipients r JOIN homes h ON h.person_id = r.recipient_id AND r.contact
            JOIN messenger_contactpoint cp ON cp.household_id = h.household_id
            WHERE cp.active AND cp.household_id = ANY(ARRAY(SELECT household_id FROM homes))
        ), devices AS (
            -- Ordered by number first: the ledger looks for the first row of each number in this
            -- order. A hash goes before the text: numbers differ only at their end, which makes
            -- comparing them slow.
            SELECT DISTINCT ON (hash, value, mode, extension, recipient_id, contact) m.*,
                CASE WHEN NOT m.valid THEN 'invalid_number'
                    WHEN (m.value, m.mode) IN (SELECT value, mode FROM messenger_donotcontact)
                        THEN 'do_not_contact'
                    WHEN m.mode = 'text' AND m.extension <> '' THEN 'extension'
                    WHEN m.mode = 'text' AND m.value IN (SELECT number FROM messenger_textconsent
                        WHERE state = 'opted_out') THEN 'opted_out'
                    ELSE '' END AS verdict
            FROM (
                SELECT p.*, f.mode, hashtext(p.value) AS hash
                FROM points p JOIN messenger_contactpreference f ON f.contact_point_id = p.point
                WHERE f.reasons & %(bit)s <> 0 AND f.mode = ANY(%(modes)s)
                    AND f.contact_point_id = ANY(ARRAY(SELECT point FROM points))
            ) m
            ORDER BY hash, value, mode, extension, recipient_id, contact, rank, point
        )"""


def _current(alias: str) -> str:
    """Active today: the flag and both dates."""
    return f"""{alias}.active
            AND ({alias}.start_date IS NULL OR {alias}.start_date <= %(today)s)
            AND ({alias}.end_date IS NULL OR {alias}.end_date >= %(today)s)"""
