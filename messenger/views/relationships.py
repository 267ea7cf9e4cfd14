"""The Relationships tab of a person: who is whose contact, and who lives in which household."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST

from messenger import history, people, relationships, rights
from messenger.forms.relationships import MembershipForm, RelationshipForm, RowForm
from messenger.models import Door, HouseholdMembership, Person, Relationship
from messenger.people_search import find_people
from messenger.preferences import Author
from messenger.relationships import RowsChangedMeanwhile
from messenger.views.gate import needs
from messenger.views.people import found_rows, frame_of, person_or_404

OFFERED = 10  # people whom a search offers to add


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.PEOPLE_VIEW)
def person_relationships(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The columns of the source's tab (A7-05), from the student's side and from the contact's."""
    person = person_or_404(request, uuid)
    shown = frame_of(request, person, "relationships")
    links, members = _links(request, person), _members(person)
    if request.method == "POST":
        if not shown["may_edit"]:
            raise PermissionDenied
        return _save(request, shown, links, members)
    forms = _forms(RelationshipForm, links), _forms(MembershipForm, members)
    for form in (*forms[0], *forms[1]):
        for field in form.fields.values():
            field.disabled = not shown["may_edit"]
    return _show(request, shown, *forms)


def _links(request: HttpRequest, person: Person) -> list[Relationship]:
    """Relationships about students whom the user may see; those that hold first."""
    return list(
        Relationship.objects.filter(Q(student=person) | Q(guardian=person), active=True)
        .filter(student__in=people.people_for(request.user))
        .select_related("student", "guardian")
        .order_by("end_date", "emergency_priority", "pk")
    )


def _members(person: Person) -> list[HouseholdMembership]:
    """Everybody in the households to which the person belongs."""
    homes = [mine.household_id for mine in people.households_of(person, people.local_today())]
    return list(
        HouseholdMembership.objects.filter(household_id__in=homes, active=True)
        .select_related("person", "household")
        .order_by("household_id", "person__is_student", "pk")
    )


def _forms(kind: type[RowForm], rows: list[Any], data: Any = None) -> list[Any]:
    name = kind._meta.model.__name__.lower()
    return [kind(data, instance=row, prefix=f"{name}-{row.pk}") for row in rows]


def _show(
    request: HttpRequest,
    shown: dict[str, Any],
    links: list[Any],
    members: list[Any],
    status: int = 200,
) -> HttpResponse:
    words = request.GET.get("q", "").strip()[:100]
    related = {link.instance.guardian_id for link in links}
    found = find_people(words, request.user, OFFERED + len(related)) if words else []
    shown |= {
        "links": links,
        "members": members,
        "q": words,
        "offered": found_rows([each for each in found if each.person_id not in related][:OFFERED]),
        "wrong": any(form.errors for form in [*links, *members]),
    }
    return render(request, "messenger/person_relationships.html", shown, status=status)


def _save(
    request: HttpRequest,
    shown: dict[str, Any],
    links: list[Relationship],
    members: list[HouseholdMembership],
) -> HttpResponse:
    link_forms = _forms(RelationshipForm, links, request.POST)
    member_forms = _forms(MembershipForm, members, request.POST)
    # A row that the page did not have (somebody has just added it) is none of this save's.
    sent = [form for form in link_forms if form.add_prefix("seen") in request.POST]
    sent_members = [form for form in member_forms if form.add_prefix("seen") in request.POST]
    if not all(form.is_valid() for form in [*sent, *sent_members]):
        return _show(request, shown, sent, sent_members, 422)
    user: Any = request.user
    author = Author(Door.ADMIN, user)
    try:
        changed = relationships.save_rows(
            [form.wish() for form in sent], [form.wish() for form in sent_members], author
        )
    except RowsChangedMeanwhile:
        # What was typed stays, beside what there is now; saving again is a decision.
        data = request.POST.copy()
        for form in [*sent, *sent_members]:
            data[form.add_prefix("seen")] = form.initial["seen"]
        person = shown["person"]
        shown["meanwhile"] = history.entries(
            list(history.changes_of(person)[:5]), people.may_see_private(user, person)
        )
        both = _forms(RelationshipForm, links, data), _forms(MembershipForm, members, data)
        return _show(request, shown, *both, 409)
    if changed:
        said = ngettext("Saved: %(n)d change.", "Saved: %(n)d changes.", changed) % {"n": changed}
        messages.success(request, said)
    else:
        messages.success(request, _("Nothing was changed."))
    return redirect("person_relationships", shown["person"].uuid)


@require_POST
@needs(rights.PEOPLE_EDIT)
def relate(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Makes somebody a messenger contact of the student, or a member of a household."""
    person = person_or_404(request, uuid)
    if not people.may_edit(request.user, person):
        raise PermissionDenied
    other = get_object_or_404(
        people.people_for(request.user), uuid=request.POST.get("person", uuid)
    )
    user: Any = request.user
    author = Author(Door.ADMIN, user)
    home = request.POST.get("household", "")
    if home:
        today = people.local_today()
        mine = [m for m in people.households_of(person, today) if str(m.household.uuid) == home]
        if mine and other != person:
            relationships.add_member(mine[0].household, other, author)
    elif person.is_student:
        label = request.POST.get("label", "").strip()[:60]
        relationships.relate(person, other, author, label)
    messages.success(request, _("%(name)s is added.") % {"name": other.name_in_log()})
    return redirect("person_relationships", person.uuid)
