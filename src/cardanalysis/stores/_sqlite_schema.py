"""Making an SQLite file ours, and bringing its tables up to date."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from importlib.resources import files
from typing import Final

from .._errors import StoreError
from ._sqlite_errors import is_locked

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "prepare"]

APPLICATION_ID: Final = 0x63617264
"""``card`` in ASCII; it marks a file as ours."""
SCHEMA_VERSION: Final = 4
"""Each version has a script ``sql/sqlite_N.sql`` that makes it of the one before."""


def prepare(connection: sqlite3.Connection, path: str, *, patience_seconds: float) -> None:
    """Check that a file is ours or new, and make its tables what this version needs, in one transaction.

    Args:
        connection: A connection to the file.
        path: The file, for errors.
        patience_seconds: How long to wait for others who do the same.

    Raises:
        StoreError: It is another program's file, or one of a newer version; it was not touched.
        sqlite3.Error: SQLite failed.
    """
    if _version(connection, path) == SCHEMA_VERSION and _is_in_wal(connection) and os.access(path, os.W_OK):
        return
    _set_wal(connection, patience_seconds)
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again inside the transaction: another process may have made the tables meanwhile.
        _migrate(connection, _version(connection, path))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _set_wal(connection: sqlite3.Connection, patience_seconds: float) -> None:
    """Put the file into write-ahead mode. SQLite itself does not wait here for others who have begun to write."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > give_up_at:
                raise
            time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - not a secret
        else:
            return


def _is_in_wal(connection: sqlite3.Connection) -> bool:
    mode: str = connection.execute("PRAGMA journal_mode").fetchone()[0]
    return mode == "wal"


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the schema version, 0 for a new file."""
    # The tables first: another process may make them at any moment, and it marks the file with them.
    has_tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
    application: int = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if application not in (0, APPLICATION_ID) or (application == 0 and has_tables):
        raise StoreError(f"{path} is another program's database. Choose another path.", code="not_a_store")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path} was written by a newer cardanalysis (schema {version}, this one knows {SCHEMA_VERSION}). "
            "Upgrade cardanalysis.",
            code="too_new",
        )
    return version


def _migrate(connection: sqlite3.Connection, version: int) -> None:
    for step in range(version + 1, SCHEMA_VERSION + 1):
        script = files("cardanalysis.stores.sql").joinpath(f"sqlite_{step}.sql").read_text(encoding="utf-8")
        # Not executescript: it would commit the transaction that surrounds it.
        for statement in script.split(";\n"):
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
