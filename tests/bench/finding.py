"""P8, the Sent Message Log: its list under random searches, its file, a message's page, and the
last page of recipients beside the first.

The log is written straight into the tables: three years of messages with rows for each, one of them
a large one. The limit finds the same rows by one statement written by hand. What the benchmark
wrote it takes away again: the workers of the next one would find messages that wait.
"""

from datetime import timedelta
from random import Random
from typing import Any

from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from messenger.models import District, Message, User
from messenger.rights import Scope
from sentlog.delivery_pages import page_of_rows
from sentlog.delivery_rows import Selection, Wording, words_of_codes
from sentlog.filters import LIMIT, MessageFilter, start_of
from sentlog.listing import Order, page_of
from sentlog.summary import summary_of
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, empty, execute
from tests.bench.measure import DifferentWork, Run, alternate, percentile, stopwatch

PAGE = 100
TOOL = "bench-log"
DAYS = 3 * 365
# In hundredths: how often a search uses each filter.
OFTEN = 30
DISTRICT = Scope(district=True)

# Message n of N, from the newest to the oldest; every hundredth goes to the inbox alone.
MESSAGES = f"""
    INSERT INTO messenger_message (uuid, log, tool, type_label, contact_reason, status,
        status_reason, emergency, unknown_outcome, subject, voice_text, text_body, email_body,
        language, sender_name, schedule_name, schedule_id, district_wide, criteria, criteria_shown,
        settings_frozen, created_at, scheduled_at, job_ref, launched_at, expanded_at, finished_at,
        canceled_by_name, results_changed_at)
    SELECT gen_random_uuid(), 'classic', '{TOOL}',
        (ARRAY['Message Builder - General Notification', 'Attendance', 'Missing Assignment',
            'Emergency Messenger', 'Behavior Referral', 'Staff Messenger'])[1 + n %% 6],
        'general',
        CASE WHEN n %% 40 = 1 THEN 'waiting' WHEN n %% 40 = 2 THEN 'in_progress'
            WHEN n %% 40 = 3 THEN 'error' WHEN n %% 40 = 4 THEN 'failed'
            WHEN n %% 40 = 5 THEN 'canceled' WHEN n %% 40 = 6 THEN 'canceled_ip' ELSE 'sent' END,
        '', n %% 6 = 3, 'stop',
        (ARRAY['Early release', 'Absence', 'Bus', 'Lunch balance', 'Weather closing',
            'Picture day', 'Book fair', 'Report cards', 'Concert', 'Field trip'])[1 + n %% 10]
            || ' ' || n %% 977,
        'On Friday all schools close at noon.', '', '', 'en-US',
        'Family' || n %% 211 || ', Given', '', CASE WHEN n %% 100 > 0 THEN 900000000 + n END,
        n %% 5 = 0, '{{}}', '[["Deliver To", "Messenger Contacts"]]', '{{}}',
        moment, moment + n %% 3 * interval '7 hours', gen_random_uuid(), moment, moment, moment, '',
        moment
    FROM (SELECT n, now() - n * (interval '{DAYS} days' / %(messages)s) AS moment
        FROM generate_series(1, %(messages)s) n) one
    ORDER BY n DESC"""
TO_SCHOOLS = """
    INSERT INTO messenger_message_schools (message_id, school_id)
    SELECT m.id, s.id FROM messenger_message m
    JOIN generate_series(0, 2) k ON k = 0 OR m.id %% 10 = 1
    JOIN (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS schools
        FROM messenger_school) s ON s.place = (m.id + k) %% s.schools
    WHERE m.tool = %(tool)s AND NOT m.district_wide
    ON CONFLICT DO NOTHING"""
MODES = """
    INSERT INTO messenger_messagemode (message_id, mode, state)
    SELECT id, CASE WHEN schedule_id IS NULL THEN 'inbox' ELSE 'voice' END, 'final'
    FROM messenger_message WHERE tool = %(tool)s"""
# Rows of the message %(large)s: %(most)s; of every other: %(each)s.
ROWS = """
    INSERT INTO messenger_delivery (message_id, id, recipient_id, student_id, school_id, chain,
        step, code, tries, duplicate, confirmed, private, role, mode, device, address, extension,
        state, outcome, reason, result_at)
    SELECT m.id, k, 1 + (m.id * 31 + k) %% %(people)s, 1 + (m.id * 31 + k + 7) %% %(people)s, 1, k,
        1, CASE WHEN k %% 9 = 0 THEN 0 ELSE 5 END, 1, false, k %% 7 = 0, false, 'contact', 'voice',
        'cell', '+1612' || 5550000 + k, '', 'done',
        CASE WHEN k %% 9 = 0 THEN 'failed' ELSE 'successful' END, '', m.created_at
    FROM messenger_message m
    CROSS JOIN LATERAL generate_series(1, CASE WHEN m.id = %(large)s THEN %(most)s
        ELSE %(each)s END) k
    WHERE m.tool = %(tool)s"""
TABLES = (
    "messenger_message",
    "messenger_message_schools",
    "messenger_messagemode",
    "messenger_delivery",
)

# What each sort key and each filter is by hand; the product's words are in sentlog.
KEYS = {
    "status": "CASE m.status WHEN 'waiting' THEN 'Waiting' WHEN 'in_progress' THEN 'In-Progress'"
    " WHEN 'sent' THEN 'Sent' WHEN 'error' THEN 'Error' WHEN 'failed' THEN 'Failed'"
    " WHEN 'canceled' THEN 'Canceled' ELSE 'Canceled IP' END",
    "type": "lower(m.type_label)",
    "subject": "lower(m.subject)",
    "sender": "lower(m.sender_name)",
    "created": "m.created_at",
    "scheduled": "m.scheduled_at",
    "schedule_id": "coalesce(m.schedule_id, -1)",
}
SHOWN = "to_char(m.{0} AT TIME ZONE %(zone)s, 'MM/DD/YYYY FMHH12:MI AM') ILIKE %({1})s"
CONDITIONS = {
    "status": "m.status = %(status)s",
    "type": "m.type_label = %(type)s",
    "sender": "m.sender_name = %(sender)s",
    "subject": "m.subject ILIKE %(subject)s",
    "created": SHOWN.format("created_at", "created"),
    "scheduled": SHOWN.format("scheduled_at", "scheduled"),
    "schedule_id": "m.schedule_id::text LIKE %(schedule_id)s",
}
PARTS = ("subject", "created", "scheduled", "schedule_id")


class Finding:
    """A log of `messages` messages and about `rows` rows, and an administrator who looks at it."""

    def __init__(self, ground: Ground) -> None:
        ground.ensure_district()
        self.messages, self.rows = ground.size.messages, ground.size.log_rows
        self.user = User.objects.get(username="admin")
        self.client = Client(SERVER_NAME="localhost")
        self.client.force_login(self.user, backend="django.contrib.auth.backends.ModelBackend")
        self.district = District.current()
        self.chance = Random(8)
        self._write()

    def _write(self) -> None:
        empty("messenger_delivery")
        told: dict[str, Any] = {"messages": self.messages, "tool": TOOL}
        for statement in (MESSAGES, TO_SCHOOLS, MODES):
            execute(statement, told)
        self.large = Message.objects.filter(tool=TOOL, status="sent").latest("created_at")
        told |= {
            "people": ask("SELECT count(*) FROM messenger_person")[0],
            "large": self.large.pk,
            "most": max(300, self.rows // 50),
            "each": max(1, self.rows * 49 // 50 // self.messages),
        }
        self.rows = execute(ROWS, told)
        execute("VACUUM ANALYZE " + ", ".join(TABLES))
        execute("CHECKPOINT")

    def take_away(self) -> None:
        empty("messenger_delivery")
        made = "IN (SELECT id FROM messenger_message WHERE tool = %s)"
        for table in ("message_schools", "messagemode"):
            execute(f"DELETE FROM messenger_{table} WHERE message_id {made}", [TOOL])
        execute(f"DELETE FROM sentlog_messagesummary WHERE message_id {made}", [TOOL])
        execute("DELETE FROM messenger_message WHERE tool = %s", [TOOL])
        execute("VACUUM ANALYZE messenger_message")

    # ------------------------------------------------------------------------------- searching

    def search(self) -> QueryDict:
        """A random mix: days, any of the filters with a value that exists, an order."""
        chance = self.chance
        today = timezone.localdate()
        last = today - timedelta(days=chance.randrange(DAYS))
        first = last - timedelta(days=chance.choice((1, 7, 30, 90, 365, DAYS)))
        near = Message.objects.filter(tool=TOOL, created_at__lt=start_of(last)).only(
            "status", "type_label", "sender_name", "subject", "schedule_id", "created_at"
        )
        one = near.order_by("-created_at")[:1].first() or self.large
        local = timezone.localtime(one.created_at, self.district.zone)
        values = {
            "status": one.status,
            "type": one.type_label,
            "sender": one.sender_name,
            "subject": one.subject[: chance.randrange(3, 9)].strip(),
            "created": chance.choice((f"{local:%m/%d}", f"{local:%M %p}", f"{local:%Y}")),
            "scheduled": chance.choice((f"{local:%m/}", f"{local:%Y}")),
            "schedule_id": str(one.schedule_id or 9)[-2:],
        }
        query = QueryDict(mutable=True)
        query["created_from"], query["created_to"] = first.isoformat(), last.isoformat()
        for name, value in values.items():
            if chance.randrange(100) < OFTEN:
                query[name] = value
        query["sort"] = chance.choice(("", "-")) + chance.choice(list(KEYS))
        return query

    def subject(self, query: QueryDict) -> Run:
        """The product's search: its filters, its order, one page."""
        with timezone.override(self.district.zone):  # as in a request
            search = MessageFilter(query, self.user)
        assert search.form.is_valid(), search.form.errors
        order = Order.from_address(query["sort"])
        with stopwatch() as watch:
            page = page_of(search.qs, order, self.district, PAGE)
        return Run(watch.seconds, [message.pk for message in page.messages])

    def limit(self, query: QueryDict) -> Run:
        """One statement for the same rows, whole; nothing is made of them."""
        told: dict[str, Any] = {"zone": self.district.time_zone, "size": PAGE + 1, "limit": LIMIT}
        filters = ["TRUE"]
        for name, condition in CONDITIONS.items():
            if name in query:
                told[name] = f"%{query[name]}%" if name in PARTS else query[name]
                filters.append(condition)
        days = QueryDict.copy(query)
        told["first"], told["last"] = days["created_from"], days["created_to"]
        turn = "DESC" if query["sort"].startswith("-") else "ASC"
        key = KEYS[query["sort"].removeprefix("-")]
        statement = f"""
            SELECT m.* FROM (
                SELECT * FROM messenger_message WHERE log = 'classic'
                    AND created_at >= %(first)s::date::timestamp AT TIME ZONE %(zone)s
                    AND created_at < (%(last)s::date + 1)::timestamp AT TIME ZONE %(zone)s
                ORDER BY created_at DESC, id DESC LIMIT %(limit)s) m
            WHERE {" AND ".join(filters)} ORDER BY {key} {turn}, m.id {turn} LIMIT %(size)s"""
        with stopwatch() as watch, connection.cursor() as cursor:
            cursor.execute(statement, told)
            found = cursor.fetchall()
        return Run(watch.seconds, [row[0] for row in found[:PAGE]])

    def get(self, address: str) -> Run:
        """A page as a browser gets it, with everything around."""
        with stopwatch() as watch:
            response = self.client.get(address)
        assert response.status_code == 200, (address, response.status_code)
        return Run(watch.seconds, len(response.content))

    # -------------------------------------------------------------------------------- recipients

    def recipients(self, after: int | None) -> Run:
        """A page of the large message's rows, from the row with this id on."""
        selection = Selection(self.large.pk)
        figures = summary_of(self.large, DISTRICT)
        with stopwatch() as watch:
            rows = page_of_rows(selection, self.wording, figures, after, PAGE)
        assert rows
        return Run(watch.seconds)

    def last_page_after(self) -> int:
        """The row that the last page of the large message follows: the hundredth before its end."""
        selection = Selection(self.large.pk)
        figures = summary_of(self.large, DISTRICT)
        rows = page_of_rows(selection, self.wording, figures, None, self.rows_of_large())
        return int(rows[-min(PAGE, len(rows) // 2) - 1].id)

    def rows_of_large(self) -> int:
        counted = "SELECT count(*) FROM messenger_delivery WHERE message_id = %s"
        return int(ask(counted, [self.large.pk])[0])

    @property
    def wording(self) -> Wording:
        return Wording(zone=self.district.time_zone, codes=words_of_codes({"5": 1, "0": 1}))


def measure_finding(ground: Ground) -> list[Figure]:
    both = Finding(ground)
    try:
        return [*_list(both, ground), *_around(both, ground)]
    finally:
        both.take_away()


def _list(both: Finding, ground: Ground) -> list[Figure]:
    ours, theirs, pages = [], [], []
    address = reverse("log")
    searches = 300 if ground.size.trials > 2 else 10
    for _search in range(searches):
        query = both.search()
        subject, limit = both.subject(query), both.limit(query)
        if subject.evidence != limit.evidence:
            raise DifferentWork(f"{query.urlencode()}: {subject.evidence} {limit.evidence}")
        ours.append(subject.seconds)
        theirs.append(limit.seconds)
        pages.append(both.get(f"{address}?{query.urlencode()}").seconds)
    p95, bare = percentile(ours, 0.95), percentile(theirs, 0.95)
    about = (
        f"{searches} random searches among {both.messages:,} messages with {both.rows:,} "
        "deliveries: days, filters, order."
    )
    whole = timezone.localdate() - timedelta(days=DAYS + 1)
    file = f"{reverse('log_file', args=['json'])}?created_from={whole}&created_to="
    files = [both.get(file).seconds for _round in range(max(3, ground.size.rounds))]
    return [
        Figure(
            "P8 list",
            "p95 of finding a page of the log",
            both.messages,
            p95,
            bare,
            p95 / bare,
            goal=2.0,
            note=f"{about} Same rows in the same order on both sides. Limit: one statement by "
            "hand. Ours also reads each message's schools.",
        ),
        Figure(
            "P8 page",
            "p95 of the whole page of the log",
            both.messages,
            percentile(pages, 0.95),
            goal_seconds=0.15,
            note="The same searches as a browser asks: session, rights, the values under every "
            "column, the true total, 100 rows as HTML.",
        ),
        Figure(
            "P8 file",
            "the newest 4,000 as JSON",
            min(LIMIT, both.messages),
            sorted(files)[len(files) // 2],
            goal_seconds=0.3,
            note="All days; with the true total.",
        ),
    ]


def _around(both: Finding, ground: Ground) -> list[Figure]:
    some = ground.size.trials
    newest = list(Message.objects.filter(tool=TOOL).order_by("-created_at")[: 10 * some])
    chosen = both.chance.sample(newest, min(len(newest), 5 * some))
    for message in (*chosen, both.large):
        summary_of(message, DISTRICT)
    details = [
        both.get(reverse("log_detail", args=[message.uuid])).seconds
        for message in (*chosen, both.large)
    ]
    after = both.last_page_after()
    compared = alternate(
        lambda: both.recipients(after),
        lambda: both.recipients(None),
        rounds=max(3, ground.size.rounds),
    )
    rows = both.rows_of_large()
    return [
        Figure(
            "P8 detail",
            "p95 of a message's page from the stored summary",
            both.messages,
            percentile(details, 0.95),
            goal_seconds=0.15,
            note=f"{len(details)} messages, the largest with {rows:,} deliveries; with the list "
            "beside it.",
        ),
        Figure(
            "P8 last page",
            "last page of recipients beside the first",
            rows,
            compared.seconds,
            compared.limit_seconds,
            compared.ratio,
            goal=1.5,
            note="100 rows each, by the product's own statement. Limit: its first page.",
        ),
    ]
