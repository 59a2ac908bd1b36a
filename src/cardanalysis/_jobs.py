"""The items that the engine works on, and what their work may come to."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Generic, TypeVar

import anyio
from anyio import CancelScope
from attrs import define, field, frozen

from ._arguments import checkpoint_store
from ._errors import CommitUnknown, LeaseLost, VersionConflict
from ._models import Item, ItemError, NewItem, NewOutput, Usage
from ._slots import Slot
from ._status import ItemStatus
from .abc import Store

__all__ = ["Entry", "Job", "Outcome"]

_T = TypeVar("_T")


@frozen(kw_only=True, eq=False)
class Entry(Generic[_T]):
    """An item to be done, with what its work needs.

    Attributes:
        new: How the store is to know it.
        payload: What the worker function gets; it is held only while the item is in work.
        skip: Why there is nothing to do, as data of an event; the item is then skipped.
    """

    new: NewItem
    payload: _T
    skip: Mapping[str, Any] | None = None


@frozen(kw_only=True)
class Outcome:
    """What the work on an item came to.

    Attributes:
        outputs: The results.
        usage: What they cost.
        missing: What could not be done of it; the item is then partial.
        data: More for the item's event; no document text.
    """

    outputs: Sequence[NewOutput] = ()
    usage: Usage = field(factory=Usage)
    missing: ItemError | None = None
    data: Mapping[str, Any] = field(factory=dict[str, Any])


@define(eq=False)
class Job(Generic[_T]):
    """An item in work.

    Attributes:
        payload: What its entry carried.
        item: As it was when this worker last changed it.
        scope: The engine's: it ends the work at its deadline or when the lease is lost.
        stop: Stops the run with an error, once what is in work is done.
        spent: What the work has cost since its last checkpoint. It counts where the work ends without telling so.
        kept: What the checkpoints of this attempt cost, which is counted already; None if there are none.
        lost: The engine's: somebody else has the item now.
    """

    payload: _T
    item: Item
    _store: Store
    _slot: Slot
    _changed: Callable[[], None]
    stop: Callable[[Exception], None] = lambda _error: None
    spent: Usage = field(factory=Usage)
    kept: Usage | None = None
    scope: CancelScope = field(factory=CancelScope)
    lost: bool = False

    async def move(self, status: ItemStatus) -> None:
        """Tell where the work stands.

        Raises:
            LeaseLost: Somebody else has the item now.
        """
        item = self.item
        try:
            self.item = await self._store.update_status(item.run_id, item.id, status, version=item.version)
        except VersionConflict:
            raise LeaseLost(item.run_id, item.id, token=item.token) from None
        self._changed()

    async def report(self, type: str, data: Mapping[str, Any]) -> None:  # noqa: A002 - as events call it
        """Append an event about the item."""
        await self._store.append_event(self.item.run_id, type, item_id=self.item.id, data=data)
        self._changed()

    async def checkpoints(self) -> Mapping[str, Mapping[str, Any]]:
        """What is kept of the work on the item."""
        store = checkpoint_store(self._store)
        return {} if store is None else await store.checkpoints(self.item.run_id, self.item.id)

    async def save_checkpoint(self, key: str, data: Mapping[str, Any], usage: Usage) -> None:
        """Keep what is done of the work, and count what it cost, with what was spent since the last time.

        Raises:
            LeaseLost: Somebody else has the item now.
        """
        store, item = checkpoint_store(self._store), self.item
        if store is None:
            return
        with CancelScope(shield=True):  # else it would not be known whether what was spent is counted
            save = partial(
                store.save_checkpoint, item.run_id, item.id, token=item.token, key=key, data=data, usage=usage
            )
            try:
                self.item = await save()
            except CommitUnknown:
                try:
                    self.item = await save()  # under the same key it happens once
                except CommitUnknown:
                    if key not in await store.checkpoints(item.run_id, item.id):
                        raise
                    self.item = await self._store.get_item(item.run_id, item.id)
        self.kept, self.spent = usage if self.kept is None else self.kept + usage, Usage()
        self._changed()

    def uncounted(self, usage: Usage) -> Usage:
        """What of the whole cost of an attempt no checkpoint has counted."""
        return usage if self.kept is None else usage.without(self.kept)

    @contextmanager
    def untimed(self) -> Generator[None, None, None]:
        """A block in which the item's time stands still."""
        begun, self.scope.deadline = self.scope.deadline - anyio.current_time(), math.inf
        try:
            yield
        finally:
            self.scope.deadline = anyio.current_time() + begun

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None, None]:
        """A block in which the item's time stands still and its slot may go to another one."""
        with self.untimed():
            async with self._slot.lent():
                yield
