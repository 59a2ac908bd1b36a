"""What a rate limit is made of: buckets, a window, a pause, and what requests use on the average.

Everything here is pure: time and luck come in by argument, time in seconds of any clock that never goes back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from attrs import define, field

__all__ = [
    "FIRST_WINDOW",
    "INPUT",
    "OUTPUT",
    "REQUESTS",
    "RESOURCES",
    "TOKENS",
    "Amounts",
    "Bucket",
    "Estimates",
    "Pause",
    "Window",
    "amounts",
]

REQUESTS, INPUT, OUTPUT, TOKENS = "requests", "input-tokens", "output-tokens", "tokens"
RESOURCES: Final = (REQUESTS, INPUT, OUTPUT, TOKENS)

Amounts = Mapping[str, float]
"""How much of each resource."""


def amounts(input_tokens: float, output_tokens: float, *, requests: int = 1) -> dict[str, float]:
    """What a request uses. The API's plain "tokens" are the tightest limit in force; both kinds count to it."""
    return {REQUESTS: requests, INPUT: input_tokens, OUTPUT: output_tokens, TOKENS: input_tokens + output_tokens}


# --- one bucket -----------------------------------------------------------------------------------------------------

_REFILL: Final = 60.0
"""Seconds in which an empty bucket becomes full."""
_LARGEST_RESERVE: Final = 0.1
_RESERVE_OF_A_REFUSAL: Final = 0.05
_LARGEST_AFTER_REFUSALS: Final = 0.25
_RESERVE_HALVED: Final = 180.0


@define
class Bucket:
    """What remains of one resource, as far as it can be known from here.

    Attributes:
        capacity: What it holds when full, which is also what flows in per minute.
        level: What it held at `measured_at`, without what requests in flight may still use; below zero when more was
            used than there was.
        measured_at: When, in seconds.
        reserve: What is left in it for others who use the same limit: as much as was missing at once when an answer
            told so, and more with each refusal. It is halved every three minutes.
        held: What requests in flight will use only at their end. Until then the API's own bucket is that much fuller,
            and what flows over there cannot be used here.
    """

    capacity: float
    level: float
    measured_at: float
    reserve: float = 0.0
    held: float = 0.0

    def refill(self, now: float) -> float:
        """Let flow in what is due, and return the level."""
        seconds = max(0.0, now - self.measured_at)
        flown = self.level + seconds * self.capacity / _REFILL
        self.level = max(min(self.level, self.capacity), min(self.capacity - self.held, flown))
        self.reserve *= 0.5 ** (seconds / _RESERVE_HALVED)
        self.measured_at = max(now, self.measured_at)
        return self.level

    def delay(self, amount: float, now: float) -> float:
        """Seconds until an amount can be taken; one larger than the bucket is taken when that is full."""
        level = self.refill(now)
        return max(0.0, (min(amount + self.reserve, self.capacity) - level) * _REFILL / self.capacity)

    def correct(self, lowest: float, highest: float, now: float) -> None:
        """Bring the level between two bounds. If it was too high, others use the bucket too."""
        level = self.refill(now)
        self.reserve = max(self.reserve, min(level - highest, self.capacity * _LARGEST_RESERVE))
        self.level = max(lowest, min(level, highest))

    def ran_dry(self, now: float) -> None:
        """Leave more to others, if there was so little in it that this was why a request was refused."""
        step = self.capacity * _RESERVE_OF_A_REFUSAL
        if self.refill(now) < step:
            self.reserve = min(self.reserve + step, self.capacity * _LARGEST_AFTER_REFUSALS)


# --- how fast to begin ----------------------------------------------------------------------------------------------

FIRST_WINDOW: Final = 8.0
LONGEST_BACKOFF: Final = 60.0


@define
class Window:
    """How many requests may be in flight: few at first and more with each success, since sharp ramps are refused.

    Attributes:
        size: How many, rounded down.
        threshold: From which size on it grows by one for each windowful of successes only.
    """

    size: float = FIRST_WINDOW
    threshold: float = math.inf

    def succeeded(self, in_flight: int) -> None:
        """Grow, if it is needed at all: while it is far from used, nothing shows that more would be well."""
        if in_flight * 2 >= self.size:
            self.size += 1 if self.size < self.threshold else 1 / self.size

    def overloaded(self, in_flight: int, *, again: bool) -> None:
        """Begin anew with half of what was in flight, and grow fast only up to what it was before.

        Args:
            in_flight: Requests in flight when it happened.
            again: Whether nothing succeeded since the last time.
        """
        if not again:
            self.threshold = self.size
        self.size = max(1.0, min(self.size, float(in_flight // 2)))


@define
class Pause:
    """The time in which nobody who shares a limit sends anything.

    Attributes:
        until: Its end; in the past if there is none now.
        mark: Another one for each pause, by which requests sent before it are known.
        in_a_row: How many there were since the last success.
    """

    until: float = -math.inf
    mark: object = field(factory=object)
    in_a_row: int = 0

    def refused(self, mark: object, retry_after: float | None, draw: float, now: float) -> bool:
        """Begin a pause, or lengthen the one that the request was sent before.

        Args:
            mark: The mark when the request was sent.
            retry_after: What the API asks to wait in seconds, if anything.
            draw: A random number from 0 to 1.
            now: The time.

        Returns:
            Whether it is a new pause.
        """
        told = retry_after if retry_after is not None and 0 < retry_after < math.inf else None
        new = mark is self.mark
        if new:
            self.mark = object()
            self.in_a_row += 1
        if told is not None:
            self.until = max(self.until, now + told)
        elif new:  # full jitter, from 1 s on; the exponent is bounded, since a float is not
            longest = min(LONGEST_BACKOFF, 2.0 ** min(self.in_a_row - 1, 64))
            self.until = max(self.until, now + draw * longest)
        return new

    def succeeded(self, mark: object) -> None:
        """A request succeeded; if it was sent after the newest pause, that one is over for good."""
        if mark is self.mark:
            self.in_a_row = 0


# --- what requests really use ---------------------------------------------------------------------------------------

_MEMORY: Final = 20
"""Over how many requests is averaged."""


@define
class Estimates:
    """What the requests of a family of models used so far, on the average.

    Attributes:
        count: How many are known, at most as many as are averaged.
        estimated_input: What they were estimated to need.
        input: What they counted with.
        output: What they produced.
    """

    count: int = 0
    estimated_input: float = 0.0
    input: float = 0.0
    output: float = 0.0

    @property
    def factor(self) -> float:
        """By what an estimate of the input is wrong."""
        return self.input / self.estimated_input if self.estimated_input > 0 else 1.0

    def amounts(self, input_tokens: int, output_tokens: int) -> dict[str, float]:
        """What a request will use, from what its maker says."""
        output = min(output_tokens, self.output) if self.count else output_tokens
        return amounts(max(0, input_tokens) * self.factor, max(0, output))

    def learn(self, estimated_input: int, input_tokens: int, output_tokens: int) -> None:
        """Take in what a request used."""
        self.count = min(self.count + 1, _MEMORY)
        self.estimated_input += (max(0, estimated_input) - self.estimated_input) / self.count
        self.input += (input_tokens - self.input) / self.count
        self.output += (output_tokens - self.output) / self.count
