"""What holds for every document, whatever is in it."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Block, BlockKind, Document, Location
from cardanalysis._errors import DocumentError
from cardanalysis._models import Card
from cardanalysis._uploads import Upload
from cardanalysis.analysis._outline import outline_cards
from cardanalysis.loading import load

# Pieces of which anything that the rules look for can arise, and much that is nearly so.
PIECES = st.sampled_from(
    """
    As a broker, I want to search so that I find.|As a|I want|so that|In order to|broker,|The system shall log.|must|
    should not|will|needs to|has to|be able to|Today|we need a|REQ-1|REQ-1:|[FR-2.1]|US-7|R12:|1.|2.1|-|*|•|**|_|`|
    [a](b)|> |# |Use case 1:|Feature:|Problem|Problem:|Goals:|Pain points|Constraints:|Systems: A, B and C|Users: a; b|
    Priority: high|(must have)|Must have:|Glossary|Out of scope|Requirements|Acceptance criteria:|Title: x|Anna:|
    The biggest problem is|e.g.|(|)|"|“|”|’|…|.|?|:|;|,|–|===|---|<br>|é|e\u0301|😀|İ|ß|\t|\u00a0|\u2028|\x0b|\x85
    """.replace("|\n    ", "|")
    .strip("\n")
    .split("|")
)
BREAKS = st.sampled_from([" ", " ", "\n", "\r\n", "\r", "\n\n", "\n  "])
TEXTS = st.lists(st.tuples(PIECES, BREAKS), max_size=25).map(lambda parts: "".join(map("".join, parts))) | st.text(
    max_size=60
)
CELLS = st.lists(TEXTS, max_size=4).map(tuple)
NAMES = st.sampled_from(
    [
        "Requirement",
        "Title",
        "ID",
        "User story",
        "Problem",
        "Users",
        "Priority",
        "MoSCoW",
        "Systems",
        "Status",
        "Field",
        "",
    ]
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """A document of arbitrary blocks, each the slice that its location says."""
    blocks: list[Block] = []
    text = ""
    for kind in draw(st.lists(st.sampled_from(list(BlockKind)), max_size=8)):
        piece = draw(TEXTS)
        cells: tuple[str, ...] = ()
        if kind in (BlockKind.TABLE_ROW, BlockKind.TABLE_HEADER):
            cells = draw(CELLS)
            piece = "|".join(cells)
        line = len(re.findall(r"\r\n|\r|\n", text)) + 1 if draw(st.booleans()) else None
        where = Location(name="x", start=len(text), end=len(text) + len(piece), line=line)
        columns = draw(st.lists(NAMES, max_size=4)) if kind is BlockKind.TABLE_ROW else ()
        level = draw(st.integers(0, 12))
        blocks.append(Block(kind=kind, text=piece, location=where, level=level, cells=cells, columns=columns))
        text += piece + draw(st.sampled_from(["\n", "\n\n", "\r\n"]))
    media_type = draw(st.sampled_from(["text/plain", "text/markdown", "text/csv"]))
    return Document(upload_id="u", name="x", media_type=media_type, text=text, blocks=blocks)


def values(card: Card) -> list[str]:
    # An id may stand elsewhere than what it names.
    title = card.title.removesuffix("…").split(": ", 1)
    texts = [*title, *card.problem.split("\n"), *card.current_state.split("\n"), *card.impact.split("\n")]
    return [*texts, *card.target_users, *card.desired_outcomes, *card.constraints, *card.systems]


def bare(text: str) -> str:
    """The letters and digits: what is left of a text without markup, punctuation and white space, in one case."""
    return "".join(filter(str.isalnum, re.sub(r"\(b\)?|<br>", "", text).casefold()))


@given(documents(), st.integers(1, 5))
@settings(max_examples=150)
def test_any_document_gives_cards_that_are_grounded(document: Document, max_cards: int) -> None:
    """Nothing is raised; every quote is an exact slice with a place; nothing is said that the text does not say."""
    found = outline_cards(document, max_cards)
    assert len(found) <= max_cards
    for card in found:
        assert card.made_by == "outline"
        assert card.evidence
        assert len(card.title) <= 120
        for each in card.evidence:
            assert each.quote == document.text[each.location.start : each.location.end] != ""
            assert each.match == "exact"
    everything = bare(document.text)
    for value in (value for card in found for value in values(card)):
        assert bare(value) in everything


@given(documents())
@settings(max_examples=50)
def test_the_same_document_gives_the_same_cards(document: Document) -> None:
    """The rules know no chance."""
    assert outline_cards(document, 20) == outline_cards(document, 20)


@given(documents(), st.integers(1, 4))
@settings(max_examples=50)
def test_fewer_cards_are_a_selection_in_document_order(document: Document, max_cards: int) -> None:
    """A limit leaves cards out and changes none."""
    everything = outline_cards(document, 1000)
    kept = outline_cards(document, max_cards)
    assert len(kept) == min(max_cards, len(everything))
    assert [card for card in everything if card in kept] == kept
    assert all(a.evidence[0].location.start <= b.evidence[0].location.start for a, b in pairwise(everything))


@given(TEXTS.filter(str.strip), st.sampled_from(["a.md", "a.txt"]))
@settings(max_examples=100)
def test_lines_of_loaded_text_are_right(text: str, name: str) -> None:
    """The line of a quote is one more than the number of line ends before it."""
    try:
        document = load(Upload.from_text(text, name))
    except DocumentError:  # what the loader refuses is its own affair
        return
    for each in (each for card in outline_cards(document, 50) for each in card.evidence):
        breaks = re.compile(r"\r\n|\r|\n")
        assert each.location.line == len(breaks.findall(document.text, 0, each.location.start)) + 1
        assert each.location.end_line == each.location.line + len(breaks.findall(each.quote))


@given(st.lists(st.tuples(st.sampled_from(list(BlockKind)), TEXTS, CELLS, st.integers(0, 99), st.integers(0, 99))))
@settings(max_examples=50)
def test_blocks_that_lie_about_their_place_do_no_harm(
    made: list[tuple[BlockKind, str, tuple[str, ...], int, int]],
) -> None:
    """A loader of one's own may be wrong: still nothing is raised and quotes are slices of the text."""
    blocks = [
        Block(kind=kind, text=text, cells=cells, location=Location(name="x", start=start, end=start + length, line=1))
        for kind, text, cells, start, length in made
    ]
    document = Document(upload_id="u", name="x", media_type="x/y", text="REQ-1: it must be so.\n" * 3, blocks=blocks)
    for each in (each for card in outline_cards(document, 20) for each in card.evidence):
        assert each.quote == document.text[each.location.start : each.location.end]
