"""Work in a worker thread that is seen through to its end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
from anyio import CancelScope, CapacityLimiter, get_cancelled_exc_class, to_thread

__all__ = ["in_thread"]

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T], limiter: CapacityLimiter) -> tuple[_T, BaseException | None]:
    """Do something in a worker thread and wait for its end, whatever comes meanwhile.

    A thread cannot be interrupted, and what it does would not be known. So it is waited for also through what no shield
    holds off: Ctrl-C, and a bare ``task.cancel()`` of asyncio.

    Returns:
        What `work` returned, and the interrupt that came meanwhile, which the caller raises when all is done.
    """
    once = _Once(work)
    interrupt: BaseException | None = None
    with CancelScope(shield=True):
        while not once.done:
            try:
                if once.begun:  # the thread goes on by itself, and another one would only wait for it
                    await anyio.sleep(_PAUSE_SECONDS)
                else:
                    await to_thread.run_sync(once.run, limiter=limiter)
            except (get_cancelled_exc_class(), KeyboardInterrupt) as error:
                interrupt = error
    return once.result(), interrupt


_PAUSE_SECONDS = 0.01


class _Once(Generic[_T]):
    """Something that is done once, however often and by however many threads it is asked for."""

    def __init__(self, work: Callable[[], _T]) -> None:
        self.begun = False
        self.done = False
        self._work = work
        self._lock = threading.Lock()
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it, or wait until it is done."""
        with self._lock:
            if not self.begun:
                self.begun = True
                try:
                    self._results.append(self._work())
                except BaseException as error:
                    self._error = error
                self.done = True

    def result(self) -> _T:
        """What came of it, when it is done."""
        if self._error is not None:
            raise self._error
        return self._results[0]
