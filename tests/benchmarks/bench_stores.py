"""How many results a second the stores record, beside plainer ways, and what a million items cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import anyio
from measuring import Report, Table, peak_memory_mb, ratio, take_turns
from plain_sqlite import Complete, in_threads, naive, with_aiosqlite

from cardanalysis import MemoryStore, SQLiteStore, Store, Usage
from cardanalysis._models import NewItem, NewOutput
from cardanalysis.stores import _group_commit

_USAGE = Usage(requests=1, input_tokens=2_000, output_tokens=400, cost=0.012)
_CARD = {"title": "Import orders", "problem": "Clerks retype every order by hand. " * 28, "systems": ["ERP", "Mail"]}
_CARDS = [_CARD] * 5
_THREAD = "a transaction in a thread"
_ALONE = "SQLiteStore, one at a time"

_NAIVE = "naive"
_TEXT = """\
Callers that each complete one item after the other: its status by compare-and-set, five cards of 1 kB, the counters and
an event, in one transaction. All write with `synchronous=FULL`, so that a result is on the disk when the call returns.
“{naive}” opens a connection for each result and commits each statement. “{thread}” makes one transaction for each
result in a worker thread, and aiosqlite does the same with a thread of its own. These three write fewer rows and check
nothing: no versions, no leases, no legal moves. “{alone}” is our store without its group commit, which shows what
that gains where the guarantees are the same. An fsync of one page took {fsync:.2f} ms on this disk; the slower the
disk, the more a group commit gains."""

_MANY = """\
A store of so many items, all pending in one run. Opening it includes the first read of the run. The pages of 1,000
items are read one after the other, in a process of its own."""


def run(tiny: bool) -> Report:
    counts, rounds = ({1: 4, 4: 8}, 1) if tiny else ({1: 400, 16: 2_000, 64: 4_000}, 5)
    measured = {
        callers: take_turns({name: partial(_rate, name, callers, count) for name in _STORES}, rounds)
        for callers, count in counts.items()
    }
    text = _TEXT.format(fsync=_fsync_milliseconds(), naive=_NAIVE, thread=_THREAD, alone=_ALONE)
    return Report("Stores", [text, _table(measured), _MANY, _many(2_000 if tiny else 1_000_000)])


def _table(measured: Mapping[int, Mapping[str, Sequence[float]]]) -> Table:
    header = ["items completed a second"]
    rows = [[name] for name in _STORES]
    for callers, rates in measured.items():
        header += [f"{callers} {'caller' if callers == 1 else 'callers'}", f"beside “{_THREAD}”"]
        for row in rows:
            row += [f"{median(rates[row[0]]):,.0f}", f"{ratio(rates[row[0]], rates[_THREAD]):.2f}"]
    return Table(header, rows)


def _rate(name: str, callers: int, count: int) -> float:
    slow = name == _NAIVE  # it would take longer than all others together
    count = max(callers, count // 10) if slow else count
    with tempfile.TemporaryDirectory() as folder:
        return count / anyio.run(_drive, _STORES[name](Path(folder) / "cards.db", count), callers, count)


async def _drive(opened: AbstractAsyncContextManager[Complete], callers: int, count: int) -> float:
    numbers = iter(range(count))

    async def call() -> None:
        for number in numbers:  # shared: each number is done once
            await complete(number)

    async with opened as complete:
        start = perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(call)
        return perf_counter() - start


@asynccontextmanager
async def _ours(store: Store, items: int) -> AsyncGenerator[Complete]:
    outputs = [NewOutput(kind="cards", data=card) for card in _CARDS]

    async def complete(number: int) -> None:
        await store.complete_item("run", f"item-{number}", token=1, outputs=outputs, usage=_USAGE)

    async with store:
        await _add(store, items)
        await store.claim("run", "owner", lease_seconds=3_600, limit=items)
        yield complete


@asynccontextmanager
async def _one_at_a_time(path: Path, items: int) -> AsyncGenerator[Complete]:
    with _without_groups():
        async with _ours(SQLiteStore(path), items) as complete:
            yield complete


@contextmanager
def _without_groups() -> Iterator[None]:
    most, _group_commit._MOST = _group_commit._MOST, 1
    try:
        yield
    finally:
        _group_commit._MOST = most


async def _add(store: Store, items: int) -> None:
    await store.create_run("run", kind="benchmark", fingerprint="", asked={})
    for start in range(0, items, 10_000):
        numbers = range(start, min(items, start + 10_000))
        await store.add_items(
            "run", [NewItem(id=f"item-{n}", name=f"{n}.txt", position=n, size=1_000) for n in numbers]
        )


def _plain(way: Callable[..., AbstractAsyncContextManager[Complete]]) -> Callable[[Path, int], Any]:
    return lambda path, items: way(path, items, _CARDS, _USAGE)


_STORES: Mapping[str, Callable[[Path, int], AbstractAsyncContextManager[Complete]]] = {
    _NAIVE: _plain(naive),
    "aiosqlite": _plain(with_aiosqlite),
    _THREAD: _plain(in_threads),
    _ALONE: _one_at_a_time,
    "SQLiteStore": lambda path, items: _ours(SQLiteStore(path), items),
    "MemoryStore": lambda _path, items: _ours(MemoryStore(), items),
}
"""Each holds so many items in work and gives what completes one of them."""


def _many(items: int) -> Table:
    """What many items cost, beside none."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (0, items):
            path = Path(folder) / f"{count}.db"
            anyio.run(_fill, path, count)
            opening = median(anyio.run(_opening_seconds, path) for _ in range(5)) * 1_000
            seconds, megabytes = _page_through(path)
            rows.append([f"{count:,}", f"{opening:.1f} ms", f"{seconds:.1f} s", f"{megabytes:.0f} MB"])
    return Table(["items", "opening the store", "reading all pages", "peak of memory"], rows)


async def _fill(path: Path, items: int) -> None:
    async with SQLiteStore(path) as store:
        await _add(store, items)


async def _opening_seconds(path: Path) -> float:
    start = perf_counter()
    async with SQLiteStore(path) as store:
        await store.get_run("run")
        return perf_counter() - start


def _page_through(path: Path) -> tuple[float, float]:
    """Seconds and the peak of memory of a process that reads all items by page."""
    done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=True)
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


async def _read_pages(path: str) -> None:
    start = perf_counter()
    async with SQLiteStore(path) as store:
        page = await store.items("run", limit=1_000)
        while page:
            page = await store.items("run", after=page[-1], limit=1_000)
    sys.stdout.write(f"{perf_counter() - start} {peak_memory_mb()}\n")


def _fsync_milliseconds() -> float:
    with tempfile.NamedTemporaryFile() as file:
        return 1000 * median(_fsync_seconds(file.fileno()) for _ in range(50))


def _fsync_seconds(descriptor: int) -> float:
    os.write(descriptor, bytes(4096))
    start = perf_counter()
    os.fsync(descriptor)
    return perf_counter() - start


if __name__ == "__main__":
    anyio.run(_read_pages, sys.argv[1])
