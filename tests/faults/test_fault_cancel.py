"""Callers that are cancelled at any moment: what they asked is done or not, and nothing of them is left behind.

That no change of a store is ever half done is a promise which every store is checked for; here is what SQLite adds:
reading, opening and closing, threads and open files, and whole runs.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import (
    RUN,
    NotingAnalyzer,
    NotingStore,
    check_file,
    check_finished,
    completed,
    count_of,
    interrupted,
    open_files,
    uploads,
)

from cardanalysis import SQLiteStore, Usage, analyze_cards
from cardanalysis.abc import NewItem, NewOutput

ROUNDS = (*range(12), 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
"""After how many rounds of the event loop a caller is cancelled: soon in the first of its steps, later in others."""

READS: dict[str, Callable[[SQLiteStore], Awaitable[Any]]] = {
    "get_run": lambda store: store.get_run(RUN),
    "get_item": lambda store: store.get_item(RUN, "a"),
    "items": lambda store: store.items(RUN),
    "outputs": lambda store: store.outputs(RUN),
    "events": lambda store: store.events(RUN),
}


@pytest.fixture
def nothing_left(path: Path) -> Any:
    """Fails the test if a thread of it is still at work in the library, or a file of the store is still open."""
    before = set(threading.enumerate())
    yield
    frames = sys._current_frames()
    for thread in set(threading.enumerate()) - before:  # idle workers of the event loops may wait for more work
        frame = frames.get(thread.ident or 0)
        while frame is not None:
            assert "cardanalysis" not in frame.f_code.co_filename, thread
            frame = frame.f_back
    assert open_files(path) == []
    assert {each.name for each in path.parent.iterdir() if each.is_file()} <= {"cards.db"}
    check_file(path)


async def prepare(store: SQLiteStore) -> None:
    await store.create_run(RUN, kind="test", fingerprint="f", asked={})
    await store.add_items(RUN, [NewItem(id=each, name=each, position=n) for n, each in enumerate("abc")])
    (item,) = await store.claim(RUN, "me", lease_seconds=600)
    await store.complete_item(RUN, "a", token=item.token, outputs=[NewOutput(kind="x", data={})], usage=Usage())


@asynccontextmanager
async def opened(path: Path) -> AsyncGenerator[SQLiteStore, None]:
    async with SQLiteStore(path) as store:
        await prepare(store)
        yield store


@pytest.mark.usefixtures("nothing_left")
def test_reading_can_be_called_off_at_any_moment(path: Path, backend: str) -> None:
    """A read that is cancelled after any number of rounds leaves a store in which all reads and writes go on."""

    async def main() -> None:
        async with opened(path) as store:
            wanted = {name: await call(store) for name, call in READS.items()}
            for name, call in READS.items():
                for rounds in ROUNDS:
                    await interrupted(lambda call=call: call(store), after=rounds)
                    assert await call(store) == wanted[name]
            assert await store.increment(RUN, "n") == 1

    anyio.run(main, backend=backend)


@pytest.mark.usefixtures("nothing_left")
def test_writing_at_once_can_be_called_off_at_any_moment(path: Path, backend: str) -> None:
    """Of many completions, claims and reads at once that are cancelled, each is wholly done or not begun."""

    async def main() -> None:
        async with opened(path) as store:
            for rounds in ROUNDS:
                run_id = f"run {rounds}"
                await store.create_run(run_id, kind="test", fingerprint="f", asked={})
                new = [NewItem(id=f"{n}", name=f"{n}.txt", position=n) for n in range(12)]
                await store.add_items(run_id, new)
                claimed = await store.claim(run_id, "me", lease_seconds=600, limit=6)
                acknowledged: set[str] = set()

                async def complete(item: Any, run_id: str = run_id, acknowledged: set[str] = acknowledged) -> None:
                    outputs = [NewOutput(kind="x", data={"n": n}) for n in range(3)]
                    await store.complete_item(
                        run_id, item.id, token=item.token, outputs=outputs, usage=Usage(requests=1)
                    )
                    acknowledged.add(item.id)

                async def all_at_once(run_id: str = run_id, claimed: Any = claimed, complete: Any = complete) -> None:
                    async with anyio.create_task_group() as tasks:
                        for item in claimed:
                            tasks.start_soon(complete, item)
                            tasks.start_soon(store.get_item, run_id, item.id)
                        tasks.start_soon(lambda: store.claim(run_id, "other", lease_seconds=600, limit=3))

                await interrupted(all_at_once, after=rounds)
                run, items, outputs = (
                    await store.get_run(run_id),
                    await store.items(run_id),
                    await store.outputs(run_id),
                )
                done = {item.id for item in items if item.status == "completed"}
                assert acknowledged <= done
                assert count_of(output.item_id for output in outputs) == dict.fromkeys(done, 3)
                assert (run.counters["completed"], run.counters["x"], run.usage.requests) == (
                    len(done),
                    3 * len(done),
                    len(done),
                )
                assert len([item for item in items if item.owner == "other"]) in (0, 3)
                assert [event.sequence for event in await store.events(run_id)] == [*range(1, run.last_event + 1)]

    anyio.run(main, backend=backend)


@pytest.mark.usefixtures("nothing_left")
def test_opening_and_closing_can_be_called_off_at_any_moment(path: Path, backend: str) -> None:
    """A caller that is cancelled while it opens, uses or closes a store leaves no open file; the store can be used."""

    async def use() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})

    async def main() -> None:
        for rounds in ROUNDS:
            await interrupted(use, after=rounds)
            assert open_files(path) == []
        await use()

    anyio.run(main, backend=backend)


@pytest.mark.usefixtures("nothing_left")
def test_a_bare_cancel_of_asyncio_leaves_no_open_file(path: Path) -> None:
    """A task that asyncio cancels while it opens, uses or closes a store leaves no open file either."""

    async def use() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})

    async def cancelled(rounds: int) -> None:
        task = asyncio.get_running_loop().create_task(use())
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None

    for rounds in ROUNDS:
        asyncio.run(cancelled(rounds))
        assert open_files(path) == [], rounds
    asyncio.run(use())


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("count", [12])
def test_a_run_can_be_called_off_at_any_moment(path: Path, backend: str, count: int) -> None:
    """A run that is cancelled again and again, each time a little later, ends at last with every upload done once."""
    calls: list[str] = []
    acknowledged: list[str] = []

    def note(word: str, name: str) -> None:
        (calls if word == "call" else acknowledged if word == "acknowledged" else []).append(name)

    async def analyze() -> None:
        async with NotingStore(path, note) as store:
            analyzer = NotingAnalyzer(note, latency=0.0)
            await analyze_cards(uploads(count), store, 3, analyzer=analyzer, run_id=RUN)

    async def main() -> None:
        for rounds in ROUNDS:
            await interrupted(analyze, after=rounds)
            assert open_files(path) == []
            done = completed(path)
            assert set(acknowledged) <= done
            calls.clear()
            if len(done) < count:
                await interrupted(analyze, after=rounds)
                assert not done & set(calls)
        await analyze()

    anyio.run(main, backend=backend)
    check_finished(path, count)
    assert max(count_of(acknowledged).values()) == 1
