"""The forms of Voice Settings: the account at the dialer, and how calls are made.

Whether credentials are good is asked of the dialer by `voice.account`; these forms only refuse what
cannot be right. The password is write-only: it is taken, never shown.
"""

from typing import Any

import phonenumbers
from django import forms
from django.core.validators import URLValidator
from django.utils.translation import gettext_lazy as _

from voice.models import VoiceSettings

# What the wire allows (RingSeconds), and what a family would bear.
RING_SECONDS = (10, 120)
MOST_REDIALS = 9
MOST_MINUTES_BETWEEN = 240
RESULT_MINUTES = (5, 1440)
REGION = "US"  # of numbers written without a country code
WEEKDAYS = [
    (0, _("Monday")),
    (1, _("Tuesday")),
    (2, _("Wednesday")),
    (3, _("Thursday")),
    (4, _("Friday")),
    (5, _("Saturday")),
    (6, _("Sunday")),
]


class CredentialsForm(forms.Form):
    """User Name, Password and URL End Point (A1-06). The stored password is kept when the field is
    left empty, but never sent to another end point or for another user name."""

    username = forms.CharField(
        label=_("User Name"),
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    password = forms.CharField(
        label=_("Password"),
        max_length=200,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )
    endpoint = forms.CharField(
        label=_("URL End Point"),
        max_length=300,
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.URLInput(attrs={"spellcheck": "false"}),
        help_text=_("As the dialer's provider gave it. It begins with https://"),
    )

    prefix = "account"

    def __init__(self, data: Any = None, *, settings: VoiceSettings) -> None:
        initial = {"username": settings.username, "endpoint": settings.endpoint}
        super().__init__(data, initial=initial)
        self.settings = settings
        self.fields["password"].help_text = (
            _("A password is stored. Leave this empty to keep it.")
            if settings.password_encrypted
            else _("It is stored encrypted and never shown again.")
        )

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if "password" in self.errors or cleaned.get("password"):
            return cleaned
        if not self.settings.password_encrypted:
            self.add_error("password", _("Enter the password."))
        elif {"username", "endpoint"} & set(self.changed_data):
            self.add_error(
                "password",
                _("Enter the password again: it belongs to the user name and end point before."),
            )
        return cleaned


def _national(number: str) -> str:
    """+16125550100 as families read it: (612) 555-0100; what is no number stays as it is."""
    try:
        parsed = phonenumbers.parse(number, REGION)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)


class CallingForm(forms.ModelForm):
    """How and when calls are made. Times are wall time in the district's zone."""

    allowed_days = forms.TypedMultipleChoiceField(
        label=_("Days"),
        choices=WEEKDAYS,
        coerce=int,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Calls are made on these days. Tick none for every day."),
    )

    class Meta:
        model = VoiceSettings
        fields = [
            "district_start",
            "district_end",
            "allowed_days",
            "redials",
            "minutes_between_redials",
            "ring_seconds",
            "leave_message",
            "redial_machine",
            "default_caller_id",
            "result_timeout",
            "emergency_result_timeout",
        ]
        labels = {
            "redials": _("Redials on busy and no answer"),
            "minutes_between_redials": _("Minutes between redials"),
            "ring_seconds": _("Seconds to ring"),
            "result_timeout": _("Minutes until missing results become an error"),
            "emergency_result_timeout": _("The same for an emergency"),
        }
        help_texts = {
            "default_caller_id": _("The number that families see, such as (612) 555-0100."),
        }
        widgets = {
            "district_start": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "district_end": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    prefix = "calling"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if caller_id := self.instance.default_caller_id:
            self.initial["default_caller_id"] = _national(caller_id)
        for name, low, high in (
            ("redials", 0, MOST_REDIALS),
            ("minutes_between_redials", 1, MOST_MINUTES_BETWEEN),
            ("ring_seconds", *RING_SECONDS),
            ("result_timeout", *RESULT_MINUTES),
            ("emergency_result_timeout", *RESULT_MINUTES),
        ):
            label = self.fields[name].label
            self.fields[name] = forms.IntegerField(label=label, min_value=low, max_value=high)

    def clean_default_caller_id(self) -> str:
        """Stored as E.164; empty leaves the choice to the dialer."""
        value = str(self.cleaned_data["default_caller_id"]).strip()
        if not value:
            return ""
        try:
            number = phonenumbers.parse(value, REGION)
        except phonenumbers.NumberParseException:
            number = None
        whole = phonenumbers.ValidationResult.IS_POSSIBLE  # not one without its area code
        if (
            number is None
            or number.extension
            or phonenumbers.is_possible_number_with_reason(number) != whole
        ):
            raise forms.ValidationError(
                _("Enter a phone number with its area code, such as (612) 555-0100.")
            )
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("district_start"), cleaned.get("district_end")
        if start and end and start >= end:
            self.add_error("district_end", _("The district's hours must end after they start."))
        return cleaned
