"""A provider that neither knows its references again nor can be asked about them (R2, R3).

The switchboard forgets on demand: it takes every repeat as a new job. Its books say how often each
number was called.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
from django.db.models import Q

from config.local import programs
from dialer_adapters.switchboard import ledger
from messenger import clock
from messenger.models import Attempt, Delivery, District, Message
from messenger.roster.demo_district import write_district
from messenger.roster.importer import import_roster
from tests.end_to_end.town import Exchange, ask_switchboard, finish, open_account
from tests.end_to_end.workers import Processes
from tests.launch.sending import confirmed, launched
from tests.world import World
from voice import dispatch
from voice.claims import MOST_SENDINGS
from voice.models import DialerBatch, DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

FORGETFUL = "shoutpoint-forgetful"
PATIENCE = 600.0  # seconds for a whole run with kills
IN_DOUBT = Q(code=-5, reason="in_doubt")


@pytest.fixture
def forgetful(
    account_open: VoiceSettings, switchboard: Exchange, settings: Any
) -> Iterator[Exchange]:
    """The quick switchboard without a memory; batches of three chains, no redials."""
    settings.DIALER_ADAPTER = FORGETFUL
    VoiceSettings.objects.update(max_chains_per_batch=3, redials=0)
    switchboard.control(forgetful=True)
    yield switchboard
    switchboard.control(forgetful=False)


def calls(exchange: Exchange, message: Message) -> Counter[str]:
    """Step → calls, of the message's job and of what was taken for new jobs."""
    attempts = ask_switchboard(exchange.database, ledger.list_attempts)
    ref = str(message.job_ref)
    return Counter(
        attempt.step_ref for attempt in attempts if attempt.job_ref.partition("~")[0] == ref
    )


def no_silence(exchange: Exchange, message: Message) -> None:
    """Every row has its end; what ended without a try of ours is said to be in doubt, or its chain
    was stopped by a key."""
    rows = Delivery.objects.filter(message=message, chain__isnull=False)
    assert not rows.exclude(state="done").exists()
    silent = rows.filter(tries=0).exclude(IN_DOUBT).exclude(reason="CHAIN_STOPPED")
    assert not silent.exists(), list(silent.values_list("outcome", "reason", "code")[:5])
    called = calls(exchange, message)
    for chain, step in Attempt.objects.filter(message=message).values_list("chain", "step"):
        assert called[f"{chain}-{step}"]


@pytest.mark.parametrize("mode", ["empty", "cut", "garbage", "unavailable"])
@pytest.mark.parametrize("operation", ["SubmitJob", "AddChains"])
def test_r2_a_routine_request_in_doubt_is_never_repeated(
    world: World, forgetful: Exchange, mode: str, operation: str
) -> None:
    """Whether the provider has it ("empty", "cut") or not: nobody is called twice."""
    message = launched()
    forgetful.control(trouble=mode, operations=[operation], times=1)
    finish(message)
    assert message.status == Message.Status.SENT
    (doubted,) = DialerBatch.objects.filter(job__message=message, state="unknown")
    assert max(calls(forgetful, message).values()) == 1
    no_silence(forgetful, message)
    span = Delivery.objects.filter(
        message=message, chain__gte=doubted.first_chain, chain__lte=doubted.last_chain
    )
    if mode in ("empty", "cut"):
        assert span.filter(tries=1).exists(), "its results were heard after all"
    else:
        assert not span.exclude(IN_DOUBT).exists()
        assert set(span.values_list("outcome", flat=True)) == {"failed"}


@pytest.mark.parametrize("operation", ["SubmitJob", "AddChains"])
def test_r3_an_emergency_in_doubt_is_handed_over_once_more(
    world: World, forgetful: Exchange, operation: str
) -> None:
    message = launched(tool="emergency")
    forgetful.control(trouble="empty", operations=[operation], times=1)
    finish(message)
    assert message.status == Message.Status.SENT
    called = calls(forgetful, message)
    assert max(called.values()) == MOST_SENDINGS, "the provider took it twice"
    assert not Delivery.objects.filter(message=message).filter(IN_DOUBT).exists()
    chains = Delivery.objects.filter(message=message, chain__isnull=False)
    assert {step.partition("-")[0] for step in called} == {
        str(chain) for chain in chains.values_list("chain", flat=True)
    }, "nobody is lost"
    no_silence(forgetful, message)


def test_r3_never_a_third_time(world: World, forgetful: Exchange) -> None:
    message = launched(tool="emergency")
    forgetful.control(trouble="empty", operations=["SubmitJob"], times=2)
    finish(message)
    first = DialerBatch.objects.get(job__message=message, number=0)
    assert (first.state, first.sendings) == ("unknown", MOST_SENDINGS)
    assert max(calls(forgetful, message).values()) == MOST_SENDINGS
    no_silence(forgetful, message)


@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_what_certainly_never_left_is_sent_as_if_nothing_had_been(
    world: World, forgetful: Exchange, tool: str
) -> None:
    """No connection, a dialer that says it is busy, credentials refused: nothing is in doubt."""
    message = launched(tool=tool)
    forgetful.kill()
    for _try in range(MOST_SENDINGS + 1):
        DialerJob.objects.update(retry_at=None)
        dispatch.push(message.pk)
    forgetful.start()
    forgetful.control(forgetful=True)
    forgetful.control(trouble="throttled", times=MOST_SENDINGS + 1, seconds=1)
    for _try in range(MOST_SENDINGS + 1):
        DialerJob.objects.update(retry_at=None)
        dispatch.push(message.pk)
    DialerJob.objects.update(retry_at=None)
    finish(message)
    assert message.status == Message.Status.SENT
    assert not Delivery.objects.filter(message=message).filter(IN_DOUBT).exists()
    assert max(calls(forgetful, message).values()) == 1
    no_silence(forgetful, message)


def test_a_liar_is_not_believed(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """Counts, numbers and results that are wrong or of other jobs change no row."""
    honest = launched([world.elementary])
    finish(honest)
    before = list(Delivery.objects.filter(message=honest).order_by("id").values())
    switchboard.control(trouble="lying")
    message = launched()
    finish(message)
    switchboard.control(trouble=None)
    assert message.status == Message.Status.SENT
    job = DialerJob.objects.get(message=message)
    chains = Delivery.objects.filter(message=message, chain__isnull=False)
    assert job.total_chains == chains.values("chain").distinct().count()
    switchboard.judge(message)
    assert list(Delivery.objects.filter(message=honest).order_by("id").values()) == before
    real = calls(switchboard, message)
    rows = chains.exclude(tries=0)
    for row in rows:
        assert row.tries == real[f"{row.chain}-{row.step}"]
    assert not chains.filter(code=4242).exists()


# ------------------------------------------------------------------------------- workers that die


def kill_workers_of(
    exchange: Exchange, tmp_path: Path, tool: str, people: int, size: int, kills: int
) -> Message:
    """Sends to a district and kills all workers so many times, each time with a request on its
    way; then lets them finish."""
    District.objects.update_or_create(pk=1, defaults={"name": "Lakes", "voice_enabled": True})
    open_account(exchange, redials=0)
    VoiceSettings.objects.update(max_chains_per_batch=size)
    exchange.control(forgetful=True)
    exchange.control(trouble="slow", operations=["AddChains", "SubmitJob"], seconds=0.4)
    write_district(tmp_path / "roster", size=people, seed=7)
    assert import_roster(tmp_path / "roster").state == "done"
    message = confirmed(tool=tool)
    patience = PATIENCE * (4 if kills > 10 else 1)
    pause, last = Event(), monotonic() + patience  # nobody sets the event: it is a wait

    def follow(done: Callable[[], bool], words: str) -> None:
        while not done():
            assert monotonic() < last, words
            pause.wait(0.05)

    def on_its_way() -> bool:
        return DialerBatch.objects.filter(state="sending", sent_at__gt=began).exists()

    def finished() -> bool:
        message.refresh_from_db()
        return message.finished

    workers = Processes(programs.background(tmp_path), tmp_path)
    with workers:
        for kill in range(kills):
            began = clock.now()
            follow(lambda: on_its_way() or finished(), f"no request after {kill} kills")
            assert not finished(), f"the send was over after {kill} kills"
            workers.kill()
            workers.start()
        exchange.control(trouble=None)
        follow(finished, "the end of the message")
    return message


def judge_r2(message: Message, exchange: Exchange, kills: int) -> None:
    assert message.status == Message.Status.SENT
    assert max(calls(exchange, message).values()) == 1, "0 double-dialed"
    no_silence(exchange, message)
    given_up = DialerBatch.objects.filter(job__message=message, state="unknown")
    assert 0 < given_up.count() <= kills * dispatch.IN_FLIGHT


def judge_r3(message: Message, exchange: Exchange, kills: int) -> None:
    assert message.status == Message.Status.SENT
    called = calls(exchange, message)
    assert max(called.values()) <= MOST_SENDINGS, "at most two calls to any number"
    chains = Delivery.objects.filter(message=message, chain__isnull=False)
    lost = {str(chain) for chain in chains.values_list("chain", flat=True)} - {
        step.partition("-")[0] for step in called
    }
    given_up = DialerBatch.objects.filter(job__message=message, state="unknown")
    # Numbers that the dialer refuses (-3) have their result, and were never called.
    refused = {
        str(chain) for chain in chains.filter(reason="REFUSED").values_list("chain", flat=True)
    }
    lost -= refused
    assert not lost or given_up.exists()
    for batch in given_up:  # killed twice with the same batch on its way
        lost -= {str(chain) for chain in range(batch.first_chain or 0, (batch.last_chain or 0) + 1)}
    assert not lost, "0 lost"
    no_silence(exchange, message)
    twice = DialerBatch.objects.filter(job__message=message, sendings__gt=1)
    assert twice.count() <= kills * dispatch.IN_FLIGHT


@pytest.mark.xdist_group("kill")
@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_r2_r3_workers_killed_with_requests_on_their_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setenv("DIALER_ADAPTER", FORGETFUL)
    with Exchange("forgetful", speed=1000, lines=100) as exchange:
        message = kill_workers_of(exchange, tmp_path, tool, people=240, size=4, kills=2)
        (judge_r2 if tool == "general" else judge_r3)(message, exchange, kills=2)


@pytest.mark.slow
@pytest.mark.xdist_group("kill")
@pytest.mark.parametrize("tool", ["general", "emergency"])
def test_r2_r3_fifty_kills_in_twenty_thousand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setenv("DIALER_ADAPTER", FORGETFUL)
    with Exchange("forgetful", speed=1000, lines=200) as exchange:
        message = kill_workers_of(exchange, tmp_path, tool, people=34_000, size=50, kills=50)
        (judge_r2 if tool == "general" else judge_r3)(message, exchange, kills=50)
