"""What the fault tests and their processes share: work to do, connections that can be broken, what must hold."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from cardanalysis import Analysis, Card, Document, Item, RunStatus, SQLiteStore, Upload, Usage
from cardanalysis.abc import LeaseLost
from cardanalysis.testing import ScriptedAnalyzer
from cardanalysis.testing._store_promises_trial import ManualClock, Snapshot, Trial

RUN = "the-run"
CARDS = 3
"""Cards that each upload gives, so that half of an item's outputs could be seen."""
BACKENDS = ("asyncio", "trio")


_UPLOADS = [Upload.from_text(f"Document {number:04}\n", f"{number:04}.txt") for number in range(2000)]
_NAMES = {upload.id: upload.name for upload in _UPLOADS}


def uploads(count: int) -> list[Upload]:
    """Documents of one line, all of one size, so that they are done in this order."""
    return _UPLOADS[:count]


def names(count: int) -> list[str]:
    return [upload.name for upload in uploads(count)]


def name_of(item_id: str) -> str:
    """The name of an upload by the id of its item."""
    return _NAMES[item_id]


def titles(name: str, mark: str = "") -> list[str]:
    """The titles of an upload's cards."""
    return [f"Card {number} of {name}{mark}" for number in range(CARDS)]


class NotingAnalyzer(ScriptedAnalyzer):
    """Gives three cards for each document, and tells of every call before it answers."""

    def __init__(
        self, note: Callable[[str, str], None], *, mark: str = "", padding: int = 0, latency: float = 0.0
    ) -> None:
        def script(document: Document) -> Analysis:
            line = document.text.strip()
            filled = {"problem": "x" * padding}
            cards = [Card(title=title, quotes=[line], **filled) for title in titles(document.name, mark)]
            return Analysis(cards=cards, usage=Usage(requests=1, input_tokens=10))

        super().__init__(script, latency=latency)
        self._note = note

    async def analyze(self, document: Document, request: Any, /) -> Analysis:
        self._note("call", document.name)
        return await super().analyze(document, request)


class NotingStore(SQLiteStore):
    """Tells of every completion: before it is asked for, and when it was acknowledged or refused.

    Args:
        path: The file.
        note: Called with a word and the name of the upload.
        options: More for `SQLiteStore`.
    """

    def __init__(self, path: str | os.PathLike[str], note: Callable[[str, str], None], **options: Any) -> None:
        super().__init__(path, **options)
        self._note = note

    async def claim(self, *args: Any, **options: Any) -> list[Item]:
        claimed = await super().claim(*args, **options)
        for item in claimed:
            self._note("claimed", item.name)
        return claimed

    async def complete_item(self, run_id: str, item_id: str, **options: Any) -> Item:
        name = name_of(item_id)
        self._note("asked", name)
        try:
            done = await super().complete_item(run_id, item_id, **options)
        except LeaseLost:
            self._note("lost", name)
            raise
        self._note("acknowledged", name)
        return done


# -- breaking connections ------------------------------------------------------------------------------------

Step = Callable[[str], None]
"""Called with the text of a statement."""


def watched(before: Step, after: Step, connections: list[sqlite3.Connection] | None = None) -> Callable[..., Any]:
    """A `sqlite3.connect` whose connections tell of every statement before and after it is run."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            before(sql)
            cursor = super().execute(sql, *values)
            after(sql)
            return cursor

        def executemany(self, sql: str, *values: Any) -> sqlite3.Cursor:
            before(sql)
            cursor = super().executemany(sql, *values)
            after(sql)
            return cursor

        def executescript(self, sql: str) -> sqlite3.Cursor:
            before(sql)
            cursor = super().executescript(sql)
            after(sql)
            return cursor

        def commit(self) -> None:
            before("COMMIT")
            super().commit()
            after("COMMIT")

    connect = sqlite3.connect

    def watching(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, factory=Watched, **options)
        if connections is not None:
            connections.append(connection)
        return connection

    return watching


def nothing(_: str) -> None:
    """A step that does no harm."""


def is_commit(sql: str) -> bool:
    return sql.strip().rstrip(";").upper() in ("COMMIT", "END", "COMMIT TRANSACTION", "END TRANSACTION")


def is_begin(sql: str) -> bool:
    return sql.strip().upper().startswith("BEGIN IMMEDIATE")


def operational_error(name: str) -> sqlite3.OperationalError:
    """An error as SQLite raises it."""
    error = sqlite3.OperationalError(f"injected {name}")
    error.sqlite_errorname = name  # type: ignore[attr-defined]
    return error


# -- what must hold ------------------------------------------------------------------------------------------


def check_file(path: Path) -> None:
    """Raise unless SQLite finds nothing wrong with a file."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def snapshot(path: Path) -> Snapshot:
    """Everything of the run in a file that is whole, whose sums equal a recount and whose log has no gap."""

    async def main() -> Snapshot:
        async with SQLiteStore(path) as store:
            return await Trial(store, ManualClock(), run_id=RUN).check_sums("at last")

    check_file(path)
    now = anyio.run(main)
    check_file(path)
    check_items(now)
    return now


def check_items(now: Snapshot) -> None:
    """Raise unless each item has all of its outputs or none, and as many completion events as it was completed."""
    of_items: dict[str, list[Any]] = {item.id: [] for item in now.items}
    for output in now.outputs:
        of_items[output.item_id].append((output.index, output.data["title"]))
    moves = Counter((event.item_id, event.data["to"]) for event in now.events if event.type == "item_status")
    for item in now.items:
        done = item.status == "completed"
        got = [title for _, title in sorted(of_items[item.id])]
        wanted = [each.partition("/")[0] for each in titles(item.name)]
        assert [title.partition("/")[0] for title in got] == (wanted if done else []), item
        assert moves[item.id, "completed"] == (1 if done else 0), item
        assert moves[item.id, "loading"] == item.token >= item.attempts, item


def check_finished(path: Path, count: int) -> Snapshot:
    """Raise unless every upload was completed exactly once and the run has succeeded."""
    now = snapshot(path)
    assert now.run.status is RunStatus.SUCCEEDED
    assert [item.name for item in now.items] == names(count)
    assert {item.status for item in now.items} == {"completed"}
    assert len(now.outputs) == CARDS * count
    assert dict(now.run.counters) == {"total": count, "completed": count, "cards": CARDS * count}
    assert now.run.usage.requests == count
    return now


def copied(path: Path, to: Path) -> Path:
    """A copy of a store that nobody has open, as it is without the shared memory, which a crash would lose."""
    if to.exists():
        shutil.rmtree(to)
    to.mkdir()
    for name in (path.name, f"{path.name}-wal"):
        if path.with_name(name).exists():
            shutil.copy(path.with_name(name), to / name)
    return to / path.name


def completed(path: Path, *, copy_to: Path | None = None) -> set[str]:
    """The names of the completed items in a store that nobody has open, which stays untouched."""
    copy = copied(path, copy_to or path.with_name("copied"))
    if not copy.exists():
        return set()
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'items'").fetchone() is None:
            return set()
        return {name for (name,) in connection.execute("SELECT name FROM items WHERE status = 'completed'")}


def schema_of(path: Path) -> list[tuple[Any, ...]]:
    """All that tells the schema of a store."""
    with closing(sqlite3.connect(path)) as connection:
        rows: list[tuple[Any, ...]] = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"
        ).fetchall()
        for pragma in ("application_id", "user_version", "journal_mode"):
            rows.append((pragma, *connection.execute(f"PRAGMA {pragma}").fetchone()))
        return rows


# -- the notes of processes ----------------------------------------------------------------------------------


class Notes:
    """A file in which processes note what they do, line by line; what was noted outlives them.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, word: str, *, after: int = 0) -> list[str]:
        """The names that were noted with a word, in order."""
        return [name for each, name in self.read()[after:] if each == word]

    def read(self) -> list[tuple[str, str]]:
        if not self.path.exists():
            return []
        lines = [line.split(" ", 1) for line in self.path.read_text().splitlines()]
        return [(word, name) for word, name in lines]

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def noting(path: str | None) -> Callable[[str, str], None]:
    """What notes into a file with one system call for each line."""
    if path is None:
        return lambda word, name: None
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    return lambda word, name: void(os.write(file, f"{word} {name}\n".encode()))


def void(_: object) -> None:
    """Forget a result."""


def count_of(words: Iterable[str]) -> Mapping[str, int]:
    return dict(Counter(words))


async def interrupted(call: Callable[[], Any], *, after: int) -> None:
    """Make a call and cancel it when the event loop has gone round a number of times."""

    async def run() -> None:
        await call()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(after):
            await checkpoint()
        tasks.cancel_scope.cancel()


def open_files(path: Path) -> list[str]:
    """The file descriptors of this process that are open on a store's files."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = str(each.readlink())
        except OSError:
            continue
        if target.startswith(str(path)):
            found.append(target)
    return sorted(found)
