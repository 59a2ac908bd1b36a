"""Reads the rows of one sheet as a stream: what memory it takes does not depend on how many there are.

The XML is that of ECMA-376 part 1, 18.3. A sheet's declared dimension is not believed, and no cell is made that is not
written: a sheet may use two cells a million rows apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, NamedTuple
from xml.parsers.expat import ParserCreate

from attrs import Factory, define

from ._formats import Source
from ._number_formats import Show, general

ROWS, COLUMNS = 1_048_576, 16_384
"""How far a sheet reaches."""

_CHUNK = 1 << 16
_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TRUE = frozenset(("1", "true", "on"))
_LETTERS = 26


class Row(NamedTuple):
    """One row with at least one used cell.

    Attributes:
        number: Counted from 1.
        hidden: Whether the sheet does not show it.
        cells: What is shown in each used cell, by its column, counted from 1; in the order of the columns.
        words: Whether all of them hold text.
    """

    number: int
    hidden: bool
    cells: Mapping[int, str]
    words: bool


@define
class Found:
    """What reading a sheet finds besides its rows.

    Attributes:
        hidden_columns: First and last columns that are not shown.
        hidden_rows: How many rows with used cells are not shown.
        formulas: How many formulas have no stored result.
    """

    hidden_columns: list[tuple[int, int]] = Factory(list[tuple[int, int]])
    hidden_rows: int = 0
    formulas: int = 0


@define
class Book:
    """What cells refer to.

    Attributes:
        strings: The strings that cells share.
        styles: For each style, how it shows numbers.
    """

    strings: Sequence[str]
    styles: Sequence[Show]


class SheetReader:
    """Reads the rows of one sheet.

    Args:
        source: The file, for errors.
        book: What its cells refer to.
    """

    def __init__(self, source: Source, book: Book) -> None:
        self.found = Found()
        self._source = source
        self._book = book
        self._rows: list[Row] = []
        self._number = 0
        self._column = 0
        self._hidden = False
        self._cells: dict[int, str] = {}
        self._words = True
        self._sorted = True
        self._type = ""
        self._style = 0
        self._value: list[str] = []
        self._stored = False
        self._formula: list[str] | None = None
        self._into: list[str] | None = None  # where text goes that comes next
        self._phonetic = False
        self._starts = {
            "row": self._start_row,
            "c": self._start_cell,
            "v": self._start_text,
            "t": self._start_text,
            "f": self._start_formula,
            "rPh": self._start_phonetic,
            "col": self._start_columns,
        }
        self._ends = {
            "row": self._end_row,
            "c": self._end_cell,
            "v": self._end_text,
            "t": self._end_text,
            "f": self._end_text,
            "rPh": self._end_phonetic,
        }

    def rows(self, part: IO[bytes]) -> Iterator[Row]:
        """Read all rows that have a used cell, in the order of the file.

        Raises:
            DocumentError: A row or cell stands outside of what a sheet can be.
            xml.parsers.expat.ExpatError: It is no XML.
        """
        parser = ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        ended = False
        while not ended:
            chunk = part.read(_CHUNK)
            ended = not chunk
            parser.Parse(chunk, ended)  # the end may also bring rows that were put off
            yield from self._rows
            self._rows.clear()

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        handle = self._starts.get(name) or self._starts.get(name.rpartition(":")[2])
        if handle is not None:
            handle(attributes)

    def _on_end(self, name: str) -> None:
        handle = self._ends.get(name) or self._ends.get(name.rpartition(":")[2])
        if handle is not None:
            handle()

    def _on_text(self, text: str) -> None:
        if self._into is not None:
            self._into.append(text)

    def _start_columns(self, attributes: dict[str, str]) -> None:
        if attributes.get("hidden") in _TRUE:
            first, last = attributes.get("min", ""), attributes.get("max", "")
            if first.isdecimal() and last.isdecimal() and len(self.found.hidden_columns) < COLUMNS:
                self.found.hidden_columns.append((int(first), min(int(last), COLUMNS)))

    def _start_row(self, attributes: dict[str, str]) -> None:
        number = attributes.get("r")
        self._number = self._number + 1 if number is None else self._counted(number)
        if not 1 <= self._number <= ROWS:
            raise self._source.malformed("a row of it stands outside of any sheet")
        self._hidden = attributes.get("hidden") in _TRUE
        self._column = 0
        self._cells = {}
        self._words = self._sorted = True

    def _counted(self, number: str) -> int:
        return int(number) if number.isdecimal() and len(number) <= len(str(ROWS)) else 0

    def _end_row(self) -> None:
        if self._cells:
            cells = self._cells if self._sorted else dict(sorted(self._cells.items()))
            self._rows.append(Row(self._number, self._hidden, cells, self._words))
            self.found.hidden_rows += self._hidden

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = attributes.get("r")
        column = self._column + 1 if reference is None else column_of(reference)
        if not 1 <= column <= COLUMNS:
            raise self._source.malformed("a cell of it stands outside of any sheet")
        self._sorted = self._sorted and column > self._column
        self._column = column
        self._type = attributes.get("t", "n")
        style = attributes.get("s")
        self._style = int(style) if style is not None and style.isdecimal() else 0
        self._value = []
        self._stored = False
        self._formula = None

    def _start_text(self, _: dict[str, str]) -> None:
        self._stored = True
        self._into = None if self._phonetic else self._value

    def _start_formula(self, _: dict[str, str]) -> None:
        self._into = self._formula = []

    def _end_text(self) -> None:
        self._into = None

    def _start_phonetic(self, _: dict[str, str]) -> None:
        self._phonetic = True

    def _end_phonetic(self) -> None:
        self._phonetic = False

    def _end_cell(self) -> None:
        value = "".join(self._value)
        shown = self._shown(value)
        if self._formula is not None and not value and not (self._stored and self._type == "str"):
            self.found.formulas += 1
            formula = "".join(self._formula)
            shown = f"={formula}" if formula else ""
        if shown and not shown.isspace():
            self._cells[self._column] = shown

    def _shown(self, value: str) -> str:
        kind = self._type
        if kind == "s":
            return self._shared(value)
        if kind == "n":
            self._words = self._words and not value
            return self._number_shown(value)
        if kind == "b":
            self._words = False
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        if kind == "d":
            self._words = False
            return value.replace("T", " ").removesuffix(" 00:00:00")
        return unescaped(value)

    def _shared(self, value: str) -> str:
        try:
            return self._book.strings[int(value)] if value else ""
        except (ValueError, IndexError):
            raise self._source.malformed("a cell of it refers to a text that is not there") from None

    def _number_shown(self, value: str) -> str:
        styles = self._book.styles
        show = styles[self._style] if self._style < len(styles) else general
        if show is general and value.isdecimal():
            return value
        try:
            return show(float(value))
        except ValueError:
            return value


def column_of(reference: str) -> int:
    """The column of a cell such as ``B3``, counted from 1; 0 if it is none."""
    column = 0
    for letter in reference:
        if not "A" <= letter <= "Z":
            return column if column <= COLUMNS else 0
        column = column * _LETTERS + ord(letter) - 64
        if column > COLUMNS:
            return 0
    return 0


def letters_of(column: int) -> str:
    """The letters of a column that is counted from 1."""
    letters = ""
    while column:
        column, rest = divmod(column - 1, _LETTERS)
        letters = chr(65 + rest) + letters
    return letters


def place_of(reference: str) -> tuple[int, int]:
    """Row and column of a cell such as ``B3``, counted from 1; zeros if it is none."""
    found = _REFERENCE.fullmatch(reference)
    return (int(found[2]), column_of(found[1] + "1")) if found else (0, 0)


def range_of(row: int, first: int, last: int) -> str:
    """Cells of one row as people write them: ``A3:F3``, or ``A3``."""
    start = f"{letters_of(first)}{row}"
    return start if first == last else f"{start}:{letters_of(last)}{row}"


def unescaped(text: str) -> str:
    """Text with the characters that XML cannot hold, which are written as ``_x000D_``."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text).replace("\r\n", "\n").replace("\r", "\n")
