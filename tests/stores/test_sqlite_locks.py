"""Another process holds the lock: calls wait their turn, can be called off, and are told when it takes too long."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from cardanalysis import SQLiteStore, StoreError
from cardanalysis.stores import _sqlite_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[tuple[SQLiteStore, sqlite3.Connection]]:
    """An open store whose file is locked by somebody else."""
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield store, other
            if other.in_transaction:
                other.execute("ROLLBACK")


def was_tried(store: SQLiteStore) -> bool:
    """Whether a batch of calls has found the file locked."""
    batch = store._writes._newest
    while batch is not None and batch.locked is None:
        batch = batch.before
    return batch is not None


@pytest.mark.anyio
async def test_calls_wait_for_the_lock(path: Path) -> None:
    """Calls that find the file locked go through when it is free, each once."""
    async with locked(path) as (store, other), anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(store.increment, "run", "n")
        while not was_tried(store):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.01)
        other.execute("COMMIT")
    async with SQLiteStore(path) as store:
        assert (await store.get_run("run")).counters["n"] == 20


@pytest.mark.anyio
async def test_a_call_that_is_called_off_while_it_waits_did_nothing(path: Path) -> None:
    """While the file is locked, cancelled calls leave with nothing done, also many of one batch and those behind it."""
    async with locked(path) as (store, other):
        left = 0

        async def add() -> None:
            nonlocal left
            try:
                await store.increment("run", "n")
            finally:
                left += 1

        async with anyio.create_task_group() as staying:
            staying.start_soon(store.increment, "run", "m")
            async with anyio.create_task_group() as going:
                for _ in range(300):
                    going.start_soon(add)
                for _ in range(20):
                    await checkpoint()
                going.cancel_scope.cancel()
            assert left == 300
            other.execute("COMMIT")
        run = await store.get_run("run")
        assert (run.counters["n"], run.counters["m"]) == (0, 1)


@pytest.mark.anyio
async def test_a_lock_that_is_held_for_too_long_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When patience ends every call of the batch is told locked, nothing was written, and later calls go through."""
    monkeypatch.setattr(_sqlite_file, "_PATIENCE_SECONDS", 0.2)
    async with locked(path) as (store, other):
        errors: list[str] = []

        async def add() -> None:
            try:
                await store.increment("run", "n")
            except StoreError as error:
                errors.append(error.code)

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(add)
        assert errors == ["locked"] * 5
        other.execute("COMMIT")
        assert await store.increment("run", "n") == 1
