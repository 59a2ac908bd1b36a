"""Word: .docx and .docm files, as they finally read.

Written on the standard library's XML parser: the libraries for Word read the text of plain paragraphs and tables, and
leave out text boxes, notes, content controls and what a change or a field shows, which must be walked for in any case.
The main part is read as a stream, and no picture is unpacked.
"""

from __future__ import annotations

from contextlib import closing
from zipfile import ZipFile

from ._docx_parts import Parts
from ._docx_reader import Reader
from ._docx_runs import Pages
from ._docx_xml import stream
from ._formats import Format, Parsed, Source
from ._package import BROKEN, check_package, main_part

_MAIN = "word/document.xml"
_MARK = b"lastRenderedPageBreak"
_CHUNK = 1 << 16


def _parse(source: Source) -> Parsed:
    check_package(source, main=_MAIN, streamed=("word/document",))
    with source.open() as file:
        try:
            with ZipFile(file) as archive:
                return _read(source, Parts(source, archive, main_part(archive, _MAIN) or _MAIN))
        except BROKEN as error:
            raise source.malformed("a part of it is damaged") from error


def _read(source: Source, parts: Parts) -> Parsed:
    size = parts.archive.getinfo(parts.main).file_size
    if size > source.limits.memory_bytes:
        found = f"its text has more than {source.limits.memory_bytes:,} bytes of XML"
        raise source.too_large(found, "memory_bytes")
    reader = Reader(source, parts, Pages() if _has_marks(parts) else None)
    with parts.archive.open(parts.main) as part, closing(stream(source, part)) as items:
        reader.flow(items)
    reader.finish()
    return reader.writer.parsed(reader.notes())


def _has_marks(parts: Parts) -> bool:
    """Whether Word left marks where it laid the pages out; other programs leave none."""
    before = b""
    with parts.archive.open(parts.main) as part:
        while chunk := part.read(_CHUNK):
            if _MARK in before + chunk:
                return True
            before = chunk[-len(_MARK) :]
    return False


FORMAT = Format(
    title="Word",
    media_types=(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.ms-word.document.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
        "application/vnd.ms-word.template.macroenabled.12",
    ),
    endings=(".docx", ".docm", ".dotx", ".dotm"),
    limit="document_bytes",
    parse=_parse,
    isolated=True,
)
