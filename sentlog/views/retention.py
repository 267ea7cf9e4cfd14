"""How long the district keeps detail, and what may not go: the Retention page of the settings."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from messenger import rights
from messenger.models import Message, User
from messenger.views.gate import needs
from sentlog import retention
from sentlog.models import LegalHold, Retention

HOLDS_SHOWN = 100


class RetentionForm(forms.ModelForm):
    """Days by kind."""

    class Meta:
        model = Retention
        fields = ["detail_days", "log_days", "draft_days"]


class HoldForm(forms.ModelForm):
    """A hold of one message, by the address of its page, or of a span of days."""

    address = forms.CharField(
        label=gettext_lazy("One message"),
        required=False,
        max_length=300,
        help_text=gettext_lazy("The address of its page in the Sent Message Log. Or two days:"),
    )

    class Meta:
        model = LegalHold
        fields = ["address", "first_day", "last_day", "reason"]
        widgets = {
            "first_day": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "last_day": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }

    def clean_address(self) -> Message | None:
        """The message that the address names."""
        words = [word for word in self.cleaned_data["address"].strip().split("/") if word]
        if not words:
            return None
        for word in reversed(words):
            try:
                found: Message | None = Message.objects.filter(uuid=word).first()
            except ValidationError:
                continue
            if found:
                return found
        raise ValidationError(_("There is no message with this address. Copy it from its page."))

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if cleaned.get("address"):
            if first or last:
                raise ValidationError(_("Hold either one message or a span of days, not both."))
        elif not first or not last:
            raise ValidationError(_("Say which message, or the first and the last day."))
        elif first > last:
            self.add_error("last_day", _("The last day lies before the first."))
        self.instance.message = cleaned.get("address")
        return cleaned


def _may_decide(request: HttpRequest) -> bool:
    """Detail belongs to the district: who may change its settings everywhere decides."""
    return rights.scope_of(request.user, rights.SETTINGS_EDIT).district


def _show(
    request: HttpRequest, form: RetentionForm, hold_form: HoldForm, status: int = 200
) -> HttpResponse:
    if not _may_decide(request):
        for field in form.fields.values():
            field.disabled = True
    context = {
        "form": form,
        "hold_form": hold_form,
        "may_decide": _may_decide(request),
        "due": retention.due_now(),
        "kept": Retention.current(),
        "holds": LegalHold.objects.select_related("message")[:HOLDS_SHOWN],
    }
    return render(request, "sentlog/retention.html", context, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@needs(rights.SETTINGS_VIEW)
def retention_page(request: HttpRequest) -> HttpResponse:
    """What is kept for how long, what would go now, and the holds."""
    kept = Retention.current()
    if request.method != "POST":
        return _show(request, RetentionForm(instance=kept), HoldForm())
    user = request.user
    if not _may_decide(request) or not isinstance(user, User):
        raise PermissionDenied
    form = RetentionForm(request.POST, instance=kept)
    if not form.is_valid():
        return _show(request, form, HoldForm(), 422)
    form.instance.changed_by_name = user.name_in_log()
    form.save()
    messages.success(request, _("Saved. What is due goes within the hour."))
    return redirect("retention")


@require_POST
@needs(rights.SETTINGS_EDIT)
def hold_place(request: HttpRequest) -> HttpResponse:
    """Places a legal hold: from now on nothing that it keeps is removed."""
    user = request.user
    if not _may_decide(request) or not isinstance(user, User):
        raise PermissionDenied
    form = HoldForm(request.POST)
    if not form.is_valid():
        return _show(request, RetentionForm(instance=Retention.current()), form, 422)
    retention.place_hold(form.instance, user)
    messages.success(request, _("The hold is placed. Nothing that it keeps is removed any more."))
    return redirect("retention")


@require_POST
@needs(rights.SETTINGS_EDIT)
def hold_lift(request: HttpRequest, number: int) -> HttpResponse:
    """Lifts a hold: what is due goes with the next removal."""
    user = request.user
    if not _may_decide(request) or not isinstance(user, User):
        raise PermissionDenied
    if retention.lift_hold(get_object_or_404(LegalHold, pk=number), user):
        messages.success(request, _("The hold is lifted. What is due goes within the hour."))
    return redirect("retention")
