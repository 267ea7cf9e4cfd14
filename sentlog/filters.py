"""Finding messages: the fields of the search, what they match, and the choices that they offer."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from messenger.models import Message, School
from messenger.rights import Scope

DAYS_SHOWN = 30
# The choices of a column come from the newest messages of the range (B1-06): the values present.
CHOICES_FROM = 4_000


def with_default_range(given: QueryDict) -> QueryDict:
    """The search with its dates: the last 30 days when none are given at all."""
    if "created_from" in given or "created_to" in given:
        return given
    query = given.copy()
    today = timezone.localdate()
    query["created_from"] = (today - timedelta(days=DAYS_SHOWN)).isoformat()
    query["created_to"] = today.isoformat()
    return query


def start_of(day: date) -> datetime:
    """Midnight of that day in the district's zone (the request's current one)."""
    return timezone.make_aware(datetime.combine(day, time.min))


class SearchForm(forms.Form):
    """The search's own rule: the first day does not come after the last."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, last = cleaned.get("created_from"), cleaned.get("created_to")
        if first and last and first > last:
            raise ValidationError(_("The first day comes after the last day."))
        return cleaned


class MessageFilter(django_filters.FilterSet):
    """Created Between and the column filters of the classic log; everything is in the address."""

    created_from = django_filters.DateFilter(
        label=gettext_lazy("Created from"),
        method="from_day",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    created_to = django_filters.DateFilter(
        label=pgettext_lazy("last day", "to"),
        method="to_day",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    status = django_filters.ChoiceFilter(
        label=gettext_lazy("Status"),
        choices=Message.Status.choices,
        empty_label=gettext_lazy("Any status"),
    )
    type = django_filters.ChoiceFilter(
        label=gettext_lazy("Message Type"),
        field_name="type_label",
        empty_label=gettext_lazy("Any type"),
    )
    school = django_filters.ModelChoiceFilter(
        label=gettext_lazy("School"),
        queryset=School.objects.none(),
        to_field_name="uuid",
        method="of_school",
        empty_label=gettext_lazy("Any school"),
    )
    sender = django_filters.ChoiceFilter(
        label=gettext_lazy("Sender"),
        field_name="sender_name",
        empty_label=gettext_lazy("Any sender"),
    )

    class Meta:
        model = Message
        fields: list[str] = []
        form = SearchForm

    def __init__(self, data: QueryDict, queryset: QuerySet[Message], scope: Scope) -> None:
        super().__init__(data, queryset)
        schools = School.objects.filter(active=True)
        if not scope.district:
            schools = schools.filter(pk__in=scope.school_ids)
        self.filters["school"].queryset = schools
        for name, column in (("type", "type_label"), ("sender", "sender_name")):
            self.filters[name].extra["choices"] = [
                (value, value) for value in self._present(column, self.data.get(name))
            ]

    def _present(self, column: str, chosen: str | None) -> Iterable[str]:
        newest = self._in_range().order_by("-created_at", "-pk").values("pk")[:CHOICES_FROM]
        values = set(
            Message.objects.filter(pk__in=newest).values_list(column, flat=True).distinct()
        )
        if chosen:
            values.add(chosen)
        return sorted(values)

    def _in_range(self) -> QuerySet[Message]:
        found: QuerySet[Message] = self.queryset
        for name, lookup, after in (
            ("created_from", "created_at__gte", 0),
            ("created_to", "created_at__lt", 1),
        ):
            try:
                day = date.fromisoformat(self.data.get(name, ""))
            except ValueError:
                continue
            found = found.filter(**{lookup: start_of(day + timedelta(days=after))})
        return found

    def from_day(self, found: QuerySet[Message], _name: str, day: date) -> QuerySet[Message]:
        return found.filter(created_at__gte=start_of(day))

    def to_day(self, found: QuerySet[Message], _name: str, day: date) -> QuerySet[Message]:
        """The last day counts as a whole (B1-04)."""
        return found.filter(created_at__lt=start_of(day + timedelta(days=1)))

    def of_school(
        self, found: QuerySet[Message], _name: str, school: School | None
    ) -> QuerySet[Message]:
        if school is None:
            return found
        through = Message.schools.through
        to_school = through.objects.filter(school=school).values("message_id")
        return found.filter(Q(district_wide=True) | Q(pk__in=to_school))
