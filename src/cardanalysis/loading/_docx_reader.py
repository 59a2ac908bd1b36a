"""Reads the flow of a Word document: paragraphs, tables, what hangs on them, and what repeats on each page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, filterfalse
from typing import Any
from xml.etree.ElementTree import Element

from .._documents import BlockKind
from . import _docx_tables as tables
from ._docx_parts import Parts, diagram, shown
from ._docx_runs import Attached, Content, Pages, RunReader
from ._docx_styles import Numbering, Styles
from ._docx_tables import Row
from ._docx_xml import TABLE_END, Item, child, inside, merged, value
from ._formats import Limits, Source
from ._lines import columns_of
from ._writing import BlockWriter

_Place = dict[str, Any]
"""Where something stands, as keywords of `Location`."""


class Reader:
    """Reads one document.

    What stands beside the flow of the pages, such as text boxes and notes, is read behind the paragraph it belongs to,
    and has its place.

    Args:
        source: The file.
        parts: Its parts.
        pages: Counts pages; None where they are not known.
    """

    def __init__(self, source: Source, parts: Parts, pages: Pages | None) -> None:
        styles = Styles(parts.of_kind("styles"))
        self.writer = BlockWriter(source)
        self._parts = parts
        self._pages = pages
        self._styles = styles
        self._runs = RunReader(styles)
        self._numbering = Numbering(parts.of_kind("numbering"), styles)
        self._notes = {"footnote": parts.notes("footnotes"), "endnote": parts.notes("endnotes")}
        self._comments = parts.comments()
        self._counts: Counter[str] = Counter()
        self._diagrams: set[str] = set()
        self._sections: dict[tuple[str, str], None] = {}

    def flow(self, items: Iterable[Item], place: _Place | None = None) -> None:
        """Read paragraphs and tables; rows that come alone are those of a table that ends with `TABLE_END`."""
        following = merged(items)
        for name, elements in following:
            match name:
                case "p":
                    self._paragraph(elements, place)
                case "tbl":
                    self._table(_rows(inside(elements[0])), place)
                case "tr":
                    rest = ((kind, each[0]) for kind, each in following)
                    self._table(chain(elements, _rows(rest)), place)
                case "sectPr":
                    self._sections.update(dict.fromkeys(shown(elements[0])))
                case "altChunk" | "subDoc":
                    self._runs.left.imported += 1
                case "oMath" | "oMathPara":
                    self._paragraph([_around(elements[0])], place)
                case _:
                    pass

    def finish(self) -> None:
        """Read what has no place in the flow: comments that nothing refers to, then headers and footers."""
        while self._comments:
            self._comment(next(iter(self._comments)), {})
        for name in ("header", "footer"):
            self._repeated(name)

    def notes(self) -> list[str]:
        """What a person should know about how it was read."""
        left = self._runs.left
        unread = (
            (left.pictures, "picture", "without a description"),
            (left.objects, "embedded object", ""),
            (left.charts, "chart", ""),
            (left.imported, "imported part", "of another file"),
            (len(self._notes["footnote"]) + len(self._notes["endnote"]), "note", "that nothing refers to"),
        )
        said = [_not_read(*each) for each in unread if each[0]]
        if self._runs.changed:
            said.append("Changes in it were tracked; it was read as if all of them were accepted.")
        if self._counts["hidden"]:
            said.append("It has hidden text, which was read and marked.")
        if self._parts.has_macros():
            said.append("It has macros, which were ignored.")
        if self._pages is not None:
            said.append("Page numbers are those of the last time when Word laid it out.")
        said += (f"Its part for {each} is missing." for each in sorted(self._parts.missing))
        return said

    # -- Paragraphs

    def _paragraph(self, elements: list[Element], place: _Place | None) -> None:
        properties = child(elements[-1], "pPr")
        kind, level, label = self._kind(properties)
        content = self._content(elements, label, flows=place is None)
        if place is None:
            place = self._place(content)
        self._write(kind, content, level, place)
        self._behind(content.attached, place)
        for each in elements:
            self._sections.update(dict.fromkeys(shown(child(each, "pPr", "sectPr"))))

    def _content(self, elements: list[Element], label: str, *, flows: bool) -> Content:
        style_id = value(elements[-1], "pPr", "pStyle")
        content = self._runs.read(elements, style_id=style_id, pages=self._pages if flows else None)
        if label and content.visible.strip():
            content.visible = f"{label} {content.visible.strip()}"
        elif label and content.hidden.strip():
            content.hidden = f"{label} {content.hidden.strip()}"
        return content

    def _kind(self, properties: Element | None) -> tuple[BlockKind, int, str]:
        """What a paragraph is, its level, and the number that readers see before it."""
        numbered = self._numbering.of(properties)
        label = self._numbering.label(numbered) if numbered is not None else ""
        heading = self._styles.heading(properties)
        if heading:
            return BlockKind.HEADING, heading, label
        if numbered is None or not self._numbering.shown(numbered):
            return BlockKind.PARAGRAPH, 0, label
        return BlockKind.LIST_ITEM, self._numbering.depth(numbered, value(properties, "pStyle")), label

    def _write(self, kind: BlockKind, content: Content, level: int, place: _Place) -> None:
        self.writer.add(kind, content.visible, level=level, **place)
        if content.hidden.strip():
            self._hide("text")
            self.writer.add(kind, content.hidden, level=level, hidden=True, **place)

    def _hide(self, what: str) -> None:
        self.writer.label(f"[Hidden {what}]")
        self._counts["hidden"] += 1

    def _place(self, content: Content) -> _Place:
        """Where a paragraph of the flow stands."""
        if content.visible.strip() or content.hidden.strip():
            self._counts["paragraph"] += 1
        return self._at(content.page)

    def _at(self, page: int | None) -> _Place:
        if self._pages is None:
            return {"paragraph": max(1, self._counts["paragraph"])}
        page = page or self._pages.page
        if page > self._limits.pages:
            raise self.writer.source.too_large(f"it has more than {self._limits.pages:,} pages", "pages")
        return {"page": page}

    @property
    def _limits(self) -> Limits:
        return self.writer.source.limits

    # -- Tables

    def _table(self, rows: Iterator[Element], place: _Place | None) -> None:
        rows = filterfalse(self._row_deleted, rows)
        first, second = next(rows, None), next(rows, None)
        if first is None:
            return
        if second is None and len(list(tables.cells(first))) == 1:  # a frame around text
            self.flow(inside(first), place)
            return
        above, below = self._row(first, place), None if second is None else self._row(second, place)
        named = below is not None and (tables.is_header(first) or tables.reads_like_header(above, below))
        columns = above.cells if named else []
        self._write_row(above, [], place, header=named)
        for element in chain([] if second is None else [second], rows):
            row, below = below or self._row(element, place), None
            named = named and tables.is_header(element) and tables.is_header(first)
            self._write_row(row, [] if named else columns, place, header=named)
            columns = tables.named(columns, row) if named else columns

    def _row_deleted(self, row: Element) -> bool:
        deleted = tables.is_deleted(row)
        self._runs.changed |= deleted
        return deleted

    def _row(self, element: Element, place: _Place | None) -> Row:
        row = Row(hidden=tables.is_hidden(element))
        row.cells = [""] * tables.columns_before(element)
        row.concealed = list(row.cells)
        begin = furthest = self._pages.page if self._pages is not None else 0
        for cell, columns in tables.cells(element):
            if self._pages is not None:
                self._pages.page = begin  # each cell has the marks of all pages that it reaches over
            content = Content("", "", [], None) if cell is None else self._inner(cell, flows=place is None)
            row.add(content, columns)
            furthest = max(furthest, self._pages.page if self._pages is not None else 0)
        if self._pages is not None:
            self._pages.page = furthest
        return row

    def _write_row(self, row: Row, columns: Sequence[str], place: _Place | None, *, header: bool) -> None:
        place = self._at(row.page) if place is None else place
        concealed = [text for text in row.concealed if text.strip()]
        cells, hidden = row.cells, row.hidden
        if concealed and not any(map(str.strip, cells)):
            cells, hidden, concealed = row.concealed, True, []
        if hidden:
            self._hide("row")
        names = columns_of(cells, tuple(columns))
        self.writer.add_row(cells, header=header, columns=names, hidden=hidden, **place)
        if concealed:
            self._hide("text")
            self.writer.add(BlockKind.PARAGRAPH, "\n".join(concealed), hidden=True, **place)
        self._behind(row.attached, place)

    def _inner(self, container: Element, *, flows: bool, flat: bool = False) -> Content:
        """Read what stands in a cell, a note or a header as one text.

        Args:
            container: Its element.
            flows: Whether its pages count.
            flat: Whether the tables and text boxes in it are part of the text too, a line for each row.
        """
        visible: list[str] = []
        hidden: list[str] = []
        attached: list[Attached] = []
        page = None
        for name, elements in merged(inside(container)):
            if name == "p":
                _, _, label = self._kind(child(elements[-1], "pPr"))
                content = self._content(elements, label, flows=flows)
                page = page or content.page
                visible.append(content.visible)
                hidden.append(content.hidden)
                attached += self._boxes(content.attached, visible) if flat else content.attached
            elif name == "tbl" and flat:
                for row in (self._row(each, {}) for each in _rows(inside(elements[0]))):
                    visible.append(" | ".join(row.cells))
                    hidden.extend(row.concealed)
                    attached += self._boxes(row.attached, visible)
            elif name == "tbl":
                attached.append(Attached("table", elements[0]))
            elif name == "altChunk":
                self._runs.left.imported += 1
        return Content(_lines(visible), _lines(hidden), attached, page)

    def _boxes(self, attached: list[Attached], lines: list[str]) -> Iterator[Attached]:
        """Write the text boxes in what hangs on a paragraph as lines, and give the rest."""
        for each in attached:
            if each.kind == "box" and each.element is not None:
                content = self._inner(each.element, flows=False, flat=True)
                lines.append(content.visible)
                yield from content.attached
            else:
                yield each

    # -- What hangs on a paragraph

    def _behind(self, attached: list[Attached], place: _Place) -> None:
        for each in attached:
            match each.kind:
                case "image":
                    self.writer.add(BlockKind.IMAGE, each.text, **place)
                case "diagram":
                    self._diagram(each.text, place)
                case "commentReference":
                    self._comment(each.text, place)
                case "footnoteReference" | "endnoteReference":
                    self._note(each.kind.removesuffix("Reference"), each.text, place)
                case "table" if each.element is not None:
                    self.flow([("tbl", each.element)], place)
                case _ if each.element is not None:
                    self.flow(inside(each.element), place)
                case _:
                    pass

    def _note(self, kind: str, note_id: str, place: _Place) -> None:
        element = self._notes[kind].pop(note_id, None)  # told once; also ends the loop of a note that refers to itself
        if element is not None:
            self._counts[kind] += 1
            self._aside(f"{kind.capitalize()} {self._counts[kind]}", element, place)

    def _comment(self, comment_id: str, place: _Place) -> None:
        comment = self._comments.pop(comment_id, None)
        if comment is not None:
            self._aside(comment.title, comment.body, place)

    def _aside(self, title: str, element: Element, place: _Place) -> None:
        content = self._inner(element, flows=False, flat=True)
        if content.visible.strip():
            self.writer.label(f"[{title}]")
        self._write(BlockKind.NOTE, content, 0, place)
        self._behind(content.attached, place)

    def _diagram(self, relationship_id: str, place: _Place) -> None:
        if relationship_id in self._diagrams:
            return
        self._diagrams.add(relationship_id)
        root = self._parts.of_id("diagramData", relationship_id)
        if root is not None:
            self.writer.label("[Diagram]")
            self.flow((("p", each) for each in diagram(root)), place)

    def _repeated(self, name: str) -> None:
        """Read the headers or footers of all sections, each text once, without those that only count pages."""
        told = {""}
        for kind, relationship_id in self._sections:
            root = self._parts.of_id(name, relationship_id) if kind == name else None
            if root is None:
                continue
            content = self._inner(root, flows=False, flat=True)
            text = " ".join((content.visible + content.hidden).split())
            if any(map(str.isalpha, text)) and text not in told:
                told.add(text)
                self.writer.label(f"[Page {name}]")
                self._write(BlockKind.NOTE, content, 0, {})
            images = (each for each in content.attached if each.text not in told)
            self._behind([each for each in images if each.kind == "image"], {})
            told.update(each.text for each in content.attached)


def _rows(items: Iterable[Item]) -> Iterator[Element]:
    """The rows until the table ends."""
    for name, element in items:
        if name == TABLE_END:
            return
        if name == "tr":
            yield element


def _around(equation: Element) -> Element:
    """A paragraph for an equation that stands between paragraphs."""
    paragraph = Element("p")
    paragraph.append(equation)
    return paragraph


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(text.strip() for text in texts if text.strip())


def _not_read(count: int, what: str, which: str) -> str:
    things = f"{what} {which}".strip() if count == 1 else f"{what}s {which}".strip()
    return f"{count:,} {things} {'was' if count == 1 else 'were'} not read."
