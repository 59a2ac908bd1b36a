"""Plain ways to keep results in SQLite, as yardsticks. They write fewer rows than our store, and check nothing.

Each is a context that holds so many items in work, and gives a function that completes one of them with its outputs.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import aiosqlite
from anyio import CapacityLimiter, to_thread

from cardanalysis import Usage

Complete = Callable[[int], Awaitable[object]]
_Statement = tuple[str, tuple[Any, ...]]

_TABLES = """
CREATE TABLE items (id TEXT PRIMARY KEY, status TEXT, version INTEGER, token INTEGER, owner TEXT, changed_at REAL);
CREATE TABLE outputs (item_id TEXT, place INTEGER, kind TEXT, data TEXT, PRIMARY KEY (item_id, place));
CREATE TABLE events (sequence INTEGER PRIMARY KEY, type TEXT, item_id TEXT, time REAL, data TEXT);
CREATE TABLE run (version INTEGER, completed INTEGER, cards INTEGER, requests INTEGER, tokens INTEGER, cost REAL);
INSERT INTO run VALUES (1, 0, 0, 0, 0, 0.0);
"""
_NEW = "INSERT INTO items VALUES (?, 'saving', 4, 1, 'owner', 0)"


def _prepare(path: Path, items: int) -> None:
    with closing(_connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLES)
        connection.execute("BEGIN")
        connection.executemany(_NEW, [(f"item-{number}",) for number in range(items)])
        connection.execute("COMMIT")


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _statements(number: int, cards: Sequence[Mapping[str, Any]], usage: Usage) -> Iterator[_Statement]:
    item, now, tokens = f"item-{number}", time.time(), usage.input_tokens + usage.output_tokens
    yield (
        (
            "UPDATE items SET status = 'completed', version = version + 1, owner = NULL, changed_at = ? "
            "WHERE id = ? AND token = 1"
        ),
        (now, item),
    )
    for place, card in enumerate(cards):
        yield "INSERT INTO outputs VALUES (?, ?, 'cards', ?)", (item, place, json.dumps(card))
    yield (
        (
            "UPDATE run SET version = version + 1, completed = completed + 1, cards = cards + ?, "
            "requests = requests + ?, tokens = tokens + ?, cost = cost + ?"
        ),
        (len(cards), usage.requests, tokens, usage.cost),
    )
    data = json.dumps({"from": "saving", "to": "completed"})
    yield "INSERT INTO events VALUES (NULL, 'item_status', ?, ?, ?)", (item, now, data)


@asynccontextmanager
async def naive(path: Path, items: int, cards: Sequence[Mapping[str, Any]], usage: Usage) -> AsyncGenerator[Complete]:
    """A connection for each result, and a transaction for each statement."""
    _prepare(path, items)
    one_at_a_time = CapacityLimiter(1)

    def write(number: int) -> None:
        with closing(_connect(path)) as connection:
            for sql, values in _statements(number, cards, usage):
                connection.execute(sql, values)

    async def complete(number: int) -> None:
        await to_thread.run_sync(write, number, limiter=one_at_a_time)

    yield complete


@asynccontextmanager
async def in_threads(
    path: Path, items: int, cards: Sequence[Mapping[str, Any]], usage: Usage
) -> AsyncGenerator[Complete]:
    """One connection, and for each result one transaction in a worker thread."""
    _prepare(path, items)
    one_at_a_time = CapacityLimiter(1)
    with closing(_connect(path)) as connection:

        def write(number: int) -> None:
            connection.execute("BEGIN IMMEDIATE")
            for sql, values in _statements(number, cards, usage):
                connection.execute(sql, values)
            connection.execute("COMMIT")

        async def complete(number: int) -> None:
            await to_thread.run_sync(write, number, limiter=one_at_a_time)

        yield complete


@asynccontextmanager
async def with_aiosqlite(
    path: Path, items: int, cards: Sequence[Mapping[str, Any]], usage: Usage
) -> AsyncGenerator[Complete]:
    """One connection of aiosqlite, and for each result one transaction."""
    _prepare(path, items)
    one_at_a_time = CapacityLimiter(1)
    async with aiosqlite.connect(path, isolation_level=None) as connection:
        await connection.execute("PRAGMA synchronous = FULL")

        async def complete(number: int) -> None:
            async with one_at_a_time:
                await connection.execute("BEGIN IMMEDIATE")
                for sql, values in _statements(number, cards, usage):
                    await connection.execute(sql, values)
                await connection.execute("COMMIT")

        yield complete
