"""Opening an SQLite file as ours, and the transactions on it. Everything here blocks and runs in worker threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

from .._errors import CommitUnknown, StoreError
from ._group_commit import Write
from ._sqlite_place import SQLitePlace

__all__ = ["APPLICATION_ID", "SCHEMA_VERSION", "SQLiteFile", "explain"]

APPLICATION_ID: Final = 0x63617264
"""``card`` in ASCII; it marks a file as ours."""
SCHEMA_VERSION: Final = 1
_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables
_BUSY_SECONDS: Final = 30.0
_LOG_BYTES: Final = 4_194_304
"""Size of the write-ahead log from which it is written back into the database."""


class _Undone(Exception):
    """A full disk or an I/O error in one write made SQLite undo the whole batch, before its commit."""


class SQLiteFile:
    """One connection to one file. Any thread may use it, and one at a time does.

    Args:
        path: The file, or ``:memory:``.
        synchronous: ``FULL`` or ``NORMAL``.
    """

    def __init__(self, path: str, *, synchronous: str) -> None:
        # The file stays the same when the process changes its folder.
        self.path = path if path == ":memory:" else str(Path(path).absolute())
        self._synchronous = synchronous
        self._place = SQLitePlace(self.path)
        self._log_limit = _LOG_BYTES
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection.

        Raises:
            StoreError: The file is not open.
        """
        if self._connection is None:
            raise StoreError("The store is not open. Use it inside 'async with'.", code="store_closed")
        return self._connection

    def open(self) -> None:
        """Open the file, make it ours if it is new, and bring its tables up to date.

        Raises:
            StoreError: It cannot be used, or is open already; the message says why.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed.", code="too_old")
        with self._lock:
            if self._connection is not None:
                raise StoreError(
                    "The store is open already. Enter it once and hand it on, or make another one.", code="store_open"
                )
            self._place.check_local()
            self._connection = self._connect()
            self._place.remember()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def commit(self, batch: Sequence[Write[sqlite3.Connection]]) -> None:
        """Do a batch of writes in one transaction, each undone alone if it raises."""
        with self._lock:
            try:
                self._transact(batch)
            except _Undone:
                # Nothing was committed, and the others of the batch may go through without the one that did not.
                for write in batch:
                    write.error = None
                    self._transact([write])
            self._keep_log_short()

    def _connect(self) -> sqlite3.Connection:
        try:
            # Autocommit: every transaction below is begun by hand, since the module's own would begin as readers and
            # fail when they turn into writers.
            connection = sqlite3.connect(
                self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return connection

    def _transact(self, batch: Sequence[Write[sqlite3.Connection]]) -> None:
        try:
            connection = self.connection
            self._place.check_same()
            connection.execute("BEGIN IMMEDIATE")
            try:
                for write in batch:
                    self._attempt(connection, write)
                self._commit(connection)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except BaseException as error:
            if isinstance(error, _Undone) and len(batch) > 1:
                raise
            for write in batch:
                write.error = write.error or self._told(error)

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            # When the sync fails, the transaction is in the log all the same, and a crash may bring it back.
            if _name_of(error).startswith("SQLITE_IOERR"):
                raise CommitUnknown(Path(self.path).name, _name_of(error)) from error
            raise

    def _keep_log_short(self) -> None:
        """Write the log back into the database when it has grown.

        SQLite's own way of doing so may run while another connection begins the log anew, which can damage the file in
        versions before 3.51.3 (https://sqlite.org/wal.html#walresetbug). It is turned off, and this way holds the write
        lock meanwhile.
        """
        try:
            if self._connection is not None and self._log_size() >= self._log_limit:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                # While somebody reads, the log cannot be emptied; that is tried again when it has grown by as much.
                self._log_limit = self._log_size() + _LOG_BYTES
        except (OSError, sqlite3.Error):
            return  # what was committed is safe in the log; the next commit tries again

    def _log_size(self) -> int:
        return Path(f"{self.path}-wal").stat().st_size

    def _attempt(self, connection: sqlite3.Connection, write: Write[sqlite3.Connection]) -> None:
        connection.execute("SAVEPOINT write")
        try:
            write.result = write.work(connection)
        except Exception as error:
            write.error = self._told(error)
            if not connection.in_transaction:
                raise _Undone from error
            connection.execute("ROLLBACK TO write")
        connection.execute("RELEASE write")

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, (UnicodeEncodeError, OverflowError)):
            return StoreError(
                f"{Path(self.path).name}: an id or a name with half of a surrogate pair, or a number of more than 64 "
                "bits, cannot be stored.",
                code="not_storable",
            )
        return explain(error, self.path) if isinstance(error, sqlite3.Error) else error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self._check_ours(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see _keep_log_short
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again inside the transaction: another process may have made the tables meanwhile.
            self._migrate(connection, self._check_ours(connection))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _check_ours(self, connection: sqlite3.Connection) -> int:
        """Return the schema version, 0 for a new file."""
        # The tables first: another process may make them at any moment, and it marks the file with them.
        has_tables = connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is not None
        application: int = connection.execute("PRAGMA application_id").fetchone()[0]
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if application not in (0, APPLICATION_ID) or (application == 0 and has_tables):
            raise StoreError(f"{self.path} is another program's database. Choose another path.", code="not_a_store")
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} was written by a newer cardanalysis (schema {version}, this one knows "
                f"{SCHEMA_VERSION}). Upgrade cardanalysis.",
                code="too_new",
            )
        return version

    def _migrate(self, connection: sqlite3.Connection, version: int) -> None:
        for step in range(version + 1, SCHEMA_VERSION + 1):
            script = files("cardanalysis.stores.sql").joinpath(f"sqlite_{step}.sql").read_text(encoding="utf-8")
            # Not executescript: it would commit the transaction that surrounds it.
            for statement in script.split(";\n"):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


_REASONS: Final = {
    "SQLITE_BUSY": ("locked", "another process kept it locked for too long. Try again when that process is done"),
    "SQLITE_CANTOPEN": ("cannot_open", "it cannot be opened. Check that its folder exists and can be written"),
    "SQLITE_CORRUPT": ("corrupt", "it is damaged. Restore it from a copy"),
    "SQLITE_FULL": ("full", "the disk is full. Make room and run the same call again; nothing finished is lost"),
    "SQLITE_IOERR": ("io_error", "the disk reported an error. Check it before you go on"),
    "SQLITE_NOTADB": ("not_a_store", "it is no SQLite database. Choose another path"),
    "SQLITE_TOOBIG": ("too_big", "what was to be stored is larger than SQLite takes"),
    "SQLITE_READONLY": ("read_only", "it cannot be written. Check the rights of the file and its folder"),
}


def explain(error: sqlite3.Error, path: str) -> StoreError:
    """Say what an SQLite error means for the store at a path, by its error code and not by its text."""
    name = _name_of(error)
    for prefix, (code, reason) in _REASONS.items():
        if name.startswith(prefix):
            return StoreError(f"{Path(path).name}: {reason} ({name}).", code=code)
    return StoreError(f"{Path(path).name}: SQLite failed ({name}: {error}).", code="sqlite")


def _name_of(error: sqlite3.Error) -> str:
    """SQLite's own name of an error, or the module's where it did not come from SQLite."""
    return getattr(error, "sqlite_errorname", None) or type(error).__name__
