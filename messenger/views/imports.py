"""Roster imports: the list of runs, the upload, what came of a run. The work is elsewhere.

A run that needs a person (too many would be removed ...) and a run that only looked may be carried
out afterwards with the same file: the button makes a new run, so that each keeps its own result.
"""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from django.contrib import messages
from django.core.files.storage import default_storage
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import rights
from messenger.forms.roster import RosterForm
from messenger.models import RosterImport
from messenger.roster.defaults import describe_defaults
from messenger.roster.tasks import start_import
from messenger.views.gate import needs

State = RosterImport.State
STEPS = (State.WAITING, State.READING, State.CHECKING, State.COMPARING, State.APPLYING)
RUNS_A_PAGE = 25
PROBLEMS_A_PAGE = 50
SECONDS = 2
KINDS = {
    "schools": _("Schools"),
    "calendars": _("Calendars"),
    "people": _("People"),
    "relationships": _("Guardian links"),
    "households": _("Households"),
    "contact_points": _("Numbers and addresses"),
    "enrollments": _("Enrollments"),
    "staff_assignments": _("Staff assignments"),
    "classes": _("Classes"),
    "class_enrollments": _("Class enrollments"),
}
SAMPLES = {
    "added": _("People added"),
    "changed": _("People changed"),
    "removed": _("People removed"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.IMPORT_RUN)
def runs(request: HttpRequest) -> HttpResponse:
    """Every run, newest first; a file that is sent here is imported by a worker."""
    form = RosterForm()
    if request.method == "POST":
        form = RosterForm(request.POST, request.FILES)
        if form.is_valid():
            run = _take(request, form.cleaned_data["file"], form.cleaned_data["dry_run"])
            return redirect("import_detail", run.uuid)
    page = Paginator(RosterImport.objects.select_related("started_by"), RUNS_A_PAGE).get_page(
        request.GET.get("page")
    )
    return render(
        request,
        "messenger/imports.html",
        {"form": form, "page": page},
        status=422 if form.errors else 200,
    )


def _take(request: HttpRequest, file: Any, dry_run: bool) -> RosterImport:
    """Stores the file under a name that nobody chose and has a worker import it."""
    stored = default_storage.save(f"rosters/{uuid4().hex}.zip", file)
    user: Any = request.user
    run = RosterImport.objects.create(
        file_name=file.name[:255],
        stored_path=default_storage.path(stored),
        started_by=user,
        dry_run=dry_run,
    )
    start_import(run.pk)
    return run


@require_POST
@needs(rights.IMPORT_RUN)
def again(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Carries a run out that only looked, or that needed a person, who has now decided."""
    before = get_object_or_404(RosterImport, uuid=uuid)
    if not _may_go_on(before):
        messages.error(request, _("This file cannot be imported from here. Choose it again."))
        return redirect("import_detail", before.uuid)
    user: Any = request.user
    run = RosterImport.objects.create(
        file_name=before.file_name,
        stored_path=before.stored_path,
        started_by=user,
        accepted=before.state == State.REFUSED,
    )
    start_import(run.pk)
    return redirect("import_detail", run.uuid)


def _may_go_on(run: RosterImport) -> bool:
    """Whether the run stopped only because a person had to decide, and its file is still there.

    A refusal that compared has its counts; one of a broken file has none and stays refused.
    """
    looked = run.state == State.DONE and run.dry_run
    doubted = run.state == State.REFUSED and not run.accepted and "people" in run.counts
    return (looked or doubted) and Path(run.stored_path).is_file()


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
    problems = found.problems.order_by("severity", "file", "line", "pk")
    return {
        "run": found,
        "moving": found.state in STEPS,
        "may_go_on": _may_go_on(found),
        "rows": sum(found.counts.get("rows", {}).values()),
        "changes": [
            (label, found.counts[kind]) for kind, label in KINDS.items() if kind in found.counts
        ],
        "samples": [
            (label, found.samples[kind])
            for kind, label in SAMPLES.items()
            if found.samples.get(kind)
        ],
        "defaults": describe_defaults(found.defaults_used),
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
        "page": Paginator(problems, PROBLEMS_A_PAGE).get_page(request.GET.get("page")),
    }
