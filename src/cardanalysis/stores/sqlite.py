"""A store in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from anyio import CancelScope, to_thread
from attrs import evolve

from .._errors import ConfigurationError, ItemNotFound, RunNotFound
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Renewal, Run, Usage
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from . import _rows as rows
from ._group_commit import GroupCommit
from ._json import dumps, loads
from ._sqlite_file import SQLiteFile

__all__ = ["SQLiteStore"]

_T = TypeVar("_T")
_Connection = sqlite3.Connection


class SQLiteStore:
    """Keeps runs in one SQLite file (write-ahead log, one connection).

    Every call is durable when it returns: with ``synchronous="FULL"`` also after a power loss, with ``"NORMAL"`` after
    the death of the process only. Calls of many tasks are committed together. Several processes may use one file on one
    host; a network file system cannot be used.

    Args:
        path: The file; it is created if there is none.
        synchronous: ``FULL`` or ``NORMAL``.
        clock: Seconds since 1970, for leases and times; the same clock for all processes that share the file.

    Raises:
        ConfigurationError: `synchronous` is neither of the two, or `path` names nothing.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if synchronous not in ("FULL", "NORMAL"):
            raise ConfigurationError(f"synchronous must be 'FULL' or 'NORMAL', not {synchronous!r}.")
        self.path = os.fsdecode(path)
        if not self.path or "\0" in self.path:
            raise ConfigurationError(f"path must name a file, not {self.path!r}.")
        self._clock = clock
        self._file = SQLiteFile(self.path, synchronous=synchronous)
        self._writes = GroupCommit(self._file.commit)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path!r}>"

    async def __aenter__(self) -> Self:
        """Open the file, creating it if need be.

        Raises:
            StoreError: It cannot be opened, is damaged, is another program's, or was written by a newer version.
        """
        await to_thread.run_sync(self._file.open)
        # Nobody waits in a new queue, whatever became of an event loop in which the store was open before.
        self._writes = GroupCommit(self._file.commit)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close the file."""
        with CancelScope(shield=True):
            await to_thread.run_sync(self._file.close)

    async def create_run(
        self, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], accept_change: bool = False
    ) -> Run:
        """See `cardanalysis.abc.Store.create_run`."""
        text = dumps(asked)

        def work(connection: _Connection) -> Run:
            now = self._clock()
            try:
                run = _run(connection, run_id)
            except RunNotFound:
                run = Run(id=run_id, kind=kind, fingerprint=fingerprint, asked=asked, created_at=changes.at(now))
                _insert(connection, "runs", rows.run_row(run))
                _log(connection, run_id, [("run_created", None, dumps({"kind": kind}))], now)
                return _run(connection, run_id)
            if not (accept_change and run.kind == kind):
                changes.check_same_run(run, kind=kind, fingerprint=fingerprint, asked=loads(text))
            elif run.fingerprint != fingerprint:
                _touch(connection, run_id, fingerprint=fingerprint, asked=text)
                _log(connection, run_id, [("run_changed", None, dumps({"fingerprint": fingerprint}))], now)
            return _run(connection, run_id)

        return await self._writes.run(work)

    async def get_run(self, run_id: str) -> Run:
        """See `cardanalysis.abc.Store.get_run`."""
        return await self._writes.run(lambda connection: _run(connection, run_id))

    async def update_run(self, run_id: str, status: RunStatus, *, version: int, error: str | None = None) -> Run:
        """See `cardanalysis.abc.Store.update_run`."""

        def work(connection: _Connection) -> Run:
            now, old = self._clock(), _run(connection, run_id)
            row = rows.run_row(changes.move_run(old, status, version=version, error=error, now=now))
            _touch(connection, run_id, **{name: row[name] for name in ("status", "error", "started_at", "finished_at")})
            _log(connection, run_id, [("run_status", None, dumps(changes.run_event(old.status, status, error)))], now)
            return _run(connection, run_id)

        return await self._writes.run(work)

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        """See `cardanalysis.abc.Store.add_items`."""

        def work(connection: _Connection) -> list[Item]:
            now = self._clock()
            _check_run(connection, run_id)
            known: dict[str, Item] = {}
            made: list[changes.Change] = []
            for new in items:
                item = known.get(new.id) or _find_item(connection, run_id, new.id)
                if item is None:
                    made.append(changes.add(run_id, new, now=now))
                    item = made[-1].item
                elif item.position != new.position:
                    connection.execute(
                        "UPDATE items SET position = ? WHERE run_id = ? AND id = ?", (new.position, run_id, new.id)
                    )
                known[new.id] = evolve(item, position=new.position)
            _apply(connection, run_id, [evolve(change, item=known[change.item.id]) for change in made], now)
            return [known[new.id] for new in items]

        return await self._writes.run(work)

    async def get_item(self, run_id: str, item_id: str) -> Item:
        """See `cardanalysis.abc.Store.get_item`."""
        return await self._writes.run(lambda connection: _item(connection, run_id, item_id))

    async def claim(
        self,
        run_id: str,
        owner: str,
        *,
        lease_seconds: float,
        limit: int = 1,
        item_ids: Collection[str] | None = None,
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.claim`."""

        def work(connection: _Connection) -> list[Item]:
            now = self._clock()
            _check_run(connection, run_id)
            made: list[changes.Change] = []
            for item in _unfinished(connection, run_id, item_ids):
                if len(made) == limit:
                    break
                if changes.is_claimable(item, now=now):
                    made.append(changes.claim(item, owner, lease_seconds=lease_seconds, now=now))
            _apply(connection, run_id, made, now)
            return [change.item for change in made]

        return await self._writes.run(work)

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        """See `cardanalysis.abc.Store.renew`."""

        def work(connection: _Connection) -> Renewal:
            run = _run(connection, run_id)
            held = connection.execute(
                "UPDATE items SET lease_until = ? WHERE run_id = ? AND owner = ?"
                " AND status IN ('pending', 'loading', 'analyzing', 'saving') RETURNING id",
                (self._clock() + lease_seconds, run_id, owner),
            ).fetchall()
            return Renewal(held=frozenset(row["id"] for row in held), stop=run.status is RunStatus.CANCELLED)

        return await self._writes.run(work)

    async def release(self, run_id: str, item_id: str, *, token: int) -> Item:
        """See `cardanalysis.abc.Store.release`."""
        return await self._change_item(run_id, item_id, lambda item, _: changes.release(item, token=token))

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        """See `cardanalysis.abc.Store.update_status`."""
        return await self._change_item(
            run_id, item_id, lambda item, now: changes.move(item, status, version=version, now=now)
        )

    async def complete_item(
        self,
        run_id: str,
        item_id: str,
        *,
        token: int,
        outputs: Sequence[NewOutput],
        usage: Usage,
        error: ItemError | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Item:
        """See `cardanalysis.abc.Store.complete_item`."""
        return await self._change_item(
            run_id,
            item_id,
            lambda item, now: changes.complete(
                item, token=token, outputs=outputs, usage=usage, error=error, data=data, now=now
            ),
            outputs=[(output.kind, dumps(output.data)) for output in outputs],
        )

    async def fail_item(self, run_id: str, item_id: str, *, token: int, error: ItemError, usage: Usage) -> Item:
        """See `cardanalysis.abc.Store.fail_item`."""
        return await self._change_item(
            run_id, item_id, lambda item, now: changes.fail(item, token=token, error=error, usage=usage, now=now)
        )

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        """See `cardanalysis.abc.Store.increment`."""

        def work(connection: _Connection) -> int:
            _check_run(connection, run_id)
            _touch(connection, run_id)
            _count(connection, run_id, {counter: by})
            row = connection.execute(
                "SELECT value FROM counters WHERE run_id = ? AND name = ?", (run_id, counter)
            ).fetchone()
            value: int = row["value"]
            return value

        return await self._writes.run(work)

    async def append_event(
        self,
        run_id: str,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See `cardanalysis.abc.Store.append_event`."""
        text = dumps(data or {})

        def work(connection: _Connection) -> Event:
            _check_run(connection, run_id)
            sequence = _log(connection, run_id, [(type, item_id, text)], self._clock())
            row = connection.execute(
                "SELECT * FROM events WHERE run_id = ? AND sequence = ?", (run_id, sequence)
            ).fetchone()
            return rows.event_of(row)

        return await self._writes.run(work)

    async def items(
        self, run_id: str, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.items`."""
        place = (-1, "") if after is None else changes.order_of(after)
        wanted = "" if status is None else "AND status = :status"
        sql = f"""
            SELECT * FROM items WHERE run_id = :run_id AND (position, id) > (:position, :id) {wanted}
            ORDER BY position, id LIMIT :limit"""  # noqa: S608 - no value is in the text
        values = {"run_id": run_id, "position": place[0], "id": place[1], "status": status and str(status)}
        return await self._page(run_id, sql, {**values, "limit": limit}, rows.item_of)

    async def outputs(
        self,
        run_id: str,
        *,
        kind: str | None = None,
        item_id: str | None = None,
        after: Output | None = None,
        limit: int | None = None,
    ) -> list[Output]:
        """See `cardanalysis.abc.Store.outputs`."""
        place = (-1, "", -1) if after is None else (after.position, after.item_id, after.index)
        filters = {"kind": ("outputs.kind", kind), "item_id": ("items.id", item_id)}
        wanted = " ".join(f"AND {column} = :{name}" for name, (column, value) in filters.items() if value is not None)
        sql = f"""
            SELECT outputs.*, items.position FROM items JOIN outputs ON outputs.run_id = items.run_id
                AND outputs.item_id = items.id
            WHERE items.run_id = :run_id AND (items.position, items.id) >= (:position, :id)
                AND (items.position, items.id, "index") > (:position, :id, :index) {wanted}
            ORDER BY items.position, items.id, "index" LIMIT :limit"""  # noqa: S608 - no value is in the text
        values = {"run_id": run_id, "position": place[0], "id": place[1], "index": place[2]}
        return await self._page(
            run_id, sql, {**values, "kind": kind, "item_id": item_id, "limit": limit}, rows.output_of
        )

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """See `cardanalysis.abc.Store.events`."""
        sql = "SELECT * FROM events WHERE run_id = :run_id AND sequence > :after ORDER BY sequence LIMIT :limit"
        return await self._page(run_id, sql, {"run_id": run_id, "after": after, "limit": limit}, rows.event_of)

    async def _page(
        self, run_id: str, sql: str, values: Mapping[str, Any], model_of: Callable[[rows.Row], _T]
    ) -> list[_T]:
        limit = -1 if values["limit"] is None else values["limit"]  # SQLite takes -1 for no limit

        def work(connection: _Connection) -> list[_T]:
            _check_run(connection, run_id)
            return [model_of(row) for row in connection.execute(sql, {**values, "limit": limit})]

        return await self._writes.run(work)

    async def _change_item(
        self,
        run_id: str,
        item_id: str,
        decide: Callable[[Item, float], changes.Change | None],
        *,
        outputs: Sequence[tuple[str, str]] | None = None,
    ) -> Item:
        def work(connection: _Connection) -> Item:
            now, item = self._clock(), _item(connection, run_id, item_id)
            change = decide(item, now)
            if change is None:
                return item
            extra: Mapping[str, int] = {} if outputs is None else _replace_outputs(connection, run_id, item_id, outputs)
            _apply(connection, run_id, [change], now, extra=extra)
            return change.item

        return await self._writes.run(work)


def _insert(connection: _Connection, table: str, row: Mapping[str, Any]) -> None:
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)  # noqa: S608 - our own names


def _check_run(connection: _Connection, run_id: str) -> None:
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone() is None:
        raise RunNotFound(run_id)


def _run(connection: _Connection, run_id: str) -> Run:
    row = connection.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise RunNotFound(run_id)
    counters = connection.execute("SELECT name, value FROM counters WHERE run_id = ?", (run_id,))
    return rows.run_of(row, {counter["name"]: counter["value"] for counter in counters})


def _find_item(connection: _Connection, run_id: str, item_id: str) -> Item | None:
    row = connection.execute("SELECT * FROM items WHERE run_id = ? AND id = ?", (run_id, item_id)).fetchone()
    return None if row is None else rows.item_of(row)


def _item(connection: _Connection, run_id: str, item_id: str) -> Item:
    item = _find_item(connection, run_id, item_id)
    if item is None:
        _check_run(connection, run_id)
        raise ItemNotFound(run_id, item_id)
    return item


def _unfinished(connection: _Connection, run_id: str, item_ids: Collection[str] | None) -> Iterable[Item]:
    """Items that may be claimable, in order."""
    if item_ids is not None:
        found = (_find_item(connection, run_id, item_id) for item_id in set(item_ids))
        return sorted((item for item in found if item is not None), key=changes.order_of)
    cursor = connection.execute(
        "SELECT * FROM items WHERE run_id = ? AND status IN ('pending', 'loading', 'analyzing', 'saving')"
        " ORDER BY position, id",
        (run_id,),
    )
    return map(rows.item_of, cursor)


def _apply(
    connection: _Connection,
    run_id: str,
    made: Sequence[changes.Change],
    now: float,
    *,
    extra: Mapping[str, int] | None = None,
) -> None:
    """Write changed items with their events, counters and usage."""
    if not made:
        return
    for change in made:
        row = rows.item_row(change.item)
        if change.was is None:
            _insert(connection, "items", row)
        else:
            connection.execute(_UPDATE_ITEM, row)
    counters = changes.tally(made)
    counters.update(extra or {})
    _count(connection, run_id, counters)
    _touch(connection, run_id)
    for change in made:
        if change.usage != Usage():
            _spend(connection, run_id, change.usage)
    _log(connection, run_id, [(change.event, change.item.id, dumps(change.data)) for change in made], now)


_CHANGING: tuple[str, ...] = (
    "status",
    "version",
    "attempts",
    "token",
    "owner",
    "lease_until",
    "error_code",
    "error_message",
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_nano",
    "started_at",
    "finished_at",
)
_SET = ", ".join(f"{name} = :{name}" for name in _CHANGING)
_UPDATE_ITEM = f"UPDATE items SET {_SET} WHERE run_id = :run_id AND id = :id"  # noqa: S608 - our own names


def _touch(connection: _Connection, run_id: str, **values: Any) -> None:
    """Raise a run's version, and set some of its columns."""
    assignments = "".join(f", {name} = :{name}" for name in values)
    sql = f"UPDATE runs SET version = version + 1{assignments} WHERE id = :run_id"  # noqa: S608 - our own names
    connection.execute(sql, {**values, "run_id": run_id})


def _spend(connection: _Connection, run_id: str, usage: Usage) -> None:
    row = rows.usage_row(usage)
    assignments = ", ".join(f"{name} = {name} + :{name}" for name in row)
    connection.execute(f"UPDATE runs SET {assignments} WHERE id = :run_id", {**row, "run_id": run_id})  # noqa: S608


def _count(connection: _Connection, run_id: str, counters: Mapping[str, int]) -> None:
    connection.executemany(
        "INSERT INTO counters (run_id, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT (run_id, name) DO UPDATE SET value = value + excluded.value",
        [(run_id, name, by) for name, by in counters.items()],
    )


def _log(connection: _Connection, run_id: str, lines: Sequence[tuple[str, str | None, str]], now: float) -> int:
    """Append events, numbered from the run's row, and return the last number."""
    last: int = connection.execute(
        "UPDATE runs SET sequence = sequence + ? WHERE id = ? RETURNING sequence", (len(lines), run_id)
    ).fetchone()["sequence"]
    first = last - len(lines) + 1
    connection.executemany(
        "INSERT INTO events (run_id, sequence, type, item_id, time, data) VALUES (?, ?, ?, ?, ?, ?)",
        [(run_id, first + place, *line[:2], now, line[2]) for place, line in enumerate(lines)],
    )
    return last


def _replace_outputs(
    connection: _Connection, run_id: str, item_id: str, outputs: Sequence[tuple[str, str]]
) -> Mapping[str, int]:
    """Put an item's outputs in the place of earlier ones, and return what that adds to the counters."""
    old = connection.execute(
        "DELETE FROM outputs WHERE run_id = ? AND item_id = ? RETURNING kind", (run_id, item_id)
    ).fetchall()
    connection.executemany(
        'INSERT INTO outputs (run_id, item_id, "index", kind, data) VALUES (?, ?, ?, ?, ?)',
        [(run_id, item_id, index, kind, data) for index, (kind, data) in enumerate(outputs)],
    )
    return changes.output_tally((row["kind"] for row in old), (kind for kind, _ in outputs))
