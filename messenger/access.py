"""Who gives whom which right: roles are made, changed, given and taken here, and nowhere else.

Each verb is one transaction, refuses what would lock a district out of its own settings, and leaves
an `AccessChange` behind. What a right opens is `messenger.rights`' business, never decided here.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from messenger import clock, rights
from messenger.models import AccessChange, Role, RoleAssignment, School, User

# Without a holder for the whole district nobody could ever give these back.
KEPT = (rights.SETTINGS_EDIT, rights.USERS_MANAGE)
_LOCK = 7_204_100  # one change of access at a time: two people could take it from each other

Kind = AccessChange.Kind

# What each right lets somebody do, in the groups of the page.
GROUPS = (
    (
        gettext_lazy("Sent Message Log"),
        (
            (rights.LOG_VIEW_OWN, gettext_lazy("See own messages")),
            (rights.LOG_VIEW_ALL, gettext_lazy("See all messages")),
            (rights.LOG_REPORT, gettext_lazy("Print Sent Message Reports")),
            (rights.CANCEL_OWN, gettext_lazy("Cancel own messages")),
            (rights.CANCEL_ANY, gettext_lazy("Cancel anybody's messages")),
            (rights.CONTACTS_SEE_PRIVATE, gettext_lazy("See private numbers and addresses")),
        ),
    ),
    (
        gettext_lazy("Sending"),
        (
            (rights.SEND_GENERAL, gettext_lazy("Send general notifications")),
            (rights.SEND_EMERGENCY, gettext_lazy("Send emergency messages")),
            (rights.SEND_DISTRICT_WIDE, gettext_lazy("Send to the whole district")),
        ),
    ),
    (
        gettext_lazy("People"),
        (
            (rights.PEOPLE_VIEW, gettext_lazy("See people and how they are reached")),
            (rights.PEOPLE_EDIT, gettext_lazy("Change how people are reached")),
            (rights.PREFERENCES_BATCH, gettext_lazy("Change contact preferences of many at once")),
        ),
    ),
    (
        gettext_lazy("Administration"),
        (
            (rights.IMPORT_RUN, gettext_lazy("Import rosters")),
            (rights.SETTINGS_VIEW, gettext_lazy("See settings and system status")),
            (rights.SETTINGS_EDIT, gettext_lazy("Change settings")),
            (rights.CREDENTIALS_EDIT, gettext_lazy("Change the account of the phone service")),
            (rights.USERS_MANAGE, gettext_lazy("Give and take roles and rights")),
            (rights.HOSTING_EDIT, gettext_lazy("Hosting: turn add-ons on and off")),
        ),
    ),
)
LABELS = {right: label for _group, members in GROUPS for right, label in members}


class Refused(Exception):
    """The change is not made; `words` says why, for the page."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


def may_manage(user: object) -> bool:
    """Whether the user may change roles and who holds them: with district scope alone, because a
    role is the district's."""
    return isinstance(user, User) and rights.scope_of(user, rights.USERS_MANAGE).district


def rights_of(user: User) -> frozenset[str]:
    """The rights that the user may hand out: every right of the district (whoever gives roles can
    give themselves one, and a right that a new version brings is held by nobody yet); hosting's
    own only when they hold it."""
    if rights.scope_of(user, rights.HOSTING_EDIT).district:
        return rights.ALL_RIGHTS
    return rights.ALL_RIGHTS - {rights.HOSTING_EDIT}


def may_hand_out(user: User, role: Role) -> bool:
    """Whether the user may give, take and change the role: hosting's role is not the district's."""
    return user.is_superuser or set(role.rights) <= rights_of(user)


def holders_of(right: str) -> int:
    """How many active users hold the right for the whole district by a role. Superusers, who are
    not the district's own people, do not count."""
    return (
        User.objects.filter(
            is_active=True,
            role_assignments__school=None,
            role_assignments__role__rights__contains=[right],
        )
        .distinct()
        .count()
    )


# --------------------------------------------------------------------------------------- verbs


def save_role(by: User, role: Role | None, name: str, chosen: Iterable[str]) -> Role:
    """Makes a role (None) or changes one. Raises Refused."""
    after = set(chosen)
    with _change(by):
        before = set(role.rights) if role else set()
        if not by.is_superuser and not (before | after) <= rights_of(by):
            raise Refused(_("This right is not yours to give or to take."))
        others = Role.objects.exclude(pk=role.pk) if role else Role.objects.all()
        if others.filter(name__iexact=name).exists():
            raise Refused(_("There is a role with this name already."))
        kind = Kind.ROLE_CHANGED if role else Kind.ROLE_MADE
        role = role or Role()
        renamed = bool(role.pk) and role.name != name
        old_name = role.name
        if role.pk and before == after and not renamed:
            return role
        role.name, role.rights = name, sorted(after)
        role.save()
        _write(
            by,
            kind,
            f"{old_name} → {name}"[:80] if renamed else name,
            added=sorted(after - before),
            removed=sorted(before - after),
        )
    return role


def remove_role(by: User, role: Role) -> None:
    """Removes a role that nobody holds. Raises Refused."""
    with _change(by):
        if not may_hand_out(by, role):
            raise Refused(_("This role holds rights that are not yours to give or to take."))
        if role.assignments.exists():
            raise Refused(_("Somebody still holds this role. Take it from them first."))
        _write(by, Kind.ROLE_REMOVED, role.name, removed=sorted(role.rights))
        role.delete()


def give(by: User, user: User, role: Role, schools: Iterable[School]) -> int:
    """Gives a role for these schools, or for the whole district without any; what is held already
    stays. Returns how many were new. Raises Refused."""
    places: list[School | None] = [*schools] or [None]
    given = 0
    with _change(by):
        if not may_hand_out(by, role):
            raise Refused(_("This role holds rights that are not yours to give or to take."))
        for school in places:
            _row, new = RoleAssignment.objects.get_or_create(user=user, role=role, school=school)
            if new:
                given += 1
                _write(by, Kind.GIVEN, role.name, user, school)
    return given


def take(by: User, assignment: RoleAssignment) -> None:
    """Takes a role from a user, in the place where they hold it. Raises Refused."""
    with _change(by):
        if not may_hand_out(by, assignment.role):
            raise Refused(_("This role holds rights that are not yours to give or to take."))
        _write(by, Kind.TAKEN, assignment.role.name, assignment.user, assignment.school)
        assignment.delete()


@contextmanager
def _change(by: User) -> Iterator[None]:
    """One change at a time, by somebody who may; undone when it would leave the district without
    anybody who can change its settings or give rights."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if not may_manage(User.objects.get(pk=by.pk)):  # asked anew: it may have been taken
            raise Refused(_("You may not change roles and rights any more."))
        before = {right: holders_of(right) for right in KEPT}
        yield
        for right in KEPT:
            if before[right] and not holders_of(right):
                raise Refused(
                    _(
                        "Nothing was changed: after it nobody could do this in the whole district "
                        "any more: %(right)s. Give the right to somebody else first."
                    )
                    % {"right": LABELS[right]}
                )


def _write(
    by: User,
    kind: AccessChange.Kind,
    role_name: str,
    user: User | None = None,
    school: School | None = None,
    added: Iterable[str] = (),
    removed: Iterable[str] = (),
) -> None:
    AccessChange.objects.create(
        kind=kind,
        at=clock.now(),
        by=by,
        by_name=by.name_in_log(),
        role_name=role_name,
        user_name=user.name_in_log() if user else "",
        school_name=school.name[:200] if school else "",
        rights_added=list(added),
        rights_removed=list(removed),
    )
