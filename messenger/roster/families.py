"""Which students belong together: families, for launches that keep them in one slice (ruling 13).

A family is every student connected through guardians, however long the way; its name is the
lowest person id among them. Derived, set-wise, from the active relationships; nothing else is
decided here.
"""

from django.db import connection, transaction

# Any number that no other advisory lock of the house uses: two recomputations at once would update
# the same people in different orders and deadlock.
FAMILIES_LOCK = 7_203_101

# With 4 MB for each sort 300,000 links go through the disk, which doubles the time. Put back at the
# end, since the caller's transaction goes on.
_SETTINGS = """
SET LOCAL work_mem = '64MB';
SET LOCAL jit = off;
SET LOCAL default_statistics_target = 10;
"""
_END = """
DROP TABLE family_link, family_label;
SET LOCAL work_mem TO DEFAULT;
SET LOCAL jit TO DEFAULT;
SET LOCAL default_statistics_target TO DEFAULT;
"""
# Every student starts as its own family; then each takes the lowest label among its guardians'
# students, until nothing changes. A family of any usual shape needs two rounds. The last join
# ("pointer jumping": a label's own label) halves the rounds of long chains of step-families.
_START = """
CREATE TEMPORARY TABLE family_link AS
SELECT link.student_id AS student, link.guardian_id AS guardian
FROM messenger_relationship link JOIN messenger_person person ON person.id = link.student_id
WHERE link.active AND person.is_student;
CREATE TEMPORARY TABLE family_label AS
SELECT student, min(lowest) AS label FROM (
    SELECT student, min(student) OVER (PARTITION BY guardian) AS lowest FROM family_link
) AS first_round GROUP BY student;
CREATE UNIQUE INDEX ON family_label (student);
ANALYZE family_link;
ANALYZE family_label;
"""
_ROUND = """
WITH guardians AS MATERIALIZED (
    SELECT link.guardian, min(label.label) AS lowest, max(label.label) AS highest
    FROM family_link link JOIN family_label label USING (student) GROUP BY link.guardian
), better AS MATERIALIZED (
    SELECT link.student, min(guardians.lowest) AS lowest
    FROM family_link link JOIN guardians USING (guardian)
    WHERE guardians.lowest < guardians.highest GROUP BY link.student
), jumped AS MATERIALIZED (
    SELECT better.student, least(better.lowest, root.label) AS lowest
    FROM better JOIN family_label root ON root.student = better.lowest
)
UPDATE family_label SET label = jumped.lowest FROM jumped
WHERE family_label.student = jumped.student AND jumped.lowest < family_label.label
"""
_STORE = """
UPDATE messenger_person SET family = wanted.family
FROM (
    SELECT person.id, CASE WHEN person.is_student THEN coalesce(label, person.id) END AS family
    FROM messenger_person person LEFT JOIN family_label ON student = person.id
) AS wanted
WHERE messenger_person.id = wanted.id AND messenger_person.family IS DISTINCT FROM wanted.family
"""


def recompute_families() -> int:
    """Set `Person.family` of everybody from the active relationships; the number of people changed.

    Call it whenever relationships or the set of students changed. Runs in the caller's transaction
    if there is one; takes about a second for 100,000 families. `updated_at` is left alone: a family
    is derived, not a change of the person (ruling 13).
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [FAMILIES_LOCK])
        cursor.execute(_SETTINGS)
        cursor.execute(_START)
        while True:
            cursor.execute(_ROUND)
            if not cursor.rowcount:
                break
        cursor.execute(_STORE)
        changed = int(cursor.rowcount)
        cursor.execute(_END)
        return changed
