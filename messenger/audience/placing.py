"""From people and their devices to chains, steps and lines, in SQL: what is dialed in which order.

Everything here is text for PostgreSQL, with the parameters of `resolve`; nothing is executed and
nothing is written. `ledger` numbers the rows of a slice with it.
"""

from enum import StrEnum

from messenger.audience.resolve import devices


class Bundling(StrEnum):
    """Which calls of a message are one call; frozen with its settings (ruling 30).

    NONE: none, a chain for each student (A3-04). RECIPIENT: those of one recipient or household
    about several students that dial the same numbers in the same order and hours (B3-12). NUMBER:
    all to one number, which belongs to the recipient of its first row: such calls name one person
    (A3-09, X-36).
    """

    NONE = ""
    RECIPIENT = "recipient"
    NUMBER = "number"


def placed_devices(with_text: bool, bundling: Bundling = Bundling.NONE) -> str:
    """CTEs ending in `placed`: every device of every recipient, with the key of its chain (kind,
    owner, words, and `about` when it does not follow from the row), its step in it, and whether it
    is the first of its number in the slice (with `first_student`, B5-09).

    A household phone is a chain of its own for each student (A3-04, kind 0); a person's phones and
    texts about a student are one chain (kind 1); a text that stands for several recipients is a
    chain of its own (kind 2), and its twins carry the key of the first student, so that it goes out
    once (ruling 9). Bundled by number, the same holds for calls: nobody's key 0 takes a number from
    another. Who has no device gets one row that says so.
    """
    kind = "WHEN d.household_id IS NOT NULL AND d.mode = 'voice' THEN 0 ELSE 1 END"
    owner = "WHEN d.household_id IS NOT NULL AND d.mode = 'voice' THEN d.household_id"
    words, about, shared, join = "", "NULL::bigint AS about,", "", ""
    key, place = "kind, owner", "rank, point"
    if with_text or bundling == Bundling.NUMBER:
        shared, join, words = _shared_numbers() if bundling == Bundling.NUMBER else _shared_texts()
        kind = "WHEN s.by_several THEN 2 " + kind
        owner = "WHEN s.by_several THEN 0 " + owner
        about = "s.about,"
        key = "kind, owner, words"
        # Texts come after calls; on a shared number's chain all rows are one step.
        place = """mode_rank, CASE WHEN kind = 2 THEN 0 ELSE rank END,
                        CASE WHEN kind = 2 THEN 0 ELSE point END"""
    return f"""{devices()}{shared},
            keyed AS (
                SELECT d.*, {words} {about}
                    CASE WHEN d.verdict <> '' OR d.mode NOT IN ('voice', 'text') THEN NULL
                        {kind} AS kind,
                    CASE {owner}
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


def _shared_texts() -> tuple[str, str, str]:
    """The numbers that are texted, and whether for several people: a CTE, its join with the devices
    `d`, and the column `words`."""
    return (
        """,
        shared AS (
            SELECT value, min(first_student) AS about,
                count(DISTINCT recipient_id) > 1 AS by_several
            FROM devices WHERE mode = 'text' AND verdict = '' GROUP BY value
        )""",
        "LEFT JOIN shared s ON d.mode = 'text' AND d.verdict = '' AND s.value = d.value",
        "CASE WHEN s.by_several THEN d.value ELSE '' END AS words,",
    )


def _shared_numbers() -> tuple[str, str, str]:
    """The same for calls and texts: a household is one owner, and so is a person. Behind another
    extension is another phone."""
    return (
        """,
        shared AS (
            SELECT mode, value, extension, min(first_student) AS about,
                count(DISTINCT CASE WHEN household_id IS NOT NULL AND mode = 'voice'
                    THEN -household_id ELSE recipient_id END) > 1 AS by_several
            FROM devices WHERE mode IN ('voice', 'text') AND verdict = ''
            GROUP BY mode, value, extension
        )""",
        """LEFT JOIN shared s ON d.verdict = '' AND s.mode = d.mode AND s.value = d.value
                    AND s.extension = d.extension""",
        "CASE WHEN s.by_several THEN d.mode || d.value || ',' || d.extension ELSE '' END AS words,",
    )


def numbered_lines(with_text: bool, bundling: Bundling = Bundling.NONE) -> str:
    """Rows of the slice in dialing order, with `line` (from 1), `chain` (from 1, empty for what is
    not handed over) and `repeated`. Those without a chain come last, so that chains have no gaps.

    Bundled for recipients, lines and marks are the same; chains that dial alike have one number
    (parameter `zone`: the district's, whose schools need not name it).
    """
    words = ", words" if with_text or bundling == Bundling.NUMBER else ""
    key = f"kind IS NULL, about, kind, owner{words}"
    around, zone, schools, end = "", "", "", "every"
    chain = key
    if bundling == Bundling.RECIPIENT:
        around, zone, schools = _alike(words), " z.time_zone AS zone,", _ZONES
        end = f"told WINDOW about_one AS (PARTITION BY about, kind, owner{words})) listed) alike"
        chain = f"kind IS NULL, lead, kind, owner{words}, calls, hours"
    return f"""
        SELECT *, row_number() OVER (ORDER BY {key}, step, recipient_id, student_id) AS line,
            CASE WHEN kind IS NOT NULL THEN dense_rank() OVER (ORDER BY {chain}) END AS chain
        FROM ({around}
            SELECT p.student_id, p.school_id, p.recipient_id, p.role, d.point, d.kind, d.owner,
                {"d.words," if words else ""} coalesce(d.about, p.student_id) AS about,{zone}
                d.step, coalesce(d.mode, 'none') AS mode, coalesce(d.device, 'none') AS device,
                coalesce(d.value, '') AS value, coalesce(d.extension, '') AS extension,
                coalesce(d.private, false) AS private, coalesce(d.verdict, 'no_device') AS verdict,
                NOT (d.first AND p.student_id IS NOT DISTINCT FROM d.first_student) IS TRUE
                    AND d.mode IS NOT NULL AS repeated
            FROM links p
            JOIN recipients r
                ON r.recipient_id = p.recipient_id AND r.contact = (p.role = 'contact')
            LEFT JOIN placed d ON d.recipient_id = r.recipient_id AND d.contact = r.contact{schools}
        ) {end}
        ORDER BY {key}, step, recipient_id, student_id"""


_ZONES = """
            LEFT JOIN messenger_school z
                ON z.id = p.school_id AND z.time_zone NOT IN ('', %(zone)s)"""


def _alike(words: str) -> str:
    """What goes around the rows of a slice to find the chains that dial alike: `calls`, the steps
    that a chain calls, one bit each; `hours`, the zone that its local hours hold in; `lead`, the
    first student of those whose chains are one.

    Texts count for neither: a text about several students is on the first one's chain already
    (ruling 9) and goes where that goes.
    """
    return f"""
            SELECT *, min(about) OVER (PARTITION BY kind, owner{words}, calls, hours) AS lead
            FROM (SELECT *,
                bit_or(CASE mode WHEN 'voice' THEN 1::bigint << step::int ELSE 0 END)
                    OVER about_one AS calls,
                max(CASE mode WHEN 'voice' THEN coalesce(zone, '') ELSE '' END)
                    OVER about_one AS hours
            FROM ("""
