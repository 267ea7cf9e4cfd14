"""System status: whether everything works, in words, and what to do when it does not."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.status.findings import BROKEN, LOOK, examine
from messenger.views.gate import needs

SECONDS = 15  # between two looks


@require_safe
@needs(rights.SETTINGS_VIEW)
def status(request: HttpRequest) -> HttpResponse:
    """The page, for administrators."""
    return render(request, "messenger/status.html", _status(request))


@require_safe
@needs(rights.SETTINGS_VIEW)
def now(request: HttpRequest) -> HttpResponse:
    """The part that looks again by itself."""
    return render(request, "messenger/parts/status.html", _status(request))


def _status(request: HttpRequest) -> dict[str, Any]:
    looked_at = timezone.now()
    sections = examine(looked_at)
    states = [finding.state for section in sections for finding in section.findings]
    return {
        "sections": sections,
        "broken": states.count(BROKEN),
        "look": states.count(LOOK),
        "looked_at": looked_at,
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
    }
