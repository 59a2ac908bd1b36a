"""500 files of all formats, four at once: all come to an end, and nothing is left of reading them."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import anyio
import pytest

from cardanalysis import ItemStatus, MemoryStore, Run, Upload, analyze_cards
from cardanalysis.analysis import OutlineAnalyzer
from cardanalysis.loading._workers import close_workers

from .corpus.mixed import mixed

FILES = 500
AT_ONCE = 4
NO_TEXT = "no_text"  # what the rules say of a picture, which was read as one
_DESCRIPTORS = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")


@pytest.fixture(scope="module")
def uploads() -> list[Upload]:
    return [Upload.from_bytes(data, name) for name, data in mixed(FILES)]


def analyze(uploads: Iterable[Upload], backend: str) -> Run:
    """Analyze uploads on an event loop of its own, and end the processes that read them."""

    async def main() -> Run:
        return await analyze_cards(uploads, MemoryStore(), analyzer=OutlineAnalyzer(), limit=AT_ONCE)

    try:
        return anyio.run(main, backend=backend)
    finally:
        close_workers()


def descriptors() -> int:
    return len(list(_DESCRIPTORS.iterdir())) if _DESCRIPTORS.exists() else 0


def threads_above(count: int) -> list[threading.Thread]:
    """Threads beyond so many, after some time to end: those of a loop that is closed end by themselves."""
    for _ in range(1500):
        if threading.active_count() <= count:
            return []
        threading.Event().wait(0.01)
    return threading.enumerate()


def children() -> list[str]:
    """The processes that this one started and that are still there."""
    if not Path("/proc/self/task").exists():
        return []
    tasks = Path("/proc/self/task").iterdir()
    return " ".join((task / "children").read_text() for task in tasks if (task / "children").exists()).split()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_nothing_is_left_of_many_files(uploads: list[Upload], backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sound file is completed, and afterwards there are no more descriptors, threads or processes than before."""
    started: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Watched)
    analyze(uploads[:40], backend)
    opened, running, had = descriptors(), threading.active_count(), set(children())

    run = analyze(uploads, backend)

    statuses = {item.name: item.status for item in run.items}
    assert len(statuses) == FILES
    failed = {item.name: item.error and item.error.code for item in run.items if item.status is ItemStatus.FAILED}
    assert {name: code for name, code in failed.items() if "-bad-" not in name and code != NO_TEXT} == {}
    assert set(statuses.values()) == {ItemStatus.COMPLETED, ItemStatus.FAILED}
    assert threads_above(running) == []
    assert descriptors() <= opened
    assert set(children()) <= had
    assert started
    assert [process.args for process in started if process.returncode is None] == []
