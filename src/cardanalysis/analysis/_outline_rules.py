"""The rules: sections in, drafts of cards out."""

from __future__ import annotations

import re
from collections.abc import Callable

from attrs import frozen

from .._models import Priority
from ._outline_drafts import EXPLICIT, STRONG, WEAK, Draft
from ._outline_fields import enrich, name_and_enrich, of_statement, of_story
from ._outline_headings import Role, find_id
from ._outline_sections import Section, read_sections
from ._outline_source import Passage, Source
from ._outline_statements import find_demands, has_modal
from ._outline_tables import is_rejected, read_row
from ._outline_text import Span, first_sentence, sentences, take_priority
from ._outline_units import Kind, Unit, read_units
from ._outline_words import FILLERS

__all__ = ["Reader"]

_ALONE = ("problem", "desired_outcomes")  # fields that make a card where no use case is around
_NEVER_ALONE = ("current_state", "measures", "priority")  # fields whose sentences demand nothing by themselves

# "The portal must:" is completed by each item below it; "must support these formats:" is complete in itself.
_OPEN_END = re.compile(r"\b(?:shall|must|should|will|to|not|also|can)\s{0,3}:$", re.IGNORECASE)
# "The following must be kept in mind:" says nothing itself.
_NO_TOPIC = re.compile(r"(?:the following|these|following|we|you|they|it)\b", re.IGNORECASE)


@frozen(kw_only=True)
class _Lead:
    """A text whose last sentence announces a list; it is open if each item completes it."""

    unit: Unit
    passage: Passage
    sentence: Span
    is_open: bool


class Reader:
    """Reads one document and keeps what it finds.

    Attributes:
        drafts: The cards in the making, in the order in which they were found.
        rejected_rows: How many rows of requirement tables say that they are not to be done.
    """

    def __init__(self, source: Source) -> None:
        self.drafts: list[Draft] = []
        self.rejected_rows = 0
        self._source = source
        self._owners: dict[Section, Draft] = {}
        self._newest: tuple[Unit, Draft] | None = None
        readers = {
            Role.CARD: self._read_card,
            Role.FIELD: self._read_field,
            Role.GROUP: self._read_group,
            Role.USE_CASES: self._read_group,
            Role.PLAIN: self._read_plain,
        }
        for section in read_sections(read_units(source)):
            if section.role in readers:
                readers[section.role](section)

    def _read_card(self, section: Section) -> None:
        """A heading, numbered requirement or story that is one card with all that belongs to it."""
        heading = section.heading
        if heading is None or _only_groups(section):
            self._read_prose(section)
            return
        draft = self._shared(section) or self._new(Draft(strength=EXPLICIT, priority=section.priority))
        self._owners[section] = draft
        self._open(draft, heading)
        for unit in section.body:
            if not self._read_other(section, unit):
                self._tell(draft, unit)

    def _shared(self, section: Section) -> Draft | None:
        """The card of the heading around a story, if the story is all there is below it."""
        parent = section.parent
        if parent is None or parent not in self._owners or not _is_lone_story(section, parent):
            return None
        return self._owners[parent]

    def _open(self, draft: Draft, heading: Unit) -> None:
        passage = self._passage(heading, body=True)
        draft.quote(self._passage(heading))
        if heading.kind is Kind.HEADING:
            draft.id = heading.telling.id
            stated, draft.title = take_priority(heading.telling.title)
            draft.priority = stated or draft.priority
            enrich(draft, passage)
            return
        if heading.kind is Kind.LABEL and (named := find_id(passage.masked, heading=True)) is not None:
            passage = self._source.passage(heading.block, heading.body + named[1], heading.end)
        draft.id = draft.id or heading.id or heading.telling.id
        name_and_enrich(draft, passage)

    def _tell(self, draft: Draft, unit: Unit) -> None:
        passage = self._passage(unit)
        draft.quote(passage)
        (enrich if draft.title else name_and_enrich)(draft, passage)

    def _read_plain(self, section: Section) -> None:
        """Any other section: a card if its fields make it one; its sentences are looked through."""
        if section.holds_use_case:
            draft = self._owners[section] = self._new(Draft(strength=EXPLICIT, priority=section.priority))
            if section.heading is not None:
                draft.quote(self._passage(section.heading))
                draft.title = section.heading.telling.title
        (self._read_group if section.listed else self._read_prose)(section)

    def _read_prose(self, section: Section) -> None:
        lead: _Lead | None = None
        for unit in section.body:
            if self._read_other(section, unit):
                lead = None
            elif lead is not None and unit.kind is Kind.ITEM and unit.level > lead.unit.level:
                self._read_announced(section, lead, unit)
            else:
                lead = self._read_text(section, unit)

    def _read_text(self, section: Section, unit: Unit) -> _Lead | None:
        """Read sentences. If the last one announces a list ("The portal must:"), it is returned."""
        passage = self._passage(unit)
        announces = passage.masked.endswith(":") and has_modal(passage.masked)
        if announces and section.listed and _NO_TOPIC.match(passage.masked):
            return None
        is_open = _OPEN_END.search(passage.masked[-40:]) is not None
        if not is_open:
            self._read_sentences(section, unit)
        if not announces:
            return None
        return _Lead(unit=unit, passage=passage, sentence=list(sentences(passage.masked))[-1], is_open=is_open)

    def _read_announced(self, section: Section, lead: _Lead, item: Unit) -> None:
        """A list item below a text that announces it."""
        if lead.is_open:
            self._tell_alone(section, item, "").quote_announcement(lead.passage, lead.sentence)
        elif not self._read_sentences(section, item) and self._newest is not None and self._newest[0] is lead.unit:
            self._newest[1].quote(self._passage(item))

    def _read_sentences(self, section: Section, unit: Unit, *, body: bool = False) -> bool:
        """Make a draft of every story and every statement in a text."""
        passage = self._passage(unit, body=body)
        stories, statements = find_demands(passage.masked, lenient=section.listed)
        drafts = [of_story(passage, story) for story in stories]
        drafts += [of_statement(passage, statement) for statement in statements]
        stated = take_priority(passage.plain())[0] if len(drafts) == 1 else None
        for draft in drafts:
            draft.priority = draft.priority or stated or section.priority
            self._new(draft, unit)
        return bool(drafts)

    def _read_other(self, section: Section, unit: Unit) -> bool:
        if unit.kind is Kind.LABEL:
            self._read_label(section, unit)
        elif unit.kind is Kind.ROW:
            self._read_row(section, unit)
        return unit.kind in (Kind.LABEL, Kind.ROW)

    def _read_row(self, section: Section, unit: Unit) -> None:
        draft = read_row(unit.block, listed=section.listed)
        if draft is None:
            return
        if is_rejected(unit.block):
            self.rejected_rows += 1
            return
        draft.priority = draft.priority or section.priority
        self._new(draft, unit)

    def _read_label(self, section: Section, unit: Unit) -> None:
        """A line such as "Priority: high"."""
        value, telling = self._passage(unit, body=True), unit.telling
        draft = self._draft_of(section, unit) if telling.field else None
        if draft is not None:
            draft.add(telling.field, value.text)
            draft.quote(self._passage(unit))
        elif telling.field in _ALONE or telling.priority:
            self._tell_alone(section, unit, telling.field, telling.priority)
        elif telling.field not in _NEVER_ALONE:
            self._read_sentences(section, unit, body=True)

    def _tell_alone(self, section: Section, unit: Unit, field: str, priority: Priority | None = None) -> Draft:
        """Make a card of a list item, label or text that no other card takes."""
        draft = self._new(Draft(strength=WEAK if field else STRONG, priority=priority or section.priority), unit)
        passage = self._passage(unit, body=True)
        draft.quote(self._passage(unit))
        if field:
            # A problem tells how it is: its sentences demand nothing, whatever their verbs.
            stated, draft.title = take_priority(first_sentence(passage.plain()))
            draft.priority = stated or draft.priority
            draft.add(field, passage.text)
        else:
            name_and_enrich(draft, passage)
        return draft

    def _draft_of(self, section: Section, unit: Unit) -> Draft | None:
        """The card that a label belongs to: that of its section, else what was found in the same block."""
        if section.role is not Role.CARD and self._newest is not None and self._newest[0].block is unit.block:
            return self._newest[1]
        return self._owner(section)

    def _owner(self, section: Section) -> Draft | None:
        """The card of the section around; further out only if its heading calls it one."""
        near = True
        for each in section.around():
            if each in self._owners and (near or each.role is Role.CARD):
                return self._owners[each]
            near = near and each.role is Role.FIELD
        return None

    def _read_group(self, section: Section) -> None:
        """A list of requirements: every outermost item is a card."""
        before = len(self.drafts)
        self._read_items(section, "", self._read_text)
        is_leaf = section.role is Role.PLAIN and not section.children and not any(map(_is_row, section.body))
        if before == len(self.drafts) and is_leaf and section.heading is not None:
            self._open(self._new(Draft(strength=STRONG, priority=section.priority)), section.heading)
            for unit in section.body:
                self._tell(self.drafts[-1], unit)

    def _read_items(self, section: Section, field: str, read_text: Callable[[Section, Unit], _Lead | None]) -> None:
        outermost = min((unit.level for unit in section.body if unit.kind is Kind.ITEM), default=0)
        draft: Draft | None = None
        lead: _Lead | None = None
        for unit in section.body:
            if self._read_other(section, unit):
                continue
            if unit.kind is Kind.TEXT:
                lead = read_text(section, unit)
            elif lead is not None and unit.level == outermost:
                self._read_announced(section, lead, unit)
            elif unit.level > outermost and draft is not None:
                self._tell(draft, unit)
            elif not _says_nothing(self._passage(unit).plain()):
                draft = self._tell_alone(section, unit, field)

    def _read_field(self, section: Section) -> None:
        """What stands below a heading such as "Constraints"."""
        owner = self._owner(section)
        if owner is not None:
            self._fill(owner, section)
        elif section.field in _ALONE:
            self._read_alone(section)
        elif section.field not in _NEVER_ALONE:
            self._read_prose(section)

    def _fill(self, owner: Draft, section: Section) -> None:
        heading = section.heading
        if heading is not None and heading.telling.role is Role.FIELD and heading.telling.title:
            owner.add(section.field, heading.telling.title)
            owner.quote(self._passage(heading))
        for unit in section.body:
            passage = self._passage(unit)
            if unit.kind is Kind.ROW and read_row(unit.block, listed=False) is None:
                owner.add(section.field, unit.block.cells[0], cell=True)
                owner.quote(passage)
            elif not self._read_other(section, unit) and not passage.masked.endswith(":"):
                owner.add(section.field, passage.text)
                owner.quote(passage)

    def _read_alone(self, section: Section) -> None:
        """Goals or problems that belong to no use case: a card for each item, or one for the text."""
        before = len(self.drafts)
        self._read_items(section, section.field, _skip if section.field == "problem" else self._read_text)
        texts = [unit for unit in section.body if unit.kind is Kind.TEXT]
        if before == len(self.drafts) and texts:
            draft = self._tell_alone(section, texts[0], section.field)
            for unit in texts[1:]:
                draft.add(section.field, self._passage(unit).text)
                draft.quote(self._passage(unit))

    def _new(self, draft: Draft, unit: Unit | None = None) -> Draft:
        self.drafts.append(draft)
        self._newest = (unit, draft) if unit is not None else None
        return draft

    def _passage(self, unit: Unit, *, body: bool = False) -> Passage:
        return self._source.passage(unit.block, unit.body if body else unit.start, unit.end)


def _skip(_section: Section, _unit: Unit) -> None:
    """Leave a text alone."""


def _is_row(unit: Unit) -> bool:
    return unit.kind is Kind.ROW


def _says_nothing(text: str) -> bool:
    return text.strip(" .").lower() in FILLERS or text.endswith("?")


def _is_lone_story(section: Section, parent: Section) -> bool:
    """Whether a story without an id is the only entry below a heading that is a card itself."""
    heading = section.heading
    return heading is not None and heading.story and not heading.id and parent.cards == 1


def _only_groups(section: Section) -> bool:
    """Whether a heading such as "Feature: intake" only stands over numbered requirements and stories."""
    heading = section.heading
    if heading is None or heading.kind not in (Kind.HEADING, Kind.LABEL) or heading.telling.id or section.fields:
        return False
    if section.cards == 1 and not section.body:
        return not any(_is_lone_story(child, section) for child in section.children)
    return section.cards > 1
