"""The rules that hold the house together, each as a test: imports, locks, rows, the Makefile."""

import csv
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.local import bootstrap
from tests.registry_hosts import find_hosts
from tests.spec_plugin import read_rows

ROOT = Path(__file__).resolve().parent.parent


def test_imports_go_one_way() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_no_file_names_a_registry() -> None:
    assert find_hosts() == []


def test_a_registry_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("thing @ https://example.org/thing.whl\n")
    (tmp_path / "note.md").write_text("pip install --index" + "-url somewhere thing\n")
    assert [line.split(":")[0] for line in sorted(find_hosts(tmp_path))] == [
        "note.md",
        "requirements.txt",
    ]


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_package_has_a_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    packages = re.findall(r"^([a-z0-9][^ =]*)==(?:[^\\\n]*\\\n)((?: +--hash=.*\n?)+)", text, re.M)
    assert len(packages) == len(re.findall(r"^[a-z0-9]", text, re.M)) > 30


def test_the_two_locks_agree_and_playwright_is_for_development_alone() -> None:
    def pins(lock: str) -> dict[str, str]:
        found = re.findall(r"^([a-z0-9][^ =]*)==([^ \\;]+)", (ROOT / lock).read_text(), re.M)
        return dict(found)

    runtime, develop = pins("requirements.txt"), pins("requirements-dev.txt")
    assert runtime.items() <= develop.items()
    assert "playwright" in develop
    assert "playwright" not in runtime


def test_all_rows_of_the_specification_are_listed_once() -> None:
    with (ROOT / "tests" / "spec_rows.csv").open(newline="") as handle:
        listed = [line["row"] for line in csv.DictReader(handle)]
    assert len(listed) == len(set(listed)) == 334
    assert all(read_rows().values())


def run_pytest(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the spec plugin alone over one made-up test file."""
    (folder / "test_made_up.py").write_text(code)
    command = [sys.executable, "-m", "pytest", "-p", "tests.spec_plugin", "-p", "no:django"]
    command += ["-p", "no:cacheprovider", "-o", "markers=spec", "-c", os.devnull]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*command, "--rootdir", folder, folder],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_a_mark_with_an_unknown_row_stops_the_run(tmp_path: Path) -> None:
    code = 'import pytest\n\n@pytest.mark.spec("A3-04", "Z9-99")\ndef test_x(): pass\n'
    ran = run_pytest(tmp_path, code)
    assert ran.returncode != 0
    assert "'Z9-99'" in ran.stdout + ran.stderr


def test_a_mark_with_a_known_row_passes(tmp_path: Path) -> None:
    code = 'import pytest\n\n@pytest.mark.spec("A3-04")\ndef test_x(): pass\n'
    ran = run_pytest(tmp_path, code)
    assert ran.returncode == 0, ran.stdout


def test_an_unchanged_lock_installs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "ENVIRONMENT", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    assert bootstrap.main("requirements.txt") == 0
    stamp = tmp_path / ".venv" / "installed-requirements"
    assert stamp.read_text() == hashlib.sha256(b"").hexdigest()
    monkeypatch.setattr(bootstrap, "installers", lambda lock: pytest.fail("installed again"))
    assert bootstrap.main("requirements.txt") == 0
    (tmp_path / "requirements.txt").write_text("# changed\n")
    with pytest.raises(pytest.fail.Exception, match="installed again"):
        bootstrap.main("requirements.txt")


def test_an_older_python_hears_why() -> None:
    old = "import sys; sys.version_info = (3, 9, 2); sys.argv = ['bootstrap.py', 'x']; exec({!r})"
    code = old.format((ROOT / "config" / "local" / "bootstrap.py").read_text())
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.strip() == "Python 3.11 or newer is needed; this is 3.9."
