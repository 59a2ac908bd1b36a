"""The fake Messages API's token buckets, with the time as an argument."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI, RateLimits, Reply
from cardanalysis.testing._organization import Organization
from cardanalysis.testing._rate_limits import RateLimiter, TokenBucket, limit_class


def headers(limiter: RateLimiter, now: float) -> dict[str, str]:
    return {name.removeprefix("anthropic-ratelimit-"): value for name, value in limiter.headers(now, epoch=0.0)}


def test_the_defaults_are_the_start_tier() -> None:
    """Without arguments the limits are those of the Start tier."""
    limits = RateLimits()
    assert limits.requests_per_minute == 1_000
    assert limits.input_tokens_per_minute == 2_000_000
    assert limits.output_tokens_per_minute == 400_000


@pytest.mark.parametrize("value", [0, -1, 1.5, True, None])
@pytest.mark.parametrize("name", ["requests_per_minute", "input_tokens_per_minute", "output_tokens_per_minute"])
def test_limits_are_at_least_one(name: str, value: Any) -> None:
    """A limit that is no whole number of at least 1 is refused by its name."""
    with pytest.raises(ValueError, match=name):
        RateLimits(**{name: value})


def test_a_bucket_refills_continuously_up_to_its_capacity() -> None:
    """60 a minute are 1 a second; below zero it takes longer, and it never holds more than a minute's worth."""
    bucket = TokenBucket.full(60, 0.0)
    bucket.take(90, 0.0)
    assert bucket.seconds_until(1, 0.0) == 31
    assert bucket.refill(30.5) == pytest.approx(0.5)
    assert bucket.seconds_until(60, 30.5) == pytest.approx(59.5)
    assert bucket.seconds_until(1_000, 30.5) == pytest.approx(59.5)
    assert bucket.refill(10_000) == 60
    assert bucket.seconds_until(60, 10_000) == 0


def test_requests_are_refused_past_the_limit() -> None:
    """The request that is one too many is told how long to wait, rounded up to whole seconds."""
    limiter = RateLimiter(RateLimits(requests_per_minute=7), 0.0)
    for _ in range(7):
        assert limiter.refusal(10, 0.0) is None
        limiter.begin(10, 0.0)
    assert limiter.refusal(10, 0.0) == (
        "This request would exceed your organization's rate limit of 7 requests per minute.",
        9,
    )
    assert limiter.refusal(10, 60 / 7) is None


def test_input_tokens_are_refused_past_the_limit() -> None:
    """A request whose input is more than is left is refused until that much has flowed in."""
    limiter = RateLimiter(RateLimits(input_tokens_per_minute=6_000), 0.0)
    limiter.begin(5_000, 0.0)
    assert limiter.refusal(1_000, 0.0) is None
    message, wait = limiter.refusal(2_000, 0.0) or ("", 0)
    assert "6,000 input tokens per minute" in message
    assert wait == 10
    assert limiter.refusal(2_000, 10.0) is None


def test_a_request_above_the_whole_limit_never_passes() -> None:
    """An input larger than a minute's worth is refused even by a full bucket, with at least a second to wait."""
    limiter = RateLimiter(RateLimits(input_tokens_per_minute=100), 0.0)
    assert (limiter.refusal(101, 1_000.0) or ("", 0))[1] == 1


def test_output_tokens_count_when_they_are_produced() -> None:
    """What was produced beyond the limit is owed: the next request waits until the bucket has one token again."""
    limiter = RateLimiter(RateLimits(output_tokens_per_minute=60), 0.0)
    limiter.begin(1, 0.0)
    assert limiter.refusal(1, 0.0) is None
    limiter.finish(0, 80, 0.0)
    message, wait = limiter.refusal(1, 0.0) or ("", 0)
    assert "60 output tokens per minute" in message
    assert wait == 21


def test_the_longest_wait_counts_when_several_limits_are_hit() -> None:
    """With requests and tokens both used up, the wait is the longer of the two."""
    limiter = RateLimiter(RateLimits(requests_per_minute=60, output_tokens_per_minute=60), 0.0)
    for _ in range(60):
        limiter.begin(1, 0.0)
    limiter.finish(0, 90, 0.0)
    message, wait = limiter.refusal(1, 0.0) or ("", 0)
    assert "60 requests per minute" in message
    assert wait == 31


def test_headers_tell_what_is_left() -> None:
    """Tokens are rounded to thousands, requests down to whole ones, and the time is that of full replenishment."""
    limiter = RateLimiter(RateLimits(requests_per_minute=60, input_tokens_per_minute=10_000), 0.0)
    assert len(headers(limiter, 0.0)) == 12
    limiter.begin(1_400, 0.0)
    limiter.finish(200, 300, 0.0)
    told = headers(limiter, 0.5)
    assert (told["requests-limit"], told["requests-remaining"]) == ("60", "59")
    assert (told["input-tokens-limit"], told["input-tokens-remaining"]) == ("10000", "8000")
    assert (told["output-tokens-limit"], told["output-tokens-remaining"]) == ("400000", "400000")
    assert (told["tokens-limit"], told["tokens-remaining"]) == ("410000", "408000")
    assert told["requests-reset"] == "1970-01-01T00:00:01Z"
    assert told["input-tokens-reset"] == told["tokens-reset"] == "1970-01-01T00:00:10Z"


def test_headers_never_go_below_zero_nor_above_the_limit() -> None:
    """What is owed is told as 0, and a limit below a thousand is not rounded up past itself."""
    limiter = RateLimiter(RateLimits(input_tokens_per_minute=700, output_tokens_per_minute=10), 0.0)
    assert headers(limiter, 0.0)["input-tokens-remaining"] == "700"
    limiter.finish(0, 1_000, 0.0)
    assert headers(limiter, 0.0)["output-tokens-remaining"] == "0"


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 400), st.integers(0, 400)), max_size=30),
    st.integers(1, 30),
    st.integers(400, 2_000),
)
@settings(deadline=None, max_examples=100)
def test_waiting_as_told_is_enough(
    asked: list[tuple[float, int, int]], requests_per_minute: int, tokens_per_minute: int
) -> None:
    """Whatever was used before, a request that waits the told seconds passes; in all no more pass than flowed in."""
    limits = RateLimits(
        requests_per_minute=requests_per_minute,
        input_tokens_per_minute=tokens_per_minute,
        output_tokens_per_minute=tokens_per_minute,
    )
    limiter, now = RateLimiter(limits, 0.0), 0.0
    passed: list[float] = []
    for pause, inputs, outputs in asked:
        now += pause
        if (refusal := limiter.refusal(inputs, now)) is not None:
            now += refusal[1]
        assert limiter.refusal(inputs, now) is None
        limiter.begin(inputs, now)
        limiter.finish(0, outputs, now)
        passed.append(now)
    assert len(passed) <= requests_per_minute * (1 + now / 60) + 1e-3


@given(st.floats(0, 1e6), st.integers(0, 5_000), st.integers(0, 5_000))
@settings(deadline=None)
def test_headers_are_always_well_formed(now: float, inputs: int, outputs: int) -> None:
    """Whatever was used, what remains is from 0 to the limit, and the reset is a time not before now."""
    limiter = RateLimiter(RateLimits(input_tokens_per_minute=2_000, output_tokens_per_minute=1_500), now)
    limiter.begin(inputs, now)
    limiter.finish(0, outputs, now)
    told = headers(limiter, now)
    for kind in ("requests", "input-tokens", "output-tokens", "tokens"):
        assert 0 <= int(told[f"{kind}-remaining"]) <= int(told[f"{kind}-limit"])
        assert datetime.fromisoformat(told[f"{kind}-reset"]).timestamp() >= now


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("claude-opus-4-8", "claude-opus-4-5", True),
        ("claude-sonnet-4-6", "claude-sonnet-4-5-20250929", True),
        ("claude-fable-5", "claude-fable-5-2", True),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001", True),
        ("claude-opus-5", "claude-opus-5-5", False),
        ("claude-sonnet-5", "claude-sonnet-5-5", False),
        ("claude-opus-4-8", "claude-sonnet-4-6", False),
        ("claude-opus-40", "claude-opus-4-8", False),
    ],
)
def test_which_models_share_their_limits(one: str, other: str, shared: bool) -> None:
    """Opus 4.x, Sonnet 4.x and Fable 5.x share, and so do a model and its snapshots; the others do not."""
    assert (limit_class(one) == limit_class(other)) is shared


# --- the organization -------------------------------------------------------------------------------------------------

ASK: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * 400}]}


def test_another_client_uses_the_same_limits() -> None:
    """What another client of the organization used is gone for this one, in each of the buckets of the class."""
    now = 0.0
    limits = RateLimits(requests_per_minute=60, input_tokens_per_minute=6_000, output_tokens_per_minute=600)
    with (
        FakeMessagesAPI(limits=limits, clock=lambda: now) as api,
        anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0) as claude,
    ):

        def refused() -> tuple[str, str]:
            with pytest.raises(anthropic.RateLimitError) as caught:
                claude.messages.create(**ASK)
            assert sum(name.startswith("anthropic-ratelimit-") for name in caught.value.response.headers) == 12
            return str(caught.value.response.headers["retry-after"]), caught.value.api_message or ""

        api.use("claude-x", requests=69)
        wait, words = refused()
        assert (wait, "60 requests" in words) == ("10", True)
        now = 60.0
        api.use("claude-x", input_tokens=5_950)
        wait, words = refused()
        assert (wait, "6,000 input tokens" in words) == ("1", True)
        now = 120.0
        api.use("claude-x", output_tokens=1_200)
        wait, words = refused()
        assert (wait, "600 output tokens" in words) == ("61", True)
        claude.messages.create(**ASK | {"model": "claude-y"})
        now = 181.0
        claude.messages.create(**ASK)
    assert [request.status for request in api.requests] == [429, 429, 429, 200, 200]


def test_the_limits_are_counted_right_from_several_threads() -> None:
    """What several threads use at once adds up."""
    organization = Organization(RateLimits(requests_per_minute=100_000), lambda: 0.0, 0.0)

    def use() -> None:
        for _ in range(2_000):
            organization.use("claude-x", 1, 2, 3)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = organization.headers("claude-x")
    assert told["anthropic-ratelimit-requests-remaining"] == "92000"
    assert told["anthropic-ratelimit-output-tokens-remaining"] == "376000"


def test_headers_of_an_error_are_sent() -> None:
    """An error may carry the waits that the SDK knows, and a ramp that is too steep has its own class."""
    headers = {"retry-after-ms": "1500", "x-should-retry": "false"}
    with (
        FakeMessagesAPI() as api,
        anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=2) as claude,
    ):
        api.script(Reply.error(529, headers=headers))
        with pytest.raises(anthropic.OverloadedError) as caught:
            claude.messages.create(**ASK)
        assert headers.items() <= dict(caught.value.response.headers).items()
        api.script(*[Reply.ramp_limited(0.001)] * 3)
        with pytest.raises(anthropic.RateLimitError) as limited:
            claude.messages.create(**ASK)
    assert type(limited.value).__name__ == "RampLimitExceededError"
    assert [request.status for request in api.requests] == [529, 429, 429, 429]
