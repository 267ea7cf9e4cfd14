"""What is wrong with the rows: every rule that needs no other row, and the values made readable.

A rule is a condition in SQL; each file is looked through once, and only rows on which some rule
fires are looked at again. Rows with an error that drops them are gathered in `roster_bad`; what
they stood for keeps what it has. References between files are `resolve`'s.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from messenger.roster import layout
from messenger.roster.dates import read_date
from messenger.roster.layout import LAYOUTS, METADATA_PHONES, snake
from messenger.roster.phones import Address, normalise_email, normalise_phone
from messenger.roster.problems import DROPPING, ERRORS, Found
from messenger.roster.read import Roster, table_of
from messenger.roster.staging import Stream, copy_in, copy_out, make, rows, run

# Whether a row says that its thing is to be removed; 1.0 said inactive.
SCHOOL_YEAR = r"^(\d{4}|\d{4}\s*[-/]\s*\d{4})$"
DELETED = "coalesce(lower(t.status) IN ('tobedeleted', 'inactive'), false)"
ID_LENGTH = 255
NAME_LENGTH = 150
PHONE_COLUMNS = ("sms", "phone", *(f"metadata_{key}" for key in METADATA_PHONES))
EMAIL_COLUMNS = ("email", "metadata_email2")
# Longer values are cut: person and contact point have room for no more.
ROOM = {
    "given_name": NAME_LENGTH,
    "middle_name": NAME_LENGTH,
    "family_name": NAME_LENGTH,
    "preferred_given_name": NAME_LENGTH,
    "identifier": 100,
    "name": 200,
    "class_code": 100,
    **dict.fromkeys((*PHONE_COLUMNS, *EMAIL_COLUMNS), 254),
}


@dataclass(frozen=True)
class Rule:
    """`when` is true of a row `t` with the problem; `column` is what the file calls the place."""

    column: str
    code: str
    when: str
    field: str = ""  # the staging column, when it is not the column's own

    @property
    def value(self) -> str:
        return f't."{self.field or snake(self.column)}"'


def check_rows(roster: Roster) -> None:
    """Find every problem of single rows; fills roster_found, roster_bad, roster_date and
    roster_address."""
    run(
        "CREATE TEMPORARY TABLE roster_found"
        ' (file text, line integer, "column" text, value text, code text)'
    )
    _read_dates(roster)
    for name in roster.modes:
        _check_file(name, roster)
        _check_duplicates(name)
        _warn_of_blanks(name, roster)
    run("CREATE TEMPORARY TABLE roster_bad (file text, line integer, sourced_id text)")
    for file, line, sourced_id in roster.unread:
        run("INSERT INTO roster_bad VALUES (%s, %s, %s)", [file, line, sourced_id])
    gather_bad_rows(list(roster.modes))
    _normalise_addresses(roster)


def gather_bad_rows(files: list[str]) -> None:
    """Note the rows that an error has dropped since the last time."""
    for name in files:
        run(
            f"INSERT INTO roster_bad SELECT DISTINCT '{name}', t.line, t.sourced_id"
            f" FROM roster_found f JOIN {table_of(name)} t ON t.line = f.line"
            f" WHERE f.file = '{name}' AND f.code = ANY(%s) AND NOT EXISTS"
            f" (SELECT FROM roster_bad b WHERE b.file = '{name}' AND b.line = t.line)",
            [DROPPING],
        )
    run("ANALYZE roster_bad")


def good_rows(name: str, *, deleted: bool = False) -> str:
    """The rows of a file that count, as the FROM and WHERE of a query over `t`."""
    removed = DELETED if deleted else f"NOT {DELETED}"
    return (
        f"FROM {table_of(name)} t WHERE {removed} AND NOT EXISTS"
        f" (SELECT FROM roster_bad b WHERE b.file = '{name}' AND b.line = t.line)"
    )


def report(file: str, query: str) -> int:
    """Note problems of a file: `query` gives line, column, value and code; how many."""
    return run(
        f"INSERT INTO roster_found SELECT '{file}', f.line, f.name, left(f.value, 200), f.code"
        f" FROM ({query}) AS f(line, name, value, code)"
    )


def count_problems() -> dict[str, int]:
    """How many problems of each code the checks have found."""
    return dict(rows("SELECT code, count(*) FROM roster_found GROUP BY code"))


def worst_problems(most: int) -> list[Found]:
    """What the checks have found, errors before warnings, then by file and line."""
    found = rows(
        "SELECT file, line, \"column\", coalesce(value, ''), code FROM roster_found"
        " ORDER BY code = ANY(%s) DESC, file, line, 3, 4 LIMIT %s",
        [ERRORS, most],
    )
    return [Found(*item) for item in found]


# -- single rows -----------------------------------------------------------------------------
def _check_file(name: str, roster: Roster) -> None:
    """Look for rows on which some rule fires, then say which ones."""
    rules = _rules_of(name, roster)
    some = " OR ".join(f"({rule.when})" for rule in rules)
    each = ", ".join(
        f"('{rule.column}', {rule.value}, '{rule.code}', {rule.when})" for rule in rules
    )
    report(
        name,
        f"SELECT t.line, x.name, x.value, x.code FROM {table_of(name)} t"
        f" CROSS JOIN LATERAL (VALUES {each}) AS x(name, value, code, fires)"
        f" WHERE ({some}) AND x.fires",
    )


def _rules_of(name: str, roster: Roster) -> list[Rule]:
    plan = LAYOUTS[name]
    rules = [Rule("sourcedId", "too_long", f"length(t.sourced_id) > {ID_LENGTH}")]
    rules += [
        Rule(column, "missing_value", _unless_deleted(f"t.{snake(column)} IS NULL"))
        for column in plan.needed
        if column != "sourcedId"
    ]
    rules.append(Rule("sourcedId", "missing_value", "t.sourced_id IS NULL"))
    known = _words((*layout.STATUSES, "inactive"))
    rules.append(Rule("status", "unknown_status", f"lower(t.status) NOT IN ({known})"))
    if not roster.is_bulk(name):
        rules.append(Rule("status", "missing_status", "t.status IS NULL"))
    for column in plan.dates:
        field = f"t.{snake(column)}"
        # NULL NOT IN an empty list is true.
        unread = f"{field} IS NOT NULL AND {field} NOT IN (SELECT raw FROM roster_date)"
        rules.append(Rule(column, "bad_date", unread))
        american = f"{field} IN (SELECT raw FROM roster_date WHERE NOT iso)"
        rules.append(Rule(column, "american_date", american))
    if plan.dates:
        span = ", ".join(f"t.{snake(column)}" for column in plan.dates)
        crossed = f"({span}) IN (SELECT first, last FROM roster_crossed)"
        rules.append(Rule(plan.dates[1], "end_before_start", crossed))
    columns = {column: snake(column) for column in plan.columns}
    for column, field in columns.items():
        if field in ROOM:
            rules.append(Rule(column, "cut", f'length(t."{field}") > {ROOM[field]}'))
    return rules + _OWN_RULES.get(name, lambda _roster: [])(roster)


def _rules_of_orgs(roster: Roster) -> list[Rule]:
    return [Rule("type", "unknown_org_type", _unknown("type", layout.ORG_TYPES))]


def _rules_of_sessions(roster: Roster) -> list[Rule]:
    return [
        Rule("type", "unknown_session_type", _unknown("type", layout.SESSION_TYPES)),
        Rule("schoolYear", "bad_school_year", f"t.school_year !~ '{SCHOOL_YEAR}'"),
    ]


def _rules_of_classes(roster: Roster) -> list[Rule]:
    return [Rule("classType", "unknown_class_type", _unknown("class_type", layout.CLASS_TYPES))]


def _rules_of_users(roster: Roster) -> list[Rule]:
    nameless = "t.given_name IS NULL AND t.family_name IS NULL"
    # The first grade of a list is the one that counts.
    grade = "upper(split_part(t.grades, ',', 1))"
    grades = _words((*(grade.upper() for grade in layout.GRADES), *layout.GRADES_MEANT))
    rules = [
        Rule("familyName", "missing_name", _unless_deleted(nameless)),
        Rule("grades", "unknown_grade", f"btrim({grade}) NOT IN ({grades})"),
        Rule("enabledUser", "odd_boolean", "lower(t.enabled_user) NOT IN ('true', 'false')"),
    ]
    if roster.roles_in_users:
        rules.append(Rule("role", "missing_value", _unless_deleted("t.role IS NULL")))
        rules.append(Rule("role", "unknown_user_role", _unknown("role", layout.ROLES)))
    for key, column in roster.metadata.items():
        field = f"metadata_{key}"
        if field in ROOM:
            rules.append(Rule(column, "cut", f"length(t.{field}) > {ROOM[field]}", field))
    return rules


def _rules_of_roles(roster: Roster) -> list[Rule]:
    return [Rule("role", "unknown_role", _unknown("role", layout.ROLES))]


def _rules_of_enrollments(roster: Roster) -> list[Rule]:
    return [
        Rule("role", "unknown_role", _unknown("role", layout.ENROLLMENT_ROLES)),
        Rule("primary", "bad_boolean", "lower(t.\"primary\") NOT IN ('true', 'false')"),
    ]


_OWN_RULES: dict[str, Callable[[Roster], list[Rule]]] = {
    "orgs": _rules_of_orgs,
    "academicSessions": _rules_of_sessions,
    "classes": _rules_of_classes,
    "users": _rules_of_users,
    "roles": _rules_of_roles,
    "enrollments": _rules_of_enrollments,
}


def _unless_deleted(condition: str) -> str:
    """A row that only says that something is gone need not be complete."""
    return f"({condition}) AND NOT {DELETED}"


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _unknown(field: str, words: tuple[str, ...]) -> str:
    return f"t.{field} NOT IN ({_words(words)})"


def _check_duplicates(name: str) -> None:
    """The first row of a sourcedId counts; every later one is reported."""
    report(
        name,
        "SELECT t.line, 'sourcedId', t.sourced_id, 'duplicate_id' FROM ("
        " SELECT line, sourced_id, min(line) OVER (PARTITION BY sourced_id) AS first"
        f" FROM {table_of(name)} WHERE sourced_id IN (SELECT sourced_id FROM {table_of(name)}"
        " GROUP BY sourced_id HAVING count(*) > 1)) t WHERE t.line > t.first",
    )


def _warn_of_blanks(name: str, roster: Roster) -> None:
    """One warning a file for what the standard wants and nobody needs."""
    expected = LAYOUTS[name].expected
    counts = ["count(status)", *(f"count(*) - count({snake(column)})" for column in expected)]
    statuses, *blanks = rows(f"SELECT {', '.join(counts)} FROM {table_of(name)}")[0]
    if statuses and roster.is_bulk(name):
        roster.report(name, "status_in_bulk", str(statuses), "status")
    for column, blank in zip(expected, blanks, strict=True):
        if blank:
            roster.report(name, "expected_empty", str(blank), column)


# -- values ----------------------------------------------------------------------------------
def _read_dates(roster: Roster) -> None:
    """Understand each distinct date once: few are in a roster, however long it is."""
    run("CREATE TEMPORARY TABLE roster_date (raw text, value date, iso boolean)")
    spans = [
        f"SELECT {snake(first)} AS first, {snake(last)} AS last FROM {table_of(name)}"
        for name in roster.modes
        for first, last in [LAYOUTS[name].dates or ("", "")]
        if first
    ]
    if spans:
        make("roster_span", " UNION ".join(spans))
        distinct = "SELECT first FROM roster_span UNION SELECT last FROM roster_span"
        for (raw,) in rows(f"SELECT * FROM ({distinct}) AS d(raw) WHERE raw IS NOT NULL"):
            day, iso = read_date(raw)
            if day:
                run("INSERT INTO roster_date VALUES (%s, %s, %s)", [raw, day, iso])
    else:
        run("CREATE TEMPORARY TABLE roster_span (first text, last text)")
    run("CREATE INDEX ON roster_date (raw)")
    run("ANALYZE roster_date")
    make(
        "roster_crossed",
        "SELECT s.first, s.last FROM roster_span s JOIN roster_date a ON a.raw = s.first"
        " JOIN roster_date b ON b.raw = s.last WHERE b.value < a.value",
    )


def phone_columns(roster: Roster) -> dict[str, str]:
    """The staging columns that may have a phone → what the file calls them."""
    own = {"sms": "sms", "phone": "phone"}
    return own | _mapped(roster, METADATA_PHONES)


def email_columns(roster: Roster) -> dict[str, str]:
    """The staging columns that may have an email address → what the file calls them."""
    return {"email": "email"} | _mapped(roster, ("email2",))


def _mapped(roster: Roster, keys: tuple[str, ...]) -> dict[str, str]:
    return {f"metadata_{key}": roster.metadata[key] for key in keys if key in roster.metadata}


def _normalise_addresses(roster: Roster) -> None:
    """Each distinct number and address once, through Python and back by COPY; then report the
    bad ones where they stand."""
    run(
        "CREATE TEMPORARY TABLE roster_address"
        " (kind text, raw text, value text, extension text, problem text)"
    )
    for kind, columns, normalise in (
        ("phone", phone_columns(roster), normalise_phone),
        ("email", email_columns(roster), normalise_email),
    ):
        each = " UNION ".join(
            f"SELECT left({column}, {ROOM[column]}) FROM roster_users" for column in columns
        )
        # Spooled: a roster of a million people has three million numbers.
        with tempfile.SpooledTemporaryFile(max_size=1 << 24) as spool:
            copy_out(f"SELECT a FROM ({each}) AS d(a) WHERE a IS NOT NULL", spool)
            spool.seek(0)
            blocks = _normalised(kind, spool, normalise)
            copy_in(
                "COPY roster_address FROM STDIN (FORMAT csv, FORCE_NOT_NULL (value, extension,"
                " problem))",
                Stream(blocks),
            )
        places = ", ".join(
            f"('{name}', left(t.{column}, {ROOM[column]}))" for column, name in columns.items()
        )
        report(
            "users",
            f"SELECT t.line, x.name, x.value, '{kind}_' || a.problem FROM roster_users t"
            f" CROSS JOIN LATERAL (VALUES {places}) AS x(name, value) JOIN roster_address a"
            f" ON a.kind = '{kind}' AND a.problem <> '' AND a.raw = x.value",
        )
    run("ANALYZE roster_address")


def _normalised(
    kind: str, source: IO[bytes], normalise: Callable[[str], Address]
) -> Iterator[bytes]:
    """Lines of raw values → lines of roster_address, a few thousand at a time."""
    out: list[str] = []
    # A text-format COPY escapes with backslashes; a value with one takes the csv module's care.
    for line in io.TextIOWrapper(source, encoding="utf-8", newline="\n"):
        raw = line[:-1].replace("\\\\", "\\")
        made = normalise(raw)
        row = (kind, raw, made.value, made.extension, made.problem)
        out.append(",".join(_quoted(value) for value in row))
        if len(out) == 5000:
            yield ("\n".join(out) + "\n").encode()
            out = []
    if out:
        yield ("\n".join(out) + "\n").encode()


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if '"' in value or "," in value else value
