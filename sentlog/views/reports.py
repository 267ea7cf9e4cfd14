"""Reports over the web: asking for one, watching it being made, stopping it, opening the file."""

from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from messenger import rights
from messenger.models import User
from sentlog.forms import ReportForm
from sentlog.models import DetailRemoval, Report
from sentlog.reports import html, making
from sentlog.reports.document import WORK_LIST
from sentlog.views.seen import seen_message

SECONDS = 1.0
LISTED = 50
CONTENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "html": "text/html; charset=utf-8",
}
# What a browser shows by itself, in the tab that was opened for it; any other file is saved.
SHOWN = ("pdf", "html")
SAVED_POLICY = "sandbox; default-src 'none'"
# The page's own style sheet and nothing else. A browser's PDF viewer does not work in a sandbox and
# brings styles of its own; the file is ours and holds no script.
SHOWN_POLICIES = {
    "html": f"sandbox; default-src 'none'; style-src '{html.STYLE_HASH}'; frame-ancestors 'none'",
    "pdf": "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; "
    "frame-ancestors 'none'",
}


@require_POST
def report_order(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Print Sent Message Report: stores the order; a worker writes it (B4-10)."""
    seen = seen_message(request, uuid)
    if not rights.may(seen.user, rights.LOG_REPORT):
        raise Http404
    if DetailRemoval.objects.filter(message=seen.message).exists():
        messages.error(request, _("A report lists detail, and the detail of this message is gone."))
        return redirect("log_detail", uuid)
    form = ReportForm(seen.message, seen.figures(), request.POST)
    if not form.is_valid():
        context = {"message": seen.message, "report_form": form}
        return render(request, "sentlog/report_options.html", context, status=422)
    report = making.order(
        seen.message,
        seen.user,
        form.cleaned_data["format"],
        form.cleaned_data["detail"],
        form.cleaned_data["devices"],
        by_school=form.cleaned_data.get("by_school", False),
        bom=not form.cleaned_data["no_mark"],
    )
    return redirect("report", report.uuid)


@require_safe
def reports(request: HttpRequest) -> HttpResponse:
    """The reports that this user asked for lately, whatever became of them."""
    user = request.user
    if not isinstance(user, User) or not rights.may(user, rights.LOG_REPORT):
        raise Http404
    mine = Report.objects.filter(user=user, message__in=rights.messages_for(user))
    newest = mine.select_related("message").order_by("-created_at")[:LISTED]
    return render(
        request,
        "sentlog/reports.html",
        {
            "reports": [report for report in newest if making.may_download(user, report)],
            "kept_days": settings.REPORTS_KEPT_DAYS,
        },
    )


def _own_report(request: HttpRequest, uuid: UUID) -> Report:
    user = request.user
    report = Report.objects.select_related("message").filter(uuid=uuid).first()
    if not isinstance(user, User) or report is None or not making.may_download(user, report):
        raise Http404
    return report


@require_safe
def report(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """How far a report is; the file when it is ready. The same address serves page and part.

    A page that has waited for a file that browsers show goes on to it by itself.
    """
    found = _own_report(request, uuid)
    waited = bool(request.headers.get("HX-Request"))
    size = 0
    if found.state == Report.State.READY:
        path = making.path_of(found)
        size = path.stat().st_size if path.is_file() else 0
    response = render(
        request,
        "sentlog/parts/report.html" if waited else "sentlog/report.html",
        {
            "report": found,
            "making": found.state in Report.UNFINISHED,
            "shown": found.format in SHOWN,
            "work_list": found.detail == WORK_LIST,
            "seconds": SECONDS,
            "size": size,
            "kept_days": settings.REPORTS_KEPT_DAYS,
            "kept_until": _kept_until(found),
        },
    )
    if waited and size and found.format in SHOWN:
        response["HX-Redirect"] = f"{request.path}file/?open=1"
    return response


def _kept_until(report: Report) -> datetime | None:
    return report.finished_at + making.kept() if report.finished_at else None


@require_POST
def report_cancel(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Stops a report that is not ready; its worker notices within a second."""
    if not making.cancel(_own_report(request, uuid)):
        messages.info(request, _("The report was finished already."))
    return redirect("report", uuid)


@require_safe
def report_file(request: HttpRequest, uuid: UUID) -> FileResponse:
    """The file: as a download that a browser never interprets, or, with `open`, shown."""
    found = _own_report(request, uuid)
    path = making.path_of(found)
    if found.state != Report.State.READY or not path.is_file():
        raise Http404
    subject = slugify(found.message.subject)[:60] or "message"
    shown = "open" in request.GET and found.format in SHOWN
    kind = "work-list" if found.detail == WORK_LIST else "report"
    response = FileResponse(
        path.open("rb"),
        as_attachment=not shown,
        filename=f"{subject}-{kind}.{found.format}",
        content_type=CONTENT_TYPES[found.format],
    )
    response["Content-Security-Policy"] = SHOWN_POLICIES[found.format] if shown else SAVED_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
