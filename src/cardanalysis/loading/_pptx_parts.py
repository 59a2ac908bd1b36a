"""Reads what belongs to a slide besides its shapes: speaker notes, and comments of both kinds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from ._drawing import body_text, local
from ._package import Relationship, tree
from ._pptx_shapes import placeholder_of


class Comment(NamedTuple):
    """A comment on a slide, or an answer to one."""

    author: str
    text: str


def read_authors(archive: ZipFile, related: Iterable[Relationship]) -> dict[str, str]:
    """Read the names of those who commented, by their ids: numbers of the older kind, GUIDs of the newer one."""
    return {
        author.get("id", ""): author.get("name", "")
        for each in related
        if each.kind in ("commentAuthors", "authors")
        for author in tree(archive, each.target)
    }


def read_comments(archive: ZipFile, related: Sequence[Relationship], authors: Mapping[str, str]) -> Iterator[Comment]:
    """Read a slide's comments in the order of the file, each followed by its answers."""
    for each in related:
        if each.kind == "comments":
            for comment in tree(archive, each.target).iterfind("{*}cm"):
                yield from _thread(comment, authors)


def _thread(comment: Element, authors: Mapping[str, str]) -> Iterator[Comment]:
    for each in (comment, *comment.iterfind("{*}replyLst/{*}reply")):
        text = each.findtext("{*}text") or body_text(each.find("{*}txBody"))
        yield Comment(authors.get(each.get("authorId", ""), ""), text)


def read_notes(archive: ZipFile, related: Sequence[Relationship]) -> str:
    """Read a slide's speaker notes: the text of the notes page but for its header, footer, date and number."""
    texts: list[str] = []
    for each in related:
        if each.kind == "notesSlide":
            for shape in tree(archive, each.target).iterfind("{*}cSld/{*}spTree//{*}sp"):
                place = placeholder_of(shape)
                if place is None or place.kind in ("body", "obj"):
                    texts.append(body_text(shape.find("{*}txBody")))
    return "\n".join(filter(None, texts))


def read_table(table: Element) -> tuple[list[list[str]], bool]:
    """Read a table's rows, merged cells once, and whether its first row is a header."""
    rows = [[_cell(cell) for cell in row if local(cell) == "tc"] for row in table.iterfind("{*}tr")]
    properties = table.find("{*}tblPr")
    header = properties is not None and properties.get("firstRow") in ("1", "true", "on")
    return rows, header and len(rows) > 1 and sum(map(bool, rows[0])) > 1


def _cell(cell: Element) -> str:
    if cell.get("hMerge") in ("1", "true") or cell.get("vMerge") in ("1", "true"):
        return ""
    return body_text(cell.find("{*}txBody"))
