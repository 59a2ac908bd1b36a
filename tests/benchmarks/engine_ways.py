"""One way to do many items whose work is nothing, at most 16 at once, measured in this process of its own.

``python engine_ways.py WAY BACKEND COUNT`` prints what it cost as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import aiometer
import anyio
from anyio import CapacityLimiter
from attrs import evolve
from measuring import peak_memory_mb

from cardanalysis import Event, Item, ItemStatus, Run, RunStatus
from cardanalysis._engine import Engine
from cardanalysis._jobs import Entry, Job, Outcome
from cardanalysis._models import NewItem

_LIMIT = 16
_WARM_UP = 500


# --- ours ---------------------------------------------------------------------------------------------------------


class NullStore:
    """Takes everything, keeps nothing but the run's status, and answers at once."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self._run = Run(id="run", kind="nothing", created_at=now)
        self._pending = Item(run_id="run", id="item", kind="nothing", name="item", position=0, created_at=now)
        self._claimed = evolve(self._pending, status=ItemStatus.LOADING, token=1, attempts=1)
        self._completed = evolve(self._claimed, status=ItemStatus.COMPLETED)
        self._event = Event(run_id="run", sequence=1, type="nothing", time=now)

    async def get_run(self, run_id: str) -> Run:
        return self._run

    async def update_run(self, run_id: str, status: RunStatus, **_given: Any) -> Run:
        self._run = evolve(self._run, status=status)
        return self._run

    async def append_event(self, run_id: str, type: str, **_given: Any) -> Event:  # noqa: A002 - the protocol's name
        return self._event

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        return [self._pending] * len(items)

    async def claim(self, run_id: str, owner: str, **_given: Any) -> list[Item]:
        return [self._claimed]

    async def complete_item(self, run_id: str, item_id: str, **_given: Any) -> Item:
        return self._completed


async def _entries(count: int) -> AsyncGenerator[Sequence[Entry[None]], None]:
    for number in range(count):
        yield [Entry(new=NewItem(id=str(number), name="item", position=number), payload=None)]


_NOTHING = Outcome()


async def _no_work(_job: Job[None]) -> Outcome:
    return _NOTHING


async def engine(count: int, *, item_timeout: float | None = None) -> None:
    store: Any = NullStore()  # it has those of the store's methods that the engine calls here
    limiter = CapacityLimiter(_LIMIT)
    run = await Engine(store, "run", _no_work, limiter=limiter, item_timeout=item_timeout).run(_entries(count))
    assert run.status is RunStatus.SUCCEEDED


async def engine_with_timeout(count: int) -> None:
    await engine(count, item_timeout=900.0)


# --- others -------------------------------------------------------------------------------------------------------


async def _nothing(_number: int) -> None:
    return None


async def slot_first(count: int) -> None:
    """The limiter's token is taken before the task starts, so that at most 16 tasks exist."""
    limiter = CapacityLimiter(_LIMIT)

    async def work(number: int) -> None:
        try:
            await _nothing(number)
        finally:
            limiter.release_on_behalf_of(number)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            await limiter.acquire_on_behalf_of(number)
            tasks.start_soon(work, number)


async def task_first(count: int) -> None:
    limiter = CapacityLimiter(_LIMIT)

    async def work(number: int) -> None:
        async with limiter:
            await _nothing(number)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(work, number)


async def aiometer_amap(count: int) -> None:
    async with aiometer.amap(_nothing, range(count), max_at_once=_LIMIT) as results:
        async for _ in results:
            pass


async def aiometer_run_all(count: int) -> None:
    await aiometer.run_all([partial(_nothing, number) for number in range(count)], max_at_once=_LIMIT)


async def semaphore_and_gather(count: int) -> None:
    semaphore = asyncio.Semaphore(_LIMIT)

    async def work(number: int) -> None:
        async with semaphore:
            await _nothing(number)

    await asyncio.gather(*(work(number) for number in range(count)))


WAYS: Mapping[str, Callable[[int], Coroutine[Any, Any, None]]] = {
    way.__name__: way
    for way in (
        engine,
        engine_with_timeout,
        slot_first,
        task_first,
        aiometer_amap,
        aiometer_run_all,
        semaphore_and_gather,
    )
}


async def measure(way: str, count: int) -> dict[str, float]:
    await WAYS[way](_WARM_UP)
    gc.collect()
    peak, start = peak_memory_mb(), time.process_time()
    await WAYS[way](count)
    return {"seconds": time.process_time() - start, "memory_mb": peak_memory_mb() - peak}


if __name__ == "__main__":
    _, way, backend, count = sys.argv
    sys.stdout.write(json.dumps(anyio.run(measure, way, int(count), backend=backend)))
