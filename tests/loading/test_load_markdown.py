"""Markdown: headings, paragraphs, lists, code, quotes, tables, notes."""

from __future__ import annotations

import pytest


def test_headings_are_without_their_marks(outline):
    """One to six marks are the level, closing marks are left out."""
    text = "# One\n## Two ##\n### Three #3\n####\tFour\n##### Five#\n   ###### Six ######   \n"

    assert outline(text, "a.md") == [
        ("heading", 1, "One"),
        ("heading", 2, "Two"),
        ("heading", 3, "Three #3"),
        ("heading", 4, "Four"),
        ("heading", 5, "Five#"),
        ("heading", 6, "Six"),
    ]


@pytest.mark.parametrize("text", ["#hashtag", "####### seven", "    # in code", "\t# in code", "\\# escaped"])
def test_marks_that_make_no_heading(outline, text):
    """A heading's marks are one to six, with a space behind, and not far indented."""
    assert outline(text, "a.md") == [("paragraph", 0, text.strip())]


@pytest.mark.parametrize("mark", ["#", "## ##", "#\t#"])
def test_empty_heading_is_no_block(outline, mark):
    """Marks alone say nothing."""
    assert outline(f"{mark}\ntext", "a.md") == [("paragraph", 0, "text")]


def test_underlined_headings(outline):
    """A paragraph over a row of = or - is a heading, with all of its lines."""
    assert outline("One\n===\n\nTwo\nlines\n-\ntext\n= =\n", "a.md") == [
        ("heading", 1, "One"),
        ("heading", 2, "Two\nlines"),
        ("paragraph", 0, "text\n= ="),
    ]


def test_rules_divide(outline):
    """A rule is in no block; under a list item or a quote it is no underline."""
    assert outline("***\na\n_ _ _\n- b\n---\n> c\n---\n", "a.md") == [
        ("paragraph", 0, "a"),
        ("list_item", 1, "b"),
        ("paragraph", 0, "c"),
    ]


def test_list_items(outline):
    """Items nest by indentation, go on through lazy lines, and keep their check boxes."""
    text = "* a\n  goes on\nlazily\n  1. b\n     + c\n\n  2) d\n- [x] e\n-\n- • f\n\nText\n"

    assert outline(text, "a.md") == [
        ("list_item", 1, "a\n  goes on\nlazily"),
        ("list_item", 2, "b"),
        ("list_item", 3, "c"),
        ("list_item", 2, "d"),
        ("list_item", 1, "[x] e"),
        ("list_item", 1, "• f"),
        ("paragraph", 0, "Text"),
    ]


def test_indented_paragraph_does_not_end_the_list(outline):
    """A paragraph of its own inside an item leaves the next item at its level."""
    assert outline("- a\n  - b\n\n  more\n\n  - c\n\n# New\n\n  - d", "a.md") == [
        ("list_item", 1, "a"),
        ("list_item", 2, "b"),
        ("paragraph", 0, "more"),
        ("list_item", 2, "c"),
        ("heading", 1, "New"),
        ("list_item", 1, "d"),
    ]


@pytest.mark.parametrize("line", ["12. Then we go on", "*emphasis* here", "-5 degrees", "2) b"])
def test_line_of_a_paragraph_that_is_no_item(outline, line):
    """Only a bullet or the number one begins a list in the middle of a paragraph."""
    assert outline(f"Text\n{line}", "a.md") == [("paragraph", 0, f"Text\n{line}")]


@pytest.mark.parametrize("line", ["- a", "* a", "+ a", "1. a", "1) a"])
def test_line_of_a_paragraph_that_is_an_item(outline, line):
    """A list may follow its introduction at once."""
    assert outline(f"Text\n{line}", "a.md") == [("paragraph", 0, "Text"), ("list_item", 1, "a")]


def test_code_is_kept_as_it_stands(outline):
    """A fence ends with its like, at least as long; what is between is code with its indentation."""
    text = "Text\n````python\n\n  # no heading\n```\n~~~\n\n| a |\n````  \n~~~\n- x\n~~~ ~\n~~~~\nEnd"

    assert outline(text, "a.md") == [
        ("paragraph", 0, "Text"),
        ("code", 0, "  # no heading\n```\n~~~\n\n| a |"),
        ("code", 0, "- x\n~~~ ~"),
        ("paragraph", 0, "End"),
    ]


def test_unclosed_fence_reaches_to_the_end(outline):
    """Code that is not closed is code to the end of the document."""
    assert outline("```\na\n\n# b\n", "a.md") == [("code", 0, "a\n\n# b")]


def test_inline_code_opens_no_fence(outline):
    """A backtick behind the fence makes it inline code; an empty fence is no block."""
    assert outline("```x``` y\n\n```\n```\n", "a.md") == [("paragraph", 0, "```x``` y")]


def test_fence_in_a_list_item(outline):
    """A fence may be an item's first line."""
    assert outline("1. ```sh\n   ls\n   ```\n2. done", "a.md") == [("code", 0, "   ls"), ("list_item", 1, "done")]


def test_quotes_are_paragraphs(outline):
    """A quote is without its first mark; an empty line of it begins a new paragraph, a lazy line belongs to it."""
    assert outline("> one\n> more\n>\n> > two\nlazy\n\n>three\ntext\n# h", "a.md") == [
        ("paragraph", 0, "one\n> more"),
        ("paragraph", 0, "two\nlazy"),
        ("paragraph", 0, "three\ntext"),
        ("heading", 1, "h"),
    ]


def test_quote_ends_the_paragraph_before_it(outline):
    """Text and a quote below it are two blocks, and an underline makes no heading of a quote."""
    assert outline("text\n> quote\n===\n\n> last", "a.md") == [
        ("paragraph", 0, "text"),
        ("paragraph", 0, "quote\n==="),
        ("paragraph", 0, "last"),
    ]


def test_table(read):
    """A table has a header and rows with their columns; the line of dashes is in no block."""
    document = read(
        "| Need | Prio |\n|:---|---:|\n| a \\| b | high |\n| c | low | x |\n| | |\nd |\n\nText | x\n", "a.md"
    )

    assert [(str(each.kind), each.text, each.cells, each.columns) for each in document.blocks] == [
        ("table_header", "| Need | Prio |", ("Need", "Prio"), ()),
        ("table_row", "| a \\| b | high |", ("a | b", "high"), ("Need", "Prio")),
        ("table_row", "| c | low | x |", ("c", "low", "x"), ("Need", "Prio", "")),
        ("table_row", "d |", ("d",), ("Need",)),
        ("paragraph", "Text | x", (), ()),
    ]


def test_table_below_text(outline):
    """The last line before the dashes is the header, the lines above it stay a paragraph or an item."""
    assert outline("Intro\nmore\na | b\n- | -\n1 | 2\n- x\n  a | b\n  - | -\n  3 | 4\nEnd", "a.md") == [
        ("paragraph", 0, "Intro\nmore"),
        ("table_header", 0, "a | b"),
        ("table_row", 0, "1 | 2"),
        ("list_item", 1, "x"),
        ("table_header", 0, "a | b"),
        ("table_row", 0, "3 | 4"),
        ("paragraph", 0, "End"),
    ]


def test_table_with_an_empty_header(read):
    """A header without names is no block, and its rows have no columns."""
    document = read("| | |\n|---|---|\n| a | b |\\|\n", "a.md")

    assert [(each.cells, each.columns) for each in document.blocks] == [(("a", "b", "|"), ())]


@pytest.mark.parametrize(
    "text",
    ["a | b\n--- | --- | ---", "a | b\n--- | x", "a\n--- |", "> a | b\n--- | ---", "a\n|", "| ---"],
)
def test_what_is_no_table(outline, text):
    """The dashes must fit a header that has pipes and stands right above them."""
    assert [kind for kind, _, _ in outline(text, "a.md")] == ["paragraph"]


def test_item_is_no_header(outline):
    """The first line of a list item is not taken for a table's header."""
    assert outline("- a | b\n  --- | ---", "a.md") == [("list_item", 1, "a | b\n  --- | ---")]


def test_front_matter_is_a_note(outline):
    """What stands between the first line of dashes and the next is a note."""
    assert outline("---\ntitle: x\n\n# y\n---\n# z", "a.md") == [("note", 0, "title: x\n\n# y"), ("heading", 1, "z")]
    assert outline("---\n# comment\na: b\n...\ntext", "a.md") == [
        ("note", 0, "# comment\na: b"),
        ("paragraph", 0, "text"),
    ]


@pytest.mark.parametrize(
    "text", ["---\ntext: x", "---\n\na: b\n\n---", "---\nSome text\n\n---", "text\n\n---\na: b\n\n---"]
)
def test_what_is_no_front_matter(outline, text):
    """It begins in the first line, its second line is metadata, and it is closed."""
    assert {kind for kind, _, _ in outline(text, "a.md")} == {"paragraph"}


def test_comments_are_notes(outline):
    """A comment is a note without its marks; text behind it is read as a line of its own."""
    text = "para\n<!-- one --> # Two\n<!--\nmany\n\n# lines\n--><!-- more --> <!---->\n<!-- open\n\nto the end"

    assert outline(text, "a.md") == [
        ("paragraph", 0, "para"),
        ("note", 0, "one"),
        ("heading", 1, "Two"),
        ("note", 0, "many\n\n# lines"),
        ("note", 0, "more"),
        ("note", 0, "open\n\nto the end"),
    ]


def test_comment_inside_a_line_is_text(outline):
    """Only a comment at the beginning of a line is a note."""
    assert outline("a <!-- b -->", "a.md") == [("paragraph", 0, "a <!-- b -->")]


def test_lines_end_as_in_the_file(read):
    """CRLF stays in the text and in blocks of several lines, and lines are counted once."""
    document = read("# A\r\n\r\none\r\ntwo\r\n", "a.md")

    assert [(each.text, each.location.line, each.location.end_line) for each in document.blocks] == [
        ("A", 1, 1),
        ("one\r\ntwo", 3, 4),
    ]


def test_only_marks_are_empty(read):
    """Markdown that has marks and no content is an empty upload."""
    from cardanalysis._errors import DocumentError

    with pytest.raises(DocumentError, match="empty"):
        read("#\n\n---\n\n-\n\n```\n```\n", "a.md")
