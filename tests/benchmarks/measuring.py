"""What the benchmarks share: taking turns, ratios, memory, and plain tables.

A machine's speed drifts while a benchmark runs. So the alternatives take turns (A B A B …), and two of them are
compared round by round: the ratio is the median of the rounds' ratios, in which most of the drift cancels.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

K = TypeVar("K")
T = TypeVar("T")

_PACKAGES = ("cardanalysis", "anyio", "trio", "aiometer", "aiosqlite", "anthropic", "attrs")
_STATUS = Path("/proc/self/status")


def take_turns(alternatives: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Measure each alternative once a round, one after the other."""
    results: dict[K, list[T]] = {name: [] for name in alternatives}
    for _ in range(rounds):
        for name, measure in alternatives.items():
            results[name].append(measure())
    return results


def ratio(ones: Sequence[float], others: Sequence[float]) -> float:
    """How many times as large the ones are as the others, round by round."""
    return median(one / other for one, other in zip(ones, others, strict=True))


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor time of something that only computes: other programs on the machine disturb it least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def peak_memory_mb() -> float:
    """The most memory that this process ever had in use, in MB."""
    if _STATUS.exists():  # the usage of a process begins with its parent's peak where that forked; this does not
        fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def memory_mb() -> float:
    """What this process has in use now, in MB; where that is not known, the most that it ever had."""
    if not _STATUS.exists():
        return peak_memory_mb()
    fields = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) * 1024 / 1e6


@dataclass(frozen=True)
class Table:
    """Rows under a header. The first column is a name, the others are figures."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.header, *self.rows]
        widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(self.header))]
        rule = [("-" if column == 0 else "-:").rjust(width, "-") for column, width in enumerate(widths)]
        return "\n".join(_line(cells, widths) for cells in (self.header, rule, *self.rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


@dataclass(frozen=True)
class Report:
    """What a benchmark found: a title, then paragraphs and tables in turn."""

    title: str
    parts: Sequence[str | Table]

    def __str__(self) -> str:
        return "\n\n".join([f"## {self.title}", *(str(part) for part in self.parts)])


def machine() -> str:
    """What the figures were measured on."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} CPUs ({platform.machine()}), {platform.system()}, {python}; {versions}"
