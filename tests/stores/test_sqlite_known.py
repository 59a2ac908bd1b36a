"""What the store keeps in mind of an SQLite file: it is never older than the file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from batches import in_one_batch

from cardanalysis import Item, ItemStatus, RunNotFound, SQLiteStore, Usage, VersionConflict
from cardanalysis.abc import IllegalMove, LeaseLost, NewItem, NewOutput
from cardanalysis.stores import _sqlite_known
from cardanalysis.testing._store_promises_trial import ManualClock

pytestmark = pytest.mark.anyio

NOTHING = Usage()


@asynccontextmanager
async def two_stores(folder: Path, clock: ManualClock | None = None) -> AsyncIterator[tuple[SQLiteStore, SQLiteStore]]:
    """Two stores on one file, as two processes have them, and a run with the items a and b."""
    path, clock = folder / "cards.db", clock or ManualClock()
    async with SQLiteStore(path, clock=clock) as here, SQLiteStore(path, clock=clock) as there:
        await create(here)
        yield here, there


async def create(store: SQLiteStore) -> None:
    await store.create_run("run", kind="test", fingerprint="f", asked={})
    await store.add_items("run", [NewItem(id=each, name=each, position=place) for place, each in enumerate("ab")])


async def take(store: SQLiteStore, item_id: str = "a", *, seconds: float = 60) -> Item:
    (item,) = await store.claim("run", "owner", lease_seconds=seconds, item_ids=[item_id])
    return item


async def test_what_another_store_changed_is_seen(tmp_path: Path) -> None:
    """An item that was read, and then changed by another process, is changed from there and not from what was read."""
    async with two_stores(tmp_path) as (here, there):
        item = await take(here)
        moved = await there.update_status("run", "a", ItemStatus.ANALYZING, version=item.version)
        with pytest.raises(VersionConflict):
            await here.update_status("run", "a", ItemStatus.SAVING, version=item.version)
        assert await here.update_status("run", "a", ItemStatus.SAVING, version=moved.version) == await there.get_item(
            "run", "a"
        )


async def test_what_was_changed_while_it_was_closed_is_seen(tmp_path: Path) -> None:
    """A store that is opened again knows nothing of what it knew before it was closed."""
    async with two_stores(tmp_path) as (here, there):
        item = await take(here)
        await here.__aexit__(None, None, None)
        moved = await there.update_status("run", "a", ItemStatus.ANALYZING, version=item.version)
        await here.__aenter__()
        await here.increment("run", "n")
        saving = await here.update_status("run", "a", ItemStatus.SAVING, version=moved.version)
        assert saving == await there.get_item("run", "a")


async def test_a_lease_that_another_store_took_over_is_lost(tmp_path: Path) -> None:
    """Who claimed an item, and slept while another process claimed it anew, cannot complete it."""
    clock = ManualClock()
    async with two_stores(tmp_path, clock) as (here, there):
        mine = await take(here, seconds=1)
        clock.now += 10
        theirs = await take(there)
        with pytest.raises(LeaseLost):
            await here.complete_item("run", "a", token=mine.token, outputs=[], usage=NOTHING)
        done = await there.complete_item("run", "a", token=theirs.token, outputs=[], usage=NOTHING)
        assert await here.get_item("run", "a") == done


async def test_a_run_that_another_store_deleted_is_gone(tmp_path: Path) -> None:
    """What is counted afterwards is refused, and goes to the run of that name when there is one again."""
    async with two_stores(tmp_path) as (here, there):
        await here.increment("run", "n", 5)
        await there.delete_run("run")
        with pytest.raises(RunNotFound):
            await here.increment("run", "n")
        await create(there)
        assert await here.increment("run", "n") == 1
        assert (await take(here)).token == 1


async def test_a_renewed_lease_stays_renewed(tmp_path: Path) -> None:
    """What changes an item after its lease was renewed does not set the lease back."""
    clock = ManualClock()
    async with two_stores(tmp_path, clock) as (here, there):
        item = await take(here)
        clock.now += 30
        await here.renew("run", "owner", lease_seconds=60)
        moved = await here.update_status("run", "a", ItemStatus.ANALYZING, version=item.version)
        assert moved.lease_until == clock.now + 60
        assert await there.get_item("run", "a") == moved


async def test_a_new_position_is_known(tmp_path: Path) -> None:
    """An item that was put elsewhere is returned from there by the next call."""
    async with two_stores(tmp_path) as (here, there):
        item = await take(here)
        await here.add_items("run", [NewItem(id="a", name="a", position=7)])
        moved = await here.update_status("run", "a", ItemStatus.ANALYZING, version=item.version)
        assert moved.position == 7
        assert await there.get_item("run", "a") == moved


async def test_several_changes_of_one_item_in_a_batch(tmp_path: Path) -> None:
    """Each finds the item as the one before left it, each has its event, and the file has the last."""
    async with two_stores(tmp_path) as (here, there):
        item = await take(here)

        async def move(status: ItemStatus, version: int) -> Item:
            return await here.update_status("run", "a", status, version=version)

        results = await in_one_batch(
            here,
            lambda: move(ItemStatus.ANALYZING, item.version),
            lambda: move(ItemStatus.SAVING, item.version + 1),
            lambda: here.complete_item(
                "run", "a", token=1, outputs=[NewOutput(kind="cards", data={"n": 1})], usage=NOTHING
            ),
        )
        # The tasks may come in any order, and who comes too early or too late is refused.
        assert all(isinstance(result, (Item, VersionConflict, IllegalMove)) for result in results)
        changed = [result.version for result in results if isinstance(result, Item)]
        assert sorted(changed) == list(range(item.version + 1, item.version + 1 + len(changed)))
        now = await there.get_item("run", "a")
        assert (now.status, now.version) == (ItemStatus.COMPLETED, max(changed))
        events = [event for event in await there.events("run") if event.item_id == "a"]
        assert len(events) == 2 + len(changed)  # added and claimed before


async def test_what_was_undone_is_not_known(tmp_path: Path) -> None:
    """When a call makes the writing of a whole batch fail, the others are done once, from the file's state."""
    async with two_stores(tmp_path) as (here, there):
        a, b = await take(here), await take(here, "b")
        poison = [NewOutput(kind="half a pair: \ud800", data={})]
        results = await in_one_batch(
            here,
            lambda: here.increment("run", "n"),
            lambda: here.complete_item("run", "b", token=b.token, outputs=poison, usage=Usage(requests=7)),
            lambda: here.update_status("run", "a", ItemStatus.SAVING, version=a.version),
        )
        assert [getattr(result, "code", None) for result in results] == [None, "not_storable", None]
        assert await there.get_item("run", "b") == b
        done = await here.complete_item("run", "b", token=b.token, outputs=[], usage=NOTHING)
        assert done.version == b.version + 1
        assert (await there.get_item("run", "a")).version == a.version + 1
        run = await there.get_run("run")
        assert (run.counters["n"], run.usage.requests, run.counters["saving"]) == (1, 0, 1)
        assert [event.sequence for event in await there.events("run")] == list(range(1, run.last_event + 1))


async def test_not_everything_is_kept_in_mind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With more items than are kept in mind, each is still found as it is, and the memory does not grow."""
    monkeypatch.setattr(_sqlite_known, "_MOST_ITEMS", 0)
    async with two_stores(tmp_path) as (here, there):
        for item_id in "ab":
            item = await take(here, item_id)
            for status in (ItemStatus.ANALYZING, ItemStatus.SAVING):
                item = await here.update_status("run", item_id, status, version=item.version)
        assert [item.version for item in await there.items("run")] == [4, 4]
        assert len(here._file._known.items) == 1
