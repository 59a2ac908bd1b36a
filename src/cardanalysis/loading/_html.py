"""HTML: what a page shows, by its structure. Nothing is taken for navigation or advertising, so nothing is lost."""

from __future__ import annotations

import re

from .._errors import DocumentError
from ._formats import Format, Parsed, Source
from ._html_decoding import decode_html
from ._html_reader import HTMLReader
from ._html_survey import Survey
from ._html_tree import depth_of, parse, walk
from ._writing import BlockWriter

__all__ = ["FORMAT", "write_html"]

_MOST_LEVELS = 5_000
"""Elements in each other; browsers stop at 512."""

_IS_XHTML = re.compile(r"\s*(?:<\?xml\b|<!doctype[^>]*\bxhtml\b|<html[^>]*\bxmlns\s*=)", re.IGNORECASE)
# In XML, <a/> and <title/> are whole elements; for HTML they would only begin.
_WHOLE = re.compile(r"<([a-zA-Z][\w:-]*+)((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*?)/>")
_CDATA = re.compile(r"<!\[CDATA\[(.*?)\]\]>", re.DOTALL)
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)

_LEFT_OUT = (
    ("picture", "Pictures without a description, which were not read: {:,}."),
    ("drawing", "Drawings (SVG) without a description, which were not read: {:,}."),
    ("embedded", "Embedded recordings, pages or objects, which were not read: {:,}."),
    ("template", "Templates, which only scripts show and which were not read: {:,}."),
    ("noscript", "Parts for browsers without scripts, which were not read: {:,}."),
)


def _parse(source: Source) -> Parsed:
    decoded = decode_html(source)
    writer = BlockWriter(source)
    notes = write_html(writer, decoded.text)
    return writer.parsed(decoded.notes + notes)


def write_html(writer: BlockWriter, html: str, *, title: bool = True) -> tuple[str, ...]:
    """Write what a page shows.

    Args:
        writer: Where to.
        html: The page.
        title: Whether its title is a heading, unless one of its h1 elements says the same.

    Returns:
        Notes on what was left out.

    Raises:
        DocumentError: Its elements are nested too deeply, or its tables are larger than the limits allow.
    """
    source = writer.source
    if depth_of(html) > _MOST_LEVELS:
        raise source.malformed(f"more than {_MOST_LEVELS:,} of its elements stand in each other")
    root = parse(_as_html(html))
    reader = HTMLReader(writer, Survey.of(walk(root)), title=title)
    reader.read(walk(root))
    if not writer.blocks and reader.left_out["script"]:
        remedy = "Open it in a browser, and save or print what it shows as PDF."
        raise DocumentError(source.name, "it has no text of its own; scripts fetch it", remedy, code="empty")
    return tuple(note.format(number) for what, note in _LEFT_OUT if (number := reader.left_out[what]))


def _as_html(text: str) -> str:
    """XHTML as HTML says the same."""
    if not _IS_XHTML.match(text):
        return text
    end = text.rfind("]]>") + 3  # behind it, each beginning of a section would be followed to the end of the text
    head = _CDATA.sub(lambda found: found[1].replace("&", "&amp;").replace("<", "&lt;"), text[:end])
    return _WHOLE.sub(_begun_and_ended, head + text[end:])


def _begun_and_ended(found: re.Match[str]) -> str:
    tag = found[1]
    return found[0] if tag.lower() in _VOID else f"<{tag}{found[2]}></{tag}>"


FORMAT = Format(
    title="HTML",
    media_types=("text/html", "application/xhtml+xml"),
    endings=(".html", ".htm", ".xhtml"),
    limit="text_bytes",
    parse=_parse,
    isolated=True,
)
