"""The lines of a text with their offsets, and what the parsers that go line by line have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attrs import define

from .._documents import Block, BlockKind, Location
from ._formats import Source

LINE_END = re.compile(r"\r\n|\r|\n")


class Line(NamedTuple):
    """One line, or a part of one.

    Attributes:
        number: Counted from 1.
        start: Offset of its first character in the document.
        text: Without the line end.
        indent: How many characters of white space it begins with.
    """

    number: int
    start: int
    text: str
    indent: int

    @property
    def blank(self) -> bool:
        """Whether it is nothing but white space."""
        return self.indent == len(self.text)

    @property
    def first(self) -> int:
        """Offset of the first character that is not white space."""
        return self.start + self.indent

    @property
    def last(self) -> int:
        """Offset behind the last character that is not white space."""
        return self.start + len(self.text.rstrip())

    @property
    def column(self) -> int:
        """How many columns it is indented by, where tabs reach to multiples of 4."""
        return len(self.text[: self.indent].expandtabs(4))

    @property
    def body(self) -> str:
        """The text without white space around it."""
        return self.text.strip()

    def cut(self, start: int, stop: int | None = None) -> Line:
        """The part between two places in its text."""
        return _line(self.number, self.start + start, self.text[start:stop])


def _line(number: int, start: int, text: str) -> Line:
    return Line(number, start, text, len(text) - len(text.lstrip()))


def lines(text: str) -> Iterator[Line]:
    r"""Go through the lines of a text; they end with ``\n``, ``\r\n`` or a lone ``\r``."""
    start = 0
    number = 1
    for end in LINE_END.finditer(text):
        yield _line(number, start, text[start : end.start()])
        start = end.end()
        number += 1
    if start < len(text):
        yield _line(number, start, text[start:])


def is_rule(body: str, marks: str) -> bool:
    """Tell whether a line is a rule: three or more of one mark, perhaps with spaces between."""
    if body[0] not in marks:
        return False
    packed = body.replace(" ", "").replace("\t", "")
    return len(packed) > 2 and not packed.strip(body[0])


def columns_of(cells: Sequence[str], header: tuple[str, ...]) -> tuple[str, ...]:
    """The header's name of each cell, empty for cells beyond it; nothing without a header."""
    return header[: len(cells)] + ("",) * (len(cells) - len(header)) if header else ()


def is_number(cell: str) -> bool:
    """Tell whether a cell holds a number, date, time, share or sum: digits and no letters."""
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


@define
class OpenBlock:
    """A block whose end is not known yet.

    Attributes:
        kind: What it is, so far.
        level: Of a heading or list item.
        start: Offset of its first character.
        first: Its first line.
        last: Its last line so far.
        before: Its last line but one.
    """

    kind: BlockKind
    level: int
    start: int
    first: Line
    last: Line
    before: Line | None = None


class LineParser:
    """Makes blocks from lines, of which at most one is open. A format says in `read` what a line means.

    Lines are not kept, so that a text of a million lines takes no more memory than its blocks.
    """

    def __init__(self, source: Source, text: str) -> None:
        self._source = source
        self.text = text
        self.blocks: list[Block] = []
        self.open: OpenBlock | None = None
        self._columns_of_items: list[int] = []

    def parse(self) -> list[Block]:
        """Go through the text."""
        for line in lines(self.text):
            self.read(line)
        self.close()
        return self.blocks

    def read(self, line: Line) -> None:
        """Take one line."""
        raise NotImplementedError

    def begin(self, kind: BlockKind, line: Line, *, level: int = 0, start: int | None = None) -> None:
        """Open a block with a line that is not blank, at its first character or at another offset."""
        self.close()
        self.open = OpenBlock(kind, level, line.first if start is None else start, line, line)

    def extend(self, block: OpenBlock, line: Line) -> None:
        """Let the open block reach to a line that is not blank."""
        block.before, block.last = block.last, line

    def close(self) -> None:
        """End the open block, if there is one."""
        block, self.open = self.open, None
        if block is not None:
            self.add(block.kind, block.start, block.last.last, block.first, block.last, level=block.level)

    def add(
        self,
        kind: BlockKind,
        start: int,
        end: int,
        first: Line,
        last: Line,
        *,
        level: int = 0,
        cells: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        """Add a finished block, unless it is empty."""
        if start < end:
            place = Location(name=self._source.name, start=start, end=end, line=first.number, end_line=last.number)
            text = self.text[start:end]
            self._source.check_blocks(len(self.blocks) + 1)
            self.blocks.append(
                Block(kind=kind, text=text, location=place, level=level, cells=tuple(cells), columns=tuple(columns))
            )

    def begin_paragraph(self, line: Line) -> None:
        """Open a paragraph; one that is not indented ends the list before it."""
        self.begin(BlockKind.PARAGRAPH, line)
        if line.indent == 0:
            self.end_list()

    def end_list(self) -> None:
        """Let the next list item be one of the highest level."""
        self._columns_of_items.clear()

    def level_of_item(self, line: Line) -> int:
        """The level of a list item by its indentation: two columns more than the item above are one level deeper."""
        columns = self._columns_of_items
        while columns and line.column < columns[-1]:
            columns.pop()
        if not columns or line.column >= columns[-1] + 2:
            columns.append(line.column)
        return len(columns)
