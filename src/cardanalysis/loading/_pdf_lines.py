"""The lines of a PDF page, and the paragraphs, headings and list items that their places and sizes tell.

A PDF file places characters; that some lines are a paragraph is nowhere said. Lines belong together while they follow
each other as the wrapped lines of the same document do: at its usual distance, in one size, without an indent or the
short line that ends a paragraph. Nothing is reordered: the order is that in which the file draws its text.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from .._documents import BlockKind

MOST_LEVELS = 6

_USUAL_PITCH = 1.25  # from one line to the next, in font sizes, where a document does not tell
_LARGEST_PITCH = 2.5
_ITEM = re.compile(r"(?:[•·◦‣▪▫●○■□❖➢✓\u2013\u2014*\-o]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})\)|\d{1,3}\.)[ \t\xa0]+\S")
_NUMBERED = re.compile(r"(?:\d{1,3}(?:\.\d{1,3})*\.?|[A-Z]\.)\s+\S")
_LETTERS = re.compile(r"[^\W\d_]{2}")
_LEADERS = re.compile(r"(?:\. ?){4}|…{2}|_{4}")  # of a table of contents or a blank to fill in
# What bullets of symbol fonts come out as: private code points, or control characters of fonts that name nothing.
_SYMBOL = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x9f\ue000-\uf8ff][ \t\xa0]*(?=\\S)")
_CONTROL = re.compile("[\x01-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")
_ENDS = (".", "!", "?", ":", ";")


class Line(NamedTuple):
    """A line of a page as it is looked at: x to the right, y upwards, in points.

    Attributes:
        text: Its text, without white space around it.
        left: Where its first character begins.
        right: Where its last character ends.
        base: Where its first character stands.
        size: Of the font in its middle, where no bullet or footnote mark stands.
        bold: Whether it begins and ends in bold type.
    """

    text: str
    left: float
    right: float
    base: float
    size: float
    bold: bool = False


def line_text(text: str) -> str:
    """The text of a line, with a plain bullet for one of a symbol font at its beginning."""
    return _SYMBOL.sub("• ", text, count=1) if _SYMBOL.match(text) else text


class Piece(NamedTuple):
    """What becomes a block."""

    kind: BlockKind
    text: str
    level: int = 0


Outline = Mapping[tuple[int, str], int]
"""The level of each title in a document's outline, by its page, counted from 1, and its `title_key`."""


def title_key(title: str) -> str:
    """What is the same for a title in the outline and on its page: its letters and digits."""
    return "".join(filter(str.isalnum, title)).casefold()


class Layout:
    """How a document is set: the size of its text, the distance of its lines, the sizes of its headings.

    Args:
        pages: The lines of each page.
        outline: The titles of the document's outline.
    """

    def __init__(self, pages: Sequence[Sequence[Line]], outline: Outline) -> None:
        self._outline = outline
        self._body = _most_used((line.size, len(line.text)) for page in pages for line in page)
        self._pitches = _pitches(pages)
        self._levels = self._heading_levels(pages)
        self._lefts: list[float] = []  # of the list items that the next one may stand in

    def pieces(self, page: int, lines: Sequence[Line]) -> Iterator[Piece]:
        """Give what a page holds, in order.

        Args:
            page: Its number, counted from 1.
            lines: Its lines.
        """
        for group in self._groups(lines):
            text = _CONTROL.sub("\ufffd", "\n".join(line.text for line in group))
            level = self._level(page, group, text)
            if level:
                self._lefts.clear()
                yield Piece(BlockKind.HEADING, text, level)
            elif _ITEM.match(text):
                yield Piece(BlockKind.LIST_ITEM, text, self._item_level(group[0]))
            else:
                self._lefts.clear()
                yield Piece(BlockKind.PARAGRAPH, text)

    # -- Paragraphs

    def _groups(self, lines: Sequence[Line]) -> Iterator[list[Line]]:
        """Give the lines that belong together."""
        edges = _right_edges(lines)
        group: list[Line] = []
        for line in lines:
            if group and self._begins(group, line, edges[_column(group[-1])]):
                yield group
                group = []
            group.append(line)
        if group:
            yield group

    def _begins(self, group: list[Line], line: Line, edge: float) -> bool:
        """Whether a line begins a new paragraph behind the group of lines before it."""
        last = group[-1]
        pitch = (last.base - line.base) / last.size
        usual = self._pitches.get(round(last.size), self._pitches[0])
        if pitch < -0.8 and _goes_on(last, line):
            return False  # at the top of the next column
        if not -0.2 < pitch < usual * 1.25 or _differ(last.size, line.size):
            return True
        if last.bold != line.bold and (last.bold or len(line.text) < 60):
            return True
        if _ITEM.match(line.text) and (_ITEM.match(group[0].text) or not _wraps(last, line, edge)):
            return True
        return _is_indented(group, line, edge) or _ends_short(group, line, edge)

    # -- Headings and list items

    def _level(self, page: int, group: list[Line], text: str) -> int:
        """The level of a heading, 0 for anything else."""
        if len(group) > 3 or len(text) > 200:
            return 0
        told = self._outline.get((page, title_key(text)))
        if told:
            return told
        if not _LETTERS.search(text) or _LEADERS.search(text):
            return 0
        by_size = self._levels.get(_rounded(group[0].size), 0)
        if by_size or not self._is_bold_title(group, text):
            return by_size
        return min(MOST_LEVELS, max(self._levels.values(), default=0) + 1)

    def _is_bold_title(self, group: list[Line], text: str) -> bool:
        """Whether it is a bold line with a number, such as "2.1 Approval", of at least the size of the text."""
        whole = len(group) == 1 and group[0].bold and group[0].size >= self._body * 0.95
        return whole and _NUMBERED.match(text) is not None and not text.endswith(_ENDS)

    def _heading_levels(self, pages: Sequence[Sequence[Line]]) -> dict[float, int]:
        """The level of each size that is larger than that of the text, as the outline or else its rank tells."""
        larger = Counter(
            _rounded(line.size)
            for page in pages
            for line in page
            if line.size > self._body * 1.12 and _LETTERS.search(line.text)
        )
        levels = {size: min(MOST_LEVELS, 1 + rank) for rank, size in enumerate(sorted(larger, reverse=True))}
        told: defaultdict[float, Counter[int]] = defaultdict(Counter)
        for number, page in enumerate(pages if self._outline else (), 1):
            for line in page:
                level = self._outline.get((number, title_key(line.text)))
                if level:
                    told[_rounded(line.size)][level] += 1
        return levels | {size: told[size].most_common(1)[0][0] for size in levels if size in told}

    def _item_level(self, first: Line) -> int:
        lefts = self._lefts
        while lefts and first.left < lefts[-1] - 3:
            lefts.pop()
        if not lefts or first.left > lefts[-1] + 3:
            lefts.append(first.left)
        return len(lefts)


def _rounded(size: float) -> float:
    return round(size * 2) / 2


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > 0.12 * max(one, other)


def _most_used(sizes: Iterable[tuple[float, int]]) -> float:
    """The size of most characters."""
    counts: Counter[float] = Counter()
    for size, characters in sizes:
        counts[_rounded(size)] += characters
    return counts.most_common(1)[0][0] if counts else 0.0


def _column(line: Line) -> int:
    """What lines that begin at about the same place have in common."""
    return round(line.left / 8)


def _right_edges(lines: Sequence[Line]) -> dict[int, float]:
    """Where the longest line ends, for each place at which lines of a page begin."""
    longest: dict[int, float] = {}
    for line in lines:
        column = _column(line)
        longest[column] = max(longest.get(column, line.right), line.right)
    return {
        column: max(longest[near] for near in (column - 1, column, column + 1) if near in longest) for column in longest
    }


def _wraps(last: Line, line: Line, edge: float) -> bool:
    """Whether a line is so long that the first word of the next one had no place in it."""
    word = line.text.split(maxsplit=1)[0]
    width = (line.right - line.left) * (len(word) + 1) / len(line.text)
    return last.right + width > edge - 0.05 * (edge - last.left)


def _goes_on(last: Line, line: Line) -> bool:
    """Whether a line that stands further up, on the right, continues the last one of the column before it."""
    same = not _differ(last.size, line.size) and last.bold == line.bold
    return same and line.left > last.right and line.text[0].islower() and not last.text.endswith(_ENDS)


def _pitches(pages: Sequence[Sequence[Line]]) -> dict[int, float]:
    """The usual distance of wrapped lines, in font sizes, for each rounded font size, and at 0 for all."""
    found: defaultdict[int, Counter[float]] = defaultdict(Counter)
    for lines in pages:
        edges = _right_edges(lines)
        for last, line in pairwise(lines):
            pitch = (last.base - line.base) / last.size
            alike = not _differ(last.size, line.size) and abs(last.left - line.left) < last.size / 2
            if alike and 0.8 < pitch < _LARGEST_PITCH and _wraps(last, line, edges[_column(last)]):
                found[round(last.size)][round(pitch, 1)] += 1
                found[0][round(pitch, 1)] += 1
    usual = {size: pitches.most_common(1)[0] for size, pitches in found.items()}
    return {0: _USUAL_PITCH} | {size: pitch for size, (pitch, count) in usual.items() if count > 1}


def _is_indented(group: list[Line], line: Line, edge: float) -> bool:
    """Whether a line stands so far right or left of those before it that it begins a paragraph."""
    last = group[-1]
    if abs((last.left + last.right) - (line.left + line.right)) < last.size / 2:
        return False  # centred
    if _ITEM.match(group[0].text):
        return line.left < group[0].left - last.size / 2
    if len(group) == 1:
        return line.left > last.left + last.size * 0.8 and not _wraps(last, line, edge)  # else the others hang
    return abs(line.left - last.left) > last.size * 0.8


def _ends_short(group: list[Line], line: Line, edge: float) -> bool:
    """Whether the line before ends so early that its paragraph ends there."""
    last = group[-1]
    if _wraps(last, line, edge):
        return False
    is_item = _ITEM.match(group[0].text) is not None
    if is_item:
        return line.left < group[0].left + last.size / 4
    begins = line.text[0].isupper() or line.text[0].isdigit()
    return last.text.endswith(_ENDS) and begins and last.right < last.left + 0.75 * (edge - last.left)
