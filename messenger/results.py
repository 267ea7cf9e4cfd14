"""The ledger's other half: tries that a provider reported, and what they amount to for the rows.

Every statement works on sets, in the collector's transaction. What a code means is said by whoever
reports (`outcome`); how a log is read is not known here.
"""

from collections.abc import Iterable
from datetime import datetime
from io import BytesIO

from django.db import connection
from django.db.backends.utils import CursorWrapper

# The fields of a try's line, in the order of COPY (`add_attempts`); `outcome` is the class of the
# code ('' while it is pending), `final` says the step will have no further try.
ATTEMPT_COLUMNS = """message_id, chain, step, attempt_ref, number, revision, mode, code, outcome,
    final, confirmed, reason, answered_by, started_at, ended_at, occurred_at, duration,
    call_error"""

# The fields of a result's line (`apply_results`), one for each new log entry about a step. `first`:
# it is the only one about its step and comes from the step's first try by voice. `untried`: the
# step ended without a try. `at` is when that was.
_RESULT_TABLE = """(message_id bigint NOT NULL, chain bigint NOT NULL, step smallint NOT NULL,
    first boolean NOT NULL, untried boolean NOT NULL, revision smallint NOT NULL, code smallint,
    outcome varchar(12) NOT NULL, final boolean NOT NULL, confirmed boolean NOT NULL,
    reason varchar(40) NOT NULL, at timestamptz NOT NULL)"""

# A step's result is that of its best try: one that reached someone if there is any, else the latest
# (contract 6). 'unknown' code 17 and -39 are pending: outcome ''.
BEST_FIRST = """(a.confirmed OR a.outcome = 'successful') DESC, a.number DESC, a.revision DESC"""

# Rows are found by (message, chain, step) in an index, always. Left alone, the planner takes its
# statistics for the truth, which are older than the message, and reads whole tables for a page of
# 5,000 results (one page of a large message then took 30 s).
_BY_INDEX = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
_AS_USUAL = "SET LOCAL enable_hashjoin TO DEFAULT; SET LOCAL enable_mergejoin TO DEFAULT"


# Handed to the driver at a time. By its default of 8 kB it takes the interpreter back for each of
# 250 pieces of a page, beside the thread that computes the next one.
COPY_BYTES = 1024 * 1024


def add_attempts(lines: Iterable[str], *, all_new: bool) -> None:
    """Stores tries from lines of ATTEMPT_COLUMNS for COPY (an empty one is none); a newer revision
    replaces an older one, but one that is pending none that has an end. `final` stays said: so the
    same revisions make the same try in any order (R16).

    With `all_new` they go straight into the table, three times as fast; one that is there already
    then raises IntegrityError, and the caller takes back its savepoint and says so.
    """
    with connection.cursor() as cursor:
        if all_new:
            _copy(cursor, f"messenger_attempt ({ATTEMPT_COLUMNS})", lines)
            return
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS tries (LIKE messenger_attempt)"
            " ON COMMIT DELETE ROWS; DELETE FROM tries"
        )
        _copy(cursor, f"tries ({ATTEMPT_COLUMNS})", lines)
        cursor.execute(
            f"""
            INSERT INTO messenger_attempt ({ATTEMPT_COLUMNS})
            SELECT DISTINCT ON (message_id, chain, step, attempt_ref) {ATTEMPT_COLUMNS} FROM tries
            ORDER BY message_id, chain, step, attempt_ref, (outcome <> '') DESC, revision DESC
            ON CONFLICT (message_id, chain, step, attempt_ref) DO UPDATE SET
                number = excluded.number, revision = excluded.revision, code = excluded.code,
                outcome = excluded.outcome,
                final = messenger_attempt.final OR excluded.final,
                confirmed = excluded.confirmed, reason = excluded.reason,
                answered_by = excluded.answered_by,
                started_at = coalesce(excluded.started_at, messenger_attempt.started_at),
                ended_at = excluded.ended_at, occurred_at = excluded.occurred_at,
                duration = excluded.duration, call_error = excluded.call_error
            WHERE (messenger_attempt.outcome <> '', messenger_attempt.revision)
                < (excluded.outcome <> '', excluded.revision);
            UPDATE messenger_attempt a SET final = true FROM tries t
            WHERE a.message_id = t.message_id AND a.chain = t.chain AND a.step = t.step
                AND a.attempt_ref = t.attempt_ref AND t.final AND NOT a.final"""
        )


def apply_results(lines: Iterable[str], now: datetime) -> set[int]:
    """Brings rows up to date with new results, given as lines for COPY (see `_RESULT_TABLE`), whose
    tries are stored. Returns the ids of the messages touched.

    Order and repetition do not matter: a step is judged from all its tries each time. Only a row
    that no try has reached yet takes the result of a `first` one as it is. Runs in the collector's
    transaction.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS results {_RESULT_TABLE} ON COMMIT DELETE ROWS;"
            f"DELETE FROM results; {_BY_INDEX}"
        )
        _copy(cursor, "results", lines)
        touched, settled = _take_first_results(cursor)
        cursor.execute("SELECT count(*) FILTER (WHERE first), count(*) FROM results")
        firsts, total = cursor.fetchone()
        if settled < total:
            if settled == firsts:
                cursor.execute("DELETE FROM results WHERE first")
            touched |= _judge_steps(cursor)
        cursor.execute(_AS_USUAL)
        results_changed(cursor, touched, now)
    return touched


def _copy(cursor: CursorWrapper, target: str, lines: Iterable[str]) -> None:
    with connection.wrap_database_errors:
        there = "\n".join(filter(None, lines))
        cursor.copy_expert(f"COPY {target} FROM STDIN", BytesIO(there.encode()), COPY_BYTES)


def _take_first_results(cursor: CursorWrapper) -> tuple[set[int], int]:
    """Rows of steps whose first and only result has come. Returns messages and number of steps."""
    cursor.execute(
        """
        WITH written AS (
            UPDATE messenger_delivery d SET
                state = CASE WHEN r.final THEN 'done' ELSE 'submitted' END,
                outcome = CASE WHEN r.final THEN coalesce(nullif(r.outcome, ''), 'failed')
                    ELSE '' END,
                code = r.code, tries = 1, confirmed = r.confirmed, reason = r.reason,
                result_at = r.at
            -- In the order of the rows: a page in the order of time jumps over all of them.
            FROM (SELECT * FROM results WHERE first ORDER BY message_id, chain, step) r
            WHERE d.message_id = r.message_id AND d.chain = r.chain AND d.step = r.step
                AND d.tries = 0 AND d.state <> 'done'
            RETURNING d.message_id, d.chain, d.step
        )
        SELECT message_id, count(*) FROM (SELECT DISTINCT message_id, chain, step FROM written) s
        GROUP BY message_id"""
    )
    steps = dict(cursor.fetchall())
    return set(steps), sum(steps.values())


def _judge_steps(cursor: CursorWrapper) -> set[int]:
    """Writes what all tries of a step amount to into its rows, for every step of `results`."""
    cursor.execute(
        f"""
        WITH steps AS MATERIALIZED (
            SELECT message_id, chain, step, bool_or(untried AND final) AS ended,
                (array_agg(code ORDER BY revision DESC) FILTER (WHERE untried AND final))[1]
                    AS code,
                (array_agg(outcome ORDER BY revision DESC) FILTER (WHERE untried AND final))[1]
                    AS outcome,
                (array_agg(reason ORDER BY revision DESC) FILTER (WHERE untried AND final))[1]
                    AS reason,
                (array_agg(at ORDER BY revision DESC) FILTER (WHERE untried AND final))[1] AS at
            FROM results GROUP BY message_id, chain, step
        ), verdict AS MATERIALIZED (
            SELECT s.message_id, s.chain, s.step, coalesce(b.tries, 0) AS tries,
                coalesce(b.final, false) OR s.ended AS final,
                CASE WHEN b.tries IS NULL THEN s.code ELSE b.code END AS code,
                CASE WHEN b.tries IS NULL THEN s.outcome ELSE b.outcome END AS outcome,
                coalesce(b.confirmed, false) AS confirmed,
                coalesce(CASE WHEN b.tries IS NULL THEN s.reason ELSE b.reason END, '') AS reason,
                coalesce(b.at, s.at) AS result_at
            FROM steps s LEFT JOIN LATERAL (
                SELECT a.code, a.outcome, a.confirmed, a.reason,
                    coalesce(a.ended_at, a.occurred_at) AS at, count(*) OVER () AS tries,
                    -- A text that is pending is under way, whatever is said of further tries: it
                    -- ends with its next revision or with the job (ruling 26).
                    bool_or(a.final AND NOT (a.mode = 'text' AND a.outcome = '')) OVER () AS final
                FROM messenger_attempt a
                WHERE a.message_id = s.message_id AND a.chain = s.chain AND a.step = s.step
                ORDER BY {BEST_FIRST} LIMIT 1
            ) b ON true
        ), written AS (
            UPDATE messenger_delivery d SET
                state = CASE WHEN v.final OR d.state = 'done' THEN 'done' ELSE 'submitted' END,
                outcome = CASE WHEN v.final OR d.state = 'done'
                    THEN coalesce(nullif(v.outcome, ''), 'failed') ELSE '' END,
                code = v.code, tries = v.tries, confirmed = v.confirmed, reason = v.reason,
                result_at = v.result_at
            FROM verdict v
            WHERE d.message_id = v.message_id AND d.chain = v.chain AND d.step = v.step
                -- A row that was closed without a try (taken back, canceled) keeps its end, unless
                -- that was the word for "nobody knows".
                AND (d.state <> 'done' OR ((d.tries > 0 OR d.reason = 'in_doubt') AND v.tries > 0))
            RETURNING d.message_id
        )
        SELECT DISTINCT message_id FROM written"""
    )
    return {row[0] for row in cursor.fetchall()}


def name_end(message_id: int, mode: str, address: str, *, was: str, reason: str) -> int:
    """Gives the rows of an address that were canceled without a try for the reason `was` the end
    that they would have had before the launch: failed, -3 (do not call). Returns the rows."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE messenger_delivery SET outcome = 'failed', code = -3, reason = %(reason)s
            WHERE message_id = %(message)s AND mode = %(mode)s AND address = %(address)s
                AND state = 'done' AND outcome = 'canceled' AND tries = 0 AND reason = %(was)s""",
            {
                "message": message_id,
                "mode": mode,
                "address": address,
                "was": was,
                "reason": reason,
            },
        )
        return int(cursor.rowcount)


def results_changed(cursor: CursorWrapper, message_ids: Iterable[int], now: datetime) -> None:
    """Tells the summary's tick that rows of these messages have changed (ruling 11)."""
    cursor.execute(
        "UPDATE messenger_message SET results_changed_at = %s WHERE id = ANY(%s)",
        [now, list(message_ids)],
    )
