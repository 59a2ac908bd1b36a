"""Telling a cancellation that was asked for from an exception of the same class, and finding what ends the process."""

from __future__ import annotations

import math
from typing import cast

import anyio

__all__ = ["cancellation_in", "exit_in", "is_cancellation"]


def is_cancellation(error: BaseException) -> bool:
    """Whether an exception is the cancellation of the current task by somebody else.

    Code may raise the event loop's cancellation exception of its own accord; that is an error like any other.
    """
    return cancellation_in(error) is not None


def cancellation_in(error: BaseException) -> BaseException | None:
    """The cancellation of the current task that an exception is, or that a group consists of.

    Out of a nursery of trio it comes as a group. One of its leaves is as good, also for asyncio, where a task that ends
    with a group does not count as cancelled.
    """
    leaf = _first_if_all(error, anyio.get_cancelled_exc_class())
    return leaf if leaf is not None and _is_cancelled() else None


def _first_if_all(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """The first leaf, if all of them are of a kind."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error).exceptions
        leaves = [_first_if_all(each, kind) for each in group]
        return None if any(leaf is None for leaf in leaves) else leaves[0]
    return error if isinstance(error, kind) else None


def _is_cancelled() -> bool:
    if anyio.current_effective_deadline() == -math.inf:
        return True
    import asyncio  # loaded already where it matters

    try:
        task = asyncio.current_task()
    except RuntimeError:  # not on asyncio
        return False
    # A bare task.cancel() of asyncio is in no scope.
    return task is not None and task.cancelling() > 0


def exit_in(error: BaseException) -> BaseException | None:
    """What asks the process to end: the exception itself, or one in a group."""
    if isinstance(error, BaseExceptionGroup):
        leaves = map(exit_in, cast("BaseExceptionGroup[BaseException]", error).exceptions)
        return next((leaf for leaf in leaves if leaf is not None), None)
    return error if isinstance(error, (KeyboardInterrupt, SystemExit)) else None
