"""One message: its four areas, the live Delivery Summary, Refresh Status."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from messenger import rights
from messenger.models import Message
from sentlog import screen
from sentlog.canceling import is_offered
from sentlog.counting import Figures
from sentlog.delivery_rows import STATUS_CHOICES
from sentlog.forms import ReportForm
from sentlog.models import DetailRemoval, Report
from sentlog.reports.document import message_detail
from sentlog.views.finding import found_messages
from sentlog.views.lost import lost_of
from sentlog.views.pace import next_look
from sentlog.views.seen import Seen, seen_message
from sentlog.words import STATUS_NOTES, criteria_of, seconds_held, status_text, undo_words, where
from voice import collect

LISTED_BESIDE = 25
REPORTS_SHOWN = 3


@require_safe
def log_detail(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The areas of a selected message (B1-09), beside the list it was found in."""
    seen = seen_message(request, uuid)
    message = seen.message
    shown = summary_context(request, seen)
    modes = {mode.mode for mode in message.modes.all()}
    removal = DetailRemoval.objects.filter(message=message).first()
    may_report = rights.may(seen.user, rights.LOG_REPORT) and removal is None
    return render(
        request,
        "sentlog/detail.html",
        found_messages(request, LISTED_BESIDE)
        | shown
        | {
            "criteria": criteria_of(message),
            "removal": removal,
            "lost": lost_of(message, seen.user),
            "detail": message_detail(message, modes, seen.district),
            "report_form": ReportForm(message, shown["figures"]) if may_report else None,
            "reports": Report.objects.filter(message=message, user=seen.user).order_by(
                "-created_at"
            )[:REPORTS_SHOWN],
        },
    )


@require_safe
def log_summary(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The Delivery Summary alone, as the page asks for it while the message runs."""
    seen = seen_message(request, uuid)
    return _summary_part(request, seen)


def _summary_part(request: HttpRequest, seen: Seen, words: str = "") -> HttpResponse:
    shown = summary_context(request, seen, words) | {"part": True}
    return render(request, "sentlog/parts/summary.html", shown)


def summary_context(request: HttpRequest, seen: Seen, words: str = "") -> dict[str, Any]:
    """What the Delivery Summary shows, and when it should look again.

    The address carries what the page shows already (`shown`), how long it waited (`seconds`) and
    what was announced last (`said`): unchanged figures make the next look wait half as long again,
    and a screen reader hears a quarter of the way, not every change.
    """
    message, figures = seen.message, seen.figures()
    held = seconds_held(message)
    version = f"{message.status}-{figures.rows_done}-{figures.rows}-{figures.contacted}-{held}"
    seconds = next_look(request, version)
    milestone = _milestone(message, figures)
    return {
        "message": message,
        "message_where": where(message, seen.district),
        "figures": figures,
        "status_words": status_text(message),
        "status_note": undo_words(held) if held else STATUS_NOTES[Message.Status(message.status)],
        "facts": screen.facts(message, seen.district),
        "totals": screen.totals(figures, seen.district),
        "outcomes": _outcomes(figures),
        "may_cancel": is_offered(seen.user, message),
        "partial": not seen.scope.district,
        "moving": message.status in Message.UNFINISHED,
        "live": request.GET.get("live") != "0",
        "version": version,
        "seconds": f"{seconds:.1f}",
        "milestone": milestone,
        "announce": milestone if request.GET.get("said", milestone) != milestone else "",
        "said": screen.outcome_words(message, figures),
        "words": words,
    }


def _milestone(message: Message, figures: Figures) -> str:
    """Status and quarter of the way: what is worth saying aloud."""
    return f"{message.status}-{figures.percent_done // 25 if figures.rows else 0}"


def _outcomes(figures: Figures) -> list[tuple[str, str, int]]:
    """How the rows ended, as (filter, label, rows): links into Delivery Detail."""
    labels = {
        "successful": _("Successful"),
        "in_progress": _("In progress"),
        "failed": _("Failed"),
        "canceled": _("Canceled"),
        "opted_out": _("Opted out"),
        "no_device": _("No device"),
    }
    rows = {
        choice: sum(figures.outcomes.get(outcome, 0) for outcome in STATUS_CHOICES[choice])
        for choice in labels
    }
    return [(choice, label, rows[choice]) for choice, label in labels.items() if rows[choice]]


@require_POST
def log_refresh(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Refresh Status: asks the dialer now, and says what it answered (B2-05, B3-16)."""
    seen = seen_message(request, uuid)
    words = collect.refresh(seen.message.pk)
    if request.headers.get("HX-Request"):
        return _summary_part(request, seen_message(request, uuid), words)
    messages.info(request, words)
    return redirect("log_detail", uuid)
