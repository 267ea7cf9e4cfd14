"""Which living processes belong to a directory (what a test must not find after the end), and which
were started by another."""

import os
from pathlib import Path

from config.local.accounts import shelter_of
from config.local.lifetime import command_line, is_alive


def processes_of(directory: Path) -> dict[int, str]:
    """Every other living process that names, works in or has VAR_DIR at ``directory``, or works in
    the shelter that stands for it; its id with its command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdigit() else 0
        if pid in (0, os.getpid()) or not is_alive(pid):
            continue
        words, where, settings = command_line(pid), "", b""
        try:
            where = os.readlink(entry / "cwd")
            settings = (entry / "environ").read_bytes()
        except OSError:
            pass  # gone meanwhile, or not ours to look at
        inside = any(
            str(place) in words or where.startswith(str(place))
            for place in (directory, shelter_of(directory))
        )
        if inside or f"VAR_DIR={directory}\0".encode() in settings:
            found[pid] = words
    return found


def children_of(pid: int) -> dict[int, str]:
    """The living processes whose parent is this one; their ids with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not is_alive(int(entry.name)):
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # gone meanwhile
        if parent == pid:
            found[int(entry.name)] = command_line(int(entry.name))
    return found
