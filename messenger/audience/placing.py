"""From people and their devices to chains, steps and lines, in SQL: what is dialed in which order.

Everything here is text for PostgreSQL, with the parameters of `resolve`; nothing is executed and
nothing is written. `ledger` numbers the rows of a slice with it.
"""

from messenger.audience.resolve import devices


def placed_devices(with_text: bool) -> str:
    """CTEs ending in `placed`: every device of every recipient, with the key of its chain (kind,
    owner, words, and `about` when it does not follow from the row), its step in it, and whether it
    is the first of its number in the slice (with `first_student`, B5-09).

    A household phone is a chain of its own for each student (A3-04, kind 0); a person's phones and
    texts about a student are one chain (kind 1); a text that stands for several recipients is a
    chain of its own (kind 2), and its twins carry the key of the first student, so that it goes out
    once (ruling 9). Who has no device gets one row that says so.
    """
    kind = "WHEN d.household_id IS NOT NULL AND d.mode = 'voice' THEN 0 ELSE 1 END"
    words, about, shared, join = "", "NULL::bigint AS about,", "", ""
    key, place = "kind, owner", "rank, point"
    if with_text:
        shared = """,
        shared AS (
            SELECT value, min(first_student) AS about,
                count(DISTINCT recipient_id) > 1 AS by_several
            FROM devices WHERE mode = 'text' AND verdict = '' GROUP BY value
        )"""
        join = "LEFT JOIN shared s ON d.mode = 'text' AND d.verdict = '' AND s.value = d.value"
        kind = "WHEN s.by_several THEN 2 " + kind
        words = "CASE WHEN s.by_several THEN d.value ELSE '' END AS words,"
        about = "s.about,"
        key = "kind, owner, words"
        # Texts come after calls; on a shared text's chain all rows are one step.
        place = """mode_rank, CASE WHEN kind = 2 THEN 0 ELSE rank END,
                        CASE WHEN kind = 2 THEN 0 ELSE point END"""
    return f"""{devices()}{shared},
            keyed AS (
                SELECT d.*, {words} {about}
                    CASE WHEN d.verdict <> '' OR d.mode NOT IN ('voice', 'text') THEN NULL
                        {kind} AS kind,
                    CASE WHEN d.household_id IS NOT NULL AND d.mode = 'voice' THEN d.household_id
                        {"WHEN s.by_several THEN 0" if with_text else ""}
                        ELSE d.recipient_id END AS owner,
                    CASE d.mode WHEN 'voice' THEN 0 ELSE 1 END AS mode_rank
                FROM devices d {join}
            ), firsts AS (
                -- One number is seldom on two devices: the sort that `devices` ends with is
                -- finished inside each number, not done again.
                SELECT *, row_number() OVER (PARTITION BY hash, value, mode ORDER BY kind IS NULL,
                    coalesce(about, first_student), {key}, {place}, recipient_id,
                    first_student) = 1 AS first
                FROM keyed
            ), placed AS (
                SELECT *, dense_rank() OVER (PARTITION BY {key} ORDER BY {place}) AS step
                FROM firsts
            )"""


def numbered_lines(with_text: bool) -> str:
    """Rows of the slice in dialing order, with `line` (from 1), `chain` (from 1, empty for what is
    not handed over) and `repeated`. Those without a chain come last, so that chains have no gaps.
    """
    key = f"kind IS NULL, about, kind, owner{', words' if with_text else ''}"
    return f"""
        SELECT *, row_number() OVER (ORDER BY {key}, step, recipient_id, student_id) AS line,
            CASE WHEN kind IS NOT NULL THEN dense_rank() OVER (ORDER BY {key}) END AS chain
        FROM (
            SELECT p.student_id, p.school_id, p.recipient_id, p.role, d.point, d.kind, d.owner,
                {"d.words," if with_text else ""} coalesce(d.about, p.student_id) AS about,
                d.step, coalesce(d.mode, 'none') AS mode, coalesce(d.device, 'none') AS device,
                coalesce(d.value, '') AS value, coalesce(d.extension, '') AS extension,
                coalesce(d.private, false) AS private, coalesce(d.verdict, 'no_device') AS verdict,
                NOT (d.first AND p.student_id IS NOT DISTINCT FROM d.first_student) IS TRUE
                    AND d.mode IS NOT NULL AS repeated
            FROM links p
            JOIN recipients r
                ON r.recipient_id = p.recipient_id AND r.contact = (p.role = 'contact')
            LEFT JOIN placed d ON d.recipient_id = r.recipient_id AND d.contact = r.contact
        ) every
        ORDER BY {key}, step, recipient_id, student_id"""
