"""An SQLite file: its connections and the transactions on it. Everything here blocks and runs in worker threads.

There are two connections. One writes. The other one reads, so that whoever reads neither waits for the write lock nor
keeps it from anybody: in write-ahead mode a reader sees the file as it was when it began.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from .._errors import CommitUnknown, ConfigurationError, StoreError
from ._group_commit import Write, fail
from ._sqlite_errors import explain, is_locked, name_of
from ._sqlite_known import Known
from ._sqlite_place import IN_MEMORY, SQLitePlace
from ._sqlite_schema import prepare
from ._sqlite_transaction import Transaction, Undone

__all__ = ["SQLiteFile"]

_PATIENCE_SECONDS: Final = 30.0
_OLDEST_SQLITE: Final = (3, 37, 0)  # STRICT tables
_LOCK_SECONDS: Final = 0.1
"""How long SQLite itself waits for a lock. It polls unfairly and cannot be interrupted, so that the waiting is ours."""
_ROWS_IN_LOG: Final = 4_000
"""Rows after which the write-ahead log is written back into the database: some 16 MB of results."""
_LOG_BYTES: Final = 67_108_864
"""How large the log becomes before it is written back whatever its rows, and what it then keeps of the disk."""
_INHERITED: Final[list[sqlite3.Connection]] = []
"""Connections that came with a fork. They are kept, since closing them here would drop what the parent holds."""


class SQLiteFile:
    """One open file. Any thread may use it; one at a time writes and one at a time reads.

    Args:
        path: The file, or ``:memory:``.
        synchronous: ``FULL`` or ``NORMAL``.

    Attributes:
        path: The file, wherever the process is.
        patience_seconds: How long others may keep it locked until that is an error.
    """

    def __init__(self, path: str, *, synchronous: str) -> None:
        # The file stays the same when the process changes its folder.
        self.path = path if path == IN_MEMORY else str(Path(path).absolute())
        self._synchronous = synchronous
        self.patience_seconds = _PATIENCE_SECONDS
        self._place = SQLitePlace(self.path)
        self._rows_written_back = 0
        self._log_limit = _LOG_BYTES
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._process = 0
        self._known = Known()
        self._writing = threading.RLock()
        self._reading = threading.RLock()

    # -- opening and closing -------------------------------------------------------------------------------------

    def open(self) -> None:
        """Open the file, make it ours if it is new, and bring its tables up to date.

        Raises:
            StoreError: It cannot be used, or is open already; the message says why.
        """
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.37 or newer is needed.", code="too_old")
        if self._is_inherited():
            self._leave_to_parent()
        if self.path == IN_MEMORY:
            self._reading = self._writing  # one connection, and one thread at a time on it
        with self._writing, self._reading:
            if self._writer is not None:
                raise StoreError(
                    "The store is open already. Enter it once and hand it on, or make another one.", code="store_open"
                )
            self._place.check_local()
            self._known = Known()  # others may have written since it was open before
            self._writer = self._connect(self._set_up_writer)
            self._rows_written_back = self._writer.total_changes
            try:
                in_memory = self.path == IN_MEMORY
                self._reader = self._writer if in_memory else self._connect(self._set_up_reader)
            except BaseException:
                self.close()
                raise
            self._process = os.getpid()
            self._place.remember()

    def close(self) -> None:
        """Close the connections."""
        if self._is_inherited():
            self._leave_to_parent()
            return
        with self._writing, self._reading:
            # The writer last: the last one to close a file writes its log back.
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = None

    def _connect(self, set_up: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        try:
            # Autocommit: every transaction is begun by hand, since the module's own would begin as readers and fail
            # when they turn into writers.
            connection = sqlite3.connect(
                self.path, timeout=self.patience_seconds, isolation_level=None, check_same_thread=False
            )
            try:
                connection.row_factory = sqlite3.Row
                set_up(connection)
                connection.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000:.0f}")
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise explain(error, self.path) from error
        return connection

    def _set_up_writer(self, connection: sqlite3.Connection) -> None:
        prepare(connection, self.path, patience_seconds=self.patience_seconds)
        self._set_up(connection)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")  # what a savepoint may have to undo goes no way over the disk

    def _set_up_reader(self, connection: sqlite3.Connection) -> None:
        self._set_up(connection)
        connection.execute("PRAGMA query_only = ON")

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # see _keep_log_short
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    # -- forks ---------------------------------------------------------------------------------------------------

    def _is_inherited(self) -> bool:
        return self._writer is not None and self._process not in (0, os.getpid())

    def _leave_to_parent(self) -> None:
        """Forget what belongs to the process that this one was forked from, also locks that it held at that moment."""
        _INHERITED.extend(each for each in (self._writer, self._reader) if each is not None)
        self._writer = self._reader = None
        self._writing, self._reading = threading.RLock(), threading.RLock()

    def check_process(self) -> None:
        """Refuse to go on in a forked process.

        Raises:
            StoreError: With code ``forked``.
        """
        if self._is_inherited():
            raise StoreError(
                "The store was opened before this process was forked, and belongs to its parent. Open it anew here.",
                code="forked",
            )

    def _check_usable(self) -> None:
        self._opened(self._writer)
        self.check_process()
        if self._place.check_same():
            self._check_whole()

    def _check_whole(self) -> None:
        """Look whether a file that has become smaller is whole: a vacuum does that, and so does who cuts it off."""
        found = "empty"
        if self._place.size > 0:  # an empty one has nothing to be found wrong, and SQLite would delete its log
            with closing(self._connect(self._set_up_reader)) as connection:
                found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreError(f"{Path(self.path).name}: it is damaged. Restore it from a copy.", code="corrupt")
        self._place.remember()

    # -- transactions --------------------------------------------------------------------------------------------

    def commit(self, batch: Sequence[Write[Transaction]]) -> Exception | None:
        """Do a batch of writes in one transaction, each undone alone if it raises.

        Returns:
            None if each write has its outcome; or the error that says that another process holds the lock, and nothing
            was done.
        """
        try:
            self._check_usable()
            # A vacuum of this process, or a restoration, is waited for like another process.
            if not self._writing.acquire(timeout=_LOCK_SECONDS):
                return self._locked_here()
            try:
                locked = self._transact(batch)
                self._keep_log_short()
            finally:
                self._writing.release()
        except BaseException as error:
            fail(batch, self._told(error))
            return None
        return locked

    def read(self, batch: Sequence[Write[sqlite3.Connection]]) -> Exception | None:
        """Do a batch of reads on one state of the file; returns what `commit` returns."""
        try:
            self._check_usable()
            with self._reading:
                return self._read(batch)
        except BaseException as error:
            fail(batch, self._told(error))
            return None

    def _read(self, batch: Sequence[Write[sqlite3.Connection]]) -> Exception | None:
        connection = self._opened(self._reader)
        try:
            connection.execute("BEGIN")
            for write in batch:
                write.result = write.error = None
                try:
                    write.result = write.work(connection)
                except Exception as error:
                    if isinstance(error, sqlite3.Error) and is_locked(error):
                        return explain(error, self.path)
                    write.error = self._told(error)
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
        return None

    def _transact(self, batch: Sequence[Write[Transaction]]) -> Exception | None:
        connection = self._opened(self._writer)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            if is_locked(error):
                return explain(error, self.path)
            raise
        try:
            self._write(connection, batch)
        except Undone as undone:
            if len(batch) == 1:
                fail(batch, self._told(undone.__cause__ or undone))
                return None
            # The others of the batch may go through without the one that did not.
            locked: Exception | None = None
            for write in batch:
                write.result, write.error = None, locked  # who finds it locked has waited for all
                if locked is None:
                    locked = self._transact_alone(write)
        return None

    def _transact_alone(self, write: Write[Transaction]) -> Exception | None:
        """Do one write, and return the error if another process holds the lock all the time."""
        locked: Exception | None = None
        try:
            # Some are committed by now, so that this cannot be given back as not begun: wait here.
            with self._patient(self._opened(self._writer)):
                locked = self._transact([write])
            write.error = write.error or locked
        except Exception as error:
            write.error = self._told(error)
        return locked

    @contextmanager
    def _patient(self, connection: sqlite3.Connection) -> Generator[None, None, None]:
        """Let SQLite itself wait for a lock."""
        connection.execute(f"PRAGMA busy_timeout = {self.patience_seconds * 1000:.0f}")
        try:
            yield
        finally:
            connection.execute(f"PRAGMA busy_timeout = {_LOCK_SECONDS * 1000:.0f}")

    def _write(self, connection: sqlite3.Connection, batch: Sequence[Write[Transaction]]) -> None:
        try:
            self._known.look_at(connection.execute("PRAGMA data_version").fetchone()[0])
            transaction = Transaction(connection, self._known)
            for write in batch:
                try:
                    write.result = transaction.do(write.work)
                except Undone:
                    raise
                except Exception as error:
                    if len(batch) == 1:
                        raise Undone from error
                    write.error = self._told(error)
            transaction.flush()
            self._commit(connection)
        except BaseException:
            self._known.forget()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            # When the sync fails, the transaction is in the log all the same, and a crash may bring it back.
            if name_of(error).startswith("SQLITE_IOERR"):
                raise CommitUnknown(Path(self.path).name, name_of(error)) from error
            raise Undone from error

    def _keep_log_short(self) -> None:
        """Write the log back into the database after so many rows, so that it is begun anew.

        SQLite's own way of doing so may run while another connection begins the log anew, which can damage the file in
        versions before 3.51.3 (https://sqlite.org/wal.html#walresetbug). It is turned off, and nobody can write during
        this one, since the writing connection holds the lock meanwhile. It waits for nobody who reads: what a reader
        keeps in the log is written back the next time.
        """
        writer = self._opened(self._writer)
        if self.path == IN_MEMORY:
            return
        if writer.total_changes - self._rows_written_back >= _ROWS_IN_LOG or self._log_size() >= self._log_limit:
            self._write_log_back(writer)

    def _write_log_back(self, writer: sqlite3.Connection) -> None:
        with suppress(StoreError, sqlite3.Error):  # what was committed is safe in the log, and the next time will do
            writer.execute("BEGIN IMMEDIATE")
            try:
                with closing(self._connect(self._set_up_reader)) as other:
                    other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                self._rows_written_back = writer.total_changes
                # It becomes smaller later; and while somebody reads, the next attempt waits until it has grown again.
                self._log_limit = max(_LOG_BYTES, self._log_size()) + _LOG_BYTES
            finally:
                writer.execute("ROLLBACK")

    def _log_size(self) -> int:
        try:
            return os.stat(f"{self.path}-wal").st_size  # noqa: PTH116 - for every commit
        except OSError:
            return 0

    # -- housekeeping --------------------------------------------------------------------------------------------

    def vacuum(self) -> None:
        """Give the space of what was deleted back to the file system.

        Raises:
            StoreError: It failed; nothing is changed.
        """
        self._check_usable()
        with self._writing:
            writer = self._opened(self._writer)
            try:
                with self._patient(writer):
                    writer.execute("PRAGMA temp_store = FILE")  # it makes a copy of everything
                    writer.execute("VACUUM")
            except sqlite3.Error as error:
                raise explain(error, self.path) from error
            finally:
                writer.execute("PRAGMA temp_store = MEMORY")
            self._write_log_back(writer)

    def backup(self, path: str) -> None:
        """Copy the file as it is at one moment, while others write.

        Raises:
            StoreError: It failed, or there is something at the path; nothing is left there.
        """
        self._check_usable()
        if not path or "\0" in path:
            raise ConfigurationError(f"path must name a file, not {path!r}.")
        target = Path(path).absolute()
        taken = StoreError(f"{target.name} exists. Choose a path where nothing is.", code="backup_exists")
        if target.exists():
            raise taken
        made = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            self._copy_to(str(made))
            _publish(made, target)
        except FileExistsError:
            raise taken from None
        except sqlite3.Error as error:
            raise explain(error, str(target)) from error
        except OSError as error:
            raise StoreError(
                f"{target.name}: the backup could not be written ({error.strerror}).", code="io_error"
            ) from error
        finally:
            for ending in ("", "-journal", "-wal", "-shm"):
                Path(f"{made}{ending}").unlink(missing_ok=True)

    def _copy_to(self, path: str) -> None:
        if self.path == IN_MEMORY:
            with self._writing, closing(sqlite3.connect(path)) as target:
                self._opened(self._writer).backup(target)
            return
        # A connection of its own, so that nobody who reads has to wait.
        with closing(self._connect(self._set_up_reader)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)

    def _locked_here(self) -> StoreError:
        return StoreError(
            f"{Path(self.path).name}: this process works on the whole file, as with a vacuum or an import, and took "
            "too long. Try again when that is done.",
            code="locked",
        )

    def _opened(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        if connection is None:  # never opened, or closed meanwhile
            raise StoreError("The store is not open. Use it inside 'async with'.", code="store_closed")
        return connection

    def _told(self, error: BaseException) -> BaseException:
        if isinstance(error, (UnicodeEncodeError, OverflowError)):
            return StoreError(
                f"{Path(self.path).name}: an id or a name with half of a surrogate pair, or a number of more than 64 "
                "bits, cannot be stored.",
                code="not_storable",
            )
        return explain(error, self.path) if isinstance(error, sqlite3.Error) else error


def _publish(made: Path, target: Path) -> None:
    """Give a finished file its name, and replace nothing that came there meanwhile."""
    try:
        os.link(made, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names
        made.rename(target)
