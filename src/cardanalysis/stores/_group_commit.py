"""Calls of many tasks, done together in one worker thread.

A commit waits for the disk, so waiting once for many writes is what makes a durable store fast. Calls that come while
a batch is being committed form the next one. The first call of a batch leads it: it waits for the batch before, has its
own committed in one worker thread and one transaction, and wakes the others. No task or thread lives longer than its
call, and it works on every event loop.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar, cast

import anyio
from anyio import CancelScope, CapacityLimiter, Event, get_cancelled_exc_class
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, field

from ._threads import in_thread

__all__ = ["GroupCommit", "Write", "fail"]

_C = TypeVar("_C")
_T = TypeVar("_T")

_MOST = 256
"""Calls in one batch at most, so that the first of them need not wait for a long queue."""
_PAUSE_SECONDS = (0.005, 0.05)
"""Between two attempts while another process holds the lock: a random time, so that waiting processes do not meet."""


@define(eq=False)
class Write(Generic[_C]):
    """One call: what to do, and how it ended.

    Attributes:
        work: Called in a worker thread, inside the transaction. It may be called again if all was undone.
        result: What it returned, once it is committed.
        error: What it raised, or why the commit failed.
    """

    work: Callable[[_C], Any]
    result: Any = None
    error: BaseException | None = None


def fail(writes: Sequence[Write[Any]], error: BaseException) -> None:
    """Let every call fail that has not failed yet, each with an error of its own: tasks that raise it add to it."""
    for write in writes:
        if write.error is None:
            write.error = _copy(error)


def _copy(error: BaseException) -> BaseException:
    try:
        copied = copy(error)
    except Exception:  # an error class of somebody else's may not be made for it
        return error
    copied.__cause__ = error.__cause__
    return copied


@define(eq=False)
class _Batch(Generic[_C]):
    """Calls that are committed together.

    Attributes:
        writes: The calls.
        before: The batch that has to be done first.
        open: Whether more calls may join.
        led: Whether one of the callers sees to the commit.
        running: Whether a worker thread is at it, so that nobody can leave.
        locked: Why the last attempt did nothing.
        done: Whether every call has its outcome.
        changed: Set when the batch is done, has lost its leader, or was tried in vain; then replaced.
    """

    writes: list[Write[_C]]
    before: _Batch[_C] | None
    open: bool = True
    led: bool = False
    running: bool = False
    locked: Exception | None = None
    done: bool = False
    changed: Event = field(factory=Event)

    @property
    def stuck(self) -> bool:
        """Whether this or an earlier batch waits for another process, which may take long."""
        return self.locked is not None or (self.before is not None and self.before.stuck)

    def wake(self) -> None:
        changed, self.changed = self.changed, Event()
        changed.set()

    def settle(self, error: BaseException | None = None) -> None:
        if error is not None:
            fail(self.writes, error)
        self.open = self.running = False
        self.done = True
        self.before = None
        self.changed.set()

    def leave(self, write: Write[_C]) -> None:
        """Take out a call that nothing was done for."""
        self.writes.remove(write)
        if self.led:
            return
        if self.writes:
            self.wake()  # one of the others takes the lead
        else:
            self.settle()


class GroupCommit(Generic[_C]):
    """Queues calls and has them done in batches.

    Args:
        commit: Called in a worker thread with a batch. It sets `result` or `error` of each call and returns None; or it
            has done nothing, since another process holds the lock, and returns the error that says so.
        patience_seconds: How long to try again while the lock is held by somebody else.
    """

    def __init__(
        self, commit: Callable[[Sequence[Write[_C]]], Exception | None], *, patience_seconds: float = 30.0
    ) -> None:
        self._commit = commit
        self._patience_seconds = patience_seconds
        self._newest: _Batch[_C] | None = None
        self._one_thread = CapacityLimiter(1)
        self._joining = threading.Lock()

    async def run(self, work: Callable[[_C], _T]) -> _T:
        """Have `work` done and committed.

        A caller that is cancelled already does nothing, and one that is cancelled while another process holds the lock
        leaves with nothing done. Otherwise it waits for the outcome and is cancelled only then: its call is done.

        Returns:
            What `work` returned.
        """
        await checkpoint_if_cancelled()
        write: Write[_C] = Write(work)
        batch = self._join(write)
        interrupt: _Interrupt | None = None
        while not batch.done:
            if batch.led:
                interrupt = await _wait(batch, interrupt)
            else:
                interrupt = await self._lead(batch, interrupt)
            if interrupt is not None and batch.stuck and not batch.running and not batch.done:
                batch.leave(write)
                raise interrupt.error
        if interrupt is not None and not interrupt.comes_again:
            raise interrupt.error
        if write.error is not None:
            raise write.error
        return cast("_T", write.result)

    def _join(self, write: Write[_C]) -> _Batch[_C]:
        """Put a call into the batch that is forming, or into a new one."""
        newest = self._newest
        with self._joining:
            if newest is not None and newest.open and len(newest.writes) < _MOST:
                newest.writes.append(write)
                return newest
        self._newest = _Batch([write], None if newest is None or newest.done else newest)
        return self._newest

    async def _lead(self, batch: _Batch[_C], interrupt: _Interrupt | None) -> _Interrupt | None:
        """See to it that a batch is committed, until that is done or an interrupt comes while it is stuck."""
        try:
            batch.led = True
            while batch.before is not None and not batch.before.done:
                if interrupt is not None and batch.stuck:
                    batch.led = False
                    return interrupt
                interrupt = await _wait(batch.before, interrupt)
                if batch.stuck:
                    batch.wake()  # who was cancelled meanwhile can leave
            interrupt = await self._try(batch, interrupt)
        except BaseException as error:
            batch.settle(error)
            raise
        batch.led = False
        return interrupt

    async def _try(self, batch: _Batch[_C], interrupt: _Interrupt | None) -> _Interrupt | None:
        """Have a batch committed by a worker thread; while another process holds the lock, again and again."""
        give_up_at = anyio.current_time() + self._patience_seconds
        while True:
            batch.running = True
            batch.locked, came = await in_thread(partial(self._close_and_commit, batch), self._one_thread)
            batch.running = False
            if came is not None:
                interrupt = _Interrupt(came, comes_again=False)
            if batch.locked is None or anyio.current_time() > give_up_at:
                batch.settle(batch.locked)
                return interrupt
            batch.wake()
            interrupt = interrupt or await _caught(partial(anyio.sleep, random.uniform(*_PAUSE_SECONDS)))  # noqa: S311
            if interrupt is not None:
                return interrupt

    def _close_and_commit(self, batch: _Batch[_C]) -> Exception | None:
        # Only now, in the thread: on the way here the event loop has let those go on who were just waiting for the
        # batch before, and they have come with their next calls.
        with self._joining:
            batch.open = False
        return self._commit(batch.writes)


class _Interrupt(NamedTuple):
    """What interrupted a caller that had to wait for its outcome.

    Attributes:
        error: To be raised when that is there.
        comes_again: Whether the event loop delivers it again, as it does the cancellation of a scope; then the outcome
            may be told first. Ctrl-C, and a bare ``task.cancel()`` of asyncio, come once.
    """

    error: BaseException
    comes_again: bool


async def _wait(batch: _Batch[Any], interrupt: _Interrupt | None) -> _Interrupt | None:
    """Wait until something about a batch has changed, or an interrupt comes; return the one that matters."""
    if interrupt is None:
        return await _caught(batch.changed.wait)
    came: _Interrupt | None = None
    with CancelScope(shield=True):
        came = await _caught(batch.changed.wait)
    return interrupt if came is None else _Interrupt(came.error, comes_again=False)


async def _caught(wait: Callable[[], Awaitable[object]]) -> _Interrupt | None:
    """Wait, and return the interrupt that came meanwhile."""
    try:
        await wait()
    except KeyboardInterrupt as error:
        return _Interrupt(error, comes_again=False)
    except get_cancelled_exc_class() as error:
        return _Interrupt(error, comes_again=anyio.current_effective_deadline() == -math.inf)
    return None
