"""What is known to stand in a document is found, in its order and at its place."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Block, Document

from .corpus.facts import Fact, Good
from .corpus.good import GOOD
from .corpus.office_files import deck, sheets
from .corpus.page_files import pages


def squeezed(text: str) -> str:
    """Text with every run of white space as one space: where a line wraps is not asked."""
    return " ".join(text.split())


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


@pytest.fixture(scope="module", params=GOOD)
def made(request: pytest.FixtureRequest) -> Good:
    return GOOD[request.param]()


@pytest.fixture(scope="module")
def document(made: Good, read: Any) -> Document:
    """The document as it was read; the fixture checks slices, order and overlap."""
    return read(made.data, made.name)


def test_the_same_bytes_are_made_each_time(made: Good, request: pytest.FixtureRequest) -> None:
    """The corpus does not depend on when it is made."""
    again = GOOD[request.node.callspec.params["made"]]()

    assert again.data == made.data


def test_recall(made: Good, document: Document) -> None:
    """At least 99 of 100 words that were written are read."""
    written = Counter(word for fact in made.facts for word in words(fact.text))
    lost = written - Counter(words(document.text))

    assert lost.total() <= 0.01 * written.total(), lost


def test_order(made: Good, document: Document) -> None:
    """What was written stands in the order in which it was written, and what is not to be read is not there."""
    text, at = squeezed(document.text), 0
    for fact in made.facts:
        found = text.find(fact.text, at)
        assert found >= 0, fact.text
        at = found + len(fact.text)
    assert not [each for each in made.absent if each in text]


def test_places(made: Good, document: Document) -> None:
    """Each text stands in a block of the right kind, whose location is the place where it was written."""
    missing = [fact for fact in made.facts if not any(holds(block, fact) for block in document.blocks)]

    assert not missing


def holds(block: Block, fact: Fact) -> bool:
    if fact.text not in squeezed(block.text):
        return False
    place = {name: getattr(block.location, name) for name in fact.place}
    kind = {name: getattr(block, name) for name in fact.block}
    return place == dict(fact.place) and kind == dict(fact.block)


# -- Of random structure

_WORD = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzäöüß漢字😀"), min_size=1, max_size=8)
_TEXT = st.lists(_WORD, min_size=1, max_size=4).map(" ".join)


def _marked(texts: Mapping[Any, str]) -> dict[Any, str]:
    """Each text behind a mark of its own, so that it is known wherever it is found."""
    return {key: f"Z{number}Q {text}" for number, (key, text) in enumerate(texts.items())}


def found_at(document: Document, text: str) -> Block:
    """The one block that holds a text."""
    mark = text.split()[0]
    (block,) = [block for block in document.blocks if mark in words(block.text)]
    assert squeezed(text) in squeezed(block.text)
    return block


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=5), data=st.data())
def test_slides_are_numbered(read: Any, sizes: list[int], data: st.DataObject) -> None:
    """Whatever slides there are, empty ones too, a text and a note are found on the slide that they were put on."""
    keys = [(slide, at) for slide, size in enumerate(sizes, 1) for at in range(size)]
    keys += [(slide, -1) for slide in data.draw(st.sets(st.integers(1, len(sizes))))]
    if not keys:
        return
    texts = _marked({key: data.draw(_TEXT) for key in keys})
    shown = [[texts[slide, at] for at in range(size)] for slide, size in enumerate(sizes, 1)]
    document = read(deck(shown, notes={slide: text for (slide, at), text in texts.items() if at < 0}), "a.pptx")

    for (slide, _), text in texts.items():
        assert found_at(document, text).location.slide == slide


_CELLS = st.tuples(st.integers(1, 30), st.integers(1, 60))
_SHEETS = st.lists(st.sets(_CELLS, min_size=1, max_size=8), min_size=1, max_size=3)


@settings(max_examples=25, deadline=None)
@given(sets=_SHEETS, data=st.data())
def test_cells_are_named(read: Any, sets: list[set[tuple[int, int]]], data: st.DataObject) -> None:
    """Wherever cells are filled, each is found on its sheet, in the range of its row's first to last cell."""
    from openpyxl.utils import get_column_letter

    keys = [(f"Sheet {number}", *cell) for number, cells in enumerate(sets) for cell in sorted(cells)]
    texts = _marked({key: data.draw(_TEXT) for key in keys})
    content: dict[str, dict[str, str]] = {}
    ranges: dict[tuple[str, int], list[str]] = {}
    for (sheet, row, column), text in texts.items():
        cell = f"{get_column_letter(column)}{row}"
        content.setdefault(sheet, {})[cell] = text
        ranges.setdefault((sheet, row), []).append(cell)
    document = read(sheets(content), "a.xlsx")

    for (sheet, row, _), text in texts.items():
        place, cells = found_at(document, text).location, ranges[sheet, row]
        assert place.sheet == sheet
        assert place.cells == (cells[0] if len(cells) == 1 else f"{cells[0]}:{cells[-1]}")


_LATIN = st.lists(st.text(st.sampled_from("abcdefghijkäöüß"), min_size=2, max_size=8), min_size=8, max_size=10)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 6), min_size=1, max_size=5), data=st.data())
def test_pages_are_numbered(read: Any, sizes: list[int], data: st.DataObject) -> None:
    """Whatever pages there are, empty ones too, a text is found on the page that it was printed on."""
    keys = [(page, at) for page, size in enumerate(sizes, 1) for at in range(size)]
    if not keys:
        return
    texts = _marked({key: " ".join(data.draw(_LATIN)) for key in keys})
    printed = [[texts[page, at] for at in range(size)] for page, size in enumerate(sizes, 1)]
    document = read(pages(printed), "a.pdf")

    for (page, _), text in texts.items():
        assert found_at(document, text).location.page == page
