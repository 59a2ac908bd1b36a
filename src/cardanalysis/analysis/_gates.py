"""What holds a request back until it may be made."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from attrs import frozen

from ..pacing import Pacer, Turn
from ._asking import Passage, Question, Tally
from ._transport import Answer, Failure, FailureKind
from ._warming import CacheWarmer

__all__ = ["BatchGate", "PacedGate"]


@frozen(kw_only=True, eq=False)
class PacedGate:
    """For requests that are made at once: they wait for the rate limits, and for a cold prompt cache.

    Attributes:
        pacer: Knows the rate limits.
        account: Whose they are, without the key.
        warmer: Lets one request warm the cache.
    """

    pacer: Pacer
    account: str
    warmer: CacheWarmer

    @property
    def together(self) -> bool:
        """Yes: the pacer lets nobody through meanwhile."""
        return True

    @asynccontextmanager
    async def passage(self, question: Question, tally: Tally, /) -> AsyncGenerator[Passage, None]:
        """Wait with the item's time standing still, since what is waited for is the API's limit."""
        params, prefix = question.params, question.prefix
        async with AsyncExitStack() as stack:
            with tally.work.untimed():
                begun: Callable[[], None] = _nothing
                if prefix.worthwhile:
                    begun = await stack.enter_async_context(self.warmer.turn(prefix.key))
                cached = prefix.tokens if self.warmer.is_warm(prefix.key) else 0
                turn = await self.pacer.take(
                    self.account,
                    params["model"],
                    input_tokens=max(1, question.tokens - cached),
                    output_tokens=params["max_tokens"],
                )
            stack.enter_context(turn)
            yield _PacedPassage(turn=turn, warmed=begun, warmer=self.warmer, key=prefix.key)


@frozen(kw_only=True, eq=False)
class _PacedPassage:
    turn: Turn
    warmed: Callable[[], None]
    warmer: CacheWarmer
    key: str

    def begun(self, headers: Mapping[str, str], /) -> None:
        self.warmed()
        if headers:
            self.turn.began(headers)

    def answered(self, answer: Answer, /) -> None:
        tokens = answer.reply.tokens
        self.turn.answered(
            answer.headers,
            input_tokens=tokens.input + tokens.cache_write,
            output_tokens=tokens.output,
            cached_tokens=tokens.cache_read,
        )
        if not tokens.cache_write and not tokens.cache_read:
            self.warmer.not_cached(self.key)

    def failed(self, failure: Failure, /) -> None:
        if failure.kind in (FailureKind.RATE_LIMIT, FailureKind.OVERLOAD):
            self.turn.refused(failure.headers, retry_after=failure.retry_after)
        elif failure.unbilled and failure.status is not None:
            self.turn.failed(failure.headers)


@frozen(eq=False)
class BatchGate:
    """For requests that wait in a batch: the item stands aside meanwhile."""

    @property
    def together(self) -> bool:
        """No: each request that is refused waits by itself."""
        return False

    @asynccontextmanager
    async def passage(self, question: Question, tally: Tally, /) -> AsyncGenerator[Passage, None]:
        """Let another item have the slot."""
        async with tally.work.aside():
            yield _Open()


class _Open:
    def begun(self, headers: Mapping[str, str], /) -> None:
        pass

    def answered(self, answer: Answer, /) -> None:
        pass

    def failed(self, failure: Failure, /) -> None:
        pass


def _nothing() -> None:
    pass
