"""A town, its telephone company, and workers that may be killed; for every proof of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    # Django is set up after this file is read when pytest is given this directory alone.
    from tests.crash.workers import Workers
    from tests.end_to_end.town import Exchange


@pytest.fixture(scope="session")
def _exchange(django_db_setup: None, django_db_blocker: Any) -> Iterator[Exchange]:
    from tests.end_to_end.town import Exchange

    with django_db_blocker.unblock(), Exchange("crash", speed=1000, lines=50) as exchange:
        yield exchange


@pytest.fixture
def world(db: Any) -> Any:
    """Every awkward family, see `tests.world`."""
    from tests.world import build_world

    return build_world()


@pytest.fixture
def switchboard(_exchange: Exchange, world: Any, settings: Any) -> Exchange:
    """The quick one, running and without trouble; the world's account at it is verified, and
    batches are small: many places to die."""
    from tests.end_to_end.town import open_account
    from voice.models import VoiceSettings

    settings.DISPATCH_FIRST_WAIT = 0.05
    if _exchange.process is None or _exchange.process.poll() is not None:
        _exchange.start()
    _exchange.control(trouble=None)
    open_account(_exchange, redials=1)
    VoiceSettings.objects.update(max_chains_per_batch=2)  # less than the dialer allows
    return _exchange


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Forks of the test, killed after it."""
    from tests.crash.workers import Workers

    started = Workers()
    yield started
    started.kill_all()
