"""Users of the log with the ready roles, and a district to look at.

Models are imported inside the fixtures: pytest reads this file before Django is set up.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def district(db: Any) -> Any:
    from tests.sentlog.rows import make_district

    return make_district()


@pytest.fixture
def make_user(db: Any) -> Callable[..., Any]:
    """A user with a ready role, for the district or for one school; nobody here signs in by the
    form, and hashing a password takes 0.1 s."""
    from messenger.models import Role, RoleAssignment, User
    from messenger.rights import READY_ROLES

    def make(name: str, role: str = "", school: Any = None, **values: Any) -> User:
        user = User.objects.create_user(username=name, **values)
        if role:
            held, _created = Role.objects.get_or_create(
                name=role, defaults={"rights": sorted(READY_ROLES[role])}
            )
            RoleAssignment.objects.create(user=user, role=held, school=school)
        return user

    return make


@pytest.fixture
def administrator(make_user: Callable[..., Any]) -> Any:
    return make_user("admin", "District administrator", first_name="System", last_name="Admin")


@pytest.fixture
def visitor(administrator: Any) -> Any:
    """A browser in which the administrator is signed in."""
    from tests.sentlog.looking import signed_in

    return signed_in(administrator)


@pytest.fixture
def school(district: Any) -> Any:
    from tests.sentlog.rows import make_school

    return make_school("Harrison High")


@pytest.fixture
def report(tmp_path: Path) -> Any:
    """See `printed.reporter`."""
    from tests.sentlog.printed import reporter

    return reporter(tmp_path)
