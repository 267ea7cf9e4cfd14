"""A dialer that was restored from a backup, or forgot: who is called again, and who never (ruling
24). The switchboard's books say who was called."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from messenger import lifecycle
from messenger.models import Attempt, Delivery, Message
from tests.end_to_end.town import Exchange, ask_switchboard, finish, hand_over, open_account, until
from tests.launch.sending import confirmed, launched, sender
from tests.world import World
from voice import collect, dispatch, epochs
from voice.models import DialerBatch, DialerJob, VoiceSettings

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "switchboard"])

LATER = timedelta(days=2)


def dialed_chains(exchange: Exchange, job: DialerJob) -> set[str]:
    from dialer_adapters.switchboard.ledger import list_attempts

    attempts = ask_switchboard(exchange.database, list_attempts, None, str(job.job_ref))
    return {attempt.chain_ref for attempt in attempts}


def heard_chains(message: Message) -> set[str]:
    return {
        str(chain)
        for chain in Attempt.objects.filter(message=message).values_list("chain", flat=True)
    }


def begin(exchange: Exchange, **how: object) -> Message:
    """A message of which some calls have been placed and reported, and many not."""
    open_account(exchange)
    message = confirmed(**how)
    hand_over(message)
    until(lambda: Attempt.objects.filter(message=message).count() >= 2, "the first results")
    return message


def jobs_of(message: Message) -> list[DialerJob]:
    return list(DialerJob.objects.filter(message=message).order_by("pk"))


def every_row_has_its_end(message: Message) -> None:
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    lost = rows.filter(reason=epochs.REASON)
    tried = Attempt.objects.filter(message=message).values("chain")
    assert not lost.exclude(chain__in=tried).exists(), "nobody is left out who was never tried"


def test_a_restored_dialer_gets_an_emergency_again_by_itself(
    world: World, slow_exchange: Exchange
) -> None:
    message = begin(slow_exchange, tool="emergency")
    slow_exchange.control(new_epoch=True)
    until(lambda: len(jobs_of(message)) == 2, "a second job")
    old, new = jobs_of(message)
    heard = heard_chains(message)
    finish(message, patience=120)
    assert message.status == Message.Status.SENT
    assert (old.current, old.state, old.result_reason) == (False, "finished", "EPOCH_CHANGED")
    assert new.current
    assert new.job_ref != old.job_ref
    again = dialed_chains(slow_exchange, new)
    assert again
    assert not again & dialed_chains(slow_exchange, old), "nobody is called by both"
    assert not again & heard
    every_row_has_its_end(message)
    slow_exchange.judge(message)


def test_a_routine_message_waits_for_a_persons_word(world: World, slow_exchange: Exchange) -> None:
    message = begin(slow_exchange)
    slow_exchange.control(new_epoch=True)
    until(lambda: epochs.awaits_word(message.pk) is not None, "the question")
    (lost,) = jobs_of(message)
    dispatch.push(message.pk)
    collect.collect(seconds=1)
    message.refresh_from_db()
    assert message.status == Message.Status.IN_PROGRESS
    left = epochs.awaits_word(message.pk)
    assert left
    open_rows = Delivery.objects.filter(message=message).exclude(state="done")
    tried = Attempt.objects.filter(message=message).values("chain")
    assert not open_rows.filter(chain__in=tried).exists(), "what was tried has ended"
    assert open_rows.values("recipient").distinct().count() == left
    assert epochs.call_again(message.pk)
    assert not epochs.call_again(message.pk), "asked once"
    finish(message, patience=120)
    assert message.status == Message.Status.SENT
    again = dialed_chains(slow_exchange, DialerJob.objects.get(message=message, current=True))
    assert again
    assert not again & dialed_chains(slow_exchange, lost)
    every_row_has_its_end(message)


@pytest.mark.parametrize("how", ["left", "canceled", "window"])
def test_nobody_more_is_called_when_nobody_says_so(
    world: World, slow_exchange: Exchange, how: str
) -> None:
    message = begin(slow_exchange)
    slow_exchange.control(new_epoch=True)
    until(lambda: epochs.awaits_word(message.pk) is not None, "the question")
    called = len(slow_exchange.attempts(message))
    if how == "left":
        assert epochs.leave(message.pk)
    elif how == "canceled":
        lifecycle.request_cancel(message.pk, sender())
        dispatch.push(message.pk)
    else:
        with time_machine.travel(timezone.now() + LATER):
            DialerJob.objects.filter(message=message).update(retry_at=timezone.now())
            Message.objects.filter(pk=message.pk).update(dial_until=timezone.now())
            dispatch.push(message.pk)
    message.refresh_from_db()
    canceled = how == "canceled"
    status = Message.Status.CANCELED_IP if canceled else Message.Status.SENT
    assert message.status == status
    assert len(jobs_of(message)) == 1
    assert len(slow_exchange.attempts(message)) == called
    rows = Delivery.objects.filter(message=message)
    assert not rows.exclude(state="done").exists()
    untried = rows.filter(tries=0, chain__isnull=False, outcome="canceled")
    assert untried.exists()
    assert "user" in set(untried.values_list("reason", flat=True)) or not canceled


def test_a_job_that_the_backup_never_had_is_lost_too(world: World, slow_exchange: Exchange) -> None:
    message = begin(slow_exchange, tool="emergency")
    heard = heard_chains(message)
    slow_exchange.control(forget=str(message.job_ref))
    slow_exchange.control(new_epoch=True)
    until(lambda: len(jobs_of(message)) == 2, "a second job")
    finish(message, patience=120)
    again = dialed_chains(slow_exchange, jobs_of(message)[1])
    assert again
    assert not again & heard
    every_row_has_its_end(message)


def test_what_was_dialed_is_not_handed_over_again_under_its_reference(
    world: World, slow_exchange: Exchange
) -> None:
    """The dialer forgot a job of which calls were placed, and says nothing of a restore."""
    message = begin(slow_exchange)
    heard = heard_chains(message)
    slow_exchange.control(forget=str(message.job_ref))
    assert "has lost this message" in collect.refresh(message.pk)
    until(lambda: epochs.awaits_word(message.pk) is not None, "the question")
    assert epochs.call_again(message.pk)
    finish(message, patience=120)
    assert not dialed_chains(slow_exchange, jobs_of(message)[1]) & heard
    every_row_has_its_end(message)


def test_a_restore_between_two_batches_closes_nobody(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """JOB_CLOSED of a restored dialer does not mean that the window is over."""
    VoiceSettings.objects.update(max_chains_per_batch=2)
    message = launched()
    switchboard.control(trouble="unavailable", operations=["AddChains"], times=None)
    dispatch.push(message.pk)
    switchboard.control(trouble=None)
    switchboard.control(new_epoch=True)
    DialerJob.objects.update(retry_at=None)
    DialerBatch.objects.filter(state="sending").update(lease_until=timezone.now())
    until(lambda: epochs.awaits_word(message.pk) is not None, "the question")
    assert not Delivery.objects.filter(message=message, reason="never_accepted").exists()
    assert epochs.call_again(message.pk)
    finish(message)
    assert message.status == Message.Status.SENT
    new = DialerJob.objects.get(message=message, current=True)
    chains = set(Delivery.objects.filter(message=message, chain__isnull=False).values_list("chain"))
    assert new.total_chains == len(chains)
    every_row_has_its_end(message)


def test_a_job_taken_by_the_restored_dialer_goes_on(
    account_open: VoiceSettings, world: World, switchboard: Exchange
) -> None:
    """The dialer was restored before the hand-over, and we had not read its log since."""
    switchboard.control(new_epoch=True)
    message = confirmed()
    hand_over(message)
    finish(message)
    assert message.status == Message.Status.SENT
    (job,) = jobs_of(message)
    assert job.state == DialerJob.State.FINISHED
    switchboard.judge(message)
