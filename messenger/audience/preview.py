"""What the check page says before sending: who, by which device, who is left out and why.

Counted with the same SQL that a launch uses (`resolve`), as of now: recipients are resolved again
at launch (ruling 5). Reads only, and no list of people ever comes to Python.
"""

from dataclasses import dataclass, field

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from messenger import ledger, lifecycle
from messenger.audience import resolve
from messenger.audience.criteria import CONTACTS, STAFF
from messenger.composition import Composition
from messenger.models import Device, Mode

# Everything is hashed and sorted in memory; nested loops: see `resolve.devices`; compiling the
# statement would take longer than running it.
_PLAN = "SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"
ENOUGH_TO_ASK = 300  # students, or links of theirs


@dataclass(frozen=True)
class LeftOut:
    """A group that the message will not reach: `people` of them, and why in words."""

    code: str
    label: str
    people: int


@dataclass(frozen=True)
class Preview:
    """The audience as of now. `calls` are unique phone numbers; `families` are groups of students
    connected by their guardians, of whom somebody is reached; `chains` is how many call chains
    will run, and `dials` how many numbers they dial, redials not counted (a number that two people
    or two students share is dialed for each). `joined_chains` and `joined_dials` are the same when
    several messages to a recipient are said in one call (`placing.Bundling.RECIPIENT`)."""

    students: int = 0
    families: int = 0
    recipients: int = 0
    people_without_device: int = 0
    calls: int = 0
    chains: int = 0
    dials: int = 0
    joined_chains: int = 0
    joined_dials: int = 0
    by_device: list[tuple[str, int]] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    blockers: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def preview(composition: Composition) -> Preview:
    """Counts the audience of a composition and lists what stands in the way of sending it."""
    now = timezone.now()
    criteria = composition.criteria
    blockers = lifecycle.problems_with(composition, now)
    parameters = ledger.audience_parameters(
        criteria, lifecycle.today(now), composition.reason, composition.modes
    )
    # CTEs that are read more than once are computed once; everything is one statement, so that the
    # figures agree with each other. Distinct values are hashed (`SELECT DISTINCT`), not sorted
    # (`count(DISTINCT)`), and devices are summed up for each person before they meet the students.
    staff = (
        f"UNION ALL {resolve.staff_links(of_slice=False)}" if STAFF in criteria.deliver_to else ""
    )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PLAN)
        cursor.execute(
            f"""
            WITH students AS MATERIALIZED ({resolve.students_of_all(criteria)}),
            links AS MATERIALIZED (({resolve.links(criteria, of_slice=False)}) {staff}),
            {resolve.devices()},
            pairs AS (
                SELECT l.* FROM links l JOIN recipients r
                    ON r.recipient_id = l.recipient_id AND r.contact = (l.role = 'contact')
            ),
            reached AS MATERIALIZED (
                SELECT recipient_id, contact, household_id, device, value, mode
                FROM devices WHERE verdict = ''
            ),
            phones AS MATERIALIZED (
                SELECT recipient_id, contact,
                    count(*) FILTER (WHERE mode = 'voice' AND household_id IS NULL) AS own
                FROM reached GROUP BY recipient_id, contact
            ),
            told AS MATERIALIZED (
                SELECT p.student_id, p.recipient_id, x.own
                FROM pairs p JOIN phones x
                    ON x.recipient_id = p.recipient_id AND x.contact = (p.role = 'contact')
            ),
            at_homes AS MATERIALIZED (
                SELECT count(*) AS told
                FROM (SELECT DISTINCT p.student_id, x.household_id
                    FROM pairs p JOIN reached x ON x.recipient_id = p.recipient_id
                        AND x.household_id IS NOT NULL AND x.mode = 'voice'
                        AND x.contact = (p.role = 'contact')) h
            ),
            called_homes AS (
                SELECT count(*) AS called FROM (SELECT DISTINCT household_id FROM reached
                    WHERE household_id IS NOT NULL AND mode = 'voice') h
            ),
            people AS (
                SELECT p.recipient_id, bool_or(x.verdict = '') AS ok,
                    count(x.recipient_id) AS devices,
                    bool_or(x.verdict = 'invalid_number') AS invalid,
                    bool_or(x.verdict = 'do_not_contact') AS refused,
                    bool_or(x.verdict IN ('opted_out', 'extension')) AS no_text
                FROM (SELECT DISTINCT recipient_id FROM recipients) p
                LEFT JOIN (SELECT DISTINCT recipient_id, verdict FROM devices) x
                    USING (recipient_id)
                GROUP BY p.recipient_id
            )
            SELECT
                (SELECT count(*) FROM students),
                (SELECT count(DISTINCT coalesce(p.family, p.id))
                    FROM (SELECT DISTINCT student_id FROM told) s
                    JOIN messenger_person p ON p.id = s.student_id),
                (SELECT count(*) FROM people),
                (SELECT count(*) FROM people WHERE devices = 0),
                (SELECT count(*) FROM (SELECT DISTINCT value FROM reached
                    WHERE mode IN ('voice', 'text')) v),
                (SELECT count(*) FROM told WHERE own > 0) + (SELECT told FROM at_homes),
                (SELECT coalesce(sum(own), 0) FROM told) + (SELECT told FROM at_homes),
                (SELECT count(*) FROM phones WHERE own > 0) + (SELECT called FROM called_homes),
                (SELECT coalesce(sum(own), 0) FROM phones) + (SELECT called FROM called_homes),
                (SELECT count(*) FROM people WHERE devices > 0 AND NOT ok AND invalid),
                (SELECT count(*) FROM people WHERE devices > 0 AND NOT ok AND NOT invalid
                    AND refused),
                (SELECT count(*) FROM people WHERE devices > 0 AND NOT ok AND NOT invalid
                    AND NOT refused AND no_text),
                (SELECT count(*) FROM students s WHERE NOT EXISTS
                    (SELECT 1 FROM pairs p WHERE p.student_id = s.student_id)),
                (SELECT json_agg(json_build_array(device, addresses)) FROM (
                    SELECT device, count(*) AS addresses
                    FROM (SELECT DISTINCT device, value FROM reached) v GROUP BY device) d)""",
            parameters,
        )
        (
            students,
            families,
            recipients,
            without,
            calls,
            chains,
            dials,
            joined_chains,
            joined_dials,
            invalid,
            refused,
            no_text,
            alone,
            devices,
        ) = cursor.fetchone()
    left_out = [
        LeftOut("no_device", _("No device marked for this kind of message"), without),
        LeftOut("invalid_number", _("Only phone numbers that cannot be dialed"), invalid),
        LeftOut("do_not_contact", _("Asked not to be contacted"), refused),
        LeftOut("no_text", _("Texts stopped or not possible"), no_text),
    ]
    if CONTACTS in criteria.deliver_to:
        left_out.append(LeftOut("no_contact", _("Students without a messenger contact"), alone))
    if criteria.school_ids and not blockers and calls == 0 and Mode.VOICE in composition.modes:
        blockers.append(_nobody_words())
    counted = dict(devices or [])
    return Preview(
        students=students,
        families=families,
        recipients=recipients,
        people_without_device=without,
        calls=calls,
        chains=chains,
        dials=int(dials),
        joined_chains=joined_chains,
        joined_dials=int(joined_dials),
        by_device=[(str(d.label), counted[d.value]) for d in Device if d.value in counted],
        left_out=[group for group in left_out if group.people],
        blockers=blockers,
        warnings=_warnings(composition, recipients, without),
    )


def blockers_of(composition: Composition) -> list[str]:
    """What stands in the way of sending, as `preview` says it, without counting: for the confirm
    button, whose press must not wait for a count of the whole district."""
    now = timezone.now()
    criteria = composition.criteria
    blockers = lifecycle.problems_with(composition, now)
    if blockers or not criteria.school_ids or Mode.VOICE not in composition.modes:
        return blockers
    parameters = ledger.audience_parameters(
        criteria, lifecycle.today(now), composition.reason, composition.modes
    )
    staff = (
        f"UNION ALL {resolve.staff_links(of_slice=False)}" if STAFF in criteria.deliver_to else ""
    )
    # Almost always someone among the first few is reached; only then is everybody looked at.
    for some in (f"LIMIT {ENOUGH_TO_ASK}", ""):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_PLAN)
            cursor.execute(
                f"""
                WITH students AS MATERIALIZED ({resolve.students_of_all(criteria)} {some}),
                links AS MATERIALIZED (
                    SELECT * FROM (({resolve.links(criteria, of_slice=False)}) {staff}) l {some}
                ),
                {resolve.devices()}
                SELECT EXISTS (SELECT 1 FROM devices WHERE verdict = ''
                    AND mode IN ('voice', 'text'))""",
                parameters,
            )
            if cursor.fetchone()[0]:
                return []
    return [_nobody_words()]


def _nobody_words() -> str:
    return _("Nobody would be called: no one in this choice has a phone marked for this message.")


def _warnings(composition: Composition, recipients: int, without: int) -> list[str]:
    if recipients and without * 5 > recipients:
        return [
            _("%(share)s of the recipients have no device for this kind of message.")
            % {"share": f"{without / recipients:.0%}"}
        ]
    return []
