"""Phone numbers and email addresses: from what people write to what can be reached.

Numbers are North American (contract 4.8): ten digits, area code and exchange from 2 to 9, neither
of them N11. What cannot be dialed keeps its text and gets a problem code; nothing is ever guessed,
least of all an area code (A4-02). Pure functions; no database.
"""

import re
from dataclasses import dataclass

import phonenumbers
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# The ways in which nine of ten rosters write a number; everything else takes the long way, which
# costs ten times as much (phonenumbers, 20 µs).
_USUAL = re.compile(
    r"(?:\+?1[-. ]?)?\(?([2-9]\d\d)\)?[-. ]{0,2}([2-9]\d\d)[-. ]?(\d{4})"
    r"(?: ?(?:x|ext\.?|#) ?(\d{1,11}))?",
    re.IGNORECASE | re.ASCII,  # digits of other scripts are no E.164
)
_EXTENSION = re.compile(
    r"[\s,;]*(?:extension|ext|x|#)[\s.:]*(\d{1,11})\s*$", re.IGNORECASE | re.ASCII
)
_EMAIL = re.compile(
    r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]"
)
EMAIL_LENGTH = 254

# What is wrong, in words for the person who looks at the number.
PROBLEMS: dict[str, Promise] = {
    "seven_digits": _("The area code is missing: ten digits are needed."),
    "too_short": _("There are too few digits: ten are needed."),
    "too_long": _("There are too many digits: ten are needed."),
    "area_code": _("No area code looks like this one."),
    "exchange": _("The three digits after the area code cannot be right."),
    "foreign": _("The number is outside North America."),
    "not_a_number": _("This is not a phone number."),
    "not_an_address": _("This is not an email address."),
}


@dataclass(frozen=True)
class Address:
    """A number or address after normalising. `value` is E.164 or the lower-cased address when
    `problem` is empty, else the text as it was given."""

    value: str
    extension: str = ""
    problem: str = ""


def normalise_phone(text: str) -> Address:
    """(612) 555-0123 x45 → +16125550123 with extension 45; problems as in `PROBLEMS` (A4-02)."""
    text = text.strip()
    usual = _USUAL.fullmatch(text)
    if usual:
        area, exchange, line, extension = usual.groups()
        problem = _judge(area, exchange)
        value = text if problem else f"+1{area}{exchange}{line}"
        return Address(value, extension or "", problem)
    return _normalise_unusual(text)


def _normalise_unusual(text: str) -> Address:
    extension = ""
    rest = text
    found = _EXTENSION.search(text)
    if found:
        extension, rest = found[1], text[: found.start()]
    digits = re.sub(r"[^0-9]", "", rest)
    if re.search(r"[^\W_]", re.sub(r"[0-9]", "", rest)) or not digits:
        return Address(text, "", "not_a_number")  # words, or a number in letters
    abroad = re.match(r"\s*(?:\+|011|00)", rest)
    if abroad:
        digits = re.sub(r"[^0-9]", "", rest[abroad.end() :])
        if len(digits) != 11 or digits[0] != "1":
            return Address(text, extension, _judge_foreign(digits))
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    if len(national) != 10:
        problem = "seven_digits" if len(national) == 7 else None
        return Address(
            text, extension, problem or ("too_short" if len(national) < 10 else "too_long")
        )
    problem = _judge(national[:3], national[3:6])
    return Address(text if problem else f"+1{national}", extension, problem)


def _judge(area: str, exchange: str) -> str:
    """The problem of a ten-digit number, or nothing. Fictional numbers (555-01xx) are accepted."""
    if area[0] in "01" or area[1:] == "11":
        return "area_code"
    if exchange[0] in "01" or exchange[1:] == "11":
        return "exchange"
    return ""


def _judge_foreign(digits: str) -> str:
    """Why a number that names a country code is not one of ours."""
    try:
        number = phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException:
        return "not_a_number"
    if number.country_code != 1:
        return "foreign"
    return "too_long" if len(digits) > 11 else "too_short"


def normalise_email(text: str) -> Address:
    """Lower-cased and checked in form; whether anybody reads it only a message can tell."""
    address = text.strip().lower()
    if len(address) > EMAIL_LENGTH or not _EMAIL.fullmatch(address):
        return Address(text.strip(), "", "not_an_address")
    return Address(address)


_NATIONAL = re.compile(r"\+1(\d{3})(\d{3})(\d{4})")


def national(number: str) -> str:
    """A number of North America as (612) 555-7735; any other as it is stored."""
    found = _NATIONAL.fullmatch(number)
    return f"({found[1]}) {found[2]}-{found[3]}" if found else number


def takes_texts(number: str, extension: str = "") -> bool:
    """Whether a number (E.164) can be a mobile phone's: no extension, and none of the codes that
    belong to no phone in a pocket (toll-free, premium). The number alone says no more."""
    if extension or not _NATIONAL.fullmatch(number):
        return False
    return number[2:5] not in _NEVER_MOBILE


# Area codes of services: toll-free, premium rate, interexchange carriers.
_NEVER_MOBILE = frozenset({"800", "833", "844", "855", "866", "877", "888", "900", "700", "710"})
