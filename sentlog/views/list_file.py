"""The filtered list as a file: CSV for people and their spreadsheets, JSON for programs.

The same search, the same order, the same rights as the page; all of its rows (4,000 at most) at
once.
"""

import csv
from typing import Any
from urllib.parse import quote

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from messenger.models import Message, User
from sentlog.filters import LIMIT, MessageFilter, with_default_range
from sentlog.listing import COLUMNS, Line, Order, lines_of
from sentlog.reports.csv import guarded
from sentlog.views.seen import may_see_log
from sentlog.words import screen_time

FORMATS = ("csv", "json")


@require_safe
def log_file(request: HttpRequest, format: str) -> HttpResponse:
    """What the address of the list finds, as a file. A search that makes no sense finds nothing."""
    user = request.user
    if not isinstance(user, User) or not may_see_log(user):
        raise PermissionDenied
    if format not in FORMATS:
        raise Http404
    query = with_default_range(request.GET)
    search = MessageFilter(query, user)
    found = search.qs if search.form.is_valid() else Message.objects.none()
    order = Order.from_address(query.get("sort"))
    lines = lines_of(found, order, search.district)
    name = f"sent-messages-{timezone.localdate():%Y-%m-%d}.{format}"
    if format == "json":
        total = search.in_days.count()
        rows = [_as_json(line) for line in lines]
        shown = {"total": total, "limit": LIMIT, "listed": len(rows), "messages": rows}
        response: HttpResponse = JsonResponse(shown)
    else:
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response.write("\ufeff")  # without it Excel takes UTF-8 for something else
        zone = search.district.zone
        labels = dict(Message.Status.choices)
        writer = csv.writer(response)
        writer.writerow([str(column.label) for column in COLUMNS])
        writer.writerows(
            (
                str(labels[line.status]),
                guarded(line.type_label),
                guarded(line.place),
                guarded(line.subject),
                guarded(line.sender_name),
                screen_time(line.created_at, zone),
                screen_time(line.scheduled_at, zone),
                "" if line.schedule_id is None else line.schedule_id,
            )
            for line in lines
        )
    response["Content-Disposition"] = f"attachment; filename={quote(name)}"
    return response


def _as_json(line: Line) -> dict[str, Any]:
    """Moments in UTC with their offset; the status as the database names it."""
    return {
        "uuid": line.uuid,
        "status": line.status,
        "type": line.type_label,
        "place": line.place,
        "subject": line.subject,
        "sender": line.sender_name,
        "created": line.created_at,
        "scheduled": line.scheduled_at,
        "schedule_id": line.schedule_id,
    }
