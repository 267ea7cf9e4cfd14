"""Delivery Detail: who was reached by which device and how, row by row, with every try."""

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.models import Attempt, Delivery, Device
from sentlog.counting import Figures
from sentlog.delivery_rows import (
    Selection,
    Wording,
    count_lines,
    page_of_rows,
    words_of_codes,
)
from sentlog.views.seen import Seen, seen_message
from sentlog.words import code_text, status_text, where
from voice.outcomes import describe

PAGE = 100
STATUSES = [
    ("", _("Any status")),
    ("successful", _("Successful")),
    ("in_progress", _("In progress")),
    ("failed", _("Failed")),
    ("canceled", _("Canceled")),
    ("opted_out", _("Opted out")),
    ("no_device", _("No device")),
]


class RowsForm(forms.Form):
    """What Delivery Detail can be narrowed by."""

    name = forms.CharField(label=_("Recipient's name begins with"), required=False, max_length=100)
    status = forms.ChoiceField(label=_("Status"), choices=STATUSES, required=False)
    device = forms.ChoiceField(label=_("Delivery Device"), required=False)

    def __init__(self, data: Any, figures: Figures) -> None:
        super().__init__(data)
        device = self.fields["device"]
        assert isinstance(device, forms.ChoiceField)
        device.choices = [
            ("", _("Any device")),
            *((d.value, d.label) for d in Device if figures.devices.get(d)),
        ]


def wording_for(seen: Seen, figures: Figures) -> Wording:
    """How this user reads rows: times of the district, private numbers only with the right."""
    return Wording(
        zone=seen.district.time_zone,
        codes=words_of_codes(figures.codes),
        star=seen.district.voice_enabled,
        see_private=rights.may(seen.user, rights.CONTACTS_SEE_PRIVATE),
        hour="FMHH12",
    )


@require_safe
def deliveries(request: HttpRequest, uuid: UUID) -> HttpResponse:
    """The rows by recipient, 100 a page, found from the last row of the page before."""
    seen = seen_message(request, uuid)
    figures = seen.figures()
    form = RowsForm(request.GET, figures)
    chosen = form.cleaned_data if form.is_valid() else {}
    selection = Selection(
        seen.message.pk,
        school_ids=seen.school_ids,
        devices=(chosen["device"],) if chosen.get("device") else None,
        status=chosen.get("status", ""),
        name=chosen.get("name", ""),
    )
    after = request.GET.get("after", "")
    rows = page_of_rows(
        selection,
        wording_for(seen, figures),
        int(after) if after.isdecimal() else None,
        PAGE,
    )
    narrowed = any(chosen.values())
    kept = urlencode({name: value for name, value in chosen.items() if value})
    return render(
        request,
        "sentlog/deliveries.html",
        {
            "message": seen.message,
            "message_where": where(seen.message, seen.district),
            "form": form,
            "rows": rows[:PAGE],
            "total": count_lines(selection) if narrowed else figures.rows,
            "narrowed": narrowed,
            "partial": not seen.scope.district,
            "star": seen.district.voice_enabled,
            "query": kept,
            "next_after": rows[PAGE - 1].id if len(rows) > PAGE else None,
            "later_page": after.isdecimal(),
        },
    )


@require_safe
def delivery(request: HttpRequest, uuid: UUID, number: int) -> HttpResponse:
    """One row and its tries: number, time, code, and what the code means in plain words."""
    seen = seen_message(request, uuid)
    found = Delivery.objects.filter(message=seen.message, id=number)
    if seen.school_ids is not None:
        found = found.filter(school__in=seen.school_ids)
    row = found.first()
    if row is None:
        raise Http404
    # A mode without chains keeps its tries under the negative row id (see `Attempt`).
    chain, step = (-row.id, 0) if row.chain is None else (row.chain, row.step)
    attempts = Attempt.objects.filter(message=seen.message, chain=chain, step=step or 0)
    line = page_of_rows(
        Selection(seen.message.pk, school_ids=seen.school_ids, row=row.id),
        wording_for(seen, seen.figures()),
    )[0]
    return render(
        request,
        "sentlog/delivery.html",
        {
            "message": seen.message,
            "status_words": status_text(seen.message),
            "line": line,
            "row": row,
            "note": describe(row.code).note if row.code is not None else "",
            "attempts": [
                {
                    "attempt": attempt,
                    "text": code_text(attempt.code) if attempt.code is not None else "",
                    "note": describe(attempt.code).note if attempt.code is not None else "",
                }
                for attempt in attempts.order_by("number")
            ],
        },
    )
