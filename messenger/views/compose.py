"""Writing a message: the form, the check page, the confirm button. Two tools, the same three steps.

A draft belongs to its writer: anybody else gets the same 404 as for one that does not exist. What
may be sent is decided by `lifecycle`, to whom by `messenger.reach`; nothing is decided here.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import lifecycle, rights
from messenger.audience.criteria import CONTACTS, STAFF
from messenger.audience.preview import Preview, blockers_of, preview
from messenger.channels.registry import channels_for
from messenger.composition import EMERGENCY_TOOL, Composition
from messenger.forms.compose import LONGEST_VOICE_TEXT, ComposeForm, initial_of
from messenger.models import District, Message, MessageDraft
from messenger.reach import RIGHT_OF_TOOL, problems_of_reach
from messenger.templatetags.shown import moment_words, number

WORDS_A_MINUTE = 150  # what a speech engine reads; people who leave it alone hear it at this pace


def of_tool(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The page opens for users with the right of its tool; others get 403."""

    @wraps(view)
    def guarded(request: HttpRequest, tool: str, *args: Any, **kwargs: Any) -> HttpResponse:
        if not rights.may(request.user, RIGHT_OF_TOOL[tool]):
            raise PermissionDenied
        if not District.current().voice_enabled:
            # Voice is the one way of sending there is; without it there is no tool (A1-01).
            return render(request, "messenger/no_voice.html", status=403)
        return view(request, tool, *args, **kwargs)

    return guarded


def address(tool: str, page: str, draft: MessageDraft | None = None) -> str:
    """The address of a page of the tool: `new`, or `write`, `check`, `confirm`, `discard`."""
    return reverse(f"{tool}_{page}", args=[draft.uuid] if draft else [])


def _own(request: HttpRequest, tool: str, uuid: UUID) -> MessageDraft:
    return get_object_or_404(MessageDraft, uuid=uuid, user=request.user, tool=tool)


def _to_message(request: HttpRequest, message: Message) -> HttpResponse:
    """To the message in the log, for those who may see it there; else Home says that it is safe."""
    if rights.messages_for(request.user).filter(pk=message.pk).exists():
        return redirect("log_detail", message.uuid)
    words = _("The message “%(subject)s” is confirmed.") % {"subject": message.subject}
    messages.success(request, words)
    return redirect("home")


@require_http_methods(["GET", "HEAD", "POST"])
@of_tool
def write(request: HttpRequest, tool: str, uuid: UUID | None = None) -> HttpResponse:
    """The form; a valid one becomes (or changes) the draft and leads to the check page."""
    draft = _own(request, tool, uuid) if uuid else None
    if draft and draft.message:
        return _to_message(request, draft.message)
    user: Any = request.user
    if request.method == "POST":
        form = ComposeForm(request.POST, request.FILES, user=user, tool=tool)
        if form.is_valid():
            draft = draft or MessageDraft(user=user, tool=tool)
            draft.content = form.content()
            draft.save()
            return redirect(address(tool, "check", draft))
    else:
        initial = initial_of(draft, user) if draft else None
        form = ComposeForm(initial=initial, user=user, tool=tool)
    return render(
        request,
        "messenger/compose.html",
        {
            "form": form,
            "draft": draft,
            "emergency": tool == EMERGENCY_TOOL,
            "longest": LONGEST_VOICE_TEXT,
            "nowhere": not form.school_ids,
            **_length(form["voice_text"].value() or ""),
        },
        status=422 if form.errors else 200,
    )


@require_safe
@of_tool
def check(request: HttpRequest, tool: str, uuid: UUID) -> HttpResponse:
    """Check answers: what is said, to whom, who is left out and why, what stands in the way."""
    draft = _own(request, tool, uuid)
    if draft.message:
        return _to_message(request, draft.message)
    return _render_check(request, draft)


@require_POST
@of_tool
def confirm(request: HttpRequest, tool: str, uuid: UUID) -> HttpResponse:
    """Makes the message, once; a second press is shown the first one's message."""
    draft = _own(request, tool, uuid)
    user: Any = request.user
    problems = [] if draft.message else _problems_now(user, Composition.from_draft(draft))
    if not problems:
        try:
            undo_seconds = District.current().undo_seconds
            message = lifecycle.confirm(draft, user, undo_seconds=undo_seconds)
        except lifecycle.CannotSend as refusal:
            problems = refusal.problems
        else:
            return _to_message(request, message)
    return _render_check(request, draft, problems, status=422)


def _problems_now(user: Any, composition: Composition) -> list[str]:
    """What stands in the way at this moment; the check page may be hours old.

    An emergency is not counted once more: its button must not wait for it (a second for 100,000
    students), and a message to nobody ends at once and says so.
    """
    problems = problems_of_reach(user, composition)
    if problems or composition.emergency:
        return problems
    return blockers_of(composition)


@require_POST
@of_tool
def discard(request: HttpRequest, tool: str, uuid: UUID) -> HttpResponse:
    """Throws an unsent draft away."""
    draft = _own(request, tool, uuid)
    if draft.message:
        return _to_message(request, draft.message)
    draft.delete()
    messages.success(request, _("The draft is discarded. Nothing was sent."))
    return redirect("home")


@require_POST
@of_tool
def estimate(request: HttpRequest, tool: str) -> HttpResponse:
    """How long the call will be, while the sender types (a part of the page)."""
    text = request.POST.get("voice_text", "")[: 2 * LONGEST_VOICE_TEXT]
    return render(request, "messenger/parts/estimate.html", _length(text))


def _length(text: str) -> dict[str, Any]:
    words = len(text.split())
    seconds = round(60 * words / WORDS_A_MINUTE)
    return {
        "words": words,
        "characters_over": max(0, len(text.replace("\r\n", "\n")) - LONGEST_VOICE_TEXT),
        "minutes": seconds // 60,
        # To the nearest five: the voice, not we, decides how fast it speaks.
        "seconds": max(5, 5 * round(seconds % 60 / 5)) if seconds < 60 else seconds % 60 // 5 * 5,
    }


def _render_check(
    request: HttpRequest, draft: MessageDraft, problems: list[str] | None = None, status: int = 200
) -> HttpResponse:
    composition = Composition.from_draft(draft)
    user: Any = request.user
    beyond = problems_of_reach(user, composition)
    # Who is at a school that the user may not write to is not counted for them either.
    counted = Preview() if beyond else preview(composition)
    found = [*(problems or []), *beyond, *counted.blockers]
    now = timezone.now()
    warnings = [
        *counted.warnings,
        *(
            words
            for channel in channels_for(composition.modes)
            for words in ([] if beyond else channel.foresee(composition, counted, now))
        ),
    ]
    return render(
        request,
        "messenger/check.html",
        {
            "draft": draft,
            "composition": composition,
            "emergency": composition.emergency,
            "answers": composition.criteria.shown(),
            "preview": counted,
            "may_hear": not beyond,
            "problems": list(dict.fromkeys(found)),
            "warnings": warnings,
            "button": button_words(composition, counted),
            "now": now,
            "write_url": address(draft.tool, "write", draft),
            "confirm_url": address(draft.tool, "confirm", draft),
            "discard_url": address(draft.tool, "discard", draft),
            "to_families": composition.criteria.deliver_to == (CONTACTS,),
            "about_students": set(composition.criteria.deliver_to) != {STAFF},
            **_length(composition.voice_text),
        },
        status=status,
    )


def button_words(composition: Composition, counted: Preview) -> str:
    """The effect of the button: "Call 1,204 families", "... now", "... on 11/21/2026 ..."."""
    families = composition.criteria.deliver_to == (CONTACTS,)
    count = counted.families if families else counted.recipients
    when = moment_words(composition.scheduled_at) if composition.scheduled_at else ""
    if composition.emergency:
        words = (
            ngettext("Call %(count)s family now", "Call %(count)s families now", count)
            if families
            else ngettext("Call %(count)s person now", "Call %(count)s people now", count)
        )
    elif when:
        words = (
            ngettext(
                "Call %(count)s family on %(when)s", "Call %(count)s families on %(when)s", count
            )
            if families
            else ngettext(
                "Call %(count)s person on %(when)s", "Call %(count)s people on %(when)s", count
            )
        )
    else:
        words = (
            ngettext("Call %(count)s family", "Call %(count)s families", count)
            if families
            else ngettext("Call %(count)s person", "Call %(count)s people", count)
        )
    return words % {"count": number(count), "when": when}
