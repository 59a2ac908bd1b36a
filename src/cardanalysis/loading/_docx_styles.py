"""What a Word paragraph is by its style and numbering: a heading, an item of a list with its number, hidden text.

Rules are those of ISO/IEC 29500-1, 17.7 (styles) and 17.9 (numbering).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree.ElementTree import Element

from attrs import define, frozen

from ._docx_xml import attribute, child, flag, local, number, value

_CHAIN = 50  # styles that a style is based on; Word allows fewer, and a style may be based on itself
_BODY_TEXT = 9  # the outline level of what is no heading
_LEVELS = 9

# The names of headings: English in Word's files whatever its language, but not in those of all other programs.
_HEADING = re.compile(
    "(?:heading|überschrift|titre|título|titolo|kop|rubrik|overskrift|otsikko|nagłówek|nadpis|címsor|başl\u0131k|заголовок"
    "|見出し|标题|標題|제목) ?([1-9])"
)
_LIST = re.compile("list (?:bullet|number) ([2-5])")


class Numbered(NamedTuple):
    """That a paragraph is numbered: by which list, and on which of its levels, counted from 0."""

    list_id: str
    level: int


@frozen
class _Style:
    id: str
    name: str
    based_on: str | None
    outline: int | None
    list_id: str | None
    list_level: int | None
    hidden: bool | None


def _style(element: Element) -> _Style:
    paragraph = child(element, "pPr")
    return _Style(
        id=attribute(element, "styleId") or "",
        name=(value(element, "name") or "").lower(),
        based_on=value(element, "basedOn"),
        outline=number(value(paragraph, "outlineLvl")),
        list_id=value(paragraph, "numPr", "numId"),
        list_level=number(value(paragraph, "numPr", "ilvl")),
        hidden=flag(element, "rPr", "vanish"),
    )


class Styles:
    """The styles of a document; None stands for a document without any."""

    def __init__(self, root: Element | None) -> None:
        elements = [each for each in root if local(each.tag) == "style"] if root is not None else []
        self._styles = {style.id: style for style in map(_style, elements)}
        self._default = next(map(_style, filter(_is_default, elements)), None)
        self._headings: dict[str | None, int] = {}
        self._hidden: dict[str | None, bool | None] = {}

    def heading(self, properties: Element | None) -> int:
        """The level of the heading that a paragraph is, counted from 1; 0 if it is none."""
        outline = number(value(properties, "outlineLvl"))
        if outline is not None:
            return outline + 1 if outline < _BODY_TEXT else 0
        style_id = value(properties, "pStyle")
        if style_id not in self._headings:
            self._headings[style_id] = next(filter(None, map(_outline, self.chain(style_id))), _BODY_TEXT + 1)
        level = self._headings[style_id]
        return level if level <= _BODY_TEXT else 0

    def hidden(self, style_id: str | None, *, paragraph: bool = False) -> bool | None:
        """Whether a style hides text; None if it says nothing about it."""
        if style_id is None and not paragraph:
            return None
        if style_id not in self._hidden:
            said = (style.hidden for style in self.chain(style_id) if style.hidden is not None)
            self._hidden[style_id] = next(said, None)
        return self._hidden[style_id]

    def name(self, style_id: str | None) -> str:
        """The name of a style, lower case."""
        style = self._styles.get(style_id or "")
        return style.name if style is not None else ""

    def chain(self, style_id: str | None) -> Iterator[_Style]:
        """A style and those that it is based on; that of plain paragraphs where none is named."""
        style = self._styles.get(style_id) if style_id is not None else self._default
        for _ in range(_CHAIN):
            if style is None:
                return
            yield style
            style = self._styles.get(style.based_on or "")


def _is_default(element: Element) -> bool:
    return attribute(element, "type") == "paragraph" and (attribute(element, "default") or "0") in ("1", "true", "on")


def _outline(style: _Style) -> int | None:
    """The level that a style says for itself: 1 to 9 for headings, 10 for body text."""
    if style.outline is not None:
        return min(style.outline, _BODY_TEXT) + 1
    found = _HEADING.fullmatch(style.name)
    return int(found[1]) if found else 1 if style.name == "title" else None


@frozen
class _Level:
    start: int
    kind: str
    text: str
    style_id: str | None
    decimal: bool

    @property
    def shown(self) -> bool:
        return self.kind != "none" or bool(self.text.strip())


def _level(element: Element) -> _Level:
    start = number(value(element, "start"))
    return _Level(
        start=0 if start is None else start,
        kind=value(element, "numFmt") or "decimal",
        text=value(element, "lvlText") or "",
        style_id=value(element, "pStyle"),
        decimal=bool(flag(element, "isLgl")),
    )


def _levels(element: Element) -> dict[int, _Level]:
    found = ((number(attribute(each, "ilvl")), each) for each in element if local(each.tag) == "lvl")
    return {at: _level(each) for at, each in found if at is not None and at < _LEVELS}


@define
class _List:
    abstract: str  # lists of the same one count on together
    levels: dict[int, _Level]
    restarts: dict[int, int]  # levels that begin anew when the list is used for the first time
    linked: str | None = None  # the style whose list's levels it has


class Numbering:
    """The lists of a document, and how far each has counted; None stands for a document without any."""

    def __init__(self, root: Element | None, styles: Styles) -> None:
        self._styles = styles
        self._lists: dict[str, _List] = {}
        self._counts: dict[str, dict[int, int]] = {}
        if root is not None:
            self._read(root)

    def of(self, properties: Element | None) -> Numbered | None:
        """How a paragraph is numbered, by itself or by its style; None if it is not."""
        direct = child(properties, "numPr")
        list_id, level = value(direct, "numId"), number(value(direct, "ilvl"))
        if list_id is None:
            list_id, styled = self._by_style(value(properties, "pStyle"))
            level = styled if level is None else level
        if list_id in (None, "0"):
            return None
        return Numbered(list_id or "", min(level or 0, _LEVELS - 1))

    def depth(self, numbered: Numbered, style_id: str | None) -> int:
        """The level of an item, counted from 1; styles such as "List Bullet 2" each have a list of one level."""
        named = _LIST.fullmatch(self._styles.name(style_id))
        return int(named[1]) if named and numbered.level == 0 else numbered.level + 1

    def shown(self, numbered: Numbered) -> bool:
        """Whether readers see a number or bullet."""
        level = self._levels_of(numbered.list_id).get(numbered.level)
        return level is None or level.shown

    def label(self, numbered: Numbered) -> str:
        """Count an item, and give the number that readers see before it; empty for bullets."""
        found = self._lists.get(numbered.list_id)
        levels = self._levels_of(numbered.list_id)
        level = levels.get(numbered.level)
        if found is None or level is None:
            return ""
        counts = self._counts.setdefault(found.abstract, {})
        self._count(found, levels, counts, numbered.level)
        if level.kind == "bullet":
            return ""

        def place(mark: re.Match[str]) -> str:
            at = int(mark[1]) - 1
            other = levels.get(at, level)
            return written(counts.get(at, other.start), "decimal" if level.decimal else other.kind)

        return re.sub("%([1-9])", place, level.text).strip()

    def _count(self, found: _List, levels: dict[int, _Level], counts: dict[int, int], at: int) -> None:
        restart = found.restarts.pop(at, None)
        if restart is not None:
            counts[at] = restart
        else:
            counts[at] = counts[at] + 1 if at in counts else levels[at].start
        for deeper in range(at + 1, _LEVELS):
            counts.pop(deeper, None)

    def _by_style(self, style_id: str | None) -> tuple[str | None, int | None]:
        for style in self._styles.chain(style_id):
            if style.list_id is not None:
                levels = self._levels_of(style.list_id)
                linked = next((at for at, level in levels.items() if level.style_id == style.id), style.list_level)
                return style.list_id, linked
        return None, None

    def _levels_of(self, list_id: str) -> dict[int, _Level]:
        """The levels of a list, or of that of the style which it is linked with; links of links are not followed."""
        found = self._lists.get(list_id)
        if found is None:
            return {}
        if found.levels or found.linked is None:
            return found.levels
        style = next(self._styles.chain(found.linked), None)
        other = self._lists.get(style.list_id or "") if style is not None else None
        return other.levels if other is not None else {}

    def _read(self, root: Element) -> None:
        abstracts = {
            attribute(each, "abstractNumId") or "": (_levels(each), value(each, "numStyleLink"))
            for each in root
            if local(each.tag) == "abstractNum"
        }
        for each in root:
            if local(each.tag) == "num":
                abstract = value(each, "abstractNumId") or ""
                levels, linked = abstracts.get(abstract, ({}, None))
                own, restarts = _overrides(each)
                list_id = attribute(each, "numId") or ""
                self._lists[list_id] = _List(abstract, {**levels, **own} if own else levels, restarts, linked)


def _overrides(element: Element) -> tuple[dict[int, _Level], dict[int, int]]:
    levels: dict[int, _Level] = {}
    restarts: dict[int, int] = {}
    for each in element:
        at = number(attribute(each, "ilvl"))
        if local(each.tag) != "lvlOverride" or at is None or at >= _LEVELS:
            continue
        levels.update(_levels(each))
        start = number(value(each, "startOverride"))
        if start is not None:
            restarts[at] = start
    return levels, restarts


_ROMAN = (
    (1000, "m"),
    (900, "cm"),
    (500, "d"),
    (400, "cd"),
    (100, "c"),
    (90, "xc"),
    (50, "l"),
    (40, "xl"),
    (10, "x"),
    (9, "ix"),
    (5, "v"),
    (4, "iv"),
    (1, "i"),
)


def written(count: int, kind: str) -> str:
    """A number as a format (17.18.59) writes it; formats of other scripts are written in digits."""
    match kind:
        case "lowerLetter" | "upperLetter" if 0 < count < 780:  # a to z, then aa to zz
            letter = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
            return letter if kind == "lowerLetter" else letter.upper()
        case "lowerRoman" | "upperRoman" if 0 < count < 4000:
            roman = _roman(count)
            return roman if kind == "lowerRoman" else roman.upper()
        case "decimalZero":
            return f"{count:02}"
        case "none" | "bullet":
            return ""
        case _:
            return str(count)


def _roman(count: int) -> str:
    roman = ""
    for amount, letters in _ROMAN:
        roman += letters * (count // amount)
        count %= amount
    return roman
