"""A token of a limiter that can be lent to somebody else while its holder only waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from anyio import CapacityLimiter

__all__ = ["Aside", "Slot"]


class Aside:
    """Where holders of slots stand aside, so few at once that what they hold in memory stays bounded.

    Args:
        limiter: Where their slots are from.
        most: The most that may be there at all, aside or not; then each of them finds a place aside. None for any
            number that have a slot, and as many aside.
    """

    def __init__(self, limiter: CapacityLimiter, most: int | None = None) -> None:
        self.alive = None if most is None else CapacityLimiter(most)
        """Everyone who is there has one token of it; None if nothing but the slots bounds their number."""
        self._limiter = limiter
        self._count = 0

    def enter(self) -> bool:
        """Take a place, if there is one."""
        most = self._limiter if self.alive is None else self.alive
        if self._count >= most.total_tokens:
            return False
        self._count += 1
        return True

    def leave(self) -> None:
        """Give the place back."""
        self._count -= 1


class Slot:
    """One token of a limiter, held or not.

    Args:
        limiter: Where it is from.
        aside: Where its holder may stand without it.
    """

    __slots__ = ("_alive", "_aside", "_held", "_limiter")

    def __init__(self, limiter: CapacityLimiter, aside: Aside) -> None:
        self._limiter = limiter
        self._aside = aside
        self._alive = False
        self._held = False

    async def take(self) -> None:
        """Wait until there may be one more holder, and then for the token."""
        if self._aside.alive is not None:
            if not _taken(self._aside.alive, self):
                await self._aside.alive.acquire_on_behalf_of(self)
            self._alive = True
        if _taken(self._limiter, self):
            self._held = True
            return
        try:
            await self._limiter.acquire_on_behalf_of(self)
            self._held = True
        except BaseException:
            self.give_back()
            raise

    def give_back(self) -> None:
        """Give back what is held."""
        self._give_token_back()
        if self._alive and self._aside.alive is not None:
            self._alive = False
            self._aside.alive.release_on_behalf_of(self)

    @asynccontextmanager
    async def lent(self) -> AsyncGenerator[None, None]:
        """A block in which somebody else may have the token, if there is room aside; leaving it waits for it again."""
        if not self._held or not self._aside.enter():
            yield
            return
        self._give_token_back()
        try:
            yield
        finally:
            # Who waits for a slot stands aside as before: its place must not go to another one who is also alive then.
            try:
                if not _taken(self._limiter, self):
                    await self._limiter.acquire_on_behalf_of(self)
                self._held = True
            finally:
                self._aside.leave()

    def _give_token_back(self) -> None:
        if self._held:
            self._held = False
            self._limiter.release_on_behalf_of(self)


def _taken(limiter: CapacityLimiter, borrower: object) -> bool:
    """Take a token if one is free: without a turn of the event loop, which costs a fifth of an item."""
    try:
        limiter.acquire_on_behalf_of_nowait(borrower)
    except Exception as error:
        # On trio, anyio before 4.14.2 lets trio's own exception of that name through.
        if type(error).__name__ != "WouldBlock":
            raise
        return False
    return True
