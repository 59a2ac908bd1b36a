"""Excel workbooks: one block a row, with the range of cells that it was read from, sheet by sheet.

They are read as a stream, with the standard library only: what it costs grows with the cells that are written, not with
the range that they lie in, and not with what a file declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise
from xml.parsers.expat import ExpatError
from zipfile import ZipFile

from attrs import Factory, define, frozen

from .._documents import BlockKind
from ._drawing import TRUE, reference
from ._formats import Format, Parsed, Source
from ._lines import is_number
from ._number_formats import Show
from ._package import BROKEN, Relationship, check_package, main_part, relationships, tree
from ._writing import BlockWriter
from ._xlsx_parts import (
    Comment,
    Drawn,
    Table,
    read_comments,
    read_drawings,
    read_persons,
    read_strings,
    read_styles,
    read_tables,
)
from ._xlsx_sheet import Book, Found, Row, SheetReader, letters_of, range_of

_MAIN = "xl/workbook.xml"
_STRINGS = "xl/sharedstrings.xml"
_STRINGS_FACTOR = 4
"""Bytes in memory for each byte of the part of shared strings: 3 for strings of two characters, 5 for one accented."""
_HIDDEN = {"hidden": ", hidden", "veryHidden": ", very hidden"}
_MACROS = ("xlMacrosheet", "xlIntlMacrosheet", "dialogsheet")


def _parse(source: Source) -> Parsed:
    check_package(source, main=_MAIN, streamed=("xl/worksheets/", _STRINGS))
    try:
        with source.open() as file, ZipFile(file) as archive:
            return _Workbook(source, archive).read()
    except (*BROKEN, ExpatError, KeyError, StopIteration) as error:
        raise source.malformed("a part of it is missing, damaged or no XML") from error


@frozen
class _Sheet:
    """One sheet.

    Attributes:
        name: Its name.
        state: ``visible``, ``hidden`` or ``veryHidden``.
        part: Where it is.
    """

    name: str
    state: str
    part: Relationship


@define
class _Told:
    """What is told of a workbook in notes."""

    empty: list[str] = Factory(list[str])
    macros: int = 0
    formulas: int = 0
    hidden_rows: int = 0
    pictures: int = 0

    def notes(self) -> Iterator[str]:
        if self.empty:
            yield f"Sheets without content, by their position: {', '.join(self.empty)}."
        if self.macros:
            yield f"Macro and dialog sheets that were not read: {self.macros}."
        if self.formulas:
            yield (
                f"Formulas without a stored result: {self.formulas}; the formula stands in its place. "
                "Open and save the workbook in Excel to store results."
            )
        if self.hidden_rows:
            yield f"Hidden rows that were read too: {self.hidden_rows}."
        if self.pictures:
            yield f"Pictures without a description that were not read: {self.pictures}."


class _Workbook:
    def __init__(self, source: Source, archive: ZipFile) -> None:
        self._source = source
        self._archive = archive
        self._writer = BlockWriter(source)
        self._told = _Told()
        part = main_part(archive, _MAIN) or _MAIN
        self._root = tree(archive, part)
        self._related = relationships(archive, part)
        self._persons = read_persons(archive, self._related)

    def read(self) -> Parsed:
        book = Book(strings=self._strings(), styles=self._styles())
        for position, sheet in enumerate(self._sheets(), 1):
            self._read_sheet(position, sheet, book)
        notes = list(self._told.notes())
        if any(each.kind == "vbaProject" for each in self._related):
            notes.append("Its macros were not read.")
        return self._writer.parsed(notes)

    def _sheets(self) -> Iterator[_Sheet]:
        related = {each.id: each for each in self._related}
        for each in self._root.iterfind("{*}sheets/{*}sheet"):
            part = related.get(reference(each, "id"))
            if part is None or part.external:
                raise self._source.malformed("a sheet of it is missing")
            yield _Sheet(each.get("name", ""), each.get("state", "visible"), part)

    def _strings(self) -> list[str]:
        target = self._target("sharedStrings")
        if target is None:
            return []
        most = self._source.limits.memory_bytes // _STRINGS_FACTOR
        if self._archive.getinfo(target).file_size > most:
            raise self._source.too_large(f"its texts have more than {most:,} bytes of XML", "memory_bytes")
        with self._archive.open(target) as part:
            return read_strings(part)

    def _styles(self) -> list[Show]:
        target = self._target("styles")
        properties = self._root.find("{*}workbookPr")
        epoch_1904 = properties is not None and properties.get("date1904") in TRUE
        return [] if target is None else read_styles(tree(self._archive, target), epoch_1904=epoch_1904)

    def _target(self, kind: str) -> str | None:
        names = (each.target for each in self._related if each.kind == kind and not each.external)
        return next((name for name in names if name in self._archive.NameToInfo), None)

    def _read_sheet(self, position: int, sheet: _Sheet, book: Book) -> None:
        if sheet.part.kind in _MACROS:
            self._told.macros += 1
            return
        before = len(self._writer.blocks)
        kind = "Chart sheet" if sheet.part.kind == "chartsheet" else "Sheet"
        self._writer.label(f"[{kind} {sheet.name}{_HIDDEN.get(sheet.state, '')}]")
        related = relationships(self._archive, sheet.part.target)
        writer = _SheetWriter(
            self._writer,
            name=sheet.name,
            hidden=sheet.state in _HIDDEN,
            tables=read_tables(self._archive, related),
            comments=read_comments(self._archive, related, self._persons),
        )
        reader = SheetReader(self._source, book)
        with self._archive.open(sheet.part.target) as part:
            writer.write(reader.rows(part), reader.found)
        self._told.pictures += writer.write_drawn(read_drawings(self._archive, related))
        self._told.formulas += reader.found.formulas
        self._told.hidden_rows += reader.found.hidden_rows
        if len(self._writer.blocks) == before:
            self._told.empty.append(str(position))


class _SheetWriter:
    """Writes one sheet: rows that follow each other are a table, whose first row may be its header."""

    def __init__(
        self, writer: BlockWriter, *, name: str, hidden: bool, tables: dict[int, Table], comments: Sequence[Comment]
    ) -> None:
        self._writer = writer
        self._name = name
        self._hidden = hidden
        self._tables = tables
        self._comments = list(reversed(comments))
        self._hidden_columns: set[int] = set()
        self._in_hidden_rows = False
        self._left = 1  # the first column of the table that is open
        self._header: dict[int, str] = {}
        self._columns: dict[tuple[int, int], tuple[str, ...]] = {}
        self._awaits_header = False

    def write(self, rows: Iterable[Row], found: Found) -> None:
        """Write all rows, each followed by the comments on its cells."""
        last = 0
        for row, following in pairwise(chain(rows, [None])):
            if row is None:
                break
            if not last:
                self._tell_hidden_columns(found)
            self._write_comments(row.number)
            if not last or row.number != last + 1:
                self._begin()
                self._left = min(row.cells)
            self._write_row(row, following)
            last = row.number
        self._write_comments(None)

    def write_drawn(self, drawn: Drawn) -> int:
        """Write text boxes and descriptions of pictures, and count the pictures without one."""
        for kind, drawings in ((BlockKind.PARAGRAPH, drawn.texts), (BlockKind.IMAGE, drawn.pictures)):
            for cell, text in drawings:
                self._add(kind, text, cell, hidden=self._hidden)
        return sum(not text for _, text in drawn.pictures)

    def _begin(self) -> None:
        self._header, self._columns, self._awaits_header = {}, {}, True

    def _tell_hidden_columns(self, found: Found) -> None:
        for first, last in found.hidden_columns:
            self._hidden_columns.update(range(first, last + 1))
        if found.hidden_columns:
            ranges = ", ".join(f"{letters_of(first)}:{letters_of(last)}" for first, last in found.hidden_columns)
            self._writer.label(f"[Columns {ranges} hidden]")

    def _write_row(self, row: Row, following: Row | None) -> None:
        if row.hidden != self._in_hidden_rows:
            self._in_hidden_rows = row.hidden
            self._writer.label(f"[From row {row.number} on: {'hidden' if row.hidden else 'shown'}]")
        table = self._tables.get(row.number)
        if table is not None:
            self._begin()
            self._writer.label(f"[Table {table.name}]")
        if not self._awaits_header:
            self._write_cells(row)
        elif table.header if table is not None else _is_header(row, following):
            self._write_cells(row, header=True)
            self._header, self._awaits_header = dict(row.cells), False
        elif _is_title(row, following):
            self._write_title(row)
        else:
            self._awaits_header = False
            self._write_cells(row)

    def _write_title(self, row: Row) -> None:
        (column, text), *_ = row.cells.items()
        place = range_of(row.number, column, column)
        self._add(BlockKind.PARAGRAPH, text, place, hidden=self._is_hidden(row))

    def _write_cells(self, row: Row, *, header: bool = False) -> None:
        used = list(row.cells)
        first, last = min(self._left, used[0]), used[-1]
        self._writer.add_row(
            [row.cells.get(column, "") for column in range(first, last + 1)],
            header=header,
            columns=self._columns_of(first, last),
            hidden=self._is_hidden(row),
            sheet=self._name,
            cells=range_of(row.number, used[0], last),
        )

    def _columns_of(self, first: int, last: int) -> tuple[str, ...]:
        if not self._header:
            return ()
        found = self._columns.get((first, last))
        if found is None:
            found = tuple(self._header.get(column, "") for column in range(first, last + 1))
            self._columns[first, last] = found
        return found

    def _is_hidden(self, row: Row) -> bool:
        return self._hidden or row.hidden or (bool(self._hidden_columns) and row.cells.keys() <= self._hidden_columns)

    def _write_comments(self, before: int | None) -> None:
        """Write the comments on cells above a row, or all that are left."""
        while self._comments and (before is None or self._comments[-1].row < before):
            comment = self._comments.pop()
            by = f" by {comment.author}" if comment.author else ""
            self._writer.label(f"[Comment{by} on {comment.cell}]")
            self._add(BlockKind.NOTE, comment.text, comment.cell, hidden=self._hidden)

    def _add(self, kind: BlockKind, text: str, cells: str, *, hidden: bool) -> None:
        self._writer.add(kind, text, hidden=hidden, sheet=self._name, cells=cells)


def _follows(row: Row, following: Row | None) -> bool:
    return following is not None and following.number == row.number + 1


def _is_title(row: Row, following: Row | None) -> bool:
    """Tell whether a row is one text above a wider table."""
    return len(row.cells) == 1 and following is not None and _follows(row, following) and len(following.cells) > 1


def _is_header(row: Row, following: Row | None) -> bool:
    """Tell whether a row names columns: two different texts at least, none of them a number, above another row."""
    names = [name.strip() for name in row.cells.values()]
    return (
        row.words
        and len(names) > 1
        and _follows(row, following)
        and len(set(names)) == len(names)
        and not any(map(is_number, names))
    )


FORMAT = Format(
    title="Excel",
    media_types=(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.ms-excel.sheet.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
        "application/vnd.ms-excel.template.macroenabled.12",
    ),
    endings=(".xlsx", ".xlsm", ".xltx", ".xltm"),
    limit="document_bytes",
    parse=_parse,
    isolated=True,
)
