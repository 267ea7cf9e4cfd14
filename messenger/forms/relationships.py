"""The rows of the Relationships tab as forms. What they may become is decided by
`messenger.relationships`; each row brings back what its reader saw.
"""

from typing import Any

from django import forms
from django.core import signing
from django.utils.translation import gettext_lazy as _

from messenger.models import HouseholdMembership, Relationship
from messenger.relationships import FIELDS, MEMBER_FIELDS, Wish, state_of

SALT = "relationships"
_DATE = {"type": "date"}


class RowForm(forms.ModelForm):
    """One row: fields that can be changed, and what they were when the page was made."""

    seen = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen"] = signing.dumps(_plain(state_of(self.instance)), salt=SALT)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        start, end = cleaned.get("start_date"), cleaned.get("end_date")
        if start and end and end < start:
            self.add_error("end_date", _("The end is before the start."))
        return cleaned

    def wish(self) -> Wish:
        """What the row shall become; `seen` is nothing that ever was when it was tampered with."""
        wanted = {name: self.cleaned_data[name] for name in self._meta.fields or ()}
        try:
            seen = signing.loads(self.cleaned_data["seen"], salt=SALT)
        except signing.BadSignature:
            seen = {}
        now = state_of(type(self.instance).objects.get(pk=self.instance.pk))
        same = _plain(now) == seen
        return Wish(self.instance.pk, now if same else seen, wanted)


class RelationshipForm(RowForm):
    """A relationship (A7-05)."""

    class Meta:
        model = Relationship
        fields = list(FIELDS)
        labels = {
            "label": _("Relationship"),
            "start_date": _("Start Date"),
            "end_date": _("End Date"),
            "emergency_priority": _("Emergency Priority"),
            "is_guardian": _("Guardian"),
            "mailing": _("Mailing"),
            "portal": _("Portal"),
            "messenger": _("Messenger"),
            "private": _("Private"),
        }
        widgets = {
            "start_date": forms.DateInput(attrs=_DATE, format="%Y-%m-%d"),
            "end_date": forms.DateInput(attrs=_DATE, format="%Y-%m-%d"),
            "emergency_priority": forms.NumberInput(attrs={"min": 1, "max": 99}),
        }


class MembershipForm(RowForm):
    """A membership of a household."""

    class Meta:
        model = HouseholdMembership
        fields = list(MEMBER_FIELDS)
        labels = {"start_date": _("Start Date"), "end_date": _("End Date")}
        widgets = {
            "start_date": forms.DateInput(attrs=_DATE, format="%Y-%m-%d"),
            "end_date": forms.DateInput(attrs=_DATE, format="%Y-%m-%d"),
        }


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON has it."""
    return {
        name: value if isinstance(value, bool | int | None) else str(value)
        for name, value in state.items()
    }
