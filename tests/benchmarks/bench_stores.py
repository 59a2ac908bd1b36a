"""How many items a second the stores record, beside SQLite used in the plainest way."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
from measuring import Report, Table, ratio, take_turns
from plain_sqlite import PlainSQLite

from cardanalysis import ItemStatus, MemoryStore, SQLiteStore, Store, Usage
from cardanalysis._models import NewItem, NewOutput

_PLAIN = "plain sqlite3"
_USAGE = Usage(requests=1, input_tokens=2_000, output_tokens=400, cost=0.012)
_CARD = {"title": "Import orders", "problem": "Clerks retype every order by hand. " * 20, "systems": ["ERP", "Mail"]}

_TEXT = """\
Callers that each take one item after the other through what an upload goes through: it is added, claimed, moved twice
and completed with one card, which is five transactions. SQLite writes with `synchronous=FULL`, so that each of them is
on the disk when it returns. The plain way makes one transaction in a worker thread for each call, of the same rows, and
checks nothing: no versions, no leases, no legal moves. An fsync of one page took {fsync:.2f} ms on this disk."""

_Cycle = Callable[[int], Awaitable[object]]


def run(tiny: bool) -> Report:
    counts, rounds = ({1: 4, 4: 8}, 1) if tiny else ({1: 300, 16: 1_600, 64: 3_200}, 5)
    measured = {
        callers: take_turns({name: partial(_rate, name, callers, count) for name in _STORES}, rounds)
        for callers, count in counts.items()
    }
    return Report("Stores", [_TEXT.format(fsync=_fsync_milliseconds()), _table(measured)])


def _table(measured: Mapping[int, Mapping[str, Sequence[float]]]) -> Table:
    header = ["items completed a second"]
    rows = [[name] for name in _STORES]
    for callers, rates in measured.items():
        header += [f"{callers} {'caller' if callers == 1 else 'callers'}", f"beside {_PLAIN}"]
        for row in rows:
            row += [f"{median(rates[row[0]]):,.0f}", f"{ratio(rates[row[0]], rates[_PLAIN]):.2f}"]
    return Table(header, rows)


def _rate(name: str, callers: int, count: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return count / anyio.run(_drive, _STORES[name](Path(folder) / "cards.db"), callers, count)


async def _drive(opened: AbstractAsyncContextManager[_Cycle], callers: int, count: int) -> float:
    numbers = iter(range(count))

    async def call() -> None:
        for number in numbers:  # shared: each number is done once
            await cycle(number)

    async with opened as cycle:
        start = perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(callers):
                tasks.start_soon(call)
        return perf_counter() - start


@asynccontextmanager
async def _cycles(store: Store) -> AsyncGenerator[_Cycle]:
    async with store:
        await store.create_run("run", kind="benchmark", fingerprint="", asked={})
        yield partial(_cycle, store)


async def _cycle(store: Store, number: int) -> None:
    new = NewItem(id=f"item-{number}", name=f"{number}.txt", position=number, size=1_000)
    await store.add_items("run", [new])
    (item,) = await store.claim("run", "owner", lease_seconds=60.0, item_ids=(new.id,))
    for status in (ItemStatus.ANALYZING, ItemStatus.SAVING):
        item = await store.update_status("run", new.id, status, version=item.version)
    output = NewOutput(kind="cards", data=_CARD)
    await store.complete_item("run", new.id, token=item.token, outputs=[output], usage=_USAGE)


@asynccontextmanager
async def _plain(path: Path) -> AsyncGenerator[_Cycle]:
    async with PlainSQLite(path) as store:
        yield partial(store.cycle, card=_CARD, usage=_USAGE)


_STORES: Mapping[str, Callable[[Path], AbstractAsyncContextManager[_Cycle]]] = {
    "MemoryStore": lambda _path: _cycles(MemoryStore()),
    "SQLiteStore": lambda path: _cycles(SQLiteStore(path)),
    _PLAIN: _plain,
}
"""Each gives what takes one item through its cycle."""


def _fsync_milliseconds() -> float:
    with tempfile.NamedTemporaryFile() as file:
        return 1000 * median(_fsync_seconds(file.fileno()) for _ in range(50))


def _fsync_seconds(descriptor: int) -> float:
    os.write(descriptor, bytes(4096))
    start = perf_counter()
    os.fsync(descriptor)
    return perf_counter() - start
