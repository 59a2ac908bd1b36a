"""Does the items of a run: claims them, has them worked on under a limit, and records each outcome.

It knows items, a worker function, a store and a limiter, and nothing of what the work is. The order of things for one
item is: take a slot, claim the item, start its task, work, commit the outcome, free the slot. The slot comes before the
task, so that at most as many items are alive as may be worked on, however many there are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from typing import Any, Generic, TypeVar

import anyio
from anyio import CancelScope, CapacityLimiter, to_thread
from anyio.abc import TaskGroup
from attrs import evolve, field, frozen

from ._cancellation import cancellation_in, exit_in, is_cancellation
from ._errors import (
    CardAnalysisError,
    CommitUnknown,
    ConfigurationError,
    LeaseLost,
    RunNotFound,
    RunStopped,
    StoreError,
    VersionConflict,
)
from ._jobs import Entry, Job, Outcome
from ._models import Item, ItemError, Run, Usage
from ._owner import new_owner, retire_owner
from ._slots import Aside, Slot
from ._status import ItemStatus, RunStatus, is_legal, settled_status, unfinished
from .abc import Store

__all__ = ["INTERRUPTED", "Engine"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_RECORD_SECONDS = 3.0
"""How long a cancelled run may take to hand its items back. Its owner ends anyway, so that nobody misses them long."""
INTERRUPTED = "It was interrupted."
"""Why a run is cancelled whose worker was cancelled, which is no reason for another worker to stop."""
_STOPPING = frozenset(
    {"authentication", "billing", "client_setup", "max_cost", "no_api_key", "permission", "unknown_model"}
)
"""Codes of what stops a run in the middle of a document, whose cards so far are kept."""
_UNSTORABLE = ("not_json", "not_storable", "too_big")
"""Codes of store errors that are the fault of what was to be stored."""


@frozen(kw_only=True)
class _Failure:
    """Why the work on an item came to nothing."""

    error: ItemError
    usage: Usage = field(factory=Usage)


class Engine(Generic[_T]):
    """Works on one run, in one task group, for as long as one call lasts.

    Args:
        store: Where the run is kept.
        run_id: The run; it exists.
        work: Called once for each claimed item. A `ConfigurationError` or `RunStopped` from it stops the run and hands
            the item back; anything else it raises fails that item alone.
        limiter: Each item in work holds one of its tokens.
        aside: How many items may be alive at once, all of which may stand aside without a token while they only wait;
            None for as many aside as there are tokens.
        item_timeout: Seconds that the work on one item may take, or None.
        lease_seconds: How long an item stays claimed if this process dies unnoticed.
        retry_failed: Do items again that failed, are partial or were cancelled.
        changed: Called after every change of the run.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        work: Callable[[Job[_T]], Awaitable[Outcome]],
        *,
        limiter: CapacityLimiter,
        aside: int | None = None,
        item_timeout: float | None = None,
        lease_seconds: float = 60.0,
        retry_failed: bool = False,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._work = work
        self._limiter = limiter
        self._aside = Aside(limiter, aside)
        self._item_timeout = item_timeout
        self._lease_seconds = lease_seconds
        self._retry_failed = retry_failed
        self._changed = changed
        self._owner = ""
        self._jobs: dict[str, Job[_T]] = {}
        self._elsewhere: list[Entry[_T]] = []
        self._feeding = CancelScope()
        self._working = CancelScope()
        self._idle = anyio.Event()
        self._fed = False
        self._stopped_by: BaseException | None = None
        self._cancelled = False
        self._created_at: datetime | None = None

    async def run(self, batches: AsyncGenerator[Sequence[Entry[_T]], None], read: Run | None = None) -> Run:
        """Do all entries, then settle the run's status.

        Args:
            batches: The entries, in the order in which they are to be started. The next batch is asked for when all of
                the one before have been started.
            read: The run as the caller read it; who cancels it after that stops this worker. None to read it now.

        Returns:
            The run as it ended. It is cancelled if somebody else cancelled it.

        Raises:
            ConfigurationError: The work said that no item can be done.
            StoreError: The store failed.
            Exception: Whatever `batches` raised. In each case the items in work were finished first.
        """
        self._owner = await to_thread.run_sync(new_owner)
        try:
            await self._begin(await self._store.get_run(self._run_id) if read is None else read)
            async with anyio.create_task_group() as background:
                background.start_soon(self._keep_leases)
                with self._working:
                    async with anyio.create_task_group() as jobs:
                        with self._feeding:
                            await self._feed(batches, jobs)
                background.cancel_scope.cancel()
            if self._stopped_by is None:
                return await self._settle(cancelled=self._cancelled)
        except BaseException as error:
            # Cancelled from outside, or told to exit: every job has handed its item back by now.
            await self._settle_at_last(error, cancelled=True)
            leaf = exit_in(error)
            if leaf is not None:
                raise leaf from None
            raise
        finally:
            retire_owner(self._owner)
        await self._settle_at_last(self._stopped_by, cancelled=self._cancelled)
        raise self._stopped_by

    # -- the run -------------------------------------------------------------------------------------------------

    async def _begin(self, run: Run) -> None:
        self._created_at = run.created_at
        if run.status is RunStatus.RUNNING:  # its last worker died, or another one is at it
            await self._store.append_event(self._run_id, "run_resumed")
        await self._set_running(run)

    async def _set_running(self, run: Run) -> None:
        """Make the run running, unless somebody cancels it meanwhile."""
        while run.status is not RunStatus.RUNNING:
            before = run
            try:
                run = await self._store.update_run(self._run_id, RunStatus.RUNNING, version=run.version)
            except VersionConflict:
                run = await self._store.get_run(self._run_id)
                if _was_cancelled(run) and not _was_cancelled(before):
                    self._stop_as_cancelled()
                    return
        self._changed()

    def _stop_as_cancelled(self) -> None:
        self._cancelled = True
        self._working.cancel()

    async def _settle_at_last(self, cause: BaseException, *, cancelled: bool) -> None:
        """Settle the run while an exception is under way, which nothing may replace."""
        with CancelScope(shield=True, deadline=anyio.current_time() + _RECORD_SECONDS):
            try:
                await self._settle(cancelled=cancelled)
            except Exception as error:
                names = type(error).__name__, type(cause).__name__
                logger.warning("Run %s: its end could not be recorded (%s) after %s", self._run_id, *names)

    async def _settle(self, *, cancelled: bool) -> Run:
        """Give the run its status, unless somebody else still works on it."""
        while True:
            run = await self._store.get_run(self._run_id)
            if self._created_at not in (None, run.created_at):  # ours was deleted, and another one has its name
                raise RunNotFound(self._run_id)
            settled = settled_status(run.counters, stopped=self._stopped_by is not None)
            if settled is None:
                return run
            wanted, error = settled, None
            if cancelled and not (self._fed and unfinished(run.counters) == 0):
                wanted, error = RunStatus.CANCELLED, INTERRUPTED
            if self._stopped_by is not None:
                error = _explain(self._stopped_by).message
            if run.status is wanted or _was_cancelled(run):
                return run
            # Another worker may have settled the run before this one added to it; from its end it has to start again.
            status = wanted if run.status is RunStatus.RUNNING else RunStatus.RUNNING
            with suppress(VersionConflict):
                await self._store.update_run(self._run_id, status, version=run.version, error=error)
                self._changed()

    def _stop(self, cause: BaseException) -> None:
        """Start nothing more. What is in work may finish, since it is paid for, unless the process is to end."""
        self._stopped_by = self._stopped_by or cause
        self._feeding.cancel()
        if not isinstance(cause, Exception):
            self._cancelled = True
            self._working.cancel()

    async def _keep_leases(self) -> None:
        while True:
            await anyio.sleep(self._lease_seconds / 3)
            before = list(self._jobs.values())
            try:
                renewal = await self._store.renew(self._run_id, self._owner, lease_seconds=self._lease_seconds)
                run = await self._store.get_run(self._run_id) if renewal.stop else None
                if run is not None and not _was_cancelled(run):  # only another worker of the run was stopped
                    await self._set_running(run)
            except Exception as error:
                logger.warning("Run %s: the leases could not be renewed (%s)", self._run_id, type(error).__name__)
                continue
            for job in before:
                if job.item.id not in renewal.held and self._jobs.get(job.item.id) is job:
                    job.lost = True
                    job.scope.cancel()
            if run is not None and _was_cancelled(run):
                self._stop_as_cancelled()

    # -- the items -----------------------------------------------------------------------------------------------

    async def _feed(self, batches: AsyncGenerator[Sequence[Entry[_T]], None], jobs: TaskGroup) -> None:
        try:
            async with aclosing(batches):
                async for batch in batches:
                    items = await self._store.add_items(self._run_id, [entry.new for entry in batch])
                    self._changed()
                    for entry, item in zip(batch, items, strict=True):
                        await self._offer(entry, item, jobs)
            self._fed = True
            # What is in work may yet be lost to another worker, and has to be looked after until it has an outcome.
            while self._elsewhere or self._jobs:
                await self._look_elsewhere(jobs)
        except BaseException as error:
            if is_cancellation(error):
                raise
            self._stop(error)  # raised again when the items in work are done

    async def _offer(self, entry: Entry[_T], item: Item, jobs: TaskGroup) -> None:
        """Start an item unless it is done."""
        if entry.skip is not None:
            await self._skip(item, entry.skip)
            return
        if item.status.is_terminal:
            again = self._retry_failed or _was_stopped(item)
            if not again or not is_legal(item.status, ItemStatus.PENDING):
                return
            await self._set_back(item)
        if not await self._start(entry, jobs):
            self._elsewhere.append(entry)

    async def _start(self, entry: Entry[_T], jobs: TaskGroup) -> bool:
        """Take a slot, claim the item and start its task; False if somebody else has it."""
        slot = Slot(self._limiter, self._aside)
        await slot.take()
        try:
            claimed = await self._store.claim(
                self._run_id, self._owner, lease_seconds=self._lease_seconds, item_ids=(entry.new.id,)
            )
        except BaseException:
            slot.give_back()
            raise
        if not claimed:
            slot.give_back()
            return False
        job = Job(entry.payload, claimed[0], self._store, slot, self._changed, self._stop)
        self._jobs[entry.new.id] = job
        jobs.start_soon(self._do, job, entry, slot)
        return True

    async def _look_elsewhere(self, jobs: TaskGroup) -> None:
        """Try the items again that other workers had; wait a little if they still have some, or for the own ones."""
        if not self._elsewhere:
            self._idle = anyio.Event()
            await self._idle.wait()
        waiting, self._elsewhere = self._elsewhere, []
        for entry in waiting:
            item = await self._store.get_item(self._run_id, entry.new.id)
            if not item.status.is_terminal and not await self._start(entry, jobs):
                self._elsewhere.append(entry)
        if self._elsewhere:
            await anyio.sleep(min(1.0, self._lease_seconds / 3))

    async def _skip(self, item: Item, reason: Mapping[str, Any]) -> None:
        if item.status is not ItemStatus.PENDING:
            return
        try:
            await self._store.update_status(self._run_id, item.id, ItemStatus.SKIPPED, version=item.version)
        except VersionConflict:  # another worker skipped it
            return
        await self._store.append_event(self._run_id, "item_skipped", item_id=item.id, data=reason)
        self._changed()

    async def _set_back(self, item: Item) -> None:
        try:
            await self._store.update_status(self._run_id, item.id, ItemStatus.PENDING, version=item.version)
        except VersionConflict:  # another worker was first; the claim decides
            return

    async def _do(self, job: Job[_T], entry: Entry[_T], slot: Slot) -> None:
        """Work on a claimed item and record what came of it. Raises nothing but cancellation."""
        try:
            unrecorded = await self._attempt(job)
            if unrecorded is not None:
                with CancelScope(shield=True):
                    await self._record(job, unrecorded)
        except (ConfigurationError, RunStopped, StoreError, KeyboardInterrupt, SystemExit) as error:
            self._stop(error)
            await self._hand_back(job)
        finally:
            del self._jobs[entry.new.id]
            slot.give_back()
            if job.lost:
                self._elsewhere.append(entry)
            if job.lost or not self._jobs:
                self._idle.set()
            self._changed()

    async def _attempt(self, job: Job[_T]) -> Outcome | _Failure | None:
        """Do the work and record its result; return what is still to be recorded, if anything is."""
        outcome: Outcome | None = None
        if self._item_timeout is not None:
            job.scope.deadline = anyio.current_time() + self._item_timeout
        try:
            with job.scope:
                outcome = await self._work(job)
                if not job.scope.cancel_called:
                    # From here on nothing may lose the result. Another scope would cost a fifth of the engine's time.
                    job.scope.shield, job.scope.deadline = True, math.inf
                    if job.kept is not None:
                        outcome = evolve(outcome, usage=job.uncounted(outcome.usage))
                    await self._record(job, outcome)
                    return None
        except LeaseLost:
            job.lost = True
        except (ConfigurationError, RunStopped, StoreError):
            raise
        except BaseException as error:
            # An analyzer may raise anything, a cancellation that nobody asked for included; only one that comes from
            # outside ends the work here.
            if (cancellation := cancellation_in(error)) is not None:
                await self._hand_back(job)
                raise cancellation from None
            if (leaf := exit_in(error)) is not None:
                raise leaf from error
            if outcome is not None:
                raise _foreign(error) from error
            return self._timed_out(job, error) if job.scope.cancel_called and not job.lost else _failure(job, error)
        if job.lost:
            return None
        if outcome is None:
            return self._timed_out(job)
        return evolve(outcome, usage=job.uncounted(outcome.usage))

    def _timed_out(self, job: Job[_T], error: BaseException | None = None) -> _Failure:
        message = f"It took longer than item_timeout={self._item_timeout} seconds. Give it more, or split the upload."
        return _Failure(error=ItemError(code="timeout", message=message), usage=_usage_of(job, error))

    async def _record(self, job: Job[_T], outcome: Outcome | _Failure) -> None:
        item = job.item
        try:
            try:
                await self._write(item, outcome)
            except CommitUnknown:
                await self._write(item, outcome)  # under the same token it happens once
            except StoreError as error:
                if error.code not in _UNSTORABLE or isinstance(outcome, _Failure):
                    raise
                # The result itself is at fault, and would be again: it fails its item, with what it cost.
                await self._write(item, _Failure(error=_explain(error), usage=outcome.usage))
        except LeaseLost:
            job.lost = True
            logger.warning("Run %s: item %s was taken over; its result was dropped", self._run_id, item.id)

    async def _write(self, item: Item, outcome: Outcome | _Failure) -> None:
        token = item.token
        if isinstance(outcome, _Failure):
            error, usage = outcome.error, outcome.usage
            await self._store.fail_item(self._run_id, item.id, token=token, error=error, usage=usage)
            return
        await self._store.complete_item(
            self._run_id,
            item.id,
            token=token,
            outputs=outcome.outputs,
            usage=outcome.usage,
            error=outcome.missing,
            data=outcome.data,
        )

    async def _hand_back(self, job: Job[_T]) -> None:
        item, spent = job.item, None if job.spent == Usage() else job.spent
        with CancelScope(shield=True, deadline=anyio.current_time() + _RECORD_SECONDS):
            try:
                await self._store.release(self._run_id, item.id, token=item.token, usage=spent)
            except Exception as error:
                logger.warning("Run %s: item %s was not handed back (%s)", self._run_id, item.id, type(error).__name__)


def _was_stopped(item: Item) -> bool:
    """Whether an item is partial only because the run was stopped, and so is still to be done."""
    return item.status is ItemStatus.PARTIAL and item.error is not None and item.error.code in _STOPPING


def _was_cancelled(run: Run) -> bool:
    """Whether somebody asked for the run to be cancelled, rather than a worker having been."""
    return run.status is RunStatus.CANCELLED and run.error != INTERRUPTED


def _foreign(error: BaseException) -> StoreError:
    return StoreError(f"The store raised {type(error).__qualname__}, which is no StoreError.", code="unexpected_error")


def _failure(job: Job[Any], error: BaseException) -> _Failure:
    return _Failure(error=_explain(error), usage=_usage_of(job, error))


def _usage_of(job: Job[Any], error: BaseException | None) -> Usage:
    """What an error says that the work has cost; of one that says nothing, what the work itself had told."""
    usage = getattr(error, "usage", None)
    return job.uncounted(usage) if isinstance(usage, Usage) and usage != Usage() else job.spent


def _explain(error: BaseException) -> ItemError:
    """Say what an exception means. Of one that is not ours only the type is told: its text may quote a document."""
    try:
        if isinstance(error, CardAnalysisError):
            return ItemError(code=error.code, message=str(error))
    except Exception:  # an error class of somebody else's, below ours, may do anything
        logger.debug("An error of the class %s cannot be told", type(error).__qualname__)
    return ItemError(code="unexpected_error", message=f"{type(error).__qualname__} was raised.")
