"""Two lines expand one message: the same rows as one line makes, and a cancel stops both."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from messenger import expansion, ledger, lifecycle
from messenger.models import Delivery, LaunchSlice, Message
from messenger.models.delivery import ROWS_PER_SLICE
from tests.launch.sending import confirmed, expand_all, sender, verified_account
from tests.world import Device, World, add_phone, build_world

pytestmark = pytest.mark.django_db(transaction=True)

LONG_ENOUGH = 60.0
SHARED = "+16515550199"
FIELDS = ("id", "recipient_id", "student_id", "chain", "step", "mode", "address", "duplicate")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    verified_account()
    # The world has few students: slices of one or two families.
    monkeypatch.setattr("messenger.audience.resolve.SLICE_ENDS", [2, 3, 4, 5, 6])
    monkeypatch.setattr(expansion, "ENOUGH_FOR_TWO", 2)
    return build_world()


def started(**content: Any) -> Message:
    message = confirmed(**content)
    lifecycle.launch(message.pk)
    assert LaunchSlice.objects.filter(message=message).count() == 5
    return message


def rows_of(message: Message) -> list[tuple[Any, ...]]:
    return list(Delivery.objects.filter(message=message).order_by("id").values_list(*FIELDS))


def cancel(message: Message) -> None:
    """A cancel by another process: nothing of the slice under way is locked yet."""
    try:
        lifecycle.request_cancel(message.pk, sender())
    finally:
        connection.close()


@pytest.mark.spec("B5-09")
@pytest.mark.parametrize("seen", ["all", "none"])
def test_two_lines_make_what_one_makes(
    world: World, monkeypatch: pytest.MonkeyPatch, seen: str
) -> None:
    """One number is a pager in five families: it is a first row once and is texted once, whichever
    slices are committed when another is written."""
    for person in (world.mom, world.hodan, world.elsa, world.stayed, world.aunt):
        add_phone(person, Device.PAGER, SHARED, text=63)
    alone, together = (started(modes=("voice", "text")) for _message in range(2))
    expand_all(alone)
    if seen == "none":  # every slice is compared at its commit alone
        monkeypatch.setattr(ledger, "_first_unseen", lambda _slice: 0)
    assert not expansion.expand(together.pk, LONG_ENOUGH)
    rows = rows_of(alone)
    assert rows_of(together) == rows
    shared = Delivery.objects.filter(message=together, address=SHARED)
    slices = {pk // ROWS_PER_SLICE for pk in shared.values_list("id", flat=True)}
    assert len(slices) > 2, "the number is in several slices"
    for mode in ("voice", "text"):
        firsts = shared.filter(mode=mode, duplicate=False)
        assert [row.id for row in firsts] == [shared.filter(mode=mode).earliest("id").id]
    texts = shared.filter(mode="text")
    assert len(set(texts.values_list("chain", "step"))) == 1
    together.refresh_from_db()
    assert together.expanded_at is not None


def test_a_cancel_stops_both_lines(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is worked out after the cancel: an emergency that follows would wait for it."""
    message = started()
    worked_out: list[int] = []
    write_slice = ledger.write_slice

    def write_and_cancel(of: Message, launch_slice: LaunchSlice, *rest: Any) -> ledger.Written:
        worked_out.append(launch_slice.number)
        written = write_slice(of, launch_slice, *rest)
        if launch_slice.number == 0:
            with ThreadPoolExecutor(max_workers=1) as somebody:
                somebody.submit(cancel, message).result()
        return written

    monkeypatch.setattr(ledger, "write_slice", write_and_cancel)
    assert not expansion.expand(message.pk, LONG_ENOUGH)
    # The other line may have been at the next slice already, and at no other.
    assert set(worked_out) <= {0, 1}
    states = LaunchSlice.objects.filter(message=message).values_list("state", flat=True)
    assert set(states) == {LaunchSlice.State.CANCELED}
    assert not rows_of(message)


def test_a_fault_in_one_line_ends_the_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    message = started()
    write_slice = ledger.write_slice

    def fail_at_two(of: Message, launch_slice: LaunchSlice, *rest: Any) -> ledger.Written:
        if launch_slice.number == 2:
            raise RuntimeError("the connection is lost")
        return write_slice(of, launch_slice, *rest)

    monkeypatch.setattr(ledger, "write_slice", fail_at_two)
    with pytest.raises(RuntimeError, match="lost"):
        expansion.expand(message.pk, LONG_ENOUGH)
    monkeypatch.undo()
    assert not expansion.expand(message.pk, LONG_ENOUGH)
    numbers = LaunchSlice.objects.filter(message=message, state=LaunchSlice.State.FROZEN)
    assert numbers.count() == message.slices.count()


def test_every_slice_is_handed_over_as_it_is_committed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call leaves while the rest expands, not at the next tick."""
    rung: list[int] = []
    monkeypatch.setattr(
        "voice.doorbell.dispatch", lambda message_id, *, urgent: rung.append(message_id)
    )
    message = started()
    assert not expansion.expand(message.pk, LONG_ENOUGH)
    assert rung == [message.pk] * message.slices.count()
    alone = started()
    lifecycle.expand_next(alone.pk)
    assert rung[-1] == alone.pk
