"""docker-compose.yml runs in production what `make demo` runs here; checked without an engine."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.gate import UP
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
    for name in ("worker", "worker-urgent", "worker-long"):
        there = shlex.split(services[name]["command"])
        assert options(there, "--queues") == options(here[name], "--queues")
    assert "beat" in shlex.split(services["beat"]["command"])
    assert services["web"]["command"].startswith("gunicorn config.wsgi")


# What the specification of Compose knows, as far as we use it: a word that it does not know is an
# error to `docker compose config`, and a slip that no other test would find.
SERVICE = {
    *("build", "image", "command", "environment", "volumes", "ports", "depends_on", "healthcheck"),
    *("restart", "init", "read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period"),
    *("mem_limit", "pids_limit", "shm_size", "logging"),
}
HEALTH = {"test", "interval", "timeout", "retries", "start_period"}
CONDITIONS = {"service_healthy", "service_started", "service_completed_successfully"}


def test_compose_can_read_it(services: dict[str, Any]) -> None:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {key for key in loaded if not key.startswith("x-")} == {"name", "services", "volumes"}
    for name, service in services.items():
        assert set(service) <= SERVICE, name
        assert isinstance(service.get("command", ""), str), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in CONDITIONS
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], f"{name} would wait for ever"
            if how["condition"] == "service_completed_successfully":
                assert services[other]["restart"] == "no"
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in loaded["volumes"], volume
        check = service.get("healthcheck", {"test": ["CMD"]})
        assert set(check) <= HEALTH, name
        assert check["test"][0] in ("CMD", "CMD-SHELL"), name
        for key, value in service.get("environment", {}).items():
            assert isinstance(value, str), f"{name}: {key} must be quoted"
    # A dollar is a variable of .env, or doubled.
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.findall(r"(?<!\$)\$(?![\${])", text)


def test_every_process_is_watched_bounded_and_comes_back(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert "mem_limit" in service, name
        assert service["logging"]["options"]["max-size"], name
        if name != "migrate":
            assert service["restart"] == "unless-stopped", name
            assert "healthcheck" in service, name
    for name in ("web", "worker", "worker-urgent", "worker-long", "beat", "migrate"):
        service = services[name]
        # The watchdog kills its worker: number 1 of a container cannot be killed from inside.
        assert service["init"] is True
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    file = services["worker"]["environment"]["AT_WORK_FILE"]
    for name in ("worker", "worker-urgent", "worker-long", "beat", "spare"):
        assert file in services[name]["healthcheck"]["test"][1]
    assert UP in services["web"]["healthcheck"]["test"][-1]


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
