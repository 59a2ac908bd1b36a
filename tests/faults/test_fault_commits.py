"""Commits that report an error though they happened, or fail: what is asked again is not done again."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from fault_kit import (
    RUN,
    NotingAnalyzer,
    NotingStore,
    check_finished,
    completed,
    count_of,
    is_commit,
    names,
    operational_error,
    uploads,
    watched,
)

from cardanalysis import StoreError, analyze_cards

UPLOADS = 3


class Commits:
    """Counts the commits of a run, and has one of them fail, before or after it happened.

    Args:
        fails: Which one, counted from 1.
        error: SQLite's name of the error.
        landed: Whether it happened all the same.
        times: How many in a row.
    """

    def __init__(self, fails: int, error: str, *, landed: bool, times: int = 1) -> None:
        self.count = 0
        self._fails = range(fails, fails + times)
        self._error = error
        self._landed = landed

    def before(self, sql: str) -> None:
        if is_commit(sql):
            self.count += 1
            self._fail(landed=False)

    def after(self, sql: str) -> None:
        if is_commit(sql):
            self._fail(landed=True)

    def _fail(self, *, landed: bool) -> None:
        if landed is self._landed and self.count in self._fails:
            raise operational_error(self._error)


class Work:
    """A run in a file, and what was asked of the analyzer and acknowledged by the store."""

    def __init__(self, path: Path, backend: str) -> None:
        self.path = path
        self.calls: list[str] = []
        self.acknowledged: list[str] = []
        self._backend = backend

    def do(self) -> str:
        """Analyze all, and return how that ended."""

        def note(word: str, name: str) -> None:
            if word == "call":
                self.calls.append(name)
            if word == "acknowledged":
                self.acknowledged.append(name)

        async def main() -> str:
            with anyio.fail_after(60):
                async with NotingStore(self.path, note) as store:
                    analyzer = NotingAnalyzer(note)
                    run = await analyze_cards(uploads(UPLOADS), store, 1, analyzer=analyzer, run_id=RUN)
                    return run.status

        try:
            return anyio.run(main, backend=self._backend)
        except StoreError as error:
            return error.code


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Commits], None]:
    """Has the commits of all connections that are made from now on follow a plan."""
    connect = sqlite3.connect

    def plan(commits: Commits) -> None:
        monkeypatch.setattr(sqlite3, "connect", connect)
        monkeypatch.setattr(sqlite3, "connect", watched(commits.before, commits.after))

    return plan


@pytest.fixture
def number(tmp_path: Path, backend: str, failing: Callable[[Commits], None]) -> int:
    """How many commits a run takes that opens a new file."""
    commits = Commits(0, "", landed=False, times=0)
    failing(commits)
    assert Work(tmp_path / "counted.db", backend).do() == "succeeded"
    assert commits.count >= 3 * UPLOADS
    return commits.count


@pytest.mark.parametrize(
    ("error", "landed"),
    [
        ("SQLITE_IOERR_FSYNC", True),
        ("SQLITE_IOERR_FSYNC", False),
        ("SQLITE_ERROR", True),
        ("SQLITE_FULL", False),
        ("SQLITE_BUSY", False),
    ],
)
def test_a_run_outlives_an_error_of_any_commit(
    path: Path, backend: str, number: int, failing: Callable[[Commits], None], error: str, landed: bool
) -> None:
    """Whichever commit of a run reports an error: it ends, or says what is wrong and the same call ends it.

    Each upload is completed once, and what was committed is not asked for again.
    """
    for place in range(1, number + 1):
        work = Work(path.with_name(f"{place}.db"), backend)
        failing(Commits(place, error, landed=landed))
        ended = work.do()
        failing(Commits(0, "", landed=False, times=0))
        done = completed(work.path)
        assert set(work.acknowledged) <= done
        if ended != "succeeded":
            assert ended in ("commit_unknown", "io_error", "full", "locked", "sqlite"), ended
            work.calls, before = [], work.calls
            assert work.do() == "succeeded"
            assert not done & set(work.calls)
            assert max(count_of(before + work.calls).values()) <= 2
        else:
            assert work.calls == names(UPLOADS)
        check_finished(work.path, UPLOADS)


@pytest.mark.parametrize("landed", [True, False], ids=["landed", "failed"])
def test_a_completion_whose_commit_reports_an_io_error_is_repeated(
    path: Path, backend: str, failing: Callable[[Commits], None], landed: bool
) -> None:
    """An I/O error in the commit of a completion does not stop the run: it is asked again under the same token."""
    sound = Work(path.with_name("sound.db"), backend)
    inside: list[int] = []
    commits = Commits(0, "SQLITE_IOERR_FSYNC", landed=landed, times=0)
    failing(commits)
    complete = NotingStore.complete_item

    async def noting_place(self: NotingStore, *args: object, **options: object) -> object:
        inside.append(commits.count + 1)
        return await complete(self, *args, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NotingStore, "complete_item", noting_place)
        assert sound.do() == "succeeded"
    assert len(inside) == UPLOADS
    for place in inside:
        work = Work(path.with_name(f"{place}.db"), backend)
        failing(Commits(place, "SQLITE_IOERR_FSYNC", landed=landed))
        assert work.do() == "succeeded"
        assert work.calls == names(UPLOADS)
        check_finished(work.path, UPLOADS)
