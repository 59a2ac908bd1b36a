"""Many small files of all formats, sound and hostile ones, no two of the same content."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import cycle

from .good import GOOD
from .hostile import files

_LARGEST = 100_000
_END_OF_ZIP = b"PK\x05\x06"
_SLOW = frozenset({"memory", "timeout", "crashed", "too_large"})
"""Codes of files that are large, or take long."""


def mixed(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of so many files: the sound ones in turn, and each tenth one hostile."""
    sound = cycle([(good.name, good.data) for good in (make() for make in GOOD.values())])
    hostile = [each for each in files().values() if not each.codes & _SLOW and 0 < len(each.data) < _LARGEST]
    bad = cycle([(f"bad-{each.name}", each.data) for each in hostile])
    for number in range(count):
        name, data = next(bad if number % 10 == 9 else sound)
        yield f"{number}-{name}", _different(data, number)


def _different(data: bytes, number: int) -> bytes:
    """The file with a number at its end, which of an archive is a comment."""
    mark = b"\n%d" % number
    if data[-22:-18] == _END_OF_ZIP:
        return data[:-2] + struct.pack("<H", len(mark)) + mark
    if b"%PDF" in data[:1024]:
        return data + b"\n%" + mark.strip() + b"\n"
    return data + f"\n{number}".encode("utf-16-le" if data.startswith(b"\xff\xfe") else "ascii")
