"""Canceling: one message from its page, several from the list, and how they are seen to stop.

What may be canceled and why not is `sentlog.canceling`'s.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zlib import crc32

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import clock, rights
from messenger.models import District, Message, User
from sentlog.canceling import can_still_be, cancel, refusal
from sentlog.counting import Figures
from sentlog.summary import summary_of
from sentlog.views.pace import next_look
from sentlog.views.seen import may_see_log, seen_message
from sentlog.words import where

# A page of the list has no more rows than this.
MOST = 100
REASONS_SAID = 5


@dataclass(frozen=True)
class Stop:
    """One message on the way to its end: where it goes, its totals, and why it is refused."""

    message: Message
    where: str
    figures: Figures
    refused: str = ""

    @property
    def moving(self) -> bool:
        return self.message.status in Message.UNFINISHED

    @property
    def stopped(self) -> int:
        """Deliveries that the cancel kept from going out."""
        return self.figures.outcomes.get("canceled", 0)

    @property
    def kept(self) -> int:
        """Deliveries with a result of their own."""
        return self.figures.rows_done - self.stopped


@require_http_methods(["GET", "HEAD", "POST"])
def log_cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Cancel this Message: what it will and will not stop, and the button that does it (B3-17)."""
    seen = seen_message(request, uuid)
    if not rights.may_cancel(seen.user, seen.message):
        raise Http404
    if not can_still_be(seen.message):
        messages.info(request, _("This message can no longer be canceled."))
        return redirect("log_detail", uuid)
    if request.method == "POST":
        if refused := cancel(seen.user, seen.message):
            messages.error(request, refused)
        else:
            messages.success(
                request,
                _("Cancel requested. Nothing more is sent; the status may take a few minutes."),
            )
        return redirect("log_detail", uuid)
    return render(
        request,
        "sentlog/cancel.html",
        {
            "message": seen.message,
            "figures": seen.figures(),
            "message_where": where(seen.message, seen.district),
        },
    )


@require_POST
def log_cancel_several(request: HttpRequest) -> HttpResponse:
    """Marked messages of the list: first the warning (nothing changes), then, with its button, the
    cancel of each that may be canceled (B3-13, B3-16 to B3-18)."""
    user = _viewer(request)
    found = _marked(user, request.POST.getlist("message"))
    if not found:
        messages.info(request, _("Mark at least one message that is Waiting or In-Progress."))
        return redirect("log")
    if request.POST.get("confirmed"):
        return _cancel_all(request, user, found)
    district = District.current()
    stops = [_stop(user, message, district, refusal(user, message)) for message in found]
    going = [stop for stop in stops if not stop.refused]
    return render(
        request,
        "sentlog/cancel_several.html",
        {
            "here": request.POST.get("here", ""),  # the place in the log to go back to
            "going": going,
            "refused": [stop for stop in stops if stop.refused],
            "rows_open": sum(stop.figures.rows_open for stop in going),
            "rows_done": sum(stop.figures.rows_done for stop in going),
        },
    )


def _cancel_all(request: HttpRequest, user: User, found: list[Message]) -> HttpResponse:
    """Each in a transaction of its own: what one of them says stops none of the others."""
    since = clock.now()
    refused = []
    for message in found:
        if words := cancel(user, message):
            refused.append(f"{message.subject}: {words}")
    if refused:
        words = ngettext(
            "%(n)s message was not canceled.", "%(n)s messages were not canceled.", len(refused)
        ) % {"n": len(refused)}
        messages.warning(request, " ".join([words, *refused[:REASONS_SAID]]))
    if len(refused) == len(found):
        return redirect("log")
    return redirect(f"{reverse('log_canceling')}?{urlencode({'since': since.isoformat()})}")


@require_safe
def log_canceling(request: HttpRequest) -> HttpResponse:
    """How the messages stop that this user has canceled since the moment in the address."""
    user = _viewer(request)
    since = _moment(request.GET.get("since"))
    found = (
        rights.messages_for(user)
        .filter(log=Message.Log.CLASSIC, canceled_by=user, cancel_requested_at__gte=since)
        .prefetch_related("schools")
        .order_by("-created_at", "-pk")[:MOST]
    )
    district = District.current()
    stops = [
        Stop(
            message, where(message, district), summary_of(message, rights.rows_scope(user, message))
        )
        for message in found
    ]
    if not stops:
        raise Http404
    moving = sum(stop.moving for stop in stops)
    states = "-".join(f"{stop.message.status}{stop.figures.rows_done}" for stop in stops)
    version = f"{crc32(states.encode()):x}"
    said = f"{len(stops) - moving}"
    shown: dict[str, Any] = {
        "stops": stops,
        "moving": moving,
        "over": len(stops) - moving,
        "since": request.GET["since"],
        "live": request.GET.get("live") != "0",
        "version": version,
        "seconds": f"{next_look(request, version):.1f}",
        "said": said,
        "announce": request.GET.get("said", said) != said,
    }
    if request.headers.get("HX-Request"):
        return render(request, "sentlog/parts/canceling.html", shown | {"part": True})
    return render(request, "sentlog/canceling.html", shown)


def _viewer(request: HttpRequest) -> User:
    """The user, who may see the log."""
    user = request.user
    if not isinstance(user, User) or not may_see_log(user):
        raise PermissionDenied
    return user


def _marked(user: User, given: list[str]) -> list[Message]:
    """The messages of the form that the user may see; whatever else it names is not there."""
    uuids = []
    for text in given[:MOST]:
        try:
            uuids.append(UUID(text))
        except ValueError:
            continue
    seen = rights.messages_for(user).filter(log=Message.Log.CLASSIC, uuid__in=uuids)
    return list(seen.prefetch_related("schools").order_by("-created_at", "-pk"))


def _stop(user: User, message: Message, district: District, refused: str = "") -> Stop:
    """What is refused needs no totals."""
    scope = rights.rows_scope(user, message)
    figures = Figures() if refused else summary_of(message, scope)
    return Stop(message, where(message, district), figures, refused)


def _moment(text: str | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        raise Http404 from None
    if moment.tzinfo is None:
        raise Http404
    return moment
