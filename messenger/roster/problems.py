"""What can be wrong with a roster, in plain words: what it is and what to do about it.

Checks only name a code, a place and a value; the words are put to them here, once, when the
problems of a run are stored. An error costs the row (or the link) it is on; a warning nothing.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from messenger.models import RosterImport, RosterProblem
from messenger.roster import phones

# Enough to work with; more would only fill the database. All are counted, whatever is stored.
MOST_STORED = 5_000


@dataclass(frozen=True)
class Problem:
    """`drops`: the row is left out (what it had stays as it was); else it is taken without this."""

    what: str | Promise
    advice: str | Promise
    drops: bool = False
    severity: str = "error"


def _warning(what: str | Promise, advice: str | Promise) -> Problem:
    return Problem(what, advice, severity="warning")


PROBLEMS: dict[str, Problem] = {
    # The row as text
    "malformed_row": Problem(
        _("The quotes of this row do not match."),
        _("Close every quoted value, and double each quote inside one."),
        drops=True,
    ),
    "wrong_width": Problem(
        _("The row does not have as many values as the header has columns."),
        _("Put values with a comma in quotes; keep empty values between their commas."),
        drops=True,
    ),
    "line_break": _warning(
        _("A value contains a line break; it was read as a space."),
        _("Take the line break out of the value."),
    ),
    "not_utf8": _warning(
        _("The row is not UTF-8; it was read as Windows text."),
        _("Export or save the file as CSV UTF-8."),
    ),
    # One value
    "missing_value": Problem(
        _("%(column)s is empty."), _("Fill it in: the row cannot be used without it."), drops=True
    ),
    "missing_name": Problem(
        _("The person has neither a given nor a family name."),
        _("Fill in givenName and familyName."),
        drops=True,
    ),
    "too_long": Problem(
        _("%(column)s is too long."), _("Shorten it (ids to 255 signs, names to 150)."), drops=True
    ),
    "cut": _warning(_("%(column)s is too long and was cut."), _("Shorten it.")),
    "duplicate_id": Problem(
        _("The sourcedId %(value)s was on an earlier row already; that row counts."),
        _("Give each row its own sourcedId, or remove one of the two."),
        drops=True,
    ),
    "unknown_status": Problem(
        _("%(value)s is not a status."), _("Use active or tobedeleted."), drops=True
    ),
    "missing_status": Problem(
        _("A row of a delta file needs a status."), _("Use active or tobedeleted."), drops=True
    ),
    "unknown_role": Problem(
        _("%(value)s is not a role that we know."),
        _("Use a role of the OneRoster standard, such as student, guardian or teacher."),
        drops=True,
    ),
    "unknown_user_role": _warning(
        _("%(value)s is not a role that we know; taken as neither student nor staff."),
        _("Use a role of the OneRoster standard, such as student, guardian or teacher."),
    ),
    "unknown_org_type": Problem(
        _("%(value)s is not a kind of organization."),
        _("Use school for schools, district for the district."),
        drops=True,
    ),
    "unknown_session_type": Problem(
        _("%(value)s is not a kind of academic session."),
        _("Use schoolYear, semester, term or gradingPeriod."),
        drops=True,
    ),
    "unknown_class_type": _warning(
        _("%(value)s is not a kind of class."), _("Use homeroom or scheduled.")
    ),
    "unknown_grade": _warning(
        _("%(value)s is not a grade that we know; it was kept as it is."),
        _("Use KG, 01 to 12, or another CEDS grade."),
    ),
    "bad_date": Problem(_("%(value)s is not a date."), _("Write dates as YYYY-MM-DD."), drops=True),
    "american_date": _warning(
        _("%(value)s was read as month/day/year."), _("Write dates as YYYY-MM-DD.")
    ),
    "end_before_start": Problem(
        _("The end date %(value)s lies before the start date."),
        _("Correct one of them."),
        drops=True,
    ),
    "bad_school_year": Problem(
        _("%(value)s is not a school year."),
        _("Give the year in which it ends, with four digits: 2027."),
        drops=True,
    ),
    "bad_boolean": Problem(
        _("%(value)s is neither true nor false; it was read as false."),
        _("Use the words true and false."),
    ),
    "odd_boolean": _warning(
        _("%(value)s is neither true nor false; the messenger does not need it."),
        _("Use the words true and false."),
    ),
    # References
    "broken_reference": Problem(
        _("%(column)s names %(value)s, which no file has (or whose own row was left out)."),
        _("Add that row, or correct the id."),
        drops=True,
    ),
    "not_a_school": Problem(
        _("%(column)s names %(value)s, which is no school."),
        _("Name an organization of the type school."),
        drops=True,
    ),
    "broken_org": Problem(
        _("%(column)s names %(value)s, which no file has; the rest of the row was taken."),
        _("Add the organization to orgs.csv, or correct the id."),
    ),
    "broken_agent": Problem(
        _("agentSourcedIds names %(value)s, who is not in users.csv; that link was left out."),
        _("Add that person to users.csv, or correct the id."),
    ),
    "own_agent": Problem(
        _("The person is named as their own guardian; that link was left out."),
        _("Take the id out of agentSourcedIds."),
    ),
    "agent_without_student": Problem(
        _("Neither this person nor %(value)s is a student; that link was left out."),
        _("Correct the role of one of them, or take the id out of agentSourcedIds."),
    ),
    "broken_link": _warning(
        _("%(column)s names %(value)s, which no file has; the messenger does not need it."),
        _("Add that row, or correct the id."),
    ),
    "no_school": Problem(
        _("The student has no school; the person was taken without an enrollment."),
        _("Name a school of orgs.csv (type school) in orgSourcedIds, or give the role a school."),
    ),
    "no_role": Problem(
        _("roles.csv has no role for this person, who was taken as neither student nor staff."),
        _("Add a row to roles.csv."),
        severity="warning",
    ),
    # Addresses: kept, shown, never dialed
    **{
        f"phone_{code}": Problem(text, _("Enter all ten digits: 612-555-0123 x45."))
        for code, text in phones.PROBLEMS.items()
        if code != "not_an_address"
    },
    "email_not_an_address": Problem(
        phones.PROBLEMS["not_an_address"], _("Correct the address: name@school.example.")
    ),
    # The bundle (no line)
    "no_manifest": _warning(
        _("There is no manifest.csv; version and kind were guessed from the files."),
        _("Turn the manifest on in the export."),
    ),
    "bad_manifest": _warning(
        _("manifest.csv says %(value)s, which was not understood; it was guessed from the files."),
        _("Use the manifest of the OneRoster standard."),
    ),
    "absent_but_there": _warning(
        _("manifest.csv calls this file absent; it was not read."),
        _("Correct the manifest or take the file out."),
    ),
    "unknown_file": _warning(
        _("%(value)s is not a file of a OneRoster bundle and was not read."), _("Take it out.")
    ),
    "ignored_columns": _warning(
        _("These columns were not read: %(value)s."),
        _("Metadata columns can be given a meaning in the settings."),
    ),
    "double_column": _warning(
        _("The header has %(value)s twice; the first one counts."), _("Take one of them out.")
    ),
    "status_in_bulk": _warning(
        _("A bulk file should leave status empty; %(value)s rows have one."),
        _("Nothing to do: active is understood, and tobedeleted counts as removed."),
    ),
    "expected_empty": _warning(
        _("%(column)s is empty in %(value)s rows. The standard asks for it; we do not need it."),
        _("Nothing to do."),
    ),
    "no_sessions": _warning(
        _("No academic session says when the school year is; %(value)s was assumed."),
        _("Export academicSessions.csv with a session of the type schoolYear."),
    ),
    "no_school_year": _warning(
        _("No session has the type schoolYear; the years were taken from the others."),
        _("Export sessions of the type schoolYear."),
    ),
}

ERRORS = sorted(code for code, problem in PROBLEMS.items() if problem.severity == "error")
DROPPING = sorted(code for code, problem in PROBLEMS.items() if problem.drops)


@dataclass(frozen=True)
class Found:
    """A problem as a check reports it. `line` is None for what concerns a whole file."""

    file: str
    line: int | None
    column: str
    value: str
    code: str


def store_problems(run: RosterImport, found: list[Found]) -> None:
    """Write the problems of a run, with their words in the language of the moment."""
    rows = []
    for item in found[:MOST_STORED]:
        problem = PROBLEMS[item.code]
        shown = {"column": item.column, "value": item.value}
        rows.append(
            RosterProblem(
                roster_import=run,
                file=f"{item.file}.csv" if item.file else "",
                line=item.line,
                column=item.column,
                value=item.value[:200],
                code=item.code,
                severity=problem.severity,
                what=str(problem.what) % shown,
                advice=str(problem.advice) % shown,
            )
        )
    RosterProblem.objects.bulk_create(rows, batch_size=1000)
