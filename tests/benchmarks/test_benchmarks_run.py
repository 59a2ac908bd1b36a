"""The benchmarks run, each alone and in a size that takes no time, so that they do not rot. No time is asserted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_PAGE = _HERE.parents[1] / "docs" / "benchmarks.md"
_SHOWN = {
    "speedup": ("Speed at a limit", ["asyncio, limit 1", "asyncio, limit 2", "trio, limit 2", "from an iterator"]),
    "pacing": ("Pacing", ["ours, limit 16", "SDK, limit 16", "SDK, limit 2", "the other client"]),
    "requests": ("Requests", ["asyncio, streamed", "trio, not streamed", "direct, cache", "batch, cache"]),
    "engine": ("The engine's cost for one item", ["our engine", "aiometer.amap", "asyncio.Semaphore + gather"]),
    "imports": ("Importing", ["`import cardanalysis`", "`import anyio, attrs`"]),
    "stores": ("Stores", ["MemoryStore", "SQLiteStore", "a transaction in a thread"]),
    "loading": ("Loading", ["plain text, 10 MB", "Markdown, 10 MB", "CSV, 20 MB"]),
    "formats": ("Formats", [".docx, ours", ".pdf, MarkItDown", "asyncio, 20 files", "trio, nothing else"]),
    "grounding": ("Grounding", ["all stand there exactly", "all are normalized", "none stands there"]),
}
"""Of each benchmark, its title and some first cells of its rows."""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(_HERE / "run.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def rows(shown: str) -> dict[str, list[str]]:
    """The cells of each table row, by its first cell."""
    lines = [line.strip("| ").split("|") for line in shown.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


@pytest.mark.parametrize("name", _SHOWN)
def test_a_benchmark_runs_alone_and_shows_its_rows(name: str) -> None:
    """Named on the command line, it prints its title and a row for each alternative, and warns of nothing."""
    if name == "engine":
        pytest.importorskip("aiometer")
    title, expected = _SHOWN[name]
    done = run(name, "--tiny")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("## ")] == [f"## {title}"]
    shown = rows(done.stdout)
    assert set(expected) <= set(shown)
    assert all(all(cells) for cells in shown.values())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["some"], "unknown: some"),
        (["--write", "engine"], "--write takes neither"),
        (["--write", "--tiny"], "--write takes neither"),
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str], reason: str) -> None:
    """A name that is not there, and writing a page that would not be whole, are usage errors that measure nothing."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr


def test_the_page_tells_of_every_benchmark() -> None:
    """The page in the docs has a section for each benchmark and no other."""
    titles = [line[3:] for line in _PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
    assert titles == [title for title, _ in _SHOWN.values()]
