"""What is in folders and zip archives: which files and members count as documents, and the content of a member.

Nothing is unpacked to where an archive says; a member is read when its turn comes, and only as much as it declares.
"""

from __future__ import annotations

import bz2
import os
import re
import stat
import struct
import tempfile
import zlib
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, Final, cast
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from attrs import frozen

from ._errors import DocumentError, InvalidValue

__all__ = ["Member", "files_in", "members_of", "open_member"]

_IGNORED: Final = (".*", "~$*", "Thumbs.db", "desktop.ini", "__MACOSX")
"""What no one means: hidden files and folders, Office's lock files, and what Windows and macOS leave in folders."""

_MOST_TIMES: Final = 200
"""How much larger than in the archive a member may be; documents that are text come to about 20 times."""
_UNSUSPICIOUS_BYTES: Final = 10_000_000
"""Members up to this size may be packed as tightly as they like."""
_IN_MEMORY_BYTES: Final = 8_000_000
_ENTRY_BYTES: Final = 512
"""What an archive's list may have for each member that is allowed, before it is read: 46 bytes, and its names."""
_END, _END_BYTES = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_BYTES = b"PK\x06\x07", 20
_COMMENT_BYTES = 0xFFFF
_MOST_OF_ZIP32 = 0xFFFFFFFE
_NO_DATE = 33  # the first day of 1980
_CHUNK = 1 << 16
_ENCRYPTED, _UTF_8 = 0x1, 0x800  # bits of a member's flags

_OUTSIDE = re.compile(r"^/|^[A-Za-z]:|(?:^|/)\.\.(?:/|$)|\0")
_BROKEN = (BadZipFile, EOFError, NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error)


# -- Patterns


class _Chosen:
    """Which relative paths are meant."""

    def __init__(self, glob: str, ignore: Iterable[str]) -> None:
        self._glob = _pattern(glob)
        ignored = (*_IGNORED, *((ignore,) if isinstance(ignore, str) else ignore))
        self._names = [_pattern(each) for each in ignored if "/" not in each]
        self._paths = [_pattern(each) for each in ignored if "/" in each]

    def ignores(self, path: str) -> bool:
        """Whether a file or folder is to be left out, by its last name or its path."""
        name = path.rpartition("/")[2]
        return any(each.fullmatch(name) for each in self._names) or any(each.fullmatch(path) for each in self._paths)

    def takes(self, path: str) -> bool:
        """Whether a file that nothing ignores is one of those asked for."""
        return self._glob.fullmatch(path) is not None

    def takes_member(self, path: str) -> bool:
        """Whether neither a member nor a folder around it is ignored, and it is asked for."""
        parts = [part for part in path.split("/") if part not in ("", ".", "..")]  # reading it will tell of these
        around = ("/".join(parts[:end]) for end in range(1, len(parts) + 1))
        return self.takes("/".join(parts)) and not any(map(self.ignores, around))


@lru_cache(maxsize=100)
def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression, in any case: ``**`` is any folders, ``*`` and ``?`` end at a slash."""
    pattern, at = "", 0
    for found in re.finditer(r"\*\*/|\*+|\?|\[!?\]?[^\]/]*\]", glob):
        pattern += re.escape(glob[at : found.start()]) + _PIECES.get(found[0], "")
        if found[0].startswith("["):
            inside = found[0][1:-1].replace("\\", "\\\\").replace("[", "\\[")
            pattern += f"[^/{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
        at = found.end()
    try:
        return re.compile(pattern + re.escape(glob[at:]), re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise InvalidValue(f"{glob!r} is no pattern for names: {error}.") from None


_PIECES = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


# -- Folders


def files_in(folder: Path, glob: str, ignore: Iterable[str]) -> list[tuple[str, Path]]:
    """Find the files of a folder and the folders in it, by their names relative to it, in the order of these.

    Links to files are among them, wherever they lead; links to folders, pipes, sockets and devices are not. A folder
    that cannot be looked into is listed as if it were a file, so that whoever reads it meets the reason.

    Raises:
        DocumentError: It is no folder, or cannot be looked into.
        ConfigurationError: A pattern is none.
    """
    name = os.fsencode(folder.name or folder).decode(errors="replace")
    chosen = _Chosen(glob, ignore)
    try:
        root = folder.resolve(strict=True)
        found = list(_below("", chosen, _listed(root)))
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: links in a circle, in Python before 3.13
        raise _no_folder(name, folder, error) from error
    return [(path, folder / path) for path in sorted(found, key=lambda path: path.split("/"))]


def _listed(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _below(prefix: str, chosen: _Chosen, entries: list[os.DirEntry[str]]) -> Iterator[str]:
    # Folders wait in a list, so that their depth costs no stack.
    waiting = [(prefix, entries)]
    while waiting:
        prefix, entries = waiting.pop()
        for entry in entries:
            path = prefix + entry.name
            if chosen.ignores(path):
                continue
            if not _is_folder(entry):
                if chosen.takes(path) and _is_document(entry):
                    yield path
                continue
            try:
                waiting.append((f"{path}/", _listed(Path(entry.path))))
            except OSError:
                yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    is_junction = getattr(entry, "is_junction", None)  # a link to a folder on Windows, told since Python 3.12
    return entry.is_dir(follow_symlinks=False) and not (is_junction is not None and is_junction())


def _is_document(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link to one, even if that is gone."""
    try:
        if not entry.is_symlink():
            return entry.is_file(follow_symlinks=False)
        target = Path(entry.path).resolve()
        return target.is_file() or not target.exists()
    except (OSError, RuntimeError):
        return False


def _no_folder(name: str, folder: Path, error: Exception) -> DocumentError:
    if isinstance(error, FileNotFoundError):
        problem = "there is no such folder"
    elif isinstance(error, NotADirectoryError):
        return DocumentError(name, "it is no folder", "Pass a file to Upload.from_path.", code="not_found")
    else:
        problem = f"it cannot be looked into ({getattr(error, 'strerror', None) or error})"
    return DocumentError(name, problem, f"Check the path {str(folder)!r}.", code="not_found")


# -- Zip archives


@frozen(kw_only=True)
class Member:
    """A file in an archive.

    Attributes:
        key: The name by which the archive knows it.
        name: Its path in the archive, with slashes, as people read it.
        size: What it declares to have, in bytes.
        data: An archive of it alone, if the one it is in is in memory.
    """

    key: str
    name: str
    size: int
    data: bytes | None


def members_of(
    file: BinaryIO,
    name: str,
    glob: str,
    ignore: Iterable[str],
    *,
    members: int,
    archive_bytes: int,
    expanded_bytes: int,
    in_memory: bool,
) -> list[Member]:
    """List the files of an archive in the order of their names; nothing is unpacked.

    Args:
        file: The archive.
        name: Its name, for errors.
        glob: Which members are asked for.
        ignore: Which are left out.
        members: How many it may have.
        archive_bytes: How large it may be.
        expanded_bytes: What the members that are asked for may come to.
        in_memory: Whether each member is given as an archive of its own.

    Raises:
        DocumentError: It is no sound archive, or larger than allowed.
    """
    try:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            raise DocumentError(name, "it is empty", "Check that it was saved, or leave it out.", code="empty")
        if size > archive_bytes:
            raise _too_large(name, f"it has {size:,} bytes and at most {archive_bytes:,} are allowed", "archive_bytes")
        listed = _listed_in(file, name, size, members)
        chosen = _Chosen(glob, ignore)
        asked = {each.orig_filename: each for each in listed if chosen.takes_member(_name_in(each))}
        if sum(each.file_size for each in asked.values()) > expanded_bytes:
            found = f"what is asked for of it unpacks to more than {expanded_bytes:,} bytes"
            raise _too_large(name, found, "expanded_bytes")
        copies = Counter(each.orig_filename for each in listed)
        taken = [_member(file, each, copies[key], alone=in_memory) for key, each in asked.items()]
    except (*_BROKEN, zlib.error) as error:
        raise _malformed(name, "it is no zip archive, or a damaged one") from error
    return sorted(taken, key=lambda each: each.name.split("/"))


def _listed_in(file: BinaryIO, name: str, size: int, most: int) -> list[ZipInfo]:
    too_many = _too_large(name, f"it has more than {most:,} members", "members")
    if _directory_bytes(file, size) > most * _ENTRY_BYTES:
        raise too_many
    with ZipFile(file) as archive:
        listed = [each for each in archive.infolist() if not _name_in(each).endswith("/")]
    if len(listed) > most:
        raise too_many
    return listed


def _member(file: BinaryIO, info: ZipInfo, copies: int, *, alone: bool) -> Member:
    data = _alone(file, info, copies) if alone else None
    return Member(key=info.orig_filename, name=_name_in(info), size=info.file_size, data=data)


def _directory_bytes(file: BinaryIO, size: int) -> int:
    """How long the list of members is, as the record at the archive's end says (APPNOTE.TXT, 4.3.14 to 4.3.16)."""
    start = max(0, size - _COMMENT_BYTES - _END_BYTES - _LOCATOR_BYTES)
    file.seek(start)
    tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or at + _END_BYTES > len(tail):
        raise BadZipFile
    if tail.startswith(_LOCATOR, max(0, at - _LOCATOR_BYTES)):
        (place,) = struct.unpack_from("<Q", tail, at - _LOCATOR_BYTES + 8)
        file.seek(place)
        (length,) = struct.unpack("<40xQ", file.read(48))
        return int(length)
    (length,) = struct.unpack_from("<L", tail, at + 12)
    return int(length)


def _name_in(member: ZipInfo) -> str:
    """A member's name as it was meant: many programs write UTF-8 without saying so."""
    name = member.orig_filename
    if not member.flag_bits & _UTF_8 and not name.isascii():
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/").replace("\0", "\ufffd")


def _alone(file: BinaryIO, member: ZipInfo, copies: int) -> bytes:
    """An archive of one member, packed as it is, so that an upload does not hold all the others too.

    Of two members with one name both are listed, so that reading either of them meets the error.
    """
    file.seek(member.header_offset)
    header = file.read(30)
    if len(header) < 30 or max(member.compress_size, member.file_size) > _MOST_OF_ZIP32:
        return b""  # which is no archive, as reading it will say
    local = header + file.read(sum(struct.unpack_from("<HH", header, 26)) + member.compress_size)
    name = member.orig_filename.encode("utf-8" if member.flag_bits & _UTF_8 else "cp437", errors="replace")
    entry = struct.pack(
        "<4sBBHHHHHLLLHHHHHLL",
        *(b"PK\x01\x02", member.create_version, member.create_system, member.extract_version, member.flag_bits),
        *(member.compress_type, 0, _NO_DATE, member.CRC, member.compress_size, member.file_size),
        *(len(name), 0, 0, 0, member.internal_attr, member.external_attr, 0),
    )
    entries = (entry + name) * min(copies, 2)
    count = min(copies, 2)
    return local + entries + struct.pack("<4sHHHHLLH", _END, 0, 0, count, count, len(entries), len(local), 0)


@lru_cache(maxsize=4)
def _directory(path: Path, modified_ns: int) -> dict[str, ZipInfo | None]:
    """The members of an archive by their keys, None for a name that two have; kept, as it is asked for each of them."""
    with path.open("rb") as file:
        return _by_key(file)


def _by_key(file: BinaryIO) -> dict[str, ZipInfo | None]:
    found: dict[str, ZipInfo | None] = {}
    with ZipFile(file) as archive:
        for each in archive.infolist():
            found[each.orig_filename] = None if each.orig_filename in found else each
    return found


@contextmanager
def open_member(
    file: BinaryIO, key: str, name: str, size: int, place: tuple[Path, int] | None
) -> Generator[BinaryIO, None, None]:
    """Unpack a member, into a temporary file if it is large.

    Args:
        file: The archive.
        key: The member's.
        name: The upload's, for errors.
        size: What the member declared when it was listed.
        place: The archive's path, and when it was modified, if it is a file.

    Raises:
        DocumentError: It cannot be read. The code is ``changed``, ``encrypted``, ``malformed``, ``too_large``,
            ``unknown_type`` or ``unsafe``.
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as unpacked:
        try:
            members = _by_key(file) if place is None else _directory(*place)
            _unpack(file, _checked(members, key, name, size), cast("BinaryIO", unpacked))
        except (*_BROKEN, zlib.error) as error:
            raise _malformed(name, "it is damaged in its archive") from error
        unpacked.seek(0)
        yield cast("BinaryIO", unpacked)


def _checked(members: dict[str, ZipInfo | None], key: str, name: str, size: int) -> ZipInfo:
    """The member, if it is one that may be read."""
    if key not in members:
        raise _changed(name)
    member = members[key]
    if member is None:
        raise _unsafe(name, "two members of its archive have this name")
    if member.file_size != size:
        raise _changed(name)
    if _OUTSIDE.search(member.orig_filename.replace("\\", "/")):
        raise _unsafe(name, "its name leads out of the archive")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise _unsafe(name, "it is a link, not a file")
    if member.flag_bits & _ENCRYPTED:
        remedy = "Unpack it with the password, and hand in the files."
        raise DocumentError(name, "it is protected with a password", remedy, code="encrypted")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2):
        remedy = "Unpack the archive, and hand in the files."
        raise DocumentError(name, "it is packed in a way that cannot be read", remedy, code="unknown_type")
    if member.file_size > max(_UNSUSPICIOUS_BYTES, _MOST_TIMES * member.compress_size):
        raise _unsafe(name, f"it is more than {_MOST_TIMES} times as large as in its archive")
    return member


def _unpack(file: BinaryIO, member: ZipInfo, to: BinaryIO) -> None:
    """Unpack what a member declares, and no more, and compare its checksum.

    `ZipFile.open` does the same, but only for an archive whose list it has read, which would be read for each member.
    """
    file.seek(member.header_offset)
    header = file.read(30)
    if header[:4] != b"PK\x03\x04":
        raise BadZipFile
    file.seek(sum(struct.unpack_from("<HH", header, 26)), os.SEEK_CUR)
    left, checksum = member.file_size, 0
    for piece in _pieces(file, member):
        kept = piece[:left]
        to.write(kept)
        left -= len(kept)
        checksum = zlib.crc32(kept, checksum)
        if len(kept) < len(piece):
            raise BadZipFile
    if left or checksum != member.CRC:
        raise BadZipFile


def _pieces(file: BinaryIO, member: ZipInfo) -> Iterator[bytes]:
    """What a member holds, in pieces that are never much larger than what is read."""
    left = member.compress_size
    inflate = zlib.decompressobj(-15) if member.compress_type == ZIP_DEFLATED else None
    bunzip = bz2.BZ2Decompressor() if member.compress_type == ZIP_BZIP2 else None
    while left and (packed := file.read(min(_CHUNK, left))):
        left -= len(packed)
        if inflate is not None:
            while packed and not inflate.eof:
                yield inflate.decompress(packed, _CHUNK)
                packed = inflate.unconsumed_tail
            if not left:
                yield inflate.flush()
        elif bunzip is not None:
            yield bunzip.decompress(packed, _CHUNK)
            while not (bunzip.eof or bunzip.needs_input):
                yield bunzip.decompress(b"", _CHUNK)
            if bunzip.eof:
                return
        else:
            yield packed


def _too_large(name: str, problem: str, argument: str) -> DocumentError:
    return DocumentError(name, problem, f"Split it, or pass a higher {argument}.", code="too_large")


def _malformed(name: str, problem: str) -> DocumentError:
    return DocumentError(name, problem, "Make the archive again, or hand in the files unpacked.", code="malformed")


def _unsafe(name: str, problem: str) -> DocumentError:
    return DocumentError(name, problem, "Unpack the archive if you trust it, and hand in the files.", code="unsafe")


def _changed(name: str) -> DocumentError:
    remedy = "Make the uploads again when nobody writes to the archive."
    return DocumentError(name, "its archive was changed meanwhile", remedy, code="changed")
