"""Writes of many tasks, committed together.

A commit waits for the disk, so waiting once for many writes is what makes a durable store fast. The tasks that write
queue up; one of them leads: it takes all that wait, has them committed in one worker thread and one transaction, wakes
them, and hands the lead to the next that came meanwhile. No task or thread lives longer than its call, and it works on
every event loop.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar, cast

from anyio import CancelScope, CapacityLimiter, Event, get_cancelled_exc_class, to_thread
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, field

__all__ = ["GroupCommit", "Write"]

_C = TypeVar("_C")
_T = TypeVar("_T")

_MOST = 256
"""Writes in one transaction at most, so that the first of them need not wait for a long queue."""


@define(eq=False)
class Write(Generic[_C]):
    """One caller's write: what to do, and how it ended.

    Attributes:
        work: Called in a worker thread with the connection, inside the transaction.
        result: What it returned, once it is committed.
        error: What it raised, or why the commit failed.
    """

    work: Callable[[_C], Any]
    result: Any = None
    error: BaseException | None = None
    leads: bool = False
    woken: Event = field(factory=Event)


class GroupCommit(Generic[_C]):
    """Queues writes and has them committed in batches.

    Args:
        commit: Called in a worker thread with a batch; sets `result` or `error` of each write and does not raise.
    """

    def __init__(self, commit: Callable[[Sequence[Write[_C]]], None]) -> None:
        self._commit = commit
        self._waiting: deque[Write[_C]] = deque()
        self._led = False
        self._one_thread = CapacityLimiter(1)

    async def run(self, work: Callable[[_C], _T]) -> _T:
        """Have `work` done and committed.

        A caller that is cancelled already writes nothing. Once its write is queued it waits for the outcome, and is
        cancelled only then: it never has to wonder whether its write happened.

        Returns:
            What `work` returned.
        """
        await checkpoint_if_cancelled()
        write: Write[_C] = Write(work, leads=not self._led)
        self._waiting.append(write)
        interrupt: BaseException | None = None
        if not write.leads:
            interrupt = await _outlast(write.woken.wait)
        if write.leads:
            interrupt = await self._lead() or interrupt
        if interrupt is not None:
            raise interrupt
        if write.error is not None:
            raise write.error
        return cast("_T", write.result)

    async def _lead(self) -> BaseException | None:
        """Commit one batch, in which the leader's own write is the first, and hand the lead on."""
        self._led = True
        batch = _Batch([self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))], self._commit)
        try:
            return await _outlast(partial(to_thread.run_sync, batch.commit, limiter=self._one_thread))
        except BaseException as error:
            for write in batch.writes:
                write.error = write.error or error
            raise
        finally:
            for write in batch.writes:
                write.woken.set()
            if self._waiting:
                self._waiting[0].leads = True
                self._waiting[0].woken.set()
            else:
                self._led = False


@define(eq=False)
class _Batch(Generic[_C]):
    """Writes to be committed once, however often and by however many threads that is asked for."""

    writes: Sequence[Write[_C]]
    _commit: Callable[[Sequence[Write[_C]]], None]
    _done: bool = False
    _lock: threading.Lock = field(factory=threading.Lock)

    def commit(self) -> None:
        with self._lock:
            if not self._done:
                self._commit(self.writes)
                self._done = True


async def _outlast(wait: Callable[[], Awaitable[object]]) -> BaseException | None:
    """Wait to the end, also through what no shield holds off: Ctrl-C, and a bare ``task.cancel()`` of asyncio.

    A writer that left the queue before its turn would leave the others waiting for ever.

    Returns:
        The interrupt that came meanwhile, to be raised when all is done.
    """
    interrupt: BaseException | None = None
    done = False
    with CancelScope(shield=True):
        while not done:
            try:
                await wait()
                done = True
            except (get_cancelled_exc_class(), KeyboardInterrupt) as error:
                interrupt = error
    return interrupt
