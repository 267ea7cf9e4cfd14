"""A district for benchmarks, made by PostgreSQL in sets: 100,000 families in half a minute.

Its families are those of a real place in proportion (about 2 students, 2.5 guardians, 1.2 shared
home phones, 5 further phones and 2.5 emails each), so that 100,000 of them give the 1.45 million
deliveries and 730,000 chains that performance.md speaks of. Families live on campuses of two
schools; the first campuses hold 69, 621 and then 690 families each, so that the first ones are an
audience of 1,000 deliveries, two of them one of 10,000, and so on. It writes past the importer,
because that is measured apart (P10); nothing else in the bench writes people.
"""

from dataclasses import dataclass

from django.db import connection, transaction

# Families on campus 0, on campus 1, and on each later one; 14.5 deliveries a family.
FIRST, SECOND, LATER = 69, 621, 690
DELIVERIES_A_FAMILY = 14.5
SCHOOLS_A_CAMPUS = 2


@dataclass(frozen=True)
class Audience:
    """The schools whose families a message of about `rows` deliveries goes to."""

    rows: int
    school_ids: tuple[int, ...]


def campus_of(family: int) -> int:
    """The campus of a family (both from 0), as `_FAMILIES` places it."""
    if family < FIRST:
        return 0
    return 1 if family < FIRST + SECOND else 2 + (family - FIRST - SECOND) // LATER


def audience(rows: int, families: int) -> Audience:
    """The campuses whose families together have about that many deliveries, at least one."""
    wanted = min(families, max(1, round(rows / DELIVERIES_A_FAMILY)))
    campuses = campus_of(wanted - 1) + 1
    return Audience(rows, tuple(range(1, campuses * SCHOOLS_A_CAMPUS + 1)))


def build_district(families: int) -> None:
    """Fills an empty database with a district of that many families. Ids start at 1."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Checking five million foreign keys one by one would take longer than making the rows.
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL work_mem = '256MB'")
        parameters = {"families": families, "first": FIRST, "both": FIRST + SECOND, "later": LATER}
        for statement in (*_PLACES, *_PEOPLE, *_DEVICES):
            cursor.execute(statement, parameters)
        for table in TABLES:
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE " + ", ".join(TABLES))


TABLES = (
    "messenger_school", "messenger_calendar", "messenger_person", "messenger_enrollment",
    "messenger_relationship", "messenger_household", "messenger_householdmembership",
    "messenger_contactpoint", "messenger_contactpreference",
)  # fmt: skip

# `kind`: 1 one guardian without a home phone, 2 two who share a home, 4 two homes of two.
_PLACES = (
    """
    CREATE TEMPORARY TABLE family ON COMMIT DROP AS
    SELECT f, CASE WHEN f < %(first)s THEN 0 WHEN f < %(both)s THEN 1
            ELSE 2 + (f - %(both)s) / %(later)s END AS campus,
        CASE WHEN d < 30 THEN 1 WHEN d < 75 THEN 2 WHEN d < 95 THEN 3 ELSE 4 END AS children,
        CASE WHEN e < 14 THEN 1 WHEN e < 69 THEN 2 ELSE 4 END AS kind
    FROM (SELECT f, mod(abs(hashint4(f)::bigint), 100) AS d,
        mod(abs(hashint4(f + 1000003)::bigint), 100) AS e
        FROM generate_series(0, %(families)s - 1) f) drawn""",
    """
    INSERT INTO messenger_school (id, uuid, name, identifier, time_zone, active)
    SELECT c * 2 + half, gen_random_uuid(), 'School ' || (c * 2 + half), '', '', true
    FROM (SELECT DISTINCT campus AS c FROM family) campuses, generate_series(1, 2) half""",
    """
    INSERT INTO messenger_calendar
        (id, school_id, name, school_year, start_date, end_date, sourced_id, active)
    SELECT id, id, 'This year', extract(year FROM current_date + 180)::int, current_date - 180,
        current_date + 180, '', true FROM messenger_school""",
)

_PERSON = """(id, uuid, identifier, given_name, middle_name, family_name, preferred_given_name,
        language, is_student, is_staff_member, family, active, created_at, updated_at)"""
_NAMES = """(ARRAY['Anderson', 'García', 'Nguyễn', 'Kowalski', 'Vang', 'O''Brien', 'Müller',
    'Okafor', 'Łukasik', 'Warsame', 'Çelik', 'Johansson', 'Haddad', 'Patel', 'Dvořák', 'Smith'])"""
_PEOPLE = (
    # Students first, so that a family's name is the id of its first student.
    """
    CREATE TEMPORARY TABLE student ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY f, child) AS id, f, child, campus
    FROM family, generate_series(1, children) child""",
    f"""
    INSERT INTO messenger_person {_PERSON}
    SELECT id, gen_random_uuid(), 'S' || id, 'Kim', '', {_NAMES}[1 + f %% 16], '', '', true, false,
        min(id) OVER (PARTITION BY f), true, now(), now() FROM student""",
    """
    INSERT INTO messenger_enrollment (id, person_id, calendar_id, grade, active)
    SELECT id, id, campus * 2 + 1 + (child + f) %% 2,
        lpad((1 + (f + child * 3) %% 12)::text, 2, '0'), true FROM student""",
    """
    CREATE TEMPORARY TABLE guardian ON COMMIT DROP AS
    SELECT (SELECT max(id) FROM student) + row_number() OVER (ORDER BY f, adult) AS id,
        f, adult, kind
    FROM family, generate_series(1, kind) adult""",
    # One in a hundred names needs shaping in a PDF.
    f"""
    INSERT INTO messenger_person {_PERSON}
    SELECT id, gen_random_uuid(), '', CASE WHEN id %% 100 = 0 THEN 'هودان' ELSE 'Alex' END, '',
        {_NAMES}[1 + (f + adult) %% 16], '', '', false, false, NULL, true, now(), now()
    FROM guardian""",
    """
    INSERT INTO messenger_relationship
        (student_id, guardian_id, label, messenger, is_guardian, mailing, portal, private, active)
    SELECT s.id, g.id, 'Parent', true, true, false, false, false, true
    FROM student s JOIN guardian g USING (f) ORDER BY s.id, g.id""",
)

_POINT = """(person_id, household_id, device, value, extension, raw, valid, problem, private,
        source, active)"""
# Numbers are drawn without order and without repetition (both factors are prime). They leave out
# the exchanges N11, which no phone has: 99 of each hundred are used.
_PLACE = "mod({}::bigint * 7919, 7919993)"


def _number(key: str) -> str:
    drawn = _PLACE.format(key)
    return f"""(SELECT '+1612' || (200 + exchange / 99 * 100 + exchange %% 99
            + CASE WHEN exchange %% 99 >= 11 THEN 1 ELSE 0 END)
            || lpad((drawn %% 10000)::text, 4, '0')
        FROM (SELECT {drawn} AS drawn, {drawn} / 10000 AS exchange) number)"""


_DEVICES = (
    """
    CREATE TEMPORARY TABLE home ON COMMIT DROP AS
    SELECT row_number() OVER (ORDER BY f, home) AS id, f, home
    FROM family, generate_series(1, kind / 2) home WHERE kind > 1""",
    """
    INSERT INTO messenger_household (id, uuid, name, active)
    SELECT id, gen_random_uuid(), 'Home ' || id, true FROM home""",
    """
    INSERT INTO messenger_householdmembership (household_id, person_id, active)
    SELECT h.id, m.id, true FROM home h JOIN (
        SELECT id, f, (adult + 1) / 2 AS home FROM guardian
        UNION ALL SELECT s.id, s.f, h.home FROM student s JOIN home h USING (f)
    ) m ON m.f = h.f AND m.home = h.home ORDER BY h.id, m.id""",
    f"""
    INSERT INTO messenger_contactpoint {_POINT}
    SELECT g.id, NULL, device, {_number("(g.id * 4 + slot)")},
        CASE WHEN device = 'work' AND g.id %% 50 = 0 THEN '204' ELSE '' END, '', true, '',
        g.id %% 40 = 0, 'roster', true
    FROM guardian g, (VALUES ('cell', 0), ('work', 1), ('other', 2)) phone (device, slot)
    WHERE slot = 0 OR (slot = 1 AND g.id %% 10 < 7) OR (slot = 2 AND g.id %% 10 >= 7)""",
    f"""
    INSERT INTO messenger_contactpoint {_POINT}
    SELECT NULL, id, 'household', {_number("(4000000 + id)")}, '', '', true, '', false,
        'roster', true FROM home""",
    f"""
    INSERT INTO messenger_contactpoint {_POINT}
    SELECT id, NULL, 'email', 'guardian' || id || '@families.example', '', '', true, '', false,
        'roster', true FROM guardian""",
    """
    INSERT INTO messenger_contactpreference (contact_point_id, mode, reasons)
    SELECT id, CASE device WHEN 'email' THEN 'email' ELSE 'voice' END, 63
    FROM messenger_contactpoint ORDER BY id""",
)
