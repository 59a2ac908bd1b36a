"""The time that waits are measured in; tests give one that runs faster."""

from __future__ import annotations

import time as times
from collections.abc import Callable

import anyio
from attrs import field, frozen

__all__ = ["Clock"]


@frozen(kw_only=True)
class Clock:
    """A clock and a way to sleep by it.

    Attributes:
        time: Real time in seconds, from any start; it never goes back. It has to hold for every event loop and thread
            that shares the clock.
        speed: How many seconds of the clock pass in a real one.
    """

    time: Callable[[], float] = field(default=times.monotonic, repr=False)
    speed: float = 1.0

    def now(self) -> float:
        """The time of the clock, in its own seconds."""
        return self.time() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many of its seconds."""
        await anyio.sleep(seconds / self.speed)
