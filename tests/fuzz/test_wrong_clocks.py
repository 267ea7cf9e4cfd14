"""R11: the clock of a worker is two hours wrong, either way; the database's is right.

Only the worker's own clock travels here: nothing starts early, no lease is taken from its owner,
and what is over is noticed all the same.
"""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from dialer_adapters.contract import Retry
from messenger import clock, lifecycle
from messenger.models import Message
from messenger.tasks import start_due
from tests.launch.sending import confirmed, launched, verified_account
from tests.world import World, build_world
from voice import claims, dispatch, doubts
from voice.models import DialerBatch, DialerJob

pytestmark = pytest.mark.django_db

JUMPS = (timedelta(hours=-2), timedelta(hours=2))
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    def of_the_database() -> object:
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            return cursor.fetchone()[0]

    monkeypatch.setattr(clock, "now", of_the_database)
    verified_account()
    return build_world()


@pytest.mark.parametrize("jump", JUMPS)
def test_r11_nothing_starts_early_and_what_is_due_starts(world: World, jump: timedelta) -> None:
    early = confirmed(scheduled_at=(timezone.now() + timedelta(hours=1)).isoformat())
    due = confirmed()
    with time_machine.travel(timezone.now() + jump):
        start_due()
        assert not lifecycle.launch(early.pk)
    early.refresh_from_db()
    due.refresh_from_db()
    assert early.status == Message.Status.WAITING
    assert due.status == Message.Status.IN_PROGRESS


@pytest.mark.parametrize("jump", JUMPS)
def test_r11_a_lease_belongs_to_its_owner(world: World, jump: timedelta) -> None:
    message = launched([world.elementary])
    job = DialerJob.objects.get(message=message)
    claimed = claims.claim(job, first=True)
    assert claimed is not None
    with time_machine.travel(timezone.now() + jump):
        assert claims.claim(job, first=True) is None, "somebody else's batch"
        waiting = dispatch.waiting_messages()
    # The batch with the total waits for its turn; the sweep may ring for it, and finds this lease.
    assert waiting in ([], [(message.pk, False)])
    # A worker with a wrong clock leases as long as any other.
    DialerBatch.objects.filter(pk=claimed.pk).update(lease_until=clock.now() - MINUTE)
    with time_machine.travel(timezone.now() + jump):
        again = claims.claim(job, first=True)
    assert again is not None
    assert again.claim != claimed.claim
    assert again.content == claimed.content
    left = DialerBatch.objects.get(pk=claimed.pk).lease_until - clock.now()
    assert claims.LEASE - MINUTE < left <= claims.LEASE


@pytest.mark.parametrize("jump", JUMPS)
def test_r11_no_retry_comes_early(world: World, jump: timedelta) -> None:
    message = launched([world.elementary])
    DialerJob.objects.filter(message=message).update(retry_at=clock.now() + MINUTE)
    job = DialerJob.objects.get(message=message)
    with time_machine.travel(timezone.now() + jump):
        assert not dispatch._may_send(job)
        assert (message.pk, False) not in dispatch.waiting_messages()


@pytest.mark.parametrize("jump", JUMPS)
def test_r11_the_window_ends_by_the_databases_clock(world: World, jump: timedelta) -> None:
    """A worker two hours ahead does not give a message up, one behind does not send it late."""
    message = launched([world.elementary])
    job = DialerJob.objects.select_related("message").get(message=message)
    for ends, over in ((clock.now() + MINUTE, False), (clock.now() - MINUTE, True)):
        job.message.dial_until = ends
        with time_machine.travel(timezone.now() + jump):
            assert dispatch._too_late(job) is over


@pytest.mark.parametrize("jump", JUMPS)
def test_r11_a_stale_claim_writes_nothing(world: World, jump: timedelta) -> None:
    """The doubt of a worker that was frozen does not shorten its successor's lease."""
    message = launched([world.elementary])
    job = DialerJob.objects.select_related("message").get(message=message)
    claimed = claims.claim(job, first=True)
    assert claimed is not None
    newer = uuid4()
    DialerBatch.objects.filter(pk=claimed.pk).update(claim=newer)
    before = DialerBatch.objects.get(pk=claimed.pk).lease_until
    with time_machine.travel(timezone.now() + jump):
        doubts.stand_back(job, claimed, Retry("timeout"))
    assert DialerBatch.objects.get(pk=claimed.pk).lease_until == before
