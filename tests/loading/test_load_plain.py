"""Plain text: paragraphs, lists, and the few headings that can be told."""

from __future__ import annotations

import pytest

from cardanalysis._documents import BlockKind


def test_paragraphs_are_separated_by_blank_lines(outline):
    """Lines that follow each other are one paragraph; white space around it is left out."""
    assert outline("\n  One\nstill one  \n \t\nTwo", "a.txt") == [
        ("paragraph", 0, "One\nstill one"),
        ("paragraph", 0, "Two"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_counts_and_stays(read, end):
    """Lines are counted whatever they end with, and the text is not altered."""
    text = end.join(["First", "", "Second", "goes on", "", "Third", ""])
    document = read(text, "a.txt")

    assert document.text == text
    assert [(each.location.line, each.location.end_line) for each in document.blocks] == [(1, 1), (3, 4), (6, 6)]
    assert document.blocks[1].text == f"Second{end}goes on"


@pytest.mark.parametrize(
    "mark", ["-", "*", "•", "◦", "▪", "\u2013", "1.", "12.", "1)", "(1)", "a)", "(b)", "iv)", "•\t", "1.\xa0"]
)
def test_list_items_are_without_their_marks(outline, mark):
    """An item's text begins behind its mark."""
    assert outline(f"{mark} faster checkout", "a.txt") == [("list_item", 1, "faster checkout")]


@pytest.mark.parametrize("text", ["-faster", "1.5 million users", "1986. What a year", "abc) no", "A. Smith", "-"])
def test_what_only_resembles_a_mark_is_text(outline, text):
    """A mark needs white space and text behind it."""
    assert outline(text, "a.txt") == [("paragraph", 0, text)]


def test_items_nest_by_indentation(outline):
    """Two more columns are one level more, blank lines between items do not matter, tabs count to the next fourth."""
    text = "- a\n   - b\n\t- c\n\n  - d\n - e\n- f\n\nText\n\n    - g\n"

    assert outline(text, "a.txt") == [
        ("list_item", 1, "a"),
        ("list_item", 2, "b"),
        ("list_item", 2, "c"),
        ("list_item", 2, "d"),
        ("list_item", 1, "e"),
        ("list_item", 1, "f"),
        ("paragraph", 0, "Text"),
        ("list_item", 1, "g"),
    ]


def test_continuation_lines_belong_to_the_item(outline):
    """An item goes on until a blank line or the next item, also through lines that are not indented."""
    assert outline("- one\n  goes on\nand on\n- two\n\n  own paragraph\n- three", "a.txt") == [
        ("list_item", 1, "one\n  goes on\nand on"),
        ("list_item", 1, "two"),
        ("paragraph", 0, "own paragraph"),
        ("list_item", 1, "three"),
    ]


def test_list_may_follow_its_introduction(outline):
    """A bullet or a first number begins a list right below a line of text."""
    for mark in ("-", "1.", "1)", "a)", "(i)"):
        assert outline(f"Goals:\n{mark} faster", "a.txt") == [
            ("paragraph", 0, "Goals:"),
            ("list_item", 1, "faster"),
        ]


def test_wrapped_line_that_begins_with_a_number_or_dash_is_no_item(outline):
    """Within a paragraph a later number or a dash is text."""
    for text in ("We start on May\n12. Then we go on", "The system\n\u2013 the old one \u2013\nmust go"):
        assert outline(text, "a.txt") == [("paragraph", 0, text)]


@pytest.mark.parametrize(("mark", "level"), [("=", 1), ("-", 2), ("~", 3)])
def test_underlined_line_is_a_heading(outline, mark, level):
    """A line over a rule is a heading; the rule is in no block."""
    assert outline(f"Scope of it\n{mark * 11}\nText", "a.txt") == [
        ("heading", level, "Scope of it"),
        ("paragraph", 0, "Text"),
    ]


def test_underlined_number_is_part_of_the_heading(outline):
    """A numbered line over a rule is a heading and no list item."""
    assert outline("1. Introduction\n===============", "a.txt") == [("heading", 1, "1. Introduction")]


@pytest.mark.parametrize("rule", ["---", "=====", "* * *", "_" * 40, "#####", "~ ~ ~ ~"])
def test_rule_divides_and_is_in_no_block(outline, rule):
    """A rule under several lines, an item or nothing only divides."""
    assert outline(f"{rule}\none\ntwo\n{rule}\nthree\n\n- item\n{rule}", "a.txt") == [
        ("paragraph", 0, "one\ntwo"),
        ("paragraph", 0, "three"),
        ("list_item", 1, "item"),
    ]


@pytest.mark.parametrize("mark", ["#", "*", "_"])
def test_rules_of_other_marks_make_no_headings(outline, mark):
    """Only the marks that people underline with do."""
    assert outline(f"Some text\n{mark * 9}", "a.txt") == [("paragraph", 0, "Some text")]


def test_long_line_over_a_rule_is_no_heading(outline):
    """A heading has at most 80 characters."""
    assert outline("x" * 80 + "\n---", "a.txt")[0][0] == "heading"
    assert outline("x" * 81 + "\n---", "a.txt")[0][0] == "paragraph"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("PROJECT GOALS", 1),
        ("ZIELE FÜR 2025", 1),
        ("2.1 Scope", 2),
        ("2.1. Scope", 2),
        ("10.2.3 Non-functional requirements", 3),
        ("1.2 范围", 2),
    ],
)
def test_line_alone_that_looks_like_a_heading(outline, line, level):
    """Capitals and section numbers make a heading of a line that stands alone."""
    assert outline(f"Text\n\n{line}\n\nText", "a.txt")[1] == ("heading", level, line)


@pytest.mark.parametrize(
    "line",
    [
        "STOP!",
        "FIRST, SECOND,",
        "THE WHOLE TEXT IS IN CAPITALS.",
        "N/A",
        "A-4711-2024-XYZ",
        "2.5 million users",
        "12.03.2024 Meeting",
        "1.2",
        "2.1 The system shall be fast.",
        "Project goals",
        "范围",
        "VERY " * 17 + "LONG",
    ],
)
def test_line_alone_that_is_no_heading(outline, line):
    """Where it could be text, it is text."""
    assert outline(f"Text\n\n{line}\n\nText", "a.txt")[1] == ("paragraph", 0, line)


def test_heading_stands_alone(outline):
    """A line in capitals with text right below is text."""
    assert outline("NOTE\nthis", "a.txt") == [("paragraph", 0, "NOTE\nthis")]


def test_very_long_line(read):
    """A line of a million characters is one paragraph."""
    assert len(read("word " * 200_000, "a.txt").blocks[0].text) == 999_999


def test_other_characters_that_str_splitlines_takes_for_line_ends_are_text(read):
    """Only the three line ends count: a form feed or U+2028 does not."""
    document = read("one\x0ctwo\x0bthree\u2028four\x85five\nsix", "a.txt")

    assert [(each.kind, each.location.end_line) for each in document.blocks] == [(BlockKind.PARAGRAPH, 2)]
