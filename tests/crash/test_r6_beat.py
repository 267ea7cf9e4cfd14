"""R6: beat is killed, there are two of it, there is none. Due messages start at most 15 s late, and
each once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from threading import Event
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from config.local import programs
from config.local.supervisor import Program
from messenger.models import LaunchSlice, Message, MessageMode
from tests.crash.judging import await_end, judge
from tests.crash.running import await_that, chosen
from tests.end_to_end.town import Exchange
from tests.end_to_end.workers import Processes
from tests.launch.sending import confirmed
from tests.world import World

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]

MOST_LATE = timedelta(seconds=15)
POOLS = ("worker", "worker-urgent")
TICK = Program("tick", tuple(programs.manage("tick", "--every", "5")))


@pytest.fixture
def starts(db: None) -> Iterator[None]:
    """A book of our own, kept by the database: every change of a message to In-Progress."""
    with connection.cursor() as cursor:
        cursor.execute(
            """CREATE TABLE book_of_starts (message_id bigint, at timestamptz);
            CREATE FUNCTION note_start() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO book_of_starts VALUES (NEW.id, clock_timestamp()); RETURN NEW;
            END $$;
            CREATE TRIGGER note_start AFTER UPDATE ON messenger_message FOR EACH ROW
                WHEN (NEW.status = 'in_progress' AND OLD.status <> 'in_progress')
                EXECUTE FUNCTION note_start()"""
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "DROP TRIGGER note_start ON messenger_message; DROP FUNCTION note_start();"
            " DROP TABLE book_of_starts"
        )


def count_starts() -> tuple[int, int]:
    """How often a message was started, and how many messages were."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT message_id) FROM book_of_starts")
        times, messages = cursor.fetchone()
    return times, messages


def due_in(seconds: float, world: World) -> Message:
    """A message to one family, to be started so many seconds from now."""
    moment = timezone.now() + timedelta(seconds=seconds)
    return confirmed([world.high], scheduled_at=moment.isoformat())


def judge_punctuality(messages: list[Message]) -> float:
    """Asserts that nothing started early or late; returns the longest delay, in seconds."""
    await_that(
        lambda: not Message.objects.filter(status=Message.Status.WAITING).exists(), "every start"
    )
    delays = []
    for message in messages:
        message.refresh_from_db()
        assert message.launched_at is not None
        delays.append(message.launched_at - max(message.scheduled_at, message.dial_from))
    assert min(delays) >= timedelta(0)
    assert max(delays) <= MOST_LATE
    return max(delays).total_seconds()


def await_starts_of_beat(log: Path, times: int) -> None:
    """Waits until beat has come up so often: one that is killed before that proves nothing."""
    await_that(
        lambda: log.exists() and log.read_text().count("beat: Starting...") >= times, "beat's start"
    )


def test_r6_beat_is_killed_again_and_again(
    switchboard: Exchange, world: World, starts: None, tmp_path: Path
) -> None:
    """Its supervisor starts it again after a second, as it does for every program."""
    chance, pause = Random(6), Event()  # nobody sets it: a wait that ends by its time
    with (
        Processes(chosen(tmp_path, *POOLS), tmp_path),
        Processes(chosen(tmp_path, "beat"), tmp_path) as beat,
    ):
        log = tmp_path / "beat.log"
        await_starts_of_beat(log, 1)
        messages = [due_in(seconds, world) for seconds in (3, 6, 9, 12)]
        for number in range(1, 5):
            await_starts_of_beat(log, number)
            pause.wait(chance.uniform(0.5, 3.0))
            beat.kill()
            pause.wait(1.0)
            beat.start()
        late = judge_punctuality(messages)
        for message in messages:
            await_end(message, patience=90)
    assert count_starts() == (4, 4)
    for message in messages:
        judge(message, switchboard)
    print(f"R6: beat killed four times, at most {late:.1f} s late")


def test_r6_a_tick_in_the_place_of_beat(
    switchboard: Exchange, world: World, starts: None, tmp_path: Path
) -> None:
    """No beat at all: `manage.py tick --every 5` rings for the workers."""
    with Processes([*chosen(tmp_path, *POOLS), TICK], tmp_path):
        messages = [due_in(seconds, world) for seconds in (8, 12)]
        late = judge_punctuality(messages)
        for message in messages:
            await_end(message, patience=90)
    assert count_starts() == (2, 2)
    for message in messages:
        judge(message, switchboard)
    print(f"R6: a tick instead of beat, at most {late:.1f} s late")


def make_due(count: int, world: World) -> None:
    """So many messages to one family, due now: copies of a confirmed one."""
    model = due_in(3600, world)
    schools = list(model.schools.values_list("pk", flat=True))
    now = timezone.now()
    copies = []
    for number in range(count):
        copy = Message.objects.get(pk=model.pk)
        copy.pk, copy.schedule_id = None, None
        copy.uuid, copy.job_ref = uuid4(), uuid4()
        copy.subject = f"Message {number}"
        copy.scheduled_at = copy.dial_from = now
        copies.append(copy)
    made = Message.objects.bulk_create(copies)
    MessageMode.objects.bulk_create(MessageMode(message=copy, mode="voice") for copy in made)
    links = Message.schools.through
    links.objects.bulk_create(
        links(message_id=copy.pk, school_id=school) for copy in made for school in schools
    )
    Message.objects.filter(pk=model.pk).delete()


def start_all_at_once(switchboard: Exchange, world: World, directory: Path, count: int) -> None:
    """Two beats, and a tick beside them, for as many messages that are due at one moment."""
    make_due(count, world)
    second = directory / "second"
    second.mkdir()
    with (
        Processes([*chosen(directory, *POOLS, "beat"), TICK], directory),
        Processes(chosen(second, "beat"), second),
    ):
        waiting = Message.objects.filter(status=Message.Status.WAITING)
        took = await_that(lambda: not waiting.exists(), "every start", 240)
    assert count_starts() == (count, count)
    assert LaunchSlice.objects.count() == count, "one plan each, of one slice"
    print(f"R6: {count} due at once, two beats and a tick: all started after {took:.1f} s")


def test_r6_a_thousand_are_due_and_there_are_two_beats(
    switchboard: Exchange, world: World, starts: None, tmp_path: Path
) -> None:
    start_all_at_once(switchboard, world, tmp_path, 1_000)
