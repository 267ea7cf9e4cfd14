"""Searching for messages: the list of the classic Sent Message Log (B1-01 to B2-15)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from messenger import rights
from messenger.models import District, Message
from messenger.rights import Scope
from sentlog.filters import MessageFilter, with_default_range
from sentlog.words import screen_time, where

# The first, that is the newest, 4,000 messages of a search are listed (B1-05, X-3).
LIMIT = 4_000
PAGE = 100


@dataclass(frozen=True)
class ListRow:
    """One line of the list, in the source's columns (B2-02 to B2-15)."""

    message: Message
    where: str
    created: str
    scheduled: str


@require_safe
def log(request: HttpRequest) -> HttpResponse:
    """The list: newest first, 100 a page, each page found from the last row of the one before."""
    user = request.user
    if not (rights.may(user, rights.LOG_VIEW_OWN) or rights.may(user, rights.LOG_VIEW_ALL)):
        raise PermissionDenied
    return render(request, "sentlog/log.html", found_messages(request, PAGE))


def found_messages(request: HttpRequest, size: int) -> dict[str, Any]:
    """What the address asks for, as the list shows it."""
    user = request.user
    query = with_default_range(request.GET)
    scope = rights.scope_of(user, rights.LOG_VIEW_ALL)
    search = MessageFilter(
        query,
        rights.messages_for(user).filter(log=Message.Log.CLASSIC),
        scope if scope else Scope(district=True),
    )
    found: QuerySet[Message] = search.qs if search.form.is_valid() else Message.objects.none()
    newest_first = found.order_by("-created_at", "-pk")
    total = found.count()
    listed = newest_first
    if total > LIMIT:
        last = newest_first[LIMIT - 1]
        listed = _from(newest_first, last)
    if after := _message_of(query.get("after")):
        listed = _after(listed, after)
    messages = list(listed.prefetch_related("schools")[: size + 1])
    district = District.current()
    zone = district.zone
    kept = query.copy()
    for name in ("after", "page", "live"):
        kept.pop(name, None)
    page = int(query.get("page", "1")) if query.get("page", "1").isdecimal() else 1
    return {
        "search": search,
        "form": search.form,
        "rows": [
            ListRow(
                message,
                where(message, district),
                screen_time(message.created_at, zone),
                screen_time(message.scheduled_at, zone),
            )
            for message in messages[:size]
        ],
        "total": total,
        "limit": LIMIT,
        "truncated": total > LIMIT,
        "query": kept.urlencode(),
        "page": max(1, page),
        "pages": max(1, -(-min(total, LIMIT) // PAGE)),
        "next_after": messages[size - 1].uuid if len(messages) > size else None,
    }


def _message_of(uuid: str | None) -> Message | None:
    """The row that a page follows; an address that names none shows the first page."""
    try:
        return Message.objects.filter(uuid=UUID(uuid or "")).first()
    except ValueError:
        return None


def _after(messages: QuerySet[Message], last: Message) -> QuerySet[Message]:
    return messages.extra(
        where=["(messenger_message.created_at, messenger_message.id) < (%s, %s)"],
        params=[last.created_at, last.pk],
    )


def _from(messages: QuerySet[Message], last: Message) -> QuerySet[Message]:
    return messages.extra(
        where=["(messenger_message.created_at, messenger_message.id) >= (%s, %s)"],
        params=[last.created_at, last.pk],
    )
