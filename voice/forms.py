"""The forms of Voice Settings: the account at the dialer, and how calls are made.

Whether credentials are good is asked of the dialer by `voice.account`; these forms only refuse what
cannot be right. The password is write-only: it is taken, never shown.
"""

import re
from typing import Any

from django import forms
from django.core.validators import URLValidator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from messenger.models import Device, District
from messenger.templatetags.shown import moment_words
from voice.models import VoiceSettings

# What the wire allows (RingSeconds), and what a family would bear.
RING_SECONDS = (10, 120)
MOST_REDIALS = 9
MOST_MINUTES_BETWEEN = 240
RESULT_MINUTES = (5, 1440)
MOST_LINES = 20_000
# A short code, a number in E.164, or letters as carriers outside the United States take them.
TEXT_SENDER = re.compile(r"\d{5,6}|\+[1-9]\d{7,14}|(?=.*[A-Za-z])[A-Za-z0-9]{3,11}")
WEEKDAYS = [
    (0, _("Monday")),
    (1, _("Tuesday")),
    (2, _("Wednesday")),
    (3, _("Thursday")),
    (4, _("Friday")),
    (5, _("Saturday")),
    (6, _("Sunday")),
]


# The household phone is a chain of its own and comes first; these follow in the district's order.
ORDERED_DEVICES = [Device.CELL, Device.WORK, Device.OTHER, Device.PAGER]
PLACES = {
    "first_device": _("First"),
    "second_device": _("Second"),
    "third_device": _("Third"),
    "fourth_device": _("Fourth"),
}


class CredentialsForm(forms.Form):
    """User Name, Password, URL End Point and a second one (A1-05, A1-06). The stored password is
    kept when the field is left empty, but never sent to an address that it was not entered for, or
    for another user name."""

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
    second_endpoint = forms.CharField(
        label=_("Second URL End Point"),
        max_length=300,
        required=False,
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.URLInput(attrs={"spellcheck": "false"}),
        help_text=_("Another door to the same account, used when the first does not answer."),
    )

    prefix = "account"

    def __init__(self, data: Any = None, *, settings: VoiceSettings) -> None:
        initial = {
            "username": settings.username,
            "endpoint": settings.endpoint,
            "second_endpoint": settings.second_endpoint,
        }
        super().__init__(data, initial=initial)
        self.settings = settings
        self.fields["password"].help_text = _password_words(settings)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        second = cleaned.get("second_endpoint")
        if second and second == cleaned.get("endpoint"):
            self.add_error("second_endpoint", _("The second end point must be another address."))
        if "password" in self.errors or cleaned.get("password"):
            return cleaned
        if not self.settings.password_encrypted:
            self.add_error("password", _("Enter the password."))
        elif self._goes_elsewhere(second or ""):
            self.add_error(
                "password",
                _("Enter the password again: it belongs to the user name and end points before."),
            )
        return cleaned

    def _goes_elsewhere(self, second: str) -> bool:
        known = {self.settings.endpoint, self.settings.second_endpoint}
        return bool({"username", "endpoint"} & set(self.changed_data)) or bool(
            second and second not in known
        )


def _password_words(settings: VoiceSettings) -> str:
    """That there is one, since when and by whom; never the password itself."""
    if not settings.password_encrypted:
        return gettext("It is stored encrypted and never shown again.")
    if settings.password_set_at is None:
        return gettext("A password is stored. Leave this empty to keep it.")
    when, who = moment_words(settings.password_set_at), settings.password_set_by
    words = (
        gettext("A password is stored, set %(when)s by %(who)s. Leave this empty to keep it.")
        if who
        else gettext("A password is stored, set %(when)s. Leave this empty to keep it.")
    )
    return words % {"when": when, "who": who}


class CallingForm(forms.ModelForm):
    """How and when calls are made, and in which order a person's phones are dialed (X-29). Times
    are wall time in the district's zone."""

    first_device = forms.ChoiceField()
    second_device = forms.ChoiceField()
    third_device = forms.ChoiceField()
    fourth_device = forms.ChoiceField()

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
            "stop_on",
            "bundle_messages",
            "text_sender",
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
            "stop_on": _(
                "The next number is dialed all the same after a voicemail or a call that nobody "
                "confirmed, unless you choose so here. An emergency stops at key 0 alone."
            ),
            "bundle_messages": _(
                "A person or household is called once about several students: the same words are "
                "said once, others one after the other."
            ),
            "text_sender": _("The short code or number that texts come from."),
        }
        widgets = {
            "district_start": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            "district_end": forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        }

    prefix = "calling"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, low, high in (
            ("redials", 0, MOST_REDIALS),
            ("minutes_between_redials", 1, MOST_MINUTES_BETWEEN),
            ("ring_seconds", *RING_SECONDS),
            ("result_timeout", *RESULT_MINUTES),
            ("emergency_result_timeout", *RESULT_MINUTES),
        ):
            label = self.fields[name].label
            self.fields[name] = forms.IntegerField(label=label, min_value=low, max_value=high)
        self.fields["stop_on"].required = False
        order = [*District.current().device_order, *ORDERED_DEVICES]
        order = list(dict.fromkeys(device for device in order if device in ORDERED_DEVICES))
        choices = [(device.value, device.label) for device in ORDERED_DEVICES]
        for (name, place), device in zip(PLACES.items(), order, strict=True):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.label, field.choices, field.initial = place, choices, device

    def devices(self) -> list[forms.BoundField]:
        """The fields of the order of devices, for the page."""
        return [self[name] for name in PLACES]

    def clean_stop_on(self) -> str:
        """What was not asked stays as it is."""
        return str(self.cleaned_data["stop_on"] or self.instance.stop_on)

    def clean_text_sender(self) -> str:
        """Empty leaves the choice to the dialer."""
        value = str(self.cleaned_data["text_sender"]).strip()
        if value and not TEXT_SENDER.fullmatch(value):
            raise forms.ValidationError(
                _("Enter a short code such as 82290, or a number such as +16125550100.")
            )
        return value

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        start, end = cleaned.get("district_start"), cleaned.get("district_end")
        if start and end and start >= end:
            self.add_error("district_end", _("The district's hours must end after they start."))
        order = [cleaned.get(name) for name in PLACES]
        if None not in order and len(set(order)) < len(order):
            self.add_error("second_device", _("Put every device in one place only."))
        return cleaned

    def save(self, commit: bool = True) -> VoiceSettings:
        """Writes its own columns alone: a check of the account may be writing the others."""
        if commit:
            self.instance.save(update_fields=self.Meta.fields)
            order = [self.cleaned_data[name] for name in PLACES]
            District.objects.filter(pk=1).update(device_order=order)
        return self.instance


class HostingForm(forms.Form):
    """What hosting decides: the add-ons of the contract (A1-01) and the lines (A1-19, A2-04)."""

    voice_enabled = forms.BooleanField(
        label=_("Messenger with Voice"),
        required=False,
        help_text=_("Turn it on when the district's contract has been approved."),
    )
    text_enabled = forms.BooleanField(label=_("Text messages"), required=False)
    lines = forms.IntegerField(
        label=_("Lines"),
        min_value=1,
        max_value=MOST_LINES,
        required=False,
        help_text=_("Most calls of one message at once. Empty: as many as the dialer has."),
    )
    emergency_lines = forms.IntegerField(
        label=_("Emergency lines"),
        min_value=0,
        max_value=MOST_LINES,
        required=False,
        help_text=_("The contract's figure. The dialer keeps them free for emergencies."),
    )

    prefix = "hosting"

    def __init__(self, data: Any = None, *, settings: VoiceSettings, district: District) -> None:
        super().__init__(
            data,
            initial={
                "voice_enabled": district.voice_enabled,
                "text_enabled": district.text_enabled,
                "lines": settings.lines,
                "emergency_lines": settings.emergency_lines,
            },
        )

    def save(self) -> None:
        given = self.cleaned_data
        District.objects.filter(pk=1).update(
            voice_enabled=given["voice_enabled"], text_enabled=given["text_enabled"]
        )
        VoiceSettings.objects.filter(pk=1).update(
            lines=given["lines"], emergency_lines=given["emergency_lines"]
        )
