"""The records of delimited text with their offsets; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ._lines import LINE_END


class UnclosedQuote(Exception):
    """A quoted cell does not end before the text does.

    Args:
        line: The line, counted from 1, where its quote was opened.
    """

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Record(NamedTuple):
    """One record.

    Attributes:
        start: Offset of its first character.
        end: Offset behind its last one, without the line end.
        line: Its first line, counted from 1.
        end_line: Its last line; another one if a quoted cell holds line ends.
        cells: Its values, without quotes.
    """

    start: int
    end: int
    line: int
    end_line: int
    cells: list[str]

    @property
    def empty(self) -> bool:
        """Whether no cell holds more than white space."""
        return not any(map(str.strip, self.cells))


def records(text: str, delimiter: str, start: int = 0, line: int = 1) -> Iterator[Record]:
    """Go through the records of a text, blank ones included.

    A quote opens a quoted cell only as the cell's first character; within it, two quotes stand for one.

    Args:
        text: The text.
        delimiter: What stands between cells, one character.
        start: Where to begin.
        line: The number of the line that begins there.

    Raises:
        UnclosedQuote: A quoted cell does not end.
    """
    stop = re.compile(rf"{re.escape(delimiter)}|\r\n|\r|\n")
    while start < len(text):
        found = LINE_END.search(text, start)
        end = found.start() if found else len(text)
        end_line = line
        if text.find('"', start, end) < 0:
            cells = text[start:end].split(delimiter)
        else:
            cells, end = _quoted_cells(text, start, stop, line)
            end_line += len(LINE_END.findall(text, start, end))
            found = LINE_END.match(text, end)
        yield Record(start, end, line, end_line, cells)
        start = found.end() if found else len(text)
        line = end_line + 1


def _quoted_cells(text: str, start: int, stop: re.Pattern[str], line: int) -> tuple[list[str], int]:
    """Read the cells of a record that has quotes, and where it ends."""
    cells: list[str] = []
    at = start
    while True:
        value = ""
        if text.startswith('"', at):
            closing = _closing_quote(text, at)
            if closing < 0:
                raise UnclosedQuote(line + len(LINE_END.findall(text, start, at)))
            value = text[at + 1 : closing].replace('""', '"')
            at = closing + 1
        found = stop.search(text, at)
        end = found.start() if found else len(text)
        cells.append(value + text[at:end])
        if found is None or found[0] in ("\r\n", "\r", "\n"):
            return cells, end
        at = found.end()


def _closing_quote(text: str, opening: int) -> int:
    """Offset of the quote that closes the one at `opening`, or -1."""
    closing = text.find('"', opening + 1)
    while closing >= 0 and text.startswith('"', closing + 1):
        closing = text.find('"', closing + 2)
    return closing
