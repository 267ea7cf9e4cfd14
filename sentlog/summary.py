"""The Delivery Summary as it is kept: computed from rows, stored per scope, never incremented.

A page asks `summary_of`, which reads one small row; a tick (`recompute_stale`) brings every stored
summary up to the message's `results_changed_at` (ruling 11). What the figures mean is in
`sentlog.counting`.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from django.db.models import F, Q
from django.utils import timezone

from messenger.models import Message
from messenger.rights import Scope
from sentlog.counting import Figures, count
from sentlog.models import DetailRemoval, MessageSummary

FLAVOUR = "classic"
# Below this many rows a stale summary is counted while the page waits (20,000 rows: 20 ms); above
# it the page shows the stored one and the tick counts.
COUNTED_AT_ONCE = 20_000
# How far back the tick looks. Results set `results_changed_at` when they are collected, so that
# only a tick that stood still for longer misses one, and then the next view counts it.
LOOK_BACK = timedelta(days=1)


def schools_of(scope: Scope) -> list[int] | None:
    """The scope as it is stored: nothing for the district, else sorted school ids (maybe none)."""
    return None if scope.district else sorted(scope.school_ids)


def summary_of(message: Message, scope: Scope) -> Figures:
    """The figures of the message that this scope may see (ruling 2).

    Served from the stored row (p95 ≤ 50 ms, P7). The first question of a scope, and any question
    about a small message with newer results, counts and stores.
    """
    schools = schools_of(scope)
    stored = MessageSummary.objects.filter(
        message=message, flavour=FLAVOUR, schools=schools
    ).first()
    if stored is not None:
        figures = Figures.from_json(stored.figures)
        fresh = stored.as_of == message.results_changed_at
        left_behind = (
            message.results_changed_at is not None
            and message.results_changed_at < timezone.now() - LOOK_BACK
        )
        if fresh or (figures.rows > COUNTED_AT_ONCE and not left_behind):
            return figures
    if _has_lost_rows(message.pk):
        return Figures() if stored is None else Figures.from_json(stored.figures)
    return _count_and_store(message, [schools])[0]


def _has_lost_rows(message_id: int) -> bool:
    """Whether rows were removed (`sentlog.retention`), so that counting would count too few."""
    gone = Q(rows__gt=0) | Q(removed_at__isnull=False)
    return DetailRemoval.objects.filter(gone, message=message_id).exists()


def recompute(
    message_id: int, more: Iterable[tuple[int, ...]] = (), table: str = "messenger_delivery"
) -> None:
    """Counts a message again for the district, for every scope that was ever asked for, and for
    `more`. One whose rows were removed keeps the figures that it has."""
    if _has_lost_rows(message_id):
        return
    message = Message.objects.only("pk", "results_changed_at").get(pk=message_id)
    stored = MessageSummary.objects.filter(message=message, flavour=FLAVOUR)
    scopes: list[list[int] | None] = list(
        stored.exclude(schools=None).values_list("schools", flat=True)
    )
    wanted = {tuple(scope or ()) for scope in scopes} | set(more)
    _count_and_store(message, [None, *(list(scope) for scope in sorted(wanted))], table)


def recompute_stale() -> int:
    """Counts every message whose rows changed since its summary; returns how many (a tick).

    Safe to run twice at once: both write the same figures, and one that was overtaken leaves an
    older `as_of`, which the next run sees.
    """
    changed = Message.objects.filter(results_changed_at__gt=timezone.now() - LOOK_BACK)
    up_to_date = MessageSummary.objects.filter(
        flavour=FLAVOUR, schools=None, as_of=F("message__results_changed_at")
    )
    behind = MessageSummary.objects.filter(flavour=FLAVOUR).exclude(
        as_of=F("message__results_changed_at")
    )
    stale = changed.filter(
        ~Q(pk__in=up_to_date.values("message")) | Q(pk__in=behind.values("message"))
    )
    ids = list(stale.values_list("pk", flat=True))
    for message_id in ids:
        recompute(message_id)
    return len(ids)


def _count_and_store(
    message: Message, scopes: Sequence[list[int] | None], table: str = "messenger_delivery"
) -> list[Figures]:
    """Counts the message for each scope and stores the figures; `as_of` is read before counting,
    so that rows which change meanwhile make the summary stale, never wrongly fresh."""
    as_of = Message.objects.filter(pk=message.pk).values_list("results_changed_at", flat=True).get()
    counted = [count(message.pk, schools, table) for schools in scopes]
    MessageSummary.objects.bulk_create(
        [
            MessageSummary(
                message=message,
                schools=schools,
                flavour=FLAVOUR,
                figures=figures.as_json(),
                as_of=as_of,
                computed_at=timezone.now(),
            )
            for schools, figures in zip(scopes, counted, strict=True)
        ],
        update_conflicts=True,
        unique_fields=["message", "schools", "flavour"],
        update_fields=["figures", "as_of", "computed_at"],
    )
    return counted
