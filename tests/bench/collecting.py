"""P6, collection: results of the dialer from the switchboard's log to the recipients' rows.

The log's entries are made in the switchboard's own database and served by the switchboard itself
over HTTP; the product fetches, parses, stores and applies them, page by page. The limit gets the
same results as lines that are ready and does nothing but COPY and UPDATE, with the same pages and
commits.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from django.db import connection, connections, transaction
from django.utils import timezone

from dialer_adapters.switchboard.accounts import save_account
from messenger.models import LaunchSlice, Message
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, empty, execute, fill, keep
from tests.bench.launching import Expansion
from tests.bench.measure import Run, alternate, own_process, stopwatch
from voice import account, collect
from voice.models import DialerJob, LogCursor, VoiceSettings
from voice.outcomes import outcome_of

PAGE = collect.PAGE
LONG_ENOUGH = 3_600.0  # seconds
# How calls end: (code, share in hundredths, final). Not final: the dialer will try again.
RESULTS = (
    (5, 48, True),  # live person
    (6, 27, True),  # answering machine
    (0, 12, False),  # no answer
    (1, 4, False),  # busy
    (3, 5, True),  # not in service
    (0, 4, True),  # no answer, no redial left
)
USERNAME, PASSWORD = "log of the bench", "read by the bench alone"

# Both sides must leave the rows like this.
RESULT_SUM = """
    SELECT count(*), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE confirmed),
        sum(hashtext(concat_ws('|', id, state, outcome, code, tries, confirmed,
            result_at))::numeric)
    FROM messenger_delivery"""


class Collection:
    """Both sides of P6 for `entries` entries, one for each of so many steps, in random order."""

    def __init__(self, ground: Ground, entries: int) -> None:
        self.ground = ground
        side = Expansion(ground, round(entries * 1.4))
        side.subject()
        assert side.message is not None
        self.message = side.message
        self.entries = self._make_results(entries)
        self._make_log()

    # ------------------------------------------------------------------------------- preparation

    def _make_results(self, entries: int) -> int:
        cases, before = [], 0
        for code, share, final in RESULTS:
            cases.append((before, before + share, code, outcome_of(code), final))
            before += share
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_case")
            cursor.execute(
                "CREATE UNLOGGED TABLE bench_case (low int, high int, code int, outcome text,"
                " final boolean)"
            )
            cursor.executemany("INSERT INTO bench_case VALUES (%s, %s, %s, %s, %s)", cases)
        keep(
            "bench_result",
            f"""
            SELECT row_number() OVER (ORDER BY place) AS seq, d.chain, d.step, d.address, c.code,
                c.outcome, c.final, d.draw % 10 = 0 AND c.code = 5 AS confirmed,
                date_trunc('second', now()) - d.draw * interval '1 s' AS ended_at
            FROM (
                SELECT chain, step, min(address) AS address, md5(chain || '-' || step) AS place,
                    mod(abs(hashtext(chain || '/' || step)::bigint), 100)::int AS draw
                FROM bench_delivery WHERE chain IS NOT NULL GROUP BY chain, step
                ORDER BY md5(chain || '-' || step) LIMIT {entries}
            ) d JOIN bench_case c ON d.draw >= c.low AND d.draw < c.high""",
        )
        return int(ask("SELECT count(*) FROM bench_result")[0])

    def _make_log(self) -> None:
        """Writes the results into the switchboard's books, as if its dialing had ended so, for an
        account of the bench's own."""
        ground, job_ref = self.ground, uuid4()
        VoiceSettings.objects.filter(pk=1).update(paused=False)
        save_account(USERNAME, PASSWORD, "bench")
        verified = account.verify_and_save(
            VoiceSettings.current(), USERNAME, PASSWORD, ground.endpoint
        )
        assert verified.ok, verified.words
        Message.objects.filter(pk=self.message.pk).update(status=Message.Status.IN_PROGRESS)
        LaunchSlice.objects.filter(message=self.message).update(state=LaunchSlice.State.FROZEN)
        DialerJob.objects.filter(message=self.message).delete()
        DialerJob.objects.create(
            message=self.message,
            job_ref=job_ref,
            content={},
            state=DialerJob.State.SEALED,
            submitted_at=timezone.now(),
        )
        path = ground.folder / "entries"
        with path.open("wb") as file, connection.cursor() as cursor:
            cursor.copy_expert(
                """
                COPY (SELECT seq, 'e' || seq || ':1', 'ATTEMPT_RESULT', ended_at, chain,
                    chain || '-' || step, 'attempt-' || seq, 1, 1, 'VOICE', address, code,
                    CASE outcome WHEN 'successful' THEN 'SUCCESSFUL' ELSE 'FAILED' END, final,
                    confirmed, CASE code WHEN 5 THEN 'HUMAN' WHEN 6 THEN 'MACHINE' END,
                    CASE WHEN confirmed THEN '0' END, ended_at - interval '31 s', ended_at, 25
                FROM bench_result ORDER BY seq) TO STDOUT""",
                file,
            )
        self._load_log(path, str(job_ref))

    def _load_log(self, path: Path, job_ref: str) -> None:
        books = connections["switchboard"]
        with transaction.atomic("switchboard"), books.cursor() as cursor:
            cursor.execute("SELECT id FROM switchboard_account WHERE username = %s", [USERNAME])
            (account_id,) = cursor.fetchone()
            cursor.execute("DELETE FROM switchboard_entry WHERE account_id = %s", [account_id])
            cursor.execute("DELETE FROM switchboard_job WHERE account_id = %s", [account_id])
            # Over and done, so that the dialing thread leaves it alone.
            cursor.execute(
                """
                INSERT INTO switchboard_job (account_id, job_ref, job_id, epoch, priority, state,
                    created_at, ending, sealed, batches, stored_chains, chains_confirmed,
                    chains_done, chains_canceled, steps_attempted, attempts, last_seq, final_seq)
                SELECT %s, %s, 'bench', epoch, 2, 'FINISHED', now(), '', true, 0, 0, 0, 0, 0, 0, 0,
                    %s, %s FROM switchboard_exchange RETURNING id""",
                [account_id, job_ref, self.entries, self.entries],
            )
            (job_id,) = cursor.fetchone()
            cursor.execute(
                """
                CREATE TEMPORARY TABLE made (seq bigint, entry_id text, entry_type text,
                    occurred_at timestamptz, chain_ref text, step_ref text, attempt_id text,
                    attempt_number int, revision int, channel text, phone_number text,
                    status_code int, disposition text, final boolean, confirmed boolean,
                    answered_by text, digits text, started_at timestamptz, ended_at timestamptz,
                    duration_seconds int) ON COMMIT DROP"""
            )
            with path.open("rb") as file:
                cursor.copy_expert("COPY made FROM STDIN", file)
            cursor.execute(
                """
                INSERT INTO switchboard_entry (account_id, job_id, seq, entry_id, entry_type,
                    occurred_at, chain_ref, step_ref, attempt_id, attempt_number, revision, channel,
                    phone_number, status_code, disposition, final, confirmed, answered_by, digits,
                    started_at, ended_at, duration_seconds)
                SELECT %s, %s, * FROM made ORDER BY seq""",
                [account_id, job_id],
            )
            cursor.execute(
                "UPDATE switchboard_account SET last_seq = %s, oldest_seq = 1 WHERE id = %s",
                [self.entries, account_id],
            )
        path.unlink()
        with books.cursor() as cursor:
            cursor.execute("ANALYZE switchboard_entry")

    # ------------------------------------------------------------------------------------- sides

    def reset(self) -> None:
        """Rows as they were after the launch, and a log of which nothing has been read."""
        empty("messenger_delivery", "messenger_attempt", "voice_logentry")
        fill("messenger_delivery", "bench_delivery", "id")
        LogCursor.objects.filter(current=True).update(seq=0, moved_at=None)
        execute("VACUUM ANALYZE messenger_delivery")
        execute("CHECKPOINT")

    def subject(self) -> Run:
        self.reset()
        with stopwatch() as watch:
            done = collect.collect(LONG_ENOUGH)
        assert (done.entries, done.fresh) == (self.entries, self.entries), done
        assert ask("SELECT count(*) FROM voice_logentry")[0] == self.entries
        assert ask("SELECT count(*) FROM messenger_attempt")[0] == self.entries
        return Run(watch.seconds, ask(RESULT_SUM))

    def limit(self) -> Run:
        self.reset()
        seconds = 0.0
        with connection.cursor() as cursor:
            for lines in self._pages():
                with stopwatch() as watch, transaction.atomic():
                    # The best plan for the limit too: by default it reads the whole table.
                    cursor.execute(
                        "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off"
                    )
                    cursor.execute(
                        "CREATE TEMPORARY TABLE page (chain bigint, step smallint, code smallint,"
                        " outcome varchar(12), final boolean, confirmed boolean,"
                        " result_at timestamptz) ON COMMIT DROP"
                    )
                    cursor.copy_expert("COPY page FROM STDIN", lines)
                    cursor.execute(
                        """
                        UPDATE messenger_delivery d SET
                            state = CASE WHEN p.final THEN 'done' ELSE 'submitted' END,
                            outcome = CASE WHEN p.final THEN p.outcome ELSE '' END,
                            code = p.code, tries = 1, confirmed = p.confirmed,
                            result_at = p.result_at
                        FROM page p
                        WHERE d.message_id = %s AND d.chain = p.chain AND d.step = p.step""",
                        [self.message.pk],
                    )
                seconds += watch.seconds
        return Run(seconds, ask(RESULT_SUM))

    def _pages(self) -> Iterator[io.BytesIO]:
        """The same results, a page at a time, as COPY wants them."""
        for after in range(0, self.entries, PAGE):
            lines = io.BytesIO()
            with connection.cursor() as cursor:
                cursor.copy_expert(
                    f"""
                    COPY (SELECT chain, step, code, outcome, final, confirmed, ended_at
                        FROM bench_result WHERE seq > {after} AND seq <= {after + PAGE}
                        ORDER BY seq) TO STDOUT""",
                    lines,
                )
            lines.seek(0)
            yield lines

    def read_again(self) -> float:
        """The same log once more: no row may change. Returns the seconds."""
        before = ask(PLACES)
        LogCursor.objects.filter(current=True).update(seq=0)
        with stopwatch() as watch:
            done = collect.collect(LONG_ENOUGH)
        assert (done.entries, done.fresh) == (self.entries, 0), done
        assert ask(PLACES) == before, "a repeated page has changed rows"
        return watch.seconds


# Where each version of each row lies: any update moves it.
PLACES = """
    SELECT (SELECT sum(hashtext(ctid::text || xmin)::numeric) FROM messenger_delivery),
        (SELECT sum(hashtext(ctid::text || xmin)::numeric) FROM messenger_attempt),
        (SELECT sum(hashtext(ctid::text || xmin)::numeric) FROM voice_logentry)"""


@contextmanager
def as_before() -> Iterator[None]:
    """Puts the district's account back when the block is over."""
    before = VoiceSettings.current()
    try:
        yield
    finally:
        LogCursor.objects.all().delete()
        before.save()
        LogCursor.objects.create(state_id=before.state_id, epoch=before.epoch)


def measure_collection(ground: Ground) -> list[Figure]:
    ground.ensure_district()
    with as_before():
        both = Collection(ground, ground.size.entries)
        switchboard = (ground.processes or {}).get("switchboard")

        def processes() -> dict[str, int]:
            return own_process() | ({"switchboard": switchboard} if switchboard else {})

        compared = alternate(
            both.subject, both.limit, rounds=ground.size.rounds, processes=processes
        )
        both.subject()
        again = both.read_again()
    return [
        Figure(
            "P6",
            "collect log entries: fetch, parse, store, apply, cursor",
            both.entries,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=2.0,
            goal_seconds=6.0 if ground.size.name != "tiny" else None,
            peak_mb=compared.peaks["bench"],
            note=f"Pages of {PAGE:,}, random order over the message. Limit: ready lines, COPY to a "
            "temporary table and UPDATE … FROM, the same pages and commits. The switchboard builds "
            "and sends the pages on the same cores "
            f"({compared.peaks.get('switchboard', 0):.0f} MB). The same log read again changed no "
            f"row ({again:.1f} s).",
        )
    ]
