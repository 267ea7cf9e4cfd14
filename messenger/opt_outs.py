"""Who may no longer be reached: the one way in for STOP and for do-not-contact.

Recording it is one transaction with everything that follows from it: what is frozen is looked at
again before it leaves, and the channels take back what has left (ruling 22). A wish about one
contact point (a preference) is not recorded here, and neither is a START.
"""

from functools import partial

from django.db import connection, transaction

from messenger import clock
from messenger.channels.registry import channels_for
from messenger.models import ContactChange, DoNotContact, Door, Mode, TextConsent, User


@transaction.atomic
def stop_texts(number: str, source: str) -> TextConsent:
    """The owner of a number (E.164) wants no texts: STOP wins over every mark (A5-07). `source` is
    where it was said, for people."""
    before = TextConsent.objects.filter(number=number).values_list("state", flat=True).first()
    consent, _created = TextConsent.objects.update_or_create(
        number=number,
        defaults={
            "state": TextConsent.State.OPTED_OUT,
            "changed_at": clock.now(),
            "source": source[:30],
        },
    )
    if before != consent.state:
        _note(number, Mode.TEXT, before or "", consent.state, Door.STOP, source)
    _take_back(Mode.TEXT)
    return consent


@transaction.atomic
def do_not_contact(
    value: str, mode: Mode, reason: str = "", recorded_by: User | None = None
) -> DoNotContact:
    """A number or address must not be reached by a mode any more, whatever the message; recorded
    once."""
    entry, is_new = DoNotContact.objects.get_or_create(
        value=value, mode=mode, defaults={"reason": reason[:200], "recorded_by": recorded_by}
    )
    if is_new:
        door = Door.ADMIN if recorded_by else Door.STOP
        _note(value, mode, "", "do_not_contact", door, reason, recorded_by)
    _take_back(mode)
    return entry


def _note(
    value: str, mode: Mode, before: str, after: str, door: Door, why: str, user: User | None = None
) -> None:
    """A line of the history for every contact point that has the number or address."""
    who = user.name_in_log() if user else why
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO messenger_contactchange (door, subject, person_id, household_id,
                contact_point_id, device, mode, private, before, after, user_id, user_name)
            SELECT %s, %s, c.person_id, c.household_id, c.id, c.device, %s, c.private, %s, %s,
                %s, %s
            FROM messenger_contactpoint c WHERE c.active AND c.value = %s ORDER BY c.id""",
            [
                *(door.value, ContactChange.Subject.CONSENT.value, mode.value, before, after),
                *(user.pk if user else None, who, value),
            ],
        )


def mark_contacts_changed() -> None:
    """What is frozen and has not left is looked at again before it does (ruling 5). Inside the
    transaction of whoever changes a consent or a relationship."""
    _mark_contacts()
    # Once more when it is visible: a slice that began before that has read the old ones.
    transaction.on_commit(_mark_contacts)


def _take_back(mode: Mode) -> None:
    mark_contacts_changed()
    for channel in channels_for([mode]):
        channel.take_back()
        transaction.on_commit(partial(channel.take_back))


def _mark_contacts() -> None:
    """Frozen calls and texts are checked again at hand-over (ruling 5)."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE messenger_district SET contacts_changed_at = clock_timestamp()")
