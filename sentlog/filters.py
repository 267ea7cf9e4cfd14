"""Finding messages: the fields of the search, what they match, and the choices that they offer.

The days choose the newest 4,000 messages; what stands under the columns chooses among those
(B1-05). How they are ordered and paged is `listing`'s, how they look the template's.
"""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.contrib.postgres.aggregates import ArrayAgg, BoolOr
from django.core.exceptions import ValidationError
from django.db.models import F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import TruncDate
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from messenger import rights
from messenger.models import District, Message, School, User

DAYS_SHOWN = 30
# The first, that is the newest, 4,000 messages of the days are listed (B1-05, X-3).
LIMIT = 4_000
# A text field offers so many of the values that are there; it finds the others by their text.
MOST_OFFERED = 100
DISTRICT = "district"  # the choice of the messages that went to the whole district
MINE = "mine"
# 05/01/2022 8:30 AM and 05/01/2022 08:30 AM: either form is matched (B1-07, X-28).
_FORMS = ("MM/DD/YYYY FMHH12:MI AM", "MM/DD/YYYY HH12:MI AM")


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


def _select(**extra: Any) -> Any:
    """A dropdown under a column; it belongs to the search's form, wherever it stands."""
    return {"widget": forms.Select(attrs={"form": "search"}), **extra}


def _text(name: str) -> forms.TextInput:
    attrs = {"form": "search", "list": f"present_{name}", "autocomplete": "off", "size": "8"}
    return forms.TextInput(attrs=attrs)


class MessageFilter(django_filters.FilterSet):
    """Created Between and the column filters of the classic log; everything is in the address.

    `in_days` are the messages of the days that the user may see, `newest` those of them that are
    listed at all; the columns choose among these.
    """

    created_from = django_filters.DateFilter(
        label=gettext_lazy("Created from"),
        method="leave",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    created_to = django_filters.DateFilter(
        label=pgettext_lazy("last day", "to"),
        method="leave",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    whose = django_filters.ChoiceFilter(
        label=gettext_lazy("Messages"),
        method="leave",
        choices=[(MINE, gettext_lazy("My Messages"))],
        empty_label=gettext_lazy("All Messages"),
    )
    status = django_filters.ChoiceFilter(
        label=gettext_lazy("Filter by Status"), empty_label=gettext_lazy("Any"), **_select()
    )
    type = django_filters.ChoiceFilter(
        label=gettext_lazy("Filter by Message Type"),
        field_name="type_label",
        empty_label=gettext_lazy("Any"),
        **_select(),
    )
    school = django_filters.ChoiceFilter(
        label=gettext_lazy("Filter by District/School"),
        method="of_school",
        empty_label=gettext_lazy("Any"),
        **_select(),
    )
    subject = django_filters.CharFilter(
        label=gettext_lazy("Part of the Message Subject"),
        lookup_expr="icontains",
        widget=_text("subject"),
    )
    sender = django_filters.ChoiceFilter(
        label=gettext_lazy("Filter by Sender"),
        field_name="sender_name",
        empty_label=gettext_lazy("Any"),
        **_select(),
    )
    created = django_filters.CharFilter(
        label=gettext_lazy("Part of the Date Created"),
        field_name="created_at",
        method="shown_as",
        widget=_text("created"),
    )
    scheduled = django_filters.CharFilter(
        label=gettext_lazy("Part of the Date Scheduled"),
        field_name="scheduled_at",
        method="shown_as",
        widget=_text("scheduled"),
    )
    schedule_id = django_filters.CharFilter(
        label=gettext_lazy("Part of the Schedule ID"),
        lookup_expr="contains",
        widget=_text("schedule_id"),
    )

    class Meta:
        model = Message
        fields: list[str] = []
        form = SearchForm

    def __init__(self, data: QueryDict, user: User) -> None:
        super().__init__(data, rights.messages_for(user).filter(log=Message.Log.CLASSIC))
        self.user = user
        self.district = District.current()
        self.in_days = self._in_days()
        self.newest = self._newest()
        if not self.may_choose_whose:
            del self.filters["whose"]
        self.offered: dict[str, list[str]] = {}
        self._offer()

    @property
    def may_choose_whose(self) -> bool:
        """Whether My Messages and All Messages are two things to this user (B1-03)."""
        return bool(
            rights.may(self.user, rights.LOG_VIEW_OWN)
            and rights.may(self.user, rights.LOG_VIEW_ALL)
        )

    def filter_queryset(self, queryset: QuerySet[Message]) -> QuerySet[Message]:
        return super().filter_queryset(self.newest)

    def leave(self, found: QuerySet[Message], _name: str, _value: object) -> QuerySet[Message]:
        """The days and whose messages have been seen to: they choose what is listed at all."""
        return found

    def _in_days(self) -> QuerySet[Message]:
        found: QuerySet[Message] = self.queryset
        # The last day counts as a whole (B1-04).
        for name, lookup, after in (
            ("created_from", "created_at__gte", 0),
            ("created_to", "created_at__lt", 1),
        ):
            try:
                day = date.fromisoformat(self.data.get(name, ""))
                found = found.filter(**{lookup: start_of(day + timedelta(days=after))})
            except (ValueError, OverflowError):
                continue
        if self.data.get("whose") == MINE and self.may_choose_whose:
            found = found.filter(sender_id=self.user.pk)
        return found

    def _newest(self) -> QuerySet[Message]:
        """The newest 4,000 of the days, from their last row on: by their ids PostgreSQL read the
        whole table for each question (127 ms of 100,000 messages, so 7)."""
        in_order = self.in_days.order_by("-created_at", "-pk").values_list("created_at", "pk")
        last = in_order[LIMIT - 1 : LIMIT].first()
        if last is None:
            return self.in_days
        moment, pk = last
        from_there = Q(created_at__gt=moment) | Q(pk__gte=pk)
        return self.in_days.filter(from_there, created_at__gte=moment)

    # ---------------------------------------------------- the values that are there

    def _offer(self) -> None:
        """The choices under each column: the values of the messages that are listed (B1-06)."""
        zone = self.district.zone
        there = self.newest.aggregate(
            status=ArrayAgg("status", distinct=True, default=Value([])),
            type=ArrayAgg("type_label", distinct=True, default=Value([])),
            sender=ArrayAgg("sender_name", distinct=True, default=Value([])),
            subject=ArrayAgg("subject", distinct=True, default=Value([])),
            created=ArrayAgg(
                TruncDate("created_at", tzinfo=zone), distinct=True, default=Value([])
            ),
            scheduled=ArrayAgg(
                TruncDate("scheduled_at", tzinfo=zone), distinct=True, default=Value([])
            ),
            schedule_id=ArrayAgg(
                "schedule_id",
                distinct=True,
                filter=Q(schedule_id__isnull=False),
                default=Value([]),
            ),
            district=BoolOr("district_wide", default=False),
        )
        status = self._with_chosen("status", there["status"], Message.Status.values)
        self._choose_from("status", [each for each in Message.Status.choices if each[0] in status])
        for name in ("type", "sender"):
            chosen = self.data.get(name)
            values = self._with_chosen(name, there[name], [chosen])
            self._choose_from(name, [(value, value) for value in sorted(values)])
        self._choose_from("school", self._schools(there["district"]))
        for name in ("created", "scheduled"):
            newest_first = sorted(there[name], reverse=True)[:MOST_OFFERED]
            self.offered[name] = [f"{day:%m/%d/%Y}" for day in newest_first]
        self.offered["subject"] = sorted(there["subject"])[:MOST_OFFERED]
        numbers = sorted(there["schedule_id"], reverse=True)[:MOST_OFFERED]
        self.offered["schedule_id"] = [str(number) for number in numbers]

    def _with_chosen(self, name: str, there: Iterable[str], known: Iterable[Any]) -> set[str]:
        """The values, and the one that was chosen before, so that it can be seen and left."""
        chosen = self.data.get(name)
        return {*there, *([chosen] if chosen and chosen in known else [])}

    def _choose_from(self, name: str, choices: list[tuple[str, Any]]) -> None:
        self.filters[name].extra["choices"] = choices

    def _schools(self, district_wide: bool) -> list[tuple[str, str]]:
        """The schools to which listed messages went, of those that the user may see."""
        through = Message.schools.through
        chosen = Q(uuid=_uuid(self.data.get("school")))
        scope = rights.scope_of(self.user, rights.LOG_VIEW_ALL)
        schools = School.objects.filter(
            Q(pk__in=through.objects.filter(message__in=self.newest).values("school_id")) | chosen
        )
        if scope and not scope.district:
            schools = schools.filter(pk__in=scope.school_ids)
        choices = [(str(uuid), name) for uuid, name in schools.values_list("uuid", "name")]
        choices.sort(key=lambda choice: choice[1])
        if district_wide or self.data.get("school") == DISTRICT:
            choices.insert(0, (DISTRICT, self.district.name))
        return choices

    # -------------------------------------------------------------- what they match

    def of_school(self, found: QuerySet[Message], _name: str, chosen: str) -> QuerySet[Message]:
        """What reached a school: messages to it and to the whole district; or the latter alone."""
        if chosen == DISTRICT:
            return found.filter(district_wide=True)
        through = Message.schools.through
        to_school = through.objects.filter(school__uuid=chosen).values("message_id")
        return found.filter(Q(district_wide=True) | Q(pk__in=to_school))

    def shown_as(self, found: QuerySet[Message], name: str, text: str) -> QuerySet[Message]:
        """Moments of which the text is a part, as they stand on the screen (B1-07)."""
        local = Func(Value(self.district.time_zone), F(name), function="timezone")
        matches = Q()
        for number, form in enumerate(_FORMS):
            shown = Func(local, Value(form), function="to_char", output_field=TextField())
            found = found.alias(**{f"{name}_{number}": shown})
            matches |= Q(**{f"{name}_{number}__icontains": " ".join(text.split())})
        return found.filter(matches)


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
