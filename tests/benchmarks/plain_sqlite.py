"""The plainest way to keep runs in SQLite from async code, as a yardstick: a call is a worker thread's transaction."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from anyio import CapacityLimiter, to_thread

from cardanalysis import Usage

_Statement = tuple[str, tuple[Any, ...]]

_TABLES = """
CREATE TABLE items (id TEXT PRIMARY KEY, name TEXT, position INTEGER, size INTEGER, status TEXT, version INTEGER,
                    owner TEXT, lease_until REAL, requests INTEGER, tokens INTEGER, cost REAL, changed_at REAL);
CREATE TABLE outputs (item_id TEXT, place INTEGER, kind TEXT, data TEXT, PRIMARY KEY (item_id, place));
CREATE TABLE events (sequence INTEGER PRIMARY KEY, type TEXT, item_id TEXT, time REAL, data TEXT);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER);
CREATE TABLE run (version INTEGER, requests INTEGER, tokens INTEGER, cost REAL);
INSERT INTO run VALUES (1, 0, 0, 0.0);
INSERT INTO counters VALUES ('total', 0), ('pending', 0), ('loading', 0), ('analyzing', 0), ('saving', 0),
                            ('completed', 0), ('cards', 0);
"""


class PlainSQLite:
    """Writes the rows that our store writes, and checks nothing."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._one_at_a_time = CapacityLimiter(1)

    async def __aenter__(self) -> Self:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_TABLES)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    async def cycle(self, number: int, *, card: Mapping[str, Any], usage: Usage) -> None:
        """Take one item from being added to its result, in five transactions."""
        item = f"item-{number}"
        insert = "INSERT INTO items VALUES (?, ?, ?, 1000, 'pending', 1, NULL, NULL, 0, 0, 0.0, ?)"
        added = (insert, (item, f"{number}.txt", number, time.time()))
        await self._write(added, _counted("total", 1), _counted("pending", 1), _logged(item, {"added": item}))
        claim = "UPDATE items SET owner = 'owner', lease_until = ? WHERE id = ?"
        await self._write((claim, (time.time() + 60, item)), *_moved(item, "pending", "loading"))
        await self._write(*_moved(item, "loading", "analyzing"))
        await self._write(*_moved(item, "analyzing", "saving"))
        spent = (usage.requests, usage.input_tokens + usage.output_tokens, usage.cost)
        await self._write(
            ("INSERT INTO outputs VALUES (?, 0, 'cards', ?)", (item, json.dumps(card))),
            ("UPDATE items SET requests = ?, tokens = ?, cost = ?, owner = NULL WHERE id = ?", (*spent, item)),
            ("UPDATE run SET requests = requests + ?, tokens = tokens + ?, cost = cost + ?", spent),
            _counted("cards", 1),
            *_moved(item, "saving", "completed"),
        )

    async def _write(self, *statements: _Statement) -> None:
        await to_thread.run_sync(self._commit, statements, limiter=self._one_at_a_time)

    def _commit(self, statements: tuple[_Statement, ...]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            self._connection.execute(sql, values)
        self._connection.execute("COMMIT")


def _moved(item: str, old: str, new: str) -> list[_Statement]:
    move = "UPDATE items SET status = ?, version = version + 1, changed_at = ? WHERE id = ?"
    bump = "UPDATE run SET version = version + 1"
    return [
        (move, (new, time.time(), item)),
        (bump, ()),
        _counted(old, -1),
        _counted(new, 1),
        _logged(item, {"from": old, "to": new}),
    ]


def _counted(counter: str, by: int) -> _Statement:
    return "UPDATE counters SET value = value + ? WHERE name = ?", (by, counter)


def _logged(item: str, data: Mapping[str, Any]) -> _Statement:
    return "INSERT INTO events VALUES (NULL, 'item_status', ?, ?, ?)", (item, time.time(), json.dumps(data))
