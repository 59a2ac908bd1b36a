"""The engine's own cost: items whose work is nothing, recorded by a store that keeps nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from measuring import Report, Table, ratio, take_turns

_WAYS = {
    "our engine": "engine",
    "our engine, item_timeout=900": "engine_with_timeout",
    "anyio, slot taken first": "slot_first",
    "anyio, a task for each first": "task_first",
    "aiometer.amap": "aiometer_amap",
    "aiometer.run_all": "aiometer_run_all",
    "asyncio.Semaphore + gather": "semaphore_and_gather",
}
"""Each way's title, and its function in engine_ways.py."""
_ON_TRIO = [title for title in _WAYS if not title.startswith("asyncio")]
_PLAIN = "anyio, slot taken first"
_SCRIPT = Path(__file__).with_name("engine_ways.py")

_TEXT = """\
`limit=16`, and items whose work returns at once. Beside the others, our engine also reads its items from an async
generator, asks a store to add, claim and complete each one (a null store: it keeps nothing and answers at once), guards
each against time-outs, lost leases and cancellation, and keeps leases. Each figure is the processor time for one item
and how far the peak of memory rose above that of a warm process; every measurement has a process of its own. The last
column compares at the largest number of items. The goal is at most 40 µs for an item, and memory that does not grow
with their number.

`asyncio.Semaphore` with `gather` is that cheap because nothing in it ever waits here, neither for work nor for a slot:
each task ends in its first step."""


def run(tiny: bool) -> Report:
    counts, rounds = ((50,), 1) if tiny else ((1_000, 10_000, 100_000), 3)
    parts: list[str | Table] = [_TEXT]
    for backend, titles in {"asyncio": list(_WAYS), "trio": _ON_TRIO[:3] if tiny else _ON_TRIO}.items():
        measured = {
            count: take_turns({title: partial(_measure, _WAYS[title], backend, count) for title in titles}, rounds)
            for count in counts
        }
        parts += [f"Processor time for an item, under {backend}:", _times(measured)]
        parts += [f"Rise of the peak of memory, under {backend}:", _memory(measured)]
    return Report("The engine's cost for one item", parts)


@dataclass(frozen=True)
class _Cost:
    seconds: float
    memory_mb: float


_Measured = Mapping[int, Mapping[str, Sequence[_Cost]]]
"""By the number of items and by way."""


def _measure(way: str, backend: str, count: int) -> _Cost:
    command = [sys.executable, str(_SCRIPT), way, backend, str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return _Cost(**json.loads(printed))


def _times(measured: _Measured) -> Table:
    largest = max(measured)
    rows: list[list[str]] = []
    for title, costs in measured[largest].items():
        seconds = [cost.seconds for cost in costs]
        plain = [cost.seconds for cost in measured[largest][_PLAIN]]
        figures = (median(cost.seconds for cost in ways[title]) / count for count, ways in measured.items())
        rows.append([title, *(f"{figure * 1e6:.1f} µs" for figure in figures), f"{ratio(seconds, plain):.2f}"])
    return Table(["way", *_headings(measured), f"beside “{_PLAIN}”"], rows)


def _memory(measured: _Measured) -> Table:
    rows = [
        [title, *(f"{median(cost.memory_mb for cost in ways[title]):.1f} MB" for ways in measured.values())]
        for title in measured[max(measured)]
    ]
    return Table(["way", *_headings(measured)], rows)


def _headings(measured: _Measured) -> list[str]:
    return [f"{count:,} items" for count in measured]
