"""A zip that is hostile or too large is refused whole, before a row of it is read (X13)."""

import io
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from messenger.models import Person, RosterImport, School
from messenger.roster import archive
from messenger.roster.archive import RosterRefused, open_bundle
from messenger.roster.importer import import_roster
from tests.roster.bundles import small_roster

USERS = b"sourcedId,givenName,familyName\n1,A,B\n"


def pack(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in entries.items():
            made.writestr(name, content)
    return path


def with_path(path: Path) -> None:
    pack(path, {"roster/users.csv": USERS})


def with_parent_path(path: Path) -> None:
    pack(path, {"../users.csv": USERS})


def with_absolute_path(path: Path) -> None:
    pack(path, {"/etc/users.csv": USERS})


def with_drive_letter(path: Path) -> None:
    pack(path, {"C:users.csv": USERS})


def with_backslashes(path: Path) -> None:
    pack(path, {"..\\users.csv": USERS})


def with_a_folder_entry(path: Path) -> None:
    pack(path, {"users.csv": USERS, "more/": b""})


def with_a_link(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        link = zipfile.ZipInfo("users.csv")
        link.create_system = 3
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, "/etc/passwd")


def with_a_device(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        device = zipfile.ZipInfo("users.csv")
        device.create_system = 3
        device.external_attr = (stat.S_IFCHR | 0o666) << 16
        made.writestr(device, "")


def with_a_zip_inside(path: Path) -> None:
    pack(path, {"users.csv": USERS, "more.zip": b"PK\x05\x06" + b"\0" * 18})


def with_a_program(path: Path) -> None:
    pack(path, {"users.csv": USERS, "users.exe": b"MZ"})


def with_a_stranger(path: Path) -> None:
    pack(path, {"users.csv": USERS, "payroll.csv": b"a\n"})


def with_the_same_name_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("users.csv", USERS)
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("users.csv", USERS)


def with_the_same_name_in_another_case(path: Path) -> None:
    pack(path, {"users.csv": USERS, "USERS.CSV": USERS})


def with_too_many_entries(path: Path) -> None:
    pack(path, {f"{number}.csv": b"" for number in range(31)})


def that_is_a_bomb(path: Path) -> None:
    pack(path, {"users.csv": b"0" * (8 << 20)})


def that_is_too_large(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made,
        made.open("users.csv", "w", force_zip64=True) as member,
    ):
        for _ in range(201):
            member.write(b"ab,cd\n" * 174763)


def patched(path: Path, change: Callable[[bytearray], None]) -> None:
    pack(path, {"users.csv": USERS * 100})
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def _central(content: bytearray) -> int:
    return content.index(b"PK\x01\x02")


def that_is_encrypted(path: Path) -> None:
    def change(content: bytearray) -> None:
        for place in (6, _central(content) + 8):
            content[place] |= 1

    patched(path, change)


def whose_sizes_lie_low(path: Path) -> None:
    patched(path, lambda c: struct.pack_into("<I", c, _central(c) + 24, 10))


def whose_sizes_lie_high(path: Path) -> None:
    patched(path, lambda c: struct.pack_into("<I", c, _central(c) + 24, 999_999))


def whose_checksum_is_wrong(path: Path) -> None:
    patched(path, lambda c: struct.pack_into("<I", c, _central(c) + 16, 1))


def whose_bytes_are_broken(path: Path) -> None:
    patched(path, lambda c: c.__setitem__(slice(45, 60), b"\xff" * 15))


def whose_names_differ(path: Path) -> None:
    patched(path, lambda c: c.__setitem__(slice(30, 35), b"loser"))


def packed_in_another_way(path: Path) -> None:
    pack(path, {"users.csv": USERS}, zipfile.ZIP_LZMA)


def that_is_cut_off(path: Path) -> None:
    pack(path, {"users.csv": USERS * 1000})
    path.write_bytes(path.read_bytes()[:-40])


def that_is_text(path: Path) -> None:
    path.write_bytes(USERS)


def that_is_empty(path: Path) -> None:
    path.write_bytes(b"")


HOSTILE = [
    *(with_path, with_parent_path, with_absolute_path, with_drive_letter, with_backslashes),
    *(with_a_folder_entry, with_a_link, with_a_device, with_a_zip_inside, with_a_program),
    *(with_a_stranger, with_the_same_name_twice, with_the_same_name_in_another_case),
    *(with_too_many_entries, that_is_a_bomb, that_is_too_large, that_is_encrypted),
    *(whose_sizes_lie_low, whose_sizes_lie_high, whose_checksum_is_wrong, whose_bytes_are_broken),
    *(whose_names_differ, packed_in_another_way, that_is_cut_off, that_is_text, that_is_empty),
]


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_a_zip_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "roster.zip"
    make(path)
    with pytest.raises(RosterRefused) as refused:
        open_bundle(path)
    assert len(str(refused.value)) > 20
    assert sorted(tmp_path.iterdir()) == [path]


def test_an_honest_zip_is_taken(tmp_path: Path) -> None:
    bundle = open_bundle(small_roster().zip(tmp_path / "roster.zip"))
    assert set(bundle.members) == {
        *("manifest", "orgs", "academicSessions", "courses", "classes", "users", "enrollments")
    }
    with bundle.open("users") as file:
        assert len(file.read()) == bundle.sizes["users"]


def test_names_count_in_any_case(tmp_path: Path) -> None:
    bundle = open_bundle(pack(tmp_path / "roster.zip", {"Users.CSV": USERS}))
    assert bundle.members == {"users": "Users.CSV"}


def test_a_small_file_of_equal_rows_is_no_bomb(tmp_path: Path) -> None:
    open_bundle(pack(tmp_path / "roster.zip", {"users.csv": USERS + b"1,A,B\n" * 100_000}))


def test_the_limits_are_those_of_the_specification() -> None:
    assert archive.LARGEST_UNPACKED == 200 << 20
    assert (archive.MOST_MEMBERS, archive.LARGEST_RATIO) == (30, 100)


def test_a_folder_may_have_strangers_but_they_are_not_read(tmp_path: Path) -> None:
    folder = small_roster().folder(tmp_path / "roster")
    (folder / "notes.txt").write_text("x")
    (folder / "sub").mkdir()
    assert open_bundle(folder).strangers == ("notes.txt", "sub")


@pytest.mark.django_db
def test_a_refused_zip_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "roster.zip"
    content = small_roster().contents() | {"../evil.csv": b""}
    pack(path, content)
    run = import_roster(path)
    assert run.state == RosterImport.State.REFUSED
    assert "evil.csv" in run.refusal
    assert run.finished_at is not None
    assert not Person.objects.exists()
    assert not School.objects.exists()


@pytest.mark.django_db
def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert import_roster(tmp_path / "none.zip").state == RosterImport.State.REFUSED


def test_members_are_read_from_the_archive_as_streams(tmp_path: Path) -> None:
    bundle = open_bundle(pack(tmp_path / "roster.zip", {"users.csv": USERS}))
    with bundle.open("users") as file:
        assert isinstance(file, io.BufferedIOBase)
        assert file.read(9) == b"sourcedId"
