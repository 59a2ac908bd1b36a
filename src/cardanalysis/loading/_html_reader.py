"""Reads a page of HTML into blocks: what a person sees who looks at it, and marked as hidden what that person does not.

Which text belongs together, and where white space counts, follows the HTML standard, 15.3 (how browsers show elements).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from .._documents import BlockKind
from ._html_forms import value_of
from ._html_lists import Lists
from ._html_survey import HEADINGS, Survey, clean
from ._html_table import Cell, Table
from ._html_tree import End, Start
from ._writing import BlockWriter

__all__ = ["HTMLReader"]

_Attributes = Mapping[str, str | None]

_BLOCKS = (
    HEADINGS
    | {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"}
    | {"div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html"}
    | {"legend", "li", "main", "menu", "nav", "ol", "optgroup", "option", "p", "pre", "search", "section", "select"}
    | {"summary", "table", "tbody", "td", "textarea", "tfoot", "th", "thead", "tr", "ul"}
)
_CELLS = ("td", "th")
_PARTS = ("thead", "tbody", "tfoot")
_EMBEDDED = frozenset({"audio", "canvas", "embed", "iframe", "object", "video"})
_STRUCK = frozenset({"del", "s", "strike"})
_INVISIBLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.IGNORECASE)
_SPACES = re.compile(" {2,}")
_BREAK = re.compile(" ?\n ?")
_ENDS = re.compile("\n{2,}")
_HIDDEN, _STRUCK_OUT = "Hidden text", "Struck out"


@frozen
class _Kind:
    """What text is by the element around it."""

    tag: str
    kind: BlockKind
    level: int = 0


_PARAGRAPH = _Kind("", BlockKind.PARAGRAPH)


class HTMLReader:
    """Reads one page.

    Args:
        writer: What it writes to.
        survey: What was seen of the page before.
        title: Whether its title is a heading, unless one of its h1 elements says the same.
    """

    def __init__(self, writer: BlockWriter, survey: Survey, *, title: bool = True) -> None:
        self._writer = writer
        self._survey = survey
        self._reads_title = title
        self._title: list[str] | None = None
        self._text: list[str] = []  # of the block that is being read
        self._beside: list[tuple[str, list[str]]] = []  # hidden text and pictures in it: written behind it
        self._kinds: list[_Kind] = []
        self._lists = Lists()
        self._tables: list[Table | None] = []  # None for one that only lays out the page
        self._table_number = 0
        self._cell: list[str] | None = None
        self._in_head = False
        self._row_hidden = False
        self._pre = 0
        self._hidden: list[str] = []  # the elements that are open, from the one that hides them on
        self._aside: list[str] | None = None  # hidden text within a line or cell
        self._due: str | None = None  # the label that the next hidden block gets
        self._paragraphs = 0
        self.left_out: Counter[str] = Counter()

    def read(self, events: Iterable[Start | End | str]) -> None:
        """Read it all."""
        for event in events:
            if isinstance(event, str):
                self._read_text(event)
            elif isinstance(event, Start):
                self._start(event.tag, event.attributes)
            else:
                self._end(event.tag)
        self._flush()

    # -- Text

    @property
    def _sink(self) -> list[str]:
        """Where text goes."""
        if self._aside is not None:
            return self._aside
        return self._text if self._cell is None else self._cell

    def _read_text(self, text: str) -> None:
        if self._title is not None:
            self._title.append(text)
        elif not self._in_rows():
            self._sink.append(text if self._pre else clean(text))

    def _in_rows(self) -> bool:
        """Whether it stands between the cells of a table, where there is only white space."""
        outside = self._cell is None and self._aside is None and not self._in_caption()
        return outside and bool(self._tables) and self._tables[-1] is not None

    def _in_caption(self) -> bool:
        return bool(self._kinds) and self._kinds[-1].tag == "caption"

    def _boundary(self) -> None:
        """End the line or block that is being read."""
        if self._aside is not None or self._cell is not None:
            self._sink.append("\n")
        elif not self._in_rows():  # what is hidden in a table stands behind it
            self._flush()

    def _flush(self) -> None:
        text, self._text = "".join(self._text), []
        beside, self._beside = self._beside, []
        around = self._kinds[-1] if self._kinds else _PARAGRAPH
        if around.kind is BlockKind.CODE:
            self._add(around.kind, text.strip("\n"))
        elif text and not text.isspace():
            for piece in re.split("\n{2,}", _lines(text)):
                self._add(around.kind, self._lists.take_marker() + piece if piece else "", level=around.level)
        for label, pieces in beside:
            self._add_beside(label, _lines("".join(pieces)))

    def _add_beside(self, label: str, text: str) -> None:
        if not text.strip():
            return
        if not label:
            self._add(BlockKind.IMAGE, text)
            return
        self._writer.label(f"[{label}]")
        self._add(BlockKind.PARAGRAPH, text, hidden=True)

    def _add(self, kind: BlockKind, text: str, *, level: int = 0, hidden: bool = False) -> None:
        if not text.strip():
            return
        self._label()
        self._paragraphs += 1
        hidden = hidden or bool(self._hidden)
        self._writer.add(kind, text, level=level, hidden=hidden, paragraph=self._paragraphs)

    def _label(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            self._writer.label(f"[{due}]")

    # -- Elements

    def _start(self, tag: str, attributes: _Attributes) -> None:
        if tag == "title":
            self._title = []
            return
        if tag in _BLOCKS:
            self._boundary()
        self._hide(tag, attributes)
        if tag in _BLOCKS:
            self._start_block(tag, attributes)
        else:
            self._start_inline(tag, attributes)

    def _hide(self, tag: str, attributes: _Attributes) -> None:
        """Note whether an element is hidden; what is in it is so too."""
        if self._hidden:
            self._hidden.append(tag)
            return
        label = _hiding(tag, attributes)
        if label is None or tag in ("html", "body"):
            return
        if tag == "tr" and self._tables and self._tables[-1] is not None:
            self._row_hidden = True
            return
        self._hidden.append(tag)
        if self._cell is not None or tag not in _BLOCKS or (tag in _CELLS and self._in_rows()):
            self._aside = []
            self._beside.append((label, self._aside))
        else:
            self._due = label

    def _start_block(self, tag: str, attributes: _Attributes) -> None:
        if tag in HEADINGS:
            self._kinds.append(_Kind(tag, BlockKind.HEADING, int(tag[1])))
        elif tag in ("pre", "textarea"):
            self._pre += 1
            self._kinds.append(_Kind(tag, BlockKind.CODE if tag == "pre" else BlockKind.PARAGRAPH))
        elif tag == "caption":
            self._kinds.append(_Kind(tag, BlockKind.PARAGRAPH))
        elif self._lists.is_item(tag):
            level = self._lists.start_item(tag, attributes)
            self._kinds.append(_Kind(tag, BlockKind.LIST_ITEM, level))
            if self._cell is not None or self._aside is not None:
                self._sink.append(self._lists.take_marker())
        elif self._lists.is_list(tag):
            self._lists.start(tag, attributes)
            self._start_group(tag, attributes)
        else:
            self._start_table_part(tag, attributes)

    def _start_group(self, tag: str, attributes: _Attributes) -> None:
        if tag == "optgroup" and (label := attributes.get("label")):
            self._sink.append(clean(label))
            self._boundary()

    def _start_table_part(self, tag: str, attributes: _Attributes) -> None:
        if tag == "table":
            layout = self._table_number in self._survey.layouts or self._cell is not None or self._aside is not None
            self._tables.append(None if layout else Table(self._writer))
            self._table_number += 1
            return
        table = self._tables[-1] if self._tables else None
        if table is None or self._aside is not None or self._cell is not None:
            return
        if tag in _CELLS:
            cell = Cell.of(tag, attributes)
            table.cells.append(cell)
            self._cell = cell.text
        elif tag == "thead":
            self._in_head = True

    def _start_inline(self, tag: str, attributes: _Attributes) -> None:
        if tag == "br":
            self._sink.append("\n")
        elif tag in ("img", "area") or (tag == "input" and attributes.get("type") == "image"):
            self._picture(tag, attributes)
        elif tag == "svg":
            self._drawing(attributes)
        elif tag == "input":
            self._sink.append(value_of(attributes))
        elif tag == "q":
            self._sink.append("\u201c")
        elif tag == "sup" and _ends_with_digit(self._sink):
            self._sink.append("^")  # 10 to the power of 6 is not 106
        elif tag in _EMBEDDED:
            self.left_out["embedded"] += 1
        elif tag in ("noscript", "script", "template"):
            self.left_out[tag] += 1

    def _picture(self, tag: str, attributes: _Attributes) -> None:
        told = clean(attributes.get("alt") or attributes.get("title") or attributes.get("aria-label") or "").strip()
        if told and (self._cell is not None or self._aside is not None):
            self._sink.append(f" {told} ")
        elif told:
            self._beside.append(("", [told]))
        elif tag == "img" and attributes.get("alt") is None and not _is_pixel(attributes):
            self.left_out["picture"] += 1

    def _drawing(self, attributes: _Attributes) -> None:
        told = clean(attributes.get("aria-label") or "").strip()
        if told:
            self._picture("svg", {"alt": told})
        elif not self._hidden:
            self.left_out["drawing"] += 1

    def _end(self, tag: str) -> None:
        if tag == "title":
            self._end_title()
            return
        if tag in _BLOCKS:
            self._boundary_at_end(tag)
            self._end_block(tag)
        elif tag == "q":
            self._sink.append("\u201d")
        if self._hidden:
            self._hidden.pop()
            if not self._hidden:
                self._aside = self._due = None

    def _boundary_at_end(self, tag: str) -> None:
        """End the last line of a block; that of a cell is its end anyway."""
        if tag not in _CELLS or self._cell is None:
            self._boundary()

    def _end_block(self, tag: str) -> None:
        if self._kinds and self._kinds[-1].tag == tag:
            self._kinds.pop()
            self._pre -= tag in ("pre", "textarea")
        elif self._lists.is_list(tag):
            self._lists.end(tag)
        elif tag == "table":
            self._end_table()
        elif self._tables and (table := self._tables[-1]) is not None:
            self._end_table_part(tag, table)

    def _end_table_part(self, tag: str, table: Table) -> None:
        if tag in _CELLS and self._aside is None and self._cell is not None:
            table.cells[-1].text = [_ENDS.sub("\n", _lines("".join(self._cell)))]
            self._cell = None
        elif tag == "tr":
            self._label()
            place: dict[str, Any] = {"hidden": self._row_hidden or bool(self._hidden)}
            table.end_row(in_head=self._in_head, paragraph=max(1, self._paragraphs), **place)
            self._row_hidden = False
        elif tag in _PARTS:
            table.end_part()
            self._in_head = False

    def _end_table(self) -> None:
        table = self._tables.pop()
        if table is not None:
            table.end()
            self._flush()  # what was hidden in its cells

    def _end_title(self) -> None:
        title = clean("".join(self._title or ())).strip()
        self._title = None
        if self._reads_title and title not in self._survey.top_headings:
            self._add(BlockKind.HEADING, title, level=1)


def _lines(text: str) -> str:
    """Text as browsers show it, its white space being spaces and ends of lines."""
    return _BREAK.sub("\n", _SPACES.sub(" ", text)).strip(" \n")


def _hiding(tag: str, attributes: _Attributes) -> str | None:
    """Why an element is not seen, or no longer holds."""
    if tag in _STRUCK:
        return _STRUCK_OUT
    if "hidden" in attributes or (tag == "dialog" and "open" not in attributes):
        return _HIDDEN
    return _HIDDEN if _INVISIBLE.search(attributes.get("style") or "") else None


def _is_pixel(attributes: _Attributes) -> bool:
    """Whether a picture is one that counts readers."""
    return attributes.get("width") in ("0", "1") or attributes.get("height") in ("0", "1")


def _ends_with_digit(text: list[str]) -> bool:
    return bool(text) and text[-1][-1:].isdigit()
