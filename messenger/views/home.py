"""Home: what is happening now, what went wrong, the two doors to a new message, unsent drafts."""

from hashlib import md5
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
SECONDS = 5  # between two looks while something runs
LAST = 5
OPEN = (*Message.UNFINISHED, Message.Status.ERROR)
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
    return render(request, "messenger/home.html", shown | _now(request, _running(request)))


@require_safe
def now(request: HttpRequest) -> HttpResponse:
    """The part of Home that changes by itself; 204 when it did not since it was `seen`.

    Fifty people may have Home open: unchanged, a look costs one query more than signing in.
    """
    first = _running(request)
    if request.GET.get("seen") == _fingerprint(first):
        return HttpResponse(status=204)
    return render(request, "messenger/parts/now.html", _now(request, first))


def _running(request: HttpRequest) -> list[Message]:
    """What runs, waits or misses results, most urgent first; one more than is shown."""
    running = rights.messages_for(request.user).filter(status__in=OPEN)
    order = ("-emergency", Case(*URGENT_FIRST, default=9), "scheduled_at", "pk")
    return list(running.order_by(*order)[: SHOWN + 1])


def _fingerprint(running: list[Message]) -> str:
    """Changes with everything that the part shows of the messages."""
    facts = [
        (m.pk, m.status, m.results_changed_at, m.cancel_requested_at, m.status_reason)
        for m in running
    ]
    return md5(repr(facts).encode(), usedforsecurity=False).hexdigest()


def _now(request: HttpRequest, first: list[Message]) -> dict[str, Any]:
    finished = rights.messages_for(request.user).exclude(status__in=OPEN)
    return {
        "running": first[:SHOWN],
        "more": len(first) > SHOWN,
        "latest": finished.order_by("-created_at", "-pk")[:LAST],
        "moving": any(m.status in Message.UNFINISHED for m in first),
        "seen": _fingerprint(first),
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
    }
