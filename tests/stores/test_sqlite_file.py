"""Which files SQLiteStore opens, and what it says of the others."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import anyio
import pytest

from cardanalysis import Run, SQLiteStore, StoreError, Upload, Usage, analyze_cards
from cardanalysis.abc import CommitUnknown, NewItem, NewOutput
from cardanalysis.stores import _sqlite_file, _sqlite_place, _sqlite_schema
from cardanalysis.stores._group_commit import Write
from cardanalysis.stores._sqlite_errors import explain
from cardanalysis.stores._sqlite_file import SQLiteFile
from cardanalysis.stores._sqlite_transaction import Transaction
from cardanalysis.testing import ScriptedAnalyzer


async def make_run(path: Any, **asked: str) -> Run:
    """Open a store and make a run in it, or open that."""
    async with SQLiteStore(path) as store:
        return await store.create_run("run", kind="test", fingerprint="f", asked=asked)


def make(path: Path) -> None:
    anyio.run(make_run, path)


def refusal(path: Path) -> StoreError:
    """The error with which opening a file is refused."""
    with pytest.raises(StoreError) as caught:
        make(path)
    return caught.value


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


@pytest.mark.parametrize(
    "content", [b"no database at all, but a text", b"SQLite format 3\0" + b"\xff" * 200, b"\0" * 4096, b"%PDF-1.7"]
)
def test_a_file_that_is_no_database_is_refused(path: Path, content: bytes) -> None:
    """Anything else than a database raises not_a_store, and neither the file nor its folder is touched."""
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == "not_a_store"
    assert "cards.db" in str(error)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE theirs (x)", "INSERT INTO theirs VALUES (1)"],
        ["PRAGMA application_id = 77"],
        ["PRAGMA application_id = 77", "CREATE TABLE theirs (x)", "PRAGMA user_version = 1"],
        ["CREATE VIEW theirs AS SELECT 1"],
        ["PRAGMA journal_mode = WAL", "CREATE TABLE theirs (x)"],
    ],
    ids=["tables", "application_id", "both", "view", "wal"],
)
def test_the_database_of_another_program_is_refused(path: Path, statements: list[str]) -> None:
    """A database that is not ours raises not_a_store, and stays as it is to the byte."""
    execute(path, *statements)
    content = path.read_bytes()
    error = refusal(path)
    assert error.code == "not_a_store"
    assert "another path" in str(error)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_a_store_of_a_newer_version_is_refused(path: Path) -> None:
    """A schema from the future raises too_new, says what to do, and stays as it is to the byte."""
    make(path)
    execute(path, "PRAGMA user_version = 999", "CREATE TABLE future (x)")
    content = path.read_bytes()
    error = refusal(path)
    assert error.code == "too_new"
    assert "999" in str(error)
    assert "Upgrade" in str(error)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    """A file of no bytes, as tempfile makes it, is taken for a new one."""
    path.touch()
    make(path)
    execute(path, "SELECT * FROM runs")


def test_a_store_is_marked_as_ours(path: Path) -> None:
    """The file tells its application and its schema version to other programs."""
    make(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA application_id").fetchone() == (_sqlite_schema.APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (_sqlite_schema.SCHEMA_VERSION,)
    connection.close()


def test_a_folder_that_does_not_exist_is_told(tmp_path: Path) -> None:
    """A missing folder raises cannot_open, which names the file, and no folder is made."""
    error = refusal(tmp_path / "missing" / "cards.db")
    assert error.code == "cannot_open"
    assert "cards.db" in str(error)
    assert "folder" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    """A path that is a folder raises cannot_open."""
    assert (refusal(tmp_path)).code == "cannot_open"


class AsPath:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.parametrize("kind", [str, Path, AsPath, os.fsencode], ids=["str", "Path", "PathLike", "bytes"])
def test_a_path_may_be_of_any_kind(path: Path, kind: Any) -> None:
    """Text, Path, any PathLike and bytes name the same file."""
    anyio.run(partial(make_run, path, a="b"))
    assert anyio.run(make_run, kind(path)).asked == {"a": "b"}


def test_any_file_name_will_do(tmp_path: Path) -> None:
    """Names with quotes, blanks, question marks, other scripts and undecodable bytes are names like others."""
    for name in (
        'it\'s a "store"',
        "file:x?mode=memory&cache=shared",
        "100%.db",
        "größe-中文-👩",
        os.fsdecode(b"\xff.db"),
    ):
        make(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 0


def test_a_damaged_store_is_told(path: Path) -> None:
    """A page of garbage raises corrupt for what needs it, and the message says to restore a copy."""
    anyio.run(partial(make_run, path, x="y" * 50_000))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xee" * 4096 * 12)
    error = refusal(path)
    assert error.code == "corrupt"
    assert "copy" in str(error)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_locked_file_is_told(path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock for too long, opening and writing raise locked; then all goes on."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", 0.05)
    make(path)
    script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')"
    command = [sys.executable, "-c", f"{script}; print('locked', flush=True); sys.stdin.read()", str(path)]

    async def write_while_another_does() -> None:
        async with SQLiteStore(path) as store:
            async with await anyio.open_process(command) as other:
                assert other.stdout is not None
                assert (await other.stdout.receive()).strip() == b"locked"
                with pytest.raises(StoreError, match="another process") as caught:
                    await store.increment("run", "n")
                assert caught.value.code == "locked"
                with pytest.raises(StoreError, match="another process") as caught:
                    await make_run(path)
                assert caught.value.code == "locked"
                assert other.stdin is not None
                await other.stdin.aclose()
            assert await store.increment("run", "n") == 1

    anyio.run(write_while_another_does, backend=backend)


READ_ONLY = textwrap.dedent("""
    import os, sys, anyio
    from cardanalysis import Run, SQLiteStore, StoreError

    async def open_it(path):
        async with SQLiteStore(path) as store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})

    anyio.run(open_it, ":memory:")  # so that all is imported that another user may not be able to read
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for path in sys.argv[1:]:
        try:
            anyio.run(open_it, path)
        except StoreError as error:
            print(error.code, error)
        else:
            print("opened", path)
""")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder that every user can come to."""
    root = Path(tempfile.gettempdir())
    for folder in (
        tmp_path,
        *(parent for parent in tmp_path.parents if parent.is_relative_to(root) and parent != root),
    ):
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


@pytest.mark.skipif(os.name != "posix", reason="rights are set by chmod here")
def test_what_cannot_be_written_is_told(public: Path) -> None:
    """A read-only file raises read_only; in a read-only folder a new store raises cannot_open; nothing is changed."""
    paths = [public / "file" / "cards.db", public / "folder" / "cards.db", public / "folder" / "new.db"]
    for path in paths[:2]:
        path.parent.mkdir()
        make(path)
        path.chmod(0o444)
    content = [path.read_bytes() for path in paths[:2]]
    (public / "file").chmod(0o777)
    (public / "folder").chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, *map(str, paths)], capture_output=True, text=True, timeout=60
        )
    finally:
        (public / "folder").chmod(0o755)
    codes = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert codes == ["read_only cards.db", "read_only cards.db", "cannot_open new.db"], done.stderr
    assert [path.read_bytes() for path in paths[:2]] == content


def test_an_old_sqlite_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An SQLite without strict tables raises too_old before any file is made."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 36, 0))
    with pytest.raises(StoreError, match=r"3\.37") as caught:
        SQLiteFile(str(path), synchronous="FULL").open()
    assert caught.value.code == "too_old"
    assert not path.exists()


def test_another_process_may_make_the_tables_while_this_one_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens a new file at the moment when another process makes it ours does not take it for a stranger's."""
    other = SQLiteFile(str(path), synchronous="FULL")
    connect = sqlite3.connect

    class Interleaved(sqlite3.Connection):
        first = True

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            cursor = super().execute(*arguments)
            if Interleaved.first:
                Interleaved.first = False
                monkeypatch.undo()
                other.open()
            return cursor

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Interleaved))
    this = SQLiteFile(str(path), synchronous="FULL")
    this.open()
    assert not Interleaved.first
    this.close()
    other.close()


def test_many_that_open_a_new_file_at_once_share_it(path: Path) -> None:
    """Of many connections that open a new file at once, one makes the tables and the others use them."""
    together, opened, errors = threading.Barrier(8), [], []

    def open_it() -> None:
        file = SQLiteFile(str(path), synchronous="FULL")
        together.wait(30)
        try:
            file.open()
            opened.append(file)
        except StoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for file in opened:
        file.close()
    assert (len(opened), errors) == (8, [])


def test_a_failed_migration_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When making the tables fails, none of them is there, and the next try makes them all."""
    migrate = _sqlite_schema._migrate

    def fail(connection: sqlite3.Connection, version: int) -> None:
        migrate(connection, version)
        connection.execute("CREATE TABLE runs (x)")

    with monkeypatch.context() as patched:
        patched.setattr(_sqlite_schema, "_migrate", fail)
        with pytest.raises(StoreError, match="runs"):
            SQLiteFile(str(path), synchronous="FULL").open()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    assert connection.execute("PRAGMA user_version").fetchone() == (0,)
    connection.close()
    file = SQLiteFile(str(path), synchronous="FULL")
    file.open()
    file.close()


def test_an_error_is_told_by_its_code() -> None:
    """Known errors of SQLite have a code of their own; others are told by their names."""
    known = sqlite3.OperationalError("any text")
    known.sqlite_errorname = "SQLITE_IOERR_WRITE"
    assert explain(known, "some/cards.db").code == "io_error"
    unknown = explain(sqlite3.ProgrammingError("told so"), "some/cards.db")
    assert (unknown.code, str(unknown)) == ("sqlite", "cards.db: SQLite failed (ProgrammingError: told so).")


class Failing:
    """A connection whose commits fail after they happened, as on a disk that cannot sync."""

    def __init__(self, connection: sqlite3.Connection, commits: int) -> None:
        self.real = connection
        self.left = commits

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
        done = self.real.execute(sql, *values)
        if sql == "COMMIT" and self.left:
            self.left -= 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error
        return done


def writer_of(store: SQLiteStore) -> sqlite3.Connection:
    writer = store._file._writer
    assert writer is not None
    return writer


def fail_commits(store: SQLiteStore, commits: int) -> None:
    file = store._file
    file._writer = cast("sqlite3.Connection", Failing(file._writer, commits))


@pytest.mark.anyio
async def test_a_commit_that_fails_leaves_it_open(path: Path) -> None:
    """An I/O error of the commit itself raises CommitUnknown; the same completion again changes nothing."""
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        await store.add_items("run", [NewItem(id="a", name="a", position=0)])
        (item,) = await store.claim("run", "me", lease_seconds=60)
        fail_commits(store, 1)
        outputs = [NewOutput(kind="cards", data={})]
        with pytest.raises(CommitUnknown, match="SQLITE_IOERR_FSYNC"):
            await store.complete_item("run", "a", token=item.token, outputs=outputs, usage=Usage(requests=1))
        done = await store.complete_item("run", "a", token=item.token, outputs=outputs, usage=Usage(requests=1))
        assert (done.status, done.usage.requests) == ("completed", 1)
        assert (await store.get_run("run")).counters["cards"] == 1


@pytest.mark.anyio
async def test_a_run_goes_on_through_a_failing_commit(path: Path) -> None:
    """A completion whose commit fails once is repeated by the engine, and counted once."""
    async with SQLiteStore(path) as store:
        complete = store.complete_item
        failed = 0

        async def complete_once_in_vain(*arguments: Any, **options: Any) -> Any:
            nonlocal failed
            failed += 1
            if failed == 1:
                fail_commits(store, 1)
            return await complete(*arguments, **options)

        store.complete_item = complete_once_in_vain  # type: ignore[method-assign]
        uploads = [Upload.from_text(f"text {number}", f"{number}.txt") for number in range(3)]
        run = await analyze_cards(uploads, store, 1, analyzer=ScriptedAnalyzer())
    assert failed == 4
    assert run.status == "succeeded"
    assert dict(run.counters) == {"cards": 3, "completed": 3, "total": 3}
    assert run.usage.requests == 3


@pytest.mark.anyio
@pytest.mark.parametrize("what", ["deleted", "replaced"])
async def test_a_file_that_is_no_longer_there_is_told(path: Path, what: str) -> None:
    """SQLite would go on writing into a file that nobody finds again; the store refuses."""
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        path.rename(path.with_suffix(".away"))
        if what == "replaced":
            path.write_bytes(b"")
        with pytest.raises(StoreError, match="deleted, moved or replaced") as caught:
            await store.increment("run", "n")
        assert caught.value.code == "replaced"
        path.with_suffix(".away").replace(path)
        assert await store.increment("run", "n") == 1


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_path_is_refused(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file on a network file system raises network_path before it is made."""
    mounts = path.with_name("mounts")
    point = str(path.parent).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/share {point} {kind} rw 0 0\nproc /proc proc rw 0 0\n")
    monkeypatch.setattr(_sqlite_place, "_MOUNTS", mounts)
    monkeypatch.chdir(path.parent)
    assert anyio.run(make_run, ":memory:").id == "run"
    error = refusal(path)
    assert error.code == "network_path"
    assert kind in str(error)
    assert not path.exists()


@pytest.mark.anyio
@pytest.mark.parametrize("reads", [False, True])
async def test_the_log_is_kept_short(path: Path, monkeypatch: pytest.MonkeyPatch, reads: bool) -> None:
    """The log is written back after so many rows and begun anew; while somebody reads it grows, and nobody waits."""
    monkeypatch.setattr(_sqlite_file, "_ROWS_IN_LOG", 20)
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        assert writer_of(store).execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 0
        with closing(sqlite3.connect(path)) as other:
            if reads:
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM events").fetchone()
            for number in range(60):
                await store.append_event("run", "note", data={"text": "x" * 10_000, "number": number})
            size = path.with_name("cards.db-wal").stat().st_size
            assert size > 600_000 if reads else size < 400_000
            assert other.execute("SELECT count(*) FROM events").fetchone()[0] == (1 if reads else 61)
        assert len(await store.events("run")) == 61


@pytest.mark.anyio
async def test_nobody_else_writes_while_the_log_is_written_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is written back under the write lock, and by nothing else: only so it cannot be begun anew meanwhile."""
    said: list[str] = []
    connect = sqlite3.connect

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if "checkpoint(" in sql:
                with closing(connect(path, timeout=0, isolation_level=None)) as other:
                    try:
                        other.execute("BEGIN IMMEDIATE")
                    except sqlite3.OperationalError as error:
                        said.append(str(error))
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Watched))
    monkeypatch.setattr(_sqlite_file, "_ROWS_IN_LOG", 20)
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        for number in range(30):
            await store.append_event("run", "note", data={"number": number})
    assert said == ["database is locked"] * len(said)
    assert said


@pytest.mark.anyio
async def test_a_log_that_cannot_be_written_back_hurts_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock when it is time, writing back is left for later."""
    monkeypatch.setattr(_sqlite_file, "_ROWS_IN_LOG", 1)
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        monkeypatch.setattr(store._file, "_connect", lambda _: (_ for _ in ()).throw(sqlite3.OperationalError("no")))
        for number in range(5):
            assert await store.increment("run", "n") == number + 1


@pytest.mark.anyio
async def test_a_relative_path_stays_the_same_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that changes its folder after the store was made goes on with the same file."""
    monkeypatch.chdir(path.parent)
    store = SQLiteStore("cards.db")
    monkeypatch.chdir("/")
    async with store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
    monkeypatch.chdir(path.parent)
    async with store:
        monkeypatch.chdir("/")
        assert (await store.get_run("run")).id == "run"


def test_a_new_file_that_somebody_begins_to_write_is_waited_for(path: Path) -> None:
    """Who opens a new file while another connection holds its lock waits, which SQLite does not do by itself here."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        file = SQLiteFile(str(path), synchronous="FULL")
        opening = threading.Thread(target=file.open)
        opening.start()
        opening.join(0.1)
        assert opening.is_alive()
        other.execute("COMMIT")
        opening.join(60)
        assert not opening.is_alive()
    file.close()


def test_a_new_file_that_stays_locked_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When patience ends before the file can be made ours, locked is raised."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError) as caught:
            SQLiteFile(str(path), synchronous="FULL").open()
        assert caught.value.code == "locked"


def test_an_io_error_while_writes_are_done_one_by_one_is_told(path: Path) -> None:
    """When a batch is redone one by one and the disk fails for one of them, that one is told, and the others not."""
    file = SQLiteFile(str(path), synchronous="FULL")
    file.open()

    def add(transaction: Transaction) -> None:
        now = datetime(2024, 5, 17, tzinfo=UTC)
        transaction.insert_run(Run(id=uuid4().hex, kind="test", created_at=now))

    def orphan(transaction: Transaction) -> None:
        transaction.connection.execute("PRAGMA defer_foreign_keys = ON")
        transaction.connection.execute("INSERT INTO counters VALUES (99, 'n', 1)")

    file._writer = cast("sqlite3.Connection", Failing(file._writer, 1))
    batch = [Write(add), Write(orphan), Write(add)]
    assert file.commit(batch) is None
    assert [getattr(write.error, "code", None) for write in batch] == ["commit_unknown", "sqlite", None]
    file.close()


def test_a_read_that_is_done_again_forgets_its_first_error(path: Path) -> None:
    """When a later read of the batch finds the file locked, all are done again, and only the last outcome counts."""
    file = SQLiteFile(str(path), synchronous="FULL")
    file.open()
    fails = [True]

    def first(_: sqlite3.Connection) -> str:
        if fails[0]:
            raise StoreError("not yet")
        return "read"

    def second(_: sqlite3.Connection) -> None:
        if fails[0]:
            error = sqlite3.OperationalError("locked")
            error.sqlite_errorname = "SQLITE_BUSY_RECOVERY"
            raise error

    batch = [Write(first), Write(second)]
    assert isinstance(file.read(batch), StoreError)
    fails[0] = False
    assert file.read(batch) is None
    assert (batch[0].result, batch[0].error) == ("read", None)
    file.close()


def test_a_batch_that_is_redone_waits_for_a_lock_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file is locked while writes are done one by one, all that are left are told, after one wait."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", 0.05)
    file = SQLiteFile(str(path), synchronous="FULL")
    file.open()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def undo(transaction: Transaction) -> None:
            transaction.connection.execute("ROLLBACK")
            other.execute("BEGIN IMMEDIATE")
            raise ValueError("no")

        waits: list[str] = []
        writer = file._writer
        assert writer is not None
        writer.set_trace_callback(waits.append)
        batch = [Write(undo), *(Write(lambda transaction: transaction.number("x")) for _ in range(9))]
        assert file.commit(batch) is None
        writer.set_trace_callback(None)
        assert {getattr(write.error, "code", None) for write in batch} == {"locked"}
        assert len([each for each in waits if each.startswith("PRAGMA busy_timeout = 50")]) == 1
        other.execute("ROLLBACK")
    file.close()


def test_a_backup_does_not_replace_what_came_meanwhile(path: Path, tmp_path: Path) -> None:
    """A file that appears at the place while the copy is made stays."""
    file, target = SQLiteFile(str(path), synchronous="FULL"), tmp_path / "copy.db"
    file.open()
    copy = file._copy_to

    def slowly(made: str) -> None:
        copy(made)
        target.write_text("precious")

    file._copy_to = slowly  # type: ignore[method-assign]
    with pytest.raises(StoreError) as caught:
        file.backup(str(target))
    assert caught.value.code == "backup_exists"
    assert target.read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith((".", "copy"))) == ["copy.db"]
    file.close()


def test_a_log_of_large_rows_is_written_back_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only the number of rows counts, but also how large the log has become."""
    monkeypatch.setattr(_sqlite_file, "_LOG_BYTES", 300_000)

    async def main() -> int:
        async with SQLiteStore(path) as store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})
            for number in range(40):
                await store.append_event("run", "note", data={"text": "x" * 100_000, "number": number})
            return path.stat().st_size

    assert anyio.run(main) > 1_000_000
