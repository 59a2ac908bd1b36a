"""What a request costs: processor time beside the bare SDK, and tokens and dollars with the cache and in batches."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import median
from typing import Any, Literal

import anyio
from anthropic import AsyncAnthropic
from measuring import Report, Table, ratio, take_turns

from cardanalysis import AnalysisRequest, ClaudeAnalyzer, MemoryStore, RunStatus, Upload, Usage, analyze_cards
from cardanalysis.loading import DocumentLoader
from cardanalysis.pacing import Clock, Pacer
from cardanalysis.testing import FakeMessagesAPI, Reply

Mode = Literal["direct", "batch"]

_WAYS: Mapping[str, tuple[Mode, bool]] = {
    "direct, no cache": ("direct", False),
    "direct, cache": ("direct", True),
    "batch, no cache": ("batch", False),
    "batch, cache": ("batch", True),
}
"""Each is the mode, and whether the prompt is cached."""

_CPU_TEXT = """\
Processor time of this process for one request, {in_flight} in flight, against the fake Messages API in another process,
which answers at once. Ours is `ClaudeAnalyzer.open()` and `analyze`: the parameters made from the document, the turn in
the queue of the rate limits, the wait for a cold prompt cache, time-outs, retries, the answer read into cards, tokens
and prices. The SDK gets the same parameters, made beforehand, and its answer is only parsed as JSON. Streamed is
compared with streamed: the SDK's helper `messages.stream` with `get_final_message`, and ours as it comes; not streamed
is `messages.create`, and ours with `stream=False`. An answer has three cards; its stream, some twelve events, many
fewer than a real one. The goal is at most 1.25 times the SDK."""

_COST_TEXT = """\
{count} documents of about {document:,} tokens with answers of {output:,} tokens, 16 at once, through `analyze_cards`.
The instructions are what is cached: {instructions:,} tokens, the same for every document, so the longer the
documents, the less there is to save. They are written once: the first request goes alone until its answer begins. In
batch mode the first request is a direct one, at the full price. The fake API answers a batch in order, so that the
cache serves every request; the real one promises less (public documentation on batches, August 2026)."""

_FAST = Clock(speed=100)
"""So that nobody waits for a batch."""

_DOCUMENT_TOKENS = 1_000
_OUTPUT_TOKENS = 600

_CARD = {
    "quotes": ["The clerks must see every claim on one screen."],
    "title": "Claims on one screen",
    "problem": "Clerks search for claims in several places.",
    "target_users": ["Clerks"],
    "current_state": "",
    "desired_outcomes": ["Every claim is seen on one screen"],
    "constraints": [],
    "systems": [],
    "priority": "high",
    "impact": "",
}
_ANSWER = {"cards": [_CARD] * 3}

_SERVER = f"""
import sys
from cardanalysis.testing import FakeMessagesAPI, Reply

with FakeMessagesAPI(answer=Reply.json({_ANSWER!r})) as api:
    print(api.base_url, flush=True)
    sys.stdin.read()
"""


def run(tiny: bool) -> Report:
    in_flight, count, rounds, uploads = (4, 8, 1, 4) if tiny else (64, 500, 5, 100)
    usages = {name: anyio.run(_usage, uploads, *way) for name, way in _WAYS.items()}
    cost_text = _COST_TEXT.format(
        count=uploads,
        document=_DOCUMENT_TOKENS,
        output=_OUTPUT_TOKENS,
        instructions=usages["direct, cache"].cache_write_tokens,
    )
    cpu = _cpu_table(in_flight, count, rounds)
    return Report("Requests", [_CPU_TEXT.format(in_flight=in_flight), cpu, cost_text, _cost_table(usages)])


def _text(number: int) -> str:
    return f"# Need {number}\n\n" + "The clerks must see every claim on one screen. " * (4 * _DOCUMENT_TOKENS // 47)


# --- processor time -------------------------------------------------------------------------------------------------

Ask = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class _Load:
    url: str
    in_flight: int
    count: int


async def _created(client: AsyncAnthropic, params: Mapping[str, Any]) -> object:
    message = await client.messages.create(**params)
    return [json.loads(block.text) for block in message.content if block.type == "text"]


async def _streamed(client: AsyncAnthropic, params: Mapping[str, Any]) -> object:
    async with client.messages.stream(**params) as stream:
        message = await stream.get_final_message()
    return [json.loads(block.text) for block in message.content if block.type == "text"]


_SDK = {True: _streamed, False: _created}
_NAMES = {True: "streamed", False: "not streamed"}


def _cpu_table(in_flight: int, count: int, rounds: int) -> Table:
    with _server() as url:
        load = _Load(url, in_flight, count)
        cases = {
            (backend, stream, ours): partial(_measure, load, backend=backend, stream=stream, ours=ours)
            for backend, stream, ours in product(("asyncio", "trio"), (True, False), (False, True))
        }
        measured = take_turns(cases, rounds)
    rows = []
    for backend, stream in product(("asyncio", "trio"), (True, False)):
        sdk, ours = measured[backend, stream, False], measured[backend, stream, True]
        rows.append([f"{backend}, {_NAMES[stream]}", *(f"{median(each) * 1000:.2f} ms" for each in (sdk, ours))])
        rows[-1].append(f"{ratio(ours, sdk):.2f}")
    return Table(["way", "SDK", "ours", "times the SDK"], rows)


def _measure(load: _Load, *, backend: str, stream: bool, ours: bool) -> float:
    return anyio.run(_cpu_seconds_a_request, load, stream, ours, backend=backend)


async def _cpu_seconds_a_request(load: _Load, stream: bool, ours: bool) -> float:
    document = await DocumentLoader().load(Upload.from_text(_text(0), "need.md"))
    request = AnalysisRequest()
    async with AsyncAnthropic(api_key="not-a-key", base_url=load.url, max_retries=0) as client:
        analyzer = ClaudeAnalyzer(client, stream=stream, pacer=Pacer())
        (params,) = analyzer.request_params(document, request)
        async with analyzer.open() as ready:
            sdk: Ask = partial(_SDK[stream], client, params)
            ask: Ask = partial(ready.analyze, document, request) if ours else sdk
            await _ask_often(ask, load.in_flight, 2 * load.in_flight)  # opens the connections, and the pacer's window
            gc.collect()
            start = time.process_time()
            await _ask_often(ask, load.in_flight, load.count)
            return (time.process_time() - start) / load.count


async def _ask_often(ask: Ask, in_flight: int, count: int) -> None:
    numbers = iter(range(count))

    async def work() -> None:
        for _ in numbers:  # shared: each number is done once
            await ask()

    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(work)


@contextmanager
def _server() -> Generator[str]:
    """The fake API in a process of its own, until its input ends."""
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


# --- tokens and dollars ---------------------------------------------------------------------------------------------


def _cost_table(usages: Mapping[str, Usage]) -> Table:
    dearest = next(iter(usages.values())).cost or 0.0
    header = ["way", "requests", "fresh input", "written to the cache", "read from it", "output", "cost", "saved"]
    return Table(header, [[name, *_cells(usage, dearest)] for name, usage in usages.items()])


def _cells(usage: Usage, dearest: float) -> Iterator[str]:
    yield str(usage.requests)
    for tokens in (usage.input_tokens, usage.cache_write_tokens, usage.cache_read_tokens, usage.output_tokens):
        yield f"{tokens:,}"
    assert usage.cost is not None
    yield f"${usage.cost:.3f}"
    yield f"{100 * (1 - usage.cost / dearest):.0f} %"


async def _usage(count: int, mode: Mode, cache: bool) -> Usage:
    uploads = [Upload.from_text(_text(number), f"{number}.md") for number in range(count)]
    reply = Reply.json(_ANSWER, usage={"output_tokens": _OUTPUT_TOKENS})
    with FakeMessagesAPI(latency=0.02, answer=reply) as api:
        async with AsyncAnthropic(api_key="not-a-key", base_url=api.base_url) as client:
            analyzer = ClaudeAnalyzer(client, cache=cache, pacer=Pacer(clock=_FAST))
            run = await analyze_cards(uploads, MemoryStore(), 16, analyzer=analyzer, mode=mode)
    assert run.status is RunStatus.SUCCEEDED
    return run.usage
