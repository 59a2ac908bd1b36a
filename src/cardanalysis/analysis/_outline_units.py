"""A document's blocks as units: headings, labels, list items, text and table rows, whatever the format left together.

A paragraph of plain text may hold a heading, labels ("Priority: high") and bullets; here each is a unit of its own.
"""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from itertools import groupby

from attrs import evolve, frozen

from .._documents import Block, BlockKind
from ._outline_headings import PLAIN, Role, Telling, find_id, numbering, tell_heading, tell_label, tell_lead_in
from ._outline_source import Source
from ._outline_statements import begins_story, find_stories, has_modal, is_story_part, strip_speaker
from ._outline_text import trim

__all__ = ["Kind", "Unit", "read_units"]

TELLING_LINE = 60  # level of a line such as "Pain points" that no markup makes a heading


class Kind(Enum):
    """What a unit is."""

    HEADING = auto()
    LABEL = auto()
    ITEM = auto()
    TEXT = auto()
    ROW = auto()


@frozen(kw_only=True)
class Unit:
    """The smallest piece that a rule looks at.

    Attributes:
        kind: What it is.
        block: The block it comes from.
        start: Offset of its first character, behind bullets and speakers.
        end: Offset behind it.
        level: Depth of a heading or of a list item; 0 outside lists.
        body: Offset of the text behind an id, or of the value behind a label.
        id: The requirement's id, or empty.
        telling: What a heading or label says.
        story: Whether it is a user story.
        titled: Whether it is one short line without a full stop, as titles are.
        numbered: Whether it is an item with a number.
        chapter: How many numbers stand before it, as in "3.1.2 The system shall …"; 0 without a dot in it.
    """

    kind: Kind
    block: Block
    start: int
    end: int
    level: int = 0
    body: int
    id: str = ""
    telling: Telling = PLAIN
    story: bool = False
    titled: bool = False
    numbered: bool = False
    chapter: int = 0


_BULLET = re.compile(
    r"(?P<indent>[ \t]{0,40})(?:[-*+•‣◦▪–](?=[ \t])|(?P<number>\(?\d{1,3}[.)]|\(?[a-z]\)|\([ivx]{1,5}\))(?=[ \t]))"
    r"[ \t]{1,8}(?:\[[ xX]\][ \t]{1,4})?"
)
_NUMBER_BEFORE = re.compile(r"(?:^|\s)\d{1,3}[.)][ \t]{1,8}$")
_RULE = re.compile(r"[ \t]{0,8}([=\-_*~#])\1{2,}[ \t]{0,8}$|[ \t]{0,8}(?:[-*_][ \t]){3,}")
_HASHES = re.compile(r"[ \t]{0,3}#{1,6}[ \t]{1,8}")
_LABEL = re.compile(r"(?P<label>[^\W\d_][^:\r\n|.;!?]{0,48}?)\s{0,3}(?::(?!//)|\s[–—-](?=\s))[ \t]{0,8}")
_CHAPTER = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2}){1,5})\.?[ \t]{1,6}(?=[^\W\d_a-z])")
_FIRST_MARKS = frozenset("-*•+‣◦▪1ai")
_UNDERLINES = {"=": 1, "-": 2, "~": 3}
_DEEPEST = 9  # level of a heading or list item; what is deeper counts as this deep
_UNREAD = (BlockKind.CODE, BlockKind.IMAGE)


def read_units(source: Source) -> list[Unit]:
    """Cut a document into units, in reading order."""
    units: list[Unit] = []
    for is_table, blocks in groupby(source.document.blocks, key=lambda block: bool(block.cells)):
        if is_table:
            units += _table_units(source, list(blocks))
        else:
            for block in blocks:
                units += _block_units(source, block)
    units = [_with_story_checked(source, unit) for unit in _with_joined_stories(source, units)]
    return _with_numbered_headings(source, units)


def _block_units(source: Source, block: Block) -> list[Unit]:
    if block.kind in _UNREAD or (block.kind is BlockKind.NOTE and source.document.media_type == "text/markdown"):
        return []
    start, end = trim(source.masked, *source.span_of(block))
    if start >= end:
        return []
    if block.kind is BlockKind.HEADING:
        return [_heading(source, block, start, end, min(max(block.level, 1), _DEEPEST))]
    return _text_units(source, block, start, end)


def _heading(source: Source, block: Block, start: int, end: int, level: int) -> Unit:
    hashes = _HASHES.match(source.masked, start, end)
    start = hashes.end() if hashes else start
    lines = [line for line in source.lines(start, end) if not _RULE.match(source.masked, *line)]
    start, end = trim(source.masked, start, lines[-1][1] if lines else end)
    end = start + len(source.masked[start:end].rstrip("# \t"))
    body = start + numbering(source.masked[start:end])
    telling = tell_heading(source.passage(block, body, end).plain())
    return Unit(kind=Kind.HEADING, block=block, start=start, end=end, level=level, body=body, telling=telling)


def _text_units(source: Source, block: Block, start: int, end: int) -> list[Unit]:
    units: list[Unit] = []
    fresh = True
    for line_start, line_end in source.lines(start, end):
        first, last = trim(source.masked, line_start, line_end)
        if first == last or _RULE.match(source.masked, line_start, line_end):
            if units and first < last and source.text[first] in _UNDERLINES:
                units[-1] = _underlined(source, units[-1], _UNDERLINES[source.text[first]])
            fresh = True
            continue
        unit = _open_unit(source, block, line_start, last, units[-1] if units else None)
        if fresh or unit.start > first or not _can_go_on(source, units[-1], unit):
            units.append(unit)
        else:
            units[-1] = evolve(units[-1], end=last, titled=False)
        fresh = False
    return [_as_heading(source, unit, alone=len(units) == 1) for unit in units]


def _open_unit(source: Source, block: Block, start: int, end: int, previous: Unit | None) -> Unit:
    """Read a line as the begin of a unit; a line that begins nothing comes back as text."""
    level = min(block.level or 1, _DEEPEST) if previous is None and block.kind is BlockKind.LIST_ITEM else 0
    bullet = _BULLET.match(source.masked, start, end)
    numbered = _NUMBER_BEFORE.search(source.masked[max(0, start - 10) : start]) is not None
    chapter = 0
    if bullet is not None and bullet.end() < end and _may_begin_item(bullet, previous):
        level = level or min(len(bullet["indent"].expandtabs(4)) // 2 + 1, _DEEPEST)
        start, numbered = bullet.end(), bullet["number"] is not None
    elif (number := _CHAPTER.match(source.masked, start, end)) is not None:
        level = chapter = 1 + number["number"].count(".")
        start = number.end()
    start, end = trim(source.masked, start, end)
    unit = Unit(
        kind=Kind.ITEM if level else Kind.TEXT,
        block=block,
        start=start,
        end=end,
        level=level,
        body=start,
        numbered=numbered,
        chapter=chapter,
    )
    return _with_label(source, unit) or _with_id(source, unit)


def _may_begin_item(bullet: re.Match[str], previous: Unit | None) -> bool:
    """In the midst of a paragraph a line may begin with "12. " only because it was wrapped there."""
    return previous is None or previous.kind is not Kind.TEXT or bullet[0].strip("( \t.)[]xX") in _FIRST_MARKS


def _with_label(source: Source, unit: Unit) -> Unit | None:
    line = source.passage(unit.block, unit.start, unit.end)
    label = _LABEL.match(line.masked)
    if label is not None and find_id(line.masked) is None:
        value = line.plain((label.end(), len(line.text)))
        telling = tell_label(label["label"], value) if value else tell_lead_in(label["label"])
        if telling is not None:
            return evolve(
                unit, kind=Kind.LABEL, telling=telling, body=unit.start + label.end(), titled=_is_title(value)
            )
    telling = tell_lead_in(line.plain()) if line.masked.endswith(":") else None
    return None if telling is None else evolve(unit, kind=Kind.LABEL, telling=telling, body=unit.end)


def _with_id(source: Source, unit: Unit) -> Unit:
    text = source.masked[unit.start : unit.end]
    named = find_id(text)
    skipped = named[1] if named else strip_speaker(text)
    body, text = unit.start + skipped, text[skipped:]
    return evolve(
        unit,
        id=named[0] if named else "",
        start=unit.start if named else body,
        body=body,
        story=begins_story(text),
        titled=_is_title(text),
    )


def _is_title(text: str) -> bool:
    if not text or len(text) > 90 or text[0].islower() or text[-1] in ".!?;,:…":
        return False
    return not has_modal(text) and not begins_story(text)


def _can_go_on(source: Source, unit: Unit, line: Unit) -> bool:
    """Whether a line goes on with a unit, instead of beginning one of its own."""
    if line.kind is not Kind.TEXT or line.id or line.story or unit.kind is Kind.HEADING:
        return False
    if unit.kind is Kind.LABEL and unit.body >= unit.end:
        return False
    names = unit.chapter or (unit.kind is Kind.LABEL and unit.telling.role in (Role.CARD, Role.PLAIN))
    return not (names and unit.titled) or source.masked[line.start].islower()


def _is_capital(source: Source, unit: Unit) -> bool:
    text = source.masked[unit.start : unit.end]
    return text == text.upper() and sum(map(str.isalpha, text)) >= 4


def _underlined(source: Source, unit: Unit, level: int) -> Unit:
    if unit.kind is not Kind.TEXT or not unit.titled:
        return unit
    return _heading(source, unit.block, unit.start, unit.end, level)


def _as_heading(source: Source, unit: Unit, *, alone: bool) -> Unit:
    """Make a heading of a short line with the number of a chapter, in capitals, or alone and telling."""
    if not unit.titled or unit.id:
        return unit
    if unit.chapter:
        return _heading(source, unit.block, unit.start, unit.end, unit.chapter)
    if unit.kind is not Kind.TEXT:
        return unit
    if _is_capital(source, unit):
        return _heading(source, unit.block, unit.start, unit.end, 1)
    heading = _heading(source, unit.block, unit.start, unit.end, TELLING_LINE)
    return unit if not alone or heading.telling.role is Role.PLAIN else heading


def _with_joined_stories(source: Source, units: list[Unit]) -> list[Unit]:
    """Join "As a …", "I want …" and "So that …" where they are items or paragraphs of their own."""
    joined: list[Unit] = []
    for unit in units:
        if joined and _goes_on(source, joined[-1], unit):
            joined[-1] = evolve(joined[-1], end=unit.end)
        else:
            joined.append(unit)
    return joined


def _with_story_checked(source: Source, unit: Unit) -> Unit:
    """Leave the mark of a story only where one is; several in one text are read like sentences."""
    if not unit.story:
        return unit
    stories = list(find_stories(source.masked[unit.body : unit.end]))
    return unit if len(stories) == 1 else evolve(unit, story=False)


def _goes_on(source: Source, story: Unit, unit: Unit) -> bool:
    if not story.story or unit.kind not in (Kind.ITEM, Kind.TEXT) or not 0 <= unit.start - story.end <= 80:
        return False
    has_want = next(find_stories(source.masked[story.body : story.end]), None) is not None
    return is_story_part(source.masked[unit.start : unit.end], benefit=has_want)


def _with_numbered_headings(source: Source, units: list[Unit]) -> list[Unit]:
    """Take "1. Claims intake" for a heading where it is no part of a list."""
    before, after = [None, *units], [*units[1:], None]
    return [
        _heading(source, unit.block, unit.start, unit.end, 1) if _stands_alone(previous, unit, following) else unit
        for previous, unit, following in zip(before, units, after, strict=False)
    ]


def _stands_alone(previous: Unit | None, unit: Unit, following: Unit | None) -> bool:
    if not (unit.numbered and unit.titled) or following is None or (previous is not None and previous.numbered):
        return False
    return following.kind is not Kind.ITEM or not (following.numbered or following.level > unit.level)


def _table_units(source: Source, blocks: list[Block]) -> Iterator[Unit]:
    """Yield a table's rows; a table of two columns that names fields in the first gives labels instead."""
    tables: list[list[Block]] = []
    for block in blocks:
        if block.kind is BlockKind.TABLE_HEADER or not tables:
            tables.append([])
        tables[-1].append(block)
    for table in tables:
        labels = [_cell_label(source, block) for block in table]
        told = [label for label in labels if label is not None]
        if len(told) >= 3 and len(told) * 2 >= len(table):
            yield from told
        else:
            yield from (_row(source, block) for block in table if block.kind is not BlockKind.TABLE_HEADER)


def _row(source: Source, block: Block) -> Unit:
    start, end = source.span_of(block)
    return Unit(kind=Kind.ROW, block=block, start=start, end=end, body=start)


def _cell_label(source: Source, block: Block) -> Unit | None:
    if len(block.cells) != 2 or not block.cells[1].strip():
        return None
    label, value = (cell.strip() for cell in block.cells)
    telling = tell_label(label.rstrip(":"), value)
    start = source.text.find(label, *source.span_of(block))
    body = source.text.rfind(value, *source.span_of(block))
    if telling is None or not 0 <= start <= body:
        return None
    return Unit(kind=Kind.LABEL, block=block, start=start, end=body + len(value), body=body, telling=telling)
