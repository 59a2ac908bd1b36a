"""A document as the outline rules see it: its text, the same without markup, and exact evidence for every span."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator

from attrs import evolve, frozen

from .._documents import Block, Document
from .._models import Evidence
from ._outline_text import Span, mask, plain

__all__ = ["Passage", "Source"]

_LINE_END = re.compile(r"\r\n|\n|\r")


class Source:
    """A document's text with what is needed to cut evidence out of it.

    Attributes:
        document: The document.
        text: Its text.
        masked: The same with spaces in the place of markup; every offset is the same.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        self.masked = mask(document.text)
        self._line_ends = [found.end() for found in _LINE_END.finditer(document.text)]

    def lines(self, start: int, end: int) -> Iterator[Span]:
        """Yield the span of each line between two offsets, without its line break."""
        for found in _LINE_END.finditer(self.text, start, end):
            yield start, found.start()
            start = found.end()
        yield start, end

    def span_of(self, block: Block) -> Span:
        """The block's span, kept inside the text whatever its location says."""
        end = min(block.location.end, len(self.text))
        return min(block.location.start, end), end

    def passage(self, block: Block, start: int, end: int) -> Passage:
        """A piece of the document."""
        return Passage(block=block, text=self.text[start:end], masked=self.masked[start:end], offset=start)

    def evidence(self, block: Block, start: int, end: int) -> Evidence:
        """The exact quote between two offsets, with emphasis marks that stand right at its ends.

        It is empty where a block claims to stand outside the text.
        """
        end = min(end, len(self.text))
        start = min(start, end)
        while start > 0 and self._is_markup(start - 1):
            start -= 1
        while end < len(self.text) and self._is_markup(end):
            end += 1
        location = evolve(block.location, start=start, end=end)
        if block.location.line is not None:
            first = block.location.line + self._breaks(block.location.start, start)
            location = evolve(location, line=first, end_line=first + self._breaks(start, end))
        return Evidence(quote=self.text[start:end], location=location)

    def _is_markup(self, at: int) -> bool:
        return self.text[at] in "*_`" and self.masked[at] == " "

    def _breaks(self, start: int, end: int) -> int:
        """Count the line breaks between two offsets; negative if `end` comes first."""
        return bisect_left(self._line_ends, end + 1) - bisect_left(self._line_ends, start + 1)


@frozen(kw_only=True)
class Passage:
    """A piece of text that the rules read: part of the document, or the value of a table's cell.

    Attributes:
        block: Where it comes from.
        text: As it stands there.
        masked: The same length, without markup.
        offset: Where it begins in the document; None for a cell, whose value may be written with escapes there.
    """

    block: Block
    text: str
    masked: str
    offset: int | None = None

    @classmethod
    def of_cell(cls, block: Block, value: str) -> Passage:
        """The value of a cell."""
        return cls(block=block, text=value, masked=mask(value))

    def place(self, span: Span | None = None) -> Span:
        """Where a part, or all of it, stands in the document; of a cell it is the whole row."""
        if self.offset is None:
            return self.block.location.start, self.block.location.end
        start, end = span or (0, len(self.text))
        return self.offset + start, self.offset + end

    def plain(self, span: Span | None = None) -> str:
        """A part, or all of it, without markup and with collapsed white space."""
        return plain(self.text if span is None else self.text[slice(*span)])
