"""The District settings page."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger import rights
from messenger.forms.district import DistrictForm
from messenger.models import District
from messenger.views.gate import needs


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.SETTINGS_VIEW)
def settings_page(request: HttpRequest) -> HttpResponse:
    """Shows the district's settings; changes them for those who may."""
    form = DistrictForm(instance=District.current())
    if request.method == "POST":
        if not rights.may(request.user, rights.SETTINGS_EDIT):
            raise PermissionDenied
        form = DistrictForm(request.POST, instance=District.current())
        if form.is_valid():
            form.save()
            messages.success(request, _("The district's settings are saved."))
            return redirect("settings")
    if not rights.may(request.user, rights.SETTINGS_EDIT):
        for field in form.fields.values():
            field.disabled = True
    return render(
        request, "messenger/settings.html", {"form": form}, status=422 if form.errors else 200
    )
