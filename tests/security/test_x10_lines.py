"""X10, line by line: what the formatter of all processes lets through. No process is started."""

import logging
import sys
from collections.abc import Callable

import pytest
from django.db import DatabaseError, connection

from config.logs import make_formatter, reason_of, without_private

SHE, HE = "Alisa Family", "Jeremy Family"  # not in the lines of code that a traceback shows
NUMBERS = [
    *("+16125557735", "16125557735", "6125557735", "612-555-7735", "(612) 555-7735"),
    *("612.555.7735", "1 612 555 7735", "+1 612-555-7735", "+44 20 7946 0958", "555-0331"),
]


def line(message: str, *args: object, error: BaseException | None = None) -> str:
    """The line that a handler would write."""
    record = logging.LogRecord("voice", logging.ERROR, __file__, 1, message, args, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return make_formatter().format(record)


def caught(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test is about
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_do_not_pass(number: str) -> None:
    assert line("call to %s failed", number).endswith("ERROR voice call to [number] failed")
    assert without_private(f"({number})") == "([number])"


@pytest.mark.parametrize(
    "kept",
    [
        "message 1234567: The dialer is busy; again in 12.5 s",
        "Task voice.tasks.poll_call_log[6f1e0f6c-5557-4355-8a8e-612555773512] succeeded in 0.01s",
        "Not Found: /log/0a1b2c3d-6125-4557-9735-0123456789ab/",
        "2026-11-22 03:04:05,123 listening on http://127.0.0.1:52341/soap",
        "Seq 429496 follows 429497",
    ],
)
def test_what_an_operator_needs_passes(kept: str) -> None:
    assert line(kept).endswith(kept)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("to alisa.f+x@family.example now", "to [email] now"),
        ("postgres://app:S3cret%21@db:5432/x", "postgres://[account]@db:5432/x"),
        ("Authorization: Basic dXNlcjpzM2NyZXQ=", "Authorization: Basic [secret]"),
        ("{'Authorization': 'Basic dXNlcjpzM2NyZXQ='}", "{'Authorization': 'Basic [secret]'}"),
    ],
)
def test_addresses_and_credentials_do_not_pass(said: str, shown: str) -> None:
    assert line(said).endswith(shown)


def test_an_exception_shows_where_and_what_without_its_values() -> None:
    def outer() -> None:
        try:
            int(SHE)
        except ValueError as error:
            raise KeyError(HE) from error

    shown = line("it failed", error=caught(outer))
    assert "Alisa" not in shown
    assert "Jeremy" not in shown
    assert "ValueError: invalid literal for int() with base 10: '…'" in shown
    assert "which led to" in shown
    assert "KeyError: '…'" in shown
    assert "in outer" in shown
    assert reason_of(KeyError("subject")) == "'subject'"


def test_the_sentence_of_celery_shows_no_more_than_the_exception() -> None:
    error = caught(lambda: int(SHE))
    shown = line("Task %s raised unexpected: %s", "voice.tasks.x", repr(error), error=error)
    assert "Alisa" not in shown
    assert "raised unexpected: ValueError: invalid literal" in shown


@pytest.mark.django_db
def test_an_error_of_the_database_names_no_row() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE people (name text, number text UNIQUE,"
            " CHECK (name <> E'Alisa\nFamily')) ON COMMIT DROP"
        )
        cursor.execute("INSERT INTO people VALUES ('Jeremy', '+16125557735')")
    for statement in (
        "INSERT INTO people VALUES (E'Alisa\nFamily', '+16125557736')",
        "INSERT INTO people VALUES ('Alisa', '+16125557735')",
        "SELECT 'Alisa'::int, '+16125557735'",
        "SELECT number FROM people WHERE name = 'Alisa' AND nonsense",
    ):

        def run(statement: str = statement) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SAVEPOINT here")
                try:
                    cursor.execute(statement)
                finally:
                    cursor.execute("ROLLBACK TO here")

        error = caught(run)
        assert isinstance(error, DatabaseError)
        shown = line("Task %s raised unexpected: %s", "x", repr(error), error=error)
        for private in ("Alisa", "Jeremy", "5557735", "5557736"):
            assert private not in shown, shown
        assert "psycopg2.errors." in shown


def test_what_nobody_caught_goes_the_same_way(caplog: pytest.LogCaptureFixture) -> None:
    error = caught(lambda: int(SHE))
    sys.excepthook(type(error), error, error.__traceback__)
    (record,) = caplog.records
    assert record.name == "uncaught"
    assert "Alisa" not in make_formatter().format(record)
