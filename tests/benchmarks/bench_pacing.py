"""Whether requests go as fast as the rate limits allow, and how many are refused: ours beside the SDK's own retries."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, Protocol

import anyio
from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient, RateLimitError
from anyio import CapacityLimiter
from measuring import Report, Table, take_turns

from cardanalysis import AnalysisRequest, ClaudeAnalyzer, ItemStatus, MemoryStore, Upload, analyze_cards
from cardanalysis.loading import DocumentLoader
from cardanalysis.pacing import Clock, Pacer
from cardanalysis.testing import FakeMessagesAPI, RateLimits, RecordedRequest

_TEXT = """\
{count} uploads of {low:,} to {high:,} tokens against the fake Messages API, which enforces {requests:,} requests and
{tokens:,} input tokens a minute and answers after {fastest:.0f} to {slowest:.0f} s. The input tokens are the tight
limit: they allow {per_minute:.0f} such uploads a minute, and a minute's worth at once at the start. The
throughput is in input tokens of answered requests. 100 % of it is what the buckets allow from the first request until
{latency:.0f} s, an answer's mean time, before the last answer, so that a slow start or end counts against us. The
goals: at least 95 %, and at most 1 % of the requests answered with 429; beside another client that uses half of the
limit, at most 2 %, and that both together still use 95 %.

All time here runs {speed:.0f} times as fast as real time: the API's clock and answers, and the pacer's clock. The SDK
sleeps in real time, so its client is told a `retry-after` that is as much shorter; nothing else about it is changed.
“SDK” is `messages.create` of the same parameters, behind an `anyio.CapacityLimiter`, with the SDK's own retries, two by
default. An upload has failed when its last attempt was answered with 429. With 2 in flight, answers that take
{latency:.0f} s allow no more than {by_two:.0f} uploads a minute. The other client has a key of its own in the same
organization, asks at random moments and does not try again. This process, in which the API runs too, was busy for
{busy:.0f} % of the time at most."""

_HIGHEST = 1.5
_LOWEST = 0.5
"""Documents and latencies are evenly spread from half to one and a half of the mean."""
_FRAME_TOKENS = 24
"""What a request has beside the document and the instructions, which are cached."""
_OTHER = "x-other-client"

_LIMITS = RateLimits(requests_per_minute=600, input_tokens_per_minute=120_000)


@dataclass(frozen=True)
class _Load:
    """What is asked for; times in seconds of the fast clock."""

    uploads: int
    document_tokens: int = 1_000
    limits: RateLimits = _LIMITS
    latency: float = 2.0
    speed: float = 20.0

    @property
    def clock(self) -> Clock:
        return Clock(speed=self.speed)

    @property
    def per_minute(self) -> float:
        """How many uploads the limits allow."""
        return min(self.limits.requests_per_minute, self.limits.input_tokens_per_minute / self.document_tokens)

    def make_uploads(self) -> Iterator[Upload]:
        """Distinct documents, always the same; an iterator, so that nobody brings them into another order."""
        dice = random.Random(0)
        for number in range(self.uploads):
            characters = 4 * (round(self.document_tokens * dice.uniform(_LOWEST, _HIGHEST)) - _FRAME_TOKENS)
            text = f"# Need {number}\n\n" + "The clerks must see every claim on one screen. " * (characters // 47 + 1)
            yield Upload.from_text(text[:characters], f"{number}.md")

    def allowed(self, took: float) -> float:
        """How many input tokens the limit gives out meanwhile, the full bucket included."""
        return self.limits.input_tokens_per_minute * (1 + (took - self.latency) / 60)


@dataclass(frozen=True)
class _Share:
    """What one client did."""

    throughput: float
    refused: float
    failed: int


@dataclass(frozen=True)
class _Outcome:
    ours: _Share
    other: _Share | None
    seconds: float
    busy: float


class _Way(Protocol):
    """Does all uploads and returns how many failed."""

    async def __call__(self, load: _Load, api: FakeMessagesAPI, /) -> int: ...


def run(tiny: bool) -> Report:
    load, rounds = (_Load(uploads=20, speed=200.0), 1) if tiny else (_Load(uploads=500), 2)
    cases: Mapping[str, Callable[[], _Outcome]] = {
        "ours, limit 16": partial(_try, load, _ours),
        "SDK, limit 16": partial(_try, load, partial(_sdk, limit=16)),
        "SDK, limit 2": partial(_try, load, partial(_sdk, limit=2)),
        "ours, limit 16, beside another client": partial(_try, load, _ours, others=0.5),
    }
    outcomes = take_turns(cases, rounds)
    busy = max(outcome.busy for measured in outcomes.values() for outcome in measured)
    return Report("Pacing", [_describe(load, busy), _table(outcomes)])


def _describe(load: _Load, busy: float) -> str:
    return _TEXT.format(
        count=load.uploads,
        low=round(load.document_tokens * _LOWEST),
        high=round(load.document_tokens * _HIGHEST),
        requests=load.limits.requests_per_minute,
        tokens=load.limits.input_tokens_per_minute,
        fastest=load.latency * _LOWEST,
        slowest=load.latency * _HIGHEST,
        latency=load.latency,
        by_two=2 * 60 / load.latency,
        per_minute=load.per_minute,
        speed=load.speed,
        busy=100 * busy,
    )


def _table(outcomes: Mapping[str, Sequence[_Outcome]]) -> Table:
    header = ["way", "throughput", "answered with 429", "uploads failed", "time"]
    rows: list[list[str]] = []
    for name, measured in outcomes.items():
        rows.append([name, *_cells([each.ours for each in measured]), _seconds(measured)])
        others = [each.other for each in measured if each.other is not None]
        if others:
            rows.append(["the other client", *_cells(others), _seconds(measured)])
    return Table(header, rows)


def _cells(shares: Sequence[_Share]) -> list[str]:
    return [
        f"{100 * median(share.throughput for share in shares):.1f} %",
        f"{100 * median(share.refused for share in shares):.1f} %",
        f"{median(share.failed for share in shares):.0f}",
    ]


def _seconds(outcomes: Sequence[_Outcome]) -> str:
    return f"{median(outcome.seconds for outcome in outcomes):.0f} s"


# --- one trial ------------------------------------------------------------------------------------------------------


def _try(load: _Load, way: _Way, *, others: float = 0.0) -> _Outcome:
    """Do all uploads against an API of their own, perhaps beside another client that uses a share of the limit."""
    dice = random.Random(1)

    def latency(_request: RecordedRequest) -> float:
        return load.latency * dice.uniform(_LOWEST, _HIGHEST) / load.speed

    with FakeMessagesAPI(latency=latency, limits=load.limits, clock=load.clock.now) as api:
        started, cpu = time.monotonic(), time.process_time()
        took, failed = anyio.run(_race, load, way, api, others)
        busy = (time.process_time() - cpu) / (time.monotonic() - started)
        api.wait_until_idle()
        ours = [request for request in api.requests if _OTHER not in request.headers]
        theirs = [request for request in api.requests if _OTHER in request.headers]
    other = _share(load, theirs, took, 0) if others else None
    return _Outcome(_share(load, ours, took, failed), other, took, busy)


async def _race(load: _Load, way: _Way, api: FakeMessagesAPI, others: float) -> tuple[float, int]:
    """Seconds of the fast clock, and how many uploads failed."""
    clock = load.clock
    async with anyio.create_task_group() as tasks:
        if others:
            tasks.start_soon(_ask_at_random, load, api, load.per_minute * others)
        started = clock.now()
        failed = await way(load, api)
        took = clock.now() - started
        tasks.cancel_scope.cancel()
    return took, failed


def _share(load: _Load, requests: Sequence[RecordedRequest], took: float, failed: int) -> _Share:
    usages = [request.usage for request in requests if request.usage is not None]
    tokens = sum(usage["input_tokens"] + usage["cache_creation_input_tokens"] for usage in usages)
    refused = sum(request.status == 429 for request in requests) / max(1, len(requests))
    return _Share(tokens / load.allowed(took), refused, failed)


# --- the ways -------------------------------------------------------------------------------------------------------


async def _ours(load: _Load, api: FakeMessagesAPI, /) -> int:
    async with AsyncAnthropic(api_key="ours", base_url=api.base_url) as client:
        analyzer = ClaudeAnalyzer(client, pacer=Pacer(clock=load.clock))
        run = await analyze_cards(load.make_uploads(), MemoryStore(), 16, analyzer=analyzer)
    return sum(item.status is not ItemStatus.COMPLETED for item in run.items)


async def _sdk(load: _Load, api: FakeMessagesAPI, /, *, limit: int) -> int:
    limiter, failed = CapacityLimiter(limit), 0

    async def ask(client: AsyncAnthropic, params: Mapping[str, Any]) -> None:
        nonlocal failed
        async with limiter:
            try:
                await client.messages.create(**params)
            except RateLimitError:
                failed += 1

    requests = [await _params(upload) for upload in load.make_uploads()]
    async with _fast_client(load, api) as client, anyio.create_task_group() as tasks:
        for params in requests:
            tasks.start_soon(ask, client, params)
    return failed


@asynccontextmanager
async def _fast_client(load: _Load, api: FakeMessagesAPI) -> AsyncGenerator[AsyncAnthropic]:
    """The SDK as it comes, for which the seconds to wait are real ones."""

    async def shorten(response: Any) -> None:
        if told := response.headers.get("retry-after"):
            response.headers["retry-after"] = str(float(told) / load.speed)

    transport = DefaultAsyncHttpxClient(event_hooks={"response": [shorten]})
    async with AsyncAnthropic(api_key="sdk", base_url=api.base_url, http_client=transport) as client:
        yield client


async def _ask_at_random(load: _Load, api: FakeMessagesAPI, per_minute: float) -> None:
    """Ask for mean documents at random moments, whatever becomes of it."""

    async def ask() -> None:
        with suppress(RateLimitError):
            await client.messages.create(**params)

    dice, clock = random.Random(2), load.clock
    text = "The auditors must see every payment in one list. " * (4 * (load.document_tokens - _FRAME_TOKENS) // 49)
    params = await _params(Upload.from_text(text, "other.md"))
    other = AsyncAnthropic(api_key="other", base_url=api.base_url, max_retries=0, default_headers={_OTHER: "yes"})
    async with other as client, anyio.create_task_group() as tasks:
        next_at = clock.now()
        while True:
            tasks.start_soon(ask)
            next_at += dice.expovariate(per_minute / 60)
            await clock.sleep(max(0.0, next_at - clock.now()))


async def _params(upload: Upload) -> Mapping[str, Any]:
    """The request that our analyzer makes for an upload."""
    (params,) = ClaudeAnalyzer().request_params(await DocumentLoader().load(upload), AnalysisRequest())
    return params
