"""Calls of a store that are committed together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import anyio

from cardanalysis import SQLiteStore
from cardanalysis.testing._store_promises_trial import at_once

__all__ = ["in_one_batch"]


async def in_one_batch(store: SQLiteStore, *calls: Callable[[], Any]) -> list[Any]:
    """Make calls while the store is busy, so that all are committed together."""
    entered, gate = threading.Event(), threading.Event()
    results: list[Any] = []

    def wait(_: object) -> None:
        entered.set()
        assert gate.wait(30)

    async def call_all() -> None:
        results.extend(await at_once(*calls))

    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store._writes.run, wait)
            await anyio.to_thread.run_sync(entered.wait, 30)
            tasks.start_soon(call_all)
            await anyio.wait_all_tasks_blocked()
            gate.set()
    finally:
        gate.set()
    return results
