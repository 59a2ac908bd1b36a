"""The parts of a mail as text: headers and bodies, whatever their encodings are.

The standard library's older policy splits the mail: the newer one's headers fail on some that real mails have, and take
time that grows with the square of their length.
"""

from __future__ import annotations

import codecs
import re
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from typing import cast

from ._decoding import Decoded
from ._html_decoding import encoding_of, in_html

__all__ = ["Part", "body_text", "content_of_part", "header", "name_of"]

Part = Message

_FOLD = re.compile(r"[\r\n]\s*+")
_NOT_IN_NAMES = re.compile(
    "[\0-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)  # controls, and what turns text around
_ENDINGS = {
    "message/rfc822": ".eml",
    "text/html": ".html",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/pdf": ".pdf",
}
_MOST_OF_A_NAME = 200
_MOST_DECODED = 50_000
"""Characters of a header that is decoded: decoding takes time that can grow with the square of them."""


def header(part: Part, name: str) -> str:
    """A header as people read it; empty if there is none. Of several the first counts."""
    for each, value in part.raw_items():
        if each.lower() == name.lower():
            return _decoded(_FOLD.sub(" ", str(value))).strip()
    return ""


def _decoded(value: str) -> str:
    value = _text(_as_sent(value), None).text
    if len(value) > _MOST_DECODED:
        return value
    try:
        pieces = cast("list[tuple[bytes | str, str | None]]", decode_header(value))
    except (HeaderParseError, ValueError):
        return value
    if len(pieces) == 1 and isinstance(pieces[0][0], str):
        return value
    text = "".join(
        piece
        if isinstance(piece, str)
        else _text(piece, charset).text
        if charset
        else piece.decode("raw-unicode-escape")
        for piece, charset in pieces
    )
    return text if text.strip() else value


def _as_sent(value: str) -> bytes:
    """The bytes of a header, of which those beyond ASCII come as surrogates."""
    try:
        return value.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # a surrogate that an encoding such as UTF-7 made
        return value.encode(errors="replace")


def name_of(part: Part, number: int) -> str:
    """What an attachment is called: its file's name without a folder, or its number."""
    try:
        told = _declaring(part).get_filename() or ""
    except (LookupError, ValueError, TypeError):
        told = ""
    told = _NOT_IN_NAMES.sub("", _decoded(_FOLD.sub(" ", told))).replace("\\", "/").rpartition("/")[2].strip()
    if told in ("", ".", ".."):
        return f"attachment {number}{_ENDINGS.get(part.get_content_type(), '')}"
    return told if len(told) <= _MOST_OF_A_NAME else told[-_MOST_OF_A_NAME:]


def _declaring(part: Part) -> Part:
    """A part with the headers that name its file; the standard library spoils names with bytes beyond ASCII."""
    declaring = Part()
    for name in ("Content-Disposition", "Content-Type"):
        value = next((str(value) for each, value in part.raw_items() if each.lower() == name.lower()), None)
        if value is not None:
            declaring[name] = _text(_as_sent(value), None).text
    return declaring


def content_of_part(part: Part) -> bytes:
    """The bytes of a part, as far as its transfer encoding can be undone."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def body_text(part: Part) -> Decoded:
    """The text of a part; of a report on delivery, its fields."""
    if part.is_multipart():
        reports = cast("list[Part]", part.get_payload())
        fields = ("\n".join(f"{name}: {_decoded(value)}" for name, value in each.raw_items()) for each in reports)
        return Decoded("\n\n".join(fields))
    try:
        charset = part.get_content_charset()
    except (LookupError, ValueError, TypeError):
        charset = None
    decoded = _text(content_of_part(part), charset)
    text = decoded.text.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    if part.get_param("format", "") == "flowed":
        text = _unfolded(text, joined=part.get_param("delsp", "") == "yes")
    return decoded._replace(text=text)


def _text(data: bytes, charset: str | None) -> Decoded:
    """Decode what declares its encoding, or does not; mail programs that declare ASCII often send something else."""
    declared = encoding_of(charset)
    if declared is not None and not _is_ascii(charset):
        return in_html(data, declared)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        note = "Some of it was read as Windows-1252, which was guessed: it is not valid UTF-8."
        return Decoded(data.decode("cp1252", errors="replace"), (note,))
    if declared is None and charset:
        return Decoded(text, ("Some of it is in an encoding that is not known, and was read as UTF-8.",))
    return Decoded(text)


def _is_ascii(charset: str | None) -> bool:
    return charset is not None and codecs.lookup(charset.strip()).name == "ascii"


def _unfolded(text: str, *, joined: bool) -> str:
    """Join the lines that a mail program broke (RFC 3676): those that end with a space, within one depth of quotes."""
    lines: list[str] = []
    goes_on = ""  # the quote marks of a line that the next one continues
    open_line = False
    for line in text.split("\n"):
        marks = line[: len(line) - len(line.lstrip(">"))]
        content = line[len(marks) :].removeprefix(" ")
        if open_line and marks == goes_on and content != "-- ":
            lines[-1] = (lines[-1][:-1] if joined else lines[-1]) + content
        else:
            lines.append(f"{marks} {content}" if marks else content)
        open_line, goes_on = content.endswith(" ") and content != "-- ", marks
    return "\n".join(lines)
