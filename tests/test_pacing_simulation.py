"""The pacer against the API's own buckets, in virtual time: how often it is refused, and how much it gets done.

The server counts as the public documentation says: a request and its input when it comes, its output when it was
produced; it refuses what its buckets do not hold.
"""

from __future__ import annotations

import random

import anyio
import pytest
import trio.testing
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._clock import Clock
from cardanalysis.pacing import Pacer
from cardanalysis.testing import RateLimits
from cardanalysis.testing._rate_limits import RateLimiter

MODEL = "claude-sonnet-5"


@define
class Load:
    """Requests of about one size, and what came of them."""

    requests: int
    input_tokens: int
    output_tokens: int
    spread: float = 0.0
    """By which share the real size differs from the expected one."""
    seconds: float = 5.0
    """How long an answer takes on the average."""
    others: float = 0.0
    """Which share of the limit another client uses that knows nothing of ours."""
    stale: bool = False
    """Whether the headers are those of the beginning of an answer, and given at its end."""
    dice: random.Random = field(factory=lambda: random.Random(1))
    sent: int = 0
    refused: int = 0
    took: float = 0.0

    def size(self, mean: int) -> int:
        return max(1, round(mean * self.dice.uniform(1 - self.spread, 1 + self.spread)))

    def per_minute(self, limits: RateLimits) -> float:
        """What the tightest limit allows."""
        return min(
            limits.requests_per_minute,
            limits.input_tokens_per_minute / self.input_tokens,
            limits.output_tokens_per_minute / self.output_tokens,
        )


@define
class Server:
    load: Load
    buckets: RateLimiter

    async def ask(self, input_tokens: int, output_tokens: int) -> tuple[dict[str, str], float | None]:
        """Headers, and seconds to wait if it is refused."""
        refusal = self.buckets.refusal(input_tokens, anyio.current_time())
        if refusal:
            return self.headers(), refusal[1]
        self.buckets.begin(input_tokens, anyio.current_time())
        headers = self.headers()
        await anyio.sleep(self.load.seconds * self.load.dice.uniform(0.5, 1.5))
        self.buckets.finish(0, output_tokens, anyio.current_time())
        return (headers if self.load.stale else self.headers()), None

    def headers(self) -> dict[str, str]:
        return dict(self.buckets.headers(anyio.current_time(), 0))


async def ask(load: Load, pacer: Pacer, server: Server) -> None:
    """One request, made again until it succeeds."""
    input_tokens, output_tokens = load.size(load.input_tokens), load.size(load.output_tokens)
    while True:
        with await pacer.take("a", MODEL, input_tokens=load.input_tokens, output_tokens=16_000) as turn:
            load.sent += 1
            headers, wait = await server.ask(input_tokens, output_tokens)
            if wait is None:
                turn.answered(headers, input_tokens=input_tokens, output_tokens=output_tokens)
                return
            turn.refused(headers, retry_after=wait)
            load.refused += 1


async def ask_as_somebody_else(load: Load, server: Server, per_minute: float) -> None:
    async with anyio.create_task_group() as tasks:
        while True:
            tasks.start_soon(server.ask, load.size(load.input_tokens), load.size(load.output_tokens))
            await anyio.sleep(load.dice.expovariate(per_minute / 60))


def simulate(limits: RateLimits, load: Load) -> float:
    """Make all requests, at once, and return which share of what the limit allowed was done."""

    async def main() -> None:
        pacer = Pacer(clock=Clock(time=anyio.current_time), random=random.Random(0))
        server = Server(load, RateLimiter(limits, anyio.current_time()))
        begun = anyio.current_time()
        with anyio.fail_after(1e7):
            async with anyio.create_task_group() as others:
                if load.others:
                    others.start_soon(ask_as_somebody_else, load, server, load.per_minute(limits) * load.others)
                async with anyio.create_task_group() as tasks:
                    for _ in range(load.requests):
                        tasks.start_soon(ask, load, pacer, server)
                load.took = anyio.current_time() - begun
                others.cancel_scope.cancel()
        status = pacer.limits("a", MODEL)
        assert (status.in_flight, status.waiting) == (0, 0)

    anyio.run(main, backend="trio", backend_options={"clock": trio.testing.MockClock(rate=0, autojump_threshold=0)})
    # The buckets are full at first; what is asked for last needs its time too.
    return load.requests / (load.per_minute(limits) * (1 + (load.took - load.seconds) / 60))


START = RateLimits()
BY_REQUESTS = RateLimits(requests_per_minute=200)
SMALL = RateLimits(requests_per_minute=50, input_tokens_per_minute=40_000, output_tokens_per_minute=8_000)


@pytest.mark.parametrize(
    ("limits", "load"),
    [
        (BY_REQUESTS, Load(1_200, 100, 100)),
        (START, Load(2_000, 5_000, 500)),
        (START, Load(2_000, 100, 1_000)),
        (SMALL, Load(150, 3_000, 500)),
    ],
    ids=["requests", "input", "output", "small"],
)
def test_alone_nothing_is_refused_and_the_limit_is_used(limits: RateLimits, load: Load) -> None:
    """With right estimates: no 429 at all, and at least 95 % of what the limit allows, the slow start included."""
    done = simulate(limits, load)
    assert load.refused == 0
    assert 0.95 <= done <= 1.01


@pytest.mark.parametrize("load", [Load(1_500, 5_000, 500, 0.5), Load(1_500, 100, 1_000, 0.5)], ids=["input", "output"])
def test_wrong_estimates_are_hardly_refused(load: Load) -> None:
    """Where requests are half to one and a half as large as expected, at most one of a hundred is refused."""
    done = simulate(START, load)
    assert load.refused <= 0.01 * load.sent
    assert done >= 0.95


@pytest.mark.parametrize(
    ("limits", "load"),
    [
        (BY_REQUESTS, Load(800, 100, 100, others=0.5)),
        (START, Load(1_200, 5_000, 500, 0.3, others=0.5)),
        (START, Load(1_200, 100, 1_000, 0.3, others=0.5)),
    ],
    ids=["requests", "input", "output"],
)
def test_what_others_use_is_left_to_them(limits: RateLimits, load: Load) -> None:
    """With another client that uses half, at most 2 % are refused, and the other half is used."""
    done = simulate(limits, load)
    assert load.refused <= 0.02 * load.sent
    assert done >= 0.45


def test_headers_that_are_old_do_no_harm() -> None:
    """Those of a stream's beginning, told at its end 20 s later, lead to no refusal."""
    load = Load(2_000, 5_000, 500, seconds=20, stale=True)
    assert simulate(START, load) > 0.8  # the slow start takes a minute of its five
    assert load.refused == 0


@given(
    limits=st.builds(
        RateLimits,
        requests_per_minute=st.integers(8, 2_000),
        input_tokens_per_minute=st.integers(8_000, 10**6),
        output_tokens_per_minute=st.integers(8_000, 10**5),
    ),
    load=st.builds(Load, st.integers(1, 40), st.integers(1, 1_000), st.integers(1, 1_000), seconds=st.floats(0, 100)),
)
@settings(max_examples=30)
def test_whatever_the_limits_all_get_done_unrefused(limits: RateLimits, load: Load) -> None:
    """Alone and with right estimates, requests that fit the limits are all answered at their first attempt."""
    simulate(limits, load)
    assert load.sent == load.requests
