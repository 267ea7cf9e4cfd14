"""Deliveries → call chains → frozen batches, in sets.

The ledger has numbered chains and steps; here they become `CallChain` rows and `DialerBatch` rows
whose content is frozen as JSON, built by PostgreSQL (a million steps would take Python minutes).
The shape of the content is `dialer_adapters.contract.ChainRow`. Nothing is sent from here.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connection
from django.db.models import Max, Q

from messenger import ledger
from messenger.audience.placing import Bundling
from messenger.models import District, LaunchSlice, Message
from messenger.models.delivery import ROWS_PER_SLICE
from voice import recordings, script
from voice.models import DialerBatch, DialerJob

# BatchNumber = slice × this + part (ruling 14). A refused batch is split under the next parts.
# Parts beyond it (a dialer that takes few chains a request, long words of their own, refusals) are
# numbered after all slices: the wire's xs:int has room for 2,000 slices of them.
PARTS_PER_SLICE = 1_000
_PARTS_BEYOND = 1_000_000
_NUMBER = f"""part + CASE WHEN part < %(parts)s THEN %(number)s
                    ELSE (%(number)s / %(parts)s + 1) * {_PARTS_BEYOND} END"""
# Of the 8 MiB that a request may have: words grow when they are written as XML.
MOST_BATCH_BYTES = 3 * 1024 * 1024
CHAIN_BYTES = 1_000  # a chain without a script, at its longest

# One row a chain: its JSON, and what `CallChain` needs. A step's rows (Mom and Dad on the household
# phone) agree in mode, address and extension, so that the first of them speaks for the step; the
# rows lie in the order of chains and steps, so that sorting them costs next to nothing. References
# are numbers and the rest is E.164, digits and zone names: nothing needs escaping.
_CHAINS = """
    grouped AS MATERIALIZED (
        SELECT chain, count(*) FILTER (WHERE first) AS steps, {about}
            min(contact_point_id) FILTER (WHERE device = 'household' AND mode = 'voice') AS home,
            string_agg(
                '["' || chain || '-' || step ||
                CASE mode WHEN 'voice' THEN '","V","' ELSE '","T","' END || address || '"' ||
                CASE WHEN zone IS NOT NULL THEN
                        CASE WHEN extension <> '' THEN ',"' || extension || '"' ELSE ',null' END
                        || ',"' || zone || '"'
                    WHEN extension <> '' THEN ',"' || extension || '"'
                    ELSE '' END || ']', ',' ORDER BY step) FILTER (WHERE first) AS content
        FROM (
            SELECT d.chain, d.step,{id} d.mode, d.device, d.address, d.extension, d.student_id,
                d.recipient_id, {school}, d.contact_point_id, z.time_zone AS zone,
                lag(d.step) OVER (PARTITION BY d.chain ORDER BY d.step, d.id)
                    IS DISTINCT FROM d.step AS first
            FROM messenger_delivery d
            LEFT JOIN messenger_school z
                ON z.id = d.school_id AND z.time_zone <> '' AND z.time_zone <> %(zone)s
            WHERE d.message_id = %(message)s AND d.state <> 'done' AND {rows}
        ) s
        GROUP BY chain
    ), made AS (
        SELECT g.chain, g.steps, g.student_id, {whose},
            '{"r":"' || g.chain || '",{order}"s":[' || g.content || ']' ||
                coalesce(',"x":' || o.script, '') || coalesce(',"c":"' || o.caller_id || '"', '') ||
                coalesce(',"u":"' || nullif(a.customer_id, '') || '"', '') || '}' AS content
        FROM grouped g
        LEFT JOIN messenger_contactpoint h
            ON h.id = g.home AND h.id = ANY(ARRAY(SELECT home FROM grouped))
        LEFT JOIN voice_customeraccount a ON a.school_id = g.school_id AND %(several_schools)s
        LEFT JOIN unnest(%(own_schools)s::{schools}[], %(own_scripts)s::text[],
            %(own_callers)s::text[]) o(schools, script, caller_id) ON o.schools = g.{schools_of}
    )"""
# A chain for each student (of a text that goes out once, the first one).
_ABOUT_ONE = {
    "about": """min(student_id) AS student_id,
            min(recipient_id) AS lowest, max(recipient_id) AS highest,
            min(school_id) AS school_id,""",
    "whose": """h.household_id,
            CASE WHEN g.home IS NULL AND g.lowest = g.highest THEN g.lowest END AS recipient_id""",
    "id": "",
    "schools": "bigint",
    "schools_of": "school_id",
}
# A chain may be about several students: then none is its student, and of several schools none is
# its school; what it says is theirs together. `schools` are those of them with words or numbers of
# their own, '' standing for all others, as one text.
_ABOUT_SEVERAL = {
    **_ABOUT_ONE,
    "about": """
            CASE WHEN min(student_id) = max(student_id) THEN min(student_id) END AS student_id,
            min(recipient_id) AS lowest, max(recipient_id) AS highest,
            CASE WHEN min(school_id) = max(school_id) THEN min(school_id) END AS school_id,
            string_agg(DISTINCT {voice}, ',' ORDER BY {voice}) AS schools,""",
    "voice": """CASE WHEN school_id = ANY(%(voices)s) THEN school_id::text
            WHEN school_id IS NOT NULL THEN '' END""",
    "schools": "text",
    "schools_of": "schools",
}
# Bundled by number, a chain is the one's whose name it says: the recipient of its first row.
_OF_ONE_NAME = {
    **_ABOUT_SEVERAL,
    "about": _ABOUT_SEVERAL["about"]
    + """
            (array_agg(recipient_id ORDER BY id))[1] AS owner,""",
    "whose": "NULL::bigint AS household_id, g.owner AS recipient_id",
    "id": " d.id,",
}
_PARTS = {
    Bundling.NONE: _ABOUT_ONE,
    Bundling.RECIPIENT: _ABOUT_SEVERAL,
    Bundling.NUMBER: _OF_ONE_NAME,
}
# What a chain row says of its order: all numbers at once, or one after the other.
_AT_ONCE = '"o":"P",'

# Sorts of a slice in memory; hash joins (or one walk over an index by a list of keys) instead of
# loops, which the planner likes for a message that it knows nothing of; no compiling.
_PLAN = "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"
_AS_USUAL = "SET LOCAL enable_nestloop TO DEFAULT"


def freeze_slice(message: Message, job: DialerJob, launch_slice: LaunchSlice, size: int) -> int:
    """Writes chains and frozen batches (of `size` chains) for the rows of a slice.

    Returns the number of chains. Runs in the slice's transaction. Batch 0 is the one that
    SubmitJob carries: it is the first of the first slice that has any chains, which slices before
    it (of families without a phone) leave their numbers.
    """
    first = launch_slice.number * ROWS_PER_SLICE
    rows = """d.id > %(first)s AND d.id <= %(last)s
            AND d.chain > %(first)s AND d.chain <= %(last)s"""
    span = {"message": message.pk, "first": first, "last": first + ROWS_PER_SLICE}
    with connection.cursor() as cursor:
        cursor.execute(_PLAN)
        own = _own_words(message, cursor, rows, span)
        cursor.execute(
            f"""
            WITH {_chains(message, rows)},
            chains AS MATERIALIZED (
                SELECT c.*, (row_number() OVER (ORDER BY c.chain) - 1) / %(size)s AS part
                FROM made c
            ), kept AS (
                INSERT INTO voice_callchain
                    (message_id, number, batch, student_id, household_id, recipient_id, steps)
                SELECT %(message)s, chain, {_NUMBER}, student_id, household_id,
                    recipient_id, steps
                FROM chains
            )
            INSERT INTO voice_dialerbatch
                (uuid, job_id, number, state, first_chain, last_chain, chains, steps, content,
                 frozen_at, trouble)
            SELECT gen_random_uuid(), %(job)s, {_NUMBER}, 'frozen', min(chain), max(chain),
                count(*), sum(steps), '[' || string_agg(content, ',' ORDER BY chain) || ']',
                transaction_timestamp(), ''
            FROM chains GROUP BY part
            RETURNING chains""",
            {
                **_parameters(message, own),
                **span,
                "size": fitting(own, size),
                "number": launch_slice.number * PARTS_PER_SLICE if job.batches.exists() else 0,
                "job": job.pk,
                "parts": PARTS_PER_SLICE,
            },
        )
        chains = sum(row[0] for row in cursor.fetchall())
        cursor.execute(_AS_USUAL)
        return chains


def next_numbers(job: DialerJob, number: int, count: int) -> list[int]:
    """Batch numbers that nothing of the job has, for what a batch of that number is split into.
    Runs in a transaction that holds the job's row."""
    index = number // PARTS_PER_SLICE
    if number >= _PARTS_BEYOND:
        index = number // _PARTS_BEYOND - 1
    base, beyond = index * PARTS_PER_SLICE, (index + 1) * _PARTS_BEYOND
    of_slice = Q(number__gte=base, number__lt=base + PARTS_PER_SLICE)
    of_slice |= Q(number__gte=beyond, number__lt=beyond + _PARTS_BEYOND)
    highest = job.batches.filter(of_slice).aggregate(highest=Max("number"))["highest"]
    part = highest - (beyond if highest >= beyond else base) + 1
    return [
        (base if each < PARTS_PER_SLICE else beyond) + each for each in range(part, part + count)
    ]


def content_of(message: Message, batch: DialerBatch) -> tuple[str, int, int]:
    """What the open rows of a batch's chains amount to now: (content, chains, steps)."""
    rows = "d.chain BETWEEN %(first)s AND %(last)s"
    span = {"message": message.pk, "first": batch.first_chain, "last": batch.last_chain}
    # Rows of later slices may hang on these chains (a text that goes out once): they keep a step
    # alive, and do not change what the chain says.
    slice_end = (batch.first_chain or 0) // ROWS_PER_SLICE * ROWS_PER_SLICE + ROWS_PER_SLICE
    school = f"CASE WHEN d.id <= {slice_end} THEN d.school_id END AS school_id"
    with connection.cursor() as cursor:
        cursor.execute(_PLAN)
        own = _own_words(message, cursor, rows, span, school)
        cursor.execute(
            f"""
            WITH {_chains(message, rows, school)}
            SELECT coalesce('[' || string_agg(content, ',' ORDER BY chain) || ']', '[]'),
                count(*), coalesce(sum(steps), 0)
            FROM made""",
            {**_parameters(message, own), **span},
        )
        content, chains, steps = cursor.fetchone()
        cursor.execute(_AS_USUAL)
        return content, int(chains), int(steps)


def _chains(message: Message, rows: str, school: str = "d.school_id") -> str:
    """The CTEs of a message's chains (see `_CHAINS`): one text for each way of bundling, so that
    the usual one does no more than it needs."""
    parts = {
        **_PARTS[ledger.bundling_of(message)],
        "order": _AT_ONCE if message.settings_frozen.get("simultaneous") else "",
        "rows": rows,
        "school": school,
    }
    text = _CHAINS
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


Own = Mapping[str, tuple[str | None, str | None]]
"""Schools (ids, with commas between them) → script as JSON and caller ID of the chains about their
students, where they differ from the job's (ruling 16)."""


def _parameters(message: Message, own: Own) -> dict[str, Any]:
    bundled = ledger.bundling_of(message) != Bundling.NONE
    return {
        "zone": District.current().time_zone,
        "several_schools": len(message.criteria.get("school_ids", ())) > 1,
        "voices": [int(school) for school in _schools_with_own(message)],
        "own_schools": list(own) if bundled else [int(school) for school in own],
        "own_scripts": [script for script, _caller in own.values()],
        "own_callers": [caller for _script, caller in own.values()],
    }


def _schools_with_own(message: Message) -> list[str]:
    """Ids of the schools that have prompts or a number of their own: of few, for most messages of
    none."""
    frozen = message.settings_frozen
    prompts = {school for school in frozen.get("prompts", {}) if school}
    return sorted(prompts.union(frozen.get("caller_ids", {})), key=int)


def _own_words(
    message: Message, cursor: Any, rows: str, span: dict[str, Any], school: str = "d.school_id"
) -> Own:
    """What the chains of these rows say instead of the job's script, and from which number."""
    schools = _schools_with_own(message)
    if not schools or ledger.bundling_of(message) == Bundling.NONE:
        return own_words(message, schools)
    voice = _ABOUT_SEVERAL["voice"]
    cursor.execute(
        f"""SELECT DISTINCT string_agg(DISTINCT {voice}, ',' ORDER BY {voice}) FROM (
                SELECT d.chain, {school} FROM messenger_delivery d
                WHERE d.message_id = %(message)s AND d.state <> 'done' AND {rows}
            ) s GROUP BY chain""",
        {**span, "voices": [int(school) for school in schools]},
    )
    return own_words(message, [row[0] for row in cursor.fetchall() if row[0] is not None])


def own_words(message: Message, together: Iterable[str]) -> Own:
    """The words and numbers of chains about students of these schools (as in `Own`): each school's
    words, what they share once; the number that all of them have, else the job's."""
    frozen = message.settings_frozen
    callers, prompts = frozen.get("caller_ids", {}), frozen.get("prompts", {})
    names = recordings.dialer_names(message) if any(prompts) else {}
    found: dict[str, tuple[str | None, str | None]] = {}
    for key in together:
        schools = key.split(",")
        numbers = {callers.get(school) for school in schools}
        said = None
        if any(school in prompts for school in schools if school):
            scripts = [script.build(frozen, school, message.text_body, names) for school in schools]
            own = script.one_after_another(scripts)
            said = json.dumps(own.to_json(), separators=(",", ":"))
        found[key] = (said, numbers.pop() if len(numbers) == 1 else None)
    return found


def fitting(own: Own, size: int) -> int:
    """How many chains a batch may hold, so that it stays below the wire's 8 MiB even when every
    chain brings a script of its own."""
    scripts: Collection[str] = [said for said, _caller in own.values() if said]
    longest = max((len(said.encode()) for said in scripts), default=0)
    return max(1, min(size, MOST_BATCH_BYTES // (longest + CHAIN_BYTES))) if longest else size
