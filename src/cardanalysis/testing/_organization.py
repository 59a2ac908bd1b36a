"""The organization whose rate limits the fake API counts down, for each class of models; safe for threads."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from ._rate_limits import RateLimiter, RateLimits, limit_class

__all__ = ["Organization"]

_UNREACHED: Final = RateLimits(
    requests_per_minute=10**8, input_tokens_per_minute=10**11, output_tokens_per_minute=10**11
)


class Organization:
    """Counts what is used of the rate limits.

    Args:
        limits: The limits to enforce; None for none that a test could reach.
        clock: The time in seconds.
        epoch: What to add to that time to have seconds since 1970.

    Attributes:
        account: The headers that tell whose limits they are. Each organization has its own, so that a client which
            learns the limits of one takes those of the next for others.
    """

    def __init__(self, limits: RateLimits | None, clock: Callable[[], float], epoch: float) -> None:
        self.account: Mapping[str, str] = {
            "anthropic-organization-id": str(uuid.uuid4()),
            "anthropic-workspace-id": f"wrkspc_{uuid.uuid4().hex[:24]}",
        }
        self._limits = limits or _UNREACHED
        self._clock = clock
        self._epoch = epoch
        self._limiters: dict[str, RateLimiter] = {}
        self._lock = threading.Lock()

    def admit(self, model: str, input_tokens: int) -> tuple[str, int] | None:
        """Count a request that is estimated to need so much input, or say why not and after how many seconds."""
        with self._lock:
            now = self._clock()
            limiter = self._limiter(model, now)
            refusal = limiter.refusal(input_tokens, now)
            if refusal is None:
                limiter.begin(input_tokens, now)
            return refusal

    def finish(self, model: str, extra_input_tokens: int, output_tokens: int) -> None:
        """Count what a request produced, and what its estimated input was short of."""
        with self._lock:
            now = self._clock()
            self._limiter(model, now).finish(extra_input_tokens, output_tokens, now)

    def use(self, model: str, requests: int, input_tokens: int, output_tokens: int) -> None:
        """Count what somebody else used."""
        with self._lock:
            now = self._clock()
            self._limiter(model, now).use(requests, input_tokens, output_tokens, now)

    def headers(self, model: str) -> dict[str, str]:
        """The ``anthropic-ratelimit-*`` headers of a response."""
        with self._lock:
            now = self._clock()
            return dict(self._limiter(model, now).headers(now, self._epoch))

    def _limiter(self, model: str, now: float) -> RateLimiter:
        shared = limit_class(model)
        if shared not in self._limiters:
            self._limiters[shared] = RateLimiter(self._limits, now)
        return self._limiters[shared]
