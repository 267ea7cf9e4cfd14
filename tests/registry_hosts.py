"""No committed file names the host of a package registry, a private index or a URL in a lock.

Locks must install from whatever index a machine is set up for. As a command (`make lint`) this
lists what it finds; test_setup_lock.py holds it as a test.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What is never committed: environments, data of running copies, caches.
LEFT_OUT = {".git", ".venv", "var", "staticfiles", "node_modules", "__pycache__", "test-results"}
LARGEST = 2_000_000  # bytes; a larger file is data, not something that names an index
# Written so that the patterns do not find themselves.
HOSTS = re.compile(
    r"pypi[.]org|python[h]osted|registry[.]npmjs|npmjs[.]org|deb[.]debian[.]org"
    r"|--(extra-)?index[-]url|--find[-]links"
)
URL = re.compile(r"\w+://")


def find_hosts(root: Path = ROOT) -> list[str]:
    """Each offending line as ``file:line: text``; empty when all is well."""
    found = []
    for path in walk(root):
        lock = path.parent == root and path.match("requirements*.txt")
        if path.stat().st_size > LARGEST:
            continue
        text = path.read_bytes()
        if b"\0" in text:
            continue
        for number, line in enumerate(text.decode(errors="replace").splitlines(), start=1):
            if HOSTS.search(line) or (lock and URL.search(line)):
                found.append(f"{path.relative_to(root)}:{number}: {line.strip()[:120]}")
    return found


def walk(root: Path) -> Iterator[Path]:
    """Every file below ``root`` that may be committed (git itself is not needed to know)."""
    for folder, folders, files in os.walk(root):
        folders[:] = [
            name for name in folders if name not in LEFT_OUT and not name.endswith("_cache")
        ]
        for name in files:
            path = Path(folder, name)
            if path.is_file():
                yield path


if __name__ == "__main__":
    hosts = find_hosts()
    print("\n".join(hosts) or "No file names a registry.")
    sys.exit(bool(hosts))
