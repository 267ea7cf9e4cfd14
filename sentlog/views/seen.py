"""Which message a page is about: one that this user may see, or nothing at all.

Missing and forbidden look alike (404), so that an address tells nobody whether a message exists.
"""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.http import Http404, HttpRequest

from messenger import rights
from messenger.models import District, Message, User
from messenger.rights import Scope
from sentlog.counting import Figures
from sentlog.summary import summary_of


@dataclass(frozen=True)
class Seen:
    """A message as this user may see it: with the rows of their schools alone (ruling 2)."""

    message: Message
    user: User
    scope: Scope
    district: District

    @property
    def school_ids(self) -> tuple[int, ...] | None:
        return None if self.scope.district else tuple(sorted(self.scope.school_ids))

    def figures(self) -> Figures:
        return summary_of(self.message, self.scope)


def may_see_log(user: User | AnonymousUser) -> bool:
    """Whether the log opens for the user at all (B1-03)."""
    return rights.may(user, rights.LOG_VIEW_OWN) or rights.may(user, rights.LOG_VIEW_ALL)


def seen_message(request: HttpRequest, uuid: UUID) -> Seen:
    """The message of the address. Raises Http404 when it is not this user's to see."""
    user = request.user
    if not isinstance(user, User):
        raise Http404
    message = (
        rights.messages_for(user)
        .filter(log=Message.Log.CLASSIC, uuid=uuid)
        .prefetch_related("schools", "modes")
        .first()
    )
    if message is None:
        raise Http404
    scope = rights.rows_scope(user, message)
    if not scope:
        raise Http404
    return Seen(message, user, scope, District.current())
