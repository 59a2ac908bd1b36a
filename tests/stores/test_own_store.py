"""The store that the documentation builds: it keeps every promise, and outlives processes and shares with others."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

from cardanalysis import OutlineAnalyzer, StoreError, Upload, analyze_cards, load_run
from cardanalysis._models import NewItem, NewOutput
from cardanalysis.abc import CommitUnknown
from cardanalysis.testing._store_promises import StoreMaker
from cardanalysis.testing._store_promises_trial import ManualClock, Trial
from cardanalysis.testing.store_tests import StoreTests

pytest.importorskip("fcntl", reason="the example locks files as POSIX does")

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "folder_store.py"
_spec = importlib.util.spec_from_file_location("folder_store", EXAMPLE)
assert _spec is not None
assert _spec.loader is not None
folder_store = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(folder_store)
FolderStore = folder_store.FolderStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs"


class TestFolderStore(StoreTests):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> StoreMaker:
        return lambda clock: FolderStore(tmp_path / "runs", clock=clock)


@pytest.mark.anyio
async def test_what_it_was_told_is_there_when_it_is_opened_again(folder: Path) -> None:
    """Another store on the folder finds run, items, outputs and log as they were, and goes on with them."""
    clock = ManualClock()
    async with FolderStore(folder, clock=clock) as store:
        one = Trial(store, clock)
        await one.create(question={"text": "Größe\u2028", "half": "\ud800"})
        await one.add("a", "b", "c")
        await one.complete(await one.take("a"), [NewOutput(kind="cards", data={"title": "x\nx"})])
        held = await one.take("b")
        before = await one.snapshot()
    async with FolderStore(folder, clock=clock) as store:
        other = Trial(store, clock)
        assert await other.snapshot() == before
        await other.complete(held)
        assert (await other.check_sums("after the reopening")).run.counters["completed"] == 2


@pytest.mark.anyio
async def test_a_run_is_done_and_resumed_on_it(folder: Path) -> None:
    """analyze_cards does a run on the store of the example, and asked again does nothing twice."""
    uploads = [Upload.from_text(f"The app must show {n}.", f"{n}.txt") for n in range(4)]
    async with FolderStore(folder) as store:
        run = await analyze_cards(uploads, store, run_id="run", analyzer=OutlineAnalyzer())
    async with FolderStore(folder) as store:
        again = await analyze_cards(uploads, store, run_id="run", analyzer=OutlineAnalyzer())
        assert (await load_run(store, "run")).cards == run.cards == again.cards
        assert {item.attempts for item in again.items} == {1}


@pytest.mark.anyio
async def test_a_write_that_fails_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new file cannot be written the old one stays, and the error is a StoreError."""
    async with FolderStore(folder) as store:
        created = await store.create_run("run", kind="test", fingerprint="f", asked={})
        with monkeypatch.context() as patch:
            patch.setattr(folder_store.os, "fsync", fail)
            with pytest.raises(StoreError, match="No space left"):
                await store.increment("run", "n")
        assert await store.get_run("run") == created
        assert await store.increment("run", "n") == 1


@pytest.mark.anyio
async def test_it_says_when_it_does_not_know(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the folder cannot be written to the disk, the new file may be lost in a power cut: CommitUnknown."""
    async with FolderStore(folder) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        with monkeypatch.context() as patch:
            patch.setattr(folder_store.os, "open", fail)
            with pytest.raises(CommitUnknown):
                await store.increment("run", "n")
        assert await store.increment("run", "n") == 2


def fail(*_: object) -> Any:
    raise OSError(28, "No space left on device")


@pytest.mark.anyio
async def test_a_damaged_file_is_told(folder: Path) -> None:
    """A file that was cut off is refused, and the error shows nothing of what it holds."""
    async with FolderStore(folder) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={"secret": "s3cret"})
        (path,) = folder.glob("*.jsonl")
        whole = path.read_bytes()
        for damaged in (b"", whole[:40], whole[: whole.index(b"\n") + 1], whole + whole, b"\xff" + whole):
            path.write_bytes(damaged)
            with pytest.raises(StoreError) as caught:
                await store.get_run("run")
            assert "s3cret" not in str(caught.value)


WORKER = textwrap.dedent("""
    import sys
    import anyio
    from folder_store import FolderStore

    async def main(folder, job, name):
        async with FolderStore(folder) as store:
            if job == "count":
                for _ in range(200):
                    print(await store.increment("run", "n"))
            while job == "claim" and (claimed := await store.claim("run", name, lease_seconds=600, limit=3)):
                print(*(item.id for item in claimed), sep="\\n")

    anyio.run(main, *sys.argv[1:])
""")


def by_two_processes(folder: Path, job: str) -> list[list[str]]:
    """What two processes on one folder print, that do the same job at the same time."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), job, name],
            stdout=subprocess.PIPE,
            text=True,
            cwd=EXAMPLE.parent,
        )
        for name in ("w1", "w2")
    ]
    printed = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    return printed


async def prepare(folder: Path, items: int) -> None:
    async with FolderStore(folder) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        await store.add_items("run", [NewItem(id=f"{n}", name="", position=n) for n in range(items)])


def test_two_processes_lose_no_increment(folder: Path) -> None:
    """Of 2 times 200 increments by two processes none is lost, and no two give the same value."""
    anyio.run(prepare, folder, 0)
    one, other = by_two_processes(folder, "count")
    assert sorted(map(int, one + other)) == list(range(1, 401))


def test_two_processes_share_no_item(folder: Path) -> None:
    """Two processes that claim from one run get every item exactly once."""
    anyio.run(prepare, folder, 60)
    one, other = by_two_processes(folder, "claim")
    assert sorted(map(int, one + other)) == list(range(60))


def test_it_is_as_short_as_the_page_says() -> None:
    """The example has fewer than 150 lines."""
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 150
