"""Units as a tree of sections. A section is what stands below a heading, or belongs to a label, an id or a story."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import Factory, define, evolve

from .._models import Priority
from ._outline_headings import PLAIN, Role
from ._outline_statements import begins_story
from ._outline_units import TELLING_LINE, Kind, Unit
from ._outline_words import NEUTRAL_HEADINGS

__all__ = ["Section", "read_sections"]

_OPENER = 50  # level of "Use case: …" at the start of a line: below every heading, above telling lines
_LEAD_IN = 110  # level of "Goals:" before a list
_ENTRY = 120  # level of a numbered requirement or a story

_PROBLEM_FIELDS = ("problem", "current_state")
_TELLING_FIELDS = (*_PROBLEM_FIELDS, "priority", "impact")


@define(eq=False)
class Section:
    """A heading, or what stands for one, and what belongs to it.

    Attributes:
        parent: The section around it; None for the document itself.
        level: Depth; see the constants of this module for what has no heading.
        heading: The unit that opens it; None for the document itself.
        role: What stands below, also as the sections around it have it.
        field: For `Role.FIELD`, the card's field.
        priority: Of everything below.
        listed: Whether it stands where requirements are listed.
        body: Its own units, without those of sections inside it.
        children: The sections inside it.
        cards: How many of these are cards.
        last: The newest unit in it, also one that opened a section inside.
    """

    parent: Section | None
    level: int
    heading: Unit | None = None
    role: Role = Role.PLAIN
    field: str = ""
    priority: Priority | None = None
    listed: bool = False
    body: list[Unit] = Factory(list[Unit])
    children: list[Section] = Factory(list["Section"])
    cards: int = 0
    last: Unit | None = None

    def around(self) -> Iterator[Section]:
        """This section and those around it, from the inside out."""
        section: Section | None = self
        while section is not None:
            yield section
            section = section.parent

    @property
    def fields(self) -> set[str]:
        """The fields that labels and sections right inside it give."""
        told = {unit.telling.field for unit in self.body if unit.kind is Kind.LABEL}
        told |= {child.field for child in self.children if child.role is Role.FIELD}
        return told - {"", "measures"}

    @property
    def holds_use_case(self) -> bool:
        """Whether its fields alone make it a card. Whole projects, too, have goals, constraints, users and systems."""
        fields = self.fields
        if self.role is not Role.PLAIN or fields.isdisjoint(_TELLING_FIELDS):
            return False
        if fields.isdisjoint(_PROBLEM_FIELDS):
            return len(fields) >= 3 and self.heading is not None
        return len(fields) >= 2


def read_sections(units: list[Unit]) -> list[Section]:
    """Arrange units in sections, in the order in which they begin; the first is the document itself."""
    builder = _Builder(_without_telling_title(units))
    return builder.sections


def _without_telling_title(units: list[Unit]) -> list[Unit]:
    """A document called "Requirements for the portal" lists none right below its title, but in its sections."""
    headings = [unit for unit in units if unit.kind is Kind.HEADING]
    if len(headings) < 2 or headings[0] is not units[0] or sum(heading.level == 1 for heading in headings) != 1:
        return units
    title = headings[0]
    holds_list = units[1].kind in (Kind.ITEM, Kind.ROW)
    if title.level > 1 or holds_list or title.telling.role not in (Role.GROUP, Role.USE_CASES, Role.FIELD):
        return units
    return [evolve(title, telling=PLAIN), *units[1:]]


class _Builder:
    """The sections so far, and those that are still open."""

    def __init__(self, units: list[Unit]) -> None:
        root = Section(parent=None, level=0)
        self.sections = [root]
        self._open = [root]
        add = {Kind.HEADING: self._add_heading, Kind.LABEL: self._add_label}
        for unit in units:
            add.get(unit.kind, self._add_content)(unit)

    def _add_heading(self, unit: Unit) -> None:
        level = unit.level
        case = self._use_case_at(level) if unit.telling.role is Role.FIELD else None
        while self._open[-1] is not case and self._open[-1].level >= (level if case is None else 0):
            self._open.pop()
        self._push(unit, level if case is None else max(level, case.level + 1))

    def _use_case_at(self, level: int) -> Section | None:
        """The use case that the heading of a field belongs to although it is on the same level."""
        cases = (each for each in reversed(self._open) if each.role is Role.CARD and each.level in (level, _OPENER))
        return next(cases, None)

    def _add_label(self, unit: Unit) -> None:
        role, has_value = unit.telling.role, unit.body < unit.end
        if role in (Role.CARD, Role.PLAIN):
            self._add_opener(unit)
        elif not has_value:
            self._close_entries(lambda section: not _takes_lead_in(section, unit))
            self._push(unit, _LEAD_IN)
        elif role is not Role.IGNORED:
            self._close_entries(lambda section: section.level == _LEAD_IN)
            self._open[-1].body.append(unit)

    def _add_opener(self, unit: Unit) -> None:
        if begins_story(unit.telling.title):
            self._add_content(evolve(unit, kind=Kind.TEXT, start=unit.body, story=True, id=unit.telling.id))
            return
        self._close_entries(lambda _: True)
        self._push(unit, _OPENER)

    def _add_content(self, unit: Unit) -> None:
        self._close_entries(lambda section: not _takes(section, unit))
        if unit.id or unit.story:
            self._push(unit, _ENTRY)
        else:
            self._open[-1].body.append(unit)
            self._open[-1].last = unit

    def _close_entries(self, is_over: Callable[[Section], bool]) -> None:
        while self._open[-1].level >= _OPENER and is_over(self._open[-1]):
            self._open.pop()

    def _push(self, unit: Unit, level: int) -> None:
        parent = self._open[-1]
        role, field = _role_within(parent, unit)
        section = Section(
            parent=parent,
            level=level,
            heading=unit,
            role=role,
            field=field,
            priority=unit.telling.priority or parent.priority,
            listed=role in (Role.GROUP, Role.USE_CASES)
            or (parent.listed and role is Role.PLAIN and not _is_neutral(unit)),
        )
        parent.last = unit
        parent.children.append(section)
        parent.cards += role is Role.CARD
        self.sections.append(section)
        self._open.append(section)


def _role_within(parent: Section, unit: Unit) -> tuple[Role, str]:
    """The role of a section as the one around it has it."""
    telling = unit.telling
    if parent.role is Role.IGNORED:
        return Role.IGNORED, ""
    if unit.kind in (Kind.TEXT, Kind.ITEM):
        return Role.CARD, ""
    if telling.role is Role.PLAIN and unit.kind is Kind.HEADING and not _is_neutral(unit):
        if parent.role is Role.FIELD:
            return Role.FIELD, parent.field
        if parent.role is Role.USE_CASES:
            return Role.CARD, ""
    return telling.role, telling.field


def _is_neutral(unit: Unit) -> bool:
    return unit.telling.title.lower().strip(" .:") in NEUTRAL_HEADINGS


def _takes_lead_in(section: Section, unit: Unit) -> bool:
    """Whether a list that a label announces belongs to an open entry or to what is around it."""
    heading = section.heading
    if heading is None or section.level in (_OPENER, TELLING_LINE):
        return True
    if unit.level > heading.level:
        return True
    if section.level == _LEAD_IN:
        return False
    return unit.block is heading.block or unit.telling.field == "measures" or heading.titled


def _takes(section: Section, unit: Unit) -> bool:
    """Whether text, a list item or a row belongs to an open section that no heading ends."""
    heading = section.heading
    if heading is None:
        return True
    if section.level == TELLING_LINE:
        is_title = unit.kind is Kind.TEXT and unit.titled
        return not (is_title and (section.last is not None or section.role is Role.IGNORED))
    if section.level == _LEAD_IN:
        return _announces(section, heading, unit)
    if section.level == _OPENER and (section.role is not Role.CARD or unit.id or unit.story):
        return True
    return _continues(section, heading, unit)


def _announces(section: Section, heading: Unit, unit: Unit) -> bool:
    """Of a lead-in: one text, or one run of list items or rows."""
    if heading.level and unit.kind is Kind.ITEM:
        return unit.level > heading.level
    last = section.last
    return last is None or (last.kind is unit.kind and unit.kind is not Kind.TEXT)


def _continues(section: Section, heading: Unit, unit: Unit) -> bool:
    """Of a numbered requirement, a story or a use case: its sub-items, and what follows a mere title."""
    if unit.kind is Kind.ROW:
        return False
    if heading.level:
        return unit.level > heading.level
    if unit.kind is Kind.ITEM and unit.block is heading.block:
        return True
    if unit.id or unit.story or not heading.titled:
        return False
    return section.last is None or (unit.kind is Kind.ITEM and section.last.kind is Kind.ITEM)
