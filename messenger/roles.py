"""The ready roles of a fresh district. A role that a district has edited is never changed here."""

from messenger.models import Role
from messenger.rights import READY_ROLES


def set_up_roles() -> dict[str, Role]:
    """Makes the ready roles that are missing; returns all of them by name."""
    roles = {}
    for name, held in READY_ROLES.items():
        roles[name], _created = Role.objects.get_or_create(
            name=name, defaults={"rights": sorted(held)}
        )
    return roles
