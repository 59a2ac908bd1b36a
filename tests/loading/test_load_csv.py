"""CSV and TSV: delimiters, quotes, headers, ragged rows, exact slices."""

from __future__ import annotations

import pytest

from cardanalysis._documents import Document
from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import Limits, load


def _cells(document: Document) -> list[tuple[str, ...]]:
    return [block.cells for block in document.blocks]


def test_header_and_rows(read):
    """The first row is the header, each further row has its raw slice, its values and the names of their columns."""
    document = read('id,need\r\n1,"fast, ""very"""\r\n2,cheap', "a.csv")

    assert document.media_type == "text/csv"
    assert document.notes == ()
    assert [(str(each.kind), each.text, each.cells, each.columns) for each in document.blocks] == [
        ("table_header", "id,need", ("id", "need"), ()),
        ("table_row", '1,"fast, ""very"""', ("1", 'fast, "very"'), ("id", "need")),
        ("table_row", "2,cheap", ("2", "cheap"), ("id", "need")),
    ]
    assert document.blocks[1].location.cells is None


def test_line_ends_within_quotes(read):
    """A quoted cell may have line ends of any kind; the lines are counted all the same."""
    document = read('a,b\n1,"x\r\ny\rz\n"\n"",2\r3,4', "a.csv")

    assert _cells(document)[1:] == [("1", "x\r\ny\rz\n"), ("", "2"), ("3", "4")]
    assert [(each.location.line, each.location.end_line) for each in document.blocks] == [
        (1, 1),
        (2, 5),
        (6, 6),
        (7, 7),
    ]


def test_ragged_rows_are_kept(read):
    """Cells beyond the header have no name, missing ones are absent."""
    document = read("a,b\n1\n1,2,3,4\n", "a.csv")

    assert [(each.cells, each.columns) for each in document.blocks[1:]] == [
        (("1",), ("a",)),
        (("1", "2", "3", "4"), ("a", "b", "", "")),
    ]


def test_rows_without_content_are_no_blocks(read):
    """Blank lines and rows of empty cells are left out, before the header too."""
    assert _cells(read('\n,,\na,b\n\n , \n"",""\n1,2\n\n', "a.csv")) == [("a", "b"), ("1", "2")]


@pytest.mark.parametrize(
    "first",
    ["1,need", "a,", "a,a", "id,2024-01-01", "id,12.5 %", "x,€ 3", "a, a"],
    ids=["number", "empty cell", "same names", "date", "share", "sum", "same but for space"],
)
def test_first_row_that_is_data(read, first):
    """A first row with an empty, numeric or repeated cell is no header, and the document says so."""
    document = read(f"{first}\nx,y\n", "a.csv")

    assert {str(each.kind) for each in document.blocks} == {"table_row"}
    assert len(document.blocks) == 2
    assert all(each.columns == () for each in document.blocks)
    assert "no header" in document.notes[0]


def test_title_above_a_table_is_no_header(read):
    """A single cell above a wider table names no columns."""
    document = read("Open requirements\nid,need\n1,fast\n2,cheap\n", "a.csv")

    assert "no header" in document.notes[0]
    assert len(document.blocks) == 4


def test_one_row_of_data(read):
    """A single row that is no header is data."""
    assert _cells(read("1,2", "a.csv")) == [("1", "2")]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_header_alone_is_empty(name):
    """A header without rows is an empty upload."""
    with pytest.raises(DocumentError, match="no rows") as caught:
        load(Upload.from_text("name\tneed\r\n\t\t\n", name))

    assert caught.value.code == "empty"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_delimiter_is_detected(read, name, delimiter):
    """Each of the four delimiters is found, whatever the ending says."""
    rows = [("name", "need"), ("a", "fast"), ("b", "cheap")]

    assert _cells(read("\n".join(map(delimiter.join, rows)), name)) == rows


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("item;price\na;1,5\nb;2,5\n", ("a", "1,5")),
        ("1,5;2,5\n3,5;4,5\n5,5;6,5", ("3,5", "4,5")),
        ("id\tneed\n1\tfast, cheap; good\n2\tfast, safe; good\n", ("1", "fast, cheap; good")),
        ("id;need, all\n1;fast, cheap\n2;fast, safe\n", ("1", "fast, cheap")),
        ('id,need\n1,"a;b;c"\n2,"d;e;f"\n', ("1", "a;b;c")),
        ('"id";"need"\n"1";"a,b"\n"2";"c,d"\n', ("1", "a,b")),
        ('id;need\n1;"many, many\nlines, all, of, it"\n2;x\n', ("1", "many, many\nlines, all, of, it")),
        ("a; b; c\nd; e; f\n", ("d", " e", " f")),
        ("id,need\n1,fast\n2,cheap,extra\n3,safe\n4", ("1", "fast")),
        ("need\nfast; and cheap\nsafe\ngood\n", ("fast; and cheap",)),
        ("need\nfast\nsafe\n", ("fast",)),
        ("a|b\n1 | 2\n", ("1 ", " 2")),
        ('a,b\n5" disk,x\n3" disk,y', ('5" disk', "x")),
    ],
    ids=[
        "decimal commas",
        "decimal commas without header",
        "prose in tabs",
        "as many commas in prose",
        "semicolons in quotes",
        "commas in quotes",
        "line ends in quotes",
        "spaces behind semicolons",
        "ragged",
        "a single column with a semicolon",
        "a single column",
        "pipes",
        "inches",
    ],
)
def test_detection_is_not_misled(read, text, cells):
    """Numbers, prose and quotes hold other delimiters than the one that cuts the cells."""
    assert _cells(read(text, "a.csv"))[1] == cells


def test_delimiter_named_in_the_first_line(read):
    """Excel's first line names the delimiter and is no block."""
    for first in ("sep=;\r\n", "SEP=;\n", '"sep=;"\r'):
        document = read(f"{first}a;b\r\n1,5;2,5", "a.csv")
        assert _cells(document) == [("a", "b"), ("1,5", "2,5")]
        assert [each.location.line for each in document.blocks] == [2, 3]


def test_named_delimiter_may_be_any_character(read):
    """Also one that would not be looked for."""
    assert _cells(read("sep=^\na^b\n1^2", "a.csv")) == [("a", "b"), ("1", "2")]


def test_only_the_delimiter_is_empty(read):
    """A file that names its delimiter and has nothing else is empty."""
    with pytest.raises(DocumentError, match="empty"):
        read("sep=;", "a.csv")


@pytest.mark.parametrize(
    ("text", "line"),
    [('a,b\n1,"x\ny\n', 2), ('"a', 1), ('a,b\n"1\n2",3\n4,"5\n6","7', 5), ('a\tb\n1\t"x', 2), ('sep=,\na,b\n1,"', 3)],
)
def test_quote_that_does_not_end(text, line):
    """A quoted cell without an end is an error that names the line where it begins."""
    with pytest.raises(DocumentError, match=f"line {line} ") as caught:
        load(Upload.from_text(text, "a.csv"))

    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ('"a"b', "ab"),
        ('"a"b"c"', 'ab"c"'),
        ('a"b"', 'a"b"'),
        (' "a"', ' "a"'),
        ('""', ""),
        ('""""', '"'),
        ('"a""b"', 'a"b'),
    ],
)
def test_quotes_in_odd_places(read, raw, value):
    """A quote counts only where a cell begins; behind the closing one, text goes on as it is."""
    assert _cells(read(f"sep=,\nx,y\n1,{raw}\n{raw},2", "a.csv"))[1:] == [("1", value), (value, "2")]


def test_quoted_cell_is_not_cut_at_its_delimiters_by_the_wrong_delimiter(read):
    """Text beyond the first records is read with the delimiter found in them."""
    rows = "".join(f"{number};x\n" for number in range(60))

    assert _cells(read(f"a;b\n{rows}99;a,b,c\n", "a.csv"))[-1] == ("99", "a,b,c")


def test_huge_cell(read):
    """A cell may be larger than what the csv module allows."""
    cell = "x\n" * 200_000

    assert _cells(read(f'a,b\n1,"{cell}"\n', "a.csv"))[1] == ("1", cell)


@pytest.mark.parametrize("cell", ["plain text", '"quoted, text"'])
def test_detection_looks_at_a_part_of_a_large_file(read, cell):
    """A record that is cut by the end of the sample does not count."""
    row = f"1;{cell};{'x' * 30_000};y\n"
    document = read("a;b;c;d\n" + row * 40, "a.csv")

    assert {len(each.cells) for each in document.blocks} == {4}
    assert len(document.blocks) == 41


def test_detection_of_a_quoted_cell_longer_than_the_sample(read):
    """A quoted cell that the sample cuts leaves the records before it to judge by."""
    document = read('a;b\n1;"' + "x,y\n" * 300_000 + '"\n', "a.csv")

    assert {len(each.cells) for each in document.blocks} == {2}


def test_tabs_in_excels_unicode_text(read):
    """UTF-16 with tabs, as Excel writes it, is read under either ending."""
    data = "name\tneed\r\nä\tfast\r\n".encode("utf-16")

    for name in ("a.csv", "a.tsv"):
        assert _cells(read(data, name)) == [("name", "need"), ("ä", "fast")]


@pytest.mark.parametrize(("limits", "what"), [(Limits(rows=3), "3 rows"), (Limits(cells=6), "6 cells")])
def test_a_table_has_only_so_many_rows_and_cells(limits, what):
    """One row or cell more than is allowed is refused, before all are held in memory."""
    load(Upload.from_text("a,b\n1,2\n3,4\n", "a.csv"), limits)
    with pytest.raises(DocumentError, match=f"more than {what}") as caught:
        load(Upload.from_text("a,b\n1,2\n3,4\n5,6\n", "a.csv"), limits)

    assert caught.value.code == "too_large"
