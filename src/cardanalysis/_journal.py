"""The log of a run as something to write to and read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field

from ._errors import RunNotFound
from .abc import Store

__all__ = ["RunJournal"]

_PAGE = 1_000


@define(eq=False)
class RunJournal:
    """Events of a run that its own work reads again after a restart.

    Args:
        store: Where the run is kept.
        run_id: The run, which may not exist yet.

    Attributes:
        changed: Called after each event that is added.
    """

    _store: Store
    _run_id: str
    changed: Callable[[], None] = lambda: None
    _seen: int = 0
    _read: list[tuple[str, Mapping[str, Any]]] = field(factory=list[tuple[str, Mapping[str, Any]]])

    async def append(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        """Add an event; it is kept when this returns."""
        await self._store.append_event(self._run_id, type, data=data)
        self.changed()

    async def read(self, types: Collection[str], /) -> Sequence[Mapping[str, Any]]:
        """The data of the events of some types, in order. What was read before is not read again."""
        with suppress(RunNotFound):
            while page := await self._store.events(self._run_id, self._seen, limit=_PAGE):
                # Only events of a run's own concern are held: those of items are many.
                self._read += ((event.type, event.data) for event in page if event.item_id is None)
                self._seen = page[-1].sequence
        return [data for type_, data in self._read if type_ in types]
