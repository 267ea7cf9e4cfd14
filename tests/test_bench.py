"""The bench itself: one small run of it writes figures that a program and a person can read."""

import json
import os
import subprocess
import sys
from pathlib import Path

from config.local.programs import ROOT

NAMED = "P1,P2,P6,P7,P8,P9"  # those that need no workers; a minute less


def test_a_tiny_run_writes_its_figures(tmp_path: Path) -> None:
    environment = {**os.environ, "SCALE": "tiny", "ONLY": NAMED, "OUT": str(tmp_path)}
    for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "benchmarks.json").read_text())
    figures = {figure["id"]: figure for figure in written["figures"]}
    assert {name.split()[0] for name in figures} == set(NAMED.split(","))
    for figure in figures.values():
        assert figure["rows"] > 0
        assert figure["seconds"] > 0
        assert figure["better"] == "lower"
        assert figure["ratio"] is None or figure["ratio"] > 0
    readable = (tmp_path / "benchmarks.md").read_text()
    assert all(name in readable for name in figures)
