"""Who may no longer be reached: the one way in for STOP and for do-not-contact.

Recording it is one transaction with everything that follows from it: what is frozen is looked at
again before it leaves, and the channels take back what has left (ruling 22). A wish about one
contact point (a preference) is not recorded here, and neither is a START.
"""

from functools import partial

from django.db import connection, transaction

from messenger import clock
from messenger.channels.registry import channels_for
from messenger.models import DoNotContact, Mode, TextConsent, User


@transaction.atomic
def stop_texts(number: str, source: str) -> TextConsent:
    """The owner of a number (E.164) wants no texts: STOP wins over every mark (A5-07). `source` is
    where it was said, for people."""
    consent, _created = TextConsent.objects.update_or_create(
        number=number,
        defaults={
            "state": TextConsent.State.OPTED_OUT,
            "changed_at": clock.now(),
            "source": source[:30],
        },
    )
    _take_back(Mode.TEXT)
    return consent


@transaction.atomic
def do_not_contact(
    value: str, mode: Mode, reason: str = "", recorded_by: User | None = None
) -> DoNotContact:
    """A number or address must not be reached by a mode any more, whatever the message; recorded
    once."""
    entry, _created = DoNotContact.objects.get_or_create(
        value=value, mode=mode, defaults={"reason": reason[:200], "recorded_by": recorded_by}
    )
    _take_back(mode)
    return entry


def _take_back(mode: Mode) -> None:
    _mark_contacts()
    # Once more when it is visible: a slice that began before that has read the old ones.
    transaction.on_commit(_mark_contacts)
    for channel in channels_for([mode]):
        channel.take_back()
        transaction.on_commit(partial(channel.take_back))


def _mark_contacts() -> None:
    """Frozen calls and texts are checked again at hand-over (ruling 5)."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messenger_district SET contacts_changed_at = clock_timestamp()")
