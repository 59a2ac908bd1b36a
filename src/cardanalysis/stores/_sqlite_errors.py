"""What an SQLite error means for a store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from .._errors import StoreError

__all__ = ["explain", "is_locked", "name_of"]

_REASONS: Final = {
    "SQLITE_BUSY": ("locked", "another process kept it locked for too long. Try again when that process is done"),
    "SQLITE_CANTOPEN": ("cannot_open", "it cannot be opened. Check that its folder exists and can be written"),
    "SQLITE_CORRUPT": ("corrupt", "it is damaged. Restore it from a copy"),
    "SQLITE_FULL": ("full", "the disk is full. Make room and run the same call again; nothing finished is lost"),
    "SQLITE_IOERR": ("io_error", "the disk reported an error. Check it before you go on"),
    "SQLITE_NOTADB": ("not_a_store", "it is no SQLite database. Choose another path"),
    "SQLITE_PROTOCOL": ("locked", "other processes kept it locked for too long. Try again when they are done"),
    "SQLITE_TOOBIG": ("too_big", "what was to be stored is larger than SQLite takes"),
    "SQLITE_READONLY": ("read_only", "it cannot be written. Check the rights of the file and its folder"),
}


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """Say what an SQLite error means for the store at a path, by its error code and not by its text."""
    name = name_of(error)
    for prefix, (code, reason) in _REASONS.items():
        if name.startswith(prefix):
            return StoreError(f"{Path(path).name}: {reason} ({name}).", code=code)
    return StoreError(f"{Path(path).name}: SQLite failed ({name}: {error}).", code="sqlite")


def name_of(error: sqlite3.Error) -> str:
    """SQLite's own name of an error, or the module's where it did not come from SQLite."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__


def is_locked(error: sqlite3.Error) -> bool:
    """Whether another process holds the lock, so that nothing was done."""
    return name_of(error).startswith(("SQLITE_BUSY", "SQLITE_PROTOCOL"))
