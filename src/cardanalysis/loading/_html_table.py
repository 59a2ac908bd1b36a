"""Tables of HTML: rows of cells as they come, with cells that span columns and rows told once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from ._lines import columns_of
from ._writing import BlockWriter

__all__ = ["Cell", "Table"]

_MOST_COLUMNS, _MOST_ROWS = 1_000, 65_534
"""What a cell may span at most; browsers take larger numbers for these (HTML, 4.9.11)."""


@define
class Cell:
    """A cell.

    Attributes:
        columns: How many columns it spans.
        rows: How many rows it spans; 0 is all that follow in its part of the table.
        heads: Whether it is a header cell.
        text: What is in it, in pieces.
    """

    columns: int
    rows: int
    heads: bool
    text: list[str] = field(factory=list[str])

    @classmethod
    def of(cls, tag: str, attributes: Mapping[str, str | None]) -> Cell:
        """Make one of a td or th element."""
        columns = _number(attributes.get("colspan"), _MOST_COLUMNS) or 1
        rows = attributes.get("rowspan")
        return cls(columns, 1 if rows is None else _number(rows, _MOST_ROWS), heads=tag == "th")


def _number(text: str | None, most: int) -> int:
    """A number as HTML reads it; what is none counts as 1."""
    digits = (text or "").strip()
    return min(int(digits[:9]), most) if digits[:9].isascii() and digits[:9].isdigit() else 1


@define
class _Row:
    """A row on the grid: its texts, each told once, and beside them the names that a column gets by it."""

    texts: list[str] = field(factory=list[str])
    names: list[str] = field(factory=list[str])

    def put(self, text: str, name: str) -> None:
        self.texts.append(text)
        self.names.append(name)


@define
class Table:
    """Writes the rows of one table as they end.

    Attributes:
        cells: Those of the row that is being read.
    """

    writer: BlockWriter
    cells: list[Cell] = field(factory=list[Cell])
    _above: dict[int, tuple[int, str]] = field(
        factory=dict[int, tuple[int, str]]
    )  # by column: rows that a cell still spans, and its text
    _header: tuple[str, ...] = ()
    _begun: bool = False  # whether a row of data was written
    _first: tuple[_Row, dict[str, Any]] | None = None  # held back, as the next one tells whether it names columns

    def end_row(self, *, in_head: bool, **place: Any) -> None:
        """Write the row, or hold it back until the next one tells whether it is a header."""
        heads = in_head or (bool(self.cells) and all(cell.heads for cell in self.cells))
        marked = heads or any(cell.heads for cell in self.cells)
        row = self._on_grid()
        self.cells = []
        if not any(row.texts):
            return
        first, self._first = self._first, None
        if first is not None:
            self._write_first(*first, row)
        if heads and not self._begun:
            self._write_header(row, place)
        elif self._begun or self._header or marked:
            self._write_row(row, place)
        else:
            self._first = row, place

    def end_part(self) -> None:
        """End a part of the table, such as its head: no cell spans beyond it."""
        self._above.clear()

    def end(self) -> None:
        """Write what was held back."""
        if self._first is not None:
            row, place = self._first
            self._write_row(row, place)
            self._first = None

    def _on_grid(self) -> _Row:
        """Give each cell its column, beside those that span from above."""
        row = _Row()
        for cell in self.cells:
            self._skip(row)
            text = "".join(cell.text)
            for number in range(cell.columns):
                if cell.rows != 1:
                    self._above[len(row.texts)] = (cell.rows - 1, text)
                row.put(text if number == 0 else "", text)
                self._check(row)
        self._skip(row)
        return row

    def _skip(self, row: _Row) -> None:
        while (above := self._above.get(len(row.texts))) is not None:
            column, (rows, text) = len(row.texts), above
            if rows == 1:
                del self._above[column]
            else:
                self._above[column] = (rows - 1, text)
            row.put("", text)
            self._check(row)

    def _check(self, row: _Row) -> None:
        most = self.writer.source.limits.cells
        if len(row.texts) > most:
            raise self.writer.source.too_large(f"it has more than {most:,} cells", "cells")

    def _write_first(self, row: _Row, place: dict[str, Any], second: _Row) -> None:
        if _names_columns(row.texts, second.texts):
            self._write_header(row, place)
        else:
            self._write_row(row, place)

    def _write_header(self, row: _Row, place: dict[str, Any]) -> None:
        """Write a row of names; one below another adds to the names above it."""
        width = max(len(self._header), len(row.names))
        above = (*self._header, *("" for _ in range(width - len(self._header))))
        below = (*row.names, *("" for _ in range(width - len(row.names))))
        self._header = tuple(" ".join(dict.fromkeys(filter(None, pair))) for pair in zip(above, below, strict=True))
        self.writer.add_row(row.texts, header=True, **place)

    def _write_row(self, row: _Row, place: dict[str, Any]) -> None:
        self._begun = True
        self.writer.add_row(row.texts, columns=columns_of(row.texts, self._header), **place)


def _names_columns(first: list[str], second: list[str]) -> bool:
    """Whether a first row that is not marked as one is a header: each column has a name that is no number."""
    if len(first) < 2 or len(second) != len(first) or len(set(first)) < len(first):
        return False
    return all(any(map(str.isalpha, name)) and len(name) < 100 for name in first)
