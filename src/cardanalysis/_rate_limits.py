"""What is left of the API's rate limits, and when the next request may go.

Everything here is pure: time and luck come in by argument, time in seconds of any clock that never goes back. How the
API counts is from the public documentation, August 2026: each limit is a bucket that holds one minute's worth and is
refilled continuously; input read from the prompt cache is free; output counts as produced, whatever ``max_tokens``
allows; sharp ramps are refused too; every answer tells what remains, tokens rounded to thousands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field, frozen

from ._buckets import (
    FIRST_WINDOW,
    INPUT,
    OUTPUT,
    REQUESTS,
    RESOURCES,
    TOKENS,
    Amounts,
    Bucket,
    Estimates,
    Pause,
    Window,
    amounts,
)

__all__ = [
    "BucketStatus",
    "Limit",
    "LimitStatus",
    "Told",
    "adapted_total",
    "model_family",
    "read_home",
    "read_limits",
]

# --- what the API says ----------------------------------------------------------------------------------------------

_SHARED: Final = re.compile(r"claude-(?:opus-4|sonnet-4|fable-5)(?=-|$)")
_SNAPSHOT: Final = re.compile(r"-\d{8}$")


def model_family(model: str) -> str:
    """The models with which a model shares its limits.

    As the public documentation has it (August 2026), Opus 4.x share one limit, and so do Sonnet 4.x and Fable 5.x;
    every other model has its own, whichever snapshot of it.

    >>> model_family("claude-sonnet-4-5-20250929"), model_family("claude-haiku-4-5-20251001")
    ('claude-sonnet-4', 'claude-haiku-4-5')
    """
    shared = _SHARED.match(model)
    return shared[0] if shared else _SNAPSHOT.sub("", model)


@frozen
class Told:
    """What an answer's headers say of one resource; None for what they leave out."""

    limit: int | None
    remaining: int | None


_NUMBER: Final = re.compile(r"[0-9]{1,15}")
"""More digits than that are no limit that anybody has."""


def _number(value: object, least: int) -> int | None:
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if _NUMBER.fullmatch(text) and int(text) >= least else None


def read_limits(headers: Mapping[str, str]) -> dict[str, Told]:
    """The limits of which headers tell, by resource. What makes no sense counts as not told.

    Args:
        headers: By lower-case name.
    """
    found: dict[str, Told] = {}
    for name in RESOURCES:
        limit = _number(headers.get(f"anthropic-ratelimit-{name}-limit"), 1)
        remaining = _number(headers.get(f"anthropic-ratelimit-{name}-remaining"), 0)
        if limit is not None or remaining is not None:
            found[name] = Told(limit, remaining)
    return found


_LONGEST_ID: Final = 200


def read_home(headers: Mapping[str, str]) -> str | None:
    """Whose limit it is: the workspace's, or else the organization's; None if the headers do not tell."""
    for name in ("anthropic-workspace-id", "anthropic-organization-id"):
        value: object = headers.get(name)
        if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID:
            return f"{name}:{value}"
    return None


def _bounds(name: str, told: Told, capacity: float) -> tuple[float, float]:
    """Between what and what the true level was when the API told it."""
    shown = capacity if told.remaining is None else min(told.remaining, capacity)
    if name == REQUESTS:
        return shown, min(capacity, shown + 1)  # a fraction of a request is not shown
    # Rounded to thousands. Where that is little, the lower end is taken; where it is much, one would only wait.
    return max(0.0, shown - 500), max(0.0, shown - 500) if capacity >= 50_000 else min(capacity, shown + 500)


# --- one limit, with all that belongs to it -------------------------------------------------------------------------


@frozen(kw_only=True)
class BucketStatus:
    """What is known of one resource of a limit.

    Attributes:
        limit: What may be used per minute.
        remaining: What may be used at once, without what requests in flight are expected to use; below zero when they
            used more than expected.
    """

    limit: int
    remaining: int


@frozen(kw_only=True)
class LimitStatus:
    """How it stands with one limit.

    Attributes:
        family: The models that share it.
        requests: Requests; None as long as no answer told of them.
        input_tokens: Input tokens, without those read from the prompt cache; None likewise.
        output_tokens: Output tokens; None likewise.
        tokens: Tokens of both kinds, to the tightest limit in force; None likewise.
        paused_seconds: How long nothing is sent because the API refused a request; 0 if there is no pause.
        in_flight: Requests that took their turn and have no outcome yet.
        waiting: Requests that wait for their turn.
        window: How many requests may be in flight at present.
        input_factor: By what estimates of the input are multiplied.
        output_mean: What is expected to be produced for a request; None as long as nothing was.
    """

    family: str
    requests: BucketStatus | None = None
    input_tokens: BucketStatus | None = None
    output_tokens: BucketStatus | None = None
    tokens: BucketStatus | None = None
    paused_seconds: float = 0.0
    in_flight: int = 0
    waiting: int = 0
    window: int = int(FIRST_WINDOW)
    input_factor: float = 1.0
    output_mean: float | None = None


def _nothing() -> dict[str, float]:
    return dict.fromkeys(RESOURCES, 0.0)


@frozen(eq=False)
class Sent:
    """A request in flight.

    Attributes:
        amounts: What was taken for it.
        estimated_input: What its maker said.
        mark: The mark of the newest pause when it was sent.
        finished: What the limit's finished requests had used by then.
    """

    amounts: Amounts
    estimated_input: int
    mark: object
    finished: Amounts


@define(eq=False)
class Limit:
    """The limit of one family of models in one workspace: its buckets, window and pause, and what requests use.

    A bucket is unknown, and limits nothing, until an answer tells of it.
    """

    buckets: dict[str, Bucket] = field(factory=dict[str, Bucket])
    window: Window = field(factory=Window)
    pause: Pause = field(factory=Pause)
    estimates: Estimates = field(factory=Estimates)
    in_flight: int = 0
    _outstanding: dict[str, float] = field(factory=_nothing)
    _finished: dict[str, float] = field(factory=_nothing)

    def delay(self, input_tokens: int, output_tokens: int, now: float) -> float:
        """Seconds until a request may go; infinite if only the end of another one helps."""
        needed = self.estimates.amounts(input_tokens, output_tokens)
        known = [(bucket, needed[name]) for name, bucket in self.buckets.items()]
        oversize = any(amount > bucket.capacity for bucket, amount in known)
        if self.in_flight and (oversize or self.in_flight >= int(self.window.size)):
            return math.inf
        return max(0.0, self.pause.until - now, *(bucket.delay(amount, now) for bucket, amount in known))

    def send(self, input_tokens: int, output_tokens: int, now: float) -> Sent:
        """Take what a request needs, after `delay` said that it may go."""
        needed = self.estimates.amounts(input_tokens, output_tokens)
        self.in_flight += 1
        self._take(needed, now)
        self._hold(needed, 1)
        return Sent(needed, input_tokens, self.pause.mark, dict(self._finished))

    def began(self, sent: Sent, headers: Mapping[str, str], now: float) -> None:
        """The headers of a request in flight came, before its answer is complete."""
        self._sync(sent, headers, now)

    def answered(
        self, sent: Sent, headers: Mapping[str, str], input_tokens: int, output_tokens: int, now: float
    ) -> None:
        """A request succeeded and used so much."""
        self.window.succeeded(self.in_flight)
        self.pause.succeeded(sent.mark)
        self._end(sent, amounts(input_tokens, output_tokens), headers, now)
        self.estimates.learn(sent.estimated_input, input_tokens, output_tokens)

    def refused(
        self, sent: Sent, headers: Mapping[str, str], retry_after: float | None, draw: float, now: float
    ) -> bool:
        """A request was turned away because of the limit or of overload. Tells whether a new pause began."""
        again = self.pause.in_a_row > 0
        new = self.pause.refused(sent.mark, retry_after, draw, now)
        if new:
            self.window.overloaded(self.in_flight, again=again)
        self.failed(sent, headers, now)
        if new:
            for bucket in self.buckets.values():
                bucket.ran_dry(now)
        return new

    def failed(self, sent: Sent, headers: Mapping[str, str], now: float) -> None:
        """A request failed and used nothing."""
        self._end(sent, _nothing(), headers, now)

    def lost(self, sent: Sent, now: float) -> None:
        """Nobody knows what became of a request: its input may have been counted."""
        self._end(sent, amounts(sent.amounts[INPUT], 0), {}, now)

    def absorb(self, other: Limit) -> None:
        """Take over what belongs to a limit that turned out to be the same one."""
        others = other._outstanding
        for name in RESOURCES:
            if name in self.buckets:
                self.buckets[name].level -= others[name]
            elif name in other.buckets:
                self.buckets[name] = evolve(
                    other.buckets[name], level=other.buckets[name].level - self._outstanding[name]
                )
            self._outstanding[name] += others[name]
        self._hold_output()
        self.in_flight += other.in_flight
        self.pause.until = max(self.pause.until, other.pause.until)

    def status(self, family: str, waiting: int, now: float) -> LimitStatus:
        """How it stands, for people."""
        shown: dict[str, Any] = {
            name.replace("-", "_"): BucketStatus(limit=int(bucket.capacity), remaining=math.floor(bucket.refill(now)))
            for name, bucket in self.buckets.items()
        }
        return LimitStatus(
            family=family,
            paused_seconds=max(0.0, self.pause.until - now),
            in_flight=self.in_flight,
            waiting=waiting,
            window=int(self.window.size),
            input_factor=self.estimates.factor,
            output_mean=self.estimates.output if self.estimates.count else None,
            **shown,
        )

    def _end(self, sent: Sent, used: Amounts, headers: Mapping[str, str], now: float) -> None:
        self.in_flight -= 1
        self._take({name: used[name] - sent.amounts[name] for name in RESOURCES}, now)
        self._hold(sent.amounts, -1)
        self._sync(sent, headers, now)
        for name in RESOURCES:
            self._finished[name] += used[name]

    def _take(self, taken: Amounts, now: float) -> None:
        for name, bucket in self.buckets.items():
            bucket.refill(now)
            bucket.level -= taken[name]

    def _hold(self, held: Amounts, sign: int) -> None:
        for name in RESOURCES:
            # With nothing in flight, away with what the rounding of floats left.
            self._outstanding[name] = self._outstanding[name] + sign * held[name] if self.in_flight else 0.0
        self._hold_output()

    def _hold_output(self) -> None:
        for name in (OUTPUT, TOKENS):
            if name in self.buckets:
                self.buckets[name].held = self._outstanding[OUTPUT]

    def _sync(self, sent: Sent, headers: Mapping[str, str], now: float) -> None:
        """Believe what the API says, as far as it can know.

        It may or may not have counted what is still in flight, and what ended since the request was sent: how old the
        headers are is not known. So the truth lies between what they say and that without those requests.
        """
        for name, told in read_limits(headers).items():
            bucket = self.buckets.get(name)
            capacity = told.limit or (bucket.capacity if bucket else None)
            if capacity is None:
                continue
            lowest, highest = _bounds(name, told, capacity)
            lowest -= self._outstanding[name] + max(0.0, self._finished[name] - sent.finished[name])
            if bucket is None:
                self.buckets[name] = Bucket(capacity, lowest, now)
                self._hold_output()
                continue
            bucket.refill(now)
            bucket.capacity = capacity
            if told.remaining is not None:
                bucket.correct(lowest, highest, now)


def adapted_total(total: float, minimum: int, maximum: int, *, grow: bool, pauses: int) -> int:
    """The next size of a limiter of concurrency.

    Args:
        total: Its size now.
        minimum: The least that it may be.
        maximum: The most.
        grow: Whether a request succeeded while others waited for the limiter only.
        pauses: How many pauses for overload began.
    """
    size = int(min(total, maximum))
    for _ in range(min(pauses, 64)):
        size //= 2
    return max(minimum, min(maximum, size + 1 if grow and not pauses else size))
