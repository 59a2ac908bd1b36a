"""Builds the text of a document whose file is no text itself, and the blocks in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .._documents import Block, BlockKind, Location, Media
from ._formats import Parsed, RowTally, Source

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_CLOSE = {BlockKind.TABLE_HEADER: 1, BlockKind.TABLE_ROW: 1, BlockKind.LIST_ITEM: 2}
"""Kinds of which neighbours stand in lines that follow each other, as one table or list."""


class BlockWriter:
    """Writes blocks one after the other into one text.

    Args:
        source: What is read. Its name is the document's in every location, and its limits on rows and cells hold.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._tally = RowTally(source)
        self.blocks: list[Block] = []
        self._pieces: list[str] = []
        self._length = 0
        self._last: int | None = None  # what the last block was, as far as it decides on the space behind it

    def label(self, text: str) -> None:
        """Write a line that tells where what follows stands, such as ``[Slide 4, hidden]``; it is no block."""
        self._write(f"{self._gap(None)}{_as_text(text)}\n")
        self._last = -1

    def add(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int = 0,
        values: Sequence[str] = (),
        columns: Sequence[str] = (),
        hidden: bool = False,
        media: Media | None = None,
        **place: Any,
    ) -> None:
        """Write a block, unless it is blank.

        Args:
            kind: What it is.
            text: Its text; white space around it is left out.
            level: Of a heading or list item.
            values: The cells of a table row or header.
            columns: For a table row, the header's name of each cell.
            hidden: Whether readers of the file do not see it.
            media: For an image, what to look at.
            place: Where it stands, as keywords of `Location`: ``page=2`` or ``sheet="Plan", cells="A3:F3"``.
        """
        text = _as_text(text).strip()
        if not text:
            return
        self._write(self._gap(_CLOSE.get(kind)))
        start = self._length
        self._write(text)
        self._last = _CLOSE.get(kind)
        self.source.check_blocks(len(self.blocks) + 1)
        location = Location(name=self.source.name, start=start, end=self._length, **place)
        self.blocks.append(
            Block(
                kind=kind,
                text=text,
                location=location,
                level=level,
                cells=tuple(map(_as_text, values)),
                columns=tuple(map(_as_text, columns)),
                hidden=hidden,
                media=media,
            )
        )

    def add_row(
        self, cells: Sequence[str], /, *, header: bool = False, columns: Sequence[str] = (), **place: Any
    ) -> None:
        """Write a row of a table as one line, its cells divided by ``" | "``.

        Raises:
            DocumentError: There are more rows or cells than the limits allow.
        """
        self._tally.add(len(cells))
        kind = BlockKind.TABLE_HEADER if header else BlockKind.TABLE_ROW
        line = " | ".join(" ".join(cell.split()) for cell in cells)
        if line.strip(" |"):
            self.add(kind, line, values=cells, columns=columns, **place)

    def parsed(self, notes: Sequence[str] = ()) -> Parsed:
        """All that was written."""
        return Parsed(text="".join(self._pieces), blocks=self.blocks, notes=tuple(notes))

    def _gap(self, close: int | None) -> str:
        if not self._pieces or self._last == -1:
            return ""
        return "\n" if close is not None and close == self._last else "\n\n"

    def _write(self, text: str) -> None:
        self._pieces.append(text)
        self._length += len(text)


def _as_text(text: str) -> str:
    """Text that can be stored and sent: NUL and halves of surrogate pairs are replaced by U+FFFD."""
    return text if text.isascii() and "\0" not in text else _NO_TEXT.sub("\ufffd", text)
