"""Holding back who asks too much: the rate is kept, and what stops calls always gets through."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dialer_adapters.switchboard.faults import ServerBusyFault
from dialer_adapters.switchboard.throttle import Throttle
from tests.switchboard.desk import Desk, chain, number


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def is_admitted(throttle: Throttle, account_id: int = 1, operation: str = "AddChains") -> bool:
    try:
        throttle.admit(account_id, operation)
    except ServerBusyFault:
        return False
    return True


def test_without_a_rate_everything_gets_through() -> None:
    assert all(is_admitted(Throttle()) for _ in range(1000))


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0])
def test_over_time_the_rate_is_kept(rate: float) -> None:
    clock = Clock()
    throttle = Throttle(rate, clock)
    admitted = 0
    for _ in range(20_000):
        clock.now += 0.01
        admitted += is_admitted(throttle)
    assert admitted == pytest.approx(rate * 200, rel=0.05)


def test_each_account_has_its_own_share_and_cancels_are_free() -> None:
    throttle = Throttle(1.0, Clock())
    assert [is_admitted(throttle) for _ in range(3)] == [True, False, False]
    assert is_admitted(throttle, account_id=2)
    assert all(is_admitted(throttle, operation="CancelJob") for _ in range(9))


@pytest.mark.parametrize(("rate", "wait"), [(0.1, 10), (2.0, 1)])
def test_it_says_when_to_come_back(rate: float, wait: int) -> None:
    throttle = Throttle(rate, Clock())
    while is_admitted(throttle):
        continue
    with pytest.raises(ServerBusyFault) as busy:
        throttle.admit(1, "GetCallLog")
    assert busy.value.code == "THROTTLED"
    assert busy.value.more["RetryAfterSeconds"] == wait


def test_the_rate_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    throttle = Throttle(1.0, Clock())
    is_admitted(throttle)
    assert not is_admitted(throttle)
    throttle.set_rate(0)
    assert is_admitted(throttle)
    refused: Callable[[], None] = lambda: throttle.set_rate(-1)  # noqa: E731
    with pytest.raises(ValueError, match="not negative"):
        refused()


@pytest.mark.django_db(databases=["default", "switchboard"])
def test_a_request_held_back_has_changed_nothing(desk: Desk) -> None:
    desk.endpoint.throttle = Throttle(0.5, Clock())
    assert desk.submit(chain("c1", number(110)))["Replayed"] == "false"
    held_back = desk.submit(chain("c1", number(110)), job_ref="job-2")
    assert held_back.fault == ("ServerBusyFault", "THROTTLED")
    assert held_back.faultcode == "soap:Server"
    assert held_back["RetryAfterSeconds"] == "2"
    assert desk.cancel("job-1")["State"] == "CANCELLING"
    desk.endpoint.throttle.set_rate(0)
    assert desk.status("job-2")["State"] == "UNKNOWN"
