"""F3, the arithmetic: what leaves in any minute is the limit, and an emergency is always first."""

from datetime import datetime, timedelta
from threading import Thread

import pytest
from django.db import connection

from messenger import clock
from messenger.models import Message
from voice import quota
from voice.models import RequestQuota

START = datetime.fromisoformat("2026-11-23T15:00:00+00:00")


def run(rate: float, seconds: int, lanes: int, limit: RequestQuota) -> list[float]:
    """When requests leave, if so many lanes ask as soon as they may; in seconds from the start."""
    left: list[float] = []
    due = [0.0] * lanes
    while (now := min(due)) < seconds:
        lane = due.index(now)
        wait = quota.turn(limit, START + timedelta(seconds=now), rate, urgent=False)
        if wait == 0.0:
            left.append(now)
            wait = 0.02  # the dialer answers
        due[lane] = now + wait + 0.001
    return left


@pytest.mark.parametrize("rate", [0.5, 3.0, 10.0, 80.0])
@pytest.mark.parametrize("lanes", [2, 8])
def test_f3_the_limit_is_kept_within_five_percent(rate: float, lanes: int) -> None:
    """F3: 20 minutes; in each minute after the first the limit ±5 %, and never more in a second
    than the limit and one second's burst."""
    left = run(rate, 1_200, lanes, RequestQuota())
    for minute in range(1, 20):
        count = sum(60 * minute <= moment < 60 * (minute + 1) for moment in left)
        assert 0.95 * rate * 60 <= count <= 1.05 * rate * 60, (minute, count)
    burst = max(1.0, rate * quota.BURST_SECONDS)
    for moment in left[:: max(1, len(left) // 200)]:
        second = sum(moment <= other < moment + 1.0 for other in left)
        assert second <= rate + burst + 1


def test_f3_an_emergency_goes_first_and_the_others_go_on_after_it() -> None:
    limit, moment = RequestQuota(held_until=START + timedelta(seconds=5)), START
    for rate in (0.0, 4.0):
        limit.held_until, limit.urgent_until = moment + timedelta(seconds=5), None
        assert quota.turn(limit, moment, rate, urgent=False) == 5.0
        assert quota.turn(limit, moment, rate, urgent=True) == 5.0, "nobody is let through"
        moment += timedelta(seconds=5)
        assert quota.turn(limit, moment, rate, urgent=False) == 1.0, "an emergency is waiting"
        for _request in range(20):
            while wait := quota.turn(limit, moment, rate, urgent=True):
                moment += timedelta(seconds=wait)
            assert quota.turn(limit, moment, rate, urgent=False) > 0
        moment += quota.URGENT_FOR
        assert quota.turn(limit, moment, rate, urgent=False) == 0.0
        moment += timedelta(minutes=5)


@pytest.mark.django_db(transaction=True)
def test_f3_all_workers_share_one_limit(settings: object) -> None:
    """Four lanes on four connections: together no more than the limit, by the database's clock."""
    settings.DIALER_REQUESTS_PER_SECOND = 40.0  # type: ignore[attr-defined]
    message = Message(pk=0, emergency=True)
    left: list[datetime] = []

    def lane() -> None:
        try:
            for _request in range(25):
                while wait := quota._take(message.emergency):
                    quota.Event().wait(wait)
                left.append(clock.now())
        finally:
            connection.close()

    threads = [Thread(target=lane) for _lane in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(left) == 100
    seconds = (max(left) - min(left)).total_seconds()
    assert len(left) <= 1.05 * 40.0 * seconds + 40.0 + 1


@pytest.mark.django_db
def test_f3_nothing_is_written_while_nobody_is_turned_away() -> None:
    sent = quota.paced(lambda: "sent", Message(pk=0))
    assert sent == "sent"
    assert not RequestQuota.objects.exists()
