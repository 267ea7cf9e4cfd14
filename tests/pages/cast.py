"""Who walks through the pages: users with the ready roles, and how they sign in."""

from django.test import Client

from messenger.models import RoleAssignment, School, User
from messenger.roles import set_up_roles

PASSWORD = "correct horse battery"

ADMINISTRATOR, SECRETARY, READ_ONLY = "District administrator", "School secretary", "Read-only"


def make_user(name: str, role: str = "", school: School | None = None) -> User:
    """A user with a ready role, for the district or for one school; without a role, no right.

    Without a password: hashing one takes 0.1 s, and few tests sign in by the form.
    """
    user = User.objects.create_user(name, first_name=name.title())
    if role:
        set_up_roles()
        give(user, role, school)
    return user


def give(user: User, role: str, school: School | None = None) -> None:
    """One role more."""
    RoleAssignment.objects.create(user=user, role=set_up_roles()[role], school=school)


def client_of(user: User | None, *, checks_csrf: bool = False) -> Client:
    """A browser in which the user is signed in (nobody: a stranger's)."""
    client = Client(enforce_csrf_checks=checks_csrf)
    if user is not None:
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
