"""P14, people: finding somebody among 200,000 people with a million contact points, and setting the
marks of 50,000 at once.

The limit of a search is the bare look-up of one person by key; its goal is the time (p95) in which
a page can answer while somebody types. The district is the bench's own, with names as many as a
real one has.
"""

import random
from time import perf_counter

from django.db import connection

from messenger import preference_batches
from messenger.audience.criteria import Criteria
from messenger.models import ContactReason, Device, Person, PreferenceBatch, School, User
from messenger.people_search import find_people
from messenger.preference_batches import Rule
from tests.bench.district import build_district
from tests.bench.figures import Figure
from tests.bench.ground import Ground, ask, execute
from tests.bench.importing import empty_district
from tests.bench.measure import percentile, stopwatch

SEARCHES = 300
SHARE = 0.44  # of the bench's families: 200,000 people
GOAL_SECONDS, BATCH_GOAL_SECONDS = 0.1, 20.0
BATCH_PEOPLE = 50_000

# Given and family names as spread as in a real district: a few are common, most are rare.
_NAMES = """
UPDATE messenger_person SET
    given_name = initcap(translate(substr(md5('g' || floor(900 * power(
        mod(abs(hashint4(id::int)::bigint), 10000) / 10000.0, 3))), 1, 7), '0123456789',
        'aeioulnrst')),
    family_name = initcap(translate(substr(md5('f' || floor(9000 * power(
        mod(abs(hashint4(coalesce(family, id)::int + 7)::bigint), 10000) / 10000.0, 3))), 1, 9),
        '0123456789', 'aeioulnrst')),
    identifier = CASE WHEN is_student THEN (2000000 + id)::text ELSE '' END
"""
# Second addresses, and pagers, until there are five devices a person.
_MORE_DEVICES = """
INSERT INTO messenger_contactpoint (person_id, device, value, extension, raw, valid, problem,
    private, source, active)
SELECT p.id, d.device, CASE WHEN d.device IN ('email', 'email2')
        THEN lower(p.given_name || '.' || p.family_name) || p.id || '@' || d.device || '.example'
        ELSE '+1763' || lpad(mod(p.id * 7919 + d.n, 10000000)::text, 7, '0') END,
    '', '', true, '', false, 'roster', true
FROM messenger_person p, (VALUES ('email2', 0), ('pager', 1), ('other', 2), ('work', 3),
    ('email', 4), ('cell', 5)) d (device, n)
ON CONFLICT DO NOTHING
"""


def measure_searching(ground: Ground) -> list[Figure]:
    """Searches as people type them, then one batch of 50,000 people."""
    empty_district()
    build_district(round(ground.size.families * SHARE))
    execute(_NAMES)
    execute(_MORE_DEVICES)
    execute("VACUUM ANALYZE messenger_person, messenger_contactpoint")
    user = User.objects.get(username="admin")
    people, points = ask(
        "SELECT (SELECT count(*) FROM messenger_person), count(*) FROM messenger_contactpoint"
    )
    typed = _typed(random.Random(14))
    for words in typed[:20]:
        find_people(words, user)  # warm
    seconds = [_seconds(words, user) for words in typed]
    bare = []
    for pk in range(1, 101):
        began = perf_counter()
        Person.objects.filter(pk=pk).first()
        bare.append(perf_counter() - began)
    found = percentile(seconds, 0.95)
    figures = [
        Figure(
            "P14",
            "find a person (p95)",
            people,
            found,
            percentile(bare, 0.95),
            goal_seconds=GOAL_SECONDS,
            note=f"{len(seconds)} searches by name (whole, begun, misspelled), phone, address and "
            f"student number, as somebody types them, among {people:,} people with {points:,} "
            "contact points. Limit: one person by key.",
        )
    ]
    figures.append(_batch(user))
    empty_district()
    return figures


def _seconds(words: str, user: User) -> float:
    began = perf_counter()
    find_people(words, user)
    return perf_counter() - began


def _typed(dice: random.Random) -> list[str]:
    """What people type: of people who are there, in the ways that they are looked for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT p.given_name, p.family_name, p.identifier, c.value FROM messenger_person p
            JOIN messenger_contactpoint c ON c.person_id = p.id
            WHERE mod(abs(hashint4(c.id::int)::bigint), 2000) = 0 ORDER BY c.id LIMIT %s""",
            [SEARCHES],
        )
        rows = cursor.fetchall()
    typed = []
    for given, family, number, value in rows:
        swapped = family[:3] + family[4:5] + family[3:4] + family[5:]
        ways = [
            f"{given} {family}",
            f"{family}, {given[:3]}",
            family[:3],
            family[:5],
            given[:2],
            f"{given[:-1]} {swapped}",
            swapped,
            value if "@" in value else value[2:],
            value[:6] if "@" in value else value[-7:],
            value[3:14] + "@" if "@" in value else value[2:8],
            number[:5] or family,
        ]
        typed.append(dice.choice(ways))
    return typed


def _batch(user: User) -> Figure:
    """A batch of about 50,000 people: the messenger contacts of so many schools."""
    schools = list(School.objects.order_by("pk").values_list("pk", flat=True))
    guardians = Person.objects.filter(is_student=False).count()
    share = min(1.0, BATCH_PEOPLE / max(1, guardians))
    picked = schools[: max(2, round(len(schools) * share))]
    rule = Rule(
        (Device.HOUSEHOLD, Device.CELL, Device.WORK, Device.OTHER, Device.EMAIL),
        ContactReason.TEACHER.bit,
    )
    batch = PreferenceBatch.objects.create(
        criteria=Criteria(school_ids=tuple(picked)).to_json(), rule=rule.to_json(), started_by=user
    )
    with stopwatch() as watch:
        preference_batches.carry_out(batch)
    seconds = watch.seconds * BATCH_PEOPLE / max(1, batch.people)
    with stopwatch() as back:
        preference_batches.undo(batch)
    return Figure(
        "P14 batch",
        "set the marks of 50,000 people",
        batch.people,
        seconds,
        goal_seconds=BATCH_GOAL_SECONDS,
        note=f"{batch.counts['points']:,} devices of {batch.people:,} people in "
        f"{watch.seconds:.1f} s, with a line of the history each; undone in {back.seconds:.1f} s.",
    )
