"""The form of the Contact Preferences Batch: whom, which devices, which reasons, and what becomes
of them. Text is not among what can be set (A4-12).
"""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from messenger import rights
from messenger.audience.criteria import CONTACTS, STAFF, STUDENTS, Criteria
from messenger.forms.compose import grade_choices
from messenger.models import ContactReason, School, User
from messenger.preference_batches import ADD, OVERRIDE, REMOVE, Rule
from messenger.preferences import DEVICE_MODES

ACTIONS = [
    (ADD, _("Mark these reasons")),
    (REMOVE, _("Clear these reasons")),
    (OVERRIDE, _("Override: exactly these reasons, no other")),
]


class BatchForm(forms.Form):
    """One batch; the schools are those for which the user holds the right."""

    schools = forms.MultipleChoiceField(
        label=_("Schools"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose a school.")},
    )
    grades = forms.MultipleChoiceField(
        label=_("Grades"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Tick none for every grade."),
    )
    deliver_to = forms.MultipleChoiceField(
        label=_("Whose preferences"),
        choices=[
            (CONTACTS, _("Messenger Contacts")),
            (STUDENTS, _("Students")),
            (STAFF, _("Staff")),
        ],
        initial=[CONTACTS],
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose whose preferences are set.")},
    )
    devices = forms.MultipleChoiceField(
        label=_("Delivery Devices"),
        choices=[(device.value, device.label) for device in DEVICE_MODES],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Phones are called and addresses are written to. Texts cannot be set here."),
        error_messages={"required": _("Choose a device.")},
    )
    reasons = forms.MultipleChoiceField(
        label=_("Contact Reasons"),
        required=False,
        choices=[(str(reason.bit), reason.label) for reason in ContactReason],
        widget=forms.CheckboxSelectMultiple,
    )
    action = forms.ChoiceField(
        label=_("What becomes of them"),
        choices=ACTIONS,
        initial=ADD,
        widget=forms.RadioSelect,
    )
    only_unmarked = forms.BooleanField(
        label=_("Only devices without any mark"),
        required=False,
        help_text=_("For people who have no preferences yet."),
    )
    replace_portal = forms.BooleanField(
        label=_("Replace what people have chosen in the portal"),
        required=False,
        help_text=_("Without this their choices are left as they are."),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schools = School.objects.filter(active=True)
        scope = rights.scope_of(user, rights.PREFERENCES_BATCH)
        if not scope.district:
            schools = schools.filter(pk__in=scope.school_ids)
        named = [(str(pk), name) for pk, name in schools.values_list("pk", "name")]
        for name, choices in (("schools", named), ("grades", grade_choices())):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = choices

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not cleaned.get("reasons") and cleaned.get("action") in (ADD, REMOVE):
            self.add_error("reasons", _("Choose a reason."))
        return cleaned

    def criteria(self) -> Criteria:
        """Whom a valid form means."""
        return Criteria(
            school_ids=tuple(int(pk) for pk in self.cleaned_data["schools"]),
            grades=tuple(self.cleaned_data["grades"]),
            deliver_to=tuple(self.cleaned_data["deliver_to"]),
        )

    def rule(self) -> Rule:
        """What a valid form sets."""
        return Rule(
            devices=tuple(self.cleaned_data["devices"]),
            reasons=sum(int(bit) for bit in self.cleaned_data["reasons"]),
            action=self.cleaned_data["action"],
            only_unmarked=self.cleaned_data["only_unmarked"],
            protect_portal=not self.cleaned_data["replace_portal"],
        )
