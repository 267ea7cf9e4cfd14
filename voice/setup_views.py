"""The setup checklist as a page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.views.gate import needs
from voice.setup_steps import setup_steps


@require_safe
@needs(rights.SETTINGS_VIEW)
def setup(request: HttpRequest) -> HttpResponse:
    """What a district does before its first voice message, and what of it is done."""
    steps = setup_steps()
    done = sum(step.done for step in steps)
    return render(request, "voice/setup.html", {"steps": steps, "done": done})
