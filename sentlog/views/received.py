"""A person's messages: what this family was sent, on which number, and what happened, for whoever
answers when a parent phones the office."""

from dataclasses import dataclass
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from messenger import people, rights
from messenger.models import Delivery, District, Message, Mode, User
from messenger.views.gate import needs
from sentlog.received import Received, find_received
from sentlog.words import code_text, national, screen_time, status_text
from voice.outcomes import describe

PAGE = 25


@dataclass(frozen=True)
class Line:
    """One device: whose, about whom, what became of it, and what that means."""

    number: int
    recipient: str
    student: str
    device: str
    status: str
    note: str
    time: str
    tries: int
    confirmed: bool


@dataclass(frozen=True)
class Shown:
    """A message of the page."""

    message: Message
    status: str
    created: str
    lines: list[Line]


@require_safe
@needs(rights.LOG_VIEW_OWN, rights.LOG_VIEW_ALL)
def person_messages(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The person's messages, newest first; of a student, those about them to anybody."""
    person = get_object_or_404(people.people_for(request.user), uuid=uuid)
    user = request.user
    assert isinstance(user, User)
    seen = rights.messages_for(user)
    scope = rights.scope_of(user, rights.LOG_VIEW_ALL)
    after = None
    if given := _uuid(request.GET.get("after")):
        after = seen.filter(uuid=given).first()
    found = find_received(
        person,
        seen,
        None if scope.district else scope.school_ids,
        user.pk if rights.may(user, rights.LOG_VIEW_OWN) else None,
        PAGE,
        after,
    )
    private = rights.scope_of(user, rights.CONTACTS_SEE_PRIVATE)
    district = District.current()
    shown = [
        _shown(each, district, private.district or people.may_see_private(user, person))
        for each in found.received
    ]
    return render(
        request,
        "sentlog/person_messages.html",
        {
            "person": person,
            "tab": "messages",
            "shown": shown,
            "go_on": found.go_on.uuid if found.go_on else None,
            "later_page": after is not None,
        },
    )


def _shown(received: Received, district: District, see_private: bool) -> Shown:
    message = received.message
    return Shown(
        message,
        status_text(message),
        screen_time(message.created_at, district.zone),
        [_line(row, district, see_private) for row in received.rows],
    )


def _line(row: Delivery, district: District, see_private: bool) -> Line:
    outcomes = {
        "successful": _("Sent"),
        "failed": _("Failed"),
        "canceled": _("Canceled"),
        "opted_out": _("Opted out"),
        "expired": _("Expired"),
        "not_eligible": _("Not Eligible"),
        "no_device": _("No Device"),
        "unknown": _("Unknown"),
    }
    note = describe(row.code).note if row.code is not None else ""
    if row.outcome == "no_device":
        note = _("No number or address was marked for this kind of message.")
    elif row.outcome == "opted_out":
        note = _("The owner of the number has stopped texts.")
    if row.state != Delivery.State.DONE:
        status = _("In-Progress")
    elif row.code is not None and row.mode in (Mode.VOICE, Mode.TEXT):
        status = code_text(row.code)
    else:
        status = outcomes[row.outcome]
    return Line(
        row.id,
        row.recipient.name_in_log(),
        row.student.name_in_log() if row.student else "",
        _device(row, see_private),
        status,
        note,
        screen_time(row.result_at, district.zone),
        row.tries,
        row.confirmed,
    )


def _device(row: Delivery, see_private: bool) -> str:
    label = str(row.get_device_display())
    if row.mode in (Mode.NONE, Mode.INBOX):
        return label
    if row.private and not see_private:
        return f"{label} " + (
            _("Private address") if row.mode == Mode.EMAIL else _("Private number")
        )
    extension = f" {_('ext.')} {row.extension}" if row.extension else ""
    text = f" {_('(text)')}" if row.mode == Mode.TEXT else ""
    return f"{label} {national(row.address)}{extension}{text}"


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
