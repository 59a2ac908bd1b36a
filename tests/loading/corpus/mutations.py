"""Changes to files that no program makes: of their bytes, and of what is packed in them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from random import Random

_ODD = (
    b"",
    b"\0",
    b"\xff" * 4,
    b"\xff\xfe",
    b"<",
    b"&",
    b"]]>",
    b"-1",
    b"0",
    b"4294967296",
    b"9" * 40,
    b"1e400",
    b"NaN",
    b"(",
    b"\r\n\r\n",
    b"\xc3\x28",
    b'"',
    b"../../x",
)
_NUMBER = re.compile(rb"\d+")
_VALUE = re.compile(rb'"[^"]*"|>[^<]+<')
_TAG = re.compile(rb"<[^>]*>")

Change = Callable[[bytearray, Random], None]


def _place(data: bytearray, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _range(data: bytearray, random: Random) -> slice:
    start = _place(data, random)
    return slice(start, start + random.choice((1, 4, 32, 512, 4096)))


def flip(data: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 8, 64))):
        if data:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def truncate(data: bytearray, random: Random) -> None:
    del data[_place(data, random) :]


def cut(data: bytearray, random: Random) -> None:
    del data[_range(data, random)]


def repeat(data: bytearray, random: Random) -> None:
    chosen = _range(data, random)
    data[chosen.start : chosen.start] = data[chosen] * random.choice((1, 2, 50))


def swap(data: bytearray, random: Random) -> None:
    one, other = sorted((_range(data, random), _range(data, random)), key=lambda each: each.start)
    first, second = data[one], data[other]
    data[other] = first
    data[one] = second


def insert(data: bytearray, random: Random) -> None:
    at = _place(data, random)
    data[at:at] = random.choice(_ODD)


def _replace(pattern: re.Pattern[bytes], data: bytearray, random: Random) -> None:
    found = list(pattern.finditer(data))
    if found:
        one = random.choice(found)
        inner = slice(one.start() + 1, one.end() - 1) if pattern is _VALUE else slice(one.start(), one.end())
        data[inner] = random.choice(_ODD)


def change_number(data: bytearray, random: Random) -> None:
    _replace(_NUMBER, data, random)


def change_value(data: bytearray, random: Random) -> None:
    """Change an attribute's value or a text of XML."""
    _replace(_VALUE, data, random)


def change_tags(data: bytearray, random: Random) -> None:
    """Leave a tag of XML out, or put another one in its place or before it."""
    found = list(_TAG.finditer(data))
    if found:
        one, other = random.choice(found), random.choice(found)
        data[one.start() : random.choice((one.start(), one.end()))] = random.choice((b"", other[0]))


def move_element(data: bytearray, random: Random) -> None:
    """Repeat what stands between two tags somewhere else, mostly so that it stays XML."""
    found = [each.start() for each in _TAG.finditer(data)]
    if found:
        start = random.choice(found)
        end = data.find(b"</", start)
        closed = data.find(b">", end) + 1 if end >= 0 else start
        at = random.choice(found)
        data[at:at] = data[start:closed] * random.choice((1, 1, 20))


BYTES: tuple[Change, ...] = (flip, truncate, cut, repeat, swap, insert, change_number)
MARKUP: tuple[Change, ...] = (*BYTES, change_value, change_value, change_tags, change_tags, move_element, move_element)


def mutated(data: bytes, random: Random) -> bytes:
    """The file with one to three changes; of an archive mostly to a member, so that what is packed is reached."""
    if data.startswith(b"PK") and random.random() < 0.85:
        return _with_changed_members(data, random)
    return _changed(data, random, MARKUP if b"<html" in data else BYTES)


def _changed(data: bytes, random: Random, changes: tuple[Change, ...]) -> bytes:
    made = bytearray(data)
    for _ in range(random.randint(1, 3)):
        random.choice(changes)(made, random)
    return bytes(made)


def _with_changed_members(data: bytes, random: Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for _ in range(random.randint(1, 2)):
        name = random.choice(list(content))
        kind = random.random()
        if kind < 0.05:
            del content[name]
        elif kind < 0.1:
            content[name] = random.choice(list(content.values()))
        else:
            content[name] = _changed(content[name], random, MARKUP)
        if not content:
            break
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in content.items():
            archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
    return file.getvalue()
