"""R17: whatever people do and whatever dies in between, the twelve invariants hold.

Hypothesis plays senders, families, ticks and accidents against the product's own verbs and a real
switchboard (`tests.fuzz.telephone_town`); after each step and at the end of each run the judge
(`tests.fuzz.invariants`) looks at our rows and at the switchboard's books. A failing run is printed
as the list of its steps.
"""

import os
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from messenger import lifecycle
from messenger.models import DoNotContact, Message, TextConsent
from messenger.tasks import start_due
from sentlog.summary import recompute_stale
from tests.fuzz.invariants import Watch
from tests.fuzz.telephone_town import TelephoneTown
from tests.launch.sending import draft, sender
from voice import collect, dispatch, recall, tasks

TROUBLES = ("", "", "", "killed before", "killed after", "answer lost", "unreachable")
# How long a lease, a retry and a closed door may last; then somebody else goes on.
LONG_ENOUGH = timedelta(seconds=90)
PATIENCE = 200  # rounds of the end ...
WAIT = 300.0  # ... each of which moves the time on by so many seconds

# Shortening a failing run takes minutes: FUZZ_SHRINK=1 asks for it.
PLAIN = (Phase.explicit, Phase.reuse, Phase.generate)
SHRINK = (*PLAIN, Phase.shrink)

some_trouble = st.tuples(st.sampled_from(TROUBLES), st.integers(0, 3))
which = st.integers(0, 7)


class Everything(RuleBasedStateMachine):
    """One run: up to three messages, and all that may happen to them."""

    town: ClassVar[TelephoneTown]

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.watch = Watch()

    @initialize()
    def begin(self) -> None:
        """A new day for everybody: nobody has refused anything, and it is morning."""
        DoNotContact.objects.all().delete()
        TextConsent.objects.exclude(number=self.town.never_texted).update(state="opted_in")
        self.town.wait_for_morning()

    # ------------------------------------------------------------------------------- people

    @precondition(lambda self: len(self.messages) < 3)
    @rule(
        tool=st.sampled_from(["general", "general", "emergency"]),
        schools=st.sets(st.integers(0, 2), min_size=1),
        modes=st.sampled_from([("voice",), ("voice", "text")]),
        delay=st.sampled_from([0, 0, 5, 30]),
        hours=st.sampled_from([None, 1, 4]),
    )
    def write_and_confirm(
        self, tool: str, schools: set[int], modes: tuple[str, ...], delay: int, hours: int | None
    ) -> None:
        world, now = self.town.world, self.town.now
        picked = [(world.elementary, world.middle, world.high)[number] for number in schools]
        content: dict[str, Any] = {}
        if delay:
            content["scheduled_at"] = (now + timedelta(minutes=delay)).isoformat()
        if hours:
            content |= self.town.window(hours)
        made = draft(picked, tool=tool, modes=modes, **content)
        message = lifecycle.confirm(made, made.user)
        assert lifecycle.confirm(made, made.user).pk == message.pk, "confirmed twice"
        Message.objects.filter(pk=message.pk).update(text_body="School is closed today.")
        self.messages.append(Message.objects.get(pk=message.pk))

    @precondition(lambda self: self.messages)
    @rule(number=which)
    def cancel(self, number: int) -> None:
        message = self.pick(number)
        try:
            lifecycle.request_cancel(message.pk, sender())
        except lifecycle.NotPossible:
            assert message.status not in Message.UNFINISHED

    @rule(number=which)
    def refuse_texts(self, number: int) -> None:
        self.town.stop_texts(number)

    @rule(trouble=some_trouble)
    def tell_the_dialer_who_refused(self, trouble: tuple[str, int]) -> None:
        how, after = trouble
        with self.town.trouble(after, how):
            recall.give_orders()
            recall.send_orders()

    @rule(number=which)
    def refuse_calls(self, number: int) -> None:
        self.town.never_call(number)

    # ------------------------------------------------------------------------------- workers

    @rule()
    def launch_what_is_due(self) -> None:
        start_due()

    @precondition(lambda self: self.messages)
    @rule(trouble=some_trouble)
    def work(self, trouble: tuple[str, int]) -> None:
        """One round of all workers, so that most runs come far; one of them may die."""
        how, after = trouble
        start_due()
        with self.town.trouble(after, how):
            for message in self.messages:
                while lifecycle.expand_next(message.pk):
                    pass
                dispatch.push(message.pk)
        self.town.pass_time(2)

    @precondition(lambda self: self.messages)
    @rule(number=which)
    def work_and_cancel(self, number: int) -> None:
        """Somebody cancels while the first phones ring."""
        self.work(("", 0))
        self.cancel(number)

    @precondition(lambda self: self.messages)
    @rule(number=which, all_of_it=st.booleans())
    def expand(self, number: int, all_of_it: bool) -> None:
        message = self.pick(number)
        while lifecycle.expand_next(message.pk) and all_of_it:
            pass

    @precondition(lambda self: self.messages)
    @rule(number=which, trouble=some_trouble)
    def hand_over(self, number: int, trouble: tuple[str, int]) -> None:
        how, after = trouble
        with self.town.trouble(after, how):
            dispatch.push(self.pick(number).pk)

    @rule(trouble=some_trouble)
    def read_the_log(self, trouble: tuple[str, int]) -> None:
        how, after = trouble
        with self.town.trouble(after, how):
            collect.collect(seconds=5)

    @precondition(lambda self: self.messages)
    @rule(number=which, trouble=some_trouble)
    def refresh(self, number: int, trouble: tuple[str, int]) -> None:
        how, after = trouble
        with self.town.trouble(after, how):
            collect.refresh(self.pick(number).pk)

    @rule()
    def sweep(self) -> None:
        tasks.sweep_phone()
        recompute_stale()

    @rule()
    def lease_is_over(self) -> None:
        """A worker that was killed is succeeded."""
        self.town.pass_time(LONG_ENOUGH.total_seconds())

    # ------------------------------------------------------------------------------- the town

    @rule(seconds=st.sampled_from([1, 20, 60, 300]))
    def pass_time(self, seconds: int) -> None:
        self.town.pass_time(seconds)

    @rule()
    def restart_the_switchboard(self) -> None:
        self.town.restart_switchboard()

    # ------------------------------------------------------------------------------- the judge

    def pick(self, number: int) -> Message:
        message = self.messages[number % len(self.messages)]
        message.refresh_from_db()
        return message

    @property
    def ids(self) -> list[int]:
        return [message.pk for message in self.messages]

    @invariant()
    def nothing_is_wrong(self) -> None:
        violations = list(self.watch.look(self.ids))
        assert not violations, "\n".join(violations)

    def teardown(self) -> None:
        """Everything goes on without trouble until nothing is left to do; then all is judged."""
        if not self.messages:
            return
        for _round in range(PATIENCE):
            if self._work():
                break
            self.town.pass_time(WAIT)
        else:
            states = [
                (m.status, m.status_reason) for m in map(self.pick, range(len(self.messages)))
            ]
            raise AssertionError(f"never finished: {states}")
        violations = list(self.watch.judge(self.ids))
        assert not violations, "\n".join(violations)
        assert not [pk for pk, _urgent in dispatch.waiting_messages() if pk in self.ids]

    def _work(self) -> bool:
        """What the ticks do; whether every message has ended."""
        start_due()
        recall.give_orders()
        recall.send_orders()
        for message in self.messages:
            while lifecycle.expand_next(message.pk):
                pass
        for message_id, _urgent in dispatch.waiting_messages():
            dispatch.push(message_id)
        self.town.pass_time(1)
        collect.collect(seconds=5)
        tasks.sweep_phone()
        return all(self.pick(number).finished for number in range(len(self.messages)))


@pytest.fixture
def town(transactional_db: None, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Any:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.DISPATCH_FIRST_WAIT = 1.0
    made = TelephoneTown(monkeypatch)
    yield made
    made.close()


def play(town: TelephoneTown, runs: int, steps: int, *, random: bool) -> None:
    Everything.town = town
    run_state_machine_as_test(
        Everything,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            derandomize=not random,
            database=None,
            print_blob=True,
            phases=SHRINK if os.environ.get("FUZZ_SHRINK") else PLAIN,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])
def test_r17_no_invariant_breaks(town: TelephoneTown) -> None:
    """R17, the short one: the same runs each time."""
    play(town, runs=int(os.environ.get("FUZZ_RUNS", "40")), steps=20, random=False)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])
def test_r17_no_invariant_breaks_in_two_thousand_runs(town: TelephoneTown) -> None:
    """R17 in full; FUZZ_RUNS asks for fewer or more."""
    play(town, runs=int(os.environ.get("FUZZ_RUNS", "2000")), steps=50, random=True)
