"""Rows of tables as drafts of cards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from .._documents import Block
from ._outline_drafts import EXPLICIT, Draft
from ._outline_fields import enrich, name_and_enrich, without_infinitive
from ._outline_headings import column_role, find_id
from ._outline_source import Passage
from ._outline_statements import find_statements, find_stories
from ._outline_text import is_not_wanted, mask
from ._outline_words import FIELD_PHRASES, FILLERS, PROVING_COLUMNS

__all__ = ["is_rejected", "read_row"]

# What names a row, the best first.
_NAMING = ("title", "requirement", "want", "description", "problem", "desired_outcomes")
_ID = re.compile(r"[A-Za-z][A-Za-z_. -]{0,12}\d{1,6}(?:[.-]\d{1,4}){0,4}[a-z]?")


@lru_cache(maxsize=256)
def _roles(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(column_role, columns))


def _lists_requirements(roles: Sequence[str]) -> bool:
    if "requirement" in roles or "want" in roles or "problem" in roles:
        return True
    return ("title" in roles or "description" in roles) and not PROVING_COLUMNS.isdisjoint(roles)


def is_rejected(block: Block) -> bool:
    """Whether a row of a list of requirements says that it is not to be done."""
    roles = _roles(block.columns)
    stated = (cell for role, cell in zip(roles, block.cells, strict=False) if role in ("priority", "status"))
    return _lists_requirements(roles) and any(map(is_not_wanted, stated))


def read_row(block: Block, *, listed: bool) -> Draft | None:
    """Make a draft of a row; None if it tells no requirement.

    Args:
        block: The row.
        listed: Requirements are listed where it stands, so that no header is needed.
    """
    draft = Draft(strength=EXPLICIT)
    roles = _roles(block.columns)
    if _lists_requirements(roles):
        _read_columns(draft, block, roles)
    elif "term" not in roles:
        _read_cells(draft, block, listed=listed)
    draft.quote(Passage.of_cell(block, ""))
    return draft if draft.title else None


def _is_empty(cell: str) -> bool:
    return cell.strip().lower() in FILLERS or not cell.strip()


def _read_columns(draft: Draft, block: Block, roles: Sequence[str]) -> None:
    naming = _naming_column(block, roles)
    for role, column, cell in zip(roles, block.columns, block.cells, strict=False):
        if _is_empty(cell):
            continue
        if role == "id" and _ID.fullmatch(cell.strip()):
            draft.id = draft.id or cell.strip()
        elif role == "worth":
            draft.add("impact", cell, cell=True)
        elif role in FIELD_PHRASES:
            draft.add(role, cell, cell=True, moscow="moscow" in column.lower())
    for at, (role, cell) in enumerate(zip(roles, block.cells, strict=False)):
        if at == naming:
            _name(draft, block, cell)
        elif role in ("requirement", "description"):
            enrich(draft, Passage.of_cell(block, cell))


def _naming_column(block: Block, roles: Sequence[str]) -> int | None:
    """The column that names the row; one called "name" may name a person beside a column of requirements."""
    filled = [
        role if not _is_empty(cell) and not (column.lower() == "name" and "requirement" in roles) else ""
        for role, column, cell in zip(roles, block.columns, block.cells, strict=False)
    ]
    return next((filled.index(role) for role in _NAMING if role in filled), None)


def _name(draft: Draft, block: Block, cell: str) -> None:
    named = find_id(cell)
    if named is not None:
        draft.id = draft.id or named[0]
        cell = cell[named[1] :]
    name_and_enrich(draft, Passage.of_cell(block, without_infinitive(cell)))


def _read_cells(draft: Draft, block: Block, *, listed: bool) -> None:
    """Read a row whose header is missing or not telling: a cell must hold a story, a statement, or follow an id."""
    cells = [cell for cell in block.cells if not _is_empty(cell)]
    named = next((found for cell in cells if (found := find_id(cell.strip(), heading=True))), None)
    draft.id = named[0] if named else ""
    telling = next((cell for cell in cells if _tells(cell, listed=listed)), None)
    if telling is None and (listed or named):
        telling = next((cell for cell in cells if len(cell.split()) > 2), None)
    if telling is not None:
        _name(draft, block, telling)


def _tells(cell: str, *, listed: bool) -> bool:
    masked = mask(cell)
    return any(find_stories(masked)) or any(find_statements(masked, lenient=listed))
