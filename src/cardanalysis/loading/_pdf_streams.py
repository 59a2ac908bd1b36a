"""Finds in a PDF file what would unpack to more than there is memory for, before it is parsed.

Parsers unpack a stream as a whole: 1 MB of a file becomes 1 GB that way. Pictures are not looked at: nothing unpacks
them when text is read. Streams of encrypted files, or packed with anything but Flate, cannot be checked like this; of
those the memory limit of the process takes care.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from ._formats import Source

_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_FLATE = re.compile(rb"/Fl(?:ateDecode)?\b")
_PICTURE = re.compile(rb"/Subtype\s*/Image\b")
_DICTIONARY = 2048  # where the dictionary of a stream is looked for before it; nearly all are below 500 bytes
_PIECE = 65_536
_MOST_LAYERS = 10


def check_streams(data: bytes, source: Source) -> None:
    """Check that no stream unpacks to more than half of `Limits.memory_bytes`.

    Raises:
        DocumentError: One does; the code is ``too_large``.
    """
    most = source.limits.memory_bytes // 2
    for found in _STREAM.finditer(data):
        layers = _layers(data, found.start())
        if layers and _is_longer(_unpacked(data, found.end(), layers), most):
            raise source.too_large(f"a part of it unpacks to more than {most:,} bytes", "memory_bytes")


def _layers(data: bytes, stream: int) -> int:
    """How often a stream is packed, as the dictionary before it says; 0 for a picture."""
    first = max(0, stream - _DICTIONARY)
    begin = max(data.rfind(b" obj", first, stream), first)
    dictionary = data[begin:stream]
    return 0 if _PICTURE.search(dictionary) else len(_FLATE.findall(dictionary))


def _unpacked(data: bytes, start: int, layers: int) -> Iterator[bytes]:
    """Give what begins at a place, unpacked so often, piece by piece; of damaged data, what comes before the damage."""
    pieces: Iterator[bytes] = (data[at : at + _PIECE] for at in range(start, len(data), _PIECE))
    for _ in range(min(layers, _MOST_LAYERS)):
        pieces = _inflated(pieces)
    return pieces


def _inflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    for piece in pieces:
        rest = piece
        while rest and not unpacker.eof:
            try:
                yield unpacker.decompress(rest, _PIECE)
            except zlib.error:
                return
            rest = unpacker.unconsumed_tail
        if unpacker.eof:
            return


def _is_longer(pieces: Iterator[bytes], most: int) -> bool:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            return True
    return False
