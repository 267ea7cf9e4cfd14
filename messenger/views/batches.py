"""The Contact Preferences Batch: choosing, looking, setting, following and undoing (A4-12)."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import rights
from messenger.audience.criteria import Criteria
from messenger.batch_tasks import start_batch
from messenger.forms.batch import ACTIONS, BatchForm
from messenger.history import reasons_in_words
from messenger.models import Device, PreferenceBatch
from messenger.preference_batches import Rule, preview_batch
from messenger.views.gate import needs

State = PreferenceBatch.State
RUNS_A_PAGE = 25
SECONDS = 2


def batches_for(user: Any) -> QuerySet[PreferenceBatch]:
    """The batches whose schools are all among those of the user's right."""
    scope = rights.scope_of(user, rights.PREFERENCES_BATCH)
    batches = PreferenceBatch.objects.select_related("started_by")
    if scope.district:
        return batches
    return batches.filter(criteria__school_ids__contained_by=sorted(scope.school_ids))


@require_safe
@needs(rights.PREFERENCES_BATCH)
def batches(request: HttpRequest) -> HttpResponse:
    """Every batch, newest first."""
    page = Paginator(batches_for(request.user), RUNS_A_PAGE).get_page(request.GET.get("page"))
    rows = [(run, rule_in_words(Rule.from_json(run.rule))) for run in page]
    return render(request, "messenger/batches.html", {"page": page, "rows": rows})


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.PREFERENCES_BATCH)
def new_batch(request: HttpRequest) -> HttpResponse:
    """The form; with its answers (GET) what would change; posted, a worker changes it."""
    user: Any = request.user
    if request.method == "POST":
        form = BatchForm(request.POST, user=user)
        if form.is_valid():
            run = PreferenceBatch.objects.create(
                criteria=form.criteria().to_json(), rule=form.rule().to_json(), started_by=user
            )
            start_batch(run.pk)
            return redirect("batch", run.uuid)
        return render(request, "messenger/batch_new.html", {"form": form}, status=422)
    if "action" not in request.GET:
        return render(request, "messenger/batch_new.html", {"form": BatchForm(user=user)})
    form = BatchForm(request.GET, user=user)
    shown: dict[str, Any] = {"form": form}
    if form.is_valid():
        preview = preview_batch(form.criteria(), form.rule())
        devices = dict(Device.choices)
        shown |= {
            "preview": preview,
            "examples": [
                (
                    example.name,
                    devices[example.device],
                    reasons_in_words(example.before),
                    reasons_in_words(example.after),
                )
                for example in preview.examples
            ],
            "rule": rule_in_words(form.rule()),
            "given": [(name, value) for name in form.fields for value in request.GET.getlist(name)],
        }
    return render(request, "messenger/batch_new.html", shown, status=422 if form.errors else 200)


def rule_in_words(rule: Rule) -> str:
    """ "Mark these reasons: General, Priority – Cell, Work"."""
    devices = dict(Device.choices)
    named = ", ".join(str(devices[device]) for device in rule.devices)
    action = str(dict(ACTIONS)[rule.action])
    return f"{action}: {reasons_in_words(rule.reasons) or _('none')} – {named}"


@require_safe
@needs(rights.PREFERENCES_BATCH)
def batch(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """One batch: how far it is, what it changed, and its undo."""
    return render(request, "messenger/batch.html", _shown(request, uuid))


@require_safe
@needs(rights.PREFERENCES_BATCH)
def batch_now(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The part of the batch's page that changes by itself."""
    return render(request, "messenger/parts/batch.html", _shown(request, uuid))


def _shown(request: HttpRequest, uuid: UUID) -> dict[str, Any]:
    run = get_object_or_404(batches_for(request.user), uuid=uuid)
    counts = run.counts
    figures = [
        (_("Devices changed"), counts.get("points", 0)),
        (_("Marks added"), counts.get("marks_added", 0)),
        (_("Marks removed"), counts.get("marks_removed", 0)),
        (_("Left as chosen in the portal"), counts.get("left_alone", 0)),
    ]
    if run.state == State.UNDONE:
        figures += [
            (_("Devices put back"), counts.get("put_back", 0)),
            (_("Changed since, left alone"), counts.get("changed_since", 0)),
        ]
    return {
        "run": run,
        "moving": run.state in PreferenceBatch.MOVING,
        "may_undo": run.state in (State.DONE, State.FAILED) and bool(counts.get("points")),
        "figures": figures,
        "rule": rule_in_words(Rule.from_json(run.rule)),
        "criteria": Criteria.from_json(run.criteria).shown()[:3],
        "live": request.GET.get("live") != "0",
        "seconds": SECONDS,
    }


@require_POST
@needs(rights.PREFERENCES_BATCH)
def undo_batch(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Has a worker put back what the batch set and nobody has changed since."""
    run = get_object_or_404(batches_for(request.user), uuid=uuid)
    waiting = PreferenceBatch.objects.filter(pk=run.pk, state__in=[State.DONE, State.FAILED])
    if waiting.update(state=State.UNDO_WAITING):
        start_batch(run.pk)
    else:
        messages.error(request, _("This batch cannot be undone now."))
    return redirect("batch", run.uuid)
