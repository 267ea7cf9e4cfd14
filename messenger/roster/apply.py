"""The writing half of an import: tables of changes into the product, in one transaction.

The only module of the roster that touches people, schools, relationships, households, contact
points and their first preferences. Nothing is deleted, ever: what is gone becomes inactive. Nothing
here updates a preference, a private flag, the Messenger mark or a consent.
"""

from functools import partial

from django.db import transaction

from messenger.models import ContactChange, District, Door
from messenger.models.contact import Device, Mode
from messenger.roster.families import recompute_families
from messenger.roster.staging import run, value

# Tables whose rows are switched off when their id is in roster_<name>_gone.
_SWITCHED = {
    "school": "messenger_school",
    "calendar": "messenger_calendar",
    "link": "messenger_relationship",
    "household": "messenger_household",
    "member": "messenger_householdmembership",
    "house_point": "messenger_contactpoint",
    "point": "messenger_contactpoint",
    "enrollment": "messenger_enrollment",
    "staff": "messenger_staffassignment",
    "class": "messenger_schoolclass",
    "seat": "messenger_classenrollment",
}
# A table that has grown by so much plans badly until it is looked at again.
_GROWN = 1_000
_CONTACTS_CHANGED = "UPDATE messenger_district SET contacts_changed_at = clock_timestamp()"
Columns = dict[str, str]


def apply_changes(district: District, source: str = "") -> None:
    """Write everything that `diff` found. One transaction: all of it or nothing. `source` names the
    file in the history of contact points."""
    with transaction.atomic():
        for table, name in _SWITCHED.items():
            run(
                f"UPDATE {name} SET active = false WHERE id IN (SELECT id FROM roster_{table}_gone)"
            )
        _apply_schools()
        _apply_people()
        _apply_links(district)
        _apply_households()
        _apply_points(district, source)
        _apply_enrollments()
        _apply_classes()
        if _families_may_differ():
            recompute_families()
        if _contacts_may_differ():
            # Frozen calls are checked again at hand-over (ruling 5).
            run(_CONTACTS_CHANGED)
            # Once more when it is visible: a slice that began before that has read the old ones.
            transaction.on_commit(partial(run, _CONTACTS_CHANGED))


def _add(table: str, name: str, columns: Columns) -> None:
    """Insert the added rows (w) of roster_<name>_change. What somebody has made by hand since the
    comparison stays as it is."""
    run(
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(columns.values())}"
        f" FROM roster_{name}_change w WHERE w.op = 'added' ON CONFLICT DO NOTHING"
    )


def _change(table: str, name: str, columns: Columns) -> None:
    """Update the changed rows of roster_<name>_change, and make them active again."""
    sets = "".join(f", {column} = {wanted}" for column, wanted in columns.items())
    run(
        f"UPDATE {table} AS t SET active = true{sets} FROM roster_{name}_change w"
        " WHERE w.op = 'changed' AND t.id = w.live_id"
    )


def _same(*columns: str) -> Columns:
    return {column: f"w.{column}" for column in columns}


def _apply_schools() -> None:
    school = _same("name", "identifier")
    made = {"uuid": "gen_random_uuid()", "time_zone": "''", "active": "true"}
    _add("messenger_school", "school", {**_same("id", "sourced_id"), **school, **made})
    _change("messenger_school", "school", school)
    calendar = _same("name", "start_date", "end_date", "sourced_id")
    key = {**_same("id", "school_id", "school_year"), "active": "true"}
    _add("messenger_calendar", "calendar", {**key, **calendar})
    _change("messenger_calendar", "calendar", calendar)


def _apply_people() -> None:
    person = _same(
        *("identifier", "given_name", "middle_name", "family_name", "preferred_given_name"),
        *("language", "is_student", "is_staff_member"),
    )
    times = {"created_at": "now()", "updated_at": "now()"}
    made = {"uuid": "gen_random_uuid()", "active": "true", **times}
    _add("messenger_person", "person", {**_same("id", "sourced_id"), **person, **made})
    _change("messenger_person", "person", {**person, "updated_at": "now()"})
    run(
        "UPDATE messenger_person SET active = false, updated_at = now()"
        " WHERE id IN (SELECT id FROM roster_person_gone)"
    )


def _apply_links(district: District) -> None:
    """New links start with the district's Messenger mark; old ones keep whatever they have."""
    mark = "true" if district.roster_messenger_mark else "false"
    made = {"messenger": mark, "active": "true"}
    off = dict.fromkeys(("mailing", "portal", "private"), "false")
    columns = _same("student_id", "guardian_id", "label", "is_guardian")
    _add("messenger_relationship", "link", {**columns, **made, **off})
    _change("messenger_relationship", "link", {})


def _apply_households() -> None:
    made = {"uuid": "gen_random_uuid()", "name": "''", "active": "true"}
    _add("messenger_household", "household", {**_same("id"), **made})
    _change("messenger_household", "household", {})
    _add(
        "messenger_householdmembership",
        "member",
        {**_same("household_id", "person_id"), "active": "true"},
    )
    _change("messenger_householdmembership", "member", {"end_date": "NULL"})
    run(_NAME_HOUSEHOLDS)


# "Alisa & Jeremy Family", "Lan Nguyễn & Peter Olson": only where the guardians have changed.
_NAME_HOUSEHOLDS = """
WITH touched AS (
    SELECT household_id FROM roster_member_change WHERE is_guardian
    UNION SELECT m.household_id FROM messenger_householdmembership m
    JOIN roster_member_gone g ON g.id = m.id
), named AS (
    SELECT m.household_id, count(DISTINCT p.family_name) AS families,
        string_agg(p.given_name, ' & ' ORDER BY p.id) AS given, min(p.family_name) AS family,
        string_agg(btrim(p.given_name || ' ' || p.family_name), ' & ' ORDER BY p.id) AS whole
    FROM roster_member m JOIN touched ON touched.household_id = m.household_id
    JOIN messenger_person p ON p.id = m.person_id WHERE m.is_guardian GROUP BY m.household_id
)
UPDATE messenger_household h
SET name = left(CASE WHEN named.families = 1 THEN named.given || ' ' || named.family
                     ELSE named.whole END, 200)
FROM named WHERE h.id = named.household_id
"""


def _apply_points(district: District, source: str) -> None:
    """Numbers and addresses; a new one gets its first preferences, an old one keeps its own. What
    they were goes into the history."""
    point = {
        **_same("device", "value", "extension", "raw", "problem"),
        "valid": "w.problem = ''",
    }
    made = {"private": "w.private", "source": "'roster'", "active": "true"}
    for name, owner in (("house_point", "household_id"), ("point", "person_id")):
        run(f"ALTER TABLE roster_{name}_change ADD id bigint")
        run(
            f"UPDATE roster_{name}_change SET id = nextval('messenger_contactpoint_id_seq')"
            " WHERE op = 'added'"
        )
        _remember(_CHANGED_POINTS.format(name=name, owner=owner), source)
        _remember(_GONE_POINTS.format(name=name, owner=owner), source)
        _add("messenger_contactpoint", name, {**_same("id", owner), **point, **made})
        _change("messenger_contactpoint", name, point)
        _remember(_NEW_POINTS.format(name=name, owner=owner), source)
        for mode, reasons, devices in (
            (Mode.VOICE, district.roster_voice_reasons, _VOICE),
            (Mode.TEXT, district.roster_text_reasons, (Device.CELL,)),
            (Mode.EMAIL, district.roster_email_reasons, (Device.EMAIL, Device.EMAIL2)),
        ):
            if reasons:
                _prefer(name, mode, reasons, devices)


def _remember(points: str, source: str) -> None:
    """Lines of the history, from rows of points with what they were and what they are."""
    run(
        "INSERT INTO messenger_contactchange (door, subject, user_name, person_id, household_id,"
        f" contact_point_id, device, private, before, after) SELECT %s, %s, %s, x.* FROM ({points})"
        " x(person_id, household_id, contact_point_id, device, private, before, after)"
        " WHERE x.before <> x.after",
        [Door.IMPORT.value, ContactChange.Subject.POINT.value, source],
    )


_SHOWN = "{0}.value || CASE {0}.extension WHEN '' THEN '' ELSE ' x' || {0}.extension END"
# Before they are changed; one that was switched off is there again.
_CHANGED_POINTS = (
    "SELECT c.person_id, c.household_id, c.id, c.device, c.private,"
    f" CASE WHEN c.active THEN {_SHOWN.format('c')} ELSE '' END, {_SHOWN.format('w')}"
    " FROM roster_{name}_change w JOIN messenger_contactpoint c ON c.id = w.live_id"
    " WHERE w.op = 'changed' ORDER BY c.{owner}"
)
_GONE_POINTS = (
    f"SELECT c.person_id, c.household_id, c.id, c.device, c.private, {_SHOWN.format('c')}, ''"
    " FROM roster_{name}_gone g JOIN messenger_contactpoint c ON c.id = g.id ORDER BY c.{owner}"
)
_NEW_POINTS = (
    f"SELECT c.person_id, c.household_id, c.id, c.device, c.private, '', {_SHOWN.format('c')}"
    " FROM roster_{name}_change w JOIN messenger_contactpoint c ON c.id = w.id"
    " WHERE w.op = 'added' ORDER BY c.{owner}"
)
_VOICE = (Device.HOUSEHOLD, Device.CELL, Device.OTHER, Device.WORK)


def _prefer(name: str, mode: Mode, reasons: int, devices: tuple[Device, ...]) -> None:
    """The first preferences of new contact points."""
    run(
        "INSERT INTO messenger_contactpreference (contact_point_id, mode, reasons)"
        f" SELECT w.id, %s, %s FROM roster_{name}_change w"
        " JOIN messenger_contactpoint c ON c.id = w.id"
        " WHERE w.op = 'added' AND w.device = ANY(%s)",
        [mode.value, reasons, [device.value for device in devices]],
    )


def _apply_enrollments() -> None:
    dates = _same("start_date", "end_date")
    enrollment = {**_same("grade"), **dates}
    key = {**_same("calendar_id", "person_id"), "active": "true"}
    _add("messenger_enrollment", "enrollment", {**key, **enrollment})
    _change("messenger_enrollment", "enrollment", enrollment)
    key = {**_same("person_id", "school_id", "staff_type"), "active": "true"}
    _add("messenger_staffassignment", "staff", {**key, **dates})
    _change("messenger_staffassignment", "staff", dates)


def _apply_classes() -> None:
    taught = _same("school_id", "title", "code", "kind")
    key = {**_same("id", "sourced_id"), "active": "true"}
    _add("messenger_schoolclass", "class", {**key, **taught})
    _change("messenger_schoolclass", "class", taught)
    seat = {
        "school_class_id": "w.class_id",
        "person_id": "w.person_id",
        "role": "w.role",
        '"primary"': "w.is_primary",
        **_same("start_date", "end_date"),
    }
    _add("messenger_classenrollment", "seat", {**_same("sourced_id"), **seat, "active": "true"})
    _change("messenger_classenrollment", "seat", seat)


def _families_may_differ() -> bool:
    return _some_row("link_change", "link_gone", "person_change", "person_gone")


def _contacts_may_differ() -> bool:
    return _some_row(
        *("link_gone", "person_gone", "member_gone", "house_point_gone", "point_gone"),
        *("enrollment_gone", "staff_gone", "house_point_change", "point_change"),
    )


def _some_row(*changed: str) -> bool:
    some = " OR ".join(f"EXISTS (SELECT FROM roster_{table})" for table in changed)
    return bool(value(f"SELECT {some}"))


def refresh_statistics() -> None:
    """Look again at tables that have grown a lot: the next launch joins all of them. Outside the
    transaction, since it takes a second and must not hold it."""
    for name, table in {**_SWITCHED, "person": "messenger_person"}.items():
        if value(f"SELECT count(*) FROM roster_{name}_change WHERE op = 'added'") > _GROWN:
            run(f"ANALYZE {table}")
            if name == "point":
                run("ANALYZE messenger_contactpreference")
