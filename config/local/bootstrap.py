"""Make the virtual environment and install the locked packages into it: what `make` runs first.

Runs with any Python on PATH, before anything is installed, so it uses the standard library alone
and imports nothing of the project. A second run with the same lock does nothing.

    python3 config/local/bootstrap.py requirements.txt
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older one shall hear why, not a traceback
    sys.exit(
        f"Python 3.11 or newer is needed; this is {sys.version_info[0]}.{sys.version_info[1]}."
    )

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = ROOT / ".venv"
PYTHON = ENVIRONMENT / "bin" / "python"
# The oldest pip that can install into another environment (pip --python).
OLDEST_PIP = (22, 3)


def main(lock_name: str) -> int:
    """Bring .venv up to the lock; two makes at once wait for each other. Returns an exit code."""
    lock = ROOT / lock_name
    ENVIRONMENT.mkdir(exist_ok=True)
    with (ENVIRONMENT / "installing").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        stamp = ENVIRONMENT / f"installed-{lock.stem}"
        wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted and works(PYTHON):
            return 0
        if not works(PYTHON):
            print("Making .venv ...", flush=True)
            venv.create(ENVIRONMENT, symlinks=True, clear=False)
        print(f"Installing {lock_name} into .venv ...", flush=True)
        if not any(run_installer(command) for command in installers(lock)):
            print(f"Installing {lock_name} failed; the lines above say why.", file=sys.stderr)
            return 1
        stamp.write_text(wanted)
    return 0


def works(python: Path) -> bool:
    """Whether an interpreter starts and is new enough (a moved or half-made one is neither)."""
    question = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([python, "-c", question], check=False).returncode == 0
    except OSError:
        return False


def installers(lock: Path) -> list[list[str]]:
    """The commands that may install a lock, fastest first."""
    common = ["--require-hashes", "-r", str(lock)]
    commands = []
    uv = shutil.which("uv")
    if uv is not None:
        commands.append([uv, "pip", "install", "--quiet", "--python", str(PYTHON), *common])
    quiet = ["install", "--quiet", "--disable-pip-version-check", *common]
    if outer_pip() >= OLDEST_PIP:
        commands.append([sys.executable, "-m", "pip", "--python", str(PYTHON), *quiet])
    elif subprocess.run([PYTHON, "-m", "ensurepip", "--default-pip"], check=False).returncode == 0:
        commands.append([str(PYTHON), "-m", "pip", *quiet])
    elif not commands:
        sys.exit("This Python has no pip: install it (Debian: python3-pip) and start again.")
    return commands


def outer_pip() -> tuple[int, int]:
    """The version of the pip beside this interpreter; (0, 0) when it has none."""
    command = [sys.executable, "-m", "pip", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.match(r"pip (\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def run_installer(command: list[str]) -> bool:
    """Run one of the installers; whether it succeeded."""
    environment = os.environ | {"UV_NO_PROGRESS": "1"}
    return subprocess.run(command, check=False, env=environment).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
