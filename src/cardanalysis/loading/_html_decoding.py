"""Bytes of HTML to text: by byte order mark, by what the page declares, else as plain text is read."""

from __future__ import annotations

import codecs
import re

from .._errors import DocumentError
from ._decoding import Decoded, decode
from ._formats import Source

__all__ = ["decode_html", "encoding_of", "in_html"]

_PRESCAN_BYTES = 4096
"""Where a declaration is looked for: more than the 1,024 bytes of the standard, since old pages begin with scripts."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_META = re.compile(rb"<meta\s[^>]*?charset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([\w.:-]+)", re.IGNORECASE)

# What is meant by the names of older encodings: those of Windows and others that contain them (Encoding Standard, 4.2).
_MEANT = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "utf-16": "utf-8",  # what could be read as far as its declaration is not UTF-16
    "utf-16-le": "utf-8",
    "utf-16-be": "utf-8",
}
_OTHERS = frozenset(
    {"utf-8", "cp866", "cp874", "cp932", "cp949", "euc_jp", "gb18030", "big5hkscs", "koi8-r", "koi8-u", "mac-roman"}
    | {"iso2022_jp", "mac-cyrillic"}
    | {f"iso8859-{number}" for number in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)}
    | {f"cp125{number}" for number in range(9)}
)


def encoding_of(label: str | None) -> str | None:
    """Python's codec for a declared encoding, as browsers understand its name; None for one that pages may not have."""
    if not label:
        return None
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None
    name = _MEANT.get(name, name)
    return name if name in _OTHERS else None


def decode_html(source: Source) -> Decoded:
    """Decode a page.

    Raises:
        DocumentError: It is no text; code ``unknown_type`` or ``undecodable``.
    """
    data = source.data
    if any(data.startswith(mark) for mark, _ in _MARKS):
        return decode(source)
    declared = encoding_of(_declared(data[:_PRESCAN_BYTES]))
    if declared is not None and b"\0" not in data and not (declared == "utf-8" and not _is(data, "utf-8")):
        return in_html(data, declared)
    try:
        return decode(source)
    except DocumentError as error:
        if error.code != "undecodable":
            raise
        return in_html(data, "utf-8")


def in_html(data: bytes, encoding: str) -> Decoded:
    """Decode what is in an encoding as browsers do: what is not valid in it becomes U+FFFD, which a note tells."""
    try:
        return Decoded(data.decode(encoding))
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
    title = {"cp1252": "Windows-1252"}.get(encoding, encoding.upper())
    return Decoded(text, (f"{text.count(chr(0xFFFD)):,} places in it are not valid {title}; they read as \ufffd.",))


def _is(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _declared(head: bytes) -> str | None:
    found = _XML.match(head) or _META.search(_COMMENT.sub(b"", head))
    return found[1].decode("ascii", errors="replace") if found else None
