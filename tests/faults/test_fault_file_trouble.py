"""A store's file is taken away, cut or forbidden while a run works on it: a typed error, and no further spending."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import RUN, Notes, NotingAnalyzer, NotingStore, check_file, check_finished, count_of, names, uploads

from cardanalysis import Run, StoreError, analyze_cards

UPLOADS = 40
BEFORE = 20
LIMIT = 4
AT_CALL = 5
"""Of the second half, the call of the analyzer at which the trouble comes."""


class Trouble:
    """A run whose first half is done and kept in a copy, and to whose file something happens in the second half."""

    def __init__(self, path: Path, backend: str, harm: Callable[[Path], None]) -> None:
        self.path = path
        self.backend = backend
        self.calls: list[str] = []
        self.acknowledged: list[str] = []
        self._harm = harm
        self._left: int | None = None

    def work(self, count: int) -> Run:
        """Analyze so many of the uploads."""
        self.calls.clear()

        async def main() -> Run:
            with anyio.fail_after(120):
                async with NotingStore(self.path, self._note) as store:
                    return await analyze_cards(
                        uploads(count), store, LIMIT, analyzer=analyzer, run_id=RUN, collect=False
                    )

        analyzer = NotingAnalyzer(self._called, latency=0.001, padding=3_000)
        return anyio.run(main, backend=self.backend)

    def prepare(self) -> Path:
        """Do the first half, close the store, and return a copy of its file."""
        self.work(BEFORE)
        assert not self.path.with_name("cards.db-wal").exists()
        self._left = AT_CALL
        return Path(shutil.copy(self.path, self.path.with_name("copy.db")))

    def strike(self) -> StoreError:
        """Do the second half until it stops."""
        self.acknowledged.clear()
        with pytest.raises(StoreError) as caught:
            self.work(UPLOADS)
        # What was in work goes on to its result, and the next was claimed at most before the first error was seen.
        assert len(self.calls) <= AT_CALL + 2 * LIMIT
        return caught.value

    def restore(self, copy: Path) -> None:
        """Put the copy in the place of what is there now."""
        for name in ("cards.db", "cards.db-wal", "cards.db-shm"):
            self.path.with_name(name).unlink(missing_ok=True)
        shutil.copy(copy, self.path)

    def finish(self, *, kept: set[str]) -> None:
        """The same call ends the run, and asks only for what is not kept."""
        self.work(UPLOADS)
        assert set(self.calls) == set(names(UPLOADS)) - kept
        check_finished(self.path, UPLOADS)

    def _note(self, word: str, name: str) -> None:
        if word == "acknowledged":
            self.acknowledged.append(name)

    def _called(self, word: str, name: str) -> None:
        self.calls.append(name)
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self._left = None
                self._harm(self.path)


def move_away(path: Path) -> None:
    path.rename(path.with_name("away.db"))


def delete(path: Path) -> None:
    path.unlink()


def replace_by_a_copy(path: Path) -> None:
    move_away(path)
    shutil.copy(path.with_name("copy.db"), path)


def replace_by_garbage(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"no database" * 1000)
    other.replace(path)


@pytest.mark.parametrize("harm", [move_away, delete, replace_by_a_copy, replace_by_garbage])
def test_a_file_that_is_taken_away_stops_the_run(path: Path, backend: str, harm: Callable[[Path], None]) -> None:
    """Deleted, moved or replaced: the run stops at once with the code replaced, and ends when a copy is put there."""
    trouble = Trouble(path, backend, harm)
    copy = trouble.prepare()
    assert trouble.strike().code == "replaced"
    trouble.restore(copy)
    trouble.finish(kept=set(names(BEFORE)))


def test_a_file_that_is_put_back_has_lost_nothing(path: Path, backend: str) -> None:
    """Moved away and back with its log, the file holds all that was acknowledged until it was missed."""
    trouble = Trouble(path, backend, move_away)
    trouble.prepare()
    assert trouble.strike().code == "replaced"
    path.with_name("away.db").rename(path)
    check_file(path)
    assert trouble.acknowledged
    with closing(sqlite3.connect(path)) as connection:
        kept = {name for (name,) in connection.execute("SELECT name FROM items WHERE status = 'completed'")}
    assert kept >= {*names(BEFORE), *trouble.acknowledged}
    trouble.finish(kept=kept)


@pytest.mark.parametrize("part", [0.0, 0.5], ids=["to nothing", "to half"])
def test_a_file_that_is_cut_stops_the_run(path: Path, backend: str, part: float) -> None:
    """Cut by another program: the run stops with a typed error, and ends when a copy is put there."""
    trouble = Trouble(path, backend, lambda path: os.truncate(path, int(path.stat().st_size * part)))
    copy = trouble.prepare()
    error = trouble.strike()
    assert error.code in ("corrupt", "io_error", "not_a_store", "replaced"), error
    trouble.restore(copy)
    trouble.finish(kept=set(names(BEFORE)))


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Path]:
    """A folder that every user can come to and write in; its rights are given back at the end."""
    temporary = Path(tempfile.gettempdir())
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(temporary) and folder != temporary:
            folder.chmod(folder.stat().st_mode | 0o055)
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o755)


def forbid(path: Path) -> None:
    for each in path.parent.iterdir():
        each.chmod(0o444)
    path.parent.chmod(0o555)


def allow(path: Path) -> None:
    path.parent.chmod(0o777)
    for each in path.parent.iterdir():
        each.chmod(0o666)


def test_a_file_that_may_no_longer_be_written_loses_nothing(
    children: Any, public: Path, tmp_path: Path, backend: str
) -> None:
    """Forbidden while a run works, and to the next from the start: nothing is lost, and nothing is asked in vain."""
    path, notes, go_on = public / "cards.db", Notes(tmp_path / "notes"), tmp_path / "go-on"
    user = 65534 if os.geteuid() == 0 else None  # to root nothing is forbidden
    options = {"backend": backend, "notes": notes.path, "user": user}
    worker = children.start("analyze", path=path, count=10, wait_at=["call", "0004.txt", str(go_on)], **options)
    assert worker.line() == "waiting"
    forbid(path)
    go_on.touch()
    (said,) = worker.rest("its end could not be recorded", "was not handed back")
    assert said in ("ended succeeded", "error read_only")

    asked, acknowledged = notes.of("call"), notes.of("acknowledged")
    assert acknowledged[:4] == names(4)
    assert len(asked) <= len(acknowledged) + 1
    forbid(path)
    assert children.start("analyze", path=path, count=UPLOADS, **options).rest() == ["error read_only"]
    assert notes.of("call") == asked

    allow(path)
    assert children.start("analyze", path=path, count=UPLOADS, **options).rest() == ["ended succeeded"]
    check_finished(path, UPLOADS)
    assert {count_of(notes.of("call"))[name] for name in acknowledged} == {1}
