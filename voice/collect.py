"""The call log → our tables: read a page, store entries and cursor together, tell the ledger.

Exactly contract 8.3: the page is read with no transaction open; entries, what they mean for the
ledger, and the cursor commit together or not at all; any repeat is harmless. An odd entry is stored
raw and never stops the log. Refresh uses the same code without touching the cursor (C6).
"""

import io
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from django.utils.translation import gettext as _

from dialer_adapters.contract import (
    CredentialsRefused,
    CursorLost,
    DialerError,
    LogEntry,
    LogPage,
)
from messenger import ledger
from voice import account, credentials, dispatch
from voice.finishing import finish
from voice.models import DialerJob, LogCursor, VoiceSettings
from voice.outcomes import outcome_of

log = logging.getLogger(__name__)

PAGE = 5_000  # entries; the highest the contract allows
RUN_SECONDS = 10.0  # reading on for HasMore (8.3)
POLL_WORKING = timedelta(seconds=15)  # while anything is unfinished (A2-09)
POLL_IDLE = timedelta(minutes=5)  # and otherwise, forever: texts are revised late (ruling 26)

ATTEMPT_TYPES = frozenset({"ATTEMPT_RESULT", "ATTEMPT_UPDATE"})
STEP_TYPE, JOB_TYPE = "STEP_RESULT", "JOB_RESULT"


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
    if cursor is None or not VoiceSettings.current().verified:
        return False
    if cursor.polled_at is None:
        return True
    unfinished = DialerJob.objects.exclude(
        state__in=[DialerJob.State.FINISHED, DialerJob.State.REFUSED]
    ).exists()
    # A tick comes every 15 s; half a tick of slack keeps it from missing its own turn.
    wait = POLL_WORKING / 2 if unfinished else POLL_IDLE
    return now - cursor.polled_at >= wait


def collect(seconds: float = RUN_SECONDS) -> Collected:
    """Reads the account's log from the cursor until it is empty or the time is up.

    Stops quietly when the dialer cannot be asked (the cursor stays, the page of the account says
    why) and loudly when the log itself is broken.
    """
    settings = VoiceSettings.current()
    done = Collected()
    until = monotonic() + seconds
    while True:
        cursor = LogCursor.objects.filter(current=True).first()
        if cursor is None:
            return done
        page = _read(settings, cursor)
        if page is None:
            return done
        stored = _store(cursor, page)
        if stored is None:  # another worker was faster: its cursor goes on from there
            return done
        done.pages += 1
        done.entries += len(page.entries)
        done.fresh += stored[0]
        done.messages |= stored[1]
        if not page.has_more or monotonic() > until:
            return done


def _read(settings: VoiceSettings, cursor: LogCursor) -> LogPage | None:
    try:
        page = account.adapter(settings).read_log(
            cursor.epoch if cursor.seq > 0 else None, cursor.seq, PAGE
        )
    except CursorLost as lost:
        _follow(settings, cursor, lost)
        return None
    except CredentialsRefused as error:
        account.pause(_(error.user_sentence))
        return None
    except (DialerError, credentials.Unreadable) as error:
        words = getattr(error, "user_sentence", _("Enter the password again: its key has changed."))
        log.warning("call log not read: %s", error)
        LogCursor.objects.filter(pk=cursor.pk).update(
            trouble=_(words)[:300], polled_at=timezone.now()
        )
        return None
    if page.epoch != cursor.epoch:
        _follow(settings, cursor, CursorLost("EPOCH_CHANGED", page.epoch, page.oldest_seq))
        return None
    return page


def _follow(settings: VoiceSettings, cursor: LogCursor, lost: CursorLost) -> None:
    """The log cannot go on from our cursor (8.4): a new epoch is read from its beginning, an
    expired part is jumped over after each unfinished job was read by its own; a log that is shorter
    than what was read stops, loudly."""
    now = timezone.now()
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
        with transaction.atomic():
            new, _messages = _apply(page.entries, settings.state_id, page.epoch)
        fresh += new
        after = page.next_seq
        if not page.has_more:
            return fresh


# --------------------------------------------------------------------------------------- storing


def _store(used: LogCursor, page: LogPage) -> tuple[int, frozenset[int]] | None:
    """Entries, ledger and cursor in one transaction; None when the cursor has moved meanwhile."""
    now = timezone.now()
    with transaction.atomic():
        cursor = LogCursor.objects.select_for_update().get(pk=used.pk)
        if cursor.seq != used.seq or not cursor.current:
            return None
        fresh, messages = (
            _apply(page.entries, cursor.state_id, page.epoch) if page.entries else (0, frozenset())
        )
        cursor.polled_at, cursor.trouble = now, ""
        if page.next_seq != cursor.seq:
            cursor.seq, cursor.moved_at = page.next_seq, now
        cursor.save(update_fields=["seq", "polled_at", "moved_at", "trouble"])
    account.note_polled()
    return fresh, messages


_COLUMNS = """seq bigint, entry_id varchar(64), entry_type varchar(40), occurred_at timestamptz,
    job_ref varchar(64), chain_ref varchar(64), step_ref varchar(64), attempt_ref varchar(64),
    number integer, revision integer, code integer, disposition varchar(40), reason varchar(60),
    final boolean, confirmed boolean, rest jsonb, chain bigint, step smallint,
    mode varchar(6), outcome varchar(12), answered_by varchar(20), started_at timestamptz,
    ended_at timestamptz, duration integer, call_error varchar(200)"""


def _apply(entries: Iterable[LogEntry], state_id: str, epoch: str) -> tuple[int, frozenset[int]]:
    """Stores what is new of the entries and applies it. Returns (new entries, message ids)."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
        cursor.execute("DROP TABLE IF EXISTS page, fresh, results")
        cursor.execute(f"CREATE TEMPORARY TABLE page ({_COLUMNS}) ON COMMIT DROP")
        _copy(cursor, entries)
        cursor.execute(
            """
            CREATE TEMPORARY TABLE fresh ON COMMIT DROP AS
            WITH stored AS (
                INSERT INTO voice_logentry
                    (state_id, entry_id, epoch, seq, entry_type, occurred_at, job_ref, chain_ref,
                     step_ref, attempt_ref, number, revision, code, disposition, reason, final,
                     confirmed, rest)
                SELECT %s, entry_id, %s, seq, entry_type, occurred_at, job_ref, chain_ref, step_ref,
                    attempt_ref, number, revision, code, disposition, reason, final, confirmed, rest
                FROM page ORDER BY seq
                ON CONFLICT (state_id, entry_id) DO NOTHING
                RETURNING entry_id
            )
            SELECT page.*, j.message_id FROM stored
            JOIN page USING (entry_id)
            LEFT JOIN voice_dialerjob j ON j.job_ref = CASE
                WHEN page.job_ref ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
                THEN page.job_ref::uuid END""",
            [state_id, epoch],
        )
        new = cursor.rowcount
        if not new:
            return 0, frozenset()
        cursor.execute(f"CREATE TEMPORARY TABLE results ({ledger.RESULT_COLUMNS}) ON COMMIT DROP")
        # An entry for an unknown job, or with references that are not ours, stays stored as an
        # orphan (C5).
        cursor.execute(
            """
            INSERT INTO results
            SELECT message_id, chain, step, attempt_ref, coalesce(number, 0), revision, mode, code,
                outcome, final, confirmed, reason, answered_by, started_at, ended_at, occurred_at,
                duration, call_error
            FROM fresh
            WHERE message_id IS NOT NULL AND chain IS NOT NULL AND step IS NOT NULL
                AND (entry_type IN ('ATTEMPT_RESULT', 'ATTEMPT_UPDATE') AND attempt_ref <> ''
                    OR entry_type = 'STEP_RESULT')"""
        )
        touched = (
            frozenset(ledger.apply_results("results", now)) if cursor.rowcount else frozenset()
        )
        cursor.execute(
            """SELECT message_id, seq, disposition, reason FROM fresh
            WHERE entry_type = 'JOB_RESULT' AND message_id IS NOT NULL"""
        )
        for message_id, seq, disposition, reason in cursor.fetchall():
            finish(message_id, seq, disposition, reason, now)
            touched |= {message_id}
    return new, touched


def _copy(cursor: CursorWrapper, entries: Iterable[LogEntry]) -> None:
    lines = io.StringIO()
    write = lines.write
    for entry in entries:
        write(_line(entry))
    lines.seek(0)
    cursor.copy_expert("COPY page FROM STDIN", lines)


_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": ""})


def _text(value: str | None, most: int) -> str:
    """A value for COPY's text format, never longer than its column."""
    return value[:most].translate(_ESCAPES) if value else ""


def _or_null(value: object) -> str:
    return "\\N" if value is None else str(value)


def _number(value: int | None, least: int, most: int) -> str:
    """A number that fits its column; one that does not is left out (the raw entry keeps it)."""
    return str(value) if value is not None and least <= value <= most else "\\N"


def _line(entry: LogEntry) -> str:
    chain, step = _references(entry.chain_ref, entry.step_ref)
    attempt = entry.attempt_id if entry.entry_type in ATTEMPT_TYPES else ""
    code = entry.status_code
    small = code is None or -30_000 < code < 30_000
    rest = {
        name: value
        for name, value in (
            ("phone", entry.phone_number),
            ("digits", entry.digits),
            ("connected_at", entry.connected_at),
            ("text_segments", entry.text_segments),
            ("sip", entry.sip_code),
            ("q850", entry.cause_q850),
            ("next", entry.next_attempt_at),
            ("properties", entry.properties),
            ("code", None if small else code),
        )
        if value is not None
    }
    return (
        "\t".join(
            (
                str(entry.seq),
                _text(entry.entry_id, 64),
                _text(entry.entry_type, 40),
                _text(entry.occurred_at, 64),
                _text(entry.job_ref, 64),
                _text(entry.chain_ref, 64),
                _text(entry.step_ref, 64),
                _text(attempt, 64),
                _number(entry.attempt_number, 0, 30_000),
                str(max(0, min(entry.revision, 30_000))),
                _or_null(code if small else None),
                _text(entry.disposition, 40),
                _text(entry.reason, 60),
                "t" if entry.final else "f",
                "t" if entry.confirmed else "f",
                _text(json.dumps(rest), 4_000) if rest else "\\N",
                _or_null(chain),
                _or_null(step),
                "text" if entry.channel == "TEXT" else "voice",
                outcome_of(code, entry.disposition or ""),
                _text(entry.answered_by, 20),
                _or_null(entry.started_at),
                _or_null(entry.ended_at),
                _number(entry.duration_seconds, 0, 2**31 - 1),
                _text(entry.call_error, 200),
            )
        )
        + "\n"
    )


def _references(chain_ref: str | None, step_ref: str | None) -> tuple[int | None, int | None]:
    """Our chain and step numbers out of the wire's references; None for what is not ours."""
    if not chain_ref or not chain_ref.isdecimal() or len(chain_ref) > 18:
        return None, None
    head, dash, tail = (step_ref or "").partition("-")
    if not dash or head != chain_ref or not tail.isdecimal() or len(tail) > 4:
        return int(chain_ref), None
    return int(chain_ref), int(tail)


def refresh(message_id: int) -> str:
    """Refresh Status: asks the dialer about this message now (B2-05, B3-16, C6). Returns words for
    the page; never raises for what the dialer does. A job that it forgot is handed over again
    under the same references (ruling 24)."""
    settings = VoiceSettings.current()
    job = DialerJob.objects.filter(message_id=message_id, submitted_at__isnull=False).first()
    if job is None:
        return _("Nothing has been handed to the dialer yet.")
    try:
        (status,) = account.adapter(settings, job.endpoint).job_status([str(job.job_ref)])
        if status.state == "UNKNOWN" and job.accepted_at is not None:
            dispatch.resubmit(job)
            return _("The dialer does not know this message any more. It is handed over again.")
        fresh = read_job(settings, job)
    except (DialerError, credentials.Unreadable) as error:
        words = getattr(error, "user_sentence", _("Enter the password again: its key has changed."))
        return _("The dialer could not be asked: %(why)s") % {"why": _(words)}
    if fresh:
        return _("%(count)s new results from the dialer.") % {"count": f"{fresh:,}"}
    return _("The dialer has nothing new.")
