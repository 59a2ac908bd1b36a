"""The rows of Word tables: their cells, which of them a merged cell covers, and whether they name columns."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from attrs import define, field

from ._docx_runs import Attached, Content
from ._docx_xml import attribute, child, flag, local, number, value

_MOST_COLUMNS = 63  # as Word has them


@define
class Row:
    """A row that was read.

    Attributes:
        cells: The text of each column's cell; empty where a merged cell covers more than its first place.
        concealed: The hidden text of each of them.
        attached: What hangs on its paragraphs.
        page: Where it begins.
        hidden: Whether readers do not see it.
    """

    cells: list[str] = field(factory=list[str])
    concealed: list[str] = field(factory=list[str])
    attached: list[Attached] = field(factory=list[Attached])
    page: int | None = None
    hidden: bool = False

    def add(self, content: Content, columns: int) -> None:
        """Take a cell, and how many columns it covers."""
        rest = [""] * (columns - 1)
        self.cells += [content.visible, *rest]
        self.concealed += [content.hidden, *rest]
        self.attached += content.attached
        self.page = self.page or content.page


def is_deleted(row: Element) -> bool:
    """Whether a row was deleted while changes were tracked."""
    return child(row, "trPr", "del") is not None


def is_header(row: Element) -> bool:
    """Whether a row is repeated on each page."""
    return bool(flag(row, "trPr", "tblHeader"))


def is_hidden(row: Element) -> bool:
    """Whether a row is not shown."""
    return bool(flag(row, "trPr", "hidden"))


def columns_before(row: Element) -> int:
    """How many columns a row leaves out at its beginning."""
    return _columns(value(row, "trPr", "gridBefore"), 0)


def cells(element: Element) -> Iterator[tuple[Element | None, int]]:
    """The cells of a row that have a text of their own, and the columns that each covers.

    In place of a cell that the one above or before covers stands None.
    """
    for each in element:
        name = local(each.tag)
        if name == "tc":
            yield from _cell(each)
        elif name not in ("trPr", "tblPrEx", "sdtPr", "sdtEndPr"):
            yield from cells(each)


def _cell(element: Element) -> Iterator[tuple[Element | None, int]]:
    properties = child(element, "tcPr")
    if child(properties, "cellDel") is not None:
        return
    covered = any(_continues(properties, name) for name in ("vMerge", "hMerge"))
    yield None if covered else element, _columns(value(properties, "gridSpan"), 1)


def _continues(properties: Element | None, name: str) -> bool:
    found = child(properties, name)
    return found is not None and (attribute(found, "val") or "continue") == "continue"


def _columns(written: str | None, usual: int) -> int:
    found = number(written)
    return usual if found is None else max(usual, min(found, _MOST_COLUMNS))


def reads_like_header(first: Row, second: Row) -> bool:
    """Whether the first row names columns: each has a name of its own, with more to it than digits."""
    names = [each.strip() for each in first.cells]
    if len(names) < 2 or len(second.cells) != len(names) or len(set(names)) < len(names):
        return False
    return all(any(map(str.isalpha, name)) and len(name) < 100 for name in names)


def named(header: list[str], row: Row) -> list[str]:
    """The names of columns when one more row of names stands below those so far."""
    width = max(len(header), len(row.cells))
    above = header + [""] * (width - len(header))
    below = row.cells + [""] * (width - len(row.cells))
    return [" ".join(filter(None, map(str.strip, pair))) for pair in zip(above, below, strict=True)]
