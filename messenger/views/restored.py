"""The page after a restored database: what is held, what waits, and the way on.

Opened from the banner. What counts as restored is decided in `messenger.continuity`.
"""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger import continuity, resuming, rights
from messenger.models import Message, User
from messenger.views.gate import needs

SHOWN = 200  # messages; a district has a handful at a time
SEND, CANCEL = "send", "cancel"


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.SETTINGS_VIEW)
def restored(request: HttpRequest) -> HttpResponse:
    """What waits for somebody's word; POST cancels or keeps it, and resumes."""
    thread = continuity.check()
    if thread.held_since is None:
        if request.method == "POST":
            messages.info(request, _("Sending goes on already."))
        return redirect("status")
    may_resume = rights.scope_of(request.user, rights.SETTINGS_EDIT).district
    problem = ""
    if request.method == "POST":
        if not may_resume or not isinstance(request.user, User):
            raise PermissionDenied
        choice = request.POST.get("waiting", "")
        if choice in (SEND, CANCEL):
            resuming.resume(request.user, cancel=choice == CANCEL)
            messages.success(request, _("Sending goes on."))
            return redirect("home")
        problem = _("Say what is to become of the messages that wait.")
    waiting = continuity.held_back()
    count = waiting.count()
    context = {
        "thread": thread,
        "waiting": list(waiting[:SHOWN]),
        "count": count,
        "more": max(0, count - SHOWN),
        "emergencies": waiting.filter(emergency=True, status=Message.Status.IN_PROGRESS).exists(),
        "may_resume": may_resume,
        "problem": problem,
    }
    return render(request, "messenger/restored.html", context, status=422 if problem else 200)
