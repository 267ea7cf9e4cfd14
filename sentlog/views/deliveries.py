"""Delivery Detail: who was reached by which device and how, row by row, with every try."""

from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.models import Attempt, Delivery, Device, District, Mode
from sentlog.counting import Figures
from sentlog.delivery_pages import count_rows_of, page_of_rows, row_by_id
from sentlog.delivery_rows import DUPLICATE, NOT_CONTACTED, Selection, Wording, words_of_codes
from sentlog.models import DetailRemoval
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
    """What Delivery Detail can be narrowed by: only what the message has is offered."""

    name = forms.CharField(label=_("Recipient's name"), required=False, max_length=100)
    status = forms.ChoiceField(label=_("Status"), choices=STATUSES, required=False)
    mode = forms.ChoiceField(label=_("Delivery Mode"), required=False)
    device = forms.ChoiceField(label=_("Delivery Device"), required=False)
    mark = forms.ChoiceField(label=_("Mark"), required=False)

    def __init__(
        self, data: Any, figures: Figures, modes: Collection[str], district: District
    ) -> None:
        super().__init__(data)
        marks = [("", _("Any")), (DUPLICATE, _("† Listed before"))]
        if district.voice_enabled:
            marks.insert(1, (NOT_CONTACTED, _("* Not contacted by phone")))
        self._offer("mark", marks)
        self._offer(
            "device",
            [("", _("Any device"))]
            + [(d.value, d.label) for d in Device if figures.devices.get(d)],
        )
        self._offer(
            "mode", [("", _("Any mode"))] + [(m.value, m.label) for m in Mode if m in modes]
        )
        if len(modes) < 2:
            del self.fields["mode"]

    def _offer(self, name: str, choices: list[tuple[Any, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


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
    modes = {mode.mode for mode in seen.message.modes.all()}
    form = RowsForm(request.GET, figures, modes, seen.district)
    chosen = form.cleaned_data if form.is_valid() else {}
    selection = Selection(
        seen.message.pk,
        school_ids=seen.school_ids,
        devices=(chosen["device"],) if chosen.get("device") else None,
        status=chosen.get("status", ""),
        mode=chosen.get("mode", ""),
        mark=chosen.get("mark", ""),
        name=chosen.get("name", ""),
    )
    after = request.GET.get("after", "")
    rows = page_of_rows(
        selection,
        wording_for(seen, figures),
        figures,
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
            # Counted for the first page alone: that may read all rows of the message.
            "total": None if after.isdecimal() and narrowed else count_rows_of(selection, figures),
            "narrowed": narrowed,
            "partial": not seen.scope.district,
            "star": seen.district.voice_enabled,
            "removal": DetailRemoval.objects.filter(message=seen.message).first(),
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
    line = row_by_id(
        Selection(seen.message.pk, school_ids=seen.school_ids),
        wording_for(seen, seen.figures()),
        row.id,
        row.recipient_id,
    )
    if line is None:
        raise Http404
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
