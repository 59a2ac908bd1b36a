"""What a file is by its content: its media type, or what to say of one that cannot be read."""

from __future__ import annotations

import re
import struct
import zipfile
from typing import BinaryIO, NamedTuple

__all__ = ["HEAD", "Content", "content_of", "is_zip"]

HEAD = 4096
"""Bytes at the beginning of a file by which nearly all types are known."""


class Content(NamedTuple):
    """What a file is.

    Attributes:
        media_type: Its type; empty for one that cannot be read.
        title: What people call it, with its article.
        remedy: What to do about one that cannot be read.
        code: What kind of trouble it is then.
    """

    media_type: str
    title: str = ""
    remedy: str = ""
    code: str = "unknown_type"


_OFFICE = "application/vnd.openxmlformats-officedocument."
_SAVE_AS = "Open it in {} and save it as {}."
_WORD = _SAVE_AS.format("Word or LibreOffice", ".docx")
_EXCEL = _SAVE_AS.format("Excel or LibreOffice", ".xlsx")
_SLIDES = _SAVE_AS.format("PowerPoint or LibreOffice", ".pptx")
_PICTURE = "Save it as a PNG or JPEG file."
_UNPACK = "Unpack it and hand in the documents in it."


def _refused(title: str, remedy: str, code: str = "unknown_type") -> Content:
    return Content("", title, remedy, code)


_SIGNATURES: tuple[tuple[bytes, Content], ...] = (
    (b"\x89PNG\r\n\x1a\n", Content("image/png", "a PNG image")),
    (b"\xff\xd8\xff", Content("image/jpeg", "a JPEG image")),
    (b"GIF87a", Content("image/gif", "a GIF image")),
    (b"GIF89a", Content("image/gif", "a GIF image")),
    (b"{\\rtf", _refused("a rich text (RTF) file", _WORD)),
    (b"II*\x00", _refused("a TIFF image", _PICTURE)),
    (b"MM\x00*", _refused("a TIFF image", _PICTURE)),
    (b"\x1f\x8b", _refused("a gzip archive", _UNPACK)),
    (b"7z\xbc\xaf\x27\x1c", _refused("a 7-Zip archive", _UNPACK)),
    (b"Rar!\x1a\x07", _refused("a RAR archive", _UNPACK)),
    (b"\xfd7zXZ\x00", _refused("an xz archive", _UNPACK)),
    (b"BZh", _refused("a bzip2 archive", _UNPACK)),
    (b"SQLite format 3\x00", _refused("an SQLite database", "Export what matters from it as CSV.")),
    (b"%!PS", _refused("a PostScript file", "Convert it to PDF.")),
    (b"\x7fELF", _refused("a program", "Leave it out.")),
    (b"MZ", _refused("a program", "Leave it out.")),
)
_RIFF = {b"WEBP": Content("image/webp", "a WebP image")}
_FTYP = {b"hei": "a HEIC image", b"hev": "a HEIC image", b"mif": "a HEIF image", b"avi": "an AVIF image"}
_RECORDING = _refused("a recording", "Hand in a transcript of it.")
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_PROLOG = rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*+"
_HTML = re.compile(_PROLOG + rb"<(?:!doctype\s+html|html|head|body|table)[\s>]", re.IGNORECASE | re.DOTALL)
_SVG = re.compile(_PROLOG + rb"(?:<!doctype\s+svg[^>]*>\s*)?<svg[\s>]", re.IGNORECASE | re.DOTALL)
_FIELD = re.compile(rb"([A-Za-z][A-Za-z0-9-]*):[ \t]?[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*")
_OF_MAIL = {b"received", b"mime-version", b"message-id", b"return-path", b"delivered-to", b"dkim-signature"}


def content_of(file: BinaryIO) -> Content | None:
    """Tell what a file is by its content.

    Args:
        file: The file, which can seek. Only its beginning is read, and of a zip archive the list of its members.

    Returns:
        What it is; None if its content does not tell, as that of plain text, Markdown and CSV does not.
    """
    file.seek(0)
    head = file.read(HEAD)
    if is_zip(head):
        return _of_zip(file)
    if head.startswith(_EMPTY_ZIP):
        return _refused("an empty zip archive", "Check that it was saved, or leave it out.", "empty")
    if head.startswith(_OLE):
        return _of_ole(file, head)
    return _by_signature(head) or _of_text(head)


def is_zip(head: bytes) -> bool:
    """Whether a file begins as a zip archive does, as those of Word, Excel and PowerPoint do."""
    return head.startswith(_ZIP)


def _by_signature(head: bytes) -> Content | None:
    for signature, content in _SIGNATURES:
        if head.startswith(signature):
            return content
    if b"%PDF-" in head[:1024] and not _is_mail(head):  # where readers look for it, though the standard wants it first
        return Content("application/pdf", "a PDF file")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], _RECORDING)
    if head[4:8] == b"ftyp":
        title = _FTYP.get(head[8:11])
        return _refused(title, _PICTURE) if title else _RECORDING
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return _refused("a BMP image", _PICTURE)
    return _RECORDING if head.startswith((b"ID3", b"OggS", b"\x1aE\xdf\xa3")) else None


def _of_text(head: bytes) -> Content | None:
    if _SVG.match(head):
        return _refused("an SVG image", _PICTURE)
    if _HTML.match(head):
        return Content("text/html", "an HTML page")
    return Content("message/rfc822", "a mail") if _is_mail(head) else None


def _is_mail(head: bytes) -> bool:
    """Whether it begins as a mail does: notes of a meeting may well begin with "From:" and "Date:"."""
    names: set[bytes] = set()
    at = 0
    while found := _FIELD.match(head, at):
        names.add(found[1].lower())
        at = found.end()
    return len(names) > 1 and not names.isdisjoint(_OF_MAIL)


# -- Archives

_PARTS = {
    "word/": Content(f"{_OFFICE}wordprocessingml.document", "a Word document"),
    "ppt/": Content(f"{_OFFICE}presentationml.presentation", "a PowerPoint presentation"),
    "xl/": Content(f"{_OFFICE}spreadsheetml.sheet", "an Excel workbook"),
}
_OPEN_DOCUMENT = {
    "text": ("an OpenDocument text", _WORD),
    "spreadsheet": ("an OpenDocument spreadsheet", _EXCEL),
    "presentation": ("an OpenDocument presentation", _SLIDES),
}


def _of_zip(file: BinaryIO) -> Content | None:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            kind = archive.open("mimetype").read(200).decode(errors="replace") if "mimetype" in names[:1] else ""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):
        return None  # damaged: what its name tells is tried, and says how
    if kind:
        title, remedy = _OPEN_DOCUMENT.get(kind.rpartition(".")[2], ("an e-book or another archive", _UNPACK))
        return _refused(title, remedy)
    if "xl/workbook.bin" in names:
        return _refused("a binary Excel workbook (.xlsb)", _EXCEL)
    if "[Content_Types].xml" in names:
        for folder, content in _PARTS.items():
            if any(name.startswith(folder) for name in names):
                return content
    remedy = "Hand in what is in it: Upload.from_zip makes an upload of each document, as does the command for a PATH."
    return Content("application/zip", "a zip archive", remedy)


_STREAMS = {
    "EncryptedPackage": _refused(
        "an Office file that is protected with a password", "Save it without the password.", "encrypted"
    ),
    "WordDocument": _refused("a Word document in the old binary format (.doc)", _WORD),
    "Workbook": _refused("an Excel workbook in the old binary format (.xls)", _EXCEL),
    "Book": _refused("an Excel workbook in the old binary format (.xls)", _EXCEL),
    "PowerPoint Document": _refused("a PowerPoint presentation in the old binary format (.ppt)", _SLIDES),
    "__properties_version1.0": _refused("an Outlook message (.msg)", "Open it in Outlook and save it as .eml or PDF."),
}


def _of_ole(file: BinaryIO, head: bytes) -> Content:
    """Tell which program an OLE compound file is of, by the names of its streams.

    [MS-CFB] 2.2 and 2.6: the header has the sector size at 30 and the first directory sector at 48; an entry has 128
    bytes, its name in UTF-16 first and the length of that in bytes at 64.
    """
    unknown = _refused("a file of an old Office program", "Save it in a current format, such as .docx or PDF.")
    if len(head) < 512:
        return unknown
    (shift,) = struct.unpack_from("<H", head, 30)
    (first,) = struct.unpack_from("<I", head, 48)
    if shift not in (9, 12):
        return unknown
    file.seek((first + 1) << shift)
    directory = file.read(64 * 128)
    names = [
        entry[: max(0, int.from_bytes(entry[64:66], "little") - 2)].decode("utf-16-le", errors="replace")
        for entry in (directory[at : at + 128] for at in range(0, len(directory) - 127, 128))
    ]
    return next((content for name, content in _STREAMS.items() if name in names), unknown)
