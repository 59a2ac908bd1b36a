"""Office Open XML files before anything parses them: zip archives of XML parts, as ECMA-376 part 2 describes them.

The parsers trust what an archive declares. So all that can be told without unpacking is checked first: how many members
there are, what they come to, their names, and that no XML part declares a document type, which is how entities come in.
"""

from __future__ import annotations

import posixpath
import re
import struct
import zlib
from collections.abc import Collection, Mapping
from typing import BinaryIO, NoReturn
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from attrs import define, frozen

from .._errors import DocumentError
from ._formats import Source

PARSED_FACTOR = 10
"""Bytes in memory for each byte of XML that is parsed into a tree.

Measured on documents of 10 MB with lxml 6 and with ElementTree: 10 to 11 for paragraphs of four formatted runs, 13 for
paragraphs of one word, 2 for text without markup, 32 for nothing but empty elements.
"""

BROKEN = (
    BadZipFile,
    ElementTree.ParseError,
    EOFError,
    NotImplementedError,
    OSError,
    OverflowError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What `zipfile` raises for archives that are not as they should be."""

_PROLOG_BYTES = 1_000_000
_CHUNK = 1 << 16
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_XML_ENDINGS = (".xml", ".rels", ".vml")
_MARKUP_ENDINGS = (".svg", ".html", ".htm", ".xhtml")  # no parser reads them, and a document type is usual in them
_ENCRYPTED = 0x1  # the bit of a member's flags

# An absolute path, a drive letter, a step upwards, or a NUL that hides the rest of the name.
_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|\0")

# The records at a zip archive's end (APPNOTE.TXT 4.3.12 to 4.3.16).
_ENTRY, _ENTRY_BYTES = b"PK\x01\x02", 46
_END, _END_BYTES = b"PK\x05\x06", 22
_END64, _END64_BYTES = b"PK\x06\x06", 56
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_COMMENT_BYTES = 0xFFFF


def check_package(source: Source, *, main: str, streamed: Collection[str] = ()) -> None:
    """Refuse what is no sound Office file, or more than the limits allow, before a parser sees it.

    It reads the directory and the first bytes of each member. Sizes are those that the archive declares; they may lie,
    so whoever reads a member does it with `read_part`.

    Args:
        source: The file.
        main: The part without which it is nothing, by its usual name: ``word/document.xml``. A part of another name in
            the same folder also does, where the package's relationships call it the main one.
        streamed: Folders of which no part is held in memory, such as ``xl/worksheets/``: theirs may be of any size.

    Raises:
        DocumentError: It cannot be read. The code is ``malformed``, ``encrypted``, ``too_large`` or ``unsafe``.
    """
    with source.open() as file:
        start = file.read(len(_OLE))
        if start == _OLE:
            _refuse_container(source, file)
        try:
            _check_count(source, file)
            with ZipFile(file) as archive:
                _check(source, archive, main, tuple(streamed))
        except BROKEN as error:
            raise _broken(source, start) from error


def read_part(archive: ZipFile, name: str) -> bytes:
    """Read a member whose declared size was checked. What it holds beyond that is not unpacked.

    Raises:
        KeyError: There is no such member.
        zipfile.BadZipFile: It is not what the directory says.
    """
    member = archive.getinfo(name)
    with archive.open(member) as part:
        data = part.read(member.file_size)
        part.read(1)  # at its end the checksum is compared
    if len(data) != member.file_size:
        raise BadZipFile(f"{name!r} is shorter than declared")
    return data


def _broken(source: Source, start: bytes) -> DocumentError:
    if start[:2] == b"PK":
        return source.malformed("its zip archive is damaged or ends in the middle")
    return source.malformed("it is not a zip archive, as Office files are")


def _refuse_container(source: Source, file: BinaryIO) -> NoReturn:
    """Refuse an OLE file: an old binary format, or a new one that was encrypted."""
    tail = b""
    while chunk := file.read(_CHUNK):
        if _ENCRYPTED_PACKAGE in tail + chunk:
            raise _protected(source)
        tail = chunk[-len(_ENCRYPTED_PACKAGE) :]
    raise source.malformed("it is not a zip archive, as Office files are")


def _protected(source: Source) -> DocumentError:
    remedy = "Open it with the password, save it without one, and upload that."
    return DocumentError(source.name, "it is protected with a password", remedy, code="encrypted")


def _unsafe(source: Source, problem: str) -> DocumentError:
    remedy = "No Office program writes that; save it anew from the program it came from if you trust it."
    return DocumentError(source.name, problem, remedy, code="unsafe")


def _check_count(source: Source, file: BinaryIO) -> None:
    """Count the directory's entries before `zipfile` makes an object of each."""
    directory = _directory(file)
    at = count = 0
    while directory.startswith(_ENTRY, at) and at + _ENTRY_BYTES <= len(directory):
        count += 1
        if count > source.limits.members:
            raise source.too_large(f"it has more than {source.limits.members:,} members", "members")
        at += _ENTRY_BYTES + sum(struct.unpack_from("<HHH", directory, at + 28))


def _directory(file: BinaryIO) -> bytes:
    """The directory of an archive: before the end record, as long as that says."""
    length = file.seek(0, 2)
    tail_start = max(0, length - _COMMENT_BYTES - _END_BYTES - _LOCATOR_BYTES - _END64_BYTES)
    file.seek(tail_start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise BadZipFile("no end record")
    size: int = struct.unpack_from("<L", tail, at + 12)[0]
    at64 = at - _LOCATOR_BYTES - _END64_BYTES
    if at64 >= 0 and tail.startswith(_LOCATOR, at - _LOCATOR_BYTES) and tail.startswith(_END64, at64):
        at, size = at64, struct.unpack_from("<Q", tail, at64 + 40)[0]
    start = tail_start + at - size
    if start < 0:
        raise BadZipFile("the directory does not fit into the file")
    file.seek(start)
    return file.read(size)


def _check(source: Source, archive: ZipFile, main: str, streamed: tuple[str, ...]) -> None:
    members = archive.infolist()
    if sum(member.file_size for member in members) > source.limits.expanded_bytes:
        found = f"it unpacks to more than {source.limits.expanded_bytes:,} bytes"
        raise source.too_large(found, "expanded_bytes")
    _check_names(source, members)
    for member in members:
        _check_member(source, archive, member, streamed)
    if main_part(archive, main) is None:
        raise source.malformed(f"it has no {main}")


def _check_names(source: Source, members: list[ZipInfo]) -> None:
    seen: set[str] = set()
    for member in members:
        name = member.orig_filename.replace("\\", "/")
        if _OUTSIDE.search(name):
            raise _unsafe(source, "a member of it names a place outside of the file")
        if name.lower() in seen:  # names of parts are equal when only their case differs
            raise _unsafe(source, "two members of it have the same name")
        seen.add(name.lower())


def _check_member(source: Source, archive: ZipFile, member: ZipInfo, streamed: tuple[str, ...]) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise _protected(source)
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise source.malformed("a member of it is packed in a way that Office files do not use")
    name = member.filename.lower()
    if member.is_dir() or not member.file_size or name.endswith(_MARKUP_ENDINGS) or name.startswith("__macosx/"):
        return
    if not name.endswith(_XML_ENDINGS) and not _is_markup(archive, member):
        return
    if member.file_size * PARSED_FACTOR > source.limits.memory_bytes and not name.startswith(streamed):
        most = source.limits.memory_bytes // PARSED_FACTOR
        raise source.too_large(f"a part of it has more than {most:,} bytes of XML", "memory_bytes")
    _check_prolog(source, archive, member)


def _is_markup(archive: ZipFile, member: ZipInfo) -> bool:
    """Tell whether a member that is not called XML begins like XML in UTF-8 or UTF-16."""
    with archive.open(member) as part:
        return part.read(64).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")[:1] == b"<"


@define
class _Prolog:
    """What was found of an XML part until its root element began."""

    declares_type: bool = False
    ended: bool = False

    def on_doctype(self, *_: object) -> None:
        self.declares_type = True

    def on_element(self, *_: object) -> None:
        self.ended = True


def _check_prolog(source: Source, archive: ZipFile, member: ZipInfo) -> None:
    """Refuse a document type declaration; it can only stand before the root element. OPC forbids it [M1.17]."""
    prolog = _Prolog()
    parser = ParserCreate()
    parser.StartDoctypeDeclHandler = prolog.on_doctype
    parser.StartElementHandler = prolog.on_element
    read = 0
    with archive.open(member) as part:
        while not (prolog.declares_type or prolog.ended):
            chunk = part.read(min(1024 + read, _CHUNK))
            read += len(chunk)
            if read > _PROLOG_BYTES or not _feed(parser, chunk, prolog):
                raise source.malformed("a part of it is not XML as Office files have it")
    if prolog.declares_type:
        raise _unsafe(source, "a part of it declares a document type, which can hide entities")


def _feed(parser: XMLParserType, chunk: bytes, prolog: _Prolog) -> bool:
    """Give a parser the next bytes, or the end, and tell whether they can stand in a prolog.

    At the end it also reads what newer versions put off until more of a long token has come. Errors behind the root
    element's start tag are left to whoever parses the part.
    """
    try:
        parser.Parse(chunk, not chunk)
    except (ExpatError, ValueError, LookupError):
        return prolog.declares_type or prolog.ended
    return True


def main_part(archive: ZipFile, usual: str) -> str | None:
    """Find the main part: the one that the package's relationships call so, else that with the usual name."""
    folder = usual.partition("/")[0]
    names = set(archive.namelist())
    for each in relationships(archive, ""):
        if each.kind == "officeDocument" and each.target in names and each.target.startswith(f"{folder}/"):
            return each.target
    return usual if usual in names else None


@frozen(kw_only=True)
class Relationship:
    """How one part of a package refers to another.

    Attributes:
        id: The name by which the part's XML refers to it.
        kind: The last word of its type: ``slide``, ``hyperlink``.
        target: The other part's name in the archive; what is written, where the target is outside of the package.
        external: Whether the target is outside of the package.
    """

    id: str
    kind: str
    target: str
    external: bool


def tree(archive: ZipFile, name: str) -> ElementTree.Element:
    """Parse a part of a package that was checked.

    Raises:
        KeyError: There is no such part.
        zipfile.BadZipFile: It is not what the directory says.
        xml.etree.ElementTree.ParseError: It is no XML.
    """
    return ElementTree.fromstring(read_part(archive, name))  # noqa: S314, check_package found no entities


def relationships(archive: ZipFile, part: str) -> list[Relationship]:
    """Read what a part refers to; ``""`` is the package itself.

    Raises:
        xml.etree.ElementTree.ParseError: They are no XML.
    """
    folder, _, name = part.rpartition("/")
    listed = posixpath.join(folder, "_rels", f"{name}.rels")
    if listed not in archive.NameToInfo:
        return []
    return [_relationship(each.attrib, folder) for each in tree(archive, listed)]


def _relationship(written: Mapping[str, str], folder: str) -> Relationship:
    target = written.get("Target", "")
    external = written.get("TargetMode") == "External"
    if not external:
        target = posixpath.normpath(posixpath.join("/", folder, unquote(target))).lstrip("/")
    kind = written.get("Type", "").rpartition("/")[2]
    return Relationship(id=written.get("Id", ""), kind=kind, target=target, external=external)
