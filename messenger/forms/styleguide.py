"""The form of the style guide: one field of every kind that the pages use."""

from django import forms
from django.utils.translation import gettext_lazy as _

CHOICES = [("a", _("Lincoln Elementary")), ("b", _("Roosevelt Middle")), ("c", _("Central High"))]


class EveryField(forms.Form):
    """One field of every kind."""

    line = forms.CharField(label=_("Subject"), help_text=_("Shown in the log, never read aloud."))
    words = forms.CharField(label=_("Voice text"), widget=forms.Textarea(attrs={"rows": 4}))
    day = forms.DateField(label=_("Date"), widget=forms.DateInput(attrs={"type": "date"}))
    select = forms.ChoiceField(label=_("Device"), choices=CHOICES)
    boxes = forms.MultipleChoiceField(
        label=_("Schools"), choices=CHOICES, widget=forms.CheckboxSelectMultiple
    )
    choice = forms.ChoiceField(label=_("When"), choices=CHOICES, widget=forms.RadioSelect)
    mark = forms.BooleanField(label=_("Active students only"))
    file = forms.FileField(label=_("Roster file"))
