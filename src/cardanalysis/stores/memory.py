"""A store in memory: nothing outlives the process, and nothing else is different from a store on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from anyio import to_thread
from anyio.lowlevel import checkpoint

from .._errors import RunNotFound
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Renewal, Run, Usage
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from .run_state import RunState

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps everything in memory; for tests, notebooks and runs that need not outlive the process.

    It keeps every promise of `cardanalysis.abc.Store` but durability, and those of `cardanalysis.abc.CheckpointStore`
    and `cardanalysis.abc.Housekeeping`. It may be used from several threads.

    Args:
        clock: Seconds since 1970, for leases and times.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, RunState] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore with {len(self._runs)} runs>"

    async def __aenter__(self) -> Self:
        """Return the store; there is nothing to open."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Keep everything: the same store can be entered again."""

    def _state(self, run_id: str) -> RunState:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound(run_id) from None

    # -- runs ----------------------------------------------------------------------------------------------------

    async def create_run(
        self, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], accept_change: bool = False
    ) -> Run:
        """See `cardanalysis.abc.Store.create_run`."""
        await checkpoint()
        with self._lock:
            now, state = self._clock(), self._runs.get(run_id)
            if state is not None:
                return state.reopen(
                    kind=kind, fingerprint=fingerprint, asked=asked, accept_change=accept_change, now=now
                )
            state = RunState.create(run_id, kind=kind, fingerprint=fingerprint, asked=asked, now=now)
            self._runs[run_id] = state
            return state.view()

    async def get_run(self, run_id: str) -> Run:
        """See `cardanalysis.abc.Store.get_run`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).view()

    async def update_run(self, run_id: str, status: RunStatus, *, version: int, error: str | None = None) -> Run:
        """See `cardanalysis.abc.Store.update_run`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).update_run(status, version=version, error=error, now=self._clock())

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        """See `cardanalysis.abc.Store.increment`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).increment(counter, by)

    # -- items ---------------------------------------------------------------------------------------------------

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        """See `cardanalysis.abc.Store.add_items`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).add_items(items, now=self._clock())

    async def get_item(self, run_id: str, item_id: str) -> Item:
        """See `cardanalysis.abc.Store.get_item`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).get_item(item_id)

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
        await checkpoint()
        with self._lock:
            return self._state(run_id).claim(
                owner, lease_seconds=lease_seconds, limit=limit, item_ids=item_ids, now=self._clock()
            )

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        """See `cardanalysis.abc.Store.renew`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).renew(owner, lease_seconds=lease_seconds, now=self._clock())

    async def release(self, run_id: str, item_id: str, *, token: int, usage: Usage | None = None) -> Item:
        """See `cardanalysis.abc.Store.release`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).release(item_id, token=token, usage=usage, now=self._clock())

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        """See `cardanalysis.abc.Store.update_status`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).update_status(item_id, status, version=version, now=self._clock())

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
        await checkpoint()
        with self._lock:
            return self._state(run_id).complete_item(
                item_id, token=token, outputs=outputs, usage=usage, error=error, data=data, now=self._clock()
            )

    async def fail_item(self, run_id: str, item_id: str, *, token: int, error: ItemError, usage: Usage) -> Item:
        """See `cardanalysis.abc.Store.fail_item`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).fail_item(item_id, token=token, error=error, usage=usage, now=self._clock())

    async def save_checkpoint(
        self, run_id: str, item_id: str, *, token: int, key: str, data: Mapping[str, Any], usage: Usage
    ) -> Item:
        """See `cardanalysis.abc.CheckpointStore.save_checkpoint`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).save_checkpoint(
                item_id, token=token, key=key, data=data, usage=usage, now=self._clock()
            )

    async def checkpoints(self, run_id: str, item_id: str) -> dict[str, Mapping[str, Any]]:
        """See `cardanalysis.abc.CheckpointStore.checkpoints`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).checkpoints(item_id)

    # -- what is kept --------------------------------------------------------------------------------------------

    async def items(
        self, run_id: str, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.items`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).items(status=status, after=after, limit=limit)

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
        await checkpoint()
        with self._lock:
            return self._state(run_id).outputs(kind=kind, item_id=item_id, after=after, limit=limit)

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """See `cardanalysis.abc.Store.events`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).events(after, limit=limit)

    async def append_event(
        self,
        run_id: str,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See `cardanalysis.abc.Store.append_event`."""
        await checkpoint()
        with self._lock:
            return self._state(run_id).append_event(type, item_id=item_id, data=data, now=self._clock())

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
        await checkpoint()
        with self._lock:
            now = self._clock()
            wanted = [
                state.view()
                for state in self._runs.values()
                if state.matches(kind=kind, status=status, stale_seconds=stale_seconds, now=now)
            ]
        found = sorted(wanted, key=_age)
        return [run for run in found if after is None or _age(run) > _age(after)][:limit]

    async def delete_run(self, run_id: str) -> None:
        """See `cardanalysis.abc.Housekeeping.delete_run`."""
        await checkpoint()
        with self._lock:
            self._state(run_id).check_deletable(now=self._clock())
            del self._runs[run_id]

    async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        """See `cardanalysis.abc.Housekeeping.find_completed`."""
        await checkpoint()
        with self._lock:
            newest_first = reversed(self._runs.values())
            found = [state.find_completed(item_id, kind=kind, fingerprint=fingerprint) for state in newest_first]
        return max((item for item in found if item is not None), key=_end, default=None)

    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        """See `cardanalysis.abc.Housekeeping.restore_run`."""
        await checkpoint()
        changes.check_new(run.id, exists=run.id in self._runs)
        state = await to_thread.run_sync(RunState.restore, run, records)
        with self._lock:
            changes.check_new(run.id, exists=run.id in self._runs)  # somebody may have been quicker
            self._runs[run.id] = state
            return state.view()


def _age(run: Run) -> tuple[float, str]:
    """The younger one comes first."""
    return -run.created_at.timestamp(), run.id


def _end(item: Item) -> float:
    return 0.0 if item.finished_at is None else item.finished_at.timestamp()
