"""The twelve invariants of docs/invariants.md, looked up in our database and the dialer's books.

`dialer_adapters.switchboard.invariants` judges what the dialer's own books tell; here is what only
our rows know, or both together: what we promised against what was dialed. Each function yields one
sentence for each violation, with the invariant's number. They look at rows alone and trust none of
the code that writes them.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import connection

from dialer_adapters.switchboard.database import query as ask_books
from dialer_adapters.switchboard.invariants import list_violations
from messenger.models import Message
from messenger.rights import Scope
from sentlog import summary
from sentlog.counting import Row, count_rows

FINISHED = ("sent", "failed", "canceled", "canceled_ip")


def ask(statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))
        return list(cursor.fetchall())


class Watch:
    """What was seen earlier of the messages of one run: rows that were final."""

    def __init__(self) -> None:
        self.done: set[tuple[int, int]] = set()

    def look(self, messages: Sequence[int]) -> Iterator[str]:
        """What must hold after every single step."""
        yield from self._never_reopened(messages)
        yield from nothing_unread_behind_the_cursor()
        yield from dialed_after_cancel(messages)

    def judge(self, messages: Sequence[int]) -> Iterator[str]:
        """What must hold when everything has ended."""
        yield from self.look(messages)
        yield from dialed_outside_the_window(messages)
        yield from dialed_although_refused(messages)
        yield from never_final(messages)
        yield from doubled_or_too_many(messages)
        yield from stopped_by_another_chain(messages)
        yield from wrong_totals(messages)
        for job_ref in job_refs(messages):
            for found in list_violations(job_ref):
                yield f"({found.invariant}) in the dialer's books: {found}"

    def _never_reopened(self, messages: Sequence[int]) -> Iterator[str]:
        """(5) A final delivery never reopens."""
        now = set(
            ask(
                "SELECT message_id, id FROM messenger_delivery"
                " WHERE message_id = ANY(%s) AND state = 'done'",
                [list(messages)],
            )
        )
        for row in self.done - now:
            yield f"(5) a final row is open again: {row}"
        self.done = now


def dialed_although_refused(messages: Sequence[int]) -> Iterator[str]:
    """(3) No number on STOP gets a text, none on do-not-contact a call: nothing that was first
    handed over afterwards, and nothing at all once the dialer has confirmed the order about it."""
    refused = {
        ("TEXT", number): at
        for number, at in ask(
            "SELECT number, extract(epoch FROM changed_at)::float8 FROM messenger_textconsent"
            " WHERE state = 'opted_out'"
        )
    } | {
        ("VOICE", number): at
        for number, at in ask(
            "SELECT value, extract(epoch FROM recorded_at)::float8 FROM messenger_donotcontact"
            " WHERE mode = 'voice'"
        )
    }
    told = {
        (mode.upper(), number, job_ref): at
        for mode, number, job_ref, at in ask(
            "SELECT r.mode, r.number, j.job_ref::text, extract(epoch FROM r.confirmed_at)::float8"
            " FROM voice_numberrecall r LEFT JOIN voice_dialerjob j ON j.id = r.job_id"
            " WHERE r.confirmed_at IS NOT NULL AND r.trouble = ''"
        )
    }
    sent = ask(
        "SELECT j.job_ref::text, b.first_chain, b.last_chain,"
        " extract(epoch FROM b.sent_at)::float8 FROM voice_dialerbatch b"
        " JOIN voice_dialerjob j ON j.id = b.job_id WHERE j.message_id = ANY(%s)"
        " AND b.state = 'accepted' AND b.first_chain IS NOT NULL",
        [list(messages)],
    )
    for channel in ("TEXT", "VOICE"):
        for job_ref, step, number, started in attempts(messages, channel):
            since = refused.get((channel, number))
            if since is None or started <= since:
                continue
            chain = int(step.partition("-")[0])
            first_sent = min(
                (at for ref, first, last, at in sent if ref == job_ref and first <= chain <= last),
                default=0.0,
            )
            orders = [told.get((channel, number, ref), started) for ref in (job_ref, None)]
            if first_sent > since or min(orders) < started:
                yield f"(3) {channel} to {number} by {job_ref} {step}, refused before"


def job_refs(messages: Sequence[int]) -> list[str]:
    """Every JobRef under which a message was handed over."""
    found = ask(
        "SELECT job_ref::text FROM voice_dialerjob WHERE message_id = ANY(%s)"
        " UNION SELECT job_ref::text FROM messenger_message WHERE id = ANY(%s)",
        [list(messages), list(messages)],
    )
    return [ref for (ref,) in found]


def attempts(messages: Sequence[int], channel: str) -> list[tuple[str, str, str, float]]:
    """(JobRef, step, number, start) of everything that was dialed for these messages."""
    return ask_books(
        "SELECT j.job_ref, a.step_ref, a.phone_number, extract(epoch FROM a.started_at)::float8"
        " FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
        " WHERE j.job_ref = ANY(%s) AND a.channel = %s",
        [job_refs(messages), channel],
    )


def dialed_after_cancel(messages: Sequence[int]) -> Iterator[str]:
    """(1) No attempt starts after the cancel of its message was confirmed; none at all when it was
    canceled before anything had left."""
    canceled = ask(
        "SELECT m.id, m.job_ref::text, extract(epoch FROM CASE WHEN j.submitted_at IS NULL"
        "  THEN m.cancel_requested_at ELSE j.cancel_confirmed_at END)::float8"
        " FROM messenger_message m LEFT JOIN voice_dialerjob j ON j.message_id = m.id"
        " WHERE m.id = ANY(%s) AND m.cancel_requested_at IS NOT NULL",
        [list(messages)],
    )
    for message_id, job_ref, since in canceled:
        if since is None:
            continue
        late = ask_books(
            "SELECT count(*) FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
            " WHERE j.job_ref = %s AND a.started_at > to_timestamp(%s)",
            [job_ref, since],
        )
        if late[0][0]:
            yield f"(1) {late[0][0]} calls after the cancel of message {message_id}"


def dialed_outside_the_window(messages: Sequence[int]) -> Iterator[str]:
    """(2) No attempt outside the window that was frozen at confirm, emergencies apart."""
    windows = ask(
        "SELECT job_ref::text, dial_from, dial_until FROM messenger_message"
        " WHERE id = ANY(%s) AND NOT emergency",
        [list(messages)],
    )
    for job_ref, opens, ends in windows:
        outside = ask_books(
            "SELECT count(*) FROM switchboard_attempt a JOIN switchboard_job j ON j.id = a.job_id"
            " WHERE j.job_ref = %s AND (a.started_at < %s OR a.started_at >= %s)",
            [job_ref, opens, ends],
        )
        if outside[0][0]:
            yield f"(2) {outside[0][0]} calls of {job_ref} outside {opens} to {ends}"


def never_final(messages: Sequence[int]) -> Iterator[str]:
    """(4) Every delivery of a finished message is final."""
    for message_id, rows in ask(
        "SELECT m.id, count(*) FROM messenger_message m JOIN messenger_delivery d"
        " ON d.message_id = m.id WHERE m.id = ANY(%s) AND m.status = ANY(%s)"
        " AND d.state <> 'done' GROUP BY m.id",
        [list(messages), list(FINISHED)],
    ):
        yield f"(4) {rows} rows of finished message {message_id} are open"


def doubled_or_too_many(messages: Sequence[int]) -> Iterator[str]:
    """(6) No try of a step is stored twice; (7) none has more tries than redials allow."""
    for found in ask(
        "SELECT message_id, chain, step, number FROM messenger_attempt WHERE message_id = ANY(%s)"
        " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1",
        [list(messages)],
    ):
        yield f"(6) a try is there twice: {found}"
    for found in ask(
        "SELECT a.message_id, a.chain, a.step, count(*) FROM messenger_attempt a"
        " JOIN messenger_message m ON m.id = a.message_id WHERE m.id = ANY(%s)"
        " GROUP BY 1, 2, 3, m.settings_frozen HAVING count(*) >"
        " 1 + (m.settings_frozen->>'redials')::int",
        [list(messages)],
    ):
        yield f"(7) too many tries: {found}"


def stopped_by_another_chain(messages: Sequence[int]) -> Iterator[str]:
    """(8) Key 0 stops its chain and no other: a row that ended because its chain was stopped has a
    confirmed try in that chain."""
    for found in ask(
        "SELECT d.message_id, d.chain, d.step FROM messenger_delivery d"
        " WHERE d.message_id = ANY(%s) AND d.reason = 'CHAIN_STOPPED' AND NOT EXISTS ("
        "  SELECT 1 FROM messenger_attempt a WHERE a.message_id = d.message_id"
        "  AND a.chain = d.chain AND a.confirmed)",
        [list(messages)],
    ):
        yield f"(8) stopped by no key of its own: {found}"


def wrong_totals(messages: Sequence[int]) -> Iterator[str]:
    """(9) contacted + not contacted = Total Recipients; (10) Attempted ≤ Total; (11) the summary
    is the count of the rows, counted once more one by one."""
    for message in Message.objects.filter(pk__in=messages):
        shown = summary.summary_of(message, Scope(district=True))
        rows = ask(
            "SELECT recipient_id, mode, address, device, state, outcome, reason, confirmed, tries"
            " FROM messenger_delivery WHERE message_id = %s",
            [message.pk],
        )
        counted = count_rows(Row(*row) for row in rows)
        people = {row[0] for row in rows}
        if shown.contacted + shown.not_contacted != shown.total_recipients:
            yield f"(9) {message.pk}: {shown}"
        if shown.total_recipients != len(people):
            yield f"(9) {message.pk}: {shown.total_recipients} recipients, {len(people)} people"
        for total, attempted in (
            (shown.total_voice, shown.total_voice_attempted),
            (shown.total_text, shown.total_text_attempted),
            (shown.total_emails, shown.total_emails_attempted),
        ):
            if attempted > total:
                yield f"(10) {message.pk}: {attempted} attempted of {total}"
        for name in ("contacted", "rows", "rows_done", "total_voice", "total_voice_attempted"):
            if getattr(shown, name) != getattr(counted, name):
                yield f"(11) {message.pk}: {name} is {getattr(shown, name)}, not {counted}"


def nothing_unread_behind_the_cursor() -> Iterator[str]:
    """(12) The cursor never passes an entry that is not stored."""
    for epoch, seq, stored in ask(
        "SELECT c.epoch, c.seq, (SELECT count(*) FROM voice_logentry e WHERE e.state_id ="
        " c.state_id AND e.epoch = c.epoch AND e.seq <= c.seq) FROM voice_logcursor c"
    ):
        written = ask_books(
            "SELECT count(*) FROM switchboard_entry e, switchboard_exchange x"
            " WHERE e.seq <= %s AND x.epoch = %s",
            [seq, epoch],
        )
        if written[0][0] > stored:
            yield f"(12) the cursor is at {seq}; {stored} of {written[0][0]} entries are stored"
