"""A lost job and its successor in the tables: what is copied, what waits, what has ended."""

import pytest
from django.utils import timezone

from messenger.models import Attempt, Delivery, LaunchSlice, Message
from tests.launch.sending import launched, verified_account
from tests.world import World, build_world
from voice import claims, epochs, finishing
from voice.models import DialerBatch, DialerJob

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    verified_account(max_chains_per_batch=2)
    return build_world()


def lost(message: Message) -> DialerJob:
    DialerJob.objects.filter(message=message).update(submitted_at=timezone.now(), state="open")
    DialerBatch.objects.filter(job__message=message, total_chains=None).update(state="accepted")
    job = DialerJob.of(message.pk)
    assert job is not None
    epochs.mark_lost(job, epochs.EPOCH_CHANGED)
    return job


def try_chain(message: Message, chain: int) -> None:
    now = timezone.now()
    Attempt.objects.create(
        message=message,
        chain=chain,
        step=1,
        attempt_ref=f"A{chain}",
        number=1,
        revision=1,
        mode="voice",
        code=0,
        outcome="failed",
        occurred_at=now,
        ended_at=now,
    )


def test_batches_of_tried_chains_are_not_copied_and_the_lowest_is_number_0(world: World) -> None:
    message = launched(tool="emergency")
    first, second = DialerBatch.objects.filter(job__message=message).order_by("number")[:2]
    for chain in (first.first_chain, first.last_chain, second.first_chain):
        try_chain(message, chain or 0)
    old = lost(message)
    epochs.decide(message.pk)
    new = DialerJob.of(message.pk)
    assert new is not None
    assert new.pk != old.pk
    batches = list(new.batches.filter(total_chains=None).order_by("number"))
    assert batches[0].number == 0
    assert (batches[0].first_chain, batches[0].last_chain) == (
        second.first_chain,
        second.last_chain,
    )
    assert new.batches.exclude(total_chains=None).count() == 1
    claimed = claims.claim(new, first=True)
    assert claimed is not None
    assert f'"r":"{second.last_chain}"' in claimed.content
    assert f'"r":"{second.first_chain}"' not in claimed.content, "that one was tried"
    batches[0].refresh_from_db()
    assert batches[0].chains == 1
    tried = Delivery.objects.filter(message=message, chain=second.first_chain)
    assert set(tried.values_list("state", flat=True)) == {"done"}
    assert set(tried.filter(step=1).values_list("outcome", "code")) == {("failed", 0)}
    assert set(tried.exclude(step=1).values_list("outcome", "reason")) <= {
        ("canceled", epochs.REASON)
    }


def test_a_launch_that_goes_on_has_a_job_to_go_on_with(world: World) -> None:
    """Everything that was handed over was tried, and slices are still to come."""
    message = launched(tool="emergency")
    chains = Delivery.objects.filter(message=message, chain__isnull=False).values_list("chain")
    for (chain,) in set(chains):
        try_chain(message, chain)
    LaunchSlice.objects.create(message=message, number=1, person_ids=[])
    Message.objects.filter(pk=message.pk).update(expanded_at=None)
    lost(message)
    epochs.decide(message.pk)
    new = DialerJob.of(message.pk)
    assert new is not None
    claimed = claims.claim(new, first=True)
    assert claimed is not None
    assert claimed.content == "[]", "SubmitJob alone"


def test_the_end_of_a_lost_job_ends_nothing_of_its_successor(world: World) -> None:
    message = launched(tool="emergency")
    old = lost(message)
    epochs.decide(message.pk)
    ended = finishing.finish(str(old.job_ref), 7, "CANCELLED", epochs.EPOCH_CHANGED, timezone.now())
    assert ended == set()
    assert Delivery.objects.filter(message=message).exclude(state="done").exists()
    new = DialerJob.of(message.pk)
    assert new is not None
    assert new.state == DialerJob.State.FROZEN
