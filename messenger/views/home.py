"""Home: what is happening now, what went wrong, the two doors to a new message, unsent drafts."""

from typing import Any

from django.db.models import Case, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.models import Message, MessageDraft
from messenger.reach import RIGHT_OF_TOOL

SHOWN = 20  # messages; more than that are in the log
SECONDS = 4  # between two looks while something runs
LAST = 5
URGENT_FIRST = [
    When(status=Message.Status.IN_PROGRESS, then=1),
    When(status=Message.Status.WAITING, then=2),
]
DRAFTS = 5


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The first page after signing in."""
    user: Any = request.user
    drafts = MessageDraft.objects.filter(
        user=user,
        message=None,
        tool__in=[tool for tool, right in RIGHT_OF_TOOL.items() if rights.may(user, right)],
    ).order_by("-updated_at")[:DRAFTS]
    shown = {
        "drafts": [
            {"draft": draft, "url": reverse(f"{draft.tool}_check", args=[draft.uuid])}
            for draft in drafts
        ]
    }
    return render(request, "messenger/home.html", shown | _now(request))


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The part of Home that changes by itself."""
    return render(request, "messenger/parts/now.html", _now(request))


def _now(request: HttpRequest) -> dict[str, Any]:
    seen = rights.messages_for(request.user)
    open_states = (*Message.UNFINISHED, Message.Status.ERROR)
    running = seen.filter(status__in=open_states).order_by(
        "-emergency", Case(*URGENT_FIRST, default=9), "scheduled_at", "pk"
    )
    first = list(running[: SHOWN + 1])
    finished = seen.exclude(status__in=open_states)
    return {
        "running": first[:SHOWN],
        "more": len(first) > SHOWN,
        "latest": finished.order_by("-created_at", "-pk")[:LAST],
        "moving": any(m.status in Message.UNFINISHED for m in first),
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
    }
