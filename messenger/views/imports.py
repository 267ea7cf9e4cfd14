"""Roster imports: the list of runs, the upload, what came of a run. The importer does the work."""

from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from messenger import rights
from messenger.forms.roster import RosterForm
from messenger.models import RosterImport
from messenger.views.gate import needs

State = RosterImport.State
STEPS = (State.WAITING, State.READING, State.CHECKING, State.COMPARING, State.APPLYING)
RUNS_A_PAGE = 25
PROBLEMS_A_PAGE = 50
SECONDS = 2


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.IMPORT_RUN)
def runs(request: HttpRequest) -> HttpResponse:
    """Every run, newest first; a file that is sent here is imported by a worker."""
    form = RosterForm()
    if request.method == "POST":
        form = RosterForm(request.POST, request.FILES)
        if form.is_valid():
            return redirect("import_detail", _take(request, form.cleaned_data["file"]).uuid)
    page = Paginator(RosterImport.objects.select_related("started_by"), RUNS_A_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "messenger/imports.html",
        {"form": form, "page": page},
        status=422 if form.errors else 200,
    )


def _take(request: HttpRequest, file: Any) -> RosterImport:
    """Stores the file under a name that nobody chose and has it imported."""
    stored = default_storage.save(f"rosters/{uuid4().hex}.zip", file)
    user: Any = request.user
    return RosterImport.objects.create(
        file_name=file.name[:255], stored_path=str(settings.MEDIA_ROOT / stored), started_by=user
    )


@require_safe
@needs(rights.IMPORT_RUN)
def run(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One run: how far it is, what it changed, and every row it could not take as it stands."""
    return render(request, "messenger/import.html", _shown(request, uuid))


@require_safe
@needs(rights.IMPORT_RUN)
def run_now(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part of the run's page that changes by itself."""
    return render(request, "messenger/parts/import.html", _shown(request, uuid))


def _shown(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    found = get_object_or_404(RosterImport.objects.select_related("started_by"), uuid=uuid)
    problems = found.problems.order_by("file", "line", "pk")
    return {
        "run": found,
        "moving": found.state in STEPS,
        "step": STEPS.index(found.state) if found.state in STEPS else len(STEPS),
        "steps": len(STEPS),
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
        "page": Paginator(problems, PROBLEMS_A_PAGE).get_page(request.GET.get("page")),
    }
