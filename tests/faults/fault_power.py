"""Keeps what a power loss would leave: each file of a store with the bytes that it had when SQLite last synced it.

It stands between the very SQLite that the module sqlite3 uses and its files, at the place that SQLite has for that: its
VFS, https://sqlite.org/vfs.html.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any

_MAIN, _LOG = 0x100, 0x80000
"""Flags with which the database and its write-ahead log are opened."""
_READ, _SYNC, _SIZE, _METHODS = 2, 5, 6, 19
"""Places in a table of methods, behind the version; how many there are in all."""
_Table = c_void_p * _METHODS
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)
_Read = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Size = CFUNCTYPE(c_int, c_void_p, POINTER(c_int64))
_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
    )


def find_vfs() -> Any:
    """The VFS of the SQLite that the module sqlite3 uses, or None where it cannot be reached."""
    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (AttributeError, OSError):
        return None
    find.restype = POINTER(_Vfs)
    return find(None)


def keep_synced(folder: Path) -> list[Any]:
    """From now on, keep in a folder what was synced of every store that this process opens.

    Returns:
        What has to stay alive meanwhile.
    """
    vfs = find_vfs()
    open_file = _Open(vfs.contents.open)
    alive: list[Any] = []

    def open_and_watch(this: int, name: int, file: int, flags: int, out: int) -> int:
        result: int = open_file(this, name, file, flags, out)
        if result == 0 and name and flags & (_MAIN | _LOG):
            path = Path(os.fsdecode(c_char_p(name).value or b""))
            alive.append(_watch(file, folder / path.name))
        return result

    watching = _Open(open_and_watch)
    vfs.contents.open = ctypes.cast(watching, c_void_p)
    return [alive, watching]


def _watch(file: int, image: Path) -> list[Any]:
    """Have an open file copied into an image whenever it was synced."""
    methods = c_void_p.from_address(file)
    table = _Table.from_address(methods.value or 0)
    sync, read, size = _Sync(table[_SYNC]), _Read(table[_READ]), _Size(table[_SIZE])

    def sync_and_keep(this: int, flags: int) -> int:
        result: int = sync(this, flags)
        if result == 0:
            _keep(this, read, size, image)
        return result

    # The methods are shared by all files of a kind, so that this one gets a table of its own; an older version of the
    # table is shorter, and what is read behind it is not used.
    own, keeping = _Table(*table), _Sync(sync_and_keep)
    own[_SYNC] = ctypes.cast(keeping, c_void_p).value
    methods.value = ctypes.addressof(own)
    return [own, keeping, sync, read, size]


def _keep(file: int, read: Callable[..., int], size: Callable[..., int], image: Path) -> None:
    """Write an image in one step, so that whoever is killed meanwhile leaves the one before."""
    # It is read as SQLite does, since opening the file anew would drop the locks that this process has on it.
    length = c_int64()
    assert size(file, ctypes.byref(length)) == 0
    content = ctypes.create_string_buffer(length.value or 1)
    assert length.value == 0 or read(file, content, length.value, 0) == 0
    made = image.with_name(f"{image.name}.new")
    made.write_bytes(content.raw[: length.value])
    made.replace(image)
