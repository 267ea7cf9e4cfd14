"""Deliveries → call chains → frozen batches, in sets.

The ledger has numbered chains and steps; here they become `CallChain` rows and `DialerBatch` rows
whose content is frozen as JSON, built by PostgreSQL (a million steps would take Python minutes).
The shape of the content is `dialer_adapters.contract.ChainRow`. Nothing is sent from here.
"""

from typing import Any

from django.db import connection

from messenger.models import District, LaunchSlice, Message
from messenger.models.delivery import ROWS_PER_SLICE
from voice.models import DialerBatch, DialerJob

# BatchNumber = slice × this + part (ruling 14). A refused batch is split under the next parts.
PARTS_PER_SLICE = 1_000

# One row a chain: its JSON, and what `CallChain` needs. A step's rows (Mom and Dad on the household
# phone) agree in mode, address and extension, so that any of them speaks for the step. References
# are numbers and the rest is E.164, digits and zone names: nothing needs escaping.
_CHAINS = """
    SELECT s.chain, count(*) AS steps, min(s.student_id) AS student_id,
        min(s.household_id) AS household_id,
        CASE WHEN min(s.household_id) IS NULL AND bool_and(s.recipients = 1)
            THEN min(s.recipient_id) END AS recipient_id,
        '{"r":"' || s.chain || '","s":[' || string_agg(
            '["' || s.chain || '-' || s.step || '","' || s.channel || '","' || s.address || '"' ||
            CASE WHEN s.zone <> '' THEN
                    CASE WHEN s.extension <> '' THEN ',"' || s.extension || '"' ELSE ',null' END
                    || ',"' || s.zone || '"'
                WHEN s.extension <> '' THEN ',"' || s.extension || '"'
                ELSE '' END || ']', ',' ORDER BY s.step) || ']' ||
        CASE WHEN min(s.customer_id) <> '' THEN ',"u":"' || min(s.customer_id) || '"'
            ELSE '' END || '}' AS content
    FROM (
        SELECT d.chain, d.step, min(d.address) AS address, min(d.extension) AS extension,
            CASE min(d.mode) WHEN 'voice' THEN 'V' ELSE 'T' END AS channel,
            min(d.student_id) AS student_id, min(d.recipient_id) AS recipient_id,
            count(DISTINCT d.recipient_id) AS recipients, min(p.household_id) AS household_id,
            coalesce(min(nullif(c.time_zone, %(zone)s)), '') AS zone,
            coalesce(min(a.customer_id), '') AS customer_id
        FROM messenger_delivery d
        LEFT JOIN messenger_contactpoint p
            ON p.id = d.contact_point_id AND d.device = 'household' AND d.mode = 'voice'
        LEFT JOIN messenger_school c ON c.id = d.school_id
        LEFT JOIN voice_customeraccount a ON a.school_id = d.school_id AND %(several_schools)s
        WHERE d.message_id = %(message)s AND d.state <> 'done' AND {rows}
        GROUP BY d.chain, d.step
    ) s
    GROUP BY s.chain"""


def freeze_slice(message: Message, job: DialerJob, launch_slice: LaunchSlice, size: int) -> int:
    """Writes chains and frozen batches (of `size` chains) for the rows of a slice.

    Returns the number of chains. Runs in the slice's transaction. Batch 0 is the one that
    SubmitJob carries.
    """
    first = launch_slice.number * ROWS_PER_SLICE
    with connection.cursor() as cursor:
        rows = """d.id > %(first)s AND d.id <= %(last)s
            AND d.chain > %(first)s AND d.chain <= %(last)s"""
        cursor.execute(
            f"""
            WITH chains AS MATERIALIZED (
                SELECT c.*, (row_number() OVER (ORDER BY c.chain) - 1) / %(size)s AS part
                FROM ({_CHAINS.replace("{rows}", rows)}) c
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
                statement_timestamp(), ''
            FROM chains GROUP BY part
            RETURNING chains""",
            {
                **_parameters(message),
                "first": first,
                "last": first + ROWS_PER_SLICE,
                "size": size,
                "number": launch_slice.number * PARTS_PER_SLICE,
                "job": job.pk,
            },
        )
        return sum(row[0] for row in cursor.fetchall())


def content_of(message: Message, batch: DialerBatch) -> tuple[str, int, int]:
    """What the open rows of a batch's chains amount to now: (content, chains, steps)."""
    with connection.cursor() as cursor:
        rows = "d.chain BETWEEN %(first)s AND %(last)s"
        cursor.execute(
            f"""
            SELECT coalesce('[' || string_agg(content, ',' ORDER BY chain) || ']', '[]'),
                count(*), coalesce(sum(steps), 0)
            FROM ({_CHAINS.replace("{rows}", rows)}) c""",
            {**_parameters(message), "first": batch.first_chain, "last": batch.last_chain},
        )
        content, chains, steps = cursor.fetchone()
        return content, int(chains), int(steps)


def _parameters(message: Message) -> dict[str, Any]:
    return {
        "message": message.pk,
        "zone": District.current().time_zone,
        "several_schools": len(message.criteria.get("school_ids", ())) > 1,
    }
