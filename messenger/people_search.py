"""Finding people: by name, student number, phone number or address, as people type them.

A name's words are looked for whole, then by their beginnings, then by what is like them (pg_trgm),
without case and accents; a number by its first or last digits; an address by any part. Everything
is limited to the schools that the user may see, and a private number finds nobody for those who may
not see it. Under 100 ms (p95) at 200,000 people and 1,000,000 contact points: each question is one
walk over one index, and never reads more than `ENOUGH` people.
"""

import re
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction

from messenger import rights
from messenger.models import User
from messenger.people import visible
from messenger.rights import Scope

SHOWN = 50  # people of an answer; more than that ask for more letters
# People looked at in one walk: two letters fit tens of thousands, and nobody reads them.
ENOUGH = 2_000
FEWEST_LETTERS, FEWEST_DIGITS = 2, 3
# Shorter words are like too many others.
LETTERS_OF_LIKENESS = 4
# Share of a word's trigrams that a name must have: 0.4 finds "jermey" for Jeremy (3 of 7).
LIKENESS = 0.4

_NAME_ORDER = "p.active DESC, p.family_name, p.given_name, p.id"


@dataclass(frozen=True)
class Found:
    """A person, and the number or address that was found when it was not the name.

    `like` marks somebody whose name is only like what was typed.
    """

    person_id: int
    device: str = ""
    value: str = ""
    like: bool = False


def find_people(words: str, user: User | AnonymousUser, limit: int = SHOWN) -> list[Found]:
    """The people whom the words mean and the user may see, best first; at most `limit`.

    Too few letters or digits (`is_enough`) find nobody.
    """
    scope = rights.scope_of(user, rights.PEOPLE_VIEW)
    if not scope or not is_enough(words):
        return []
    asking = _Asking(scope, rights.scope_of(user, rights.CONTACTS_SEE_PRIVATE), limit)
    with transaction.atomic(), connection.cursor() as cursor:
        # Nested loops fetch what an index found; compiling a statement takes longer than running it
        cursor.execute(
            "SET LOCAL jit = off; SET LOCAL pg_trgm.word_similarity_threshold = %s", [LIKENESS]
        )
        for question in asking.questions(words):
            if len(asking.found) < limit:
                cursor.execute(question, asking.parameters)
                asking.take(cursor.fetchall())
    return list(asking.found.values())[:limit]


def is_enough(words: str) -> bool:
    """Whether there are enough letters or digits to look for somebody."""
    words = words.strip()
    if re.search(r"[^\W\d_]", words):
        return max(len(word) for word in words.split()) >= FEWEST_LETTERS
    return len(re.sub(r"\D", "", words)) >= FEWEST_DIGITS


class _Asking:
    """One search on its way: its questions as SQL, their parameters, and who was found so far."""

    def __init__(self, scope: Scope, private: Scope, limit: int) -> None:
        self.parameters: dict[str, Any] = {
            "schools": list(scope.school_ids),
            "private_schools": list(private.school_ids),
            "limit": limit,
            "enough": ENOUGH,
        }
        self.seen = "true" if scope.district else visible("p.id")
        self.shown = "NOT c.private"
        if private.district:
            self.shown = "true"
        elif private:
            self.shown += f" OR {visible('p.id', 'private_schools')}"
        self.found: dict[int, Found] = {}

    def take(self, rows: list[tuple[Any, ...]]) -> None:
        for person_id, device, value, like in rows:
            self.found.setdefault(person_id, Found(person_id, device, value, like))

    def questions(self, words: str) -> list[str]:
        """What to ask, best first, until enough people are found."""
        text = words.strip()
        digits = re.sub(r"\D", "", text)
        has_letters = bool(re.search(r"[^\W\d_]", text))
        asked = []
        if digits and " " not in text:
            asked.append(self._student_number(text))
        if not has_letters:
            return [*asked, self._phone(text, digits)]
        if "@" in text or ("." in text and " " not in text):
            asked.append(self._address(text))
        if "@" not in text:
            asked += self._names(text)
        return asked

    def _student_number(self, text: str) -> str:
        self.parameters["number"] = _pattern(text)
        return f"""
            SELECT p.id, '', '', false FROM messenger_person p
            WHERE p.identifier LIKE %(number)s AND p.identifier <> '' AND {self.seen}
            ORDER BY p.identifier, p.id LIMIT %(limit)s"""

    def _names(self, text: str) -> list[str]:
        folded = re.sub(r"[,;]+", " ", text).split()[:6]
        whole, beginnings, likes = [], [], []
        for place, word in enumerate(folded):
            self.parameters |= {
                f"word{place}": word,
                f"whole{place}": f"% {_escape(word)} %",
                f"start{place}": f"% {_pattern(word)}",
            }
            whole.append(f"p.search LIKE messenger_folded(%(whole{place})s)")
            start = f"p.search LIKE messenger_folded(%(start{place})s)"
            beginnings.append(start)
            long = len(word) >= LETTERS_OF_LIKENESS
            likes.append(f"messenger_folded(%(word{place})s) <% p.search" if long else start)
        asked = [self._by_name(whole), self._by_name(beginnings)]
        if likes != beginnings:
            nearness = " + ".join(
                f"word_similarity(messenger_folded(%(word{place})s), p.search)"
                for place in range(len(folded))
            )
            # In a format string of psycopg2 the operator's own sign is doubled.
            asked.append(
                self._by_name(likes, f"{nearness} DESC, ", "true").replace(" <% ", " <%% ")
            )
        return asked

    def _by_name(self, conditions: list[str], order: str = "", like: str = "false") -> str:
        return f"""
            SELECT p.id, '', '', {like} FROM (
                SELECT p.* FROM messenger_person p
                WHERE {" AND ".join(conditions)} AND {self.seen} LIMIT %(enough)s
            ) p ORDER BY {order}{_NAME_ORDER} LIMIT %(limit)s"""

    def _phone(self, text: str, digits: str) -> str:
        national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
        self.parameters |= {
            "first": f"+1{national}%",
            "last": f"{national[::-1]}%",
            "as_typed": _pattern(text),
        }
        return self._by_point(
            """(c.value LIKE %(first)s OR c.value LIKE %(as_typed)s
                OR reverse(c.value) LIKE %(last)s AND c.device NOT IN ('email', 'email2'))"""
        )

    def _address(self, text: str) -> str:
        self.parameters["part"] = f"%{_pattern(text.lower())}"
        return self._by_point("c.value LIKE %(part)s AND c.device IN ('email', 'email2')")

    def _by_point(self, condition: str) -> str:
        """People by a number or address of their own or of a household that they belong to."""
        return f"""
            WITH points AS MATERIALIZED (
                SELECT c.* FROM messenger_contactpoint c WHERE c.active AND {condition}
                LIMIT %(enough)s
            ), owners AS (
                SELECT c.person_id AS id, c.device, c.value, c.private FROM points c
                WHERE c.person_id IS NOT NULL
                UNION ALL
                SELECT m.person_id, c.device, c.value, c.private FROM points c
                JOIN messenger_householdmembership m
                    ON m.household_id = c.household_id AND m.active
            )
            SELECT p.id, c.device, c.value, false
            FROM owners c JOIN messenger_person p ON p.id = c.id
            WHERE ({self.shown}) AND {self.seen}
            ORDER BY c.value, p.is_student, {_NAME_ORDER} LIMIT %(limit)s"""


def _escape(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _pattern(text: str) -> str:
    """A LIKE pattern of everything that begins with the text."""
    return f"{_escape(text)}%"
