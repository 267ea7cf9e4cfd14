"""The way on after a restored database: what becomes of the messages that wait, then resume.

`messenger.continuity` holds and releases; `messenger.lifecycle` cancels. Both are only called here.
"""

from django.db import transaction

from messenger import continuity, lifecycle
from messenger.models import User


@transaction.atomic
def resume(user: User, *, cancel: bool) -> int:
    """Cancels what waits (all of it, or the emergencies alone: what they said is over) and lets
    sending go on. Returns how many messages were canceled.

    What was handed over before keeps its reference, so that the dialer repeats nothing.
    """
    canceled = 0
    for message_id, emergency in continuity.held_back().values_list("pk", "emergency"):
        if cancel or emergency:
            lifecycle.request_cancel(message_id, user)
            canceled += 1
    continuity.resume(user)
    return canceled
