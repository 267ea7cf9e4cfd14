"""Searching for messages: the list of the classic Sent Message Log (B1-01 to B2-15)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.forms import BoundField
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from messenger.models import Message, User
from sentlog.canceling import is_offered
from sentlog.filters import LIMIT, MessageFilter, with_default_range
from sentlog.listing import COLUMNS, NEWEST_FIRST, Column, Order, page_of
from sentlog.views.seen import may_see_log
from sentlog.words import screen_time, where

PAGE = 100
# What an address of the list says beside the search itself.
_PLACE = ("after", "before", "page", "live")


@dataclass(frozen=True)
class ListRow:
    """One line of the list, in the source's columns (B2-02 to B2-15)."""

    message: Message
    where: str
    created: str
    scheduled: str
    may_cancel: bool


@dataclass(frozen=True)
class Head:
    """The head of a column: where a click leads, how the list is sorted by it now ("ascending",
    "descending" or ""), and the filter under it with the values that it offers."""

    column: Column
    query: str
    sorted: str
    field: BoundField
    offered: list[str]


@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """The list: newest first, 100 a page, each page found from the last row of the one before."""
    if not may_see_log(request.user):
        raise PermissionDenied
    shown = found_messages(request, PAGE)
    response = render(request, "sentlog/log.html", shown)
    # A filter that changed sends every field: the address keeps those that say something.
    response["HX-Push-Url"] = f"{reverse('log')}?{shown['here']}"
    return response


def found_messages(request: HttpRequest, size: int) -> dict[str, Any]:
    """What the address asks for, as the list shows it. `query` is the search, `here` the search and
    the place in it."""
    if not isinstance(request.user, User):
        raise Http404
    query = with_default_range(request.GET)
    order = Order.from_address(query.get("sort"))
    search = MessageFilter(query, request.user)
    found = search.qs if search.form.is_valid() else Message.objects.none()
    page = page_of(
        found,
        order,
        search.district,
        size,
        after=_uuid(query.get("after")),
        before=_uuid(query.get("before")),
    )
    total = search.in_days.count()
    matching = found.count()
    kept = _without(query, *_PLACE)
    number = int(query.get("page", "1")) if query.get("page", "1").isdecimal() else 1
    zone = search.district.zone
    first_page = page.messages and not page.has_earlier
    return {
        "form": search.form,
        "heads": [_head(column, order, kept, search) for column in COLUMNS],
        "rows": [
            ListRow(
                message,
                where(message, search.district),
                screen_time(message.created_at, zone),
                screen_time(message.scheduled_at, zone),
                is_offered(request.user, message),
            )
            for message in page.messages
        ],
        "some_may_be_canceled": any(is_offered(request.user, row) for row in page.messages),
        "total": total,
        "listed": min(total, LIMIT),
        "matching": matching,
        "filtered": matching < min(total, LIMIT),
        "truncated": total > LIMIT,
        "query": kept.urlencode(),
        "here": _without(query, "live").urlencode(),
        "plain": _without(kept, *(column.name for column in COLUMNS), "sort").urlencode(),
        "page": 1 if first_page else max(1, number),
        "pages": max(1, -(-matching // PAGE)),
        "earlier": page.messages[0].uuid if page.has_earlier and page.messages else None,
        "later": page.messages[-1].uuid if page.has_later and page.messages else None,
        "sort": "" if order.word == NEWEST_FIRST else order.word,
    }


def _head(column: Column, order: Order, kept: QueryDict, search: MessageFilter) -> Head:
    """A click sorts by the column, a second one turns the direction."""
    is_sorted = order.column is column
    turned = Order(column, is_sorted and not order.descending)
    address = kept.copy()
    address["sort"] = turned.word
    direction = "descending" if order.descending else "ascending"
    return Head(
        column,
        address.urlencode(),
        direction if is_sorted else "",
        search.form[column.name],
        search.offered.get(column.name, []),
    )


def _without(query: QueryDict, *names: str) -> QueryDict:
    """The address without these, and without what is empty. An empty day is kept: it says that the
    search has no first or last one."""
    kept = query.copy()
    for name in list(kept):
        if name in names or (not kept[name] and name not in ("created_from", "created_to")):
            del kept[name]
    return kept


def _uuid(text: str | None) -> UUID | None:
    """The row of an address; one that names none shows the first page."""
    try:
        return UUID(text or "")
    except ValueError:
        return None
