"""What a run lends to the work on one of its items: its log, its patience and its budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Protocol

from ._errors import CardAnalysisError

if TYPE_CHECKING:
    from ._models import Usage

__all__ = ["ALONE", "FREE", "Alone", "Journal", "Reservation", "WorkContext"]


class Reservation(Protocol):
    """Money that is put aside for one request."""

    async def settle(self, dollars: float | None, /) -> None:
        """Say what the request cost; the rest is free again. None if that cannot be known: all of it counts as spent.

        A reservation that is never settled counts as spent.
        """
        ...


class WorkContext(Protocol):
    """The run around the work on one item, as far as an analyzer may need it."""

    @property
    def key(self) -> str:
        """Tells this work from all other of the run. It is the same after a crash, and another one after an outcome."""
        ...

    async def report(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        """Append an event about the item to the run's log.

        Args:
            type: What happened, as a word.
            data: JSON values. No text of a document and no secrets.
        """
        ...

    def spent(self, usage: Usage, /) -> None:
        """Tell what a request cost, as soon as it is known, so that it counts also if the work is interrupted.

        What an analysis returns, or its error tells, is the sum of it and takes its place.
        """
        ...

    async def kept(self) -> Mapping[str, Mapping[str, Any]]:
        """What earlier attempts on this item, or this one, kept with `keep`, by its keys."""
        ...

    async def keep(self, key: str, data: Mapping[str, Any], usage: Usage, /) -> None:
        """Keep what is done of the work until the item is completed, so that nobody pays for it again.

        A store without checkpoints keeps nothing.

        Args:
            key: Tells it from other work on the item: one that is kept already stays as it is.
            data: JSON values.
            usage: What the work has cost since the last time, with all that was `spent` since then.
        """
        ...

    def stop(self, error: CardAnalysisError, /) -> None:
        """Stop the run with an error, once what is in work is done. What this work comes to is kept all the same.

        An analyzer that has nothing to keep just raises the error.
        """
        ...

    def untimed(self) -> AbstractContextManager[None]:
        """A block that only waits for what the API asked everyone to wait for: the item's timeout stands still."""
        ...

    def aside(self) -> AbstractAsyncContextManager[None]:
        """A block that only waits: the timeout stands still and another item may have the slot.

        Leaving it waits for a slot again. At most as many items stand aside as there are slots, or as may wait in
        batches; beyond that one keeps its own.
        """
        ...

    async def reserve(self, dollars: float | None, /) -> Reservation:
        """Put aside what a request costs at worst, before it is sent. It waits while others have all that is left.

        Settle it before the next one, and before standing `aside`: who waits for the money may have the slot.

        Args:
            dollars: The worst case; None if the price is unknown.

        Raises:
            RunStopped: The run's ``max_cost`` leaves no room for it.
            ConfigurationError: There is a ``max_cost``, and the price is unknown.
        """
        ...

    def adopt(self, dollars: float, /) -> Reservation:
        """Take over money that counts as put aside already, such as for a request of before an interruption."""
        ...


class Journal(Protocol):
    """The log of a run, for work that has to find again after a restart what it had begun."""

    async def append(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        """Add an event; it is kept when this returns."""
        ...

    async def read(self, types: Collection[str], after: int = 0, /) -> tuple[Sequence[Mapping[str, Any]], int]:
        """The data of the run's events of these types, whichever worker added them, in order.

        Args:
            types: Which events.
            after: Where an earlier reading ended, to have only what was added since; 0 for all.

        Returns:
            The data, and where this reading ended.
        """
        ...


class _Free:
    async def settle(self, dollars: float | None, /) -> None:
        pass


FREE: Final[Reservation] = _Free()
"""Where there is no ceiling, nothing is put aside."""


class Alone:
    """Work without a run around it: nothing is logged, lent or counted."""

    @property
    def key(self) -> str:
        """Empty."""
        return ""

    async def report(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002
        """Log nothing."""

    def spent(self, usage: Usage, /) -> None:
        """Count nothing."""

    async def kept(self) -> Mapping[str, Mapping[str, Any]]:
        """Nothing."""
        return {}

    async def keep(self, key: str, data: Mapping[str, Any], usage: Usage, /) -> None:
        """Keep nothing."""

    def stop(self, error: CardAnalysisError, /) -> None:
        """There is nothing to stop."""

    def untimed(self) -> AbstractContextManager[None]:
        """Just wait."""
        return nullcontext()

    def aside(self) -> AbstractAsyncContextManager[None]:
        """Just wait."""
        return nullcontext()

    async def reserve(self, dollars: float | None, /) -> Reservation:
        """Anything may be spent."""
        return FREE

    def adopt(self, dollars: float, /) -> Reservation:
        """Nothing is counted."""
        return FREE


ALONE = Alone()
