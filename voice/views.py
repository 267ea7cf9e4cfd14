"""The pages of the phone: Voice Settings. They parse, call a verb and render."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from messenger import rights
from messenger.views.gate import needs
from voice import account
from voice.forms import CallingForm, CredentialsForm
from voice.models import CustomerAccount, VoiceSettings

LEVELS = {
    account.FINE: messages.success,
    account.REFUSED: messages.error,
    account.UNREACHABLE: messages.warning,
}


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.SETTINGS_VIEW)
def voice_settings(request: HttpRequest) -> HttpResponse:
    """How calls are made; and the form of the account for those who may see it."""
    settings = VoiceSettings.current()
    calling = CallingForm(instance=settings)
    if request.method == "POST":
        if not rights.may(request.user, rights.SETTINGS_EDIT):
            raise PermissionDenied
        calling = CallingForm(request.POST, instance=settings)
        if calling.is_valid():
            # Only its own columns: a check of the account may be writing the others.
            calling.instance.save(update_fields=list(calling.fields))
            messages.success(request, _("The calling settings are saved."))
            return redirect("voice_settings")
        settings = VoiceSettings.current()
    return _render(request, settings, calling=calling, form=calling)


@require_POST
@needs(rights.CREDENTIALS_EDIT)
def save_account(request: HttpRequest) -> HttpResponse:
    """Stores the credentials and asks the dialer about them at once (A1-08)."""
    settings = VoiceSettings.current()
    credentials = CredentialsForm(request.POST, settings=settings)
    if credentials.is_valid():
        given = credentials.cleaned_data
        result = account.verify_and_save(
            settings, given["username"], given["password"] or None, given["endpoint"]
        )
        if result.kind != account.REFUSED:
            LEVELS[result.kind](request, result.words)
            return redirect("voice_settings")
        credentials.add_error(None, result.words)
        credentials.add_error(None, _("Voice messages are off until the dialer accepts them."))
    return _render(request, VoiceSettings.current(), credentials=credentials, form=credentials)


@require_POST
@needs(rights.CREDENTIALS_EDIT)
def test_connection(request: HttpRequest) -> HttpResponse:
    """Asks the dialer without changing anything but the time of the check (A1-14)."""
    result = account.check(VoiceSettings.current())
    VoiceSettings.objects.filter(pk=1).update(checked_at=timezone.now())
    LEVELS[result.kind](request, result.words)
    return redirect("voice_settings")


def _render(request: HttpRequest, settings: VoiceSettings, **forms: Any) -> HttpResponse:
    wrong = bool(forms["form"].errors)
    may_edit = rights.may(request.user, rights.SETTINGS_EDIT)
    calling = forms.get("calling") or CallingForm(instance=settings)
    if not may_edit:
        for field in calling.fields.values():
            field.disabled = True
    return render(
        request,
        "voice/settings.html",
        {
            "settings": settings,
            "calling": calling,
            "credentials": forms.get("credentials") or CredentialsForm(settings=settings),
            "form": forms["form"],
            "customer": CustomerAccount.objects.filter(kind=CustomerAccount.Kind.DISTRICT).first(),
        },
        status=422 if wrong else 200,
    )
