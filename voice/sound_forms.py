"""The forms of Prompt Preferences, Caller ID Preferences and the TTS Dictionary.

They refuse what cannot be right and say why; whether a dialer takes a number is asked in
`voice.caller_ids`, whether a sound can be used in `voice.sound`.
"""

from typing import Any

import phonenumbers
from django import forms
from django.utils.translation import gettext_lazy as _

from messenger.composition import LANGUAGES
from messenger.models import ContactReason, School, User
from voice import recordings, sound
from voice.models import VoiceSettings
from voice.sound_models import AudioFile, CallerChoice, CallerNumber, Prompt, SpokenWord

REGION = "US"  # of numbers written without a country code
LONGEST_PROMPT = 500
KIND_HINTS = {
    Prompt.Kind.GREETING: _("After the district's name, before the message."),
    Prompt.Kind.CONFIRMATION: _(
        "To a person, after the message. Say that key 0 confirms. Empty: the standard words."
    ),
    Prompt.Kind.CLOSING: _("At the end of every call."),
}


class PromptPlace(forms.Form):
    """Which prompts are shown: a language, and the district's or a school's own."""

    language = forms.ChoiceField(label=_("Language"), choices=LANGUAGES)
    school = forms.ModelChoiceField(
        label=_("For"),
        queryset=School.objects.filter(active=True),
        to_field_name="uuid",
        required=False,
        empty_label=_("The district"),
    )


class PromptsForm(forms.Form):
    """Greeting, confirmation and closing of one language: each words, or a recording, or nothing
    (a school's then is the district's)."""

    def __init__(self, *args: Any, language: str, school: School | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.language, self.school = language, school
        rows = Prompt.objects.filter(language=language, school=school)
        self.stored = {
            row.kind: row for row in rows.select_related("audio").defer("audio__content")
        }
        for kind in Prompt.Kind:
            row = self.stored.get(kind)
            self.fields[f"{kind}_words"] = forms.CharField(
                label=_("%(prompt)s in words") % {"prompt": kind.label},
                required=False,
                max_length=LONGEST_PROMPT,
                help_text=KIND_HINTS[kind],
                initial=row.words if row else "",
                widget=forms.Textarea(attrs={"rows": 2, "class": "short"}),
            )
            self.fields[f"{kind}_file"] = forms.FileField(
                label=_("%(prompt)s as a recording (WAV)") % {"prompt": kind.label},
                required=False,
                widget=forms.FileInput(attrs={"accept": ".wav,audio/wav,audio/x-wav"}),
            )
            self.fields[f"{kind}_drop"] = forms.BooleanField(
                label=_("Remove this recording"), required=False
            )

    def parts(self) -> list[dict[str, Any]]:
        """The fields by prompt, for the page."""
        return [
            {
                "kind": kind,
                "label": kind.label,
                "words": self[f"{kind}_words"],
                "file": self[f"{kind}_file"],
                "drop": self[f"{kind}_drop"],
                "kept": self.stored[kind].audio if kind in self.stored else None,
            }
            for kind in Prompt.Kind
        ]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        for kind in Prompt.Kind:
            file = cleaned.get(f"{kind}_file")
            cleaned[f"{kind}_words"] = (cleaned.get(f"{kind}_words") or "").strip()
            if file is None:
                continue
            if cleaned[f"{kind}_words"]:
                self.add_error(f"{kind}_file", _("Either words or a recording, not both."))
                continue
            try:
                cleaned[f"{kind}_file"] = sound.convert(file.read(sound.MOST_BYTES + 1))
            except sound.BadSound as refusal:
                self.add_error(f"{kind}_file", refusal.words)
        return cleaned

    def save(self, user: User) -> None:
        """Writes what changed; a prompt without words and without a recording is removed."""
        for kind in Prompt.Kind:
            words: str = self.cleaned_data[f"{kind}_words"]
            made: sound.Sound | None = self.cleaned_data[f"{kind}_file"]
            before = self.stored.get(kind)
            audio: AudioFile | None = None
            if made is not None:
                audio = recordings.store(made)
            elif not words and before and not self.cleaned_data[f"{kind}_drop"]:
                audio = before.audio
            place: dict[str, Any] = {"kind": kind, "language": self.language, "school": self.school}
            if words or audio:
                row = {"words": "" if audio else words, "audio": audio}
                if before is None or (before.words, before.audio) != (row["words"], audio):
                    Prompt.objects.update_or_create(**place, defaults={**row, "changed_by": user})
            else:
                Prompt.objects.filter(**place).delete()


class NumberForm(forms.Form):
    """A number to add to the list of caller IDs."""

    number = forms.CharField(
        label=_("Phone number"),
        max_length=30,
        widget=forms.TextInput(attrs={"type": "tel", "autocomplete": "off"}),
        help_text=_("One that belongs to your district, such as (612) 555-0100."),
    )
    label = forms.CharField(
        label=_("Name"), max_length=80, required=False, help_text=_("For this list alone.")
    )

    def clean_number(self) -> str:
        """Stored as E.164. The wire takes numbers of the North American plan alone."""
        wrong = forms.ValidationError(
            _("Enter a phone number with its area code, such as (612) 555-0100.")
        )
        try:
            parsed = phonenumbers.parse(self.cleaned_data["number"], REGION)
        except phonenumbers.NumberParseException as error:
            raise wrong from error
        number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        whole = phonenumbers.ValidationResult.IS_POSSIBLE  # not one without its area code
        possible = phonenumbers.is_possible_number_with_reason(parsed) == whole
        if parsed.country_code != 1 or parsed.extension or not possible:
            raise wrong
        if number[2] in "01" or number[5] in "01":
            raise wrong
        if CallerNumber.objects.filter(number=number).exists():
            raise forms.ValidationError(_("This number is on the list."))
        return number


class NumberField(forms.ModelChoiceField):
    """One of the numbers that the dialer has taken."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            queryset=CallerNumber.objects.filter(verified_at__isnull=False),
            to_field_name="number",
            **kwargs,
        )

    def label_from_instance(self, row: CallerNumber) -> str:
        shown = national(row.number)
        return f"{shown} – {row.label}" if row.label else shown


class DefaultForm(forms.Form):
    """The district's caller ID."""

    default = NumberField(
        label=_("The district's calls come from"),
        required=False,
        empty_label=_("a number that the dialer chooses"),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["default"] = VoiceSettings.current().default_caller_id


class ChoiceForm(forms.Form):
    """A school's, a type's, or a school's number for a type."""

    school = forms.ModelChoiceField(
        label=_("School"),
        queryset=School.objects.filter(active=True),
        to_field_name="uuid",
        required=False,
        empty_label=_("Every school"),
    )
    reason = forms.ChoiceField(
        label=_("Type"),
        required=False,
        choices=[("", _("Every type")), *ContactReason.choices],
    )
    number = NumberField(label=_("Calls come from"))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if not self.errors and not cleaned.get("school") and not cleaned.get("reason"):
            self.add_error("school", _("Choose a school, a type, or both."))
        return cleaned

    def save(self) -> None:
        """A second choice for the same place takes the first one's."""
        place = {"school": self.cleaned_data["school"], "reason": self.cleaned_data["reason"]}
        CallerChoice.objects.update_or_create(
            **place, defaults={"number": self.cleaned_data["number"]}
        )


class WordForm(forms.Form):
    """An entry of the TTS Dictionary. A word that is there already gets the new saying."""

    word = forms.CharField(
        label=_("Word"),
        max_length=80,
        help_text=_("As it is written. Whole words only; capital letters make no difference."),
    )
    say_as = forms.CharField(
        label=_("Say as"),
        max_length=200,
        help_text=_("As it is to be read aloud: “L H S”, “eye see”."),
    )

    def clean_word(self) -> str:
        return " ".join(str(self.cleaned_data["word"]).split())

    def save(self, user: User) -> None:
        """Writes the entry, or the new saying of one that exists."""
        given = self.cleaned_data
        row = SpokenWord.objects.filter(word__iexact=given["word"]).first()
        row = row or SpokenWord(word=given["word"])
        row.say_as, row.changed_by = given["say_as"], user
        row.save()


def national(number: str) -> str:
    """+16125550100 as families read it: (612) 555-0100; what is no number stays as it is."""
    try:
        parsed = phonenumbers.parse(number, REGION)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
