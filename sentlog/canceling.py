"""Canceling from the log: what may be canceled by whom, why the others are refused, and the cancel.

One message and several go the same way. The verb is `messenger.lifecycle`'s; what a page looks like
is decided in `sentlog.views`.
"""

from django.utils.translation import gettext as _

from messenger import lifecycle, rights
from messenger.models import Message, User


def can_still_be(message: Message) -> bool:
    """Whether the message has something left to stop (B3-13)."""
    return message.status in Message.UNFINISHED and message.cancel_requested_at is None


def is_offered(user: User, message: Message) -> bool:
    """Whether this user may cancel the message now. Lists prefetch its schools."""
    return can_still_be(message) and rights.may_cancel(user, message)


def refusal(user: User, message: Message) -> str:
    """Why this user cannot cancel the message now; empty when they can."""
    if not rights.may_cancel(user, message):
        if message.sender_id == user.pk:
            return _("You may not cancel messages.")
        return _("It is somebody else's, or goes to more schools than yours.")
    if message.cancel_requested_at is not None:
        return _("Its cancel was requested already.")
    if not can_still_be(message):
        return _("It is over: its status is %(status)s.") % {"status": message.get_status_display()}
    return ""


def cancel(user: User, message: Message) -> str:
    """Cancels the message: holds when this returns, reaches the dialer afterwards (B3-16). Returns
    why it was refused; empty when it was not."""
    if not rights.may_cancel(user, message):
        return refusal(user, message)
    try:
        lifecycle.request_cancel(message.pk, user)
    except lifecycle.NotPossible as reason:
        return reason.words
    return ""
