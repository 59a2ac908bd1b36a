"""What a limit gains: uploads of unequal latency through the real SDK, Claude's analyzer and an SQLite file."""

from __future__ import annotations

import heapq
import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import anyio
from anthropic import AsyncAnthropic
from measuring import Report, Table, ratio, take_turns

from cardanalysis import ClaudeAnalyzer, RunStatus, SQLiteStore, Upload, analyze_cards
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest

_TEXT = """\
{count} uploads through the official SDK, `ClaudeAnalyzer` and `SQLiteStore`, against the fake Messages API on loopback,
whose answers take {low:.0f} to {high:.0f} ms, {mean:.0f} ms in the mean, in proportion to the document's size. The
latencies alone allow a bound: that of the same order of uploads where all else takes no time. The goal is at least
1.95 times as fast at a limit of 2, and never more requests in flight than the limit, as the server sees it. The prompt
cache is off here: the fake holds an answer back whole, so that the others would wait for the end of the first one,
which warms the cache, and not for its beginning."""

_ORDER_TEXT = """\
From a list the largest upload goes first, from an iterator the uploads go as they come. How many times as fast as at a
limit of 1 each is at a limit of 2, over {orders} random orders of the same uploads; and what the latencies alone allow,
over {many:,}:"""

_MANY = 1_000


@dataclass(frozen=True)
class _Load:
    """Documents by their lengths in characters, and how long the model takes for a character."""

    lengths: Sequence[int]
    seconds_per_character: float

    def uploads(self, seed: int) -> list[Upload]:
        lengths = random.Random(seed).sample(self.lengths, len(self.lengths))
        return [
            Upload.from_text(f"Document {number}. ".ljust(length, "x"), f"{number}.txt")
            for number, length in enumerate(lengths)
        ]

    def latency(self, request: RecordedRequest) -> float:
        return len(request.text) * self.seconds_per_character


_FULL = _Load([2_000 + 6_000 * number // 19 for number in range(20)], 40e-6)
_TINY = _Load([200, 300, 400, 500], 10e-6)


@dataclass(frozen=True)
class _Timing:
    seconds: float
    max_in_flight: int


def run(tiny: bool) -> Report:
    load, limits, rounds, orders = (_TINY, (1, 2), 1, 1) if tiny else (_FULL, (1, 2, 4, 8), 3, 5)
    milliseconds = [length * load.seconds_per_character * 1000 for length in load.lengths]
    text = _TEXT.format(count=len(milliseconds), low=min(milliseconds), high=max(milliseconds), mean=mean(milliseconds))
    order_text = _ORDER_TEXT.format(orders=orders, many=_MANY)
    parts: list[str | Table] = [text, _limits_table(load, limits, rounds), order_text, _order_table(load, orders)]
    return Report("Speed at a limit", parts)


def _time(load: _Load, uploads: Iterable[Upload], *, backend: str, limit: int) -> _Timing:
    with FakeMessagesAPI(latency=load.latency) as api, tempfile.TemporaryDirectory() as folder:
        seconds = anyio.run(_analyze, uploads, limit, api.base_url, Path(folder) / "cards.db", backend=backend)
        assert api.max_in_flight <= limit
        return _Timing(seconds, api.max_in_flight)


async def _analyze(uploads: Iterable[Upload], limit: int, base_url: str, path: Path) -> float:
    async with (
        AsyncAnthropic(api_key="not-a-key", base_url=base_url, max_retries=0) as client,
        SQLiteStore(path) as store,
    ):
        start = perf_counter()
        run = await analyze_cards(uploads, store, limit, analyzer=ClaudeAnalyzer(client, cache=False))
        seconds = perf_counter() - start
    assert run.status is RunStatus.SUCCEEDED
    return seconds


def _limits_table(load: _Load, limits: Sequence[int], rounds: int) -> Table:
    cases = {
        (backend, limit): partial(_time, load, load.uploads(0), backend=backend, limit=limit)
        for backend, limit in product(("asyncio", "trio"), limits)
    }
    timings = take_turns(cases, rounds)
    seconds = {case: [timing.seconds for timing in measured] for case, measured in timings.items()}
    rows = [
        [
            f"{backend}, limit {limit}",
            f"{median(seconds[backend, limit]):.2f} s",
            f"{ratio(seconds[backend, 1], seconds[backend, limit]):.2f}",
            f"{_bound(sorted(load.lengths, reverse=True), limit):.2f}",
            str(max(timing.max_in_flight for timing in measured)),
        ]
        for (backend, limit), measured in timings.items()
    ]
    return Table(["way", "time", "times as fast as limit 1", "the latencies alone allow", "most in flight"], rows)


def _order_table(load: _Load, orders: int) -> Table:
    lists: list[float] = []
    iterators: list[float] = []
    for seed in range(orders):
        uploads = load.uploads(seed)
        alone = _time(load, uploads, backend="asyncio", limit=1).seconds
        lists.append(alone / _time(load, uploads, backend="asyncio", limit=2).seconds)
        iterators.append(alone / _time(load, iter(uploads), backend="asyncio", limit=2).seconds)
    any_order = [_bound([upload.size for upload in load.uploads(seed)], 2) for seed in range(_MANY)]
    largest_first = _bound(sorted(load.lengths, reverse=True), 2)
    rows = [
        ["from a list", *_figures(median(lists), min(lists), largest_first, largest_first)],
        ["from an iterator", *_figures(median(iterators), min(iterators), mean(any_order), min(any_order))],
    ]
    return Table(["uploads", "median", "worst", "allowed, mean", "allowed, worst"], rows)


def _figures(*values: float) -> list[str]:
    return [f"{value:.2f}" for value in values]


def _bound(lengths: Sequence[int], limit: int) -> float:
    """How many times as fast as one by one the work ends if each piece starts as soon as a slot is free."""
    slots = [0] * limit
    for length in lengths:
        heapq.heapreplace(slots, slots[0] + length)
    return sum(lengths) / max(slots)
