"""Reads what a workbook holds besides the cells of its sheets: strings, styles, comments, tables and drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from attrs import frozen

from ._drawing import alt_text, body_text, chosen, local, read_chart, reference
from ._number_formats import BUILTIN, Show, show
from ._package import Relationship, relationships, tree
from ._xlsx_sheet import letters_of, place_of, unescaped


class Comment(NamedTuple):
    """A comment on a cell."""

    row: int
    column: int
    cell: str
    author: str
    text: str


class Table(NamedTuple):
    """A range of cells that has a name.

    Attributes:
        name: Its name.
        first: Its first row.
        header: Whether that names the columns.
    """

    name: str
    first: int
    header: bool


@frozen
class Drawn:
    """What lies above the cells of a sheet.

    Attributes:
        texts: Cell and text of each text box, shape and chart title.
        pictures: Cell and description of each picture; the description may be empty.
    """

    texts: Sequence[tuple[str, str]]
    pictures: Sequence[tuple[str, str]]


def read_strings(part: IO[bytes]) -> list[str]:
    """Read the strings that cells share, as a stream."""
    events = ElementTree.iterparse(part, events=("start", "end"))  # noqa: S314, check_package found no entities
    _, root = next(events)
    strings: list[str] = []
    for event, element in events:
        if event == "end" and local(element) == "si":
            strings.append(_string(element))
            root.clear()
    return strings


def _string(item: Element) -> str:
    """The text of a string with or without formatting; how it is pronounced is left out."""
    return unescaped("".join(each.text or "" for path in ("{*}t", "{*}r/{*}t") for each in item.iterfind(path)))


def read_styles(root: Element, *, epoch_1904: bool) -> list[Show]:
    """Read how each style shows numbers."""
    codes = dict(BUILTIN)
    for each in root.iterfind("{*}numFmts/{*}numFmt"):
        codes[_number(each.get("numFmtId"))] = each.get("formatCode", "")
    formats = (_number(each.get("numFmtId")) for each in root.iterfind("{*}cellXfs/{*}xf"))
    return [show(codes.get(number, ""), epoch_1904=epoch_1904) for number in formats]


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0


def read_persons(archive: ZipFile, book: Sequence[Relationship]) -> dict[str, str]:
    """Read the names of those who wrote threaded comments, by their ids."""
    return {
        person.get("id", ""): person.get("displayName", "")
        for each in book
        if each.kind == "person"
        for person in tree(archive, each.target)
    }


def read_comments(archive: ZipFile, sheet: Sequence[Relationship], persons: dict[str, str]) -> list[Comment]:
    """Read the comments on a sheet's cells, in the order of the cells, threads as they were written."""
    found: list[Comment] = []
    for each in sheet:
        if each.kind == "threadedComment":
            found += _threaded(tree(archive, each.target), persons)
    threaded = {comment.cell for comment in found}
    for each in sheet:
        if each.kind == "comments":  # of threads, they hold a copy for programs that know none
            found += (comment for comment in _plain(tree(archive, each.target)) if comment.cell not in threaded)
    return sorted(found, key=lambda comment: comment[:2])


def _threaded(root: Element, persons: dict[str, str]) -> Iterator[Comment]:
    for each in root.iterfind("{*}threadedComment"):
        cell = each.get("ref", "")
        yield Comment(*place_of(cell), cell, persons.get(each.get("personId", ""), ""), each.findtext("{*}text", ""))


def _plain(root: Element) -> Iterator[Comment]:
    authors = [author.text or "" for author in root.iterfind("{*}authors/{*}author")]
    for each in root.iterfind("{*}commentList/{*}comment"):
        cell, index = each.get("ref", ""), _number(each.get("authorId"))
        author = authors[index] if index < len(authors) else ""
        text = each.find("{*}text")
        yield Comment(*place_of(cell), cell, author, "" if text is None else _string(text).removeprefix(f"{author}:"))


def read_tables(archive: ZipFile, sheet: Sequence[Relationship]) -> dict[int, Table]:
    """Read a sheet's tables by their first rows."""
    roots = (tree(archive, each.target) for each in sheet if each.kind == "table")
    tables = (
        Table(
            name=each.get("displayName", ""),
            first=place_of(each.get("ref", "").partition(":")[0])[0],
            header=each.get("headerRowCount", "1") != "0",
        )
        for each in roots
    )
    return {table.first: table for table in tables}


def read_drawings(archive: ZipFile, sheet: Sequence[Relationship]) -> Drawn:
    """Read the text of what lies above a sheet's cells. Values of charts are left out: they stand in cells."""
    texts: list[tuple[str, str]] = []
    pictures: list[tuple[str, str]] = []
    for each in sheet:
        if each.kind == "drawing":
            charts = {rel.id: rel.target for rel in relationships(archive, each.target) if rel.kind == "chart"}
            for anchor in _anchors(tree(archive, each.target)):
                cell = _anchor_cell(anchor)
                texts += ((cell, body_text(shape.find("{*}txBody"))) for shape in anchor.iterfind(".//{*}sp"))
                targets = (charts.get(reference(chart, "id")) for chart in anchor.iterfind(".//{*}chart"))
                texts += ((cell, read_chart(tree(archive, target)).title) for target in targets if target)
                pictures += ((cell, alt_text(pic.find("{*}nvPicPr/{*}cNvPr"))) for pic in anchor.iterfind(".//{*}pic"))
    return Drawn(texts, pictures)


def _anchors(root: Element) -> Iterator[Element]:
    for child in root:
        if local(child) == "AlternateContent":
            yield from chosen(child)
        else:
            yield child


def _anchor_cell(anchor: Element) -> str:
    row, column = (_number(anchor.findtext(f"{{*}}from/{{*}}{name}", "").strip()) + 1 for name in ("row", "col"))
    return f"{letters_of(column)}{row}"
