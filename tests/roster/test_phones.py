"""Numbers and addresses: what people write and what can be reached (A4-02, A7-06)."""

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messenger.roster.phones import PROBLEMS, normalise_email, normalise_phone


@pytest.mark.parametrize(
    "text",
    [
        "6125550123",
        "612-555-0123",
        "612.555.0123",
        "612 555 0123",
        "(612) 555-0123",
        "(612)555-0123",
        "(612)-555-0123",
        "1-612-555-0123",
        "1 (612) 555-0123",
        "+1 612 555 0123",
        "+16125550123",
        "+1 (612) 555-0123",
        " 612-555-0123 ",
        "612/555/0123",
        "612–555–0123",
        "001 612 555 0123",
        "011 1 612 555 0123",
    ],
)
def test_ways_to_write_ten_digits(text: str) -> None:
    assert normalise_phone(text).value == "+16125550123"
    assert normalise_phone(text).problem == ""


@pytest.mark.parametrize(
    ("text", "extension"),
    [
        ("612-555-0123 x45", "45"),
        ("612-555-0123x45", "45"),
        ("(612) 555-0123 ext 45", "45"),
        ("612-555-0123 ext. 4567", "4567"),
        ("612-555-0123 Ext.45", "45"),
        ("6125550123 #9", "9"),
        ("612-555-0123, extension 45", "45"),
        ("+1 612 555 0123 X 045", "045"),
    ],
)
def test_extensions_are_kept(text: str, extension: str) -> None:
    number = normalise_phone(text)
    assert (number.value, number.extension, number.problem) == ("+16125550123", extension, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("555-0123", "seven_digits"),
        ("5550123", "seven_digits"),
        ("555-0123 x9", "seven_digits"),
        ("12", "too_short"),
        ("612-555-01", "too_short"),
        ("612-555-01234", "too_long"),
        ("612-555-0123 612-555-0124", "too_long"),
        ("211-555-0123", "area_code"),
        ("012-555-0123", "area_code"),
        ("000-000-0000", "not_a_number"),
        ("612-911-5555", "exchange"),
        ("612-155-0123", "exchange"),
        ("+44 20 7946 0958", "foreign"),
        ("011 44 20 7946 0958", "foreign"),
        ("call office", "not_a_number"),
        ("n/a", "not_a_number"),
        ("1-800-FLOWERS", "not_a_number"),
        ("-", "not_a_number"),
        ("٦١٢٥٥٥٠١٢٣", "not_a_number"),
    ],
)
def test_what_cannot_be_dialed_keeps_its_text(text: str, problem: str) -> None:
    number = normalise_phone(text)
    assert (number.value, number.problem) == (text, problem)
    assert problem in PROBLEMS


@given(st.text(max_size=40) | st.from_regex(r"[-+() .x0-9]{0,24}", fullmatch=True))
def test_a_number_is_either_dialable_or_has_a_problem(text: str) -> None:
    number = normalise_phone(text)
    if number.problem:
        assert number.value == text.strip()
        assert number.problem in PROBLEMS
    else:
        assert re.fullmatch(r"\+1[2-9]\d{2}[2-9]\d{6}", number.value, re.ASCII)
        assert number.value[3:5] != "11"
        assert number.value[6:8] != "11"
        assert phonenumbers.is_possible_number(phonenumbers.parse(number.value))
        assert normalise_phone(number.value).value == number.value
    assert len(number.extension) <= 11


@pytest.mark.parametrize("text", ["Mom@Vang.Example", " mom@vang.example", "MOM@VANG.EXAMPLE"])
def test_addresses_are_lower_cased(text: str) -> None:
    assert normalise_email(text).value == "mom@vang.example"
    assert normalise_email(text).problem == ""


@pytest.mark.parametrize(
    "text",
    ["mom", "mom@", "@vang.example", "mom@vang", "mom@@vang.example", "mom vang@x.example",
     "mom@vang..example", "a@b.example, c@d.example", f"{'a' * 250}@b.example", "mom@-x.example"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    assert normalise_email(text).problem == "not_an_address"
    assert normalise_email(text).value == text
