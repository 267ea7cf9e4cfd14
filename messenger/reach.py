"""Which schools a sender may write to with which tool. Deny by default.

The form offers what `schools_for` gives, and `problems_of_reach` is asked again before a message is
shown for checking and before it is confirmed: rights may have changed since the draft was written.
"""

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from messenger import rights
from messenger.composition import EMERGENCY_TOOL, Composition
from messenger.models import Message, School, User

RIGHT_OF_TOOL = {"general": rights.SEND_GENERAL, EMERGENCY_TOOL: rights.SEND_EMERGENCY}


def schools_for(user: User, tool: str) -> QuerySet[School]:
    """The active schools that the user may write to with the tool, by name."""
    schools = School.objects.filter(active=True).order_by("name")
    scope = rights.scope_of(user, RIGHT_OF_TOOL[tool])
    return schools if scope.district else schools.filter(pk__in=scope.school_ids)


def may_write_to_all(user: User, tool: str) -> bool:
    """Whether the user may write to the whole district with the tool."""
    scopes = (RIGHT_OF_TOOL[tool], rights.SEND_DISTRICT_WIDE)
    return all(rights.scope_of(user, right).district for right in scopes)


def problems_of_reach(user: User, composition: Composition) -> list[str]:
    """What the user's rights forbid about the schools of a composition, in words for the sender.

    All schools of a district that has several are the whole district, however they were ticked.
    """
    return _problems(user, composition.tool, set(composition.criteria.school_ids))


def may_send_again(user: User, message: Message) -> bool:
    """Whether the user could send this very message now: what asks for a sender's word asks for
    one who has the right."""
    if message.tool not in RIGHT_OF_TOOL or not rights.may(user, RIGHT_OF_TOOL[message.tool]):
        return False
    return not _problems(user, message.tool, set(message.criteria.get("school_ids", [])))


def _problems(user: User, tool: str, picked: set[int]) -> list[str]:
    allowed = set(schools_for(user, tool).values_list("pk", flat=True))
    if picked - allowed:
        names = School.objects.filter(pk__in=picked - allowed).order_by("name")
        listed = ", ".join(names.values_list("name", flat=True)) or _("a school that is gone")
        return [_("You may not write to: %(schools)s.") % {"schools": listed}]
    everyone = set(School.objects.filter(active=True).values_list("pk", flat=True))
    if len(everyone) > 1 and picked >= everyone and not may_write_to_all(user, tool):
        return [
            _(
                "You may not write to the whole district. Choose fewer schools, or ask someone "
                "who may."
            )
        ]
    return []
