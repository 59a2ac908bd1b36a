"""The seams: what can be replaced, and what each replacement promises.

A *store* keeps runs, a *loader* turns an upload into a document, an *analyzer* turns a document into cards. The engine
knows them only by these protocols. *Housekeeping* and *checkpoints* are what a store can do besides; runs can be done
without them. Run `cardanalysis.testing.check_store` over a store of your own: it checks every promise made here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from ._errors import CommitUnknown, FingerprintMismatch, IllegalMove, InvalidValue, ItemNotFound, LeaseLost
from ._models import (
    Event,
    Item,
    ItemError,
    NewItem,
    NewOutput,
    Output,
    Renewal,
    Run,
    Usage,
)
from ._seams import Analyzer, BatchAnalyzer, BatchSession, Described, Loader, OpenableAnalyzer
from ._status import ItemStatus, RunStatus
from ._work import Journal, Reservation, WorkContext

__all__ = [
    "Analyzer",
    "BatchAnalyzer",
    "BatchSession",
    "CheckpointStore",
    "CommitUnknown",
    "Described",
    "FingerprintMismatch",
    "Housekeeping",
    "IllegalMove",
    "InvalidValue",
    "ItemNotFound",
    "Journal",
    "LeaseLost",
    "Loader",
    "NewItem",
    "NewOutput",
    "OpenableAnalyzer",
    "Output",
    "Renewal",
    "Reservation",
    "Store",
    "WorkContext",
]


class Store(Protocol):
    """Keeps runs, their items, outputs and events. A store is used inside ``async with``.

    Every method is one transaction: it happens wholly or not at all, also when its caller is cancelled or the process
    dies. Where a failing disk leaves it open whether it happened, `CommitUnknown` is raised. What a method returned is
    durable to the extent that the store promises. Any number of tasks may call at once.

    *Counters.* For every item status, the counter of that name is the number of items in it, and ``total`` that of
    all items. For every kind of output, the counter of that name is the number of outputs of that kind. They change in
    the transaction that changes what they count. Counters of other names belong to the callers of `increment`.

    *Events.* Every change of a run's or an item's status appends one event to the run's log in the same transaction.
    Sequence numbers begin at 1 and have no gaps; a reader that has seen ``n`` has seen everything up to ``n``. Their
    types and data are those of the page about events.

    *Versions.* ``Item.version`` rises by one with every change of the item. ``Run.version`` rises with every change of
    the run, of its items or of its counters.

    *Claims.* A claim gives an item to one owner until its lease ends by the store's clock. Its token is higher than
    that of every earlier claim on the item. Only the newest token can complete, fail or release the item, and only
    while the item is in work. A lease that ended is still good until somebody else claims the item.

    *Errors.* Whatever goes wrong is a `StoreError`; exceptions of a driver do not come out. Only an argument that makes
    no sense, such as an empty id, a negative limit or a lease of no length, is an `InvalidValue`; nothing was written.

    *Isolation.* Where reads do not lock, such as under *read committed*, every write must be guarded by what it read:
    ``UPDATE ... WHERE version = ...`` and a look at how many rows that changed. Read, decide and write without a guard
    loses updates.
    """

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            StoreError: It cannot be opened; the message says why and what to do.
        """
        ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Close the store. What was acknowledged stays."""
        ...

    async def create_run(
        self, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], accept_change: bool = False
    ) -> Run:
        """Create a run, or open the one of that id.

        Args:
            run_id: Any text that is not empty.
            kind: What the run does, such as ``analyze_cards``.
            fingerprint: A digest of `asked`.
            asked: What the results depend on, as JSON values.
            accept_change: Take the new fingerprint for an existing run instead of refusing it.

        Returns:
            The run; a new one is queued.

        Raises:
            FingerprintMismatch: The run exists with another kind or fingerprint; nothing was written.
        """
        ...

    async def get_run(self, run_id: str) -> Run:
        """Read a run, without its items and outputs.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def update_run(self, run_id: str, status: RunStatus, *, version: int, error: str | None = None) -> Run:
        """Set a run's status, if nothing about the run changed since it was read.

        Args:
            run_id: The run.
            status: What it becomes. Running sets its start and heartbeat and clears its end; a terminal status sets
                its end.
            version: The version that was read.
            error: Why it stopped before its end.

        Raises:
            RunNotFound: There is none.
            VersionConflict: The version is another one; nothing was written.
            IllegalMove: The run cannot go there from its status; nothing was written.
        """
        ...

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        """Add items that the run does not have yet, as pending.

        Of an item that the run has already, only the position is brought up to date. That raises the version of the
        run, but not of the item, and is not in the log.

        Returns:
            The items as they are now, in the order given.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def get_item(self, run_id: str, item_id: str) -> Item:
        """Read one item.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
        """
        ...

    async def claim(
        self,
        run_id: str,
        owner: str,
        *,
        lease_seconds: float,
        limit: int = 1,
        item_ids: Collection[str] | None = None,
    ) -> list[Item]:
        """Give items to an owner.

        An item can be claimed when it is pending, or when it is in work and its lease ended or its owner is known to be
        dead. It becomes *loading*, with ``attempts`` and ``token`` one higher. A claim that gives something is a
        heartbeat of the run.

        Args:
            run_id: The run.
            owner: Who takes them: a name that no other worker has.
            lease_seconds: How long they are held unless renewed, more than 0.
            limit: How many at most, in the order of their positions.
            item_ids: Only these.

        Returns:
            The claimed items; fewer than `limit`, or none, if no more can be claimed.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        """Extend every lease that an owner still holds, and record the run's heartbeat.

        What the owner lost is not brought back. Nothing else changes: no version, no counter, no event.

        Args:
            run_id: The run.
            owner: Who holds them.
            lease_seconds: How long they are held from now on, more than 0. It may also be less than was left.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def release(self, run_id: str, item_id: str, *, token: int, usage: Usage | None = None) -> Item:
        """Hand a claimed item back unfinished: it is pending again and the attempt does not count, but for its cost.

        Args:
            run_id: The run.
            item_id: The item.
            token: Of the claim under which the work was done.
            usage: What the interrupted attempt had cost; added to the item's and the run's, and told by the event. None
                for nothing.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
            LeaseLost: The token is not the newest one, or the item is not in work; nothing was written.
        """
        ...

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        """Set an item's status, if the item is unchanged since it was read.

        A move back to pending ends the claim; from a terminal status it is a retry and clears the error.

        Args:
            run_id: The run.
            item_id: The item.
            status: What it becomes.
            version: The version that was read.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
            VersionConflict: The version is another one; nothing was written.
            IllegalMove: The item cannot go there from its status; nothing was written.
        """
        ...

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
        """Record an item's result: outputs, status, counters, usage and event, in one transaction.

        The outputs replace those of an earlier attempt. A repeated call with the same token changes nothing and returns
        the item, so that a caller that did not hear the answer may ask again.

        Args:
            run_id: The run.
            item_id: The item.
            token: Of the claim under which the work was done.
            outputs: The results, in order.
            usage: What this attempt cost; added to the item's and the run's.
            error: What is missing. With it the item becomes *partial*, without it *completed*.
            data: More for the event, as JSON values; no document text.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
            LeaseLost: Another claim is newer, or the item was handed back; nothing was written.
        """
        ...

    async def fail_item(self, run_id: str, item_id: str, *, token: int, error: ItemError, usage: Usage) -> Item:
        """Record that an attempt came to nothing: status, error, counters, usage and event, in one transaction.

        The item becomes *failed*; if it keeps outputs of an earlier attempt, it becomes *partial*. A repeated call with
        the same token changes nothing and returns the item.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
            LeaseLost: Another claim is newer, or the item was handed back; nothing was written.
        """
        ...

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        """Add to a counter. No update is lost, however many tasks, threads or processes add at once.

        Args:
            run_id: The run.
            counter: Its name, which may not be ``total`` or that of a status; one that is new begins at 0.
            by: What to add; may be negative.

        Returns:
            The new value.

        Raises:
            InvalidValue: The store itself counts under that name.
            RunNotFound: There is none.
        """
        ...

    async def append_event(
        self,
        run_id: str,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """Append one event to a run's log.

        Args:
            run_id: The run.
            type: What happened.
            item_id: The item it is about.
            data: JSON values; no document text.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def items(
        self, run_id: str, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """Read items in the order of their positions, and of their ids where positions are equal.

        Args:
            run_id: The run.
            status: Only items in this status.
            after: Only items behind this one; a page's last item asks for the next page.
            limit: How many at most; None for all.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def outputs(
        self,
        run_id: str,
        *,
        kind: str | None = None,
        item_id: str | None = None,
        after: Output | None = None,
        limit: int | None = None,
    ) -> list[Output]:
        """Read outputs in the order of their items, and within an item in its own order.

        Args:
            run_id: The run.
            kind: Only outputs of this kind.
            item_id: Only outputs of this item.
            after: Only outputs behind this one; a page's last output asks for the next page.
            limit: How many at most; None for all.

        Raises:
            RunNotFound: There is none.
        """
        ...

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """Read a run's log in order.

        Args:
            run_id: The run.
            after: Only events whose sequence number is higher.
            limit: How many at most; None for all.

        Raises:
            RunNotFound: There is none.
        """
        ...


@runtime_checkable
class CheckpointStore(Protocol):
    """What a store can do besides, to keep what is done of an item that is still in work.

    Without it, a long document of which the last part fails is analyzed anew from its first. As with `Store`, every
    method is one transaction.
    """

    async def save_checkpoint(
        self, run_id: str, item_id: str, *, token: int, key: str, data: Mapping[str, Any], usage: Usage
    ) -> Item:
        """Keep an intermediate result of an item, and count what it cost.

        It is kept until the item is completed, whichever attempt that is. One of a key that is kept already changes
        nothing and costs nothing, so that a caller that did not hear the answer may ask again.

        Args:
            run_id: The run.
            item_id: The item.
            token: Of the claim under which the work was done.
            key: Tells it from the others of the item; not empty.
            data: JSON values.
            usage: What it cost; added to the item's and the run's. An outcome counts only what came to that since.

        Returns:
            The item, one version on. Its event is of the type ``checkpoint``, with the key and the usage.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
            LeaseLost: The token is not the newest one, or the item is not in work; nothing was written.
        """
        ...

    async def checkpoints(self, run_id: str, item_id: str) -> dict[str, Mapping[str, Any]]:
        """Read what is kept of an item, by its keys; nothing if it was completed.

        Raises:
            RunNotFound: There is no such run.
            ItemNotFound: The run has no such item.
        """
        ...


@runtime_checkable
class Housekeeping(Protocol):
    """What a store can do besides, to look after its runs: `cardanalysis.runs` needs it, the work on a run does not.

    As with `Store`, every method is one transaction.
    """

    async def runs(
        self,
        *,
        kind: str | None = None,
        status: RunStatus | None = None,
        stale_seconds: float | None = None,
        after: Run | None = None,
        limit: int | None = None,
    ) -> list[Run]:
        """Read runs, the newest first, and in the order of their ids where they were created at the same moment.

        Args:
            kind: Only runs of this kind.
            status: Only runs in this status.
            stale_seconds: Only runs that are *running* and whose last heartbeat is longer ago than that by the store's
                clock, so that their workers are probably dead.
            after: Only runs behind this one; a page's last run asks for the next page.
            limit: How many at most; None for all.
        """
        ...

    async def delete_run(self, run_id: str) -> None:
        """Delete a run with its items, outputs, counters and events.

        Raises:
            RunNotFound: There is none.
            StoreError: With code ``running``, somebody may be working on it; cancel it first. Nothing was deleted.
        """
        ...

    async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        """Find what was done already, in whatever run.

        Args:
            item_id: The item.
            kind: Of the run.
            fingerprint: Of the run.

        Returns:
            The item of that id which was completed last in a run of that kind and fingerprint, or None.
        """
        ...

    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        """Write a run as it once was read from a store, whole or not at all.

        Args:
            run: The run, with its version, counters and usage.
            records: All that belongs to it, in order, each item before its outputs. They are read once, in a worker
                thread; what they raise is raised, and nothing was written.

        Raises:
            StoreError: There is a run of that id (``run_exists``), or the records are not whole (``corrupt``).
            ItemNotFound: An output comes without its item.
        """
        ...
