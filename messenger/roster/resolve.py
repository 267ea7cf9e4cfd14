"""From rows to things: which school, year, person, class and link each row means.

Every thing gets the id of its row in the product, or a new one from the sequence, so that later
steps join on numbers. References between files are checked on the way. Nothing is written here but
staging tables; what each table holds is said where it is made.
"""

from datetime import date

from messenger.roster.check import DELETED, gather_bad_rows, good_rows, report
from messenger.roster.layout import GRADES, GRADES_MEANT, GUARDIAN_ROLES, STAFF_ROLES
from messenger.roster.read import Roster, table_of
from messenger.roster.staging import make, rows, run, value

_STAFF = ", ".join(f"'{role}'" for role in STAFF_ROLES)
_GUARDIANS = ", ".join(f"'{role}'" for role in GUARDIAN_ROLES)


def resolve(roster: Roster, today: date) -> None:
    """Fill the tables of things; see each step."""
    resolve_schools(roster)
    resolve_years(roster, today)
    resolve_classes(roster)
    resolve_roles(roster)
    resolve_people(roster)
    resolve_links(roster)
    resolve_seats(roster)


def still_there(name: str, roster: Roster) -> str:
    """Which rows `live` of the product count although the file does not name them.

    A bulk file is the whole truth, except for its own bad rows: what those stood for stays as it
    is. A delta says what is gone. A file that is absent says nothing.
    """
    if roster.is_bulk(name):
        bad = f"SELECT b.sourced_id FROM roster_bad b WHERE b.file = '{name}'"
        return f"live.sourced_id IN ({bad} AND b.sourced_id IS NOT NULL)"
    if roster.has(name):
        gone = f"SELECT t.sourced_id {good_rows(name, deleted=True)}"
        return f"live.sourced_id NOT IN ({gone})"
    return "live.sourced_id IS NOT NULL"


def resolve_schools(roster: Roster) -> None:
    """roster_school: the schools of the file. roster_school_ref: every school that a row may name.
    roster_other_org: organizations that are no schools."""
    make(
        "roster_school",
        "SELECT t.sourced_id, left(t.name, 200) AS name,"
        " left(coalesce(t.identifier, ''), 100) AS identifier,"
        " coalesce(s.id, nextval('messenger_school_id_seq')) AS id, s.id IS NULL AS is_new"
        f" FROM (SELECT t.* {good_rows('orgs')} AND lower(t.type) = 'school') t"
        " LEFT JOIN messenger_school s ON s.sourced_id = t.sourced_id",
    )
    make(
        "roster_school_ref",
        "SELECT sourced_id, id, name FROM roster_school UNION ALL"
        " SELECT live.sourced_id, live.id, live.name FROM messenger_school live"
        f" WHERE live.active AND {still_there('orgs', roster)}"
        " AND live.id NOT IN (SELECT id FROM roster_school)",
    )
    make(
        "roster_other_org",
        f"SELECT t.sourced_id {good_rows('orgs')} AND lower(t.type) <> 'school'",
    )


# -- years -----------------------------------------------------------------------------------
def resolve_years(roster: Roster, today: date) -> None:
    """roster_year: the school years. roster_calendar: each year at each school; `is_current` is
    the one that enrollments without a year belong to."""
    _years_of_file(roster)
    if not roster.is_bulk("academicSessions"):
        run(
            "INSERT INTO roster_year SELECT DISTINCT ON (live.school_year) live.school_year, NULL,"
            " live.start_date, live.end_date, live.sourced_id, false FROM messenger_calendar live"
            f" WHERE live.active AND {still_there('academicSessions', roster)} AND live.school_year"
            " NOT IN (SELECT school_year FROM roster_year) ORDER BY live.school_year, live.id"
        )
    if not value("SELECT count(*) FROM roster_year"):
        _assume_year(roster, today)
    current = choose_year(rows("SELECT school_year, start_date, end_date FROM roster_year"), today)
    make(
        "roster_calendar",
        # A year that only the product knows leaves its calendars as they are.
        "SELECT coalesce(known.id, nextval('messenger_calendar_id_seq')) AS id,"
        " known.id IS NULL AS is_new, s.id AS school_id, y.school_year,"
        " y.school_year = %s AS is_current,"
        " coalesce(c.sourced_id, y.sourced_id) AS sourced_id, coalesce(c.name, left(coalesce("
        "  y.title, (y.school_year - 1) || '-' || y.school_year) || ' ' || s.name, 200)) AS name,"
        " coalesce(c.start_date, y.start_date) AS start_date,"
        " coalesce(c.end_date, y.end_date) AS end_date"
        " FROM roster_year y CROSS JOIN roster_school_ref s"
        " LEFT JOIN messenger_calendar known"
        "  ON known.school_id = s.id AND known.school_year = y.school_year"
        " LEFT JOIN messenger_calendar c ON c.id = known.id AND NOT y.from_file",
        [current],
    )


def _years_of_file(roster: Roster) -> None:
    sessions = (
        "SELECT right(btrim(t.school_year), 4)::smallint AS school_year,"
        " (array_agg(t.title ORDER BY t.sourced_id))[1] AS title, min(a.value) AS start_date,"
        " max(b.value) AS end_date, min(t.sourced_id) AS sourced_id, true AS from_file"
        f" FROM (SELECT t.* {good_rows('academicSessions')}) t"
        " JOIN roster_date a ON a.raw = t.start_date JOIN roster_date b ON b.raw = t.end_date"
    )
    if make("roster_year", f"{sessions} WHERE t.type = 'schoolYear' GROUP BY 1"):
        return
    if roster.is_bulk("academicSessions"):
        # Terms alone: their first and last day are the year's; their titles are not.
        some = run(f"INSERT INTO roster_year {sessions} GROUP BY 1")
        run("UPDATE roster_year SET title = NULL")
        if some:
            roster.report("academicSessions", "no_school_year")


def _assume_year(roster: Roster, today: date) -> None:
    ends = today.year + (today.month >= 7)
    run(
        "INSERT INTO roster_year VALUES (%s, NULL, %s, %s, '', true)",
        [ends, date(ends - 1, 7, 1), date(ends, 6, 30)],
    )
    roster.assumed_year = f"{ends - 1}-{ends}"
    roster.report("academicSessions", "no_sessions", roster.assumed_year)


def choose_year(years: list[tuple[int, date, date]], today: date) -> int:
    """The school year of a day: the one it lies in, else the last begun, else the first to come."""
    within = [year for year, start, end in years if start <= today <= end]
    begun = [year for year, start, _end in years if start <= today]
    return max(within or begun or [min(year for year, _start, _end in years)])


# -- classes ---------------------------------------------------------------------------------
def resolve_classes(roster: Roster) -> None:
    """roster_class: the classes of the file. roster_class_ref: every class that a row may name."""
    report(
        "classes",
        "SELECT t.line, 'schoolSourcedId', t.school_sourced_id,"
        " CASE WHEN t.school_sourced_id IN (SELECT sourced_id FROM roster_other_org)"
        "  THEN 'not_a_school' ELSE 'broken_reference' END"
        f" {good_rows('classes')}"
        " AND t.school_sourced_id NOT IN (SELECT sourced_id FROM roster_school_ref)",
    )
    gather_bad_rows(["classes"])
    _warn_of_loose_ends(roster)
    make(
        "roster_class",
        "SELECT t.sourced_id, s.id AS school_id, left(t.title, 255) AS title,"
        " left(coalesce(t.class_code, ''), 100) AS code,"
        " left(coalesce(t.class_type, ''), 20) AS kind,"
        " coalesce(c.id, nextval('messenger_schoolclass_id_seq')) AS id, c.id IS NULL AS is_new"
        f" FROM (SELECT t.* {good_rows('classes')}) t"
        " JOIN roster_school_ref s ON s.sourced_id = t.school_sourced_id"
        " LEFT JOIN messenger_schoolclass c ON c.sourced_id = t.sourced_id",
    )
    make(
        "roster_class_ref",
        "SELECT sourced_id, id, school_id FROM roster_class UNION ALL"
        " SELECT live.sourced_id, live.id, live.school_id FROM messenger_schoolclass live"
        f" WHERE live.active AND {still_there('classes', roster)}"
        " AND live.id NOT IN (SELECT id FROM roster_class)",
    )


def _warn_of_loose_ends(roster: Roster) -> None:
    """References that the messenger does not follow, where the whole truth is at hand."""
    ends = [
        ("orgs", "parentSourcedId", "parent_sourced_id", "orgs"),
        ("academicSessions", "parentSourcedId", "parent_sourced_id", "academicSessions"),
        ("courses", "orgSourcedId", "org_sourced_id", "orgs"),
        ("courses", "schoolYearSourcedId", "school_year_sourced_id", "academicSessions"),
        ("classes", "courseSourcedId", "course_sourced_id", "courses"),
        ("classes", "termSourcedIds", "term_sourced_ids", "academicSessions"),
    ]
    for file, column, field, target in ends:
        if not roster.is_bulk(target):
            continue
        report(
            file,
            f"SELECT t.line, '{column}', btrim(x.id), 'broken_link'"
            f" FROM {table_of(file)} t CROSS JOIN unnest(string_to_array(t.{field}, ',')) AS x(id)"
            f" WHERE btrim(x.id) <> '' AND NOT {DELETED} AND btrim(x.id) NOT IN"
            f" (SELECT sourced_id FROM {table_of(target)} WHERE sourced_id IS NOT NULL)",
        )


# -- people ----------------------------------------------------------------------------------
def resolve_roles(roster: Roster) -> None:
    """roster_role: who is what at which school (one row a person, role and organization).

    1.1 says it in users.csv, 1.2 in roles.csv. `school_id` is empty for the district's own.
    """
    if roster.roles_in_users:
        source = (
            "SELECT t.line, t.sourced_id AS user_id, t.role, btrim(x.id) AS org_id,"
            " NULL AS begin_date, NULL AS end_date, false AS is_deleted"
            f" FROM (SELECT t.* {good_rows('users')} AND t.role IN ('student', {_STAFF})) t"
            " CROSS JOIN unnest(string_to_array(t.org_sourced_ids, ',')) AS x(id)"
            " WHERE btrim(x.id) <> ''"
        )
        file, column = "users", "orgSourcedIds"
    else:
        _check_users_of_roles(roster)
        known = "t.line, t.user_sourced_id AS user_id, t.role, t.org_sourced_id AS org_id"
        source = " UNION ALL ".join(
            f"SELECT {known}, t.begin_date, t.end_date, {is_deleted}"
            f" {good_rows('roles', deleted=is_deleted)}"
            for is_deleted in (False, True)
        )
        file, column = "roles", "orgSourcedId"
    make(
        "roster_role",
        "SELECT r.line, r.user_id, r.role, r.org_id, s.id AS school_id, a.value AS start_date,"
        f" b.value AS end_date, r.is_deleted FROM ({source}) AS"
        " r(line, user_id, role, org_id, begin_date, end_date, is_deleted)"
        " LEFT JOIN roster_school_ref s ON s.sourced_id = r.org_id"
        " LEFT JOIN roster_date a ON a.raw = r.begin_date"
        " LEFT JOIN roster_date b ON b.raw = r.end_date",
        key="user_id",
    )
    if roster.is_bulk("orgs"):
        report(
            file,
            f"SELECT r.line, '{column}', r.org_id, 'broken_org' FROM roster_role r"
            " WHERE r.school_id IS NULL AND NOT r.is_deleted"
            " AND r.org_id NOT IN (SELECT sourced_id FROM roster_other_org)",
        )


def _check_users_of_roles(roster: Roster) -> None:
    report(
        "roles",
        f"SELECT t.line, 'userSourcedId', t.user_sourced_id, 'broken_reference'"
        f" {good_rows('roles')}"
        f" AND NOT EXISTS (SELECT FROM (SELECT t.sourced_id {good_rows('users')}) u"
        " WHERE u.sourced_id = t.user_sourced_id) AND NOT EXISTS"
        " (SELECT FROM messenger_person live WHERE live.sourced_id = t.user_sourced_id"
        f" AND live.active AND {still_there('users', roster)})",
    )
    gather_bad_rows(["roles"])


def resolve_people(roster: Roster) -> None:
    """roster_person: everybody the files speak of (`listed`: with a row in users.csv).
    roster_user_ref: every person that a row may name. roster_kept_person: people whose own rows
    are bad, and who stay as they are."""
    make(
        "roster_role_sum",
        "SELECT user_id, bool_or(role = 'student') FILTER (WHERE NOT is_deleted) AS is_student,"
        " bool_or(role = 'student') FILTER (WHERE is_deleted) AS was_student,"
        f" bool_or(role IN ({_STAFF})) FILTER (WHERE NOT is_deleted) AS is_staff,"
        f" bool_or(role IN ({_STAFF})) FILTER (WHERE is_deleted) AS was_staff,"
        f" min(role) FILTER (WHERE role IN ({_GUARDIANS}) AND NOT is_deleted) AS guardian_role"
        " FROM roster_role GROUP BY user_id",
    )
    make("roster_person", _people_of_users(roster), key="sourced_id")
    if roster.has("roles") and not roster.is_bulk("roles"):
        run("INSERT INTO roster_person " + _people_of_roles())
    run("CREATE UNIQUE INDEX ON roster_person (id)")
    make(
        "roster_kept_person",
        "SELECT live.id FROM messenger_person live WHERE live.sourced_id IN"
        " (SELECT sourced_id FROM roster_bad WHERE file = 'users' AND sourced_id IS NOT NULL"
        f" UNION {_OF_BAD_ROLES})",
    )
    make(
        "roster_user_ref",
        "SELECT sourced_id, id, is_student FROM roster_person UNION ALL"
        " SELECT live.sourced_id, live.id, live.is_student FROM messenger_person live"
        f" WHERE live.active AND {still_there('users', roster)}"
        " AND NOT EXISTS (SELECT FROM roster_person p WHERE p.id = live.id)",
        key="sourced_id",
    )
    if roster.is_bulk("roles") and roster.is_bulk("users"):
        report(
            "users",
            "SELECT p.line, 'sourcedId', p.sourced_id, 'no_role' FROM roster_person p"
            " WHERE p.listed AND NOT EXISTS"
            " (SELECT FROM roster_role_sum r WHERE r.user_id = p.sourced_id)",
        )


# People with a role that was left out: they stay what they are.
_OF_BAD_ROLES = (
    "SELECT t.user_sourced_id FROM roster_roles t JOIN roster_bad b"
    " ON b.file = 'roles' AND b.line = t.line WHERE t.user_sourced_id IS NOT NULL"
)
# A delta that takes a role away does not say which others remain; the product does.
_OTHERS = {
    "student": "SELECT FROM messenger_enrollment e"
    " JOIN messenger_calendar c ON c.id = e.calendar_id"
    " WHERE e.person_id = live.id AND e.active AND c.school_id NOT IN"
    " (SELECT r.school_id FROM roster_role r WHERE r.user_id = live.sourced_id AND r.is_deleted"
    "  AND r.role = 'student' AND r.school_id IS NOT NULL)",
    "staff": "SELECT FROM messenger_staffassignment a WHERE a.person_id = live.id AND a.active"
    " AND a.school_id NOT IN (SELECT r.school_id FROM roster_role r WHERE r.is_deleted"
    f"  AND r.user_id = live.sourced_id AND r.role IN ({_STAFF}) AND r.school_id IS NOT NULL)",
}


def _flag(roster: Roster, what: str) -> str:
    """Whether a person is a student (or staff), in terms of roster_role_sum `r` and `live`."""
    column = "is_student" if what == "student" else "is_staff_member"
    if roster.roles_in_users:
        return "t.role = 'student'" if what == "student" else f"t.role IN ({_STAFF})"
    if roster.is_bulk("roles"):
        return f"r.is_{what} OR (live.{column} AND live.sourced_id IN ({_OF_BAD_ROLES}))"
    remains = f"live.{column} AND (r.was_{what} IS NOT TRUE OR EXISTS ({_OTHERS[what]}))"
    return f"r.is_{what} OR ({remains})"


def _people_of_users(roster: Roster) -> str:
    meant = " ".join(f"WHEN '{given}' THEN '{grade}'" for given, grade in GRADES_MEANT.items())
    meant += " ".join(f" WHEN '{grade.upper()}' THEN '{grade}'" for grade in GRADES)
    grade = "btrim(upper(split_part(t.grades, ',', 1)))"
    return (
        "SELECT t.sourced_id, t.line, true AS listed,"
        " coalesce(live.id, nextval('messenger_person_id_seq')) AS id, live.id IS NULL AS is_new,"
        " left(coalesce(t.given_name, ''), 150) AS given_name,"
        " left(coalesce(t.middle_name, ''), 150) AS middle_name,"
        " left(coalesce(t.family_name, ''), 150) AS family_name,"
        " left(coalesce(t.preferred_given_name, live.preferred_given_name, ''), 150)"
        "  AS preferred_given_name,"
        " left(coalesce(t.identifier, ''), 100) AS identifier,"
        " CASE WHEN live.language_chosen THEN live.language"
        "  ELSE left(coalesce(t.metadata_language, live.language, ''), 20) END AS language,"
        f" coalesce({_flag(roster, 'student')}, false) AS is_student,"
        f" coalesce({_flag(roster, 'staff')}, false) AS is_staff_member,"
        f" CASE {grade} {meant} ELSE left(btrim(split_part(t.grades, ',', 1)), 20) END AS grade,"
        f" coalesce(CASE WHEN t.role IN ({_GUARDIANS}) THEN t.role END, r.guardian_role)"
        "  AS guardian_role, t.agent_sourced_ids AS agents"
        f" FROM (SELECT t.* {good_rows('users')}) t"
        " LEFT JOIN roster_role_sum r ON r.user_id = t.sourced_id"
        " LEFT JOIN messenger_person live ON live.sourced_id = t.sourced_id"
    )


def _people_of_roles() -> str:
    """People of whom a delta changes the roles alone: as they are, with other marks."""
    roster = Roster(modes={"roles": "delta"})
    return (
        "SELECT live.sourced_id, 0, false, live.id, false, live.given_name, live.middle_name,"
        " live.family_name, live.preferred_given_name, live.identifier, live.language,"
        f" coalesce({_flag(roster, 'student')}, false), coalesce({_flag(roster, 'staff')}, false),"
        " (SELECT e.grade FROM messenger_enrollment e WHERE e.person_id = live.id AND e.active"
        "  ORDER BY e.id DESC LIMIT 1), r.guardian_role, NULL"
        " FROM roster_role_sum r JOIN messenger_person live ON live.sourced_id = r.user_id"
        " WHERE live.active AND NOT EXISTS"
        " (SELECT FROM roster_person p WHERE p.sourced_id = r.user_id)"
    )


def resolve_links(roster: Roster) -> None:
    """roster_link: guardian and student, once, whichever of the two rows names the other."""
    make(
        "roster_pair",
        "SELECT p.line, p.id, p.is_student, p.guardian_role, btrim(x.id) AS agent,"
        " a.id AS agent_id, a.is_student AS agent_is_student FROM roster_person p"
        " CROSS JOIN unnest(string_to_array(p.agents, ',')) AS x(id)"
        " LEFT JOIN roster_user_ref a ON a.sourced_id = btrim(x.id) WHERE btrim(x.id) <> ''",
    )
    report(
        "users",
        "SELECT line, 'agentSourcedIds', agent, CASE WHEN agent_id IS NULL THEN 'broken_agent'"
        " WHEN agent_id = id THEN 'own_agent' ELSE 'agent_without_student' END FROM roster_pair"
        " WHERE agent_id IS NULL OR agent_id = id OR NOT (is_student OR agent_is_student)",
    )
    # A student's row names agents (the standard's direction), unless only the other is a student.
    words = " ".join(f"WHEN '{role}' THEN '{word}'" for role, word in GUARDIAN_ROLES.items())
    make(
        "roster_link",
        "SELECT link.student_id, link.guardian_id,"
        f" max(CASE g.guardian_role {words} ELSE '' END) AS label,"
        " bool_or(g.guardian_role IS DISTINCT FROM 'relative') AS is_guardian FROM ("
        " SELECT CASE WHEN is_student THEN id ELSE agent_id END,"
        "  CASE WHEN is_student THEN agent_id ELSE id END FROM roster_pair"
        " WHERE agent_id <> id AND (is_student OR agent_is_student)"
        ") AS link(student_id, guardian_id)"
        " LEFT JOIN roster_person g ON g.id = link.guardian_id GROUP BY 1, 2",
    )


def resolve_seats(roster: Roster) -> None:
    """roster_seat: a person in a class (a row of enrollments.csv)."""
    run(
        "CREATE TEMPORARY TABLE roster_seat AS SELECT t.sourced_id, t.line, c.id AS class_id,"
        " c.school_id, p.id AS person_id, t.role,"
        " coalesce(lower(t.\"primary\") = 'true', false) AS is_primary,"
        " a.value AS start_date, b.value AS end_date"
        f" FROM (SELECT t.* {good_rows('enrollments')}) t"
        " LEFT JOIN roster_class_ref c ON c.sourced_id = t.class_sourced_id"
        " LEFT JOIN roster_user_ref p ON p.sourced_id = t.user_sourced_id"
        " LEFT JOIN roster_date a ON a.raw = t.begin_date"
        " LEFT JOIN roster_date b ON b.raw = t.end_date"
    )
    report(
        "enrollments",
        "SELECT s.line, x.name, x.value, 'broken_reference' FROM roster_seat s"
        " JOIN roster_enrollments t ON t.line = s.line CROSS JOIN LATERAL (VALUES"
        " ('classSourcedId', t.class_sourced_id, s.class_id),"
        " ('userSourcedId', t.user_sourced_id, s.person_id)) AS x(name, value, id)"
        " WHERE (s.class_id IS NULL OR s.person_id IS NULL) AND x.id IS NULL",
    )
    gather_bad_rows(["enrollments"])
    run("DELETE FROM roster_seat WHERE class_id IS NULL OR person_id IS NULL")
    run("ANALYZE roster_seat")
