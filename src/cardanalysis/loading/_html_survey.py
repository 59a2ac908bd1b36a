"""What a reader of HTML has to know of a page before it reads it: its title, and which tables only lay it out."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import define, field

from ._html_tree import End, Start

__all__ = ["HEADINGS", "Survey", "clean"]

HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})

_SPACE = re.compile(r"[ \t\n\r\f]+")  # of HTML; a non-breaking space is none


def clean(text: str) -> str:
    """Text with its white space as browsers show it: each run of it is one space."""
    return _SPACE.sub(" ", text)


@define
class _Table:
    number: int
    headings: bool = False
    cells: int = 0
    most_cells: int = 0


@define
class Survey:
    """What was found.

    Attributes:
        top_headings: The texts of its h1 elements.
        layouts: The tables that only lay out the page, by their number, from 0. Browsers and screen readers guess them
            in the same way: one is in the other, it holds headings, has one column, or says that it is one.
    """

    top_headings: set[str] = field(factory=set[str])
    layouts: set[int] = field(factory=set[int])
    _open: list[_Table] = field(factory=list[_Table])
    _heading: list[str] | None = None
    _tables: int = 0

    @classmethod
    def of(cls, events: Iterable[Start | End | str]) -> Survey:
        """Look through a page."""
        survey = cls()
        for event in events:
            if isinstance(event, str):
                if survey._heading is not None:
                    survey._heading.append(event)
            elif isinstance(event, Start):
                survey._start(event)
            else:
                survey._end(event.tag)
        return survey

    def _start(self, start: Start) -> None:
        tag = start.tag
        if tag == "h1":
            self._heading = []
        if tag == "table":
            self._start_table(start.attributes.get("role") in ("presentation", "none"))
        elif self._open:
            self._note(self._open[-1], tag)

    def _start_table(self, declared: bool) -> None:
        if self._open:
            self.layouts.add(self._open[-1].number)
        if declared:
            self.layouts.add(self._tables)
        self._open.append(_Table(self._tables))
        self._tables += 1

    def _note(self, table: _Table, tag: str) -> None:
        if tag in HEADINGS:
            table.headings = True
        elif tag == "tr":
            table.cells = 0
        elif tag in ("td", "th"):
            table.cells += 1
            table.most_cells = max(table.most_cells, table.cells)

    def _end(self, tag: str) -> None:
        if tag == "h1" and self._heading is not None:
            self.top_headings.add(clean("".join(self._heading)).strip())
            self._heading = None
        elif tag == "table":
            table = self._open.pop()
            if table.headings or table.most_cells < 2:
                self.layouts.add(table.number)
