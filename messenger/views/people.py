"""Census > People: finding a person, their page with the Personal Contact Information editor, and
the history. What is written is decided in `messenger.preferences`.
"""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_safe

from messenger import history, people, rights
from messenger.forms.contact import ContactForm, merge, set_marks, unpack
from messenger.models import (
    Device,
    District,
    DoNotContact,
    Door,
    Enrollment,
    HouseholdMembership,
    Person,
    StaffAssignment,
    TextConsent,
)
from messenger.people_search import SHOWN, Found, find_people, is_enough
from messenger.preferences import (
    Author,
    ChangedMeanwhile,
    Difference,
    Line,
    Sheet,
    read_sheet,
    save_sheet,
    set_language,
)
from messenger.roster.phones import national
from messenger.views.gate import needs

CHANGES_A_PAGE = 50


@require_safe
@needs(rights.PEOPLE_VIEW)
def find(request: HttpRequest) -> HttpResponse:
    """The search; with htmx the list alone, while somebody types."""
    words = request.GET.get("q", "").strip()[:100]
    found = find_people(words, request.user, SHOWN + 1)
    shown = {
        "q": words,
        "rows": found_rows(found[:SHOWN]),
        "more": len(found) > SHOWN,
        "too_short": bool(words) and not is_enough(words),
    }
    part = request.headers.get("HX-Request") == "true"
    return render(request, f"messenger/{'parts/found' if part else 'people'}.html", shown)


def found_rows(found: list[Found]) -> list[dict[str, Any]]:
    """What a list of people shows of each: name, what they are, where, and what was found."""
    ids = [each.person_id for each in found]
    enrollments = Enrollment.objects.filter(active=True).select_related("calendar__school")
    staff = StaffAssignment.objects.filter(active=True).select_related("school")
    persons = Person.objects.prefetch_related(
        Prefetch("enrollments", enrollments),
        Prefetch("staff_assignments", staff),
        "students__student",
    ).in_bulk(ids)
    rows = []
    for each in found:
        person = persons[each.person_id]
        devices = dict(Device.choices)
        rows.append(
            {
                "person": person,
                "places": [
                    *((e.calendar.school.name, e.grade) for e in person.enrollments.all()),
                    *((a.school.name, "") for a in person.staff_assignments.all()),
                ],
                "students": [
                    link.student.name_in_log() for link in person.students.all() if link.active
                ],
                "device": devices.get(each.device, ""),
                "value": national(each.value),
                "like": each.like,
            }
        )
    return rows


def person_or_404(request: HttpRequest, uuid: UUID) -> Person:
    """The person, if the user may see them; the same answer for one who never was (X5)."""
    return get_object_or_404(people.people_for(request.user), uuid=uuid)


def frame_of(request: HttpRequest, person: Person, tab: str) -> dict[str, Any]:
    """What every page of a person shows around its content."""
    return {"person": person, "tab": tab, "may_edit": people.may_edit(request.user, person)}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.PEOPLE_VIEW)
def person(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """A person's Demographics: who they are, where, and how they are reached."""
    found = person_or_404(request, uuid)
    shown = frame_of(request, found, "demographics")
    if request.method == "POST":
        if not shown["may_edit"]:
            raise PermissionDenied
        return _save(request, found, shown)
    form = _form(request, found, read_sheet(found))
    for field in form.fields.values():
        field.disabled = not shown["may_edit"]
    return _show(request, shown, form)


def _form(request: HttpRequest, person: Person, sheet: Sheet, data: Any = None, **more: Any) -> Any:
    homes = {line.household_id for line in sheet.values() if line.household_id}
    memberships = HouseholdMembership.objects.filter(household_id__in=homes)
    return ContactForm(
        data,
        sheet=sheet,
        homes=dict(memberships.values_list("household_id", "household__name")),
        may_see_private=people.may_see_private(request.user, person),
        texts=District.current().text_enabled,
        language=person.language,
        notes=_notes(sheet),
        **more,
    )


def _notes(sheet: Sheet) -> dict[str, list[str]]:
    """What the owners of the numbers have said, for people who wonder why nothing arrives."""
    values = [line.value for line in sheet.values() if line.value]
    consents = dict(TextConsent.objects.filter(number__in=values).values_list("number", "state"))
    refused = set(DoNotContact.objects.filter(value__in=values).values_list("value", flat=True))
    words = {
        TextConsent.State.OPTED_OUT: _("STOP was sent from this number: it gets no texts."),
        TextConsent.State.OPTED_IN: _("Opted in to texts."),
        TextConsent.State.PENDING: _("Texts wait for YES from this number."),
    }
    notes: dict[str, list[str]] = {}
    for key, line in sheet.items():
        said = [words[TextConsent.State(consents[line.value])]] if line.value in consents else []
        if line.value in refused:
            said.append(_("Asked not to be contacted here."))
        notes[key] = said
    return notes


def _show(
    request: HttpRequest, shown: dict[str, Any], form: ContactForm, status: int = 200
) -> HttpResponse:
    person: Person = shown["person"]
    shown |= {
        "form": form,
        "enrollments": person.enrollments.select_related("calendar__school").order_by(
            "-active", "-calendar__school_year", "calendar__school__name"
        ),
        "assignments": person.staff_assignments.select_related("school").order_by(
            "-active", "school__name", "staff_type"
        ),
        "homes": homes_of(person),
    }
    return render(request, "messenger/person.html", shown, status=status)


def homes_of(person: Person) -> list[dict[str, Any]]:
    """The households that the person belongs to, with everybody in them now."""
    today = people.local_today()
    return [
        {
            "household": mine.household,
            "members": mine.household.memberships.filter(people.current(today))
            .select_related("person")
            .order_by("person__is_student", "person_id"),
        }
        for mine in people.households_of(person, today)
    ]


def _save(request: HttpRequest, person: Person, shown: dict[str, Any]) -> HttpResponse:
    current = read_sheet(person)
    base = unpack(request.POST.get("seen", ""), current)
    if base is None or base.keys() - current.keys():
        messages.error(request, _("This page was too old to be saved. Here is what there is now."))
        return redirect("person", person.uuid)
    if "set" in request.POST:
        data = set_marks(request.POST, request.POST["set"], base)
        shown["unsaved"] = True
        return _show(request, shown, _form(request, person, base, data))
    form = _form(request, person, base, request.POST)
    if not form.is_valid():
        return _show(request, shown, form, 422)
    user: Any = request.user
    author = Author(Door.ADMIN, user)
    try:
        changed = save_sheet(person, base, form.wanted(), author)
    except ChangedMeanwhile as meanwhile:
        merged = merge(base, form.wanted(), meanwhile.current)
        shown["meanwhile"] = history.entries(
            list(history.changes_of(person)[:5]), people.may_see_private(user, person)
        )
        again = _form(request, person, meanwhile.current, entered=merged)
        return _show(request, shown, again, 409)
    spoke = "language" in request.POST and set_language(
        person, form.cleaned_data["language"], author
    )
    messages.success(request, saved_words(changed, form, spoke))
    return redirect("person", person.uuid)


def saved_words(changed: Difference, form: ContactForm, spoke: bool) -> str:
    """What a save did: "Saved: 3 marks added, 1 removed; Cell Phone changed." """
    said = mark_words(changed.marks_added, changed.marks_removed)
    lines: dict[str, Line] = form.wanted()
    for key in changed.points:
        name = {"device": form.label_of(lines[key])}
        said.append(
            _("%(device)s changed") % name if lines[key].value else _("%(device)s removed") % name
        )
    if spoke:
        said.append(_("preferred language changed"))
    if not said:
        return _("Nothing was changed.")
    return _("Saved: %(changes)s.") % {"changes": ", ".join(said)}


def mark_words(added: int, removed: int) -> list[str]:
    """["3 marks added", "1 mark removed"], without what is nothing."""
    said = []
    if added:
        said.append(ngettext("%(n)d mark added", "%(n)d marks added", added) % {"n": added})
    if removed:
        said.append(ngettext("%(n)d mark removed", "%(n)d marks removed", removed) % {"n": removed})
    return said


@require_safe
@needs(rights.PEOPLE_VIEW)
def person_history(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Who changed what of the person, newest first."""
    found = person_or_404(request, uuid)
    page = Paginator(history.changes_of(found), CHANGES_A_PAGE).get_page(request.GET.get("page"))
    lines = history.entries(list(page), people.may_see_private(request.user, found))
    shown = frame_of(request, found, "history") | {"page": page, "lines": lines}
    return render(request, "messenger/person_history.html", shown)
