"""The files of a OneRoster bundle as data: columns, what each row must have, the vocabularies.

No code that reads or judges lives here.
"""

import re
from dataclasses import dataclass

VERSIONS = ("1.1", "1.2")
MODES = ("absent", "bulk", "delta")


@dataclass(frozen=True)
class Layout:
    """One file. `needed`: without these a row cannot be taken. `expected`: the standard requires
    them, we do not; blanks are worth one warning a file."""

    columns: tuple[str, ...]
    needed: tuple[str, ...]
    expected: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns as the staging table names them."""
        return tuple(snake(column) for column in self.columns)


def _columns(text: str) -> tuple[str, ...]:
    return ("sourcedId", "status", "dateLastModified", *text.split())


# What both versions of users.csv know; each header has its own order, the staging table has one.
USERS_1_1 = _columns(
    "enabledUser orgSourcedIds role username userIds givenName familyName middleName identifier "
    "email sms phone agentSourcedIds grades password"
)
USERS_1_2 = _columns(
    "enabledUser username userIds givenName familyName middleName identifier email sms phone "
    "agentSourcedIds grades password userMasterIdentifier preferredGivenName preferredMiddleName "
    "preferredFamilyName primaryOrgSourcedId pronouns"
)

LAYOUTS = {
    "orgs": Layout(_columns("name type identifier parentSourcedId"), ("sourcedId", "name", "type")),
    "academicSessions": Layout(
        _columns("title type startDate endDate parentSourcedId schoolYear"),
        ("sourcedId", "type", "startDate", "endDate", "schoolYear"),
        expected=("title",),
        dates=("startDate", "endDate"),
    ),
    "courses": Layout(
        _columns("schoolYearSourcedId title courseCode grades orgSourcedId subjects subjectCodes"),
        ("sourcedId",),
        expected=("title", "orgSourcedId"),
    ),
    "classes": Layout(
        _columns(
            "title grades courseSourcedId classCode classType location schoolSourcedId "
            "termSourcedIds subjects subjectCodes periods"
        ),
        ("sourcedId", "title", "schoolSourcedId"),
        expected=("courseSourcedId", "classType", "termSourcedIds"),
    ),
    "users": Layout(
        tuple(dict.fromkeys(USERS_1_1 + USERS_1_2)),
        ("sourcedId",),
        expected=("enabledUser", "username"),
    ),
    "roles": Layout(
        _columns("userSourcedId roleType role beginDate endDate orgSourcedId userProfileSourcedId"),
        ("sourcedId", "userSourcedId", "role", "orgSourcedId"),
        expected=("roleType",),
        dates=("beginDate", "endDate"),
    ),
    "enrollments": Layout(
        _columns("classSourcedId schoolSourcedId userSourcedId role primary beginDate endDate"),
        ("sourcedId", "classSourcedId", "userSourcedId", "role"),
        expected=("schoolSourcedId",),
        dates=("beginDate", "endDate"),
    ),
}

# Named by the standard (or by its neighbours) and of no use to a messenger. Demographics are never
# opened: what is not read cannot leak.
IGNORED = frozenset(
    {
        "demographics",
        "userProfiles",
        "relationships",
        "resources",
        "classResources",
        "courseResources",
        "userResources",
        "categories",
        "lineItems",
        "results",
        "scoreScales",
        *(
            f"{kind}{what}"
            for kind in ("lineItem", "result", "assessmentLineItem", "assessmentResult")
            for what in ("s", "ScoreScales", "LearningObjectiveIds")
        ),
    }
)
MANIFEST = "manifest"

STATUSES = ("active", "tobedeleted")
ORG_TYPES = ("department", "school", "district", "local", "state", "national")
SESSION_TYPES = ("gradingPeriod", "semester", "schoolYear", "term")
CLASS_TYPES = ("homeroom", "scheduled")
GUARDIAN_ROLES = {"parent": "Parent", "guardian": "Guardian", "relative": "Relative"}
# Staff types in plain words, as the District Assignments page shows them (1.1 and 1.2 together).
STAFF_ROLES = {
    "administrator": "Administrator",
    "aide": "Aide",
    "counselor": "Counselor",
    "districtAdministrator": "District Administrator",
    "principal": "Principal",
    "proctor": "Proctor",
    "siteAdministrator": "Site Administrator",
    "systemAdministrator": "System Administrator",
    "teacher": "Teacher",
}
ROLES = ("student", *GUARDIAN_ROLES, *STAFF_ROLES)
ENROLLMENT_ROLES = ("administrator", "proctor", "student", "teacher")
# CEDS, as both versions name it; and the spellings that exporters use instead.
GRADES = (
    *("IT", "PR", "PK", "TK", "KG"),
    *(f"{number:02}" for number in range(1, 14)),
    *("PS", "UG", "Other"),
)
GRADES_MEANT = {
    **{f"{number}": f"{number:02}" for number in range(1, 10)},
    "K": "KG", "KN": "KG", "KF": "KG", "0": "KG", "00": "KG", "P": "PK", "PRE-K": "PK", "-1": "PK",
}  # fmt: skip

# Metadata columns that are read unless the district says otherwise; a district's own setting for a
# key wins, an empty one turns it off. Keys are devices, `language` and `private`.
METADATA_COLUMNS = {
    "work": "metadata.workPhone",
    "household": "metadata.homePhone",
    "language": "metadata.language",
    "private": "metadata.private",
}
METADATA_PHONES = ("household", "cell", "other", "work", "pager")
METADATA_KEYS = (*METADATA_PHONES, "email2", "language", "private")


def snake(column: str) -> str:
    """sourcedId → sourced_id: the column's name in the staging tables."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", column).lower()
