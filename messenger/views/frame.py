"""The pages around the pages: signing in, the theme, the development style guide."""

from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from messenger.forms.styleguide import EveryField
from messenger.models import Message
from messenger.views.context import THEMES

A_YEAR = 365 * 24 * 3600  # seconds


class SignIn(auth.LoginView):
    """The sign-in page. django-axes stands behind it and locks out who guesses."""

    redirect_authenticated_user = True


@method_decorator(login_not_required, name="dispatch")
class SignOut(auth.LogoutView):
    """Ends the session (POST alone)."""

    http_method_names = ["post"]


def locked_out(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
    """What django-axes answers to somebody who failed too often (429)."""
    minutes = round(settings.AXES_COOLOFF_TIME * 60)
    return render(request, "registration/locked.html", {"minutes": minutes}, status=429)


@require_POST
@login_not_required
def choose_theme(request: HttpRequest) -> HttpResponse:
    """Remembers light, dark or the system's choice in a cookie and goes back."""
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}):
        back = "/"
    answer = HttpResponseRedirect(back)
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        answer.set_cookie(
            "theme",
            theme,
            max_age=A_YEAR,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
        )
    else:
        answer.delete_cookie("theme", samesite="Lax")
    return answer


@require_safe
@login_not_required
def styleguide(request: HttpRequest) -> HttpResponse:
    """Every component in every state; for development and the browser tests alone."""
    if not (settings.DEBUG or getattr(settings, "STYLEGUIDE", False)):
        raise Http404
    wrong = EveryField({"wrong-choice": "nonsense"}, prefix="wrong")
    wrong.full_clean()
    return render(
        request,
        "messenger/styleguide.html",
        {
            "statuses": Message.Status.choices,
            "fields": EveryField(),
            "form": wrong,
            "page": Paginator(range(4210), 50).page(7),
            "now": timezone.now(),
            "items": [_("The dialer's password is missing."), _("No school is chosen.")],
        },
    )
