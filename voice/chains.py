"""Deliveries → call chains → frozen batches, in sets.

The ledger has numbered chains and steps; here they become `CallChain` rows and `DialerBatch` rows
whose content is frozen as JSON, built by PostgreSQL (a million steps would take Python minutes).
The shape of the content is `dialer_adapters.contract.ChainRow`. Nothing is sent from here.
"""

import json
from typing import Any

from django.db import connection

from messenger.models import District, LaunchSlice, Message
from messenger.models.delivery import ROWS_PER_SLICE
from voice import recordings, script
from voice.models import DialerBatch, DialerJob

# BatchNumber = slice × this + part (ruling 14). A refused batch is split under the next parts.
PARTS_PER_SLICE = 1_000
# Of the 8 MiB that a request may have: words grow when they are written as XML.
MOST_BATCH_BYTES = 3 * 1024 * 1024
CHAIN_BYTES = 1_000  # a chain without a script, at its longest

# One row a chain: its JSON, and what `CallChain` needs. A step's rows (Mom and Dad on the household
# phone) agree in mode, address and extension, so that the first of them speaks for the step; the
# rows lie in the order of chains and steps, so that sorting them costs next to nothing. References
# are numbers and the rest is E.164, digits and zone names: nothing needs escaping.
_CHAINS = """
    grouped AS MATERIALIZED (
        SELECT chain, count(*) FILTER (WHERE first) AS steps, min(student_id) AS student_id,
            min(recipient_id) AS lowest, max(recipient_id) AS highest,
            min(school_id) AS school_id,
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
            SELECT d.chain, d.step, d.mode, d.device, d.address, d.extension, d.student_id,
                d.recipient_id, d.school_id, d.contact_point_id, z.time_zone AS zone,
                lag(d.step) OVER (PARTITION BY d.chain ORDER BY d.step, d.id)
                    IS DISTINCT FROM d.step AS first
            FROM messenger_delivery d
            LEFT JOIN messenger_school z
                ON z.id = d.school_id AND z.time_zone <> '' AND z.time_zone <> %(zone)s
            WHERE d.message_id = %(message)s AND d.state <> 'done' AND {rows}
        ) s
        GROUP BY chain
    ), made AS (
        SELECT g.chain, g.steps, g.student_id, h.household_id,
            CASE WHEN g.home IS NULL AND g.lowest = g.highest THEN g.lowest END AS recipient_id,
            '{"r":"' || g.chain || '","s":[' || g.content || ']' ||
                coalesce(',"x":' || o.script, '') || coalesce(',"c":"' || o.caller_id || '"', '') ||
                coalesce(',"u":"' || nullif(a.customer_id, '') || '"', '') || '}' AS content
        FROM grouped g
        LEFT JOIN messenger_contactpoint h
            ON h.id = g.home AND h.id = ANY(ARRAY(SELECT home FROM grouped))
        LEFT JOIN voice_customeraccount a ON a.school_id = g.school_id AND %(several_schools)s
        LEFT JOIN unnest(%(own_schools)s::bigint[], %(own_scripts)s::text[],
            %(own_callers)s::text[]) o(school_id, script, caller_id) ON o.school_id = g.school_id
    )"""

# Sorts of a slice in memory; hash joins (or one walk over an index by a list of keys) instead of
# loops, which the planner likes for a message that it knows nothing of; no compiling.
_PLAN = "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"
_AS_USUAL = "SET LOCAL enable_nestloop TO DEFAULT"


def freeze_slice(message: Message, job: DialerJob, launch_slice: LaunchSlice, size: int) -> int:
    """Writes chains and frozen batches (of `size` chains) for the rows of a slice.

    Returns the number of chains. Runs in the slice's transaction. Batch 0 is the one that
    SubmitJob carries.
    """
    first = launch_slice.number * ROWS_PER_SLICE
    with connection.cursor() as cursor:
        rows = """d.id > %(first)s AND d.id <= %(last)s
            AND d.chain > %(first)s AND d.chain <= %(last)s"""
        cursor.execute(_PLAN)
        cursor.execute(
            f"""
            WITH {_CHAINS.replace("{rows}", rows)},
            chains AS MATERIALIZED (
                SELECT c.*, (row_number() OVER (ORDER BY c.chain) - 1) / %(size)s AS part
                FROM made c
            ), kept AS (
                INSERT INTO voice_callchain
                    (message_id, number, batch, student_id, household_id, recipient_id, steps)
                SELECT %(message)s, chain, %(number)s + part, student_id, household_id,
                    recipient_id, steps
                FROM chains
            )
            INSERT INTO voice_dialerbatch
                (uuid, job_id, number, state, first_chain, last_chain, chains, steps, content,
                 frozen_at, trouble)
            SELECT gen_random_uuid(), %(job)s, %(number)s + part, 'frozen', min(chain), max(chain),
                count(*), sum(steps), '[' || string_agg(content, ',' ORDER BY chain) || ']',
                transaction_timestamp(), ''
            FROM chains GROUP BY part
            RETURNING chains""",
            {
                **_parameters(message),
                "first": first,
                "last": first + ROWS_PER_SLICE,
                "size": fitting(message, size),
                "number": launch_slice.number * PARTS_PER_SLICE,
                "job": job.pk,
            },
        )
        chains = sum(row[0] for row in cursor.fetchall())
        cursor.execute(_AS_USUAL)
        return chains


def content_of(message: Message, batch: DialerBatch) -> tuple[str, int, int]:
    """What the open rows of a batch's chains amount to now: (content, chains, steps)."""
    with connection.cursor() as cursor:
        rows = "d.chain BETWEEN %(first)s AND %(last)s"
        cursor.execute(_PLAN)
        cursor.execute(
            f"""
            WITH {_CHAINS.replace("{rows}", rows)}
            SELECT coalesce('[' || string_agg(content, ',' ORDER BY chain) || ']', '[]'),
                count(*), coalesce(sum(steps), 0)
            FROM made""",
            {**_parameters(message), "first": batch.first_chain, "last": batch.last_chain},
        )
        content, chains, steps = cursor.fetchone()
        cursor.execute(_AS_USUAL)
        return content, int(chains), int(steps)


def _parameters(message: Message) -> dict[str, Any]:
    own = _own_of_schools(message)
    return {
        "message": message.pk,
        "zone": District.current().time_zone,
        "several_schools": len(message.criteria.get("school_ids", ())) > 1,
        "own_schools": list(own),
        "own_scripts": [script for script, _caller in own.values()],
        "own_callers": [caller for _script, caller in own.values()],
    }


def _own_of_schools(message: Message) -> dict[int, tuple[str | None, str | None]]:
    """School → (script as JSON, caller ID) where a school's chains differ from the job (ruling
    16). Empty for most messages: few schools have prompts or numbers of their own."""
    frozen = message.settings_frozen
    callers: dict[str, str] = frozen.get("caller_ids", {})
    prompts = [school for school in frozen.get("prompts", {}) if school]
    return {
        int(school): (
            _script_of(message, school) if school in prompts else None,
            callers.get(school),
        )
        for school in sorted({*callers, *prompts})
    }


def _script_of(message: Message, school: str) -> str:
    names = recordings.dialer_names(message)
    own = script.build(message.settings_frozen, school, message.text_body, names)
    return json.dumps(own.to_json(), separators=(",", ":"))


def fitting(message: Message, size: int) -> int:
    """How many chains a batch may hold, so that it stays below the wire's 8 MiB even when every
    chain brings a script of its own."""
    own = _own_of_schools(message).values()
    longest = max((len(content.encode()) for content, _caller in own if content), default=0)
    return max(1, min(size, MOST_BATCH_BYTES // (longest + CHAIN_BYTES))) if longest else size
