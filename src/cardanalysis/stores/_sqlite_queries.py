"""What is read from an SQLite file, on whatever connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Any

from .._errors import ItemNotFound, RunNotFound
from .._models import Event, Item, Output, Run
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from . import _rows as rows
from ._json import loads

__all__ = [
    "IN_WORK",
    "completed",
    "counter",
    "events",
    "exists",
    "find_item",
    "has_outputs",
    "in_work",
    "item",
    "items",
    "last_event",
    "number",
    "outputs",
    "run",
    "run_status",
    "runs",
    "unfinished",
]

_Connection = sqlite3.Connection

IN_WORK = "status IN ('loading', 'analyzing', 'saving')"
"""Word for word what the index says, so that it is used."""


def number(connection: _Connection, run_id: str) -> int:
    """The key of a run.

    Raises:
        RunNotFound: There is none.
    """
    row = connection.execute("SELECT number FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFound(run_id)
    return int(row["number"])


def exists(connection: _Connection, run_id: str) -> bool:
    """Whether there is a run of that id."""
    return connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone() is not None


def run(connection: _Connection, run_id: str) -> Run:
    """A run with its counters.

    Raises:
        RunNotFound: There is none.
    """
    return _run_of(connection, _run_row(connection, run_id))


def runs(
    connection: _Connection,
    *,
    kind: str | None,
    status: RunStatus | None,
    silent_since: float | None,
    after: Run | None,
    limit: int | None,
) -> list[Run]:
    """Runs, the newest first."""
    filters = {
        "kind = :kind": kind,
        "status = :status": status and str(status),
        "status = 'running' AND coalesce(heartbeat_at, 0) < :silent_since": silent_since,
        "created_at <= :created_at AND (created_at < :created_at OR id > :id)": after and after.id,
    }
    wanted = " AND ".join(["TRUE", *(sql for sql, value in filters.items() if value is not None)])
    sql = f"SELECT * FROM runs WHERE {wanted} ORDER BY created_at DESC, id LIMIT :limit"  # noqa: S608 - no value
    values = {
        "kind": kind,
        "status": status and str(status),
        "silent_since": silent_since,
        "created_at": after and after.created_at.timestamp(),
        "id": after and after.id,
        "limit": _limit(limit),
    }
    return [_run_of(connection, row) for row in connection.execute(sql, values).fetchall()]


def run_status(connection: _Connection, run: int) -> RunStatus:
    """The status of a run."""
    return RunStatus(connection.execute("SELECT status FROM runs WHERE number = ?", (run,)).fetchone()["status"])


def counter(connection: _Connection, run: int, name: str) -> int:
    """The value of a counter."""
    row = connection.execute("SELECT value FROM counters WHERE run = ? AND name = ?", (run, name)).fetchone()
    return 0 if row is None else int(row["value"])


def last_event(connection: _Connection, run: int) -> int:
    """The number of a run's newest event."""
    return int(connection.execute("SELECT sequence FROM runs WHERE number = ?", (run,)).fetchone()["sequence"])


def find_item(connection: _Connection, run: int, run_id: str, item_id: str) -> Item | None:
    """One item, if the run has it."""
    row = _item_row(connection, run, item_id)
    return None if row is None else rows.item_of(row, run_id)


def item(connection: _Connection, run: int, run_id: str, item_id: str) -> tuple[int, Item]:
    """The key of an item, and the item.

    Raises:
        ItemNotFound: The run has no such item.
    """
    row = _item_row(connection, run, item_id)
    if row is None:
        raise ItemNotFound(run_id, item_id)
    return row["number"], rows.item_of(row, run_id)


def in_work(connection: _Connection, run: int, run_id: str) -> list[Item]:
    """The items that are in work."""
    found = connection.execute(f"SELECT * FROM items WHERE run = ? AND {IN_WORK}", (run,))  # noqa: S608
    return [rows.item_of(row, run_id) for row in found]


def unfinished(
    connection: _Connection, run: int, run_id: str, *, item_ids: Collection[str] | None, limit: int
) -> list[tuple[int, Item]]:
    """In order, the items in work and as many of those that wait as could be claimed, or the named ones, with keys."""
    if item_ids is not None:
        found = [_item_row(connection, run, item_id) for item_id in set(item_ids)]
    else:
        working = f"SELECT * FROM items WHERE run = ? AND {IN_WORK}"  # noqa: S608 - our own words
        waiting = "SELECT * FROM items WHERE run = ? AND status = 'pending' ORDER BY position, id LIMIT ?"
        found = [*connection.execute(working, (run,)), *connection.execute(waiting, (run, limit))]
    keyed = [(row["number"], rows.item_of(row, run_id)) for row in found if row is not None]
    return sorted(keyed, key=lambda pair: changes.order_of(pair[1]))


def items(
    connection: _Connection, run_id: str, *, status: ItemStatus | None, after: Item | None, limit: int | None
) -> list[Item]:
    """A page of items.

    Raises:
        RunNotFound: There is no such run.
    """
    place = (-1, "") if after is None else changes.order_of(after)
    wanted = "" if status is None else "AND status = :status"
    sql = f"""
        SELECT * FROM items WHERE run = :run AND (position, id) > (:position, :id) {wanted}
        ORDER BY position, id LIMIT :limit"""  # noqa: S608 - no value is in the text
    values = {"run": number(connection, run_id), "position": place[0], "id": place[1], "status": status and str(status)}
    return [rows.item_of(row, run_id) for row in connection.execute(sql, {**values, "limit": _limit(limit)})]


def completed(connection: _Connection, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
    """The item that was completed last, in a run of that kind and fingerprint."""
    sql = """
        SELECT items.*, runs.id AS run_id FROM runs JOIN items ON items.run = runs.number AND items.id = ?
        WHERE runs.kind = ? AND runs.fingerprint = ? AND items.status = 'completed'
        ORDER BY items.finished_at DESC, runs.number DESC LIMIT 1"""
    row = connection.execute(sql, (item_id, kind, fingerprint)).fetchone()
    return None if row is None else rows.item_of(row, row["run_id"])


def checkpoints(connection: sqlite3.Connection, key: int) -> dict[str, Any]:
    """What is kept of an item by the names of its checkpoints, the first one first."""
    found = connection.execute("SELECT key, data FROM checkpoints WHERE item = ? ORDER BY rowid", (key,))
    return {row["key"]: loads(row["data"]) for row in found.fetchall()}


def has_outputs(connection: _Connection, key: int) -> bool:
    """Whether an item has outputs."""
    sql = "SELECT 1 FROM outputs WHERE number BETWEEN ? AND ? LIMIT 1"
    return connection.execute(sql, rows.output_keys(key)).fetchone() is not None


def outputs(
    connection: _Connection,
    run_id: str,
    *,
    kind: str | None,
    item_id: str | None,
    after: Output | None,
    limit: int | None,
) -> list[Output]:
    """A page of outputs.

    Raises:
        RunNotFound: There is no such run.
    """
    place = (-1, "", -1) if after is None else (after.position, after.item_id, after.index)
    filters = {"kind": ("outputs.kind", kind), "item_id": ("items.id", item_id)}
    wanted = " ".join(f"AND {column} = :{name}" for name, (column, value) in filters.items() if value is not None)
    sql = f"""
        SELECT items.position, items.id AS item_id, outputs.number & 16777215 AS "index", outputs.kind, outputs.data
        FROM items CROSS JOIN outputs
            ON outputs.number BETWEEN items.number << 24 AND (items.number << 24) + 16777215
        WHERE items.run = :run AND (items.position, items.id) >= (:position, :id)
            AND (items.position, items.id, "index") > (:position, :id, :index) {wanted}
        ORDER BY items.position, items.id, outputs.number LIMIT :limit"""  # noqa: S608 - no value is in the text
    values = {"run": number(connection, run_id), "position": place[0], "id": place[1], "index": place[2]}
    values |= {"kind": kind, "item_id": item_id, "limit": _limit(limit)}
    return [rows.output_of(row) for row in connection.execute(sql, values)]


def events(connection: _Connection, run_id: str, after: int, *, limit: int | None) -> list[Event]:
    """A page of the log.

    Raises:
        RunNotFound: There is no such run.
    """
    sql = "SELECT * FROM events WHERE run = ? AND sequence > ? ORDER BY sequence LIMIT ?"
    found = connection.execute(sql, (number(connection, run_id), after, _limit(limit)))
    return [rows.event_of(row, run_id) for row in found]


def _run_row(connection: _Connection, run_id: str) -> rows.Row:
    row: rows.Row | None = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFound(run_id)
    return row


def _run_of(connection: _Connection, row: rows.Row) -> Run:
    found = connection.execute("SELECT name, value FROM counters WHERE run = ?", (row["number"],))
    return rows.run_of(row, {counter["name"]: counter["value"] for counter in found})


def _item_row(connection: _Connection, run: int, item_id: str) -> rows.Row | None:
    row: rows.Row | None = connection.execute("SELECT * FROM items WHERE run = ? AND id = ?", (run, item_id)).fetchone()
    return row


def _limit(limit: int | None) -> int:
    return -1 if limit is None else limit  # SQLite takes -1 for no limit
