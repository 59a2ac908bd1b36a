"""The log of a run as something to write to and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field

from ._errors import RunNotFound
from ._models import Event
from ._status import ItemStatus
from .abc import Store

__all__ = ["RunJournal"]

_PAGE = 1_000
_NOT_WHOLE = (ItemStatus.FAILED, ItemStatus.PARTIAL)


@define(eq=False)
class RunJournal:
    """Events of a run that its own work reads again after a restart.

    Args:
        store: Where the run is kept.
        run_id: The run, which may not exist yet.

    Attributes:
        changed: Called after each event that is added.
        tries: How often an item failed or was partial, by its id, as far as the log was read.
    """

    _store: Store
    _run_id: str
    changed: Callable[[], None] = lambda: None
    tries: Counter[str] = field(factory=Counter[str])
    _counted: int = 0

    async def append(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        """Add an event; it is kept when this returns."""
        await self._store.append_event(self._run_id, type, data=data)
        self.changed()

    async def read(self, types: Collection[str], after: int = 0, /) -> tuple[Sequence[Mapping[str, Any]], int]:
        """The data of the events of some types, in order; see `Journal`. Those of items are not among them."""
        found: list[Mapping[str, Any]] = []
        with suppress(RunNotFound):
            while page := await self._store.events(self._run_id, after, limit=_PAGE):
                found += (event.data for event in page if event.item_id is None and event.type in types)
                self._count(page)
                after = page[-1].sequence
        return found, after

    def _count(self, page: Sequence[Event]) -> None:
        for event in page:
            ended = event.type == "item_status" and event.data.get("to") in _NOT_WHOLE
            if ended and event.item_id is not None and event.sequence > self._counted:
                self.tries[event.item_id] += 1
        self._counted = max(self._counted, page[-1].sequence)
