"""The switchboards of a run: one that is quick, one that is slow enough to be interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    # Django is set up after this file is read when pytest is given this directory alone.
    from tests.end_to_end.town import Exchange


@pytest.fixture(scope="session")
def quick_exchange(django_db_setup: None, django_db_blocker: Any) -> Iterator[Exchange]:
    """Calls last milliseconds; 50 lines."""
    from tests.end_to_end.town import Exchange

    with django_db_blocker.unblock(), Exchange("quick", speed=1000, lines=50) as exchange:
        yield exchange


@pytest.fixture
def switchboard(quick_exchange: Exchange) -> Exchange:
    """The quick one, without trouble, and running again whatever the test before did to it."""
    process = quick_exchange.process
    if process is None or process.poll() is not None:
        quick_exchange.start()
    quick_exchange.control(trouble=None)
    quick_exchange.set_password(quick_exchange.password)
    return quick_exchange


@pytest.fixture
def world(db: Any) -> Any:
    """Every awkward family, see `tests.world`."""
    from tests.world import build_world

    return build_world()


@pytest.fixture
def slow_exchange(django_db_setup: None, django_db_blocker: Any) -> Iterator[Exchange]:
    """Two lines, calls of seconds: there is time to cancel."""
    from tests.end_to_end.town import Exchange

    with Exchange("slow", speed=50, lines=2, emergency_lines=0) as exchange:
        yield exchange


@pytest.fixture(autouse=True)
def _short_waits(settings: Any) -> None:
    settings.DISPATCH_FIRST_WAIT = 0.05


@pytest.fixture
def account_open(world: Any, switchboard: Exchange) -> Any:
    """The voice settings of a district that is verified at the quick switchboard."""
    from tests.end_to_end.town import open_account

    return open_account(switchboard)
