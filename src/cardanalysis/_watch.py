"""Hands a run's events to a callback as they are written.

The events are read from the store's log, so that the callback sees exactly what is kept, in order and without gaps,
also what other processes write to the same run.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from inspect import isawaitable

import anyio

from ._cancellation import exit_in, is_cancellation
from ._errors import StoreError
from ._models import Event
from .abc import Store

__all__ = ["EventCallback", "Watch"]

logger = logging.getLogger(__name__)

EventCallback = Callable[[Event], Awaitable[object] | object]
"""Takes one event; may be a coroutine function. What it returns is not used; what it raises is logged."""

_PAGE = 500


class Watch:
    """Calls back for every event of a run.

    Args:
        store: Where the run is kept.
        run_id: The run.
        on_event: Gets each event; with None there is nothing to run.
        after: The number of the last event that is not wanted.
    """

    def __init__(self, store: Store, run_id: str, on_event: EventCallback | None, *, after: int) -> None:
        self._store = store
        self._run_id = run_id
        self._on_event = on_event
        self._seen = after
        self._wake = anyio.Event()
        self._finishing = False

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Deliver events next to what the block does, and the rest when it ends, also with an error."""
        failure: BaseException | None = None
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._follow)
                try:
                    yield
                except BaseException as error:
                    if is_cancellation(error):
                        raise
                    failure = error  # raised below, where the task group does not wrap it
                self._finishing = True
                self.changed()
        except BaseExceptionGroup as group:  # the callback asked the process to end
            raise (exit_in(group) or group) from None
        if failure is not None:
            raise failure

    def changed(self) -> None:
        """Tell that the run may have changed."""
        self._wake.set()

    async def _follow(self) -> None:
        finishing = False
        while not finishing:
            await self._wake.wait()
            self._wake = anyio.Event()
            finishing = self._finishing
            try:
                await self._deliver()
            except StoreError as error:  # the work itself will meet it and say so
                logger.warning("Run %s: its events could not be read (%s)", self._run_id, error.code)

    async def _deliver(self) -> None:
        while events := await self._store.events(self._run_id, self._seen, limit=_PAGE):
            for event in events:
                self._seen = event.sequence
                await self._call(event)

    async def _call(self, event: Event) -> None:
        try:
            result = None if self._on_event is None else self._on_event(event)
            if isawaitable(result):
                await result
        except BaseException as error:
            if is_cancellation(error) or exit_in(error) is not None:
                raise
            logger.exception("on_event raised for event %d of run %s", event.sequence, self._run_id)
