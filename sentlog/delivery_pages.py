"""Which rows of Delivery Detail are on a page: found in the order of names, from where one ended.

A message may have a million rows, and sorting them by name costs three seconds. So the people of
the next page are found first, and only their rows are read, marked and worded
(`sentlog.delivery_rows`):

- many rows fit: people are walked in the order of their names, and each is looked for among the
  message's rows; a page ends the walk;
- few rows fit (`FEW`): those are read and their people sorted, since a walk would pass thousands of
  people before it meets one of them;
- a name is asked for that few people have: those people are looked for, as in the first way.

Every way finds the same people. Nothing here decides who may see what.
"""

from dataclasses import replace
from typing import Any

from django.db import connection, transaction

from sentlog.counting import Figures, scope_condition
from sentlog.delivery_rows import (
    DUPLICATE,
    GONE_LAST,
    SORT_NAME,
    STATUS_CHOICES,
    PageRow,
    Selection,
    Wording,
    parameters_of,
    row_conditions,
    rows_statement,
)

# Rows that are read and sorted rather than walked to. Of a message of 1,000,000 rows, reading takes
# 0.2 s however few fit, and a walk to a hundred people among 10,000 rows half of that.
FEW = 10_000


def page_of_rows(
    selection: Selection,
    wording: Wording,
    figures: Figures,
    after: int | None = None,
    size: int = 100,
) -> list[PageRow]:
    """The next rows after the row with id `after` (keyset: no page costs more than the first).

    The address names a row by its id, never by a name: names do not belong into URLs. One row more
    than `size` is read, so that the caller knows whether another page follows. `figures` are those
    of the selection's message and schools: they say which way is the short one.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Looks in indexes are what these statements are for; compiling them costs more than running
        cursor.execute("SET LOCAL jit = off; SET LOCAL work_mem = '32MB'")
        people = _people(cursor, selection, figures, after, size)
        if not people:
            return []
        page = replace(selection, recipients=tuple(people), name="")
        cursor.execute(*rows_statement(page, wording, after, size + 1))
        return [PageRow._make(row) for row in cursor.fetchall()]


def row_by_id(selection: Selection, wording: Wording, row: int, recipient: int) -> PageRow | None:
    """One row of the selection's message and schools, worded; None when it is not among them."""
    one = replace(selection, row=row, recipients=(recipient,))
    with connection.cursor() as cursor:
        cursor.execute(*rows_statement(one, wording, None, 1))
        found = cursor.fetchone()
    return None if found is None else PageRow._make(found)


def count_rows_of(selection: Selection, figures: Figures) -> int:
    """How many rows the selection has: from the figures where they know, else counted."""
    asked = [selection.mode, selection.mark, selection.name]
    if not any(asked) and not (selection.status and selection.devices):
        return most_rows(selection, figures)
    parameters = parameters_of(selection)
    where = _of_message(selection)
    if selection.name:
        named = _named(selection, parameters)
        where += f" AND d.recipient_id IN (SELECT p.id FROM messenger_person p WHERE {named})"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM messenger_delivery d WHERE {where}", parameters)
        return int(cursor.fetchone()[0])


def most_rows(selection: Selection, figures: Figures) -> int:
    """At most how many rows the selection has, as the figures know it."""
    most = figures.rows
    if selection.mark == DUPLICATE:
        # Unmarked rows of these modes are the totals (B5-10).
        unmarked = figures.total_emails + figures.total_voice + figures.total_text
        most -= unmarked + figures.devices.get("inbox", 0) + figures.devices.get("none", 0)
    if selection.devices is not None:
        most = min(most, sum(figures.devices.get(device, 0) for device in selection.devices))
    if selection.status:
        outcomes = STATUS_CHOICES[selection.status]
        most = min(most, sum(figures.outcomes.get(outcome, 0) for outcome in outcomes))
    return most


def _of_message(selection: Selection) -> str:
    conditions = " AND ".join(["d.message_id = %(message)s", *row_conditions(selection)])
    return conditions + scope_condition(selection.school_ids)


def _named(selection: Selection, parameters: dict[str, Any]) -> str:
    """SQL: every word that was typed begins a word of the person's name, case and accents apart."""
    conditions = []
    for place, word in enumerate(selection.name.replace(",", " ").replace(";", " ").split()[:6]):
        escaped = word.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        parameters[f"word{place}"] = f"% {escaped}%"
        conditions.append(f"p.search LIKE messenger_folded(%(word{place})s)")
    return " AND ".join(conditions) or "true"


def _people(
    cursor: Any, selection: Selection, figures: Figures, after: int | None, size: int
) -> list[int]:
    """The recipients of the next page, the one in whose rows the page before ended included."""
    # One more for the row that tells of a further page, one for whom the page before ended in.
    parameters = parameters_of(selection) | {"wanted": size + 2, "few": FEW}
    parameters |= {"sort_name": "", "recipient": 0}
    if after is not None:
        cursor.execute(
            f"""SELECT {SORT_NAME}, d.recipient_id FROM messenger_delivery d
                LEFT JOIN messenger_person p ON p.id = d.recipient_id
                WHERE d.message_id = %(message)s AND d.id = %(after)s""",
            {"message": selection.message_id, "after": after},
        )
        found = cursor.fetchone()
        if found is None:
            return []
        parameters["sort_name"], parameters["recipient"] = found
    of_message = _of_message(selection)
    if _are_few(cursor, selection, figures, parameters):
        named = _named(selection, parameters) if selection.name else "true"
        cursor.execute(
            f"""SELECT g.recipient_id FROM (
                    SELECT DISTINCT d.recipient_id FROM messenger_delivery d WHERE {of_message}) g
                LEFT JOIN messenger_person p ON p.id = g.recipient_id
                WHERE {named}
                    AND ({SORT_NAME}, g.recipient_id) >= (%(sort_name)s, %(recipient)s)
                ORDER BY {SORT_NAME}, g.recipient_id LIMIT %(wanted)s""",
            parameters,
        )
        return [person for (person,) in cursor.fetchall()]
    return _walked(cursor, selection, of_message, parameters)


def _are_few(
    cursor: Any, selection: Selection, figures: Figures, parameters: dict[str, Any]
) -> bool:
    """Whether so few rows fit that they are read and sorted. How many rows a mode has is no figure
    (its numbers are), but the index of numbers tells within 5 ms whether they are few."""
    if most_rows(selection, figures) <= FEW:
        return True
    if not selection.mode:
        return False
    cursor.execute(
        """SELECT count(*) FROM (SELECT FROM messenger_delivery d
            WHERE d.message_id = %(message)s AND d.mode = %(mode)s LIMIT %(few)s + 1) rows""",
        parameters,
    )
    return bool(cursor.fetchone()[0] <= FEW)


def _walked(
    cursor: Any, selection: Selection, of_message: str, parameters: dict[str, Any]
) -> list[int]:
    """People in the order of names who have a row; then those who are gone from Census."""
    people = "messenger_person p"
    if selection.name:
        named = _named(selection, parameters)
        cursor.execute(
            f"SELECT count(*) FROM (SELECT FROM messenger_person p WHERE {named} LIMIT %(few)s) n",
            parameters,
        )
        few = cursor.fetchone()[0] < FEW
        people = f"(SELECT * FROM messenger_person p WHERE {named}{' OFFSET 0' * few}) p"
    cursor.execute(
        f"""SELECT p.id FROM {people} CROSS JOIN LATERAL (
                SELECT 1 FROM messenger_delivery d WHERE {of_message} AND d.recipient_id = p.id
                LIMIT 1) has
            WHERE (p.sort_name, p.id) >= (%(sort_name)s, %(recipient)s)
            ORDER BY p.sort_name, p.id LIMIT %(wanted)s""",
        parameters,
    )
    found = [person for (person,) in cursor.fetchall()]
    if len(found) < parameters["wanted"] and not selection.name:
        cursor.execute(
            f"""SELECT p.person_id FROM messenger_person_gone p CROSS JOIN LATERAL (
                    SELECT 1 FROM messenger_delivery d
                    WHERE {of_message} AND d.recipient_id = p.person_id LIMIT 1) has
                WHERE ({GONE_LAST}, p.person_id) >= (%(sort_name)s, %(recipient)s)
                    AND NOT EXISTS (SELECT FROM messenger_person q WHERE q.id = p.person_id)
                ORDER BY p.person_id LIMIT %(wanted)s""",
            parameters,
        )
        found += [person for (person,) in cursor.fetchall()]
    return found[: parameters["wanted"]]
