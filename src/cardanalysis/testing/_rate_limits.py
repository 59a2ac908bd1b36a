"""The API's rate limits: token buckets that are refilled all the time, and the headers that tell of them.

Everything here is pure: the time is an argument, in seconds of any clock that never goes back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from attrs import Attribute, define, field, frozen

__all__ = ["RateLimiter", "RateLimits", "TokenBucket", "limit_class"]


def _at_least_one(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ValueError(f"{attribute.name} must be a whole number of at least 1, not {value!r}.")


@frozen(kw_only=True)
class RateLimits:
    """How much one organization may ask for, for each class of models.

    Each limit is a bucket that holds one minute's worth, begins full, and is refilled continuously. The defaults are
    those of the API's Start tier.

    Attributes:
        requests_per_minute: Requests, at least 1.
        input_tokens_per_minute: Input tokens, at least 1; tokens read from the cache are free.
        output_tokens_per_minute: Output tokens that were really produced, at least 1; ``max_tokens`` does not matter.
    """

    requests_per_minute: int = field(default=1_000, validator=_at_least_one)
    input_tokens_per_minute: int = field(default=2_000_000, validator=_at_least_one)
    output_tokens_per_minute: int = field(default=400_000, validator=_at_least_one)


@define
class TokenBucket:
    """A bucket that holds one minute's worth and is refilled continuously.

    Attributes:
        capacity: What it holds when full, which is also what flows in per minute.
        level: What it held at `measured_at`; below zero when more was taken than there was.
        measured_at: When, in seconds.
    """

    capacity: int
    level: float
    measured_at: float

    @classmethod
    def full(cls, per_minute: int, now: float) -> TokenBucket:
        """A full bucket."""
        return cls(per_minute, per_minute, now)

    def refill(self, now: float) -> float:
        """Let flow in what is due, and return the level."""
        self.level = min(self.capacity, self.level + (now - self.measured_at) * self.capacity / 60)
        self.measured_at = now
        return self.level

    def take(self, amount: float, now: float) -> None:
        """Take an amount, more than there is if need be."""
        self.level = self.refill(now) - amount

    def seconds_until(self, level: float, now: float) -> float:
        """How long until it holds a level, or is full if that comes first."""
        missing = min(level, self.capacity) - self.refill(now)
        return max(0.0, missing * 60 / self.capacity)


_REQUESTS, _INPUT, _OUTPUT = "requests", "input-tokens", "output-tokens"

_ROUNDING = 1e-6
"""What a level may lack by the rounding of floats alone."""


class RateLimiter:
    """The three buckets of one class of models.

    Args:
        limits: What they hold.
        now: The time at which they are full.
    """

    def __init__(self, limits: RateLimits, now: float) -> None:
        self._buckets = {
            _REQUESTS: TokenBucket.full(limits.requests_per_minute, now),
            _INPUT: TokenBucket.full(limits.input_tokens_per_minute, now),
            _OUTPUT: TokenBucket.full(limits.output_tokens_per_minute, now),
        }

    def refusal(self, input_tokens: int, now: float) -> tuple[str, int] | None:
        """Why a request would be refused and after how many seconds to try again, or None if it may pass.

        Args:
            input_tokens: What the request is estimated to need.
            now: The time, in seconds.
        """
        needed = {_REQUESTS: 1, _INPUT: input_tokens, _OUTPUT: 1}
        short = {name: need for name, need in needed.items() if self._buckets[name].refill(now) + _ROUNDING < need}
        if not short:
            return None
        name = next(iter(short))
        wait = max(self._buckets[name].seconds_until(need, now) for name, need in short.items())
        limit = f"{self._buckets[name].capacity:,} {name.replace('-', ' ')} per minute"
        return f"This request would exceed your organization's rate limit of {limit}.", max(1, math.ceil(wait))

    def begin(self, input_tokens: int, now: float) -> None:
        """Count a request that passed, with the input it is estimated to need."""
        self.use(1, input_tokens, 0, now)

    def finish(self, extra_input_tokens: int, output_tokens: int, now: float) -> None:
        """Count what was produced, and correct the estimate of the input by what it was short of."""
        self.use(0, extra_input_tokens, output_tokens, now)

    def use(self, requests: int, input_tokens: int, output_tokens: int, now: float) -> None:
        """Take from the buckets, more than there is if need be."""
        self._buckets[_REQUESTS].take(requests, now)
        self._buckets[_INPUT].take(input_tokens, now)
        self._buckets[_OUTPUT].take(output_tokens, now)

    def headers(self, now: float, epoch: float) -> Iterator[tuple[str, str]]:
        """The twelve ``anthropic-ratelimit-*`` headers.

        Args:
            now: The time, in seconds.
            epoch: What to add to that time to have seconds since 1970.
        """
        full_at: dict[str, float] = {}
        for name, bucket in self._buckets.items():
            full_at[name] = now + epoch + bucket.seconds_until(bucket.capacity, now)
            yield from _headers(name, bucket.capacity, bucket.level, full_at[name])
        inputs, outputs = self._buckets[_INPUT], self._buckets[_OUTPUT]
        level = max(0.0, inputs.level) + max(0.0, outputs.level)
        latest = max(full_at[_INPUT], full_at[_OUTPUT])
        yield from _headers("tokens", inputs.capacity + outputs.capacity, level, latest)


def _headers(name: str, capacity: int, level: float, full_at: float) -> Iterator[tuple[str, str]]:
    remaining = max(0, math.floor(level))
    shown = remaining if name == _REQUESTS else min(capacity, round(remaining, -3))
    yield f"anthropic-ratelimit-{name}-limit", str(capacity)
    yield f"anthropic-ratelimit-{name}-remaining", str(shown)
    yield f"anthropic-ratelimit-{name}-reset", _timestamp(math.ceil(full_at))


@lru_cache
def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_SHARED = re.compile(r"claude-(?:opus-4|sonnet-4|fable-5)(?=-|$)")
_SNAPSHOT = re.compile(r"-\d{8}$")


def limit_class(model: str) -> str:
    """The class of models whose limits a model shares: Opus 4.x, Sonnet 4.x, Fable 5.x, or else its own."""
    shared = _SHARED.match(model)
    return shared[0] if shared else _SNAPSHOT.sub("", model)
