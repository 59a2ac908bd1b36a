"""`follow`, and `cancel_run` across processes: real files, and real processes where it says so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from cardanalysis import (
    ConfigurationError,
    Event,
    MemoryStore,
    RunNotFound,
    RunStatus,
    SQLiteStore,
    Store,
    Upload,
    analyze_cards,
    load_run,
    runs,
)
from cardanalysis.testing import ScriptedAnalyzer

pytestmark = pytest.mark.anyio

QUICK = 0.01


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens the same store each time it is called."""
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "cards.db")


def texts(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {number}\n", f"{number}.txt") for number in range(count)]


async def wait_for_run(store: Store, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until somebody else has created the run."""
    while True:
        try:
            await store.get_run("r")
        except RunNotFound:
            assert process is None or process.poll() is None
            await anyio.sleep(QUICK)
        else:
            return


async def collect(store: Store, run_id: str, **options: Any) -> list[Event]:
    async with aclosing(runs.follow(store, run_id, poll_seconds=QUICK, **options)) as events:
        return [event async for event in events]


@pytest.mark.usefixtures("no_blocking")
async def test_an_ended_run_gives_its_log(open_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All events are given, or those behind a number, whatever the size of the pages; then it ends."""
    async with open_store() as store:
        await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), run_id="r")
        log = await store.events("r")
        for page in (1, 4, len(log), 500):
            monkeypatch.setattr(runs, "_PAGE", page)
            assert await collect(store, "r") == log
            assert await collect(store, "r", after=5) == log[5:]
            assert await collect(store, "r", after=len(log)) == []


@pytest.mark.usefixtures("no_blocking")
async def test_events_come_while_the_run_goes_on(open_store: Any) -> None:
    """The second upload waits until the follower has seen the end of the first: events come as they are written."""
    released = anyio.Event()

    class Gate(ScriptedAnalyzer):
        async def analyze(self, document: Any, request: Any, /) -> Any:
            if document.name == "1.txt":
                await released.wait()
            return await super().analyze(document, request)

    async with open_store() as store:
        seen: list[Event] = []

        async def analyze() -> None:
            await analyze_cards(iter(texts(2)), store, 1, analyzer=Gate(), run_id="r")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(analyze)
            with anyio.fail_after(30):
                await wait_for_run(store)
                async with aclosing(runs.follow(store, "r", poll_seconds=QUICK)) as events:
                    async for event in events:
                        seen.append(event)
                        if event.data.get("to") == "completed":
                            released.set()
        assert seen == await store.events("r")
        assert seen[-1].data["to"] == "succeeded"


@pytest.mark.usefixtures("no_blocking")
async def test_a_follower_can_leave(open_store: Any) -> None:
    """Closed early, cancelled or timed out, it ends cleanly on both event loops; the run is not touched."""
    async with open_store() as store:
        run = await store.create_run("r", kind="k", fingerprint="f", asked={})
        async with aclosing(runs.follow(store, "r", poll_seconds=QUICK)) as events:
            assert (await anext(events)).type == "run_created"
        with anyio.move_on_after(5 * QUICK) as scope:
            await collect(store, "r")
        assert scope.cancelled_caught
        assert await store.get_run("r") == run


@pytest.mark.usefixtures("no_blocking")
async def test_what_cannot_be_followed_is_told(open_store: Any) -> None:
    """An unknown run, one that is deleted meanwhile, and a pause that is none."""
    async with open_store() as store:
        with pytest.raises(RunNotFound):
            await collect(store, "r")
        with pytest.raises(ConfigurationError, match="poll_seconds"):
            await anext(runs.follow(store, "r", poll_seconds=0))
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        async with aclosing(runs.follow(store, "r", poll_seconds=QUICK)) as events:
            await anext(events)
            await runs.delete_run(store, "r")
            with pytest.raises(RunNotFound):
                await anext(events)


# --- other processes ------------------------------------------------------------------------------------------------

WORKER = """
import sys, anyio
from cardanalysis import SQLiteStore, Upload, analyze_cards
from cardanalysis.testing import ScriptedAnalyzer

path, latency = sys.argv[1], float(sys.argv[2])
uploads = [Upload.from_text(f"Document {number}\\n", f"{number}.txt") for number in range(5)]

async def main():
    async with SQLiteStore(path) as store:
        analyzer = ScriptedAnalyzer(latency=latency)
        run = await analyze_cards(uploads, store, analyzer=analyzer, run_id="r", lease_seconds=0.3)
        print(run.status, run.error)

anyio.run(main)
"""


@contextmanager
def worker(path: Path, latency: float) -> Iterator[subprocess.Popen[str]]:
    """A second process that works on the run "r"; nothing is left of it."""
    command = [sys.executable, "-c", WORKER, str(path), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def output_of(process: subprocess.Popen[str]) -> str:
    printed, errors = await to_thread.run_sync(process.communicate)
    assert process.returncode == 0, errors
    return printed.strip()


async def test_the_work_of_another_process_can_be_followed(tmp_path: Path) -> None:
    """Its events arrive here in order, all of them, and the following ends with the run."""
    path = tmp_path / "cards.db"
    with anyio.fail_after(60):
        async with SQLiteStore(path) as store:
            with worker(path, latency=0.02) as process:
                await wait_for_run(store, process)
                seen = await collect(store, "r")
                assert await output_of(process) == "succeeded None"
            assert seen == await store.events("r")
            assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
            assert (await load_run(store, "r")).counters["completed"] == 5


async def test_another_process_can_be_stopped(tmp_path: Path) -> None:
    """Its call returns the cancelled run with the reason; its uploads are pending, and can be done here."""
    path = tmp_path / "cards.db"
    with anyio.fail_after(60):
        async with SQLiteStore(path) as store:
            with worker(path, latency=3600) as process:
                await wait_for_run(store, process)
                async with aclosing(runs.follow(store, "r", poll_seconds=QUICK)) as events:
                    async for event in events:
                        if event.data.get("to") == "analyzing":
                            break
                cancelled = await runs.cancel_run(store, "r", reason="Enough.")
                assert (cancelled.status, cancelled.error) == (RunStatus.CANCELLED, "Enough.")
                assert await output_of(process) == "cancelled Enough."
            assert {str(item.status) for item in await store.items("r")} == {"pending"}
            run = await analyze_cards(texts(5), store, analyzer=ScriptedAnalyzer(), run_id="r")
            assert run.status is RunStatus.SUCCEEDED
