"""Who waits for which result of a batch, and which results wait for somebody.

Each result is given out once, so that who asks for the same again gets a new request made.
"""

from __future__ import annotations

from collections.abc import Collection
from copy import copy

import anyio
from attrs import define, evolve, field

from ._transport import AttemptFailed, Failure

__all__ = ["BatchMail", "Room", "Waiter", "own_failure"]


def own_failure(failure: Failure) -> AttemptFailed:
    """A failure that many share, to be raised for one of them."""
    return AttemptFailed(evolve(failure, error=copy(failure.error)))


@define(eq=False)
class Waiter:
    """Somebody who waits for a result.

    Attributes:
        line: The result when it is there; None if there is none.
        failure: Why nobody gets a result.
    """

    line: bytes | None = None
    failure: Failure | None = None
    _done: anyio.Event = field(factory=anyio.Event)

    def wake(self, *, line: bytes | None = None, failure: Failure | None = None) -> None:
        """Say what came of it."""
        self.line, self.failure = line, failure
        self._done.set()

    async def wait(self) -> None:
        """Wait until that is known."""
        await self._done.wait()


@define(eq=False)
class Room:
    """Memory for results that nobody has asked for yet.

    Attributes:
        left: How many bytes are free.
    """

    left: int

    def take(self, size: int) -> bool:
        """Take some, if there is so much."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def free(self, size: int) -> None:
        """Give some back."""
        self.left += size


class BatchMail:
    """The results of one batch.

    Args:
        custom_ids: The ids of its requests. What comes for others is not kept.
        room: Where results are held that nobody waits for.
    """

    def __init__(self, custom_ids: Collection[str], room: Room) -> None:
        self._ids = custom_ids
        self._room = room
        self._waiters: dict[str, Waiter] = {}
        self._held: dict[str, bytes] = {}
        self._settled: set[str] = set()
        self._expected: set[str] = set()
        self._complete = False
        self._dropped = False
        self._failure: Failure | None = None

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a result."""
        return bool(self._waiters)

    def is_settled(self, custom_id: str) -> bool:
        """Whether a request's result was given out, or is known not to exist, so that asking for it is of no use."""
        if self._failure is not None:
            return False
        return custom_id in self._settled or (self._complete and custom_id not in self._held)

    def ask(self, custom_id: str) -> Waiter:
        """Ask for a result. It is there at once, or somebody has to bring it."""
        waiter = Waiter()
        if self._failure is not None:
            waiter.wake(failure=self._failure)
        elif custom_id in self._held:
            line = self._held.pop(custom_id)
            self._room.free(len(line))
            self._settled.add(custom_id)
            waiter.wake(line=line)
        elif self.is_settled(custom_id) or custom_id in self._waiters:  # no two get the same
            waiter.wake()
        else:
            self._waiters[custom_id] = waiter
        return waiter

    def leave(self, custom_id: str, waiter: Waiter) -> None:
        """Wait no longer. What was given to this waiter already is there for the next one."""
        if self._waiters.get(custom_id) is waiter:
            del self._waiters[custom_id]
        elif waiter.line is not None:
            self._settled.discard(custom_id)
            self._hold(custom_id, waiter.line)

    def begin(self) -> None:
        """All results are about to be delivered, from the first."""
        self._expected = set(self._waiters)
        self._dropped = False

    def deliver(self, custom_id: str, line: bytes) -> bool:
        """Take a result. Says whether it belongs to the batch."""
        if custom_id not in self._ids:
            return False
        if custom_id in self._settled or custom_id in self._held:
            return True
        waiter = self._waiters.pop(custom_id, None)
        if waiter is None:
            self._hold(custom_id, line)
        else:
            self._settled.add(custom_id)
            waiter.wake(line=line)
        return True

    def finish(self) -> None:
        """All results have been delivered; who was waiting from the beginning and got none gets none."""
        self._complete = not self._dropped
        for custom_id in list(self._waiters):
            if self._complete or custom_id in self._expected:
                self._settled.add(custom_id)
                self._waiters.pop(custom_id).wake()

    def close(self, failure: Failure | None = None) -> None:
        """There are no more results than those that are held.

        Args:
            failure: Why nobody gets one; None if there are just none.
        """
        self._complete, self._failure = True, failure
        for waiter in self._waiters.values():
            waiter.wake(failure=failure)
        self._waiters.clear()

    def _hold(self, custom_id: str, line: bytes) -> None:
        if self._room.take(len(line)):
            self._held[custom_id] = line
        else:
            self._dropped, self._complete = True, False
