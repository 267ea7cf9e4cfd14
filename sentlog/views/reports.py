"""Reports over the web: asking for one, watching it being made, taking the file."""

from uuid import UUID

from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.text import slugify
from django.views.decorators.http import require_POST, require_safe

from messenger import rights
from messenger.models import User
from sentlog.forms import ReportForm
from sentlog.models import Report
from sentlog.reports import making
from sentlog.views.seen import seen_message

SECONDS = 1.0
CONTENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv; charset=utf-8",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


@require_POST
def report_order(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Print Sent Message Report: stores the order; a worker writes it (B4-10)."""
    seen = seen_message(request, uuid)
    if not rights.may(seen.user, rights.LOG_REPORT):
        raise Http404
    form = ReportForm(seen.message, seen.figures(), request.POST)
    if not form.is_valid():
        context = {"message": seen.message, "report_form": form}
        if request.headers.get("HX-Request"):
            return render(request, "sentlog/parts/report_options.html", context)
        return render(request, "sentlog/report_options.html", context, status=422)
    report = making.order(
        seen.message,
        seen.user,
        form.cleaned_data["format"],
        form.cleaned_data["detail"],
        form.cleaned_data["devices"],
    )
    if request.headers.get("HX-Request"):
        # No redirect: a browser would follow it without saying that a part is asked for.
        return _progress(request, report, "sentlog/parts/report.html")
    return redirect("report", report.uuid)


def _own_report(request: HttpRequest, uuid: UUID) -> Report:
    user = request.user
    report = Report.objects.select_related("message").filter(uuid=uuid).first()
    if not isinstance(user, User) or report is None or not making.may_download(user, report):
        raise Http404
    return report


@require_safe
def report(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """How far a report is; the file when it is ready. The same address serves page and part."""
    part = bool(request.headers.get("HX-Request"))
    template = "sentlog/parts/report.html" if part else "sentlog/report.html"
    return _progress(request, _own_report(request, uuid), template)


def _progress(request: HttpRequest, found: Report, template: str) -> HttpResponse:
    making_it = found.state in (Report.State.WAITING, Report.State.RUNNING)
    size = 0
    if found.state == Report.State.READY:
        path = making.path_of(found)
        size = path.stat().st_size if path.is_file() else 0
    return render(
        request,
        template,
        {"report": found, "making": making_it, "seconds": SECONDS, "size": size},
    )


@require_safe
def report_file(request: HttpRequest, uuid: UUID) -> FileResponse:
    """The file, as a download that a browser never interprets."""
    found = _own_report(request, uuid)
    path = making.path_of(found)
    if found.state != Report.State.READY or not path.is_file():
        raise Http404
    subject = slugify(found.message.subject)[:60] or "message"
    response = FileResponse(
        path.open("rb"),
        as_attachment=True,
        filename=f"{subject}-report.{found.format}",
        content_type=CONTENT_TYPES[found.format],
    )
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
