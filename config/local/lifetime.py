"""How a started process is tied to its starter, stopped, and kept from running twice.

Everything here is about processes and files of one machine; what runs is not known here.
"""

import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Loaded once, here: between fork and exec nothing may be imported or looked up any more.
LIBC = ctypes.CDLL(None, use_errno=True)


class SetupError(RuntimeError):
    """Something of this machine keeps the project from starting; the message says what to do."""


def tie_to_parent(death_signal: signal.Signals, parent: int | None = None) -> None:
    """Have the kernel send ``death_signal`` to this process when its parent dies, even by kill -9.

    The tie holds across exec and is lost on a change of user, so it comes after one. Only Linux
    has it; elsewhere a killed starter leaves its processes to the next start, which stops them.
    """
    if not sys.platform.startswith("linux"):
        return
    if LIBC.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if parent is not None and os.getppid() != parent:
        # The parent died between fork and prctl: nobody is left to send the signal.
        os._exit(1)


def start_tied(
    command: list[str | Path],
    *,
    death_signal: signal.Signals,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    output: IO[bytes] | int | None = None,
    errors: IO[bytes] | int | None = None,
    user: int | None = None,
    group: int | None = None,
    pass_fds: tuple[int, ...] = (),
    before_tie: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, tied to this process.

    A session of its own keeps a Ctrl-C on the terminal from reaching it past its starter, and
    makes its process group (itself and its descendants) one thing to kill. Call it from the main
    thread only: the tie is to the thread that forked.
    """
    parent = os.getpid()

    def prepare() -> None:
        if before_tie is not None:
            before_tie()
        tie_to_parent(death_signal, parent)

    return subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None and errors is None else errors,
        start_new_session=True,
        pass_fds=pass_fds,
        user=user,
        group=group,
        extra_groups=[] if user is not None else None,
        preexec_fn=prepare,
    )


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process of ours has ended. It is not reaped: until ``reap`` its id, which is also
    that of its group, cannot become another's."""
    if process.returncode is not None:
        return True
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaped at once, as Popen does
        return process.poll() is not None
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def reap(process: subprocess.Popen[bytes]) -> int:
    """Kill -9 whatever is left of a process and its group, and return its exit code."""
    if process.returncode is None:
        kill_group(process.pid)
    return process.wait()


def stop_processes(
    processes: list[subprocess.Popen[bytes]], steps: list[tuple[signal.Signals, float]]
) -> None:
    """Send each signal to all of them and wait its seconds for the end; at last kill -9."""
    for wanted, seconds in steps:
        for process in processes:
            if not has_ended(process):
                process.send_signal(wanted)
        if wait_until(lambda: all(map(has_ended, processes)), seconds):
            break
    for process in processes:
        reap(process)


def kill_group(leader: int) -> None:
    """Kill -9 every process of a group; that none is left is the usual case."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists (a zombie that awaits its parent counts as gone)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self/stat").exists()


def command_line(pid: int) -> str:
    """The words a process was started with, joined by blanks; empty when it is gone."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except (FileNotFoundError, ProcessLookupError):
        return ""


def wait_until(condition: Callable[[], bool], seconds: float, every: float = 0.02) -> bool:
    """Poll ``condition`` until it holds (True) or ``seconds`` have passed (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def find_free_port() -> int:
    """A TCP port of the loopback that is free now; whoever binds it must be ready to ask again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def locked(path: Path, occupied: str) -> Iterator[None]:
    """Hold ``path`` locked; raise SetupError(``occupied``) when another process holds it.

    The kernel gives the lock back when its holder dies, so a kill -9 never leaves one behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise SetupError(occupied.format(pid=handle.read().strip() or "?")) from None
        handle.seek(0)
        handle.truncate()
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        yield


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, complete or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    draft.replace(path)


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, indented, for a message that explains a failure."""
    if not path.exists():
        return ""
    with path.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(0, handle.tell() - 20_000))
        lines = handle.read().decode(errors="replace").splitlines()[-count:]
    return "\n".join("    " + line for line in lines)
