"""The formats that can be read, and which of them an upload has. A new format is a module and a line in `FORMATS`."""

from __future__ import annotations

import re
from pathlib import PurePath

from .._errors import DocumentError
from .._uploads import Upload
from . import _delimited, _markdown, _plain
from ._formats import Format

FORMATS: tuple[Format, ...] = (
    _plain.FORMAT,
    _markdown.FORMAT,
    _delimited.CSV,
    _delimited.TSV,
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


def choose(upload: Upload) -> tuple[Format, tuple[str, ...]]:
    """Find an upload's format by its declared type and its name's ending.

    Returns:
        The format, and notes on how it was found.

    Raises:
        DocumentError: It has none that can be read; code ``unknown_type``.
    """
    declared = (upload.media_type or "").partition(";")[0].strip().lower()
    ending = _ending(upload.name)
    found = _BY_ENDING.get(ending) if declared in _VAGUE else None
    found = found or _BY_TYPE.get(declared)
    if found is not None:
        return found, ()
    if declared in _SILENT and not ending:
        return _plain.FORMAT, ("It has neither an ending nor a media type; it was read as plain text.",)
    raise _unknown(upload.name, ending if declared in _SILENT else declared)


def _ending(name: str) -> str:
    ending = PurePath(name).suffix.lower()
    return ending if _ENDING.fullmatch(ending) else ""


def _unknown(name: str, type_or_ending: str) -> DocumentError:
    *others, last = (f"{each.title} ({', '.join(each.endings)})" for each in FORMATS)
    return DocumentError(
        name,
        f"{type_or_ending} is not a format that can be read",
        f"Export it as {', '.join(others)} or {last}; if it is one of them already, say so with media_type.",
        code="unknown_type",
    )
