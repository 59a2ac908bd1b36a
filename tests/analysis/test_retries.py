"""Whether a failed request is made again, and when."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._errors import AnalyzerError, ConfigurationError
from cardanalysis.analysis._retries import Attempts, RetryPolicy, decide
from cardanalysis.analysis._transport import Failure, FailureKind

LIMITS = (FailureKind.RATE_LIMIT, FailureKind.OVERLOAD)


def failed(kind: FailureKind, **facts: Any) -> Failure:
    return Failure(kind=kind, error=AnalyzerError("no"), **facts)


policies = st.builds(
    RetryPolicy,
    attempts=st.integers(1, 9),
    rate_limits=st.integers(0, 9),
    seconds=st.none() | st.floats(0.1, 1e4),
    cost=st.none() | st.floats(0, 10),
    run_attempts=st.none() | st.integers(0, 9),
    first_delay=st.floats(0.001, 100),
    longest_delay=st.floats(0.001, 1000),
)
attempts = st.builds(
    Attempts,
    failed=st.integers(0, 5000),
    limited=st.integers(0, 12),
    elapsed=st.floats(0, 2e4),
    spent=st.none() | st.floats(0, 20),
    in_run=st.integers(0, 12),
)
draws = st.floats(0, 1)
waits = st.none() | st.floats(0.001, 1e5)


@given(policies, attempts, st.sampled_from([FailureKind.FINAL, FailureKind.TOO_LONG]), waits, draws)
def test_what_nothing_mends_is_never_tried_again(
    policy: RetryPolicy, tried: Attempts, kind: FailureKind, retry_after: float | None, draw: float
) -> None:
    """Whatever is left of the bounds, and whatever the API asks to wait."""
    decision = decide(policy, tried, failed(kind, retry_after=retry_after), draw=draw)
    assert (decision.again, decision.reason, decision.wait_seconds) == (False, "not_retryable", 0.0)


@given(policies, attempts, st.sampled_from(FailureKind), waits, draws)
def test_every_refusal_has_a_reason_and_every_repetition_has_none(
    policy: RetryPolicy, tried: Attempts, kind: FailureKind, retry_after: float | None, draw: float
) -> None:
    """Nothing waits in vain, and no pause is negative."""
    decision = decide(policy, tried, failed(kind, retry_after=retry_after), draw=draw)
    assert bool(decision.reason) is not decision.again
    assert decision.wait_seconds >= 0
    assert decision.again or decision.wait_seconds == 0


@given(policies, attempts, st.floats(0.001, 1e5), draws)
def test_what_the_api_asks_to_wait_is_waited_exactly(
    policy: RetryPolicy, tried: Attempts, retry_after: float, draw: float
) -> None:
    """Never shorter and never longer, also where the longest pause is shorter."""
    decision = decide(policy, tried, failed(FailureKind.TRANSIENT, retry_after=retry_after), draw=draw)
    assert not decision.again or decision.wait_seconds == retry_after


@given(policies, attempts, draws)
def test_a_pause_is_drawn_below_a_bound_that_doubles(policy: RetryPolicy, tried: Attempts, draw: float) -> None:
    """Full jitter: from nothing to the first delay, twice as much each time, and no more than the longest."""
    tried = evolve(tried, failed=max(1, tried.failed))
    decision = decide(policy, tried, failed(FailureKind.TRANSIENT), draw=draw)
    bound = min(policy.longest_delay, policy.first_delay * 2.0 ** min(tried.failed - 1, 1000))
    assert decision.wait_seconds <= bound
    assert not decision.again or decision.wait_seconds == pytest.approx(draw * bound)


def test_pauses_grow_until_they_are_longest() -> None:
    """1, 2, 4 … 60, and any number of failures is counted."""
    policy = RetryPolicy(attempts=10_000, seconds=None)
    waits = [
        decide(policy, Attempts(failed=n), failed(FailureKind.TRANSIENT), draw=1.0).wait_seconds
        for n in (1, 2, 3, 6, 7, 8, 9_000)
    ]
    assert waits == [1, 2, 4, 32, 60, 60, 60]


@given(st.sampled_from(LIMITS), st.integers(0, 20), policies, draws)
def test_rate_limits_use_up_no_attempt(kind: FailureKind, limited: int, policy: RetryPolicy, draw: float) -> None:
    """They have a bound of their own, and everybody waits for them together."""
    tried = Attempts(failed=10_000, limited=limited, elapsed=1e9, in_run=10_000, spent=0.0)
    policy = evolve(policy, cost=None)
    decision = decide(policy, tried, failed(kind, retry_after=30), draw=draw)
    assert decision.again is (limited <= policy.rate_limits)
    assert decision.wait_seconds == 0
    assert decision.reason == ("" if decision.again else "rate_limits")


@pytest.mark.parametrize("kind", list(FailureKind))
def test_failures_are_counted_by_their_kind(kind: FailureKind) -> None:
    """Rate limits and overload apart from everything else."""
    after = Attempts(failed=2, limited=3).after(failed(kind))
    assert (after.failed, after.limited) == ((2, 4) if kind in LIMITS else (3, 3))


@pytest.mark.parametrize(
    ("policy", "tried", "reason"),
    [
        (RetryPolicy(attempts=3), Attempts(failed=2), ""),
        (RetryPolicy(attempts=3), Attempts(failed=3), "attempts"),
        (RetryPolicy(attempts=1), Attempts(failed=1), "attempts"),
        (RetryPolicy(run_attempts=4), Attempts(failed=1, in_run=3), ""),
        (RetryPolicy(run_attempts=4), Attempts(failed=1, in_run=4), "run_attempts"),
        (RetryPolicy(run_attempts=0), Attempts(failed=1), "run_attempts"),
        (RetryPolicy(seconds=10), Attempts(failed=1, elapsed=9.0), ""),
        (RetryPolicy(seconds=10), Attempts(failed=1, elapsed=9.1), "seconds"),
        (RetryPolicy(seconds=None), Attempts(failed=1, elapsed=1e9), ""),
        (RetryPolicy(cost=1), Attempts(failed=1, spent=0.99), ""),
        (RetryPolicy(cost=1), Attempts(failed=1, spent=1.0), "cost"),
        (RetryPolicy(cost=1), Attempts(failed=1, spent=None), "cost"),
        (RetryPolicy(), Attempts(failed=1, spent=None), ""),
    ],
)
def test_each_bound_ends_it_with_its_reason(policy: RetryPolicy, tried: Attempts, reason: str) -> None:
    """A pause that would end behind the bound is not begun."""
    decision = decide(policy, tried, failed(FailureKind.TRANSIENT), draw=1.0)
    assert (decision.again, decision.reason) == (not reason, reason)


@pytest.mark.parametrize("kind", LIMITS)
def test_with_no_patience_at_all_the_first_failure_is_the_last(kind: FailureKind) -> None:
    """``attempts=1`` and ``rate_limits=0`` fail at once."""
    policy = RetryPolicy(attempts=1, rate_limits=0)
    assert decide(policy, Attempts().after(failed(kind)), failed(kind), draw=0.5).reason == "rate_limits"
    transient = failed(FailureKind.TRANSIENT)
    assert decide(policy, Attempts().after(transient), transient, draw=0.5).reason == "attempts"


def test_the_bound_of_costs_holds_for_rate_limits_too() -> None:
    """What is spent is spent, whatever failed last."""
    decision = decide(RetryPolicy(cost=1), Attempts(limited=1, spent=2.0), failed(FailureKind.RATE_LIMIT), draw=0.5)
    assert decision.reason == "cost"


@pytest.mark.parametrize(
    "bounds",
    [
        {"attempts": 0},
        {"rate_limits": -1},
        {"repairs": -1},
        {"repairs": True},
        {"seconds": 0},
        {"seconds": float("nan")},
        {"cost": -1},
        {"run_attempts": -1},
        {"run_attempts": 1.5},
        {"first_delay": 0},
        {"longest_delay": float("inf")},
    ],
)
def test_bounds_are_checked_at_once(bounds: dict[str, Any]) -> None:
    """A wrong bound is refused by its name."""
    with pytest.raises(ConfigurationError, match=next(iter(bounds))):
        RetryPolicy(**bounds)
