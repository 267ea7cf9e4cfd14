"""How long detail is kept: what is due, what is held, and its removal in pieces that block nobody.

A message keeps its words, criteria and figures for good. What names people goes when the district's
days are over: deliveries, tries, chains, the plan, what batches said, files of reports; then the
call log's entries and drafts by their own age. A legal hold keeps a message whole. Each piece is a
short transaction of its own that asks for holds again, so that a hold stops a removal at once, and
a killed worker loses nothing: the next one goes on where the rows begin.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as wall
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from messenger import clock, ledger, rights
from messenger.models import (
    Delivery,
    District,
    LaunchSlice,
    Message,
    MessageDraft,
    User,
)
from sentlog import summary
from sentlog.models import DetailRemoval, LegalHold, MessageSummary, Retention
from sentlog.reports import making
from voice import purging

log = logging.getLogger(__name__)

# Rows of one piece. 5,000 rows with their index entries take about 50 ms; a piece of 50,000 would
# hold its locks for half a second and gains nothing.
PIECE = 5_000
# One tick works for so long and leaves the rest to the next one.
SECONDS = 300.0
# Below every id and every chain (modes without chains have negative ones).
FROM_THE_FIRST = -(2**63)
_GATE = "legal hold"
SWEEP_EVERY = timedelta(hours=20)


@dataclass(frozen=True)
class Due:
    """What a removal would take now, and what holds keep from it."""

    messages: int
    rows: int
    held: int
    drafts: int


def held(zone: Any) -> Q:
    """Messages that a standing hold keeps: itself, or a life that touches the days of one. Days
    are the district's."""
    kept = Q(
        pk__in=LegalHold.objects.filter(lifted_at=None, message__isnull=False).values("message")
    )
    days = LegalHold.objects.filter(lifted_at=None, message=None)
    for first, last in days.values_list("first_day", "last_day"):
        assert first is not None
        assert last is not None  # a check of the table
        begins = timezone.make_aware(datetime.combine(first, wall.min), zone)
        ends = timezone.make_aware(datetime.combine(last + timedelta(days=1), wall.min), zone)
        kept |= Q(created_at__lt=ends, ended__gte=begins)
    return kept


def ended_messages() -> QuerySet[Any]:
    """Messages that are over, with the moment `ended`. One that never got all its results ends with
    its window."""
    return Message.objects.exclude(status__in=Message.UNFINISHED).annotate(
        ended=Coalesce("finished_at", "dial_until", "scheduled_at", "created_at")
    )


def due_messages(now: datetime, days: int) -> QuerySet[Any]:
    """Messages whose detail is older than the district keeps it and is still there, held or not.

    `created_at` narrows the walk by its index; anything that ended before was created before.
    """
    before = now - timedelta(days=days)
    gone = DetailRemoval.objects.filter(message=OuterRef("pk"), removed_at__isnull=False)
    return ended_messages().filter(
        Q(launched_at__isnull=False), ~Exists(gone), created_at__lt=before, ended__lt=before
    )


def due_now() -> Due:
    """The dry run: what the next removal would take. Rows are those of the stored summaries."""
    now, kept = clock.now(), Retention.current()
    messages = due_messages(now, kept.detail_days)
    is_held = held(District.current().zone)
    going = messages.exclude(is_held)
    figures = MessageSummary.objects.filter(
        message__in=going.values("pk"), schools=None, flavour=summary.FLAVOUR
    )
    counted = figures.aggregate(rows=Sum(Cast(KT("figures__rows"), BigIntegerField())))
    return Due(
        messages=going.count(),
        rows=counted["rows"] or 0,
        held=messages.filter(is_held).count(),
        drafts=_old_drafts(now, kept).count(),
    )


def old_log_entries() -> int:
    """How many entries of the call log would go (reads all of it: for the command alone)."""
    return purging.count_log(
        clock.now() - timedelta(days=Retention.current().log_days), _held_jobs()
    )


def remove_due(seconds: float = SECONDS) -> int:
    """Removes what is due, for at most about so many seconds (a tick). Returns the messages whose
    detail is gone now."""
    until = time.monotonic() + seconds
    kept = Retention.current()
    zone = District.current().zone
    done = 0
    going = due_messages(clock.now(), kept.detail_days).exclude(held(zone)).order_by("pk")
    for message_id in list(going.values_list("pk", flat=True)[:10_000]):
        if time.monotonic() > until:
            return done
        done += remove_detail(message_id, kept.detail_days, until)
    _sweep(kept, until)
    return done


def remove_detail(message_id: int, days: int, until: float = float("inf")) -> bool:
    """Removes a message's detail, piece by piece. False: a hold or the end of the time came first;
    what is left goes another time."""
    removal, _begun = DetailRemoval.objects.get_or_create(
        message_id=message_id, defaults={"days": days}
    )
    if not removal.rows:  # deliveries go last: they are all there
        keep_figures(message_id)
    pieces: list[Callable[[int], tuple[int, int | None]]] = [
        lambda after: ledger.purge(message_id, "attempt", after, PIECE),
        lambda after: purging.purge_chains(message_id, after, PIECE),
        lambda after: ledger.purge(message_id, "delivery", after, PIECE),
    ]
    for piece in pieces:
        after: int | None = FROM_THE_FIRST
        while after is not None:
            if time.monotonic() > until:
                return False
            with transaction.atomic():
                if not _may_go(message_id):
                    return False
                rows, after = piece(after)
                if piece is pieces[-1]:
                    removal.rows += rows
                    removal.save(update_fields=["rows"])
    with transaction.atomic():
        if not _may_go(message_id):
            return False
        purging.empty_batches(message_id)
        LaunchSlice.objects.filter(message_id=message_id).delete()
        removal.removed_at = clock.now()
        removal.save(update_fields=["removed_at"])
    making.expire(message_id)
    log.info("The detail of message %s was removed: %s rows.", message_id, removal.rows)
    return True


def keep_figures(message_id: int) -> None:
    """Counts the message once more, before its rows go: for the district, every scope that was ever
    asked for, each school in it and every set of schools that a user holds now. Nobody can count
    another one afterwards."""
    schools = set(
        Delivery.objects.filter(message_id=message_id, school__isnull=False)
        .values_list("school_id", flat=True)
        .distinct()
    )
    scopes: set[tuple[int, ...]] = {(school,) for school in schools}
    for user in User.objects.filter(
        is_active=True, role_assignments__school__isnull=False
    ).distinct():
        scope = rights.scope_of(user, rights.LOG_VIEW_ALL)
        if scope.school_ids & schools and not scope.district:
            scopes.add(tuple(sorted(scope.school_ids)))
    with transaction.atomic(), connection.cursor() as cursor:
        # Each school's figures would read the whole message: 40 schools of 200,000 rows took 10 s.
        # A copy that is ordered by school is read once for all of them, and locks nothing.
        cursor.execute(
            """CREATE TEMP TABLE kept_rows ON COMMIT DROP AS SELECT message_id, recipient_id,
                school_id, mode, device, address, state, outcome, reason, code, tries, confirmed
                FROM messenger_delivery WHERE message_id = %s""",
            [message_id],
        )
        cursor.execute("CREATE INDEX ON kept_rows (school_id); ANALYZE kept_rows")
        summary.recompute(message_id, scopes, "kept_rows")
        cursor.execute("DROP TABLE kept_rows")


def _may_go(message_id: int) -> bool:
    """Asks for holds, in turn with whoever is just placing one: after a hold is placed nothing
    goes any more."""
    _take_turns()
    kept = held(District.current().zone)
    return ended_messages().filter(pk=message_id).exclude(kept).exists()


def _take_turns() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [_GATE])


def place_hold(hold: LegalHold, user: User) -> LegalHold:
    """Stores a hold; when this returns, nothing that it keeps is removed any more."""
    hold.placed_by, hold.placed_by_name = user, user.name_in_log()
    with transaction.atomic():
        _take_turns()
        hold.save(force_insert=True)
    return hold


def lift_hold(hold: LegalHold, user: User) -> bool:
    """Lifts a standing hold; False when it was lifted before."""
    standing = LegalHold.objects.filter(pk=hold.pk, lifted_at=None)
    return bool(standing.update(lifted_at=clock.now(), lifted_by_name=user.name_in_log()))


def _old_drafts(now: datetime, kept: Retention) -> QuerySet[MessageDraft]:
    return MessageDraft.objects.filter(
        message=None, updated_at__lt=now - timedelta(days=kept.draft_days)
    )


def _held_jobs() -> list[str]:
    """The job references whose log entries a hold keeps."""
    kept = ended_messages().filter(held(District.current().zone), launched_at__isnull=False)
    references = kept.values_list("dialer_jobs__job_ref", flat=True)
    return [str(reference) for reference in references if reference]


def _sweep(kept: Retention, until: float) -> None:
    """Once a day: drafts, and the entries of the call log by their age."""
    now = clock.now()
    if kept.swept_at and kept.swept_at > now - SWEEP_EVERY:
        return
    _old_drafts(now, kept).delete()
    before = now - timedelta(days=kept.log_days)
    for page in range(0, purging.pages_of_log(), purging.PAGES):
        if time.monotonic() > until:
            return
        with transaction.atomic():
            _take_turns()
            purging.purge_log(page, before, _held_jobs())
    Retention.objects.filter(pk=kept.pk).update(swept_at=now)
