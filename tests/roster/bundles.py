"""Small OneRoster bundles for tests: rows as dictionaries, written as any exporter would.

`small_roster` is one family in two schools with a teacher; a test changes what it is about and
writes it. Lines are numbered as the importer numbers them: the first row of a file is row 2.
"""

import csv
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from messenger.models import RosterImport
from messenger.roster.importer import import_roster
from messenger.roster.layout import LAYOUTS, USERS_1_1, USERS_1_2
from tests.world import local_today, school_year

Row = dict[str, str]
SPAN = {"startDate": "2026-07-01", "endDate": "2027-06-30"}


@dataclass
class Bundle:
    """The files of a bundle as rows; `modes` are the manifest's, bulk where it does not say."""

    files: dict[str, list[Row]]
    version: str = "1.1"
    modes: dict[str, str] = field(default_factory=dict)
    manifest: bool = True
    metadata: tuple[str, ...] = ("metadata.workPhone", "metadata.homePhone", "metadata.private")
    extra: dict[str, bytes] = field(default_factory=dict)

    def user(self, sourced_id: str) -> Row:
        return next(row for row in self.files["users"] if row["sourcedId"] == sourced_id)

    def without(self, sourced_id: str) -> "Bundle":
        """Take a person out of users.csv."""
        self.files["users"] = [r for r in self.files["users"] if r["sourcedId"] != sourced_id]
        return self

    def columns(self, name: str) -> tuple[str, ...]:
        if name != "users":
            return LAYOUTS[name].columns
        return (*(USERS_1_1 if self.version == "1.1" else USERS_1_2), *self.metadata)

    def contents(self) -> dict[str, bytes]:
        """The bytes of each file."""
        written = {f"{name}.csv": self._csv(name, rows) for name, rows in self.files.items()}
        if self.manifest:
            written["manifest.csv"] = self._manifest()
        return written | self.extra

    def _csv(self, name: str, rows: Iterable[Row]) -> bytes:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns(name), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()

    def _manifest(self) -> bytes:
        lines = ["propertyName,value", "manifest.version,1.0", f"oneroster.version,{self.version}"]
        lines += [
            f"file.{name},{self.modes.get(name, 'bulk') if name in self.files else 'absent'}"
            for name in LAYOUTS
        ]
        return "\r\n".join(lines).encode()

    def folder(self, path: Path) -> Path:
        path.mkdir(exist_ok=True)
        for old in path.iterdir():
            old.unlink()
        for name, content in self.contents().items():
            (path / name).write_bytes(content)
        return path

    def zip(self, path: Path) -> Path:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in self.contents().items():
                archive.writestr(name, content)
        return path

    def load(self, folder: Path, *, accept: bool = True, dry_run: bool = False) -> RosterImport:
        """Write the bundle and import it."""
        return import_roster(self.folder(folder), accept=accept, dry_run=dry_run)


def user(sourced_id: str, role: str, orgs: str = "", **values: str) -> Row:
    """A row of users.csv (1.1); names are made from the id unless given."""
    return {
        "sourcedId": sourced_id,
        "enabledUser": "true",
        "orgSourcedIds": orgs,
        "role": role,
        "username": sourced_id,
        "givenName": sourced_id.capitalize(),
        "familyName": "Vang",
        **values,
    }


def small_roster() -> Bundle:
    """Ann (grade 3) and Bob (grade 10), their parents with a shared phone, and their teacher."""
    return Bundle(
        {
            "orgs": [
                {"sourcedId": "d", "name": "Prairie Lakes", "type": "district"},
                {"sourcedId": "s1", "name": "Cedar Elementary", "type": "school"},
                {"sourcedId": "s2", "name": "Prairie High", "type": "school"},
            ],
            "academicSessions": [
                {"sourcedId": "y", "title": "2026-2027", "type": "schoolYear",
                 "schoolYear": "2027", **SPAN},
            ],
            "courses": [{"sourcedId": "math", "title": "Math", "orgSourcedId": "d"}],
            "classes": [
                {"sourcedId": "c1", "title": "Math 3", "courseSourcedId": "math",
                 "classType": "scheduled", "schoolSourcedId": "s1", "termSourcedIds": "y"},
                {"sourcedId": "c2", "title": "Math 10", "courseSourcedId": "math",
                 "classType": "scheduled", "schoolSourcedId": "s2", "termSourcedIds": "y"},
            ],
            "users": [
                user("ann", "student", "s1", grades="03", agentSourcedIds="mom,dad"),
                user("bob", "student", "s2", grades="10", agentSourcedIds="mom,dad"),
                user("mom", "parent", "s1,s2", email="Mom@Vang.Example", sms="(612) 555-0101",
                     phone="612-555-0100"),
                user("dad", "parent", "s1,s2", email="dad@vang.example", sms="612.555.0102",
                     phone="(612) 555-0100"),
                user("tim", "teacher", "s1", familyName="Quist", sms="6125550103"),
            ],
            "enrollments": [
                {"sourcedId": "e1", "classSourcedId": "c1", "schoolSourcedId": "s1",
                 "userSourcedId": "ann", "role": "student"},
                {"sourcedId": "e2", "classSourcedId": "c2", "schoolSourcedId": "s2",
                 "userSourcedId": "bob", "role": "student"},
                {"sourcedId": "e3", "classSourcedId": "c1", "schoolSourcedId": "s1",
                 "userSourcedId": "tim", "role": "teacher", "primary": "true"},
            ],
        }
    )  # fmt: skip


def as_1_2(bundle: Bundle) -> Bundle:
    """The same bundle in the form of 1.2: roles in a file of their own."""
    bundle.version = "1.2"
    roles = []
    for row in bundle.files["users"]:
        row["primaryOrgSourcedId"] = row["orgSourcedIds"].split(",")[0]
        for org in (row.pop("orgSourcedIds") or "d").split(","):
            number = len(roles) + 1
            roles.append(
                {"sourcedId": f"r{number}", "userSourcedId": row["sourcedId"],
                 "roleType": "primary", "role": row["role"], "orgSourcedId": org}
            )  # fmt: skip
        del row["role"]
    bundle.files["roles"] = roles
    return bundle


def year_name() -> str:
    """The school year of today as the importer assumes it."""
    ends, _start, _end = school_year(local_today())
    return f"{ends - 1}-{ends}"


def counts(run: RosterImport) -> dict[str, tuple[int, int, int]]:
    """Added, changed and removed of every kind."""
    return {
        kind: (number["added"], number["changed"], number["removed"])
        for kind, number in run.counts.items()
        if isinstance(number, dict) and "added" in number
    }


def nothing_changed(run: RosterImport) -> bool:
    return all(number == (0, 0, 0) for number in counts(run).values())


def places(run: RosterImport) -> set[tuple[str, int | None, str, str]]:
    """Where the problems of a run are: file, row, column, code."""
    return set(run.problems.values_list("file", "line", "column", "code"))
