"""Backups, vacuum, and readers beside a writer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from cardanalysis import OutlineAnalyzer, SQLiteStore, StoreError, Upload, analyze_cards, load_run
from cardanalysis._models import NewItem, NewOutput, Usage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


async def fill(store: SQLiteStore, run_id: str, items: int, text: str = "x") -> None:
    await store.create_run(run_id, kind="test", fingerprint="f", asked={})
    await store.add_items(run_id, [NewItem(id=f"{n}", name=f"{n}", position=n) for n in range(items)])
    for item in await store.claim(run_id, "me", lease_seconds=60, limit=items):
        output = NewOutput(kind="cards", data={"text": text})
        await store.complete_item(run_id, item.id, token=item.token, outputs=[output], usage=Usage(requests=1))


@pytest.mark.anyio
async def test_a_backup_is_a_store(path: Path, tmp_path: Path) -> None:
    """A backup holds the runs as they were, and can be worked on like any other store."""
    copy = tmp_path / "copy.db"
    uploads = [Upload.from_text(f"The app must show {n}.", f"{n}.txt") for n in range(4)]
    async with SQLiteStore(path) as store:
        run = await analyze_cards(uploads, store, run_id="run", analyzer=OutlineAnalyzer())
        await store.backup(copy)
        await store.increment("run", "later")
    async with SQLiteStore(copy) as store:
        assert await load_run(store, "run") == run
        more = [*uploads, Upload.from_text("The app must hide 9.", "9.txt")]
        again = await analyze_cards(more, store, run_id="run", analyzer=OutlineAnalyzer())
        assert (again.status, again.counters["completed"]) == ("succeeded", 5)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cards.db", "copy.db"]


@pytest.mark.anyio
async def test_a_backup_is_taken_while_a_run_goes_on(path: Path, tmp_path: Path) -> None:
    """Backups beside busy writers are whole: counters, outputs and events of one moment."""
    async with SQLiteStore(path) as store:
        await store.create_run("run", kind="test", fingerprint="f", asked={})

        async def write(numbers: range) -> None:
            for n in numbers:
                await store.add_items("run", [NewItem(id=f"{n}", name="x", position=n)])
                (item,) = await store.claim("run", "me", lease_seconds=60, item_ids=[f"{n}"])
                outputs = [NewOutput(kind="cards", data={"n": n})]
                await store.complete_item("run", item.id, token=item.token, outputs=outputs, usage=Usage())

        async with anyio.create_task_group() as tasks:
            for place in range(4):
                tasks.start_soon(write, range(place * 25, place * 25 + 25))
            for n in range(5):
                await store.backup(tmp_path / f"copy{n}.db")
    for n in range(5):
        async with SQLiteStore(tmp_path / f"copy{n}.db") as copy:
            run, items, outputs = await copy.get_run("run"), await copy.items("run"), await copy.outputs("run")
            assert run.counters["total"] == len(items)
            assert run.counters["completed"] == len([item for item in items if item.status == "completed"])
            assert run.counters["cards"] == len(outputs) == run.counters["completed"]
            assert [event.sequence for event in await copy.events("run")] == list(range(1, run.last_event + 1))


@pytest.mark.anyio
async def test_a_backup_replaces_nothing(path: Path, tmp_path: Path) -> None:
    """Where something is already, backup_exists is raised and it stays; what fails leaves nothing."""
    taken = tmp_path / "taken.db"
    taken.write_text("precious")
    async with SQLiteStore(path) as store:
        with pytest.raises(StoreError, match=r"taken\.db exists") as caught:
            await store.backup(taken)
        assert caught.value.code == "backup_exists"
        with pytest.raises(StoreError) as caught:
            await store.backup(tmp_path / "no such folder" / "copy.db")
        assert caught.value.code == "cannot_open"
    assert taken.read_text() == "precious"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["cards.db", "taken.db"]


@pytest.mark.anyio
async def test_a_store_in_memory_can_be_saved(tmp_path: Path) -> None:
    """A backup of a store in memory is a file."""
    async with SQLiteStore(":memory:") as store:
        await fill(store, "run", 2)
        await store.backup(tmp_path / "copy.db")
    async with SQLiteStore(tmp_path / "copy.db") as store:
        assert (await store.get_run("run")).counters["completed"] == 2


@pytest.mark.anyio
async def test_vacuum_gives_space_back(path: Path) -> None:
    """After a run was deleted the file becomes smaller by a vacuum, and everything else is still there."""
    async with SQLiteStore(path) as store:
        await fill(store, "large", 40, "x" * 20_000)
        await fill(store, "kept", 3)
        before = await store.items("kept"), await store.outputs("kept"), await store.events("kept")
        await store.delete_run("large")
        await store.vacuum()
        size = path.stat().st_size
        assert (await store.items("kept"), await store.outputs("kept"), await store.events("kept")) == before
        await store.increment("kept", "n")
    assert size < 200_000
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.anyio
@pytest.mark.parametrize("call", ["backup", "vacuum"])
async def test_a_store_that_is_not_open_cannot_be_kept_in_order(path: Path, tmp_path: Path, call: str) -> None:
    """Outside its context a store says that it is closed."""
    store = SQLiteStore(path)
    with pytest.raises(StoreError) as caught:
        await (store.backup(tmp_path / "copy.db") if call == "backup" else store.vacuum())
    assert caught.value.code == "store_closed"


@pytest.mark.anyio
async def test_who_reads_does_not_wait_for_who_writes(path: Path) -> None:
    """While another connection holds the write lock every read is answered, from the state before."""
    async with SQLiteStore(path) as store:
        await fill(store, "run", 3)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE runs SET status = 'failed'")
            assert (await store.get_run("run")).status == "queued"
            assert len(await store.items("run")) == len(await store.outputs("run")) == 3
            assert (await store.get_item("run", "0")).status == "completed"
            assert len(await store.events("run", after=1)) > 3
            assert [run.id for run in await store.runs()] == ["run"]
            assert await store.find_completed("0", kind="test", fingerprint="f") is not None
            other.execute("ROLLBACK")


@pytest.mark.anyio
async def test_who_reads_sees_what_was_acknowledged(path: Path) -> None:
    """A read that begins after a write returned sees it, in the same store and in another one on the file."""
    async with SQLiteStore(path) as store, SQLiteStore(path) as other:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        for n in range(20):
            await (store if n % 2 else other).increment("run", "n")
            assert (await store.get_run("run")).counters["n"] == n + 1
            assert (await other.get_run("run")).counters["n"] == n + 1
