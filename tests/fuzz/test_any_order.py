"""R16: the log in any order, five times over, a day late and about strangers: the same end.

A story is what a dialer may say about a message's steps: tries and redials, texts that are revised
and revised again, steps that nobody tried, the job's end. It is told once in order. Then it is told
five times over, shuffled, in pages of any size, among entries about jobs, chains and types that
nobody knows, by the cursor's pages and by Refresh's. The one order that stays is the contract's own
(8.2 S3, S7): the word that a step or the job is over comes after what it is about has been told
once.
"""

import os
import random
from collections.abc import Sequence
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from dialer_adapters.contract import LogEntry
from messenger.models import Delivery, Message
from tests.fuzz.invariants import wrong_totals
from tests.launch.sending import launched, verified_account
from tests.launch.test_results import entry, job_result, read, steps
from tests.world import World, build_world
from voice import collect
from voice.models import DialerJob, LogCursor
from voice.models import LogEntry as StoredEntry

pytestmark = pytest.mark.django_db

TIMES = 5
CODES = (0, 1, 3, 5, 6, 9, 13, 17, -1, -5, -11, -17, 4242)
TEXT_CODES = (-39, -27, -28, -30, -40)


@pytest.fixture
def world() -> World:
    verified_account()
    return build_world()


@pytest.fixture
def message(world: World) -> Message:
    """The source's family: six chains, the household's and three numbers of each parent."""
    made = launched([world.elementary], grades=("03", "05"))
    DialerJob.objects.filter(message=made).update(submitted_at=timezone.now(), state="sealed")
    return made


@st.composite
def tellings(draw: st.DrawFn) -> dict[str, Any]:
    """What happens at each of four steps, and how it is told."""
    return {
        "steps": [
            {
                "codes": draw(st.lists(st.sampled_from(CODES), max_size=3)),
                "text": draw(st.booleans()),
                "revisions": draw(st.lists(st.sampled_from(TEXT_CODES), max_size=3)),
                "closed_apart": draw(st.booleans()),
                "confirmed": draw(st.booleans()),
            }
            for _step in range(4)
        ],
        "job_ends": draw(st.sampled_from(["", "COMPLETED", "EXPIRED", "CANCELLED"])),
        "pages": draw(st.integers(3, 40)),
        "seed": draw(st.integers(0, 2**32)),
    }


def tell(message: Message, telling: dict[str, Any]) -> list[list[LogEntry]]:
    """The story in three acts: what is said of tries, then of steps, then of the job."""
    tries, ends = [], []
    for (chain, step), what in zip(steps(message), telling["steps"], strict=False):
        where = f"{chain}-{step}"
        count = len(what["codes"])
        closed_apart = what["closed_apart"] or not count
        for number, code in enumerate(what["codes"], start=1):
            last = number == count
            common = {
                "attempt_number": number,
                "attempt_id": f"a{where}.{number}",
                "channel": "TEXT" if what["text"] else "VOICE",
            }
            if what["text"] and last:
                for revision, later in enumerate([-39, *what["revisions"]], start=1):
                    kind = "ATTEMPT_RESULT" if revision == 1 else "ATTEMPT_UPDATE"
                    over = last and not closed_apart and revision == 1
                    tries.append(
                        entry(
                            message, chain, step, entry_id=f"{where}.{number}:{revision}",
                            entry_type=kind, revision=revision, status_code=later, final=over,
                            **common,
                        )
                    )  # fmt: skip
                continue
            tries.append(
                entry(
                    message, chain, step, entry_id=f"{where}.{number}:1", status_code=code,
                    final=last and not closed_apart, confirmed=last and what["confirmed"], **common,
                )
            )  # fmt: skip
        if closed_apart:
            ends.append(
                entry(
                    message, chain, step, entry_id=f"{where}:end", entry_type="STEP_RESULT",
                    status_code=None if what["confirmed"] else -11, attempt_number=None,
                    disposition="CANCELLED" if what["confirmed"] else "EXPIRED",
                )
            )  # fmt: skip
    job = [job_result(message, telling["job_ends"])] if telling["job_ends"] else []
    return [tries, ends, [end._replace(entry_id="job:end") for end in job]]


def strangers(message: Message) -> list[LogEntry]:
    chain, step = steps(message)[0]
    return [
        entry(message, chain, step, status_code=5, job_ref="somebody-elses", entry_id="x1"),
        entry(message, chain, step, entry_type="WEATHER_REPORT", entry_id="x2"),
        entry(message, status_code=5, chain_ref="no", step_ref="no-1", entry_id="x3"),
        entry(message, 999_999_999, 7, status_code=5, entry_id="x4"),
    ]


def told_again(entries: Sequence[LogEntry], page: int, by_refresh: bool) -> None:
    """Pages of so many entries; an entry stands in a page once, as in every log."""
    for start in range(0, len(entries), page):
        once = {item.entry_id: item for item in entries[start : start + page]}.values()
        if by_refresh:
            cursor = LogCursor.objects.get(current=True)
            lines = collect._lines(list(once), cursor.state_id, cursor.epoch)
            with transaction.atomic():
                collect._apply(lines, timezone.now())
        else:
            read(*once)


def end_of_rows(message: Message) -> list[tuple[object, ...]]:
    return list(
        Delivery.objects.filter(message=message)
        .order_by("id")
        .values_list("id", "state", "outcome", "code", "tries", "confirmed", "reason")
    )


def done_rows(message: Message) -> set[int]:
    done = Delivery.objects.filter(message=message, state="done")
    return set(done.values_list("pk", flat=True))  # type: ignore[arg-type]


def check(message: Message, telling: dict[str, Any]) -> None:
    acts = tell(message, telling)
    dice = random.Random(telling["seed"])
    with transaction.atomic():
        for act in acts:
            if act:
                read(*act)
        in_order = end_of_rows(message)
        assert list(wrong_totals([message.pk])) == []
        transaction.set_rollback(True)
    with transaction.atomic():
        heard: list[LogEntry] = strangers(message)
        done: set[int] = set()
        for number, act in enumerate(acts):
            heard += act
            # Told once in any order, then everything so far over and over.
            rounds = [act, heard * (TIMES if number == len(acts) - 1 else 1)]
            for again, entries in enumerate(rounds):
                shuffled = list(entries)
                dice.shuffle(shuffled)
                told_again(
                    shuffled, telling["pages"], by_refresh=bool(again and dice.random() < 0.5)
                )
                assert done <= done_rows(message), "a final row is open again"
                done = done_rows(message)
        assert end_of_rows(message) == in_order
        assert list(wrong_totals([message.pk])) == []
        assert StoredEntry.objects.count() == len({item.entry_id for item in heard})
        transaction.set_rollback(True)


def story(*steps: dict[str, Any], pages: int = 3, seed: int = 2) -> dict[str, Any]:
    silent = {"codes": [], "text": False, "revisions": [], "closed_apart": False}
    told = [{**silent, "confirmed": False, **step} for step in (*steps, *[{}] * 4)]
    return {"steps": told[:4], "job_ends": "", "pages": pages, "seed": seed}


# A text that stays queued although no further try will come, told in one page and in several.
QUEUED = {"codes": [0, 0], "text": True}
EASY = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(
    max_examples=int(os.environ.get("FUZZ_STORIES", "100")),
    deadline=None,
    derandomize=True,
    suppress_health_check=EASY,
    phases=[Phase.explicit, Phase.generate],
)
@given(telling=tellings())
@example(telling=story({}, {}, {"codes": [0, 0]}, {**QUEUED, "revisions": [-39]}))
@example(telling=story({**QUEUED, "revisions": [-27, -39]}, {**QUEUED, "revisions": [-39, -30]}))
def test_r16_any_order_ends_the_same(message: Message, telling: dict[str, Any]) -> None:
    """R16, the short one: the same stories each time."""
    check(message, telling)


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("FUZZ_STORIES", "5000")),
    deadline=None,
    database=None,
    suppress_health_check=EASY,
)
@given(telling=tellings())
def test_r16_any_order_ends_the_same_in_five_thousand(
    message: Message, telling: dict[str, Any]
) -> None:
    """R16 in full."""
    check(message, telling)
