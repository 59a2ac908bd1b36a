"""HTML to a tree, by selectolax (Lexbor), as browsers build it from whatever was written; and the walk through it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

__all__ = ["End", "Start", "depth_of", "parse", "walk"]

_CLOSED = frozenset({"annotation", "iframe", "noscript", "script", "style", "svg", "template"})
"""Elements whose content is no text of the page, or is shown to no one."""

_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)", re.IGNORECASE)
# Void elements, and those that end without an end tag where the next begins: they do not nest by themselves.
_FLAT = frozenset(
    [
        "area",
        "base",
        "br",
        "col",
        "colgroup",
        "dd",
        "dt",
        "embed",
        "hr",
        "img",
        "input",
        "li",
        "link",
        "meta",
        "optgroup",
        "option",
        "p",
        "param",
        "rp",
        "rt",
        "source",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "track",
        "wbr",
    ]
)


class Start(NamedTuple):
    """An element begins."""

    tag: str
    attributes: Mapping[str, str | None]


class End(NamedTuple):
    """An element ends."""

    tag: str


def depth_of(html: str) -> int:
    """How deep its elements are nested, about: a tree of 100,000 levels takes minutes to build."""
    depth = deepest = 0
    for tag in _TAG.finditer(html):
        if tag[2].lower() not in _FLAT:
            depth = max(0, depth - 1) if tag[1] else depth + 1
            deepest = max(deepest, depth)
    return deepest


def parse(html: str) -> LexborNode | None:
    """Build the tree; it is as large as 60 times the text where elements are short.

    Raises:
        MemoryError: There is no memory for it.
    """
    from selectolax.lexbor import LexborHTMLParser, SelectolaxError

    try:
        return LexborHTMLParser(html).root
    except SelectolaxError as error:  # any text has a tree
        raise MemoryError from error


def walk(root: LexborNode | None) -> Iterator[Start | End | str]:
    """Give the elements' beginnings and ends, and the text between them, in their order.

    Comments are left out, and of some elements all that is in them: of scripts, styles, templates and drawings.
    """
    node, open_nodes = root, list[tuple["LexborNode", str]]()
    while node is not None:
        tag = node.tag or ""
        below = None
        if node.is_element_node:
            yield Start(tag, node.attributes)
            below = None if tag in _CLOSED else node.first_child
            if below is None:
                yield End(tag)
        elif node.is_text_node:
            yield node.text_content or ""
        if below is not None:
            open_nodes.append((node, tag))
            node = below
            continue
        following = node.next
        while following is None and open_nodes:
            node, tag = open_nodes.pop()
            yield End(tag)
            following = node.next
        node = following if open_nodes else None
