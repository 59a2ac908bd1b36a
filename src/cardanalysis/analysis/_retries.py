"""Whether a failed request is made again, and when. Everything here is pure: time and luck come in by argument."""

from __future__ import annotations

from attrs import evolve, field, frozen
from attrs.validators import optional

from .._validators import count, dollars, duration, duration_or_none, positive
from ._transport import Failure, FailureKind

__all__ = ["Attempts", "Decision", "RetryPolicy", "decide"]


@frozen(kw_only=True)
class RetryPolicy:
    """How often, how long and for how much money a request that failed is made again.

    Which failures are worth it is not a choice: rate limits and overload are waited out together; timeouts, lost
    connections, answers that cannot be read and the statuses 408, 409 and from 500 on are tried again after a pause;
    everything else would fail alike. The API's own ``x-should-retry`` overrides that, and ``retry-after`` the pause.

    Attributes:
        attempts: How often one request is made, rate limits aside; 1 for no repetition.
        rate_limits: How often the API may turn one request away because of rate limits or overload; 0 to fail at the
            first time. Waiting them out uses up none of the attempts.
        repairs: How often an answer that does not fit the schema is shown to the model again with what is wrong.
        seconds: How long after the first attempt of a request another may begin, rate limits aside; None for any time.
        cost: US dollars that the requests for one document may have cost before another attempt; None for any.
        run_attempts: How many repetitions a whole run may make, rate limits aside; None for any number.
        first_delay: The longest pause after the first failure in seconds. It doubles with each further one; the real
            one is drawn evenly between nothing and that ("full jitter", which spreads clients best: AWS Architecture
            Blog, Exponential Backoff And Jitter, 2015).
        longest_delay: What the pause does not grow beyond, unless the API itself asks for more.
    """

    attempts: int = field(default=5, validator=positive)
    rate_limits: int = field(default=30, validator=count)
    repairs: int = field(default=1, validator=count)
    seconds: float | None = field(default=600.0, validator=duration_or_none)
    cost: float | None = field(default=None, validator=dollars)
    run_attempts: int | None = field(default=None, validator=optional(count))
    first_delay: float = field(default=1.0, validator=duration)
    longest_delay: float = field(default=60.0, validator=duration)


@frozen(kw_only=True)
class Attempts:
    """What was tried so far for one request.

    Attributes:
        failed: Attempts that failed, rate limits aside.
        limited: How often it was turned away by rate limits or overload.
        elapsed: Seconds since the first attempt, without the waiting that the API asked of everyone.
        spent: What the document has cost so far in US dollars; None if that is unknown.
        in_run: Repetitions that the whole run made, rate limits aside.
    """

    failed: int = 0
    limited: int = 0
    elapsed: float = 0.0
    spent: float | None = 0.0
    in_run: int = 0

    def after(self, failure: Failure) -> Attempts:
        """The same with one more failure."""
        if failure.kind in (FailureKind.RATE_LIMIT, FailureKind.OVERLOAD):
            return evolve(self, limited=self.limited + 1)
        return evolve(self, failed=self.failed + 1)


@frozen(kw_only=True)
class Decision:
    """What to do after a failure.

    Attributes:
        again: Whether to make the request again.
        wait_seconds: How long to wait before that, by oneself; 0 where everyone who shares the limit waits together.
        reason: Why not, as a word; empty if again.
    """

    again: bool
    wait_seconds: float = 0.0
    reason: str = ""


def decide(
    policy: RetryPolicy, attempts: Attempts, failure: Failure, *, draw: float, together: bool = True
) -> Decision:
    """Decide about the next attempt.

    Args:
        policy: The bounds.
        attempts: What was tried, with this failure counted in.
        failure: The newest failure.
        draw: A random number from 0 to 1.
        together: Whether rate limits are waited out together, before the next attempt, and not here.
    """
    if failure.kind in (FailureKind.FINAL, FailureKind.TOO_LONG):
        return Decision(again=False, reason="not_retryable")
    if policy.cost is not None and (attempts.spent is None or attempts.spent >= policy.cost):
        return Decision(again=False, reason="cost")
    if failure.kind is not FailureKind.TRANSIENT:
        if attempts.limited > policy.rate_limits:
            return Decision(again=False, reason="rate_limits")
        return Decision(again=True, wait_seconds=0.0 if together else _wait(policy, attempts.limited, failure, draw))
    if attempts.failed >= policy.attempts:
        return Decision(again=False, reason="attempts")
    if policy.run_attempts is not None and attempts.in_run >= policy.run_attempts:
        return Decision(again=False, reason="run_attempts")
    wait = _wait(policy, attempts.failed, failure, draw)
    if policy.seconds is not None and attempts.elapsed + wait > policy.seconds:
        return Decision(again=False, reason="seconds")
    return Decision(again=True, wait_seconds=wait)


def _wait(policy: RetryPolicy, failed: int, failure: Failure, draw: float) -> float:
    if failure.retry_after is not None:
        return failure.retry_after
    # The exponent is bounded, since a float is not.
    return draw * min(policy.longest_delay, policy.first_delay * 2.0 ** min(failed - 1, 64))
