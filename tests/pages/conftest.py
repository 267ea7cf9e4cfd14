"""The world, an administrator and a secretary.

Models are imported inside the fixtures: pytest reads this file before Django is set up.
"""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def world_of_module(django_db_setup: Any, django_db_blocker: Any) -> Iterator[Any]:
    """The small world with a verified account, written once a module (it takes 0.4 s) and rolled
    back after it; each test works in a savepoint of its own inside."""
    from django.db import transaction

    from messenger.roles import set_up_roles
    from tests.launch.sending import verified_account
    from tests.world import build_world

    with django_db_blocker.unblock(), transaction.atomic():
        verified_account()
        set_up_roles()
        yield build_world()
        transaction.set_rollback(True)


@pytest.fixture
def world(world_of_module: Any, db: Any) -> Any:
    return world_of_module


@pytest.fixture
def admin(world: Any) -> Any:
    from tests.pages.cast import ADMINISTRATOR, make_user

    return make_user("admin", ADMINISTRATOR)


@pytest.fixture
def secretary(world: Any) -> Any:
    """Of the elementary school alone."""
    from tests.pages.cast import SECRETARY, make_user

    return make_user("secretary", SECRETARY, world.elementary)
