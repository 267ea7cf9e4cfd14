"""The form of the District settings: name, zone, and what a roster cannot say."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from messenger.models import ContactReason, Device, District
from messenger.roster.layout import METADATA_COLUMNS

# Zones of districts in the United States; one that hosting set to another keeps it.
US_ZONES = [
    "America/New_York",
    "America/Detroit",
    "America/Indiana/Indianapolis",
    "America/Chicago",
    "America/Denver",
    "America/Boise",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Adak",
    "Pacific/Honolulu",
    "America/Puerto_Rico",
    "Pacific/Guam",
]
PERSONAL = [Device.CELL, Device.WORK, Device.OTHER, Device.PAGER]
DEVICE_CHOICES = [(device.value, device.label) for device in PERSONAL]
REASON_FIELDS = {
    "roster_voice_reasons": _("A new phone is called for"),
    "roster_email_reasons": _("A new email address is written to for"),
    "roster_text_reasons": _("A new cell phone is texted for"),
}


METADATA_LABELS = {
    "work": _("Column of the work phone"),
    "household": _("Column of the household phone"),
    "language": _("Column of the language"),
    "private": _("Column of the private mark"),
}


class ReasonsField(forms.TypedMultipleChoiceField):
    """Contact reasons as marks on the page and as one mask of bits in the database."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            choices=[(str(reason.bit), reason.label) for reason in ContactReason],
            coerce=int,
            required=False,
            widget=forms.CheckboxSelectMultiple,
            **kwargs,
        )

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, int):
            return [str(reason.bit) for reason in ContactReason if value & reason.bit]
        return value

    def clean(self, value: Any) -> int:
        return sum(super().clean(value))


class DistrictForm(forms.ModelForm):
    """What a district decides about itself and its rosters."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"), help_text=_("Dialing windows are wall time in this zone.")
    )
    roster_voice_reasons = ReasonsField()
    roster_email_reasons = ReasonsField()
    roster_text_reasons = ReasonsField(
        help_text=_("Texts need consent: tick a reason only when your district has it on file.")
    )

    class Meta:
        model = District
        fields = [
            "name",
            "time_zone",
            "undo_seconds",
            "roster_sms_device",
            "roster_messenger_mark",
            "roster_voice_reasons",
            "roster_email_reasons",
            "roster_text_reasons",
        ]
        labels = {
            "name": _("District name"),
            "undo_seconds": _("Seconds to think again after Confirm"),
            "roster_sms_device": _("A number in the “sms” column becomes"),
            "roster_messenger_mark": _("A new guardian starts with the Messenger mark"),
        }
        help_texts = {
            "undo_seconds": _(
                "A message waits so long before it starts, and a cancel in that time leaves "
                "nothing behind. 0 to 120; an emergency never waits."
            )
        }
        widgets = {"roster_sms_device": forms.Select(choices=DEVICE_CHOICES)}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zones = self.fields["time_zone"]
        assert isinstance(zones, forms.ChoiceField)
        offered = dict.fromkeys([*US_ZONES, self.instance.time_zone])
        zones.choices = [(zone, zone.replace("_", " ")) for zone in offered]
        for name, label in REASON_FIELDS.items():
            self.fields[name].label = label
        columns = {**METADATA_COLUMNS, **self.instance.roster_metadata_columns}
        for key, label in METADATA_LABELS.items():
            self.fields[f"column_{key}"] = forms.RegexField(
                r"^metadata\.[A-Za-z0-9_.-]{1,90}$",
                label=label,
                required=False,
                initial=columns[key],
                error_messages={"invalid": _("Columns of your own begin with “metadata.”")},
            )

    def columns(self) -> list[forms.BoundField]:
        """The fields of the metadata columns, for the page."""
        return [self[f"column_{key}"] for key in METADATA_LABELS]

    def clean_roster_sms_device(self) -> str:
        device = str(self.cleaned_data["roster_sms_device"])
        if device not in PERSONAL:
            raise forms.ValidationError(_("Choose one of the devices."))
        return device

    def save(self, commit: bool = True) -> District:
        # An empty name turns a column off; keys that the page does not show are kept.
        self.instance.roster_metadata_columns |= {
            key: self.cleaned_data[f"column_{key}"] for key in METADATA_LABELS
        }
        if commit:
            # Hosting's switches and other columns are not this form's.
            own = [*self.Meta.fields, "roster_metadata_columns"]
            self.instance.save(update_fields=own)
        return self.instance
