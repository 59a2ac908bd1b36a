"""What holds for any input: documents keep their promises, and everything else is a document error."""

from __future__ import annotations

import csv
import io
import re
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import load
from cardanalysis.loading._records import UnclosedQuote, records

NAMES = ["a.txt", "a.md", "a.csv", "a.tsv"]

# Text in which the marks of all formats are frequent.
_MARKS = ["- ", "* ", "1. ", "a) ", "#", "# ", "---", "===", "|", "|---|", "```", "~~~", "> ", "<!--", "-->", "sep="]
_WHITE = ["\n", "\n", "\r\n", "\r", " ", "  ", "\t", "\u2028", "\x0c"]
_PIECES = st.sampled_from([*_MARKS, *_WHITE, '"', '""', ",", ";", ": ", "a", "B", "word", "7", "é", "\ufeff"])
_MARKED = st.lists(_PIECES, max_size=40).map("".join)
_ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | _MARKED
# What no block of plain text needs to hold: white space, rules, marks of list items.
_MARKUP = re.compile(r"(?:\s|(?:[-=~_*#][ \t]*+){3,}+|[-*•◦▪‣●○\u2013](?=\s)|\d{1,3}\.|\(?\w{1,5}\))*")


def _outcome(read, content, name):
    """The document, or the code of the error."""
    try:
        return read(content, name), None
    except DocumentError as error:
        return None, error.code


@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("name", NAMES)
@given(text=_ANY)
def test_any_text_is_a_document_or_a_document_error(read, name, text):
    """Slices, order and line numbers hold for whatever text comes."""
    document, code = _outcome(read, text, name)

    if document is None:
        assert code in {"empty", "unknown_type", "malformed"}
    elif "\0" not in text:
        assert document.text == text.lstrip("\ufeff")


@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=200))
@example(data=b"\xff\xfe")
@example(data=b"\xef\xbb\xbf\xff")
def test_any_bytes_are_a_document_or_a_document_error(read, name, data):
    """No content makes loading raise anything else."""
    document, code = _outcome(read, data, name)

    assert document is not None or code in {"empty", "unknown_type", "malformed", "undecodable"}


@settings(max_examples=100, deadline=None)
@given(text=_ANY)
def test_plain_text_loses_nothing(text):
    """Between the blocks of plain text there is white space and markup only."""
    try:
        document = load(Upload.from_text(text, "a.txt"))
    except DocumentError:
        assume(False)
    at = 0
    for start, end in [(each.location.start, each.location.end) for each in document.blocks] + [
        (len(document.text), 0)
    ]:
        assert _MARKUP.fullmatch(document.text[at:start])
        at = end


@settings(max_examples=100, deadline=None)
@given(text=_MARKED)
def test_markdown_loses_no_words(text):
    """Every word of Markdown is in a block, but for what follows a fence."""
    assume("```" not in text and "~~~" not in text)
    try:
        blocks = load(Upload.from_text(text, "a.md")).blocks
    except DocumentError:
        assert "word" not in text or "\0" in text
    else:
        assert sum(each.text.count("word") for each in blocks) == text.count("word")


# In Windows-1252 the euro sign behind a letter such as ß would be valid UTF-8.
_LATIN = st.lists(st.sampled_from([*"abcdefgh XYZ.,\n0123456789äöüßéñ", "5€"]), max_size=60).map("".join)


@settings(max_examples=100, deadline=None)
@given(text=_LATIN, encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]))
def test_text_does_not_depend_on_the_encoding(read, text, encoding):
    """Every supported encoding gives the text that was encoded."""
    assume(text.strip())
    if encoding in {"utf-16-le", "utf-16-be"}:
        assume(text.encode(encoding).count(0) * 4 >= len(text) * 3)
    data = text.encode(encoding)
    document = read(data, "a.txt")

    assert document.text == text


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_utf_16_with_a_mark_holds_any_text(text):
    """With a mark, UTF-16 needs no guess and holds everything but NUL."""
    text = f"x{text}"
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        document = load(Upload.from_bytes(mark + text.encode(encoding), "a.txt"))
        assert document.text == text
        assert document.notes == ()


_CELL = st.text(st.sampled_from('ab" ,;\t|\r\n1.é'), max_size=8)
_ROWS = st.lists(st.lists(_CELL, min_size=1, max_size=4), min_size=1, max_size=6)


def _written(rows, delimiter, **options):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, **options).writerows(rows)
    return buffer.getvalue()


@settings(max_examples=100, deadline=None)
@given(rows=_ROWS, delimiter=st.sampled_from(",;\t|"), quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_rows_that_csv_wrote_read_back(read, rows, delimiter, quoting):
    """Any table that csv.writer writes has the same cells, empty rows aside."""
    expected = [tuple(row) for row in rows if any(cell.strip() for cell in row)]
    text = f"sep={delimiter}\r\n" + _written(rows, delimiter, quoting=quoting)
    document, code = _outcome(read, text, "a.csv")

    if document is None:
        assert code == "empty"
        assert len(expected) < 2
    else:
        assert [block.cells for block in document.blocks] == expected


_WORD = st.text(st.sampled_from("abcdeXYZ 0123456789\n\"'é"), min_size=1, max_size=10).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), delimiter=st.sampled_from(",;\t|"), width=st.integers(2, 5), height=st.integers(2, 8))
def test_delimiter_of_an_even_table_is_found(read, data, delimiter, width, height):
    """A table that csv.writer wrote with any of the four delimiters reads back without being told which."""
    rows = data.draw(st.lists(st.lists(_WORD, min_size=width, max_size=width), min_size=height, max_size=height))
    document = read(_written(rows, delimiter), data.draw(st.sampled_from(["a.csv", "a.tsv"])))

    assert [block.cells for block in document.blocks] == [tuple(row) for row in rows]


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.sampled_from('ab", \n'), max_size=40))
def test_records_are_those_of_the_csv_module(text):
    """Whatever the text, the cells are those of csv.reader; only an unclosed quote is refused."""
    try:
        found = [record.cells for record in records(text, ",")]
    except UnclosedQuote:
        with pytest.raises(csv.Error):
            list(csv.reader(io.StringIO(text, newline=""), strict=True))
    else:
        assert found == [row or [""] for row in csv.reader(io.StringIO(text, newline=""))]


@settings(max_examples=100, deadline=None)
@given(text=_MARKED)
def test_records_tile_the_text(text):
    """Between two records there is exactly one line end, and no character is lost."""
    try:
        found = list(records(text, ","))
    except UnclosedQuote:
        assume(False)
    ends = [text[a.end : b.start] for a, b in pairwise(found)]
    assert set(ends) <= {"\n", "\r", "\r\n"}
    if found:
        assert found[0].start == 0
        assert text[found[-1].end :] in {"", "\n", "\r", "\r\n"}
