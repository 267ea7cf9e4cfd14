"""The call log → our tables: read a page, store entries and cursor together, tell the ledger.

Exactly contract 8.3: the page is read with no transaction open; entries, what they mean for the
ledger, and the cursor commit together or not at all; any repeat is harmless. An odd entry is stored
raw and never stops the log. Refresh uses the same code without touching the cursor (C6).
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from io import BytesIO
from time import monotonic

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    CredentialsRefused,
    CursorLost,
    DialerError,
    LogEntry,
    LogPage,
    Retry,
)
from messenger import clock, results
from voice import account, breaker, credentials, dispatch, epochs, recall
from voice.finishing import finish
from voice.interpreter import for_two_threads
from voice.log_lines import LOG_COLUMNS, PageLines, job_refs, make_lines
from voice.log_reader import Answer, read_on
from voice.models import DialerJob, LogCursor, VoiceSettings

log = logging.getLogger(__name__)

PAGE = 5_000  # entries; the highest the contract allows
RUN_SECONDS = 10.0  # reading on for HasMore (8.3)
POLL_WORKING = timedelta(seconds=15)  # while anything is unfinished (A2-09)
POLL_IDLE = timedelta(minutes=5)  # and otherwise, forever: texts are revised late (ruling 26)


@dataclass
class Collected:
    """What one run did: pages and entries read, entries that were new, messages touched."""

    pages: int = 0
    entries: int = 0
    fresh: int = 0
    messages: frozenset[int] = frozenset()


def due(now: datetime) -> bool:
    """Whether the log should be asked now: every 15 s while a message is unfinished, else every
    five minutes (ruling 26)."""
    cursor = LogCursor.objects.filter(current=True).first()
    settings = VoiceSettings.current()
    if cursor is None or not settings.verified or settings.paused:
        return False  # refused credentials are tried again once a minute, by `account` alone
    if cursor.polled_at is None:
        return True
    unfinished = DialerJob.objects.exclude(
        state__in=[DialerJob.State.FINISHED, DialerJob.State.REFUSED]
    ).exists()
    # A tick comes every 15 s; half a tick of slack keeps it from missing its own turn.
    wait = POLL_WORKING / 2 if unfinished else POLL_IDLE
    return now - cursor.polled_at >= wait


def awaits_canceled() -> bool:
    """Whether the dialer has confirmed a cancel and its last word about the job is not read yet. It
    comes when the calls under way are over, and somebody watches the page (B2-03)."""
    confirmed = DialerJob.objects.filter(cancel_confirmed_at__isnull=False)
    return confirmed.exclude(state__in=DialerJob.OVER).exists()


def collect(seconds: float = RUN_SECONDS) -> Collected:
    """Reads the account's log from the cursor until it is empty or the time is up.

    While one page is stored the next ones are fetched, parsed and made into lines. Stops quietly
    when the dialer cannot be asked (the cursor stays, the page of the account says why) and loudly
    when the log itself is broken.
    """
    settings = VoiceSettings.current()
    done = Collected()
    until = monotonic() + seconds
    cursor = LogCursor.objects.filter(current=True).first()
    if cursor is None:
        return done
    messages = {str(job.job_ref): job.message_id for job in unfinished_jobs()}
    heard: dict[str, bool] = {}
    fetch = partial(_fetch, settings, breaker.doors_in_order(settings), heard)
    answers = read_on(fetch, settings.state_id, messages, cursor.epoch, cursor.seq, until)
    with for_two_threads(), closing(answers):
        for fetched in answers:
            page = _page_of(settings, cursor, fetched.answer)
            if page is None:
                break
            lines = fetched.lines.result() if fetched.lines else None
            stored = _store(cursor, page, lines)
            if stored is None:  # another worker was faster: its cursor goes on from there
                break
            cursor, fresh, touched = stored
            done.pages += 1
            done.entries += len(page.entries)
            done.fresh += fresh
            done.messages |= touched
    for door, answered in heard.items():
        (breaker.note_success if answered else breaker.note_failure)(door)
    if any(heard.values()):
        epochs.review()
    _read_elsewhere(settings)
    return done


def _read_elsewhere(settings: VoiceSettings) -> None:
    """Reads the jobs that another dialer has (ruling 23), each by its own: it has no cursor."""
    elsewhere = DialerJob.objects.filter(submitted_at__isnull=False, possibly_doubled=True)
    elsewhere = elsewhere.exclude(state__in=DialerJob.OVER).exclude(state_id=settings.state_id)
    for job in elsewhere:
        try:
            read_job(settings, job)
        except (DialerError, credentials.Unreadable) as doubt:
            log.warning("job of message %s not read elsewhere: %s", job.message_id, doubt)


def _fetch(
    settings: VoiceSettings, doors: Sequence[str], heard: dict[str, bool], epoch: str, after: int
) -> Answer:
    """One page through the first door that answers, or what went wrong at the last; `heard` keeps
    which doors answered, so that a silent one is not asked for every page. Nothing of ours is read
    or changed: it may run beside a transaction."""
    answer: Answer | None = None
    for door in [door for door in doors if heard.get(door, True)] or doors[-1:]:
        try:
            page = account.adapter(settings, door).read_log(
                epoch if after > 0 else None, after, PAGE
            )
        except Retry as doubt:
            heard[door] = False
            answer = doubt
        except (DialerError, credentials.Unreadable) as error:
            return error
        else:
            heard[door] = True
            return page
    assert answer is not None  # there is at least one door
    return answer


def _page_of(settings: VoiceSettings, cursor: LogCursor, answer: Answer) -> LogPage | None:
    """The page, if there is one that continues our log; otherwise what went wrong is noted."""
    if isinstance(answer, CursorLost):
        _follow(settings, cursor, answer)
        return None
    if isinstance(answer, CredentialsRefused):
        account.pause(_(answer.user_sentence))
        return None
    if not isinstance(answer, LogPage):
        words = getattr(
            answer, "user_sentence", _("Enter the password again: its key has changed.")
        )
        log.warning("call log not read: %s", answer)
        LogCursor.objects.filter(pk=cursor.pk).update(trouble=_(words)[:300], polled_at=clock.now())
        return None
    if answer.epoch != cursor.epoch:
        _follow(settings, cursor, CursorLost("EPOCH_CHANGED", answer.epoch, answer.oldest_seq))
        return None
    return answer


def _follow(settings: VoiceSettings, cursor: LogCursor, lost: CursorLost) -> None:
    """The log cannot go on from our cursor (8.4): a new epoch is read from its beginning, an
    expired part is jumped over after each unfinished job was read by its own; a log that is shorter
    than what was read stops, loudly."""
    if lost.code in ("EPOCH_CHANGED", "EPOCH_REQUIRED") and not account.second_is_same(settings):
        return  # it was another dialer's log; the first one's goes on from our cursor
    now = clock.now()
    log.error("call log cursor lost: %s", lost.code)
    words = _(lost.user_sentence)
    LogCursor.objects.filter(pk=cursor.pk).update(trouble=words[:300], polled_at=now)
    account.note_trouble(words)
    if lost.code in ("EPOCH_CHANGED", "EPOCH_REQUIRED") and lost.current_epoch:
        with transaction.atomic():
            LogCursor.objects.filter(current=True).update(current=False)
            LogCursor.objects.update_or_create(
                state_id=cursor.state_id, epoch=lost.current_epoch, defaults={"current": True}
            )
            VoiceSettings.objects.filter(pk=1).update(epoch=lost.current_epoch)
    elif lost.code == "EXPIRED" and lost.oldest_seq is not None:
        for job in unfinished_jobs():
            read_job(settings, job)
        LogCursor.objects.filter(pk=cursor.pk, seq=cursor.seq).update(
            seq=max(cursor.seq, lost.oldest_seq - 1)
        )


def unfinished_jobs() -> list[DialerJob]:
    return list(
        DialerJob.objects.filter(submitted_at__isnull=False)
        .exclude(state__in=[DialerJob.State.FINISHED, DialerJob.State.REFUSED])
        .select_related("message")
    )


def read_job(settings: VoiceSettings, job: DialerJob) -> int:
    """Reads one job's entries from the start and applies the new ones; the cursor stays (C6).
    Returns how many were new. Raises DialerError."""
    after, fresh = 0, 0
    while True:
        page = account.adapter(settings, job.endpoint).read_log(None, after, PAGE, str(job.job_ref))
        lines = _lines(page.entries, job.state_id or settings.state_id, page.epoch)
        with transaction.atomic():
            new, _messages = _apply(lines, clock.now())
        fresh += new
        after = page.next_seq
        if not page.has_more:
            return fresh


# --------------------------------------------------------------------------------------- storing


def _store(
    used: LogCursor, page: LogPage, lines: PageLines | None = None
) -> tuple[LogCursor, int, frozenset[int]] | None:
    """Entries, ledger and cursor in one transaction; None when the cursor has moved meanwhile.
    Returns the cursor as it is then, how many entries were new, the messages they touched."""
    now = clock.now()
    lines = lines or _lines(page.entries, used.state_id, page.epoch)
    with transaction.atomic():
        cursor = LogCursor.objects.select_for_update().get(pk=used.pk)
        if cursor.seq != used.seq or not cursor.current:
            return None
        fresh, messages = _apply(lines, now)
        cursor.polled_at, cursor.trouble = now, ""
        if page.next_seq != cursor.seq:
            cursor.seq, cursor.moved_at = page.next_seq, now
        cursor.save(update_fields=["seq", "polled_at", "moved_at", "trouble"])
    account.note_polled()
    return cursor, fresh, messages


def _lines(entries: Sequence[LogEntry], state_id: str, epoch: str) -> PageLines | None:
    """The page as lines for COPY, with the messages that its jobs belong to; None for an empty
    one. A job stays its message's for ever, so that this may be asked before the transaction."""
    if not entries:
        return None
    jobs = DialerJob.objects.filter(job_ref__in=job_refs(entries))
    messages = {str(ref): pk for ref, pk in jobs.values_list("job_ref", "message_id")}
    return make_lines(entries, state_id, epoch, messages)


def _apply(lines: PageLines | None, now: datetime) -> tuple[int, frozenset[int]]:
    """Stores what is new of a page and applies it. Returns (new entries, message ids).

    Almost always all of it is new, and is simply appended. A page that was read before, or that
    revises earlier tries, is told apart from that by a unique key, and is merged.
    """
    if lines is None:
        return 0, frozenset()
    if lines.all_new:
        try:
            with transaction.atomic():
                _append(lines)
        except IntegrityError:
            lines = _merge(lines)
    else:
        lines = _merge(lines)
    touched = results.apply_results(lines.results, now) if any(lines.results) else set()
    for end in lines.job_ends:
        touched |= finish(end.job_ref, end.seq, end.disposition, end.reason, now)
    recall.name_ends(touched)
    return len(lines.log), frozenset(touched)


def _append(lines: PageLines) -> None:
    """Stores entries and tries that are all new. Raises IntegrityError when one is not."""
    _copy(f"voice_logentry ({', '.join(LOG_COLUMNS)})", lines.log)
    results.add_attempts(lines.attempts, all_new=True)


def _merge(lines: PageLines) -> PageLines:
    """Stores the entries that are new and their tries; returns their lines alone."""
    names = ", ".join(LOG_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS page (LIKE voice_logentry, place int)"
            " ON COMMIT DELETE ROWS; DELETE FROM page"
        )
        places = (f"{place}\t{line}" for place, line in enumerate(lines.log))
        _copy(f"page (place, {names})", places)
        cursor.execute(
            f"""
            WITH stored AS (
                INSERT INTO voice_logentry ({names})
                SELECT {names} FROM page ORDER BY place
                ON CONFLICT (state_id, entry_id) DO NOTHING RETURNING entry_id
            )
            SELECT min(place) FROM stored JOIN page USING (entry_id)
            GROUP BY entry_id ORDER BY 1"""
        )
        fresh = lines.only([row[0] for row in cursor.fetchall()])
    results.add_attempts(fresh.attempts, all_new=False)
    return fresh


def _copy(target: str, lines: Iterable[str]) -> None:
    with connection.wrap_database_errors, connection.cursor() as cursor:
        there = BytesIO("\n".join(lines).encode())
        cursor.copy_expert(f"COPY {target} FROM STDIN", there, results.COPY_BYTES)


def refresh(message_id: int) -> str:
    """Refresh Status: asks the dialer about this message now (B2-05, B3-16, C6). Returns words for
    the page; never raises for what the dialer does. A job that it forgot is handed over again
    under the same references (ruling 24)."""
    settings = VoiceSettings.current()
    job = DialerJob.of(message_id)
    if job is None or job.submitted_at is None:
        return _("Nothing has been handed to the dialer yet.")
    try:
        if account.looks_up() and (words := _look_up(settings, job)):
            return words
        fresh = read_job(settings, job)
    except (DialerError, credentials.Unreadable) as error:
        words = getattr(error, "user_sentence", _("Enter the password again: its key has changed."))
        return _("The dialer could not be asked: %(why)s") % {"why": _(words)}
    if fresh:
        return _("%(count)s new results from the dialer.") % {"count": f"{fresh:,}"}
    return _("The dialer has nothing new.")


def _look_up(settings: VoiceSettings, job: DialerJob) -> str:
    """Whether the dialer still has the job; words when it has not, and what follows. Raises
    DialerError."""
    if job.state in (*DialerJob.OVER, DialerJob.State.LOST) or job.accepted_at is None:
        return ""
    (status,) = account.adapter(settings, job.endpoint).job_status([str(job.job_ref)])
    if status.state != "UNKNOWN":
        return ""
    if epochs.may_resubmit(job, status.epoch):
        dispatch.resubmit(job)
        return _("The dialer does not know this message any more. It is handed over again.")
    epochs.mark_lost(job, epochs.EPOCH_CHANGED if status.epoch != job.epoch else epochs.FORGOTTEN)
    return _("The dialer has lost this message. Nobody is called twice because of it.")
