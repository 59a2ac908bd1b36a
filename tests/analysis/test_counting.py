"""Counting input tokens: what is waited out, what is tried again, and what is raised in the end."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from attrs import evolve

from cardanalysis import AnalysisRequest, AnalyzerError, ClaudeAnalyzer, Upload
from cardanalysis._clock import Clock
from cardanalysis._documents import Document
from cardanalysis.analysis._counting import counted
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.analysis._transport import AttemptFailed, Failure, FailureKind
from cardanalysis.costs import estimate_cost
from cardanalysis.pacing import Pacer
from cardanalysis.testing import FakeMessagesAPI, Reply
from cardanalysis.testing._recorded import RecordedRequest

pytestmark = pytest.mark.anyio

LIMITS = (FailureKind.RATE_LIMIT, FailureKind.OVERLOAD)


def failed(kind: FailureKind, retry_after: float | None = None) -> Failure:
    return Failure(kind=kind, error=AnalyzerError("no", code=kind.value), retry_after=retry_after)


class Endpoint:
    """Fails in the given ways, one after the other, and then counts. Its clock stands but for what is slept."""

    def __init__(self, failures: Iterable[Failure] = (), *, seconds: float = 0.0, draw: float = 1.0) -> None:
        self.failures = list(failures)
        self.asked = 0
        self.sleeps: list[float] = []
        self._time = 0.0
        self._seconds = seconds
        self._rng = random.Random()
        self._rng.random = lambda: draw  # type: ignore[method-assign]

    async def count(self) -> int:
        self.asked += 1
        self._time += self._seconds
        if self.failures:
            raise AttemptFailed(self.failures.pop(0))
        return 42

    async def counted(self, policy: RetryPolicy | None = None, **bounds: Any) -> int:
        return await counted(
            self.count, policy=evolve(policy or RetryPolicy(), **bounds), clock=self.clock, rng=self._rng
        )

    @property
    def clock(self) -> Clock:
        endpoint = self

        class Standing(Clock):
            def now(self) -> float:
                return endpoint._time

            async def sleep(self, seconds: float) -> None:
                endpoint.sleeps.append(seconds)
                endpoint._time += seconds

        return Standing()


async def test_an_answer_is_given_at_once() -> None:
    """Nothing is waited for."""
    endpoint = Endpoint()
    assert await endpoint.counted() == 42
    assert (endpoint.asked, endpoint.sleeps) == (1, [])


@pytest.mark.parametrize("kind", [*LIMITS, FailureKind.TRANSIENT])
async def test_the_api_says_how_long_to_wait(kind: FailureKind) -> None:
    """Just so long, by the clock that was given."""
    endpoint = Endpoint([failed(kind, 7.5), failed(kind, 90.0)])
    assert await endpoint.counted() == 42
    assert (endpoint.asked, endpoint.sleeps) == (3, [7.5, 90.0])


@pytest.mark.parametrize("kind", [*LIMITS, FailureKind.TRANSIENT])
async def test_else_the_pause_is_drawn_from_more_and_more(kind: FailureKind) -> None:
    """Doubled each time, up to the longest."""
    endpoint = Endpoint([failed(kind)] * 4, draw=0.5)
    assert await endpoint.counted(first_delay=2.0, longest_delay=10.0) == 42
    assert endpoint.sleeps == [1.0, 2.0, 4.0, 5.0]


@pytest.mark.parametrize("kind", [FailureKind.FINAL, FailureKind.TOO_LONG])
async def test_what_nothing_mends_is_raised_at_once(kind: FailureKind) -> None:
    """As the failure explains it."""
    endpoint = Endpoint([failed(kind)])
    with pytest.raises(AnalyzerError) as caught:
        await endpoint.counted()
    assert (caught.value.code, endpoint.asked) == (kind.value, 1)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", LIMITS)
async def test_rate_limits_use_up_a_bound_of_their_own(kind: FailureKind) -> None:
    """However long they take: neither the attempts nor the seconds; then the error is raised."""
    endpoint = Endpoint([failed(kind, 60.0)] * 10 + [failed(FailureKind.TRANSIENT)])
    assert await endpoint.counted(attempts=2, rate_limits=10, seconds=5.0) == 42
    endpoint = Endpoint([failed(kind, 60.0)] * 10)
    with pytest.raises(AnalyzerError) as caught:
        await endpoint.counted(rate_limits=3)
    assert (caught.value.code, endpoint.asked) == (kind.value, 4)


async def test_attempts_and_seconds_are_bounded() -> None:
    """By the policy that holds for answers too; the newest error is raised."""
    endpoint = Endpoint([failed(FailureKind.OVERLOAD), *[failed(FailureKind.TRANSIENT)] * 9])
    with pytest.raises(AnalyzerError) as caught:
        await endpoint.counted(attempts=3)
    assert (caught.value.code, endpoint.asked) == ("transient", 4)
    endpoint = Endpoint([failed(FailureKind.TRANSIENT)] * 9, seconds=100.0)
    with pytest.raises(AnalyzerError):
        await endpoint.counted(attempts=9, seconds=250.0)
    assert endpoint.asked == 3


async def test_bounds_of_a_run_are_not_bounds_of_a_count() -> None:
    """It is free, and no part of a run."""
    endpoint = Endpoint([failed(FailureKind.TRANSIENT), failed(FailureKind.RATE_LIMIT)])
    assert await endpoint.counted(cost=0.0, run_attempts=0) == 42


# --- through the analyzer ---------------------------------------------------------------------------------------------


def every_second() -> Any:
    """Turn every second request away."""
    asked = 0

    def intercept(_: RecordedRequest) -> Reply | None:
        nonlocal asked
        asked += 1
        return None if asked % 2 else Reply.rate_limited(retry_after=30)

    return intercept


async def test_an_exact_estimate_waits_out_rate_limits() -> None:
    """All uploads are in its sums, and the sums are those without limits."""
    uploads = [Upload.from_text(f"The app must do thing {number}.", f"{number}.txt") for number in range(6)]
    with FakeMessagesAPI() as api:
        async with AsyncAnthropic(api_key="sk-any", base_url=api.base_url) as client:
            analyzer = ClaudeAnalyzer(client, pacer=Pacer(clock=Clock(speed=10_000)))
            free = await estimate_cost(uploads, analyzer=analyzer, exact=True)
            api.intercept = every_second()
            limited = await estimate_cost(uploads, analyzer=analyzer, exact=True)
    assert (limited.uploads, limited.requests, limited.failed) == (6, 6, ())
    assert (limited.input_tokens, limited.exact) == (free.input_tokens, True)


async def test_a_count_that_never_comes_is_told_and_not_in_the_sums() -> None:
    """By the name of the upload and what the API said."""
    uploads = [Upload.from_text("We need a portal.", "good.txt"), Upload.from_text("We need a bad app.", "bad.txt")]

    def intercept(request: RecordedRequest) -> Reply | None:
        return Reply.rate_limited(retry_after=30) if "bad" in request.text else None

    with FakeMessagesAPI(intercept=intercept) as api:
        async with AsyncAnthropic(api_key="sk-any", base_url=api.base_url) as client:
            retry = RetryPolicy(rate_limits=2)
            analyzer = ClaudeAnalyzer(client, pacer=Pacer(clock=Clock(speed=10_000)), retry=retry)
            estimate = await estimate_cost(uploads, analyzer=analyzer, exact=True)
            alone = await estimate_cost(uploads[:1], analyzer=analyzer, exact=True)
        asked = sum("bad" in request.text for request in api.requests)
    ((name, problem),) = estimate.failed
    assert (name, asked) == ("bad.txt", 3)
    assert "limit" in problem
    assert (estimate.uploads, estimate.input_tokens, estimate.cost) == (1, alone.input_tokens, alone.cost)


async def test_each_part_of_a_long_document_is_counted_in_the_end() -> None:
    """A part that is turned away is asked for again, and not those before it."""
    text = "\n\n".join(f"Paragraph {number} says that orders are typed by hand." for number in range(60))
    document = Document(upload_id="u", name="long.txt", media_type="text/plain", text=text, blocks=())
    with FakeMessagesAPI() as api:
        async with AsyncAnthropic(api_key="sk-any", base_url=api.base_url) as client:
            pacer = Pacer(clock=Clock(speed=10_000))
            analyzer = ClaudeAnalyzer(client, pacer=pacer, max_input_tokens=600)
            free = await analyzer.count_tokens(document, AnalysisRequest())
            parts = len(api.requests)
            api.intercept = every_second()
            assert await analyzer.count_tokens(document, AnalysisRequest()) == free
    assert parts > 1
    assert len(api.requests) == parts + 2 * parts - 1
