"""The time that waits are measured in; tests give one that runs faster."""

from __future__ import annotations

import math
import time as times
from collections.abc import Callable
from typing import Any

import anyio
from attrs import Attribute, field, frozen

from ._errors import InvalidValue
from ._validators import function

__all__ = ["Clock"]


def _runs(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InvalidValue(f"{attribute.name} must be a number above 0.")


@frozen(kw_only=True)
class Clock:
    """A clock and a way to sleep by it.

    Attributes:
        time: Real time in seconds, from any start; it never goes back. It has to hold for every event loop and thread
            that shares the clock.
        speed: How many seconds of the clock pass in a real one; above 0.
    """

    time: Callable[[], float] = field(default=times.monotonic, repr=False, validator=function)
    speed: float = field(default=1.0, validator=_runs)

    def now(self) -> float:
        """The time of the clock, in its own seconds."""
        return self.time() * self.speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many of its seconds."""
        await anyio.sleep(seconds / self.speed)
