"""docker-compose.yml runs in production what `make demo` runs here; checked without an engine."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.local import programs
from config.local.postgres import SETTINGS

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = loaded["services"]
    return found


def options(command: list[str], *names: str) -> dict[str, str]:
    """The value behind each named option of a command line."""
    return {name: command[command.index(name) + 1] for name in names}


def test_the_same_processes_run(services: dict[str, Any], tmp_path: Path) -> None:
    here = {program.name: list(program.command) for program in programs.background(tmp_path)}
    engines = {"postgres", "redis", "migrate"}
    assert set(services) - engines == {*here, "web"}
    for name in ("worker", "worker-urgent"):
        there = shlex.split(services[name]["command"])
        assert options(there, "--queues") == options(here[name], "--queues")
    assert "beat" in shlex.split(services["beat"]["command"])
    assert services["web"]["command"].startswith("gunicorn config.wsgi")


def test_nothing_but_the_pages_is_published_and_those_on_the_loopback(
    services: dict[str, Any],
) -> None:
    published = {name: each["ports"] for name, each in services.items() if "ports" in each}
    assert published == {"web": ["127.0.0.1:8000:8000"]}


def test_every_secret_must_be_given(services: dict[str, Any]) -> None:
    environment = services["web"]["environment"]
    for name in ("SECRET_KEY", "FIELD_ENCRYPTION_KEYS", "ALLOWED_HOSTS"):
        assert environment[name].startswith(f"${{{name}:?")
    assert environment["SECURE"] == "1"


def test_the_database_is_of_the_same_make(services: dict[str, Any]) -> None:
    for name in ("wal_compression", "max_wal_size"):
        assert f"{name}={SETTINGS[name]}" in services["postgres"]["command"]
    assert (ROOT / services["web"]["build"]["dockerfile"]).exists()
