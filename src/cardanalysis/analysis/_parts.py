"""The parts of a document that is too long to be read at once. Pure.

Each is cut where the document is loosest (see `_cuts`). Together they are the document, letter by letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import ceil, floor
from typing import Final, NamedTuple

from attrs import evolve, field, frozen

from .._documents import Block, BlockKind, Document
from ._cuts import Window, best_cut, edge
from ._estimates import TOKENS_A_PICTURE
from ._media import MOST_BYTES, MOST_PICTURES, pictures_in

__all__ = ["Part", "halves", "joined", "place_of", "split_to", "whole"]

SHORTEST: Final = 200
"""Characters below which a part is not cut: two or three sentences. The instructions are longer by far then, so that
cutting saves nothing more, and it would tear a need from its reason."""


@frozen(kw_only=True)
class Part:
    """A span of a document's text, and what a reader must know from the text before it.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last one.
        headings: The headings that it stands under, the highest first; not one that it begins with. Each is one line,
            shortened if it is very long.
        table_header: The row that names the columns, if it begins with a row of a table that has one; shortened if it
            is very long.
        before: The end of the text before it, if it begins in the middle of a paragraph or the like: there the document
            has no seam, and its first sentence may need what comes before. It is no part of the part.
    """

    start: int
    end: int
    headings: tuple[str, ...] = field(default=(), repr=False)
    table_header: str = field(default="", repr=False)
    before: str = field(default="", repr=False)

    def text_of(self, document: Document) -> str:
        """Return its text."""
        return document.text[self.start : self.end]


def whole(document: Document) -> Part:
    """Return all of a document as one part."""
    return Part(start=0, end=len(document.text))


def joined(parts: Iterable[Part]) -> list[Part]:
    """Parts of which those that follow each other are one; they come in order."""
    spans: list[Part] = []
    for part in parts:
        if spans and spans[-1].end == part.start:
            spans[-1] = evolve(spans[-1], end=part.end)
        else:
            spans.append(part)
    return spans


def place_of(document: Document, part: Part) -> str:
    """Where a part stands, for people: from where its first block stands to where its last one does."""
    inside = [block.location for block in document.blocks if part.start <= block.location.start < part.end]
    characters = f"characters {part.start:,} to {part.end:,}"
    if not inside:
        return characters
    first, last = (str(place).removeprefix(f"{place.name}, ") for place in (inside[0], inside[-1]))
    return f"{first if first == last else f'{first} to {last}'} ({characters})"


def halves(document: Document, part: Part) -> tuple[Part, Part] | None:
    """Cut a part in two, of which each is a quarter of it at least, unless a long row of a table is in the way.

    Returns:
        The two, or None if it is too short to be cut.
    """
    cut = _cut_between_pictures(document, part)
    if cut is not None:
        first, second = _parts(document, [part.start, cut, part.end])
        return first, second
    length = part.end - part.start
    if length < SHORTEST:
        return None
    window = Window(part.start + length // 4, part.start + length // 2, part.end - length // 4)
    cut = best_cut(document, part.start, part.end, window)
    if cut is None:
        return None
    first, second = _parts(document, [part.start, cut, part.end])
    return first, second


def split_to(document: Document, most: int, size: Callable[[str], int]) -> list[Part]:
    """Cut a document into parts that fit, of much the same length, and hardly more of them than needed.

    Args:
        document: What to cut.
        most: The largest size of a part, at least 1.
        size: Measures a text, such as in tokens. It is asked about the whole text and about each part of it.

    Returns:
        The parts in order. One that is too short to be cut may be larger; one from a long blank stretch may be blank.
    """
    bounds = [0]
    for end in _spans(document, most, size):
        bounds += [*_cuts(document, bounds[-1], end, most, size), end]
    return _parts(document, bounds)


def _spans(document: Document, most: int, size: Callable[[str], int]) -> Iterator[int]:
    """Yield the ends of spans that hold no more pictures than a request may, each beginning where the last one ends.

    What is only text is one span; it is cut as if its size were spread evenly, which that of pictures is not.
    """
    start, load = 0, _Load()
    for index, block in enumerate(document.blocks if any(pictures_in(document, 0, len(document.text))) else ()):
        more = load.with_block(block, size(block.text))
        has_pictures = load.pictures or block.media is not None
        if has_pictures and more.is_beyond(most) and (cut := edge(document, index)) > start:
            yield cut
            start, more = cut, _Load().with_block(block, size(block.text))
        load = more
    yield len(document.text)


class _Load(NamedTuple):
    """What a request would hold."""

    tokens: int = 0
    pictures: int = 0
    picture_bytes: int = 0

    def with_block(self, block: Block, tokens: int) -> _Load:
        if block.media is None:
            return self._replace(tokens=self.tokens + tokens)
        tokens += TOKENS_A_PICTURE
        return _Load(self.tokens + tokens, self.pictures + 1, self.picture_bytes + len(block.media.data))

    def is_beyond(self, most_tokens: int) -> bool:
        return self.tokens > most_tokens or self.pictures > MOST_PICTURES or self.picture_bytes > MOST_BYTES


def _cut_between_pictures(document: Document, part: Part) -> int | None:
    """Where to cut a part in two that has more than one picture, which weigh more than its text does."""
    pictures = list(pictures_in(document, part.start, part.end))
    if len(pictures) < 2:
        return None
    cut = edge(document, document.blocks.index(pictures[len(pictures) // 2]))
    return cut if part.start < cut < part.end else None


def _cuts(document: Document, start: int, end: int, most: int, size: Callable[[str], int]) -> Iterator[int]:
    """Yield where to cut a span: as if its size were spread evenly, then again what is still too large."""
    need = size(document.text[start:end]) / most
    if need <= 1 or end - start < SHORTEST:
        return
    even = list(_even_cuts(document, start, end, (end - start) / need))
    for begin, stop in pairwise([start, *even, end] if even else []):
        yield from _cuts(document, begin, stop, most, size)
        if stop < end:
            yield stop


def _even_cuts(document: Document, start: int, end: int, room: float) -> Iterator[int]:
    """Yield where to cut a span into pieces of about the same length, none longer than there is room for."""
    room = max(room, SHORTEST / 2)  # what is shorter cannot be cut anyway
    count = ceil(_SLACK * (end - start) / room)
    while end - start > room:
        need = (end - start) / room
        count = max(2, ceil(need), min(count, ceil(_SLACK * need)))
        cut = best_cut(document, start, end, _window(start, end, count, room))
        if cut is None:
            return
        yield cut
        start, count = cut, count - 1


_SLACK: Final = 1.1
"""How many more pieces than needed, so that there is a choice where to cut."""


def _window(start: int, end: int, count: int, room: float) -> Window:
    """Where the first of some pieces may end, so that it fits and the others will, with a choice left for them too."""
    length = end - start
    even = length / count
    last = max(1, floor(min(1.3 * even, room)))
    first = min(last, ceil(max(0.7 * even, length - 0.95 * room * (count - 1))))
    return Window(start + first, start + min(last, max(first, round(even))), start + last)


def _parts(document: Document, bounds: Sequence[int]) -> list[Part]:
    """The parts between some places, which are given in order."""
    reader = _Reader(document)
    return [reader.part(start, end) for start, end in pairwise(bounds)]


class _Reader:
    """Goes through blocks and keeps in mind what a reader would: the headings above, and the header of the table."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._blocks = document.blocks
        self._read = 0
        self._above: list[Block] = []
        self._header: Block | None = None

    def part(self, start: int, end: int) -> Part:
        """Make a part that begins where the last one ended, or behind that."""
        block = self._go_to(start)
        above, header = self._above, ""
        if block is not None and block.kind is BlockKind.HEADING and block.location.start >= start:
            above = _higher(above, block.level)
        if block is not None and block.kind is BlockKind.TABLE_ROW and block.columns and self._header is not None:
            header = _shortened(self._header.text, _LONGEST_HEADER)
        headings = tuple(_line(each.text) for each in above)
        return Part(start=start, end=end, headings=headings, table_header=header, before=self._before(block, start))

    def _before(self, block: Block | None, start: int) -> str:
        """What stands before a place within a block; of a row of a table its header tells more."""
        if block is None or block.kind is BlockKind.TABLE_ROW or block.location.start >= start:
            return ""
        begin = max(block.location.start, start - _OVERLAP)
        words = self._text[begin:start]
        return words if begin == block.location.start else words.partition(" ")[2]  # not from within a word

    def _go_to(self, place: int) -> Block | None:
        """Read all blocks that begin before a place; return the one that goes on across it, else the next."""
        while self._read < len(self._blocks) and self._blocks[self._read].location.start < place:
            self._take(self._blocks[self._read])
            self._read += 1
        around = self._blocks[max(0, self._read - 1) : self._read + 1]
        return next((block for block in around if block.location.end > place), None)

    def _take(self, block: Block) -> None:
        if block.kind is BlockKind.HEADING:
            self._above = [*_higher(self._above, block.level), block]
        if block.kind is not BlockKind.TABLE_ROW:
            self._header = block if block.kind is BlockKind.TABLE_HEADER else None


def _higher(headings: Iterable[Block], level: int) -> list[Block]:
    return [heading for heading in headings if heading.level < level]


_OVERLAP: Final = 400
"""Characters of what comes before a part that begins within a paragraph: some three sentences."""
_LONGEST_HEADING: Final = 200
_LONGEST_HEADER: Final = 2_000


def _line(text: str) -> str:
    return " ".join(_shortened(text, _LONGEST_HEADING).split())


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"
