"""Kill -9 of everything, again and again, in the middle of a send: nobody lost, nobody twice (R1).

Real workers, real beat, real broker, real switchboard, each killed at random moments; the
switchboard's own ledger is the judge. The full size (50 kills, 20,000 recipients) is behind the
marker `slow`; here ten kills of the workers and two of the switchboard, 4,000 recipients.
"""

import random
from pathlib import Path
from threading import Event
from time import monotonic

import pytest

from config.local import programs
from messenger import lifecycle
from messenger.audience.criteria import Criteria
from messenger.models import Attempt, Delivery, District, Message, MessageDraft, School
from messenger.roster.demo_district import write_district
from messenger.roster.importer import import_roster
from tests.end_to_end.town import Exchange, open_account
from tests.end_to_end.workers import Processes
from tests.launch.sending import sender
from voice.models import DialerJob, VoiceSettings

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "switchboard"]),
    pytest.mark.xdist_group("kill"),
]

MOST_SECONDS = 240.0


def send_to_everyone(people: int, directory: Path) -> Message:
    """A district of so many people by the real importer, and a message to its families."""
    write_district(directory, size=people, seed=7)
    assert import_roster(directory).state == "done"
    made = MessageDraft.objects.create(
        user=sender(),
        tool="general",
        content={
            "subject": "Kill test",
            "voice_text": "This call is placed once.",
            "criteria": Criteria(
                school_ids=tuple(School.objects.values_list("pk", flat=True))
            ).to_json(),
            "modes": ["voice"],
        },
    )
    return lifecycle.confirm(made, made.user)


def kill_again_and_again(
    message: Message, exchange: Exchange, logs: Path, kills: int, restarts: int
) -> None:
    """Kills the workers `kills` times and the switchboard `restarts` times, then lets it finish."""
    chance = random.Random(20261121)
    workers = Processes(programs.background(logs), logs)
    pause = Event()  # nobody sets it: a wait that ends by its time
    in_the_middle = 0
    until = monotonic() + MOST_SECONDS
    with workers:
        for number in range(kills):
            pause.wait(chance.uniform(1.5, 4.0))
            workers.kill()
            message.refresh_from_db()
            in_the_middle += not message.finished
            if number % max(1, kills // max(1, restarts)) == 2 and restarts:
                restarts -= 1
                exchange.kill()
                exchange.start()
            workers.start()
        while not message.finished:
            assert monotonic() < until, f"still {message.status} after {MOST_SECONDS:.0f} s"
            pause.wait(0.5)
            message.refresh_from_db()
    assert in_the_middle == kills, "the send was over before the last kill"


def judge(message: Message, exchange: Exchange) -> None:
    """Ruling 32 and the invariants 4, 6, 7, 9, 10 on real rows."""
    exchange.judge(message)
    books = exchange.books(message)
    rows = Delivery.objects.filter(message=message)
    assert message.status == Message.Status.SENT
    assert not rows.exclude(state="done").exists(), "a delivery never became final"
    most = 1 + int(message.settings_frozen["redials"])
    assert not rows.filter(tries__gt=most).exists(), "more attempts than the policy allows"
    assert Attempt.objects.filter(message=message).count() == books.attempts
    dialed = {
        (chain, step) for chain, step in rows.exclude(chain=None).values_list("chain", "step")
    }
    assert books.steps == len(dialed)
    job = DialerJob.objects.get(message=message)
    assert job.total_chains == sum(message.slices.values_list("chains", flat=True))


def test_ten_kills_and_two_restarts_lose_nobody_and_double_nobody(tmp_path: Path) -> None:
    district = District.current()
    district.voice_enabled = True
    district.save()
    with Exchange("kill", speed=100, lines=100) as exchange:
        open_account(exchange)
        VoiceSettings.objects.update(max_chains_per_batch=25)  # many batches: many places to die
        message = send_to_everyone(6_800, tmp_path / "roster")
        recipients = 4_000
        kill_again_and_again(message, exchange, tmp_path, kills=10, restarts=2)
        found = Delivery.objects.filter(message=message).values("recipient").distinct().count()
        assert found >= recipients
        judge(message, exchange)


@pytest.mark.slow
def test_fifty_kills_in_twenty_thousand(tmp_path: Path) -> None:
    district = District.current()
    district.voice_enabled = True
    district.save()
    with Exchange("kill", speed=100, lines=200) as exchange:
        open_account(exchange)
        VoiceSettings.objects.update(max_chains_per_batch=50)
        message = send_to_everyone(34_000, tmp_path / "roster")
        kill_again_and_again(message, exchange, tmp_path, kills=50, restarts=5)
        judge(message, exchange)
