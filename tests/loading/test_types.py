"""What a file is by its content, whatever its name and declared type say."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import load
from cardanalysis.loading._registry import choose
from cardanalysis.loading._types import content_of


def zipped(*names: str, **contents: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), contents.get(name, b""))  # of a fixed date
    return file.getvalue()


def compound(*streams: str) -> bytes:
    """An OLE compound file with nothing but a directory."""
    header = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    struct.pack_into("<H", header, 30, 9)
    struct.pack_into("<I", header, 48, 0)
    entries = b""
    for name in ("Root Entry", *streams):
        encoded = name.encode("utf-16-le") + b"\0\0"
        entries += encoded.ljust(64, b"\0") + struct.pack("<H", len(encoded)) + bytes(62)
    return bytes(header) + entries


REFUSED = {
    "old Word": (compound("WordDocument"), "unknown_type", ".docx"),
    "old Excel": (compound("Workbook"), "unknown_type", ".xlsx"),
    "old PowerPoint": (compound("PowerPoint Document"), "unknown_type", ".pptx"),
    "Outlook": (compound("__properties_version1.0"), "unknown_type", ".eml"),
    "password": (compound("EncryptionInfo", "EncryptedPackage"), "encrypted", "password"),
    "other compound file": (compound("Something"), "unknown_type", ".docx"),
    "cut compound file": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest", "unknown_type", ".docx"),
    "wrong sector size": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\xff" * 600, "unknown_type", ".docx"),
    "RTF": (b"{\\rtf1\\ansi text}", "unknown_type", ".docx"),
    "gzip": (b"\x1f\x8b\x08rest", "unknown_type", "Unpack"),
    "7-Zip": (b"7z\xbc\xaf\x27\x1crest", "unknown_type", "Unpack"),
    "zip": (zipped("a.txt"), "unknown_type", "Upload.from_zip"),
    "empty zip": (zipped(), "empty", "saved"),
    "OpenDocument": (zipped("mimetype", mimetype=b"application/vnd.oasis.opendocument.text"), "unknown_type", ".docx"),
    "e-book": (zipped("mimetype", mimetype=b"application/epub+zip"), "unknown_type", "Unpack"),
    "xlsb": (zipped("[Content_Types].xml", "xl/workbook.bin"), "unknown_type", ".xlsx"),
    "TIFF": (b"II*\x00rest", "unknown_type", "PNG"),
    "HEIC": (b"\0\0\0\x18ftypheicrest", "unknown_type", "PNG"),
    "BMP": (b"BM1234" + bytes(8), "unknown_type", "PNG"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="x">', "unknown_type", "PNG"),
    "film": (b"\0\0\0\x18ftypmp42rest", "unknown_type", "transcript"),
    "sound": (b"RIFF1234WAVErest", "unknown_type", "transcript"),
    "program": (b"\x7fELFrest", "unknown_type", "Leave it out"),
    "database": (b"SQLite format 3\0rest", "unknown_type", "CSV"),
}


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.pdf", "a", "a.unheardof"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_says_what_to_do(kind, name):
    """A file of a kind that is not read is refused with what it is and how to get at its text."""
    data, code, remedy = REFUSED[kind]

    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(data, name))

    assert caught.value.code == code
    assert caught.value.upload == name
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.7\n", "application/pdf"),
        (b"\n\njunk before\n%PDF-1.7\n", "application/pdf"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"GIF87arest", "image/gif"),
        (b"GIF89arest", "image/gif"),
        (b"RIFF1234WEBPrest", "image/webp"),
        (b"<!DOCTYPE html><p>x", "text/html"),
        (b'\xef\xbb\xbf <?xml version="1.0"?><!-- a --> <html lang="de">', "text/html"),
        (b"Return-Path: <a@b.example>\r\nReceived: by x;\r\n\tMonday\r\nFrom: a\r\n\r\nText", "message/rfc822"),
        (zipped("[Content_Types].xml", "word/document.xml"), "wordprocessingml.document"),
        (zipped("[Content_Types].xml", "ppt/presentation.xml"), "presentationml.presentation"),
        (zipped("xl/workbook.xml", "[Content_Types].xml"), "spreadsheetml.sheet"),
    ],
)
def test_type_by_content(data, expected):
    """The content tells the type of every format that has a mark of its own."""
    found = content_of(io.BytesIO(data))

    assert found is not None
    assert found.media_type.endswith(expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Just text",
        b"From: Ann\nDate: Monday\nSubject: our meeting\n\nWe met.",
        b"<htmlish> is no tag",
        b"a,b\n1,2\n",
        b"PK is how it begins",
        b"PK\x03\x04 damaged",
        b"BMW builds cars",
    ],
)
def test_content_that_tells_nothing(data):
    """Text, also text that resembles a mail, and damaged archives are not known by their content."""
    assert content_of(io.BytesIO(data)) is None


def test_a_wrong_name_is_noted(read):
    """A page that is named as text is read as what it is, and a note says so."""
    chosen, notes = choose("notes.txt", None, io.BytesIO(b"<!DOCTYPE html><p>x"))

    assert chosen.media_types[0] == "text/html"
    assert "HTML page" in notes[0]


@pytest.mark.parametrize(("name", "media_type"), [("brief.pdf", None), ("brief", "image/png"), ("a.docx", None)])
def test_text_under_a_binary_name_is_read_with_a_note(read, name, media_type):
    """Text whose name or type says that it is something else is read as text."""
    document = read("Just text", name, media_type)

    assert document.media_type == "text/plain"
    assert "holds text" in document.notes[0]


@pytest.mark.parametrize("name", ["a.docx", "a.pdf", "a.png"])
def test_garbage_under_a_binary_name_is_malformed(name):
    """What is neither the format that its name tells nor text is damaged."""
    with pytest.raises(DocumentError) as caught:
        load(Upload.from_bytes(bytes(range(256)), name))

    assert caught.value.code == "malformed"


def test_a_damaged_archive_is_told_by_its_parser():
    """What begins as an archive goes to the parser that its name tells."""
    chosen, notes = choose("a.docx", None, io.BytesIO(b"PK\x03\x04 damaged"))

    assert chosen.endings[0] == ".docx"
    assert notes == ()
