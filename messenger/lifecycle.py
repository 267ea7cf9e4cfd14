"""The verbs of a message: confirm, launch, expand, cancel, finish. The only writer of its status.

Each verb is one short transaction that may be repeated, rings the doorbell on commit and never
waits for the outside. What happens to a recipient is the ledger's business, how a mode leaves the
house a channel's; both are called from here, none of their rules is written here.
"""

import logging
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import dateformat
from django.utils.translation import gettext as _

from messenger import clock, continuity, doorbell, ledger, right_of_way
from messenger.channels.registry import channels_for
from messenger.composition import Composition
from messenger.models import (
    District,
    LaunchSlice,
    Message,
    MessageDraft,
    MessageMode,
    Mode,
    School,
    User,
)
from messenger.status import readiness

log = logging.getLogger(__name__)

Status = Message.Status
# An undo window must leave so much of the dialing window.
SHORTEST_AFTER_UNDO = timedelta(minutes=5)


class CannotSend(Exception):
    """The message cannot be confirmed; `problems` says why, in words for the sender."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class NotPossible(Exception):
    """The verb does not fit the message's status; `words` is for the page."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


# ------------------------------------------------------------------------------------- confirm


def problems_with(composition: Composition, now: datetime) -> list[str]:
    """Everything that stands in the way of confirming, in words for the sender."""
    problems = readiness.hindrances()
    if not composition.subject.strip():
        problems.append(_("Enter a subject."))
    if Mode.VOICE in composition.modes and not composition.voice_text.strip():
        problems.append(_("Enter what the call should say."))
    if not composition.criteria.school_ids:
        problems.append(_("Choose at least one school. No school means nobody."))
    if not composition.criteria.deliver_to:
        problems.append(_("Choose whom the message is delivered to."))
    if composition.scheduled_at and composition.scheduled_at < now - timedelta(minutes=1):
        problems.append(_("The delivery time has passed. Choose a later one, or send now."))
    for channel in channels_for(composition.modes):
        problems += channel.check(composition, now)
    return problems


@transaction.atomic
def confirm(draft: MessageDraft, user: User, *, undo_seconds: int = 0) -> Message:
    """Makes the message of a draft, once: a second confirm returns the first one's message.

    Freezes criteria, words, window, settings and the JobRef (ruling 5). Raises CannotSend. An
    emergency is launched here, inside the request (A2-01); everything else waits for its time, and
    for `undo_seconds` in which its sender may think again (S11).
    """
    locked = MessageDraft.objects.select_for_update().get(pk=draft.pk)
    if locked.message is not None:
        return locked.message
    continuity.check()  # what is confirmed from here on is younger than a restored database
    now = clock.now()
    composition = Composition.from_draft(locked)
    if composition.emergency:
        right_of_way.claim()
    if problems := problems_with(composition, now):
        raise CannotSend(problems)
    message = _create(composition, user, now, undo_seconds)
    locked.message = message
    locked.save(update_fields=["message", "updated_at"])
    if composition.emergency:
        _launch_locked(message, now)
    elif is_due(message, now):
        doorbell.launch(message.pk)
    return message


def _create(composition: Composition, user: User, now: datetime, undo_seconds: int) -> Message:
    dial_from: datetime | None = None
    dial_until: datetime | None = None
    settings: dict[str, Any] = {}
    for channel in channels_for(composition.modes):
        frozen = channel.freeze(composition, now)
        dial_from, dial_until = frozen.dial_from or dial_from, frozen.dial_until or dial_until
        settings |= frozen.settings
    criteria = composition.criteria
    phone = Mode.VOICE in composition.modes or Mode.TEXT in composition.modes
    message = Message.objects.create(
        tool=composition.tool,
        type_label=composition.type_label,
        contact_reason=composition.reason,
        emergency=composition.emergency,
        unknown_outcome=Message.UnknownOutcome.REPEAT
        if composition.emergency
        else Message.UnknownOutcome.STOP,
        subject=composition.subject,
        voice_text=composition.voice_text,
        language=composition.language,
        sender=user,
        sender_name=user.name_in_log(),
        schedule_id=_next_schedule_id() if phone else None,
        district_wide=set(criteria.school_ids)
        >= set(School.objects.filter(active=True).values_list("pk", flat=True)),
        criteria=criteria.to_json(),
        criteria_shown=criteria.shown(),
        settings_frozen=settings,
        created_at=now,
        scheduled_at=composition.scheduled_at or now,
        dial_from=dial_from,
        dial_until=dial_until,
        held_until=_end_of_undo(composition, now, undo_seconds, dial_until),
        window_start=composition.window_start,
        window_end=composition.window_end,
    )
    message.schools.set(criteria.school_ids)
    MessageMode.objects.bulk_create(
        MessageMode(message=message, mode=mode) for mode in composition.modes
    )
    return message


def _end_of_undo(
    composition: Composition, now: datetime, seconds: int, dial_until: datetime | None
) -> datetime | None:
    """Until when nothing starts; None without an undo window: for an emergency, and where there is
    hardly any time left to call."""
    end = now + timedelta(seconds=seconds)
    if not seconds or composition.emergency:
        return None
    return end if dial_until is None or end + SHORTEST_AFTER_UNDO <= dial_until else None


def _next_schedule_id() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval('messenger_schedule_id')")
        return int(cursor.fetchone()[0])


# -------------------------------------------------------------------------------------- launch


def is_due(message: Message, now: datetime) -> bool:
    """Whether a waiting message starts now: at its time, when its window opens or when its undo
    window ends, whatever is latest."""
    times = (message.scheduled_at, message.dial_from, message.held_until)
    return max(time for time in times if time is not None) <= now


@transaction.atomic
def launch(message_id: int) -> bool:
    """Starts a due message: stores its plan and makes it In-Progress. False when it is not Waiting,
    not due, canceled or held (`continuity`); a second call finds it started. One whose dialing
    window is over is never started: it ends here (S4), and is not moved to another day (X-27)."""
    message = Message.objects.select_for_update().get(pk=message_id)
    now = clock.now()
    if message.status != Status.WAITING or message.cancel_requested_at:
        return False
    if not is_due(message, now) or not continuity.lets_go(message):
        return False
    if message.dial_until is not None and message.dial_until <= now:
        _miss(message)
        return False
    _launch_locked(message, now)
    return True


def _miss(message: Message) -> None:
    """A locked message that nobody started in time: Failed, with the reason. It has no rows, and
    nobody was called; a channel raises the alarm."""
    until = message.dial_until
    assert until is not None
    end = dateformat.format(until.astimezone(District.current().zone), "m/d/Y g:i A T")
    log.error("message %s was not started before its window ended", message.pk)
    message.modes.update(state=MessageMode.State.FINAL)
    words = _(
        "Not sent: Messenger did not start it before its dialing window ended (%(end)s). Nobody "
        "was called, and it is not moved to another day. Send it again if it still matters."
    )
    _set_status(message, Status.FAILED, words % {"end": end})


def _launch_locked(message: Message, now: datetime) -> None:
    slices = ledger.store_plan(message, today(now))
    message.status = Status.IN_PROGRESS
    message.launched_at = now
    message.save(update_fields=["status", "launched_at"])
    message.modes.update(state=MessageMode.State.RUNNING)
    if slices:
        doorbell.expand(message.pk, urgent=message.emergency)
    else:
        _plan_complete(message, now)


def today(now: datetime) -> date:
    """The date in the district's zone."""
    return now.astimezone(District.current().zone).date()


def expand_next(message_id: int) -> bool:
    """Expands the next planned slice of a message: rows, chains and frozen batches in one
    transaction (ruling 14). False when nothing is planned any more.

    Takes the message FOR SHARE, so that a cancel (which takes it FOR UPDATE) waits for the slice
    or the slice sees the cancel. A second worker waits for the slice and finds it frozen.
    """
    with transaction.atomic():
        launch_slice = _lock_next(message_id)
        if launch_slice is None:
            return False
        message = Message.objects.get(pk=message_id)
        now = clock.now()
        written = ledger.write_slice(message, launch_slice, now, today(now))
        return _freeze(message, launch_slice, written, now)


def expand_ahead(message_id: int, number: int, await_turn: Callable[[], bool]) -> bool:
    """The same for the slice of this number, while the slices before it are still under way.

    Its rows are worked out and written, and stay invisible; nothing is locked and nothing is
    compared with the slices before it until `await_turn` returns True, when they are committed.
    False when nothing is planned any more, the turn did not come, or the message was canceled.
    """
    with transaction.atomic():
        message = Message.objects.get(pk=message_id)
        if message.cancel_requested_at is not None:
            return False
        prepared = LaunchSlice.objects.get(message_id=message_id, number=number)
        now = clock.now()
        written = ledger.write_slice(message, prepared, now, today(now))
        launch_slice = _lock_next(message_id) if await_turn() else None
        if launch_slice != prepared:
            # Canceled, or somebody else's meanwhile: what was written was never there.
            transaction.set_rollback(True)
            return False
        return _freeze(message, prepared, written, now)


def _lock_next(message_id: int) -> LaunchSlice | None:
    """The next planned slice, locked; None when there is none or the message was canceled."""
    if not may_go_on(message_id):
        return None
    planned = LaunchSlice.objects.select_for_update().filter(
        message_id=message_id, state=LaunchSlice.State.PLANNED
    )
    return planned.order_by("number").first()


def _freeze(
    message: Message, launch_slice: LaunchSlice, written: ledger.Written, now: datetime
) -> bool:
    """Ends a slice whose rows are written. Returns whether more are planned."""
    ledger.join_latest(message, launch_slice, written.unseen)
    channels = channels_for(message.modes.values_list("mode", flat=True))
    launch_slice.deliveries = written.rows
    launch_slice.chains = sum(channel.plan(message, launch_slice) for channel in channels)
    launch_slice.state = LaunchSlice.State.FROZEN
    launch_slice.save(update_fields=["deliveries", "chains", "state"])
    Message.objects.filter(pk=message.pk).update(results_changed_at=now)
    more = message.slices.filter(state=LaunchSlice.State.PLANNED).exists()
    if not more:
        _plan_complete(message, now)
    for channel in channels:
        channel.hand_over(message)
    return more


def may_go_on(message_id: int) -> bool:
    """Whether the message has not been canceled; it stays locked FOR SHARE until the transaction
    ends: many may hold it at once, a cancel waits for all of them or is seen."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT cancel_requested_at IS NULL FROM messenger_message WHERE id = %s FOR SHARE",
            [message_id],
        )
        return bool(cursor.fetchone()[0])


def _plan_complete(message: Message, now: datetime) -> None:
    """Every slice is frozen: the channels are told, and a message for nobody is finished."""
    Message.objects.filter(pk=message.pk).update(expanded_at=now)
    for channel in channels_for(message.modes.values_list("mode", flat=True)):
        channel.plan_complete(message)


# -------------------------------------------------------------------------------------- finish


def modes_final(message_id: int, modes: Iterable[str]) -> bool:
    """A channel reports that nothing more will come of these modes; the last one finishes the
    message: Sent, or Canceled IP when its cancel was requested. Returns whether it is finished."""
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        message.modes.filter(mode__in=list(modes)).update(state=MessageMode.State.FINAL)
        if message.status not in (Status.IN_PROGRESS, Status.ERROR):
            return message.finished
        if message.modes.exclude(state=MessageMode.State.FINAL).exists():
            return False
        canceled = message.cancel_requested_at is not None
        if canceled:
            # The reason of one that was withdrawn stays.
            _set_status(message, Status.CANCELED_IP, message.status_reason)
        else:
            _set_status(message, Status.SENT)
        return True


def fail(message_id: int, reason: str, *, outcome: str = "failed", code: int | None = None) -> None:
    """The message could not be handed over at all: Failed, with the reason for the page (B2-06).
    Its open rows end with `outcome` and `code`."""
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.finished:
            return
        now = clock.now()
        modes = list(message.modes.values_list("mode", flat=True))
        message.slices.filter(state=LaunchSlice.State.PLANNED).update(
            state=LaunchSlice.State.CANCELED
        )
        ledger.close_open_rows(
            message_id, modes=modes, outcome=outcome, code=code, reason="not_handed_over", now=now
        )
        message.modes.update(state=MessageMode.State.FINAL)
        _set_status(message, Status.FAILED, reason)


def mark_overdue(message_id: int, reason: str) -> bool:
    """Results are missing past the time-out: Error (B2-05). Rows stay open for late results, and
    `modes_final` may still end it as Sent."""
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.status != Status.IN_PROGRESS:
            return False
        _set_status(message, Status.ERROR, reason)
        return True


def _set_status(message: Message, status: Message.Status, reason: str = "") -> None:
    message.status = status
    message.status_reason = reason[:300]
    if message.finished:
        message.finished_at = clock.now()
    message.results_changed_at = clock.now()
    message.save(update_fields=["status", "status_reason", "finished_at", "results_changed_at"])


# -------------------------------------------------------------------------------------- cancel


def request_cancel(message_id: int, user: User) -> None:
    """Cancels a waiting or running message (B3-13 to B3-18). Raises NotPossible otherwise.

    Holds from its commit on: every claim looks at `cancel_requested_at`. Waiting becomes Canceled
    at once; In-Progress becomes Canceled IP when the channels have confirmed (B2-02, B2-03).
    """
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.cancel_requested_at is not None:
            return
        if message.status not in Message.UNFINISHED:
            raise NotPossible(
                _("This message can no longer be canceled: its status is %(status)s.")
                % {"status": message.get_status_display()}
            )
        message.canceled_by = user
        message.canceled_by_name = user.name_in_log()
        message.save(update_fields=["canceled_by", "canceled_by_name"])
        _cancel_locked(message)


def withdraw(message_id: int, reason: str) -> None:
    """Cancels a message on nobody's word, with the reason for the page: what is left of it must
    not go out any more. Nothing happens to one that is over or canceled already."""
    with transaction.atomic():
        message = Message.objects.select_for_update().get(pk=message_id)
        if message.cancel_requested_at is None and message.status in Message.UNFINISHED:
            message.status_reason = reason[:300]
            message.save(update_fields=["status_reason"])
            _cancel_locked(message)


def _cancel_locked(message: Message) -> None:
    message.cancel_requested_at = clock.now()
    message.save(update_fields=["cancel_requested_at"])
    if message.status == Status.WAITING:
        message.modes.update(state=MessageMode.State.FINAL)
        _set_status(message, Status.CANCELED, message.status_reason)
        return
    message.slices.filter(state=LaunchSlice.State.PLANNED).update(state=LaunchSlice.State.CANCELED)
    for channel in channels_for(message.modes.values_list("mode", flat=True)):
        channel.cancel(message)
