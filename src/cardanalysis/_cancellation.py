"""Telling a cancellation that was asked for from an exception of the same class, and finding what ends the process."""

from __future__ import annotations

import math
from typing import cast

import anyio

__all__ = ["exit_in", "is_cancellation"]


def is_cancellation(error: BaseException) -> bool:
    """Whether an exception is the cancellation of the current task by somebody else.

    Code may raise the event loop's cancellation exception of its own accord; that is an error like any other.
    """
    return isinstance(error, anyio.get_cancelled_exc_class()) and _is_cancelled()


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
