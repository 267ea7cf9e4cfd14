"""Users and roles: who holds which role where, what each role may do, and who changed it.

For those who hold `users.manage` in the whole district. The verbs and their guards are in
`messenger.access`.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Count, Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import access
from messenger.forms.access import GiveForm, RoleForm
from messenger.models import AccessChange, Role, RoleAssignment, User

USERS_A_PAGE = 50
CHANGES_SHOWN = 20


def manages(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The page opens for those who may manage users; others get 403."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not access.may_manage(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@require_safe
@manages
def overview(request: HttpRequest) -> HttpResponse:
    """Users (found by a part of their name), roles, and the latest changes."""
    users = User.objects.order_by("last_name", "first_name", "pk").prefetch_related(
        Prefetch(
            "role_assignments",
            RoleAssignment.objects.select_related("role", "school").order_by(
                "role__name", "school__name"
            ),
        )
    )
    wanted = request.GET.get("name", "").strip()
    for word in wanted.split():
        users = users.filter(
            Q(last_name__icontains=word)
            | Q(first_name__icontains=word)
            | Q(username__icontains=word)
        )
    alone = [access.LABELS[right] for right in access.KEPT if access.holders_of(right) == 1]
    return render(
        request,
        "messenger/access.html",
        {
            "page": Paginator(users, USERS_A_PAGE).get_page(request.GET.get("page")),
            "wanted": wanted,
            "roles": [
                (role, [access.LABELS.get(right, right) for right in role.rights])
                for role in Role.objects.annotate(
                    held_by=Count("assignments__user", distinct=True)
                ).order_by("name")
            ],
            "changes": [
                (
                    change,
                    [access.LABELS.get(right, right) for right in change.rights_added],
                    [access.LABELS.get(right, right) for right in change.rights_removed],
                )
                for change in AccessChange.objects.all()[:CHANGES_SHOWN]
            ],
            "alone": alone,
        },
    )


@require_http_methods(["GET", "HEAD", "POST"])
@manages
def role(request: HttpRequest, uuid: UUID | None = None) -> HttpResponse:
    """A role with its rights as check boxes; without an address, a new one."""
    user = _user(request)
    found = get_object_or_404(Role, uuid=uuid) if uuid else None
    may_change = found is None or access.may_hand_out(user, found)
    form = RoleForm(user, found)
    if request.method == "POST":
        form = RoleForm(user, found, request.POST)
        if form.is_valid():
            try:
                saved = access.save_role(user, found, form.cleaned_data["name"], form.chosen)
            except access.Refused as refused:
                form.add_error(None, refused.words)
            else:
                messages.success(request, _("The role %(name)s is saved.") % {"name": saved.name})
                return redirect("access")
    if not may_change:
        for field in form.fields.values():
            field.disabled = True
    held_by = found.assignments.values("user").distinct().count() if found else 0
    return render(
        request,
        "messenger/role.html",
        {"form": form, "role": found, "may_change": may_change, "held_by": held_by},
        status=422 if form.errors else 200,
    )


@require_POST
@manages
def role_remove(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Removes a role that nobody holds."""
    found = get_object_or_404(Role, uuid=uuid)
    try:
        access.remove_role(_user(request), found)
    except access.Refused as refused:
        messages.error(request, refused.words)
        return redirect("role", uuid)
    messages.success(request, _("The role %(name)s is removed.") % {"name": found.name})
    return redirect("access")


@require_http_methods(["GET", "HEAD", "POST"])
@manages
def person(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The roles of a user; here another one is given."""
    user = _user(request)
    found = get_object_or_404(User, uuid=uuid)
    form = GiveForm(user)
    if request.method == "POST":
        form = GiveForm(user, request.POST)
        if form.is_valid():
            try:
                given = access.give(
                    user, found, form.cleaned_data["role"], form.cleaned_data["schools"]
                )
            except access.Refused as refused:
                form.add_error(None, refused.words)
            else:
                words = _("The role is given.") if given else _("This role is held there already.")
                messages.success(request, words)
                return redirect("access_user", uuid)
    assignments = found.role_assignments.select_related("role", "school").order_by(
        "role__name", "school__name"
    )
    return render(
        request,
        "messenger/access_user.html",
        {
            "form": form,
            "person": found,
            "assignments": [(row, access.may_hand_out(user, row.role)) for row in assignments],
        },
        status=422 if form.errors else 200,
    )


@require_POST
@manages
def take(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """Takes a role from a user; the form says which and where."""
    found = get_object_or_404(User, uuid=uuid)
    number = request.POST.get("assignment", "")
    row = (
        found.role_assignments.select_related("role", "school", "user")
        .filter(pk=int(number) if number.isdecimal() and len(number) < 19 else 0)
        .first()
    )
    if row is None:
        messages.info(request, _("The user does not hold this role there any more."))
        return redirect("access_user", uuid)
    try:
        access.take(_user(request), row)
    except access.Refused as refused:
        messages.error(request, refused.words)
    else:
        messages.success(request, _("The role is taken back."))
    # Rights are read once a request; whoever took it from themselves cannot come back here.
    if not access.may_manage(User.objects.get(pk=_user(request).pk)):
        return redirect("home")
    return redirect("access_user", uuid)
