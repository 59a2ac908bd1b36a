"""Counting input tokens, again where that may help."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from attrs import evolve

from .._clock import Clock
from ._retries import Attempts, RetryPolicy, decide
from ._transport import AttemptFailed, FailureKind

__all__ = ["counted"]


async def counted(count: Callable[[], Awaitable[int]], *, policy: RetryPolicy, clock: Clock, rng: random.Random) -> int:
    """Count until there is an answer, or no further attempt is worth it.

    The endpoint has rate limits of its own, which nobody paces, so each request waits them out by itself.

    Args:
        count: Makes one attempt; raises `AttemptFailed` if there is no answer.
        policy: How often. What bounds a run, its cost and its repetitions, does not bound this, which is free.
        clock: By which pauses are measured.
        rng: Draws the pauses.

    Raises:
        AnalyzerError: There is no answer.
        ConfigurationError: There would be none for any other request.
    """
    free = evolve(policy, cost=None, run_attempts=None)
    began, limited, attempts = clock.now(), 0.0, Attempts()
    while True:
        try:
            return await count()
        except AttemptFailed as failed:
            failure = failed.failure
        attempts = evolve(attempts.after(failure), elapsed=clock.now() - began - limited)
        decision = decide(free, attempts, failure, draw=rng.random(), together=False)
        if not decision.again:
            raise failure.error
        if failure.kind is not FailureKind.TRANSIENT:
            limited += decision.wait_seconds
        await clock.sleep(decision.wait_seconds)
