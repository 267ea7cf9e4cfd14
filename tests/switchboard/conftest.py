"""The two switchboards of these tests: one in the test's own process, and the real one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.switchboard.desk import Desk
    from tests.switchboard_process import SwitchboardProcess

# Imported when they are asked for: a conftest is read before Django is set up.


@pytest.fixture
def desk(db: None, settings: Any) -> Desk:
    """Requests go straight to the application, rounds are played by hand, and time is moved."""
    from tests.switchboard.desk import Desk

    # A hash that is slow on purpose would take longer than the test.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return Desk()


@pytest.fixture
def switchboard(transactional_db: None) -> Iterator[SwitchboardProcess]:
    """The real process; an hour of the town takes six seconds."""
    from tests.switchboard_process import SwitchboardProcess

    with SwitchboardProcess(speed=600) as process:
        yield process
