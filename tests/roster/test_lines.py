"""Rows of CSV files as they come: numbered, repaired or reported, never guessed."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messenger.roster.archive import RosterRefused
from messenger.roster.lines import BLOCK, Rows


def read(content: bytes, forget: str = "") -> tuple[list[list[str]], Rows]:
    """The rows (number first) that COPY would get, and the reader."""
    rows = Rows(io.BytesIO(content), "users")
    if forget:
        rows.forget(forget)
    text = b"".join(rows).decode()
    return list(csv.reader(io.StringIO(text), strict=True)), rows


def bad(rows: Rows) -> list[tuple[int, str, str]]:
    return [(item.line, item.code, item.sourced_id) for item in rows.bad]


def test_plain_rows_keep_their_numbers() -> None:
    assert read(b"a,b\r\n1,x\r\n2,y\r\n")[0] == [["2", "1", "x"], ["3", "2", "y"]]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_of_every_system(end: bytes) -> None:
    content = end.join([b"a,b", b"1,x", b'2,"y, z"', b""])
    assert read(content)[0] == [["2", "1", "x"], ["3", "2", "y, z"]]


def test_mixed_line_ends_and_no_last_one() -> None:
    assert read(b"a,b\r\n1,x\n2,y")[0] == [["2", "1", "x"], ["3", "2", "y"]]


def test_a_byte_order_mark_is_no_part_of_the_header() -> None:
    assert read(b"\xef\xbb\xbfsourcedId,b\n1,x\n")[1].header == ["sourcedId", "b"]


def test_empty_rows_are_counted_but_not_taken() -> None:
    rows, reader = read(b"a,b\n\n1,x\n,\n2,y\n")
    assert rows == [["3", "1", "x"], ["5", "2", "y"]]
    assert reader.bad == []


def test_padding_goes_and_empty_columns_at_the_end_too() -> None:
    rows, reader = read(b"a , b,,\n 1 , x ,,\n2,\ty\xc2\xa0,,\n")
    assert reader.header == ["a", "b"]
    assert rows == [["2", "1", "x"], ["3", "2", "y"]]


def test_quotes_in_every_place() -> None:
    rows, reader = read(
        b'a,b,c\n"1","x","y"\n2,"x ""y"" z",\n3,5\'10" tall,z\n4,"",""\n5, "p, q" ,r\n'
    )
    assert rows == [
        ["2", "1", "x", "y"],
        ["3", "2", 'x "y" z', ""],
        ["4", "3", "5'10\" tall", "z"],
        ["5", "4", "", ""],
        ["6", "5", "p, q", "r"],
    ]
    assert reader.bad == []


def test_a_value_over_several_lines_is_one_row() -> None:
    rows, reader = read(b'a,b\n1,"x\ny"\n2,z\n')
    assert rows == [["2", "1", "x y"], ["3", "2", "z"]]
    assert bad(reader) == [(2, "line_break", "1")]


def test_a_quote_that_never_closes_costs_its_own_row_alone() -> None:
    rows, reader = read(b'a,b\n1,"x\n2,y\n3,z\n')
    assert rows == [["3", "2", "y"], ["4", "3", "z"]]
    assert bad(reader) == [(2, "malformed_row", "1")]


def test_rows_of_another_width_are_reported() -> None:
    rows, reader = read(b"a,b\n1\n2,y,z\n3,w\n")
    assert rows == [["4", "3", "w"]]
    assert bad(reader) == [(2, "wrong_width", "1"), (3, "wrong_width", "2")]


def test_windows_text_is_read_and_reported() -> None:
    rows, reader = read("a,b\n1,Muñoz\n2,Nuñez\n".encode("cp1252"))
    assert rows == [["2", "1", "Muñoz"], ["3", "2", "Nuñez"]]
    assert bad(reader) == [(2, "not_utf8", "1"), (3, "not_utf8", "2")]


def test_control_characters_become_spaces() -> None:
    assert read(b"a,b\n1,x\x00y\x0bz\n")[0] == [["2", "1", "x y z"]]


def test_the_end_of_copy_is_only_text() -> None:
    assert read(b'a,b\n\\.,x\n1,"x\n\\.\ny"\n2,z\n')[0] == [
        ["2", "\\.", "x"],
        ["3", "1", "x \\. y"],
        ["4", "2", "z"],
    ]


@pytest.mark.parametrize("row", [b"1,secret,x", b'"1","secret","x"', b'1,"se""cret",x'])
def test_passwords_are_left_out(row: bytes) -> None:
    rows, _reader = read(b"a,Password,c\n" + row + b"\n", forget="password")
    assert rows == [["2", "1", "", "x"]]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_refused_with_a_word_about_it(mark: bytes) -> None:
    with pytest.raises(RosterRefused, match="UTF-8"):
        Rows(io.BytesIO(mark + "a,b\n1,x\n".encode("utf-16-le")), "users")


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(RosterRefused, match="longer"):
        read(b"a,b\n" + b"x" * (8 << 20))


def test_a_value_across_two_blocks() -> None:
    before = b"1,x\n" * ((BLOCK - 4) // 4) + b"1,\n"
    rows, reader = read(b"a,b\n" + before + b'7,"y\nz"\n8,w\n')
    count = before.count(b"\n")
    assert rows[-2:] == [[str(count + 2), "7", "y z"], [str(count + 3), "8", "w"]]
    assert len(rows) == count + 2
    assert bad(reader) == [(count + 2, "line_break", "7")]


cells = st.text(
    st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp", "Cf")), max_size=8
)


@given(st.lists(st.lists(cells, min_size=3, max_size=3), max_size=30), st.booleans())
def test_what_the_csv_module_writes_is_read_back(table: list[list[str]], every: bool) -> None:
    text = io.StringIO()
    quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
    writer = csv.writer(text, quoting=quoting, lineterminator="\n")
    writer.writerow(["a", "b", "c"])
    writer.writerows(table)
    rows, reader = read(text.getvalue().encode())
    expected = [[str(number), *row] for number, row in enumerate(table, 2) if any(row) or every]
    assert [row for row in rows if any(row[1:])] == [row for row in expected if any(row[1:])]
    assert reader.bad == []
