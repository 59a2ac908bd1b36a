"""Shapes of a slide in the order in which people read them, and what they inherit from layout and master.

The XML is that of ECMA-376 part 1, 19.3. PowerPoint stores shapes from back to front; what people read is the title,
then the other placeholders, then what else is there, from top to bottom and from left to right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from xml.etree.ElementTree import Element

from attrs import frozen

from ._drawing import chosen, local

TITLES = frozenset(("title", "ctrTitle"))
ASIDES = frozenset(("dt", "ftr", "hdr", "sldNum"))
"""Kinds of placeholders that stand on each slide: date, footer, header, number."""

_BANDS = 40
"""Shapes whose tops lie in the same fortieth of a slide's height are read from left to right."""
_LIKE_BODY = frozenset(("body", "obj", "subTitle", "chart", "tbl", "clipArt", "dgm", "media", "pic"))
_BULLETS = frozenset(("buChar", "buAutoNum", "buBlip"))
_SHAPES = frozenset(("sp", "grpSp", "graphicFrame", "pic", "cxnSp", "contentPart"))
_LEVELS = 9


class Box(NamedTuple):
    """Where a shape lies: its left and top edge, width and height, in the units of what it lies on."""

    x: int
    y: int
    width: int
    height: int


_NOWHERE = Box(0, 0, 0, 0)


@frozen
class Placeholder:
    """What a shape takes the place of on the layout.

    Attributes:
        kind: Such as ``title``, ``body`` or ``obj``.
        index: Which of them.
    """

    kind: str
    index: str


def placeholder_of(shape: Element) -> Placeholder | None:
    """Find out whether a shape is a placeholder."""
    found = shape.find("./*/{*}nvPr/{*}ph")
    return None if found is None else Placeholder(found.get("type", "obj"), found.get("idx", "0"))


def properties_of(shape: Element) -> Element | None:
    """A shape's name, description and whether it is hidden."""
    return shape.find("./*/{*}cNvPr")


def box_of(shape: Element) -> Box | None:
    """Where a shape says that it lies; None if it inherits that."""
    frame = shape.find("{*}xfrm")
    if frame is None:
        frame = shape.find("./*/{*}xfrm")
    offset, extent = (None, None) if frame is None else (frame.find("{*}off"), frame.find("{*}ext"))
    if offset is None or extent is None:
        return None
    return Box(_whole(offset, "x"), _whole(offset, "y"), _whole(extent, "cx"), _whole(extent, "cy"))


def _whole(element: Element, name: str) -> int:
    text = element.get(name, "0")
    digits = text.removeprefix("-")
    return int(text) if digits.isdecimal() and len(digits) < 20 else 0


def shapes_in(tree: Element) -> Iterator[Element]:
    """The shapes that lie directly in a tree or group, from back to front."""
    for child in tree:
        name = local(child)
        if name in _SHAPES:
            yield child
        elif name == "AlternateContent":
            yield from shapes_in(chosen(child))


class Template:
    """What shapes inherit: the placeholders of a slide's layout, and those of its master.

    Args:
        layout: The layout; None if the slide has none that can be read.
        master: Its master.
    """

    def __init__(self, layout: Element | None, master: Element | None) -> None:
        self._layout = _placeholders(layout)
        self._master = _placeholders(master)
        styles = None if master is None else master.find("{*}txStyles")
        body = None if styles is None else styles.find("{*}bodyStyle")
        self._body_levels = _levels(body)

    def box(self, place: Placeholder) -> Box | None:
        """Where a placeholder lies that does not say so itself."""
        boxes = (box_of(shape) for shape in self._ancestors(place))
        return next((box for box in boxes if box is not None), None)

    def bullets(self, shape: Element) -> Mapping[int, bool]:
        """Tell for each level of paragraphs in a shape, from 0, whether they have bullets unless they say otherwise."""
        place = placeholder_of(shape)
        found: dict[int, bool] = {}
        if place is not None and place.kind in _LIKE_BODY:
            found.update(self._body_levels)
        if place is not None:
            for ancestor in reversed(self._ancestors(place)):
                found.update(_levels(ancestor.find("{*}txBody/{*}lstStyle")))
        found.update(_levels(shape.find("{*}txBody/{*}lstStyle")))
        return found

    def _ancestors(self, place: Placeholder) -> Sequence[Element]:
        layout, master = _match(self._layout, place), None
        if layout is not None:
            place = placeholder_of(layout) or place
        kind = "title" if place.kind in TITLES else "body" if place.kind in _LIKE_BODY else place.kind
        master = next((shape for of, shape in self._master if of.kind == kind), None)
        return [shape for shape in (layout, master) if shape is not None]


def _placeholders(root: Element | None) -> list[tuple[Placeholder, Element]]:
    tree = None if root is None else root.find("{*}cSld/{*}spTree")
    pairs = [] if tree is None else [(placeholder_of(shape), shape) for shape in shapes_in(tree)]
    return [(place, shape) for place, shape in pairs if place is not None]


def _match(shapes: Sequence[tuple[Placeholder, Element]], place: Placeholder) -> Element | None:
    """The layout's placeholder of the same index, or of the same kind where that is not there."""
    same = (shape for of, shape in shapes if of.index == place.index and place.index != "0")
    alike = (shape for of, shape in shapes if of.kind == place.kind or {of.kind, place.kind} <= TITLES)
    return next(chain(same, alike), None)


def _levels(style: Element | None) -> dict[int, bool]:
    """Tell of each level that a list style speaks of whether it has bullets."""
    found: dict[int, bool] = {}
    if style is None:
        return found
    for level in range(_LEVELS):
        properties = style.find(f"{{*}}lvl{level + 1}pPr")
        has = None if properties is None else has_bullet(properties)
        if has is not None:
            found[level] = has
    return found


def has_bullet(properties: Element) -> bool | None:
    """Tell whether a paragraph's properties give it a bullet or number; None if they say nothing."""
    for child in properties:
        name = local(child)
        if name == "buNone":
            return False
        if name in _BULLETS:
            return True
    return None


def in_order(shapes: Sequence[Element], template: Template, height: int) -> list[Element]:
    """Sort shapes by how they are read: title, other placeholders, the rest; each by where it lies.

    Args:
        shapes: From back to front; what lies at the same place stays in that order.
        template: Where placeholders lie that do not say so themselves.
        height: Of what they lie on.
    """
    band = max(1, height // _BANDS)

    def key(shape: Element) -> tuple[int, int, int]:
        place = placeholder_of(shape)
        box = box_of(shape) or (template.box(place) if place is not None else None) or _NOWHERE
        rank = 2 if place is None else 0 if place.kind in TITLES else 3 if place.kind in ASIDES else 1
        return rank, box.y // band, box.x

    return sorted(shapes, key=key)
