"""A process that holds the write lock and is stopped: others read on, and are told, or wait, or leave."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import RUN, is_begin, nothing, watched

from cardanalysis import SQLiteStore, StoreError, Usage, load_run
from cardanalysis.abc import NewItem, NewOutput
from cardanalysis.stores import _sqlite_file

FOR_EVER = 3600.0


class Attempts:
    """Counts how often a transaction was begun in vain or not, by all connections made from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(sqlite3, "connect", watched(self._count, nothing))

    def _count(self, sql: str) -> None:
        self.count += is_begin(sql)

    async def more(self) -> None:
        """Wait until somebody has tried twice more."""
        wanted = self.count + 2
        while self.count < wanted:  # noqa: ASYNC110 - it is counted in other threads
            await anyio.sleep(0.01)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets how long the stores that are made from now on wait for the lock."""
    return lambda seconds: monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", seconds)


@pytest.fixture
def holder(children: Any, path: Path) -> Any:
    """A process that holds the lock of a store with one item, and is stopped."""

    async def prepare() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})
            await store.add_items(RUN, [NewItem(id="a", name="a", position=0)])
            (item,) = await store.claim(RUN, "me", lease_seconds=600)
            outputs = [NewOutput(kind="notes", data={})]
            await store.complete_item(RUN, "a", token=item.token, outputs=outputs, usage=Usage())
            await store.increment(RUN, "n")

    anyio.run(prepare)
    holder = children.start("hold", path=path)
    assert holder.line() == "locked"
    holder.kill(signal.SIGSTOP)
    return holder


def let_go(holder: Any) -> None:
    holder.kill(signal.SIGCONT)
    holder.send()
    assert holder.rest() == ["free"]


def run(main: Callable[[], Awaitable[None]], backend: str) -> None:
    async def limited() -> None:
        with anyio.fail_after(30):
            await main()

    anyio.run(limited, backend=backend)


def test_others_read_and_are_told(path: Path, backend: str, holder: Any, patience: Callable[[float], None]) -> None:
    """All can be read, also by who opens the store now; a write is told after a while, and goes through later."""
    patience(0.3)

    async def main() -> None:
        async with SQLiteStore(path) as store:
            for _ in range(2):
                assert (await load_run(store, RUN)).counters["n"] == 1
                assert (await store.get_item(RUN, "a")).status == "completed"
                assert len(await store.outputs(RUN)) == 1
                assert len(await store.events(RUN, 1)) > 0
                with pytest.raises(StoreError, match="another process") as caught:
                    await store.increment(RUN, "n")
                assert caught.value.code == "locked"
            let_go(holder)
            assert await store.increment(RUN, "n") == 2

    run(main, backend)


def test_who_waits_is_served_when_the_lock_is_free(
    path: Path, backend: str, holder: Any, patience: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes that wait for the lock are done once each when the process goes on; who reads meanwhile does not wait."""
    patience(FOR_EVER)
    attempts, answers = Attempts(monkeypatch), list[int]()

    async def main() -> None:
        async with SQLiteStore(path) as store, anyio.create_task_group() as tasks:

            async def add() -> None:
                answers.append(await store.increment(RUN, "n"))

            for _ in range(20):
                tasks.start_soon(add)
            await attempts.more()
            assert (await store.get_run(RUN)).counters["n"] == 1
            assert answers == []
            let_go(holder)

    run(main, backend)
    assert sorted(answers) == list(range(2, 22))


def test_who_is_cancelled_does_not_wait_for_the_lock(
    path: Path, backend: str, holder: Any, patience: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Callers that are cancelled while the file is locked leave with nothing done; who stays is served later."""
    patience(FOR_EVER)
    attempts, answers = Attempts(monkeypatch), list[int]()

    async def main() -> None:
        async with SQLiteStore(path) as store, anyio.create_task_group() as staying:

            async def add(by: int) -> None:
                answers.append(await store.increment(RUN, "n", by))

            async with anyio.create_task_group() as leaving:
                for _ in range(10):
                    leaving.start_soon(add, 100)
                staying.start_soon(add, 1)
                for _ in range(10):
                    leaving.start_soon(add, 100)
                await attempts.more()
                leaving.cancel_scope.cancel()
            await attempts.more()
            assert answers == []
            let_go(holder)
        assert answers == [2]

    run(main, backend)


def test_who_is_cancelled_alone_leaves_a_store_that_works(
    path: Path, backend: str, holder: Any, patience: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When every caller has left, the store can be closed while the file is locked, and opened and written later."""
    patience(FOR_EVER)
    attempts = Attempts(monkeypatch)

    async def main() -> None:
        async with SQLiteStore(path) as store:
            async with anyio.create_task_group() as leaving:
                for _ in range(3):
                    leaving.start_soon(store.increment, RUN, "n")
                await attempts.more()
                leaving.cancel_scope.cancel()
            assert (await store.get_run(RUN)).counters["n"] == 1
        let_go(holder)
        async with SQLiteStore(path) as store:
            assert await store.increment(RUN, "n") == 2

    run(main, backend)
