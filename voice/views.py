"""The pages of the phone: Voice Settings and the alarms. They parse, call a verb and render."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from messenger import rights
from messenger.models import District
from messenger.views.gate import needs
from voice import account
from voice.forms import CallingForm, CredentialsForm, HostingForm
from voice.models import CustomerAccount, VoiceSettings
from voice.templatetags.voice_state import standing_alarms

LEVELS = {
    account.FINE: messages.success,
    account.REFUSED: messages.error,
    account.UNREACHABLE: messages.warning,
}


def with_voice(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The page takes nothing while voice is not part of the district's contract (A1-01)."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and not District.current().voice_enabled:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return guarded


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.SETTINGS_VIEW)
@with_voice
def voice_settings(request: HttpRequest) -> HttpResponse:
    """How calls are made; and the form of the account for those who may see it."""
    calling = CallingForm(instance=VoiceSettings.current())
    if request.method == "POST":
        if not rights.may(request.user, rights.SETTINGS_EDIT):
            raise PermissionDenied
        calling = CallingForm(request.POST, instance=VoiceSettings.current())
        if calling.is_valid():
            calling.save()
            messages.success(request, _("The calling settings are saved."))
            return redirect("voice_settings")
    return _render(request, form=calling, calling=calling)


@require_POST
@needs(rights.CREDENTIALS_EDIT)
@with_voice
def save_account(request: HttpRequest) -> HttpResponse:
    """Stores the credentials and asks each end point about them at once (A1-08, ruling 23)."""
    settings = VoiceSettings.current()
    user: Any = request.user
    form = CredentialsForm(request.POST, settings=settings)
    if not form.is_valid():
        return _render(request, form=form, credentials=form)
    given = form.cleaned_data
    first = account.verify_and_save(
        settings,
        given["username"],
        given["password"] or None,
        given["endpoint"],
        by=user.name_in_log(),
    )
    if first.kind == account.REFUSED:
        form.add_error(None, first.words)
        form.add_error(None, _("Voice messages are off until the dialer accepts them."))
        return _render(request, form=form, credentials=form)
    second = account.verify_second(settings, given["second_endpoint"])
    if second is not None and second.kind == account.REFUSED:
        form.add_error("second_endpoint", second.words)
        form.add_error(None, _("The second end point is not used. Everything else is saved."))
        return _render(request, form=form, credentials=form)
    LEVELS[first.kind](request, first.words)
    if second is not None:
        LEVELS[second.kind](request, _second_words(second))
    return redirect("voice_settings")


def _second_words(result: account.CheckResult) -> str:
    if result.ok:
        return _("Second end point: %(words)s") % {"words": result.words}
    return _("Second end point: %(words)s It is kept and not used until it is verified.") % {
        "words": result.words
    }


@require_POST
@needs(rights.CREDENTIALS_EDIT)
@with_voice
def test_connection(request: HttpRequest) -> HttpResponse:
    """Asks each end point without changing anything but the time of the check (A1-14)."""
    found = account.check_doors(VoiceSettings.current())
    VoiceSettings.objects.filter(pk=1).update(checked_at=timezone.now())
    for door in found:
        words = door.result.words
        if len(found) > 1:
            name = _("Second end point") if door.number == 2 else _("First end point")
            words = f"{name}: {words}"
        LEVELS[door.result.kind](request, words)
    return redirect("voice_settings")


@require_POST
@needs(rights.HOSTING_EDIT)
def save_hosting(request: HttpRequest) -> HttpResponse:
    """The add-ons of the contract and the lines: hosting alone (A1-01, A1-19)."""
    form = HostingForm(request.POST, settings=VoiceSettings.current(), district=District.current())
    if form.is_valid():
        form.save()
        messages.success(request, _("The contract's part is saved."))
        return redirect("voice_settings")
    return _render(request, form=form, hosting=form)


@require_safe
def alarms(request: HttpRequest) -> HttpResponse:
    """The banners at the head of every page; 204 while they are what the page shows already."""
    shown = standing_alarms(request.user)
    if request.GET.get("seen") == shown["seen"]:
        return HttpResponse(status=204)
    return render(request, "voice/parts/standing_alarms.html", shown)


def _render(request: HttpRequest, *, form: Any, **forms: Any) -> HttpResponse:
    """The page with the form that was posted (`form`, also under its own name in `forms`) and fresh
    ones beside it."""
    settings, district = VoiceSettings.current(), District.current()
    calling = forms.get("calling") or CallingForm(instance=settings)
    if not rights.may(request.user, rights.SETTINGS_EDIT):
        for field in calling.fields.values():
            field.disabled = True
    customers = CustomerAccount.objects.select_related("school")
    return render(
        request,
        "voice/settings.html",
        {
            "settings": settings,
            "calling": calling,
            "credentials": forms.get("credentials") or CredentialsForm(settings=settings),
            "hosting": forms.get("hosting") or HostingForm(settings=settings, district=district),
            "form": form,
            "customer": customers.filter(kind=CustomerAccount.Kind.DISTRICT).first(),
            "school_customers": customers.filter(kind=CustomerAccount.Kind.SCHOOL).order_by(
                "school__name"
            ),
        },
        status=422 if form.errors else 200,
    )
