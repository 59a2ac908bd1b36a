"""Zip archives written byte by byte: `zipfile` writes none that lie, and no gigabytes without packing them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

from attrs import evolve, frozen

_BEGINNING, _ENTRY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_DEFLATED = 8
_UNIX = 3 << 8


@frozen(kw_only=True)
class Member:
    """What an archive says of a member, and its packed bytes.

    Attributes:
        name: As it stands there.
        packed: Deflated.
        crc: Checksum of what was packed.
        size: Bytes of what was packed, as declared.
        flags: Bit 0 says that it is encrypted.
        mode: How Unix sees it, such as 0o120777 for a symbolic link.
    """

    name: bytes
    packed: bytes
    crc: int
    size: int
    flags: int = 0
    mode: int = 0o100644


def member(name: str, *pieces: tuple[bytes, int]) -> Member:
    """Pack pieces, each as often as it says: a piece is packed once, and its packed bytes are repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed: list[bytes] = []
    crc = size = 0
    for piece, times in pieces:
        packed += [packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)] * times
        for _ in range(times):
            crc = zlib.crc32(piece, crc)
        size += len(piece) * times
    packed.append(packer.flush())
    return Member(name=name.encode(), packed=b"".join(packed), crc=crc, size=size)


def archive(members: Iterable[Member]) -> bytes:
    """Write members, and the directory of them."""
    body, directory, count = bytearray(), bytearray(), 0
    for each in members:
        known = (each.flags, _DEFLATED, 0, 33, each.crc, len(each.packed), each.size, len(each.name), 0)
        place = len(body)
        body += _BEGINNING + struct.pack("<HHHHHLLLHH", 20, *known) + each.name + each.packed
        outside = struct.pack("<HHHLL", 0, 0, 0, each.mode << 16, place)
        directory += _ENTRY + struct.pack("<HHHHHHLLLHH", 20 | _UNIX, 20, *known) + outside + each.name
        count += 1
    shown = min(count, 0xFFFF)
    return bytes(body + directory + _END + struct.pack("<HHHHLLH", 0, 0, shown, shown, len(directory), len(body), 0))


def members_of(data: bytes) -> dict[str, Member]:
    """The members of an archive, by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        return {name: member(name, (old.read(name), 1)) for name in old.namelist()}


def with_members(data: bytes, *changed: Member, prefix: bytes = b"") -> bytes:
    """The archive with some members in place of those of the same names, or added at its end."""
    by_name = {each.name: each for each in (*members_of(data).values(), *changed)}
    return prefix + archive(by_name.values())


def encrypted(data: bytes) -> bytes:
    """The archive, every member marked as encrypted."""
    return archive(evolve(each, flags=1) for each in members_of(data).values())


def zipped(content: Mapping[str, bytes]) -> bytes:
    """A plain archive."""
    return archive(member(name, (data, 1)) for name, data in content.items())
