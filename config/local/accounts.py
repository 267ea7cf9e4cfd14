"""Under which account PostgreSQL runs; it refuses uid 0.

An ordinary user runs it as himself. Root has two ways: a user namespace in which root is called
1000 (no new account, works below a 0700 directory), and the account ``nobody`` with data and
binaries where it can read them. LOCAL_POSTGRES_AS=namespace|nobody forces one of them.
"""

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config.local.lifetime import LIBC, SetupError, start_tied

CLONE_NEWUSER = 0x10000000  # linux/sched.h
NAMESPACE_ID = 1000
# Data must outlive a reboot where it can, hence not /tmp.
SHELTER = Path("/var/tmp")


@dataclass(frozen=True)
class Account:
    """One way to run a program: as we are, in a user namespace, or as another user."""

    way: str  # "self", "namespace" or "nobody"
    uid: int | None = None
    gid: int | None = None

    def start(
        self, command: list[str | Path], *, directory: Path, output: IO[bytes] | int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``command`` under this account; SIGINT reaches it when we die (a fast shutdown)."""
        return start_tied(
            command,
            death_signal=signal.SIGINT,
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            directory=directory,
            output=output,
            user=self.uid,
            group=self.gid,
            before_tie=enter_namespace if self.way == "namespace" else None,
        )

    def own(self, path: Path) -> None:
        """Give a file or a whole directory to this account."""
        uid = os.geteuid() if self.uid is None else self.uid
        gid = os.getegid() if self.gid is None else self.gid
        if path.lstat().st_uid == uid:
            return
        for parent, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.lchown(os.path.join(parent, name), uid, gid)
        os.lchown(path, uid, gid)

    def can_run(self, program: Path, directory: Path) -> str | None:
        """None when ``program --version`` runs under this account there, else why not."""
        try:
            process = self.start(
                [program, "--version"], directory=directory, output=subprocess.PIPE
            )
        except (OSError, subprocess.SubprocessError) as problem:
            return str(problem)
        said = process.communicate()[0].decode(errors="replace").strip()
        return None if process.returncode == 0 else said or f"exit code {process.returncode}"


def enter_namespace() -> None:
    """Move the calling process into a user namespace where its user is called 1000.

    What `unshare --user --map-user=1000 --map-group=1000` does, without needing that program.
    """
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) refused")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NAMESPACE_ID} {uid} 1"),
        ("gid_map", f"{NAMESPACE_ID} {gid} 1"),
    ):
        handle = os.open(f"/proc/self/{name}", os.O_WRONLY)
        os.write(handle, text.encode())
        os.close(handle)


@dataclass(frozen=True)
class Placement:
    """An account with the place for its data and the binaries that it can read."""

    account: Account
    home: Path
    binaries: Path


def place_server(binaries: Path, directory: Path) -> Placement:
    """Choose account, home of the data and binaries for a server wanted in ``directory``."""
    if os.geteuid() != 0:
        return Placement(Account("self"), directory, binaries)
    ways = {"namespace": _place_in_namespace, "nobody": _place_as_nobody}
    forced = os.environ.get("LOCAL_POSTGRES_AS")
    if forced is not None and forced not in ways:
        raise SetupError(f"LOCAL_POSTGRES_AS is {forced!r}; it may be {' or '.join(ways)}.")
    refusals = []
    for name, place in ways.items():
        if forced in (None, name):
            found = place(binaries, directory)
            if isinstance(found, Placement):
                return found
            refusals.append(f"  as {name}: {found}")
    raise SetupError(
        "PostgreSQL refuses to run as root, and neither way around it works on this machine:\n"
        + "\n".join(refusals)
        + "\nRun this as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of yours."
    )


def _place_in_namespace(binaries: Path, directory: Path) -> Placement | str:
    account = Account("namespace")
    refusal = account.can_run(binaries / "postgres", directory)
    if refusal is None and not _writable_in_namespace(account, directory):
        refusal = f"{directory} belongs to another user"
    return refusal or Placement(account, directory, binaries)


def _writable_in_namespace(account: Account, directory: Path) -> bool:
    # Inside the namespace root is no longer allowed everything, so a mounted tree may be closed.
    probe = account.start(["/bin/sh", "-c", ": > .probe && rm .probe"], directory=directory)
    return probe.wait() == 0


def _place_as_nobody(binaries: Path, directory: Path) -> Placement | str:
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return "there is no such account"
    account = Account("nobody", nobody.pw_uid, nobody.pw_gid)
    home = directory if _is_open_to_all(directory) else _make_shelter(directory)
    if account.can_run(binaries / "postgres", home) is not None:
        binaries = _copy_installation(binaries, _make_shelter(directory), account)
    refusal = account.can_run(binaries / "postgres", home)
    return refusal or Placement(account, home, binaries)


def _is_open_to_all(directory: Path) -> bool:
    """Whether any account may pass through ``directory`` and everything above it."""
    path = directory.resolve()
    return all(step.stat().st_mode & stat.S_IXOTH for step in (path, *path.parents))


def shelter_of(directory: Path) -> Path:
    """The place outside a closed tree that stands for ``directory``, always the same one."""
    name = hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]
    return SHELTER / f"messenger-{name}"


def _make_shelter(directory: Path) -> Path:
    shelter = shelter_of(directory)
    shelter.mkdir(mode=0o711, exist_ok=True)
    found = shelter.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise SetupError(f"{shelter} was not made by us; remove it and start again.")
    shelter.chmod(0o711)
    return shelter


def _copy_installation(binaries: Path, shelter: Path, account: Account) -> Path:
    """Copy a PostgreSQL installation (about 42 MB) to where ``account`` can read it."""
    source = binaries.parent
    version = hashlib.sha256(str(source.resolve()).encode()).hexdigest()[:8]
    target = shelter / f"server-{version}-{int(binaries.stat().st_mtime)}"
    if not target.exists():
        draft = shelter / f"draft-{os.getpid()}"
        shutil.copytree(source, draft, symlinks=True)
        account.own(draft)  # under a umask of 077 nobody else could read the files
        draft.rename(target)
    return target / binaries.name


def remove_shelter(directory: Path) -> None:
    """Remove what place_server put outside ``directory``, if anything."""
    shelter = shelter_of(directory)
    if os.geteuid() == 0 and shelter.exists():
        shutil.rmtree(shelter)
