"""Requests that wait for their turn before the API has to refuse them."""

from __future__ import annotations

import math
import random as randoms
from collections.abc import Mapping
from types import TracebackType

import anyio
from anyio import CapacityLimiter

from ._clock import Clock
from ._errors import ConfigurationError, InvalidValue
from ._pacing import Flight, Limits
from ._rate_limits import BucketStatus, LimitStatus, model_family

__all__ = ["BucketStatus", "Clock", "LimitStatus", "Pacer", "Turn", "default_pacer", "model_family"]


class Turn:
    """A request's leave to be sent. Say what became of it; the first word counts.

    Use it as a context manager: leaving it without a word means that nothing is known, as when the connection broke or
    the work was cancelled. Then the input counts as used and the output does not.

    Attributes:
        waited_seconds: How long it took to get it, by the pacer's clock.
    """

    __slots__ = ("_began", "_flight", "_limits", "_over", "waited_seconds")

    def __init__(self, limits: Limits, flight: Flight, waited_seconds: float) -> None:
        self.waited_seconds = waited_seconds
        self._limits = limits
        self._flight = flight
        self._began = False
        self._over = False

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._first_word():
            sent = self._flight.sent
            self._limits.end(self._flight, {}, lambda limit, now: limit.lost(sent, now))

    def __repr__(self) -> str:
        state = "over" if self._over else "in flight"
        return f"Turn({self._flight.queue.family}, {state}, waited_seconds={self.waited_seconds:.3f})"

    def began(self, headers: Mapping[str, str]) -> None:
        """The answer begins to come: for streams, whose headers would be old at their end.

        Args:
            headers: The answer's, by lower-case name. `answered` then does not read them again.
        """
        if self._over or self._began:
            return
        self._began = True
        sent = self._flight.sent
        self._limits.tell(self._flight, headers, lambda limit, now: limit.began(sent, headers, now))

    def answered(
        self, headers: Mapping[str, str], *, input_tokens: int, output_tokens: int, cached_tokens: int = 0
    ) -> None:
        """The request succeeded.

        Args:
            headers: The answer's, by lower-case name.
            input_tokens: What counts to the limit: fresh input and what was written to the prompt cache.
            output_tokens: What was produced.
            cached_tokens: What was read from the prompt cache; it counts to no limit.
        """
        if not self._first_word():
            return
        sent, told = self._flight.sent, dict[str, str]() if self._began else headers
        self._limits.end(
            self._flight, headers, lambda limit, now: limit.answered(sent, told, input_tokens, output_tokens, now)
        )
        # Where requests wait for the rate limit, more of them at once would not help.
        self._limits.adapt(grow=not self._flight.queue.current().waiters)

    def refused(self, headers: Mapping[str, str], *, retry_after: float | None) -> None:
        """The request was turned away, with 429 because of the limit or with 529 because of overload.

        Everyone who shares the limit pauses. The request itself takes another turn when it is made again.

        Args:
            headers: The answer's, by lower-case name.
            retry_after: What the API asked to wait in seconds; None if it did not: then the pause is a random one, of
                at most a second the first time, twice as long each further time, and a minute in the end.

        Raises:
            ConfigurationError: `retry_after` is neither None nor a number of at least 0.
        """
        if retry_after is not None and not _is_wait(retry_after):
            raise InvalidValue("retry_after must be a number of seconds of at least 0, or None.")
        if self._first_word():
            self._limits.refuse(self._flight, headers, retry_after)

    def failed(self, headers: Mapping[str, str] | None = None) -> None:
        """The request failed in another way and used nothing, as with the statuses 400 and 500.

        Args:
            headers: The answer's, by lower-case name.
        """
        if self._first_word():
            sent, told = self._flight.sent, headers or dict[str, str]()
            self._limits.end(self._flight, told, lambda limit, now: limit.failed(sent, told, now))

    def _first_word(self) -> bool:
        first, self._over = not self._over, True
        return first


class Pacer:
    """Lets requests go as fast as the API's rate limits allow, and no faster.

    It learns the limits from the headers of the answers, and keeps them for each account and family of models. It can
    be shared by any number of runs, clients, threads and event loops; requests with the same limit go in the order of
    their arrival. It holds no API key.

    Args:
        clock: The time in which it waits; for tests.
        random: Where the random pauses are drawn from; for tests.

    Attributes:
        clock: The time in which it waits.

    Raises:
        ConfigurationError: An argument is something else.
    """

    clock: Clock

    def __init__(self, *, clock: Clock | None = None, random: randoms.Random | None = None) -> None:
        _check("clock", clock, Clock)
        _check("random", random, randoms.Random)
        self.clock = Clock() if clock is None else clock
        self._limits = Limits(self.clock, randoms.Random() if random is None else random)  # noqa: S311 - not a secret

    def __repr__(self) -> str:
        return "Pacer({} limits, {} requests in flight, {} waiting)".format(*self._limits.counts())

    def adapt(self, limiter: CapacityLimiter, *, minimum: int = 1, maximum: int) -> None:
        """Let a limiter of concurrency follow how the API does.

        Its ``total_tokens`` grows by one with each success while somebody waits for the limiter and nobody for the
        rate limit, and is halved with each pause that a refusal begins. A limiter belongs to one event loop: call this
        inside it. The limiter changes only when requests of that loop take their turns or end, and follows all of the
        pacer's pauses. It is let go when nobody else holds it.

        Args:
            limiter: The limiter. Its size is brought between the bounds at once.
            minimum: What it never goes below, at least 1.
            maximum: What it never goes beyond.

        Raises:
            ConfigurationError: It is no limiter, or the bounds are no whole numbers with 1 <= minimum <= maximum.
        """
        if not isinstance(limiter, CapacityLimiter):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"limiter must be an anyio.CapacityLimiter, not {type(limiter).__name__}.")
        if type(minimum) is not int or type(maximum) is not int or not 1 <= minimum <= maximum:
            raise ConfigurationError("minimum and maximum must be whole numbers with 1 <= minimum <= maximum.")
        self._limits.add(limiter, minimum, maximum)

    async def take(self, account: str, model: str, *, input_tokens: int, output_tokens: int) -> Turn:
        """Wait until a request may be sent. Where it may at once, this does not yield to the event loop.

        Args:
            account: Whose limit it is, as any text that is the same for the same API key. It is kept; never pass the
                key itself.
            model: The model that is asked.
            input_tokens: How many tokens the input is estimated to have.
            output_tokens: How many may be produced at most.

        Returns:
            The turn. It is to be used at once, and to be told what became of the request.

        Raises:
            ConfigurationError: `account` or `model` is no text, or tokens are no whole number of at least 0.
        """
        _check_request(account, model, input_tokens=input_tokens, output_tokens=output_tokens)
        begun = self.clock.now()
        self._limits.adapt()
        waiter = self._limits.enter(account, model, input_tokens, output_tokens)
        try:
            flight = self._limits.go(waiter)
            while flight is None:
                with anyio.move_on_after((waiter.wakes_at - self.clock.now()) / self.clock.speed):
                    await waiter.event.wait()
                flight = self._limits.go(waiter)
        except BaseException:
            self._limits.leave(waiter)
            raise
        return Turn(self._limits, flight, self.clock.now() - begun)

    def limits(self, account: str, model: str) -> LimitStatus:
        """How it stands with the limit of an account for a model; empty if nothing is known of it.

        Args:
            account: As with `take`.
            model: As with `take`.
        """
        return self._limits.status(account, model)

    def all_limits(self) -> tuple[LimitStatus, ...]:
        """How it stands with every limit that was used, in the order of their first use."""
        return self._limits.statuses()


def _check(name: str, value: object, kind: type[object]) -> None:
    if value is not None and not isinstance(value, kind):
        raise InvalidValue(f"{name} must be {kind.__name__} or None, not {type(value).__name__}.")


def _check_request(account: object, model: object, **tokens: object) -> None:
    for name, text in (("account", account), ("model", model)):
        if not isinstance(text, str):
            raise InvalidValue(f"{name} must be text, not {type(text).__name__}.")
    for name, number in tokens.items():
        if type(number) is not int or number < 0:
            raise InvalidValue(f"{name} must be a whole number of at least 0.")


def _is_wait(seconds: object) -> bool:
    return isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 <= seconds < math.inf


_DEFAULT = Pacer()


def default_pacer() -> Pacer:
    """The pacer of this process, which every analyzer shares that is given no other."""
    return _DEFAULT
