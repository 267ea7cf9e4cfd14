"""A roster bundle as it lies on disk, a folder of CSV files or a zip; whether it is safe to open.

A zip is judged whole before a byte of it is used: size, number and names of its members, ratio,
encryption, links, checksums. What the files say never matters here.
"""

import stat
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.utils.translation import gettext as _

from messenger.roster.layout import IGNORED, LAYOUTS, MANIFEST

MEBIBYTE = 1 << 20
LARGEST_UNPACKED = 200 * MEBIBYTE
MOST_MEMBERS = 30
LARGEST_RATIO = 100
# A small bundle may be all alike and shrink to nothing; below this size it can harm nobody.
RATIO_FREE = 4 * MEBIBYTE

_NAMES = {name.lower(): name for name in (MANIFEST, *LAYOUTS, *IGNORED)}


class RosterRefused(Exception):
    """The bundle is not taken, and nothing has been changed. The text says why and what to do."""


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: which files of the standard it has, and how to read them."""

    path: Path
    members: dict[str, str]  # name in the standard ("users") → name in the bundle
    sizes: dict[str, int]  # bytes when unpacked, by the same names
    strangers: tuple[str, ...] = ()  # files of a folder that no standard names

    def open(self, name: str) -> IO[bytes]:
        """The bytes of one file, unpacked on the way."""
        member = self.members[name]
        if self.path.is_dir():
            return (self.path / member).open("rb")
        with zipfile.ZipFile(self.path) as archive:
            # The stream keeps its own reference to the file; closing the archive is right here.
            return archive.open(member)


def open_bundle(path: Path) -> Bundle:
    """Look into a folder or a zip. Raises RosterRefused when it is not, or not safely, a roster."""
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise RosterRefused(_("There is no file or folder at this place."))
    try:
        with zipfile.ZipFile(path) as archive:
            members = _check_members(archive)
            _check_contents(archive, members)
            sizes = {name: info.file_size for name, info in members.items()}
            return Bundle(path, {name: info.filename for name, info in members.items()}, sizes)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise RosterRefused(
            _("The file is not a whole zip archive (%(error)s). Export it again.")
            % {"error": error}
        ) from error


def _open_folder(path: Path) -> Bundle:
    members: dict[str, str] = {}
    strangers = []
    for file in sorted(path.iterdir()):
        name = _standard_name(file.name)
        if name is None or not file.is_file() or name in members:
            strangers.append(file.name)
        else:
            members[name] = file.name
    sizes = {name: (path / file).stat().st_size for name, file in members.items()}
    return Bundle(path, members, sizes, tuple(strangers))


def _standard_name(file_name: str) -> str | None:
    """users.csv → users, in any case; None for what the standard does not name."""
    stem, dot, suffix = file_name.rpartition(".")
    return _NAMES.get(stem.lower()) if dot and suffix.lower() == "csv" else None


def _check_members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Judge the archive by its directory alone; nothing is unpacked."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise RosterRefused(
            _("The zip has %(count)s entries; a roster has at most %(most)s.")
            % {"count": len(infos), "most": MOST_MEMBERS}
        )
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = _check_member(info)
        if name in members:
            raise RosterRefused(_("The zip has %(name)s twice.") % {"name": info.filename})
        members[name] = info
    unpacked = sum(info.file_size for info in infos)
    packed = sum(info.compress_size for info in infos)
    if unpacked > LARGEST_UNPACKED:
        raise RosterRefused(
            _("Unpacked, the zip has %(size)s MB; %(most)s MB are allowed. Import a folder.")
            % {"size": unpacked // MEBIBYTE, "most": LARGEST_UNPACKED // MEBIBYTE}
        )
    if unpacked > RATIO_FREE and unpacked > LARGEST_RATIO * packed:
        raise RosterRefused(
            _("The zip unpacks to more than %(ratio)s times its size, as no roster does.")
            % {"ratio": LARGEST_RATIO}
        )
    return members


def _check_member(info: zipfile.ZipInfo) -> str:
    """The standard's name of a member; refuses what is no plain file of a roster."""
    shown = {"name": info.filename[:100]}
    if any(sign in info.orig_filename for sign in "/\\:\0"):
        raise RosterRefused(
            _("The zip has folders (%(name)s). Pack the CSV files themselves, not their folder.")
            % shown
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        raise RosterRefused(_("%(name)s in the zip is a link, not a file.") % shown)
    if info.flag_bits & 0x1:
        raise RosterRefused(
            _("%(name)s in the zip is encrypted. Export it without a password.") % shown
        )
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise RosterRefused(
            _("%(name)s is packed in a way that OneRoster does not use. Use plain zip.") % shown
        )
    name = _standard_name(info.filename)
    if name is None:
        raise RosterRefused(
            _("%(name)s is not a file of a OneRoster bundle. Take it out of the zip.") % shown
        )
    return name


def _check_contents(archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]) -> None:
    """Unpack everything once, keeping nothing: sizes must be as stated and checksums right."""
    for info in members.values():
        read = 0
        with archive.open(info) as stream:
            while block := stream.read(MEBIBYTE):
                read += len(block)
        if read != info.file_size:
            raise RosterRefused(
                _("%(name)s in the zip is not as long as the zip says. Export it again.")
                % {"name": info.filename}
            )
