"""What SQLiteStore promises, and what is particular to it: durability, batches, a full disk."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import batches
import pytest
from attrs import evolve

from cardanalysis import ConfigurationError, SQLiteStore, StoreError, Usage, VersionConflict
from cardanalysis._models import Item, NewItem, NewOutput
from cardanalysis._status import ItemStatus, RunStatus
from cardanalysis.stores import _sqlite_file
from cardanalysis.stores._sqlite_transaction import Transaction
from cardanalysis.testing._store_promises import StoreMaker
from cardanalysis.testing._store_promises_trial import (
    MISSING,
    ManualClock,
    Trial,
    all_at_once,
    cards,
    repeated,
    titles,
)
from cardanalysis.testing.store_tests import StoreTests


class TestSQLiteStore(StoreTests):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> StoreMaker:
        numbers = count()
        return lambda clock: SQLiteStore(tmp_path / f"{next(numbers)}.db", clock=clock, synchronous="FULL")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


@asynccontextmanager
async def opened(path: Path | str, *item_ids: str, clock: ManualClock | None = None) -> AsyncIterator[Trial]:
    clock = clock or ManualClock()
    async with SQLiteStore(path, clock=clock) as store:
        t = Trial(store, clock)
        await t.create()
        await t.add(*item_ids)
        yield t


def connection_of(t: Trial) -> sqlite3.Connection:
    assert isinstance(t.store, SQLiteStore)
    assert t.store._file._writer is not None
    return t.store._file._writer


def integrity(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    finally:
        connection.close()


async def in_one_batch(t: Trial, *calls: Callable[[], Any]) -> list[Any]:
    assert isinstance(t.store, SQLiteStore)
    return await batches.in_one_batch(t.store, *calls)


@pytest.mark.anyio
async def test_everything_is_there_when_the_file_is_opened_again(path: Path) -> None:
    """Run, items, outputs, counters, events and leases are the same in a new store on the file."""
    async with opened(path, *ItemStatus) as t:
        for status in ItemStatus:
            await t.bring_to(status, status)
        await t.set_run(RunStatus.RUNNING)
        await t.store.increment("run", "seen", -3)
        await t.store.append_event("run", "told", item_id="pending", data={"ü": [1, None]})
        before = await t.check_sums("before closing")
    async with SQLiteStore(path) as store:
        assert await Trial(store, ManualClock()).check_sums("after opening again") == before


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_closed_file_is_one_file(path: Path, backend: str) -> None:
    """When the store is closed, all is in the one file and it can be copied."""

    async def fill() -> None:
        async with opened(path, "a") as t:
            await t.complete(await t.take("a"), cards("x"))

    anyio.run(fill, backend=backend)
    assert [each.name for each in path.parent.iterdir()] == ["cards.db"]
    assert integrity(path) == "ok"


@pytest.mark.anyio
async def test_a_store_can_be_closed_and_opened_again(path: Path) -> None:
    """The same object can be entered again after it was left."""
    store = SQLiteStore(path)
    for number in range(3):
        async with store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})
            assert await store.increment("run", "n") == number + 1


@pytest.mark.anyio
async def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    """Before `async with` and after it every call raises StoreError with the code store_closed."""
    store = SQLiteStore(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="async with") as caught:
            await store.get_run("run")
        assert caught.value.code == "store_closed"
        async with store:
            pass


@pytest.mark.anyio
async def test_a_store_is_entered_once(path: Path) -> None:
    """Entering an open store raises StoreError, and the store stays open."""
    async with opened(path) as t:
        with pytest.raises(StoreError) as caught:
            await t.store.__aenter__()
        assert caught.value.code == "store_open"
        assert await t.store.increment("run", "n") == 1


@pytest.mark.anyio
async def test_two_stores_on_one_file_are_one(path: Path) -> None:
    """Two stores on one file see each other's writes at once, count exactly and never share an item."""
    names = [f"{number:03}" for number in range(40)]
    async with opened(path, *names) as one, opened(path) as two:
        counts = await all_at_once(*[call for t in (one, two) for call in repeated(t.store.increment, 100, "run", "n")])
        assert sorted(counts) == list(range(1, 201))
        got = await all_at_once(*[call for t in (one, two) for call in repeated(t.claim, 25, owner=f"w{id(t)}")])
        assert sorted(item.id for items in got for item in items) == names
        assert await one.check_sums("in the one") == await two.check_sums("in the other")


@pytest.mark.anyio
async def test_a_store_in_memory_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path ``:memory:`` makes no file."""
    monkeypatch.chdir(path.parent)
    async with opened(":memory:", "a") as t:
        await t.complete(await t.take("a"), cards("x"))
        await t.check_sums("in memory")
    assert list(path.parent.iterdir()) == []


@pytest.mark.anyio
@pytest.mark.parametrize(("synchronous", "level"), [("FULL", 2), ("NORMAL", 1)])
async def test_how_durable_a_commit_is(path: Path, synchronous: Any, level: int) -> None:
    """The file is in WAL mode, and waits for the disk as it was told."""
    async with SQLiteStore(path, synchronous=synchronous) as store:
        connection = store._file._writer
        assert connection is not None
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == level
        assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_what_makes_no_sense_is_refused_at_once() -> None:
    """A wrong setting, and a path that names nothing, raise ConfigurationError when the store is made."""
    with pytest.raises(ConfigurationError, match="FULL"):
        SQLiteStore("cards.db", synchronous="OFF")  # type: ignore[arg-type]
    for nothing in ("", "a\0b"):
        with pytest.raises(ConfigurationError, match="path"):
            SQLiteStore(nothing)


def test_its_repr_names_the_file() -> None:
    """The repr tells the path and nothing of what is in it."""
    assert repr(SQLiteStore(Path("some") / "cards.db")) == f"<SQLiteStore {str(Path('some') / 'cards.db')!r}>"


@pytest.mark.anyio
async def test_a_refused_write_does_not_undo_its_neighbours(path: Path) -> None:
    """In one batch, writes that are refused or raise leave the others as if they had been alone."""
    async with opened(path, "a", "b") as t:
        claimed, version = await t.take("a"), (await t.item("b")).version

        async def poison() -> None:
            def work(transaction: Transaction) -> None:
                transaction.count(1, "n", 100)
                transaction.connection.execute("DELETE FROM items")
                transaction.connection.execute("NO SQL AT ALL")

            assert isinstance(t.store, SQLiteStore)
            await t.store._writes.run(work)

        results = await in_one_batch(
            t,
            lambda: t.store.increment("run", "n"),
            poison,
            lambda: t.store.update_status("run", "b", ItemStatus.CANCELLED, version=version + 5),
            lambda: t.complete(claimed, cards("x")),
            lambda: t.complete(claimed, [NewOutput(kind="cards", data={"x": object()})]),
            lambda: t.store.increment("run", "n"),
        )
        kinds = [result.code if isinstance(result, StoreError) else type(result) for result in results]
        assert kinds == [int, "sqlite", VersionConflict.default_code, Item, "not_json", int]
        now = await t.check_sums("after a batch with poison")
        assert (now.run.counters["n"], titles(now.outputs)) == (2, ["x"])


@pytest.mark.anyio
async def test_who_makes_the_commit_fail_is_told_alone(path: Path) -> None:
    """When a commit fails because of one write, that one is refused and the others are committed without it."""
    async with opened(path, "a") as t:

        async def orphan() -> None:
            def work(transaction: Transaction) -> None:
                transaction.connection.execute("PRAGMA defer_foreign_keys = ON")
                transaction.connection.execute("INSERT INTO counters VALUES (99, 'n', 1)")

            assert isinstance(t.store, SQLiteStore)
            await t.store._writes.run(work)

        results = await in_one_batch(t, lambda: t.store.increment("run", "n"), orphan, lambda: t.take("a"))
        assert [getattr(result, "code", type(result)) for result in results] == [int, "sqlite", Item]
        assert await t.store.increment("run", "n") == 2
        await t.check_sums("after a failed commit")


@pytest.mark.anyio
async def test_what_cannot_be_noted_is_refused_alone(path: Path) -> None:
    """What cannot be stored of an event or a counter is found at the end of the batch, and fails its caller alone."""
    async with opened(path, "a") as t:
        results = await in_one_batch(
            t,
            lambda: t.store.increment("run", "n"),
            lambda: t.store.append_event("run", "half a pair: \ud800"),
            lambda: t.store.increment("run", "half a pair: \ud800"),
            lambda: t.store.increment("run", "n"),
        )
        codes = [getattr(result, "code", result) for result in results]
        assert codes[1:3] == ["not_storable", "not_storable"]
        assert {codes[0], codes[3]} == {1, 2}
        assert dict((await t.check_sums("after what cannot be noted")).run.counters) == {
            "n": 2,
            "pending": 1,
            "total": 1,
        }


def let_grow(t: Trial, pages: int) -> None:
    """Let the file grow by so many pages and no more."""
    connection = connection_of(t)
    used = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {used + pages}")


@pytest.mark.anyio
async def test_a_full_disk_loses_nothing(path: Path) -> None:
    """With no room left a call raises StoreError with the code full; once there is room the same call succeeds."""
    async with opened(path, "a", "b") as t:
        claimed = await t.take("a")
        await t.complete(await t.take("b"), cards("kept"))
        let_grow(t, 3)
        large = cards(*["x" * 5_000] * 20)
        error = await t.refuses(StoreError, "A result on a full disk", t.complete, claimed, large)
        assert error.code == "full"
        assert "cards.db" in str(error)
        assert "same call again" in str(error)
        let_grow(t, 1_000)
        await t.complete(claimed, large)
        assert (await t.check_sums("after the disk was full")).run.counters["cards"] == 21
    assert integrity(path) == "ok"


@pytest.mark.anyio
async def test_who_finds_the_disk_full_does_not_stop_his_neighbours(path: Path) -> None:
    """In a batch with a result for which there is no room, those for which there is are written."""
    async with opened(path, "a", "b") as t:
        large, small = await t.claim(2)
        let_grow(t, 5)
        results = await in_one_batch(
            t,
            lambda: t.store.increment("run", "n"),
            lambda: t.store.update_status("run", "b", ItemStatus.SAVING, version=99),
            lambda: t.complete(large, cards(*["x" * 5_000] * 50)),
            lambda: t.complete(small, cards("small")),
            lambda: t.store.increment("run", "n"),
        )
        assert [getattr(result, "code", type(result)) for result in results] == [
            int,
            "version_conflict",
            "full",
            Item,
            int,
        ]
        now = await t.check_sums("after a full disk")
        assert (now.run.counters["n"], titles(now.outputs)) == (2, ["small"])
        assert now.items[0] == large
    assert integrity(path) == "ok"


@pytest.mark.anyio
async def test_half_a_surrogate_pair_in_a_result_is_kept(path: Path) -> None:
    """A model's text with half of a surrogate pair, which cannot be encoded, comes back as it was."""
    async with opened(path, "a") as t:
        await t.complete(await t.take("a"), cards("half \ud83d of a pair", "whole 👩 of a pair"))
        assert titles(await t.store.outputs("run")) == ["half \ud83d of a pair", "whole 👩 of a pair"]


@pytest.mark.anyio
async def test_what_sqlite_cannot_hold_is_refused(path: Path) -> None:
    """Half of a surrogate pair in a name raises StoreError and changes nothing."""
    async with opened(path, "a") as t:
        for call in (
            partial(t.store.add_items, "run", [NewItem(id="new", name="\udc80", position=0)]),
            partial(t.store.get_run, "\ud83d"),
        ):
            assert (await t.refuses(StoreError, "What SQLite cannot hold", call)).code == "not_storable"


@pytest.mark.anyio
async def test_nul_characters_are_kept(path: Path) -> None:
    """Text after a NUL character counts and comes back."""
    async with opened(path, "a\0b", "a\0c") as t:
        await t.complete(await t.take("a\0b"), cards("x\0y"))
        assert [item.id for item in await t.store.items("run")] == ["a\0b", "a\0c"]
        assert titles(await t.store.outputs("run", item_id="a\0b")) == ["x\0y"]
        assert await t.store.outputs("run", item_id="a\0c") == []


@pytest.mark.anyio
async def test_an_empty_filter_lets_nothing_through(path: Path) -> None:
    """A kind or an item that is an empty text is a filter, not the lack of one."""
    async with opened(path, "a") as t:
        await t.complete(await t.take("a"), cards("x"))
        assert await t.store.outputs("run", kind="") == []
        assert await t.store.outputs("run", item_id="") == []


@pytest.mark.anyio
async def test_a_repeat_after_an_unheard_answer_changes_nothing(path: Path) -> None:
    """Who did not hear whether the commit happened repeats the call, also in another process, and gets the item."""
    async with opened(path, "a") as t:
        claimed = await t.take("a")
        done = await t.complete(claimed, cards("x"), error=MISSING)
    async with opened(path, clock=ManualClock(1_800_000_000.0)) as t, t.unchanged("A repeat"):
        assert await t.complete(claimed, cards("x"), error=MISSING) == done


def test_a_store_outlives_an_event_loop_that_was_torn_down(path: Path) -> None:
    """Callers that an event loop left behind in the middle of a call are not waited for in the next one."""
    store = SQLiteStore(path)

    async def begin() -> None:
        await store.__aenter__()
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        store._writes._led = True  # what a leader leaves behind that is never run again
        await store.__aexit__(None, None, None)

    async def go_on() -> int:
        async with store:
            return await asyncio.wait_for(store.increment("run", "n"), 30)

    asyncio.run(begin())
    assert asyncio.run(go_on()) == 1


@pytest.mark.anyio
async def test_another_thread_is_told(path: Path, anyio_backend: str) -> None:
    """A call from another thread's event loop would wait in a queue that is not made for it; it is refused instead."""
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})

        def elsewhere() -> list[str]:
            codes = []
            for call in (lambda: store.increment("run", "n"), lambda: store.get_run("run")):
                with pytest.raises(StoreError) as caught:
                    anyio.run(call, backend=anyio_backend)
                codes.append(caught.value.code)
            return codes

        assert await anyio.to_thread.run_sync(elsewhere) == ["wrong_thread"] * 2
        assert await store.increment("run", "n") == 1


@pytest.mark.anyio
async def test_in_memory_too_reads_and_writes_do_not_meet() -> None:
    """A store in memory has one connection: whoever reads waits for whoever writes, and nothing is lost."""
    async with SQLiteStore(":memory:") as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        values: list[int] = []

        async def write() -> None:
            for _ in range(60):
                values.append(await store.increment("run", "n"))

        async def read() -> None:
            for _ in range(60):
                await store.get_run("run")

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(write)
                tasks.start_soon(read)
        assert sorted(values) == list(range(1, 241))
        assert (await store.get_run("run")).counters["n"] == 240


@pytest.mark.anyio
async def test_records_that_use_their_store_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that comes out of the records of a restoration finds the store locked, and does not wait for ever."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", 0.2)
    async with opened(path) as t:
        run = evolve(await t.run(), id="copy")
        events = [evolve(event, run_id="copy") for event in await t.events()]

        def told() -> Iterator[Any]:
            anyio.from_thread.run(t.store.increment, "run", "n")
            yield from events

        assert isinstance(t.store, SQLiteStore)
        with pytest.raises(StoreError, match="whole file") as caught:
            await t.store.restore_run(run, told())
        assert caught.value.code == "locked"
        assert await t.store.increment("run", "n") == 1
        assert [each.id for each in await t.store.runs()] == ["run"]


@pytest.mark.anyio
async def test_a_caller_can_leave_while_this_process_works_on_the_whole_file(path: Path) -> None:
    """During a restoration that takes long, other writes wait as for another process: they can be called off."""
    async with opened(path) as t:
        run = evolve(await t.run(), id="copy")
        events = [evolve(event, run_id="copy") for event in await t.events()]
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> Iterator[Any]:
            begun.set()
            assert go_on.wait(30)
            yield from events

        assert isinstance(t.store, SQLiteStore)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(t.store.restore_run, run, slow())
            await anyio.to_thread.run_sync(begun.wait)
            with anyio.move_on_after(0.3) as scope:
                await t.store.increment("run", "n")
            assert scope.cancelled_caught
            go_on.set()
        assert (await t.run()).counters["n"] == 0
        assert await t.store.increment("run", "n") == 1


@pytest.mark.anyio
async def test_a_moved_item_is_a_change_of_the_run(path: Path) -> None:
    """Another position raises the version of the run, so that who pages through it can tell."""
    async with opened(path, "a", "b") as t:
        before = await t.run()
        await t.add("b", "a")
        assert (await t.run()).version == before.version + 2


@pytest.mark.anyio
async def test_a_caller_cannot_write_into_the_log_what_is_not_so(path: Path) -> None:
    """What is told besides a result does not stand in the place of what the store itself tells."""
    async with opened(path, "a") as t:
        item = await t.take("a")
        lies = {"to": "failed", "attempt": 9, "usage": 0, "note": "kept"}
        await t.store.complete_item("run", "a", token=item.token, outputs=[], usage=Usage(), data=lies)
        told = (await t.events())[-1].data
        assert (told["to"], told["attempt"], told["note"]) == ("completed", 1, "kept")
        assert told["usage"]["requests"] == 0
