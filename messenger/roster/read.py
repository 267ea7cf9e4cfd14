"""From a bundle to staging tables: the manifest, the headers, and every row by COPY.

The staging tables are temporary, all text, one a file, with the number of the row. Judging what is
in them is `check`'s; nothing here touches a table of the product.
"""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice

from django.utils.translation import gettext as _

from messenger.models import District
from messenger.roster.archive import Bundle, RosterRefused
from messenger.roster.layout import (
    IGNORED,
    LAYOUTS,
    MANIFEST,
    METADATA_COLUMNS,
    METADATA_KEYS,
    MODES,
    VERSIONS,
    snake,
)
from messenger.roster.lines import Rows
from messenger.roster.problems import PROBLEMS, Found
from messenger.roster.staging import SMALL, Stream, copy_in, run, value

Progress = Callable[[str, int, int], None]
BLOCKS_A_COPY = 31  # 8 MB
LARGEST_MANIFEST = 64 * 1024
# A row of the standard that we cannot do without must at least have its column.
_NEEDED_COLUMNS = {"users": ("sourcedId", "givenName", "familyName")}


@dataclass
class Roster:
    """What is known of a bundle once it is in the staging tables."""

    version: str = ""
    modes: dict[str, str] = field(default_factory=dict)  # file → bulk or delta; others are absent
    rows: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)  # key → column that was there
    ignored_columns: dict[str, list[str]] = field(default_factory=dict)
    has_manifest: bool = True
    assumed_year: str = ""  # when no session says when the school year is
    roles_in_users: bool = False  # the form of 1.1; else roles.csv says who is what
    found: list[Found] = field(default_factory=list)
    # Rows that are no rows, with the id they seem to have: file, line, id.
    unread: list[tuple[str, int, str]] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return name in self.modes

    def is_bulk(self, name: str) -> bool:
        """Whether a file is the whole truth: what it does not name is gone."""
        return self.modes.get(name) == "bulk"

    def report(self, file: str, code: str, value: str = "", column: str = "") -> None:
        """Note a problem of a whole file (or of the bundle, without a file)."""
        self.found.append(Found(file, None, column, value, code))


def read_bundle(bundle: Bundle, district: District, progress: Progress) -> Roster:
    """Fill the staging tables. Raises RosterRefused when a file cannot be a roster's."""
    roster = Roster()
    modes = _read_manifest(bundle, roster)
    for stranger in bundle.strangers:
        roster.report("", "unknown_file", stranger)
    metadata = {**METADATA_COLUMNS, **district.roster_metadata_columns}
    wanted = {key: column for key, column in metadata.items() if key in METADATA_KEYS and column}
    total = sum(bundle.sizes.get(name, 0) for name in LAYOUTS)
    done = 0
    for name in LAYOUTS:
        _create_table(name)
        if name not in bundle.members:
            if modes.get(name) in ("bulk", "delta"):
                raise RosterRefused(
                    _("manifest.csv promises %(file)s.csv, which is missing. Export it again.")
                    % {"file": name}
                )
            continue
        if modes.get(name) == "absent":
            roster.report(name, "absent_but_there")
            continue
        _load(bundle, name, roster, wanted, partial(_tell, progress, done, total))
        roster.modes[name] = modes.get(name) or _guess_mode(name)
        done += bundle.sizes[name]
    roster.roles_in_users = _has_roles_in_users(roster)
    roster.version = roster.version or ("1.1" if roster.roles_in_users else "1.2")
    return roster


def _tell(progress: Progress, before: int, total: int, read: int) -> None:
    progress("reading", before + read, total)


# -- manifest --------------------------------------------------------------------------------
def _read_manifest(bundle: Bundle, roster: Roster) -> dict[str, str]:
    """What the manifest says of each file; notes the version. A bad line is guessed around."""
    if MANIFEST not in bundle.members:
        roster.has_manifest = False
        roster.report("", "no_manifest")
        return {}
    with bundle.open(MANIFEST) as file:
        text = file.read(LARGEST_MANIFEST).decode("utf-8-sig", errors="replace")
    modes: dict[str, str] = {}
    known = {name.lower(): name for name in (*LAYOUTS, *IGNORED)}
    for line in csv.reader(io.StringIO(text)):
        name, meant = ([*(part.strip() for part in line), "", ""])[:2]
        if name == "oneroster.version":
            matching = [version for version in VERSIONS if meant.startswith(version)]
            roster.version = matching[0] if matching else ""
            if not matching:
                roster.report("manifest", "bad_manifest", f"{name} = {meant}", name)
        elif name.startswith("file."):
            file_name = known.get(name[5:].lower())
            if file_name and meant.lower() in MODES:
                modes[file_name] = meant.lower()
            elif file_name in LAYOUTS:
                roster.report("manifest", "bad_manifest", f"{name} = {meant}", name)
    return modes


def _guess_mode(name: str) -> str:
    """Bulk or delta, when nobody says: only a delta has rows to be deleted."""
    deleted = f"SELECT 1 FROM {table_of(name)} WHERE lower(status) = 'tobedeleted'"
    return "delta" if value(f"SELECT EXISTS ({deleted})") else "bulk"


def _has_roles_in_users(roster: Roster) -> bool:
    """Whether users.csv says who is what, as in 1.1; else roles.csv does."""
    if roster.has("roles"):
        return False
    return roster.version == "1.1" or bool(
        value("SELECT EXISTS (SELECT 1 FROM roster_users WHERE role IS NOT NULL)")
    )


# -- rows ------------------------------------------------------------------------------------
def table_of(name: str) -> str:
    """The staging table of a file: academicSessions → roster_academicsessions."""
    return f"roster_{name.lower()}"


def _create_table(name: str) -> None:
    fields = [*LAYOUTS[name].fields]
    if name == "users":
        fields += [f"metadata_{key}" for key in METADATA_KEYS]
    columns = ", ".join(f'"{column}" text' for column in fields)
    run(f"CREATE TEMPORARY TABLE {table_of(name)} (line integer, {columns})")


def _load(
    bundle: Bundle,
    name: str,
    roster: Roster,
    metadata: dict[str, str],
    progress: Callable[[int], None],
) -> None:
    """COPY one file into its staging table, whatever the order of its columns."""
    with bundle.open(name) as file:
        lines = Rows(file, name)
        lines.forget("password")
        columns = _match_header(name, lines.header, roster, metadata if name == "users" else {})

        for column in columns:
            if column.startswith("unread_"):
                run(f"ALTER TABLE {table_of(name)} ADD {column} text")
        named = ", ".join(f'"{column}"' for column in columns)
        statement = (
            f"COPY {table_of(name)} (line, {named}) FROM STDIN"
            f" (FORMAT csv, FORCE_NULL ({named}), ENCODING 'UTF8')"
        )
        blocks = iter(lines)
        for block in blocks:
            # Progress is noted on this same connection, so never in the middle of a COPY.
            copy_in(statement, Stream(chain([block], islice(blocks, BLOCKS_A_COPY))))
            progress(lines.read)
    if lines.total > SMALL:
        run(f"ANALYZE {table_of(name)}")
    roster.rows[name] = lines.total
    for bad in lines.bad:
        roster.found.append(Found(name, bad.line, "", bad.value, bad.code))
        if PROBLEMS[bad.code].drops:
            roster.unread.append((name, bad.line, bad.sourced_id))


def _match_header(
    name: str, header: list[str], roster: Roster, metadata: dict[str, str]
) -> list[str]:
    """The staging column for each column of a file, in the file's order."""
    layout = LAYOUTS[name]
    known = {column.lower(): snake(column) for column in layout.columns}
    known |= {column.lower(): f"metadata_{key}" for key, column in metadata.items()}
    found: list[str] = []
    unread = []
    for column in header:
        field_name = known.get(column.lower())
        if field_name in found:
            roster.report(name, "double_column", column)
            field_name = None
        elif field_name is None:
            unread.append(column)
        found.append(field_name or f"unread_{len(found)}")
    missing = [
        column for column in _NEEDED_COLUMNS.get(name, layout.needed) if snake(column) not in found
    ]
    if missing:
        raise RosterRefused(
            _("%(file)s.csv has no column %(columns)s. Its first row must name the columns.")
            % {"file": name, "columns": ", ".join(missing)}
        )
    if unread:
        roster.report(name, "ignored_columns", ", ".join(unread)[:200])
        roster.ignored_columns[name] = unread
    roster.metadata |= {
        key: column for key, column in metadata.items() if f"metadata_{key}" in found
    }
    return found
