"""How ready the district's people are for messages: counts for the setup checklist (A7-01).

Reads only. Who exactly they are is on the people's pages and in the contactability report.
"""

from dataclasses import dataclass

from django.db import connection

from messenger.people import local_today

_CURRENT = """{0}.active AND ({0}.start_date IS NULL OR {0}.start_date <= %(today)s)
            AND ({0}.end_date IS NULL OR {0}.end_date >= %(today)s)"""


@dataclass(frozen=True)
class CensusFacts:
    """`phones` are active numbers, `wrong_phones` those that cannot be dialed; `students` are
    enrolled now, `without_contact` those with no messenger contact; `contacts` are messenger
    contacts of theirs, `without_marks` those who have no mark on any device that can be reached."""

    phones: int
    wrong_phones: int
    students: int
    without_contact: int
    contacts: int
    without_marks: int


def census_facts() -> CensusFacts:
    """The counts as of now, in one statement (0.5 s for 20,000 students)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH students AS MATERIALIZED (
                SELECT DISTINCT e.person_id AS id FROM messenger_enrollment e
                JOIN messenger_calendar c ON c.id = e.calendar_id AND c.active
                JOIN messenger_person p ON p.id = e.person_id AND p.active
                WHERE {_CURRENT.format("e")}
            ), links AS MATERIALIZED (
                SELECT r.student_id, r.guardian_id FROM messenger_relationship r
                JOIN students s ON s.id = r.student_id
                JOIN messenger_person g ON g.id = r.guardian_id AND g.active
                WHERE r.messenger AND {_CURRENT.format("r")}
            ), contacts AS MATERIALIZED (SELECT DISTINCT guardian_id AS id FROM links),
            marked AS (
                SELECT c.person_id AS id FROM messenger_contactpoint c
                JOIN messenger_contactpreference f ON f.contact_point_id = c.id AND f.reasons <> 0
                WHERE c.active AND c.valid AND c.person_id IS NOT NULL
                UNION
                SELECT m.person_id FROM messenger_householdmembership m
                JOIN messenger_contactpoint c ON c.household_id = m.household_id
                JOIN messenger_contactpreference f ON f.contact_point_id = c.id AND f.reasons <> 0
                WHERE c.active AND c.valid AND {_CURRENT.format("m")}
            )
            SELECT (SELECT count(*) FROM messenger_contactpoint
                    WHERE active AND device NOT IN ('email', 'email2')),
                (SELECT count(*) FROM messenger_contactpoint
                    WHERE active AND NOT valid AND device NOT IN ('email', 'email2')),
                (SELECT count(*) FROM students),
                (SELECT count(*) FROM students s
                    WHERE NOT EXISTS (SELECT FROM links l WHERE l.student_id = s.id)),
                (SELECT count(*) FROM contacts),
                (SELECT count(*) FROM contacts k
                    WHERE NOT EXISTS (SELECT FROM marked m WHERE m.id = k.id))""",
            {"today": local_today()},
        )
        return CensusFacts(*(int(number) for number in cursor.fetchone()))
