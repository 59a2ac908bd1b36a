"""Where a document is best cut near a wanted place: by its structure first, else by its text. Pure.

The best place is before a heading, of the highest level that is near; then between blocks, between the items of a list,
between the rows of a table, and behind a heading. Inside a block it is between paragraphs, sentences, lines, words, and
at last any place that is not inside a character. A row of a table is cut only where nothing else is left to cut.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final, NamedTuple

from .._documents import Block, BlockKind, Document
from ._outline_text import sentences

__all__ = ["Window", "best_cut", "edge"]

_REACH: Final = 5_000
"""How many characters on either side of the wanted place are looked at inside a block. More would take long."""


class Window(NamedTuple):
    """Where a cut may be: offsets from `first` to `last`, and the nearer to `wanted` the better."""

    first: int
    wanted: int
    last: int

    def nearest(self, cuts: Iterable[int]) -> int | None:
        """The best of some offsets, if any is inside."""
        inside = (cut for cut in cuts if self.first <= cut <= self.last)
        return min(inside, key=lambda cut: abs(cut - self.wanted), default=None)


def best_cut(document: Document, start: int, end: int, window: Window) -> int | None:
    """Choose where to cut a span.

    Args:
        document: What to cut.
        start: Offset of the span's first character.
        end: Offset behind its last one.
        window: Where the cut should be, within the span and at neither of its ends.

    Returns:
        An offset in the window; or outside of it, before or behind a row of a table, where nothing but that row is in
        the window. None if there is no place to cut.
    """
    cut = _cut_between_blocks(document, start, window)
    if cut is None:
        cut = _cut_beside_row(document, start, end, window)
    return _cut_in_text(document.text, window) if cut is None else cut


# -- Between blocks

_TABLE: Final = (BlockKind.TABLE_HEADER, BlockKind.TABLE_ROW)

# A heading's rank is its level. The lower, the better.
_BLOCKS, _ITEMS, _ROWS, _TORN = 100, 200, 1_000, 1_001
_DEEPEST: Final = 99


def _rank(before: Block, after: Block) -> int:
    """How loosely two neighbours hang together."""
    if after.kind is BlockKind.HEADING:
        return min(after.level, _DEEPEST)
    if before.kind in (BlockKind.HEADING, BlockKind.TABLE_HEADER):
        return _TORN
    if after.kind is BlockKind.TABLE_ROW and before.kind is BlockKind.TABLE_ROW:
        return _ROWS
    in_list = after.kind is BlockKind.LIST_ITEM and before.kind in (BlockKind.LIST_ITEM, BlockKind.PARAGRAPH)
    if in_list or before.text.endswith(":"):  # a paragraph before a list most often announces it
        return _ITEMS + min(after.level, _DEEPEST)
    return _BLOCKS


def _start(block: Block) -> int:
    return block.location.start


def _cut_between_blocks(document: Document, start: int, window: Window) -> int | None:
    blocks = document.blocks
    first = max(1, bisect_left(blocks, window.first, key=_start))
    behind = bisect_right(blocks, window.last, key=_start)
    # What comes before the first block of the span would be a part without a block.
    inner = (index for index in range(first, behind) if blocks[index - 1].location.end > start)
    index = min(
        inner,
        key=lambda index: (_rank(blocks[index - 1], blocks[index]), abs(_start(blocks[index]) - window.wanted)),
        default=0,  # which has no edge
    )
    cut = edge(document, index)
    return cut if start < cut and _may_cut(document.text, cut) else None


def _cut_beside_row(document: Document, start: int, end: int, window: Window) -> int | None:
    """Before or else behind the row of a table in which the window begins."""
    blocks = document.blocks
    index = bisect_right(blocks, window.first, key=_start) - 1
    if index < 0 or blocks[index].kind not in _TABLE or blocks[index].location.end <= window.first:
        return None
    is_first = index > 0 and blocks[index - 1].kind is BlockKind.TABLE_HEADER  # a header alone says nothing
    edges = (edge(document, each) for each in range(index + is_first, index + 2))
    return next((cut for cut in edges if start < cut < end and _may_cut(document.text, cut)), None)


_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_BLANK_LINES: Final = re.compile(r"(?>\r\n|\r|\n)(?:[^\S\r\n]*+(?>\r\n|\r|\n))++")


def edge(document: Document, index: int) -> int:
    """Return where the text of a block begins, with the marks of its first line; 0 if it has no block before it.

    What stands between two blocks is white space and marks: those of a heading, an item or a fence belong to what
    follows them, those that underline a heading or close a fence do not.
    """
    if not 0 < index < len(document.blocks):
        return 0
    behind, block = document.blocks[index - 1].location.end, document.blocks[index]
    gap = document.text[behind : _start(block)]
    ends = [found.end() for found in _BLANK_LINES.finditer(gap)][-1:]
    if not ends:
        lines = [found.end() for found in _LINE_END.finditer(gap)]
        ends = lines[:1] if block.kind is BlockKind.CODE else lines[-1:]
    return behind + ends[0] if ends else _start(block)


# -- Inside a block

_WIDE_STOP: Final = re.compile("[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*")  # Chinese and Japanese
_JOINED: Final = re.compile(
    "\r\n|[\ud800-\udbff][\udc00-\udfff]"  # one line end, one character
    "|[\U0001f1e6-\U0001f1ff]{2}"  # a flag
    "|\u200d.|.[\u200d\u1160-\u11ff\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]",  # emoji in parts, Korean in letters
    re.DOTALL,
)
_INDENT: Final = 40
"""How far a line may be indented to count as one that begins with a sentence."""


def _cut_in_text(text: str, window: Window) -> int | None:
    near = Window(max(window.first, window.wanted - _REACH), window.wanted, min(window.last, window.wanted + _REACH))
    for find in (_blank_lines, _sentences_in_new_lines, _sentences, _lines, _words):
        cut = near.nearest(cut for cut in find(text, near) if _may_cut(text, cut))
        if cut is not None:
            return cut
    return near.nearest(cut for cut in range(near.first, near.last + 1) if _may_cut(text, cut))


def _may_cut(text: str, place: int) -> bool:
    """Whether no character goes on across a place, also one that is made of several code points."""
    around = text[place - 1 : place + 1]
    return not (_JOINED.fullmatch(around) or unicodedata.category(around[-1]).startswith("M"))


def _ends_of(pattern: re.Pattern[str], text: str, near: Window) -> Iterator[int]:
    return (found.end() for found in pattern.finditer(text, near.first, near.last))


_blank_lines = partial(_ends_of, _BLANK_LINES)
_lines = partial(_ends_of, _LINE_END)
_words = partial(_ends_of, re.compile(r"\s++"))


def _sentences(text: str, near: Window) -> Iterator[int]:
    """Where sentences begin, but for the first."""
    spans = sentences(text[near.first : near.last])
    yield from (near.first + start for start, _ in islice(spans, 1, None))
    yield from _ends_of(_WIDE_STOP, text, near)


def _sentences_in_new_lines(text: str, near: Window) -> Iterator[int]:
    return (cut for cut in _sentences(text, near) if text[cut - _INDENT : cut].rstrip(" \t").endswith(("\n", "\r")))
