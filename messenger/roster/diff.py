"""What an import would change: one table of changes a kind of thing, the counts, and the guards.

Every change is a row with the id it concerns and `op` (added, changed, removed). What stays the
same is counted, not kept. Nothing is written to the product; `apply` does that and nothing else.
"""

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from messenger.models import District
from messenger.models.contact import Device
from messenger.roster.check import report
from messenger.roster.households import find_households, gather_points
from messenger.roster.layout import STAFF_ROLES
from messenger.roster.read import Roster
from messenger.roster.resolve import still_there
from messenger.roster.staging import make, rows, run, value

# An import beyond these stops and asks a person (oneroster.md, rule 4).
MOST_REMOVED = 0.20
MOST_INVALID = 0.05
FEW_INVALID = 10

SAMPLE = 20  # names shown of each kind of change

Counts = dict[str, dict[str, int]]


@dataclass
class Diff:
    """The counts of an import by kind of thing, examples, and why it may need a person."""

    counts: Counts = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)
    samples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, added: int, changed: int, removed: int, wanted: int) -> None:
        """Count a kind of thing; kinds that are stored in two tables add up."""
        before = self.counts.setdefault(
            kind, {"added": 0, "changed": 0, "removed": 0, "unchanged": 0}
        )
        for name, number in (
            ("added", added),
            ("changed", changed),
            ("removed", removed),
            ("unchanged", wanted - added - changed),
        ):
            before[name] += number


def compare(roster: Roster, district: District) -> Diff:
    """Fill the tables of changes, in the order in which things depend on each other."""
    diff = Diff()
    _compare_schools(roster, diff)
    _compare_people(roster, diff)
    _compare_links(roster, diff)
    find_households(roster)
    _compare_households(roster, diff)
    gather_points(roster, district)
    _compare_points(diff)
    _compare_enrollments(roster, diff)
    _compare_staff(roster, diff)
    _compare_classes(roster, diff)
    _look_for_doubts(roster, diff)
    return diff


def _compare(
    diff: Diff,
    kind: str,
    name: str,
    *,
    table: str,
    on: str,
    fields: dict[str, str],
    reach: str,
    wanted: str = "",
) -> None:
    """What becomes of each wanted row (w) and each row of the product (live).

    Fills roster_<name>_change (op, live_id and the wanted row) and roster_<name>_gone (ids).
    `fields` are columns of the product with their wanted value; `reach` says which live rows are
    to go when nothing wants them.
    """
    wanted = wanted or f"roster_{name}"
    same = "".join(
        f" AND live.{column} IS NOT DISTINCT FROM {want}" for column, want in fields.items()
    )
    make(
        f"roster_{name}_change",
        "SELECT CASE WHEN live.id IS NULL THEN 'added' ELSE 'changed' END AS op,"
        f" live.id AS live_id, w.* FROM {wanted} w LEFT JOIN {table} live ON {on}"
        f" WHERE live.id IS NULL OR NOT (live.active{same})",
    )
    gone = make(
        f"roster_{name}_gone",
        f"SELECT live.id FROM {table} live WHERE live.active AND ({reach})"
        f" AND NOT EXISTS (SELECT FROM {wanted} w WHERE {on})",
    )
    ops = dict(rows(f"SELECT op, count(*) FROM roster_{name}_change GROUP BY op"))
    total = value(f"SELECT count(*) FROM {wanted}")
    diff.add(kind, ops.get("added", 0), ops.get("changed", 0), gone, total)


def _no_longer(name: str, roster: Roster) -> str:
    """Rows that a file of the roster has named once and does no longer."""
    return f"live.sourced_id IS NOT NULL AND NOT ({still_there(name, roster)})"


# -- schools and people ----------------------------------------------------------------------
def _compare_schools(roster: Roster, diff: Diff) -> None:
    _compare(
        diff,
        "schools",
        "school",
        table="messenger_school",
        on="live.id = w.id",
        fields={"name": "w.name", "identifier": "w.identifier"},
        reach=_no_longer("orgs", roster),
    )
    _compare(
        diff,
        "calendars",
        "calendar",
        table="messenger_calendar",
        on="live.id = w.id",
        fields={name: f"w.{name}" for name in ("name", "start_date", "end_date", "sourced_id")},
        reach=f"({_no_longer('academicSessions', roster)})"
        " OR live.school_id IN (SELECT id FROM roster_school_gone)",
    )


def _compare_people(roster: Roster, diff: Diff) -> None:
    columns = (
        *("given_name", "middle_name", "family_name", "preferred_given_name"),
        *("identifier", "language", "is_student", "is_staff_member"),
    )
    _compare(
        diff,
        "people",
        "person",
        table="messenger_person",
        on="live.id = w.id",
        fields={column: f"w.{column}" for column in columns},
        reach=_no_longer("users", roster),
    )
    shown = "family_name || ', ' || given_name"
    for op, source in (
        ("added", "roster_person_change WHERE op = 'added'"),
        ("changed", "roster_person_change WHERE op = 'changed'"),
        ("removed", "messenger_person WHERE id IN (SELECT id FROM roster_person_gone)"),
    ):
        query = f"SELECT {shown} FROM {source} ORDER BY family_name, given_name LIMIT {SAMPLE}"
        diff.samples[op] = [name for (name,) in rows(query)]


def _compare_links(roster: Roster, diff: Diff) -> None:
    """Relationships; then roster_tie, every link that holds after the import."""
    gone = "live.{0}_id IN (SELECT id FROM roster_person_gone)"
    reach = f"{gone.format('student')} OR {gone.format('guardian')}"
    if roster.is_bulk("users"):
        reach += "".join(
            f" {word} live.{side}_id IN (SELECT id FROM messenger_person WHERE sourced_id IS NOT"
            " NULL EXCEPT SELECT id FROM roster_kept_person)"
            for word, side in (("OR", "student"), ("AND", "guardian"))
        )
    elif roster.has("users"):
        # A row names all agents of its person; a blank says nothing (the other side may).
        named = "SELECT id FROM roster_person WHERE agents IS NOT NULL AND {0} is_student"
        reach += f" OR live.student_id IN ({named.format('')})"
        reach += f" OR live.guardian_id IN ({named.format('NOT')})"
    _compare(
        diff,
        "relationships",
        "link",
        table="messenger_relationship",
        on="live.student_id = w.student_id AND live.guardian_id = w.guardian_id",
        fields={},
        reach=f"live.source = 'roster' AND ({reach})",
    )
    make(
        "roster_tie",
        "SELECT student_id, guardian_id FROM roster_link UNION"
        " SELECT live.student_id, live.guardian_id FROM messenger_relationship live"
        " WHERE live.active AND live.id NOT IN (SELECT id FROM roster_link_gone)",
    )


# -- households and contact points -----------------------------------------------------------
def _compare_households(roster: Roster, diff: Diff) -> None:
    ours = (
        "EXISTS (SELECT FROM messenger_contactpoint c"
        " WHERE c.household_id = live.id AND c.source = 'roster')"
    )
    _compare(
        diff,
        "households",
        "household",
        table="messenger_household",
        on="live.id = w.id",
        fields={},
        reach=ours if roster.has("users") else "false",
    )
    make(
        "roster_member",
        "SELECT h.id AS household_id, m.person_id, m.is_guardian FROM roster_home_member m"
        " JOIN roster_household h ON h.home = m.home",
    )
    _compare(
        diff,
        "memberships",
        "member",
        table="messenger_householdmembership",
        on="live.household_id = w.household_id AND live.person_id = w.person_id",
        fields={},
        reach="live.household_id IN (SELECT id FROM roster_household UNION"
        " SELECT id FROM roster_household_gone) AND live.person_id IN"
        " (SELECT id FROM messenger_person WHERE sourced_id IS NOT NULL)"
        " AND live.source = 'roster'",
    )


def _compare_points(diff: Diff) -> None:
    """Numbers and addresses. What a person has entered here (source not roster) stays theirs."""
    make(
        "roster_house_point",
        f"SELECT h.id AS household_id, '{Device.HOUSEHOLD}' AS device, h.raw, h.value, h.extension,"
        " h.problem, h.private FROM roster_household h WHERE NOT EXISTS"
        " (SELECT FROM messenger_contactpoint c WHERE c.household_id = h.id"
        f"  AND c.device = '{Device.HOUSEHOLD}' AND c.source <> 'roster')",
    )
    run(
        "DELETE FROM roster_point p USING messenger_contactpoint c WHERE c.person_id = p.person_id"
        " AND c.device = p.device AND c.source <> 'roster'"
    )
    lost_household = "live.household_id IN (SELECT id FROM roster_household_gone)"
    for name, owner, reach in (
        ("house_point", "household_id", lost_household),
        (
            "point",
            "person_id",
            "live.person_id IN (SELECT id FROM roster_person WHERE listed UNION ALL"
            f" SELECT id FROM roster_person_gone) OR (live.device = '{Device.OTHER}' AND EXISTS"
            " (SELECT FROM roster_home_member m JOIN roster_household h ON h.home = m.home"
            "  WHERE m.person_id = live.person_id AND h.value = live.value"
            "  AND h.extension = live.extension))",
        ),
    ):
        _compare(
            diff,
            "contact_points",
            name,
            table="messenger_contactpoint",
            on=f"live.{owner} = w.{owner} AND live.device = w.device",
            fields={
                "value": "w.value",
                "extension": "w.extension",
                "raw": "w.raw",
                "problem": "w.problem",
            },
            reach=f"live.source = 'roster' AND ({reach})",
        )


# -- enrollments, assignments, classes -------------------------------------------------------
def _reach_of_roles(roster: Roster, kind: str) -> str:
    """Which enrollments (or staff assignments) go when no row wants them."""
    gone = "live.person_id IN (SELECT id FROM roster_person_gone)"
    file = "users" if roster.roles_in_users else "roles"
    if roster.is_bulk(file):
        return (
            f"{gone} OR live.person_id IN (SELECT id FROM messenger_person WHERE sourced_id IS NOT"
            " NULL EXCEPT SELECT id FROM roster_kept_person)"
        )
    if not roster.has(file):
        return gone
    at_school = (
        "EXISTS (SELECT FROM messenger_calendar c WHERE c.id = live.calendar_id"
        " AND c.school_id = r.school_id)"
        if kind == "student"
        else "live.school_id = r.school_id"
    )
    if roster.roles_in_users:
        now = "live.calendar_id IN (SELECT id FROM roster_calendar WHERE is_current) AND"
        listed = "live.person_id IN (SELECT id FROM roster_person WHERE listed)"
        return f"{gone} OR ({now if kind == 'student' else ''} {listed})"
    return (
        f"{gone} OR EXISTS (SELECT FROM roster_role r JOIN roster_person p"
        " ON p.sourced_id = r.user_id WHERE r.is_deleted AND p.id = live.person_id"
        f" AND (r.role = 'student') = {kind == 'student'} AND {at_school})"
    )


def _compare_enrollments(roster: Roster, diff: Diff) -> None:
    """A student in the current year of each school; where no role names a school, the schools of
    the student's classes do."""
    make(
        "roster_enrollment",
        "SELECT p.id AS person_id, c.id AS calendar_id, coalesce(max(p.grade), '') AS grade,"
        " min(x.start_date) AS start_date,"
        " CASE WHEN bool_and(x.end_date IS NOT NULL) THEN max(x.end_date) END AS end_date FROM ("
        " SELECT user_id, school_id, start_date, end_date FROM roster_role WHERE role = 'student'"
        "  AND NOT is_deleted AND school_id IS NOT NULL UNION ALL"
        " SELECT p.sourced_id, s.school_id, NULL, NULL FROM roster_person p"
        "  JOIN roster_seat s ON s.person_id = p.id AND s.role = 'student'"
        "  WHERE p.is_student AND p.listed AND NOT EXISTS (SELECT FROM roster_role r"
        "   WHERE r.user_id = p.sourced_id AND r.role = 'student' AND r.school_id IS NOT NULL)"
        ") AS x JOIN roster_person p ON p.sourced_id = x.user_id"
        " JOIN roster_calendar c ON c.school_id = x.school_id AND c.is_current GROUP BY p.id, c.id",
    )
    report(
        "users",
        "SELECT p.line, 'orgSourcedIds', p.sourced_id, 'no_school' FROM roster_person p"
        " WHERE p.listed AND p.is_student"
        " AND NOT EXISTS (SELECT FROM roster_enrollment e WHERE e.person_id = p.id)"
        " AND NOT EXISTS (SELECT FROM messenger_enrollment e"
        "  WHERE e.person_id = p.id AND e.active)",
    )
    _compare(
        diff,
        "enrollments",
        "enrollment",
        table="messenger_enrollment",
        on="live.calendar_id = w.calendar_id AND live.person_id = w.person_id",
        fields={
            "grade": "w.grade",
            "start_date": "w.start_date",
            "end_date": "w.end_date",
        },
        reach=_reach_of_roles(roster, "student"),
    )


def _compare_staff(roster: Roster, diff: Diff) -> None:
    types = " ".join(f"WHEN '{role}' THEN '{words}'" for role, words in STAFF_ROLES.items())
    make(
        "roster_staff",
        "SELECT p.id AS person_id, r.school_id,"
        f" CASE r.role {types} END AS staff_type, min(r.start_date) AS start_date,"
        " CASE WHEN bool_and(r.end_date IS NOT NULL) THEN max(r.end_date) END AS end_date"
        " FROM roster_role r JOIN roster_person p ON p.sourced_id = r.user_id"
        " WHERE r.role <> 'student' AND NOT r.is_deleted AND r.school_id IS NOT NULL"
        f" AND CASE r.role {types} END IS NOT NULL GROUP BY 1, 2, 3",
    )
    _compare(
        diff,
        "staff_assignments",
        "staff",
        table="messenger_staffassignment",
        on="live.person_id = w.person_id AND live.school_id = w.school_id"
        " AND live.staff_type = w.staff_type",
        fields={"start_date": "w.start_date", "end_date": "w.end_date"},
        reach=_reach_of_roles(roster, "staff"),
    )


def _compare_classes(roster: Roster, diff: Diff) -> None:
    _compare(
        diff,
        "classes",
        "class",
        table="messenger_schoolclass",
        on="live.id = w.id",
        fields={name: f"w.{name}" for name in ("school_id", "title", "code", "kind")},
        reach=_no_longer("classes", roster),
    )
    _compare(
        diff,
        "class_enrollments",
        "seat",
        table="messenger_classenrollment",
        on="live.sourced_id = w.sourced_id",
        fields={
            "school_class_id": "w.class_id",
            "person_id": "w.person_id",
            "role": "w.role",
            '"primary"': "w.is_primary",
            "start_date": "w.start_date",
            "end_date": "w.end_date",
        },
        reach=_no_longer("enrollments", roster),
    )


# -- doubts ----------------------------------------------------------------------------------
def _look_for_doubts(roster: Roster, diff: Diff) -> None:
    """What no machine should do alone (oneroster.md, rule 4)."""
    if roster.is_bulk("users") and not value("SELECT count(*) FROM roster_person"):
        diff.doubts.append(_("The file has no people."))
    elif roster.is_bulk("users") and not value(
        "SELECT count(*) FROM roster_person WHERE is_student"
    ):
        diff.doubts.append(_("Nobody in the file is a student; the roles may be missing."))
    gone = [name for (name,) in rows(_SCHOOLS_GONE)]
    if gone:
        diff.doubts.append(
            _("Schools that the product has are missing: %(names)s.")
            % {"names": ", ".join(gone[:10])}
        )
    for what, table, name, of in (
        (_("people"), "messenger_person", "person", "sourced_id IS NOT NULL"),
        (_("students"), "messenger_person", "person", "sourced_id IS NOT NULL AND is_student"),
        (_("staff"), "messenger_person", "person", "sourced_id IS NOT NULL AND is_staff_member"),
        (_("guardian links"), "messenger_relationship", "link", "true"),
        (_("numbers and addresses"), "messenger_contactpoint", "point", "person_id IS NOT NULL"),
    ):
        had, lost = rows(
            "SELECT count(*), count(*) FILTER (WHERE EXISTS"
            f" (SELECT FROM roster_{name}_gone g WHERE g.id = t.id))"
            f" FROM {table} t WHERE active AND {of}"
        )[0]
        if lost > MOST_REMOVED * had:
            diff.doubts.append(
                _("%(lost)s of %(had)s %(what)s would be removed.")
                % {"lost": lost, "had": had, "what": what}
            )
    phones, invalid = rows(_PHONES)[0]
    # One wrong number in a delta of three people is no reason to wake somebody.
    few = roster.modes.get("users") == "delta" and invalid < FEW_INVALID
    if invalid > MOST_INVALID * phones and not few:
        diff.doubts.append(
            _("%(invalid)s of %(phones)s phone numbers are not valid.")
            % {"invalid": invalid, "phones": phones}
        )


_SCHOOLS_GONE = """
SELECT name FROM messenger_school WHERE id IN (SELECT id FROM roster_school_gone) ORDER BY name
"""
_PHONES = """
SELECT count(*), count(*) FILTER (WHERE problem <> '') FROM (
    SELECT problem FROM roster_point WHERE device NOT IN ('email', 'email2')
    UNION ALL SELECT problem FROM roster_house_point) AS phones
"""
