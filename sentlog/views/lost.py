"""A message that the dialer has lost: what is known of it, and the word of who may send it.

Whom a second job would call is decided in `voice.epochs`; here it is asked and answered.
"""

from dataclasses import dataclass
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from messenger.models import Message, User
from messenger.reach import may_send_again
from sentlog.views.seen import seen_message
from voice import epochs


@dataclass(frozen=True)
class Lost:
    """What the page says: `left` recipients wait for a person's word (None: nothing is asked),
    and whether this user may give it."""

    left: int | None
    may_decide: bool
    handed_over_again: bool
    possibly_doubled: bool


def lost_of(message: Message, user: User) -> Lost | None:
    """None for a message whose dialer never lost it."""
    history = epochs.history_of(message.pk)
    if history is None:
        return None
    left = epochs.awaits_word(message.pk)
    return Lost(
        left,
        left is not None and may_send_again(user, message),
        history.handed_over_again,
        history.possibly_doubled,
    )


@require_POST
def log_lost(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """ "call": whoever was not called is called now; "leave": nobody more is."""
    seen = seen_message(request, uuid)
    if not may_send_again(seen.user, seen.message):
        raise Http404
    word = request.POST.get("word")
    if word == "call" and epochs.call_again(seen.message.pk):
        messages.success(request, _("The calls that were not placed are handed over again."))
    elif word == "leave" and epochs.leave(seen.message.pk):
        messages.success(request, _("Nobody more is called. The message ends as it stands."))
    else:
        messages.info(request, _("There is nothing to decide about this message any more."))
    return redirect("log_detail", uuid)
