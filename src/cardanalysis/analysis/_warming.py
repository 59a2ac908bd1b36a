"""First one request, then the rest, for each prefix that a prompt cache is to hold.

The API writes an entry when the first answer begins (public documentation on prompt caching, August 2026): requests
that start before that pay for the whole prefix, and for writing it once more each.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from attrs import define, field

from .._clock import Clock

__all__ = ["CacheWarmer", "least_cached"]

_LIFETIME_SECONDS: Final = 300.0
"""How long an entry holds since the request that last used it began, unless asked otherwise."""

_PATIENCE_SECONDS: Final = 5.0
"""How long, in real time, the others wait for the first answer to begin. Beyond that, time is worth more than tokens:
as where a client does not stream, and an answer begins when it is whole."""

# Tokens below which a prefix is not cached: the public documentation on prompt caching, August 2026.
_LEAST: Final = (
    (512, re.compile(r"claude-(opus-5|fable-5|mythos-5)$")),
    (2048, re.compile(r"claude-opus-4-7")),
    (4096, re.compile(r"claude-(opus-4-[56]|haiku-4-5)")),
)
_LEAST_OF_OTHERS: Final = 1024


def least_cached(model: str) -> int:
    """The shortest prefix in tokens that a model caches; 1,024 where it is not known."""
    return next((tokens for tokens, pattern in _LEAST if pattern.match(model)), _LEAST_OF_OTHERS)


@define(eq=False)
class _Prefix:
    warm_until: float = float("-inf")
    warming: anyio.Event | None = None
    useless: bool = False


@define(eq=False)
class CacheWarmer:
    """Lets the first request with a prefix go alone until its answer begins. It belongs to one event loop.

    Attributes:
        clock: By which entries grow old.
    """

    clock: Clock
    _prefixes: dict[str, _Prefix] = field(factory=dict[str, _Prefix], init=False)

    def is_warm(self, key: str) -> bool:
        """Whether the cache holds a prefix, as far as is known."""
        prefix = self._prefixes.get(key)
        return prefix is not None and not prefix.useless and self.clock.now() < prefix.warm_until

    def not_cached(self, key: str) -> None:
        """Note that the API does not cache a prefix, such as one that is too short: nobody waits for it again."""
        self._prefixes.setdefault(key, _Prefix()).useless = True

    @asynccontextmanager
    async def turn(self, key: str) -> AsyncGenerator[Callable[[], None], None]:
        """Wait until a prefix is warm, or it is one's own turn to warm it; but not longer than it is worth.

        Yields:
            What to call when the answer begins.
        """
        prefix = self._prefixes.setdefault(key, _Prefix())
        with anyio.move_on_after(_PATIENCE_SECONDS):
            while prefix.warming is not None and not prefix.useless and self.clock.now() >= prefix.warm_until:
                await prefix.warming.wait()
        begun_at = self.clock.now()
        mine = None
        if not prefix.useless and begun_at >= prefix.warm_until and prefix.warming is None:
            mine = prefix.warming = anyio.Event()

        def over() -> None:
            if mine is not None:
                mine.set()
                if prefix.warming is mine:
                    prefix.warming = None

        def begun() -> None:
            prefix.warm_until = max(prefix.warm_until, begun_at + _LIFETIME_SECONDS)
            over()  # and not at its end: by then the entry may have grown old

        try:
            yield begun
        finally:
            over()
