"""What a run lends to the work on one of its items: its log, its patience and its budget."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ._models import Usage

__all__ = ["ALONE", "Alone", "Journal", "Reservation", "WorkContext"]


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

    def untimed(self) -> AbstractContextManager[None]:
        """A block that only waits for what the API asked everyone to wait for: the item's timeout stands still."""
        ...

    def aside(self) -> AbstractAsyncContextManager[None]:
        """A block that only waits: the timeout stands still and another item may have the slot.

        Leaving it waits for a slot again. At most as many items stand aside as there are slots; beyond that one keeps
        its own.
        """
        ...

    async def reserve(self, dollars: float | None, /) -> Reservation:
        """Put aside what a request costs at worst, before it is sent.

        Args:
            dollars: The worst case; None if the price is unknown.

        Raises:
            RunStopped: The run's ``max_cost`` leaves no room for it.
            ConfigurationError: There is a ``max_cost``, and the price is unknown.
        """
        ...


class Journal(Protocol):
    """The log of a run, for work that has to find again after a restart what it had begun."""

    async def append(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        """Add an event; it is kept when this returns."""
        ...

    async def read(self, types: Collection[str], /) -> Sequence[Mapping[str, Any]]:
        """The data of the run's events of these types, whichever worker added them, in order."""
        ...


class _Free:
    async def settle(self, dollars: float | None, /) -> None:
        pass


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

    def untimed(self) -> AbstractContextManager[None]:
        """Just wait."""
        return nullcontext()

    def aside(self) -> AbstractAsyncContextManager[None]:
        """Just wait."""
        return nullcontext()

    async def reserve(self, dollars: float | None, /) -> Reservation:
        """Anything may be spent."""
        return _Free()


ALONE = Alone()
