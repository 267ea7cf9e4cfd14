"""The forms of Users and roles: a role with its rights, and a role for somebody."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from messenger import access
from messenger.models import Role, School, User


class RoleForm(forms.Form):
    """A role's name and its rights; only rights that the user holds can be chosen."""

    name = forms.CharField(label=_("Name"), max_length=80)

    def __init__(self, user: User, role: Role | None = None, data: Any = None) -> None:
        self.role = role
        held = set(role.rights) if role else set()
        super().__init__(data, initial={"name": role.name if role else ""})
        own = access.rights_of(user)
        self._parts: list[str] = []
        for number, (label, members) in enumerate(access.GROUPS):
            choices = [(right, words) for right, words in members if right in own | held]
            if not choices:
                continue
            name = f"rights_{number}"
            self._parts.append(name)
            self.fields[name] = forms.MultipleChoiceField(
                label=label,
                choices=choices,
                required=False,
                initial=[right for right, _words in choices if right in held],
                widget=forms.CheckboxSelectMultiple,
            )

    @property
    def parts(self) -> list[forms.BoundField]:
        """The groups of rights."""
        return [self[name] for name in self._parts]

    @property
    def chosen(self) -> list[str]:
        return [right for name in self._parts for right in self.cleaned_data[name]]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not self.chosen:
            raise ValidationError(_("Choose at least one right."))
        return cleaned


class GiveForm(forms.Form):
    """A role for a user: in the whole district, or in the schools that are chosen."""

    DISTRICT, SCHOOLS = "district", "schools"

    role = forms.ModelChoiceField(
        label=_("Role"), queryset=Role.objects.none(), to_field_name="uuid", empty_label=None
    )
    place = forms.ChoiceField(
        label=_("Where"),
        choices=[(DISTRICT, _("In the whole district")), (SCHOOLS, _("In these schools"))],
        widget=forms.RadioSelect,
    )
    schools = forms.ModelMultipleChoiceField(
        label=_("Schools"),
        queryset=School.objects.none(),
        to_field_name="uuid",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        offered = [role.pk for role in Role.objects.all() if access.may_hand_out(user, role)]
        role, schools = self.fields["role"], self.fields["schools"]
        assert isinstance(role, forms.ModelChoiceField)
        assert isinstance(schools, forms.ModelChoiceField)
        role.queryset = Role.objects.filter(pk__in=offered)
        schools.queryset = School.objects.filter(active=True).order_by("name")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        place, schools = cleaned.get("place"), cleaned.get("schools")
        if place == self.SCHOOLS and not schools:
            self.add_error("schools", _("Choose at least one school."))
        # Schools that are marked and a place that says "everywhere": the wider one is not guessed.
        if place == self.DISTRICT and schools:
            self.add_error(
                "place",
                _("Schools are chosen below. Take their marks away, or choose these schools."),
            )
        return cleaned
