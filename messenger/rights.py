"""Who may do what, where: tool rights × scope. Deny by default.

Every view and every query asks here. A scope is the whole district (`None`) or a set of schools; a
superuser has every right in the district. Words of the rights follow the sources; what a page looks
like for whom is never decided here.
"""

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.db.models import Q, QuerySet

from messenger.models import Message, User

LOG_VIEW_OWN = "log.view_own"
LOG_VIEW_ALL = "log.view_all"
LOG_REPORT = "log.report"
SEND_GENERAL = "message.send.general"
SEND_EMERGENCY = "message.send.emergency"
SEND_DISTRICT_WIDE = "message.send.district_wide"
CANCEL_OWN = "message.cancel_own"
CANCEL_ANY = "message.cancel_any"
CONTACTS_SEE_PRIVATE = "contacts.see_private"
# Census: people's pages; what is written there; marks of many people at once (A4-12).
PEOPLE_VIEW = "people.view"
PEOPLE_EDIT = "people.edit"
PREFERENCES_BATCH = "preferences.batch"
IMPORT_RUN = "import.run"
SETTINGS_VIEW = "settings.view"
SETTINGS_EDIT = "settings.edit"
CREDENTIALS_EDIT = "credentials.edit"
USERS_MANAGE = "users.manage"
# Hosting's own: the add-ons of a district's contract and its lines (A1-01, A1-19).
HOSTING_EDIT = "hosting.edit"

ALL_RIGHTS = frozenset(
    {
        LOG_VIEW_OWN,
        LOG_VIEW_ALL,
        LOG_REPORT,
        SEND_GENERAL,
        SEND_EMERGENCY,
        SEND_DISTRICT_WIDE,
        CANCEL_OWN,
        CANCEL_ANY,
        CONTACTS_SEE_PRIVATE,
        PEOPLE_VIEW,
        PEOPLE_EDIT,
        PREFERENCES_BATCH,
        IMPORT_RUN,
        SETTINGS_VIEW,
        SETTINGS_EDIT,
        CREDENTIALS_EDIT,
        USERS_MANAGE,
        HOSTING_EDIT,
    }
)

# Ready roles; `set_up_roles` writes them and never changes one that a district has edited.
READY_ROLES: dict[str, frozenset[str]] = {
    "District administrator": ALL_RIGHTS - {HOSTING_EDIT},
    "School secretary": frozenset(
        {
            *(LOG_VIEW_OWN, LOG_VIEW_ALL, LOG_REPORT, SEND_GENERAL, CANCEL_OWN, CANCEL_ANY),
            *(PEOPLE_VIEW, PEOPLE_EDIT),
        }
    ),
    "Read-only": frozenset({LOG_VIEW_OWN, LOG_VIEW_ALL, LOG_REPORT, PEOPLE_VIEW}),
    "Hosting": frozenset({SETTINGS_VIEW, CREDENTIALS_EDIT, HOSTING_EDIT}),
}


@dataclass(frozen=True)
class Scope:
    """Where a user holds a right: everywhere in the district, or in some schools (maybe none)."""

    district: bool
    school_ids: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        return self.district or bool(self.school_ids)


NOWHERE = Scope(district=False)


def scope_of(user: User | AnonymousUser, right: str) -> Scope:
    """Where the user holds the right; `NOWHERE` for strangers and inactive users."""
    if not isinstance(user, User) or not user.is_active:
        return NOWHERE
    if user.is_superuser:
        return Scope(district=True)
    held: dict[str, Scope] | None = getattr(user, "_scopes", None)
    if held is None:
        held = _read_scopes(user)
        user._scopes = held  # type: ignore[attr-defined]
    return held.get(right, NOWHERE)


def may(user: User | AnonymousUser, right: str, school_id: int | None = None) -> bool:
    """Whether the user holds the right at that school (or, without a school, anywhere at all)."""
    scope = scope_of(user, right)
    return bool(scope) if school_id is None else scope.district or school_id in scope.school_ids


def _read_scopes(user: User) -> dict[str, Scope]:
    held: dict[str, Scope] = {}
    for assignment in user.role_assignments.select_related("role"):
        for right in assignment.role.rights:
            before = held.get(right, NOWHERE)
            if assignment.school_id is None:
                held[right] = Scope(district=True)
            elif not before.district:
                held[right] = Scope(False, before.school_ids | {assignment.school_id})
    return held


def messages_for(user: User | AnonymousUser) -> QuerySet[Message]:
    """Every message that the user may see: own ones by `log.view_own`, those that touch their
    schools (or all, with district scope) by `log.view_all` (ruling 2, B1-03)."""
    own, others = scope_of(user, LOG_VIEW_OWN), scope_of(user, LOG_VIEW_ALL)
    if others.district:
        return Message.objects.all()
    seen = Q(pk__in=[])
    if own:
        seen |= Q(sender_id=user.pk)
    if others:
        through = Message.schools.through
        seen |= Q(
            pk__in=through.objects.filter(school_id__in=others.school_ids).values("message_id")
        )
    return Message.objects.filter(seen)


def may_cancel(user: User | AnonymousUser, message: Message) -> bool:
    """Whether the user may cancel this message: own by one right, anyone's by the other; someone
    with the second right for some schools only when the message touches no other school."""
    if message.sender_id == getattr(user, "pk", None) and scope_of(user, CANCEL_OWN):
        return True
    scope = scope_of(user, CANCEL_ANY)
    if scope.district:
        return True
    if not scope or message.district_wide:
        return False
    touched = {school.pk for school in message.schools.all()}  # prefetched by lists
    return bool(touched) and touched <= scope.school_ids


def rows_scope(user: User | AnonymousUser, message: Message) -> Scope:
    """Which delivery rows of a message the user may see and count (ruling 2): all of an own
    message, else those of the schools of `log.view_all`."""
    if message.sender_id == getattr(user, "pk", None) and scope_of(user, LOG_VIEW_OWN):
        return Scope(district=True)
    return scope_of(user, LOG_VIEW_ALL)
