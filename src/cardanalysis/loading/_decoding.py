"""Bytes to text: UTF-8 and UTF-16 where they tell themselves, else Windows-1252; never binary content."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from .._errors import DocumentError
from ._formats import Source

_BOM = "\ufeff"
_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f]")


class _Content(NamedTuple):
    name: str
    data: bytes


class Decoded(NamedTuple):
    """A source's text, and a note if its encoding was guessed."""

    text: str
    notes: tuple[str, ...] = ()


def decode(source: Source) -> Decoded:
    """Decode a source that should be text.

    Raises:
        DocumentError: It is no text; code ``unknown_type``, or ``undecodable`` where it is text in an encoding that
            cannot be told, or damaged.
    """
    content = _Content(source.name, source.data)
    decoded = _by_mark(content) or _without_mark(content)
    if "\0" in decoded.text:
        raise _binary(source.name, "binary data")
    return decoded._replace(text=decoded.text.lstrip(_BOM))


def _by_mark(source: _Content) -> Decoded | None:
    """Decode what begins with a byte order mark."""
    if source.data.startswith(codecs.BOM_UTF8):
        return Decoded(_strictly(source, "utf-8"))
    if source.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return Decoded(_strictly(source, "utf-16"))
    return None


def _without_mark(source: _Content) -> Decoded:
    if b"\0" in source.data:
        return _guess_utf_16(source)
    try:
        return Decoded(source.data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return _guess_windows_1252(source, error)


def _guess_utf_16(source: _Content) -> Decoded:
    """Decode UTF-16 without a mark, which shows by a NUL in nearly every other place if the text is Latin."""
    low, high = source.data[0::2].count(0), source.data[1::2].count(0)
    encoding, nuls, strays = ("utf-16-le", high, low) if high > low else ("utf-16-be", low, high)
    if nuls * 8 < len(source.data) * 3 or strays * 10 > nuls:
        raise _binary(source.name, "binary data")
    try:
        text = source.data.decode(encoding)
    except UnicodeDecodeError:
        raise _binary(source.name, "binary data") from None
    if _CONTROLS.search(text):
        raise _binary(source.name, "binary data")
    return Decoded(text, (f"It was read as {encoding.upper()}, which was guessed: it has no byte order mark.",))


def _guess_windows_1252(source: _Content, error: UnicodeDecodeError) -> Decoded:
    """Decode what is not UTF-8, unless it is UTF-8 with a few damaged places: guessing would garble all the others."""
    if _is_damaged_utf_8(source.data):
        raise _undecodable(source, "UTF-8", error.start)
    text = _strictly(source, "cp1252")
    if len(_CONTROLS.findall(text)) * 20 > len(text):
        raise _binary(source.name, "binary data")
    return Decoded(text, ("It was read as Windows-1252, which was guessed: it is not valid UTF-8.",))


def _is_damaged_utf_8(data: bytes) -> bool:
    """Tell whether more sequences beyond ASCII are valid than not; in real Windows-1252 text hardly one is."""
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", errors="ignore")) > 2 * damaged


def _strictly(source: _Content, encoding: str) -> str:
    try:
        return source.data.decode(encoding)
    except UnicodeDecodeError as error:
        title = {"cp1252": "UTF-8 or Windows-1252"}.get(encoding, encoding.upper())
        raise _undecodable(source, title, error.start) from None


def _undecodable(source: _Content, encoding: str, offset: int) -> DocumentError:
    return DocumentError(
        source.name,
        f"it is not valid {encoding}: the first wrong byte is at offset {offset}",
        "Open it in the program it came from and save it as UTF-8.",
        code="undecodable",
    )


def _binary(name: str, kind: str) -> DocumentError:
    return DocumentError(
        name,
        f"it looks like {kind}, not like text",
        "Export it as text, Markdown or CSV, in UTF-8.",
        code="unknown_type",
    )
