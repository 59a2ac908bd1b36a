"""A store in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from anyio import CapacityLimiter
from attrs import evolve

from .._errors import ConfigurationError, RunNotFound, StoreError
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Renewal, Run, Usage
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from . import _rows as rows
from . import _sqlite_queries as queries
from ._group_commit import GroupCommit
from ._json import dumps, loads
from ._sqlite_file import SQLiteFile
from ._sqlite_transaction import Transaction
from ._threads import in_thread

__all__ = ["SQLiteStore"]

_T = TypeVar("_T")


class SQLiteStore:
    """Keeps runs in one SQLite file.

    Every call is durable when it returns: with ``synchronous="FULL"`` also after a power loss, with ``"NORMAL"`` after
    the death of the process only. Calls of many tasks are committed together, and who reads does not keep others from
    writing. Several processes may use one file on one host; a network file system cannot be used.

    It has the methods of `cardanalysis.abc.Store` and `cardanalysis.abc.Housekeeping`, and `backup` and `vacuum`.

    Args:
        path: The file; it is created if there is none. ``:memory:`` keeps nothing beyond its context.
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
        self._file_work = CapacityLimiter(1)
        self._thread = 0
        self._queue()

    def _queue(self) -> None:
        self._writes = GroupCommit(self._file.commit, patience_seconds=self._file.patience_seconds)
        self._reads = GroupCommit(self._file.read, patience_seconds=self._file.patience_seconds)

    def __repr__(self) -> str:
        return f"<SQLiteStore {self.path!r}>"

    async def __aenter__(self) -> Self:
        """Open the file, creating it if need be.

        Raises:
            StoreError: It cannot be opened, is damaged, is another program's, or was written by a newer version.
        """
        _, interrupt = await in_thread(self._file.open, self._file_work)
        if interrupt is not None:
            await in_thread(self._file.close, self._file_work)
            raise interrupt
        self._thread = threading.get_ident()
        # Nobody waits in new queues, whatever became of an event loop in which the store was open before.
        self._queue()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close the file."""
        await self._in_thread(self._file.close)

    async def _write(self, work: Callable[[Transaction], _T]) -> _T:
        self._check_place()
        return await self._writes.run(work)

    async def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        self._check_place()
        return await self._reads.run(work)

    def _check_place(self) -> None:
        """Refuse calls from where the queues are not served: a forked process, or another thread's event loop."""
        self._file.check_process()
        if self._thread not in (0, threading.get_ident()):
            raise StoreError(
                "The store was opened in another thread. Open one more on the same file in this thread's event loop.",
                code="wrong_thread",
            )

    # -- runs ----------------------------------------------------------------------------------------------------

    async def create_run(
        self, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], accept_change: bool = False
    ) -> Run:
        """See `cardanalysis.abc.Store.create_run`."""
        changes.check_text(run_id, "run_id")
        changes.check_text(kind, "kind")
        text = dumps(asked)

        def work(transaction: Transaction) -> Run:
            now = self._clock()
            try:
                run = transaction.run(run_id)
            except RunNotFound:
                new = Run(id=run_id, kind=kind, fingerprint=fingerprint, asked=loads(text), created_at=changes.at(now))
                number = transaction.insert_run(new)
                transaction.note(number, version=0, lines=[("run_created", None, now, dumps({"kind": kind}))])
                return transaction.run(run_id)
            if not (accept_change and run.kind == kind):
                changes.check_same_run(run, kind=kind, fingerprint=fingerprint, asked=loads(text))
            elif run.fingerprint != fingerprint:
                line = ("run_changed", None, now, dumps({"fingerprint": fingerprint}))
                transaction.set_run(run_id, line, fingerprint=fingerprint, asked=text)
            return transaction.run(run_id)

        return await self._write(work)

    async def get_run(self, run_id: str) -> Run:
        """See `cardanalysis.abc.Store.get_run`."""
        return await self._read(lambda connection: queries.run(connection, run_id))

    async def update_run(self, run_id: str, status: RunStatus, *, version: int, error: str | None = None) -> Run:
        """See `cardanalysis.abc.Store.update_run`."""

        def work(transaction: Transaction) -> Run:
            now, old = self._clock(), transaction.run(run_id)
            new = changes.move_run(old, status, version=version, error=error, now=now)
            line = ("run_status", None, now, dumps(changes.run_event(old.status, status, error)))
            transaction.set_run(run_id, line, **rows.run_state(new))
            return transaction.run(run_id)

        return await self._write(work)

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        """See `cardanalysis.abc.Store.increment`."""
        changes.check_counter(counter)
        changes.check_increment(by)
        return await self._write(lambda transaction: transaction.count(transaction.number(run_id), counter, by))

    # -- items ---------------------------------------------------------------------------------------------------

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        """See `cardanalysis.abc.Store.add_items`."""

        def work(transaction: Transaction) -> list[Item]:
            now, number = self._clock(), transaction.number(run_id)
            known: dict[str, Item] = {}
            made: list[changes.Change] = []
            for new in items:
                item = known.get(new.id) or queries.find_item(transaction.connection, number, run_id, new.id)
                if item is None:
                    made.append(changes.add(run_id, new, now=now))
                    item = made[-1].item
                elif item.position != new.position:
                    transaction.set_position(number, new.id, new.position)
                    transaction.note(number)
                known[new.id] = evolve(item, position=new.position)
            transaction.add(number, [evolve(change, item=known[change.item.id]) for change in made], now)
            return [known[new.id] for new in items]

        return await self._write(work)

    async def get_item(self, run_id: str, item_id: str) -> Item:
        """See `cardanalysis.abc.Store.get_item`."""
        return await self._read(
            lambda connection: queries.item(connection, queries.number(connection, run_id), run_id, item_id)[1]
        )

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
        changes.check_text(owner, "owner")
        changes.check_lease(lease_seconds)
        changes.check_limit(limit)

        def work(transaction: Transaction) -> list[Item]:
            now, number = self._clock(), transaction.number(run_id)
            made: dict[int, changes.Change] = {}
            candidates = queries.unfinished(transaction.connection, number, run_id, item_ids=item_ids, limit=limit)
            for key, item in candidates:
                if len(made) == limit:
                    break
                if changes.is_claimable(item, now=now):
                    made[key] = changes.claim(item, owner, lease_seconds=lease_seconds, now=now)
            if made:
                transaction.change(number, made, now)
                transaction.beat(number, now)
            return [change.item for change in made.values()]

        return await self._write(work)

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        """See `cardanalysis.abc.Store.renew`."""
        changes.check_text(owner, "owner")
        changes.check_lease(lease_seconds)

        def work(transaction: Transaction) -> Renewal:
            now, number = self._clock(), transaction.number(run_id)
            transaction.beat(number, now)
            return Renewal(
                held=transaction.extend_leases(number, owner, now + lease_seconds),
                stop=queries.run_status(transaction.connection, number) is RunStatus.CANCELLED,
            )

        return await self._write(work)

    async def release(self, run_id: str, item_id: str, *, token: int, usage: Usage | None = None) -> Item:
        """See `cardanalysis.abc.Store.release`."""
        return await self._change_item(run_id, item_id, lambda item, _: changes.release(item, token=token, usage=usage))

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
        texts = [(output.kind, dumps(output.data)) for output in outputs]

        def work(transaction: Transaction) -> Item:
            now, number = self._clock(), transaction.number(run_id)
            key, item = transaction.item(number, run_id, item_id)
            change = changes.complete(item, token=token, outputs=outputs, usage=usage, error=error, data=data, now=now)
            if change is None:
                return item
            # The first attempt finds nothing of an earlier one.
            old = transaction.delete_outputs(key) if item.token > 1 else ()
            extra = changes.output_tally(old, (kind for kind, _ in texts))
            transaction.change(number, {key: change}, now, extra=extra, outputs=texts)
            return change.item

        return await self._write(work)

    async def fail_item(self, run_id: str, item_id: str, *, token: int, error: ItemError, usage: Usage) -> Item:
        """See `cardanalysis.abc.Store.fail_item`."""

        def work(transaction: Transaction) -> Item:
            now, number = self._clock(), transaction.number(run_id)
            key, item = transaction.item(number, run_id, item_id)
            keeps = item.token > 1 and queries.has_outputs(transaction.connection, key)
            change = changes.fail(item, token=token, error=error, usage=usage, keeps_outputs=keeps, now=now)
            if change is None:
                return item
            transaction.change(number, {key: change}, now)
            return change.item

        return await self._write(work)

    async def _change_item(self, run_id: str, item_id: str, decide: Callable[[Item, float], changes.Change]) -> Item:
        def work(transaction: Transaction) -> Item:
            now, number = self._clock(), transaction.number(run_id)
            key, item = transaction.item(number, run_id, item_id)
            change = decide(item, now)
            transaction.change(number, {key: change}, now)
            return change.item

        return await self._write(work)

    async def save_checkpoint(
        self, run_id: str, item_id: str, *, token: int, key: str, data: Mapping[str, Any], usage: Usage
    ) -> Item:
        """See `cardanalysis.abc.CheckpointStore.save_checkpoint`."""
        changes.check_text(key, "key")
        text = dumps(data)

        def work(transaction: Transaction) -> Item:
            now, number = self._clock(), transaction.number(run_id)
            place, item = transaction.item(number, run_id, item_id)
            change = changes.checkpoint(item, token=token, key=key, usage=usage)
            if not transaction.save_checkpoint(place, key, text):
                return item
            transaction.change(number, {place: change}, now)
            return change.item

        return await self._write(work)

    async def checkpoints(self, run_id: str, item_id: str) -> dict[str, Mapping[str, Any]]:
        """See `cardanalysis.abc.CheckpointStore.checkpoints`."""

        def read(connection: sqlite3.Connection) -> dict[str, Mapping[str, Any]]:
            place, _ = queries.item(connection, queries.number(connection, run_id), run_id, item_id)
            return queries.checkpoints(connection, place)

        return await self._read(read)

    # -- what is kept --------------------------------------------------------------------------------------------

    async def items(
        self, run_id: str, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.items`."""
        changes.check_status(status, ItemStatus)
        changes.check_after(after, Item)
        changes.check_limit(limit)
        return await self._read(
            lambda connection: queries.items(connection, run_id, status=status, after=after, limit=limit)
        )

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
        changes.check_after(after, Output)
        changes.check_limit(limit)
        return await self._read(
            lambda connection: queries.outputs(connection, run_id, kind=kind, item_id=item_id, after=after, limit=limit)
        )

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """See `cardanalysis.abc.Store.events`."""
        changes.check_sequence(after)
        changes.check_limit(limit)
        return await self._read(lambda connection: queries.events(connection, run_id, after, limit=limit))

    async def append_event(
        self,
        run_id: str,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See `cardanalysis.abc.Store.append_event`."""
        changes.check_text(type, "type")
        text = dumps(data or {})

        def work(transaction: Transaction) -> Event:
            now = self._clock()
            sequence = transaction.log(transaction.number(run_id), (type, item_id, now, text))
            return Event(
                run_id=run_id,
                sequence=sequence,
                type=type,
                time=changes.at(now),
                item_id=item_id,
                data=loads(text),
            )

        return await self._write(work)

    # -- housekeeping --------------------------------------------------------------------------------------------

    async def runs(
        self,
        *,
        kind: str | None = None,
        status: RunStatus | None = None,
        stale_seconds: float | None = None,
        after: Run | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """See `cardanalysis.abc.Housekeeping.runs`."""
        changes.check_limit(limit)
        changes.check_after(after, Run)
        changes.check_status(status, RunStatus)
        silent_since = None if stale_seconds is None else self._clock() - stale_seconds
        return await self._read(
            lambda connection: queries.runs(
                connection, kind=kind, status=status, silent_since=silent_since, after=after, limit=limit
            )
        )

    async def delete_run(self, run_id: str) -> None:
        """See `cardanalysis.abc.Housekeeping.delete_run`. The space stays in the file until `vacuum`."""

        def work(transaction: Transaction) -> None:
            number = transaction.number(run_id)
            in_work = queries.in_work(transaction.connection, number, run_id)
            changes.check_deletable(transaction.run(run_id), in_work, now=self._clock())
            transaction.delete_run(run_id)

        await self._write(work)

    async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        """See `cardanalysis.abc.Housekeeping.find_completed`."""
        return await self._read(
            lambda connection: queries.completed(connection, item_id, kind=kind, fingerprint=fingerprint)
        )

    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        """See `cardanalysis.abc.Housekeeping.restore_run`. Nobody else can write meanwhile."""

        def work(transaction: Transaction) -> Run:
            transaction.restore(run, records)
            return transaction.run(run.id)

        # In a transaction of its own: the records can be read once, so that it could not be done again with others.
        return await GroupCommit(self._file.commit, patience_seconds=self._file.patience_seconds).run(work)

    async def backup(self, path: str | os.PathLike[str]) -> None:
        """Copy the store as it is at this moment into a new file, while work on it goes on.

        Args:
            path: Where the copy is made; nothing may be there. It is a store like any other.

        Raises:
            StoreError: With code ``backup_exists`` there is something at the path. Otherwise the copy failed, and
                nothing is left there.
        """
        await self._in_thread(partial(self._file.backup, os.fsdecode(path)))

    async def vacuum(self) -> None:
        """Make the file as small as what it holds, such as after runs were deleted. Nobody else can write meanwhile.

        It needs twice the space of the file for as long as it takes.

        Raises:
            StoreError: It failed, such as for want of space; nothing is changed.
        """
        await self._in_thread(self._file.vacuum)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        _, interrupt = await in_thread(work, self._file_work)
        if interrupt is not None:
            raise interrupt
