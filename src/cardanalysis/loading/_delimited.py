"""CSV and TSV: one block a record, with the exact slice of the text that it was read from.

Records are read as the standard library's ``csv`` reads them, but with offsets, and with cells of any size.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

from .._documents import Block, BlockKind, Location
from .._errors import DocumentError
from ._decoding import decode
from ._delimiters import detect
from ._formats import Format, Parsed, RowTally, Source
from ._lines import columns_of, is_number
from ._records import Record, UnclosedQuote, records

# Excel's way to name the delimiter in the first line.
_NAMED = re.compile(r'"?sep=([^"\r\n])"?(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_NO_HEADER = "It has no header: the first row does not read like one, so it was taken as data."


def _parse(source: Source, usual: str) -> Parsed:
    decoded = decode(source)
    try:
        blocks, notes = _read(source, decoded.text, usual)
    except UnclosedQuote as error:
        raise DocumentError(
            source.name,
            f"a quoted cell that begins in line {error.line} does not end",
            "Close the quote, or put the cell into quotes and double the quote if it belongs to the text.",
            code="malformed",
        ) from None
    return Parsed(text=decoded.text, blocks=blocks, notes=decoded.notes + notes)


def _read(source: Source, text: str, usual: str) -> tuple[list[Block], tuple[str, ...]]:
    name, tally = source.name, RowTally(source)
    rows = (each for each in _records(text, usual) if not each.empty and tally.add(len(each.cells)))
    first, second = next(rows, None), next(rows, None)
    if first is None:
        return [], ()
    if not _is_header(first, second):
        begun = [first] if second is None else [first, second]
        return list(_rows(name, text, chain(begun, rows), ())), (_NO_HEADER,)
    if second is None:
        raise DocumentError(name, "it has a header and no rows", "Check that all of it was exported.", code="empty")
    head = _block(name, text, BlockKind.TABLE_HEADER, first, ())
    return [head, *_rows(name, text, chain([second], rows), tuple(first.cells))], ()


def _records(text: str, usual: str) -> Iterator[Record]:
    named = _NAMED.match(text)
    if named:
        return records(text, named[1], start=named.end(), line=2)
    return records(text, detect(text, usual))


def _is_header(first: Record, second: Record | None) -> bool:
    """Tell whether the first record names columns. A single cell above a wider table is its title."""
    names = [each.strip() for each in first.cells]
    if len(names) == 1 and second is not None and len(second.cells) > 1:
        return False
    return len(set(names)) == len(names) and all(names) and not any(map(is_number, names))


def _rows(name: str, text: str, rows: Iterable[Record], header: tuple[str, ...]) -> Iterator[Block]:
    columns: dict[int, tuple[str, ...]] = {}  # one tuple for all rows of a width, of which there may be a million
    for row in rows:
        width = len(row.cells)
        if width not in columns:
            columns[width] = columns_of(row.cells, header)
        yield _block(name, text, BlockKind.TABLE_ROW, row, columns[width])


def _block(name: str, text: str, kind: BlockKind, row: Record, columns: tuple[str, ...]) -> Block:
    place = Location(name=name, start=row.start, end=row.end, line=row.line, end_line=row.end_line)
    return Block(kind=kind, text=text[row.start : row.end], location=place, cells=tuple(row.cells), columns=columns)


CSV = Format(
    title="CSV",
    media_types=("text/csv", "text/comma-separated-values", "text/x-csv", "application/csv", "application/x-csv"),
    endings=(".csv",),
    limit="table_bytes",
    parse=partial(_parse, usual=","),
)

TSV = Format(
    title="TSV",
    media_types=("text/tab-separated-values", "text/tsv"),
    endings=(".tsv", ".tab"),
    limit="table_bytes",
    parse=partial(_parse, usual="\t"),
)
