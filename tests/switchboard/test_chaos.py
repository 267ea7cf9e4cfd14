"""Random jobs, random crashes, random cancels: whatever happens, the books balance in the end."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer_adapters.switchboard import ledger
from dialer_adapters.switchboard.calling import NO_RESPONSE
from dialer_adapters.switchboard.inbound import receive_text
from dialer_adapters.switchboard.invariants import describe, list_violations
from dialer_adapters.switchboard.lines.simulated import decide_text
from dialer_adapters.switchboard.models import Account, Attempt, Entry, Job
from tests.switchboard.desk import Desk, chain, number

pytestmark = pytest.mark.django_db(databases=["default", "switchboard"])


def make_chain(chance: random.Random, ref: str) -> str:
    steps = [
        chance.choice(["", "", "T"])
        + number(chance.randrange(100, 200), chance.randrange(200, 900))
        for _ in range(chance.randint(1, 4))
    ]
    order = chance.choice(["SEQUENTIAL", "SIMULTANEOUS"])
    zone = chance.choice([None, "America/Chicago", "Pacific/Honolulu"])
    return chain(ref, *steps, Order=order, TimeZone=zone)


def make_job(chance: random.Random) -> dict[str, Any]:
    emergency = chance.random() < 0.3
    hours = {
        "Earliest": f"{chance.randrange(0, 12):02d}:00:00",
        "Latest": f"{chance.randrange(12, 24):02d}:00:00",
        "OnViolation": chance.choice(["HOLD", "FAIL"]),
        "DefaultTimeZone": "America/Chicago",
    }
    return {
        "Priority": "EMERGENCY" if emergency else chance.choice(["NORMAL", "PRIORITY"]),
        "WindowEnd": None
        if emergency
        else datetime.now(UTC) + timedelta(minutes=chance.choice([2, 20, 600])),
        "StartPolicy": chance.choice(["IMMEDIATE", "WHEN_SEALED"]),
        "LocalHours": chance.choice([None, hours]),
        "SuppressDuplicates": chance.random() < 0.3,
        "ScrubWireless": chance.random() < 0.5,
        "MaxLines": chance.choice([None, 2]),
        "StopOn": chance.choice([["CONFIRM"], ["CONFIRM", "LIVE"], ["MACHINE", "TEXT_SENT"]]),
        "TotalChains": None,
        "Redial": {
            "MaxAttemptsPerNumber": chance.randint(1, 3),
            "MinutesBetween": chance.choice([0, 1, 30]),
            "RedialMachine": chance.random() < 0.5,
            "UnknownOutcome": chance.choice(["STOP", "REDIAL"]),
        },
    }


SEEDS = [*range(12), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(12, 400))]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_books_balance_whatever_happens(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    desk.pools = (chance.choice([2, 5, 40]), chance.choice([0, 3]))
    desk.speed = chance.choice([1, 20])
    desk.open()
    jobs = [f"job-{place}" for place in range(3)]
    todo: list[tuple[str, int]] = []
    for job_ref in jobs:
        desk.submit(make_chain(chance, "first"), job_ref=job_ref, **make_job(chance))
        todo += [(job_ref, batch) for batch in range(1, 4)]
    chance.shuffle(todo)
    sizes: Counter[str] = Counter(dict.fromkeys(jobs, 1))
    attempts: dict[str, int] = {}
    for _ in range(6000):
        if todo and chance.random() < 0.3:
            add_batch(desk, chance, *todo.pop(), todo=todo, sizes=sizes)
        event = chance.random()
        if event < 0.02:
            desk.open()
        elif event < 0.03:
            desk.cancel(chance.choice(jobs), ChainRef=["first", f"c1-{chance.randrange(9)}"])
        elif event < 0.035:
            canceled = chance.choice(jobs)
            desk.cancel(canceled)
            attempts.setdefault(canceled, count_attempts(canceled))
        elif event < 0.04:
            numbers = [number(last, chance.randrange(200, 220)) for last in range(100, 200, 5)]
            desk.cancel(chance.choice(jobs), PhoneNumber=numbers)
        elif event < 0.05:
            desk.call(
                "SetTextConsent",
                PhoneNumber=number(chance.randrange(100, 110), chance.randrange(200, 210)),
                State=chance.choice(["OPTED_OUT", "OPTED_IN"]),
                ChangeRef=f"change-{event}",
                Source="PORTAL",
            )
        elif event < 0.06:
            receive_text(
                desk.dialer,
                Account.objects.get().pk,
                number(chance.randrange(100, 200), chance.randrange(200, 900)),
                chance.choice(["STOP", "START", "YES", "hello"]),
            )
        wake = desk.play()
        if wake is None and not todo:
            break
        desk.now = max(desk.now, wake or desk.now)
    assert Job.objects.filter(final_seq__isnull=True).count() == 0
    for canceled, before in attempts.items():
        assert count_attempts(canceled) == before, "nothing starts after a cancel"
    violations = list_violations()
    assert violations == [], describe(violations)
    check_books(jobs)
    check_texts()


def check_texts() -> None:
    """Of every text that was sent the last word is in the log, whatever crashed in between."""
    newest: dict[str, Entry] = {}
    for entry in Entry.objects.filter(channel="TEXT", attempt_id__isnull=False).order_by("seq"):
        newest[str(entry.attempt_id)] = entry
    for entry in newest.values():
        if entry.status_code != NO_RESPONSE:
            way = decide_text(entry.phone_number or "", entry.attempt_number or 0, seed=1)
            assert entry.status_code == way[-1][1]


def count_attempts(job_ref: str) -> int:
    return Attempt.objects.filter(
        job_id__in=Job.objects.filter(job_ref=job_ref).values("pk")
    ).count()


def add_batch(
    desk: Desk,
    chance: random.Random,
    job_ref: str,
    batch: int,
    todo: list[tuple[str, int]],
    sizes: Counter[str],
) -> None:
    chains = [make_chain(chance, f"c{batch}-{place}") for place in range(chance.randrange(9))]
    last = all(other != job_ref for other, _ in todo)
    total = sizes[job_ref] + len(chains) if last else None
    answer = desk.add(batch, *chains, total=total, job_ref=job_ref)
    if answer.name == "AddChainsResponse":
        sizes[job_ref] += len(chains)
        again = desk.add(batch, *chains, total=total, job_ref=job_ref)
        assert again["Replayed"] == "true"
    else:
        assert answer.fault == ("ConflictFault", "JOB_CLOSED")


def check_books(jobs: list[str]) -> None:
    assert list(ledger.find_lost()) == []
    assert ledger.find_doubled() == []
    assert ledger.find_excess() == []
    entries = list(Entry.objects.order_by("seq"))
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    by_attempt: dict[str, list[int]] = defaultdict(list)
    finals: Counter[tuple[int, int, int]] = Counter()
    for entry in entries:
        if entry.attempt_id is not None:
            by_attempt[entry.attempt_id].append(entry.revision)
        first_final = entry.final and entry.entry_type in ("STEP_RESULT", "ATTEMPT_RESULT")
        finals[entry.batch_id, entry.pos, entry.step] += first_final
    assert by_attempt.keys() == set(Attempt.objects.values_list("attempt_id", flat=True))
    assert all(seen == list(range(1, len(seen) + 1)) for seen in by_attempt.values())
    assert {step for step, times in finals.items() if times > 1} == set()
    for job in Job.objects.filter(job_ref__in=jobs):
        own = [entry for entry in entries if entry.job_id == job.pk]
        results = [entry for entry in own if entry.entry_type == "JOB_RESULT"]
        assert [entry.seq for entry in results] == [job.final_seq]
        after = {entry.entry_type for entry in own if entry.seq > job.final_seq}
        assert after <= {"ATTEMPT_UPDATE"}
        attempts = Attempt.objects.filter(job_id=job.pk)
        assert job.attempts == attempts.count()
        assert job.steps_attempted == attempts.filter(number=1).count()
        closed = Counter(entry.chain_ref for entry in own if entry.entry_type == "CHAIN_RESULT")
        assert set(closed.values()) <= {1}
        settled = job.chains_confirmed + job.chains_done + job.chains_canceled
        assert settled == job.stored_chains
        assert job.chains_confirmed == sum(
            entry.entry_type == "CHAIN_RESULT" and entry.disposition == "CONFIRMED" for entry in own
        )
        if results[0].reason == "COMPLETED":
            assert sum(closed.values()) == job.stored_chains
