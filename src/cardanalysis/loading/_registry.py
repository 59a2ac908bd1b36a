"""The formats that can be read, and which of them a file has. A new format is a module and a line in `FORMATS`."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import BinaryIO

from .._errors import DocumentError
from . import _delimited, _docx, _html, _images, _mail, _markdown, _pdf, _plain, _pptx, _xlsx
from ._formats import Format, malformed
from ._types import HEAD, Content, content_of, is_zip

FORMATS: tuple[Format, ...] = (
    _plain.FORMAT,
    _markdown.FORMAT,
    _delimited.CSV,
    _delimited.TSV,
    _docx.FORMAT,
    _pptx.FORMAT,
    _xlsx.FORMAT,
    _pdf.FORMAT,
    _html.FORMAT,
    _mail.FORMAT,
    *_images.FORMATS,
)

_BY_TYPE = {media_type: each for each in FORMATS for media_type in each.media_types}
_BY_ENDING = {ending: each for each in FORMATS for ending in each.endings}

# Types that say nothing: browsers send them for every file they do not know.
_SILENT = frozenset({"", "application/octet-stream", "binary/octet-stream", "application/x-unknown"})
# Types that senders also use for what is really a more special format: browsers on Windows declare CSV as Excel, and
# servers declare Markdown and CSV as plain text. A known ending tells more.
_VAGUE = _SILENT | {"text/plain", "application/vnd.ms-excel"}

# "Notes 12.03.2024" and "Report v1.2" have no ending.
_ENDING = re.compile(r"\.[a-z][a-z0-9]{0,9}")
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")


def choose(name: str, media_type: str | None, file: BinaryIO) -> tuple[Format, tuple[str, ...]]:
    """Find the format of a file by its content, and where that does not tell, by its declared type or its name.

    Args:
        name: The file's name.
        media_type: The declared type.
        file: Its content, which can seek; little of it is read.

    Returns:
        The format, and notes on how it was found.

    Raises:
        DocumentError: It has none that can be read; the code is ``unknown_type``, ``encrypted``, ``empty`` or
            ``malformed``.
    """
    told = _told(name, media_type)
    content = content_of(file)
    if content is None:
        return _by_name(name, media_type, told, file)
    found = _BY_TYPE.get(content.media_type)
    if found is not None:
        return found, _mismatch(name, told, found, content)
    if content.media_type == _ARCHIVE and told is not None and told.endings[0] in _OFFICE:
        return told, ()  # its parser says what is missing
    raise DocumentError(name, f"it is {content.title}, which cannot be read", content.remedy, code=content.code)


_ARCHIVE = "application/zip"
_OFFICE = (".docx", ".pptx", ".xlsx")


def _told(name: str, media_type: str | None) -> Format | None:
    """The format that the declared type or the name tells."""
    declared = _declared(media_type)
    found = _BY_ENDING.get(_ending(name)) if declared in _VAGUE else None
    return found or _BY_TYPE.get(declared)


def _by_name(name: str, media_type: str | None, told: Format | None, file: BinaryIO) -> tuple[Format, tuple[str, ...]]:
    """The format of a file whose content does not tell it: of text, or of something damaged."""
    file.seek(0)
    head = file.read(HEAD)
    if told is None:
        declared = _declared(media_type)
        if declared in _SILENT and not _ending(name):
            return _plain.FORMAT, ("It has neither an ending nor a media type; it was read as plain text.",)
        raise _unknown(name, _ending(name) if declared in _SILENT else declared)
    if told.is_text or is_zip(head):
        return told, ()
    if _BINARY.search(head):
        raise malformed(name, f"its content is not that of a {told.title} file")
    return _plain.FORMAT, (f"It should be {told.title}, but holds text; it was read as plain text.",)


def _mismatch(name: str, told: Format | None, found: Format, content: Content) -> tuple[str, ...]:
    """A note on a name or declared type that tells another format than the content."""
    if told is found or (told is None and not _ending(name)):
        return ()
    return (f"Its name or declared type does not tell that it is {content.title}; it was read as that.",)


def _declared(media_type: str | None) -> str:
    return (media_type or "").partition(";")[0].strip().lower()


def _ending(name: str) -> str:
    ending = PurePath(name).suffix.lower()
    return ending if _ENDING.fullmatch(ending) else ""


def _unknown(name: str, type_or_ending: str) -> DocumentError:
    known = ", ".join(each.endings[0] for each in FORMATS)
    remedy = f'Export it as one of {known}; if it is text as it is, pass media_type="text/plain".'
    return DocumentError(name, f"{type_or_ending} is not a format that can be read", remedy, code="unknown_type")
