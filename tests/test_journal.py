"""The log of a run as something to write to and read back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cardanalysis import MemoryStore
from cardanalysis._journal import RunJournal
from cardanalysis._models import NewItem
from cardanalysis._work import Journal

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store() -> AsyncIterator[MemoryStore]:
    async with MemoryStore() as store:
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        yield store


async def read(journal: Journal, *types: str) -> list[int]:
    """The numbers in all events of some types."""
    return [data["n"] for data in (await journal.read(types))[0]]


async def test_what_is_appended_is_read(store: MemoryStore) -> None:
    """In order, and only of the types that are asked for."""
    journal: Journal = RunJournal(store, "r")
    for number in range(3):
        await journal.append("a", {"n": number})
        await journal.append("b", {"n": -number})
    assert await read(journal, "a") == [0, 1, 2]
    assert await read(journal, "b") == [0, -1, -2]
    assert await read(journal, "a", "b") == [0, 0, 1, -1, 2, -2]
    assert await read(journal) == []


async def test_another_worker_reads_it_too(store: MemoryStore) -> None:
    """The log is the run's and not the worker's."""
    one, other = RunJournal(store, "r"), RunJournal(store, "r")
    await one.append("a", {"n": 1})
    assert await read(other, "a") == [1]
    await other.append("a", {"n": 2})
    assert await read(one, "a") == [1, 2]


async def test_reading_goes_on_where_it_ended(store: MemoryStore) -> None:
    """Only what was added since comes, whoever added it; events of other types are gone past."""
    one, other = RunJournal(store, "r"), RunJournal(store, "r")
    await one.append("a", {"n": 1})
    await one.append("b", {"n": 2})
    found, end = await one.read(["a"])
    assert found == [{"n": 1}]
    assert await one.read(["a"], end) == ([], end)
    await other.append("a", {"n": 3})
    found, later = await one.read(["a", "b"], end)
    assert found == [{"n": 3}]
    assert later > end
    assert await one.read(["a"], later) == ([], later)


async def test_a_run_that_does_not_exist_yet_has_no_events() -> None:
    """It is created after its journal."""
    async with MemoryStore() as store:
        journal = RunJournal(store, "r")
        assert await journal.read(["a"]) == ([], 0)
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        await journal.append("a", {"n": 1})
        assert await read(journal, "a") == [1]


async def test_who_follows_the_run_is_told_of_each_event(store: MemoryStore) -> None:
    """After it is kept."""
    kept: list[int] = []
    journal = RunJournal(store, "r")
    journal.changed = lambda: kept.append(1)
    await journal.append("a", {"n": 1})
    assert kept == [1]


async def test_events_of_items_are_not_its_own(store: MemoryStore) -> None:
    """An event of the same type about an item is left out."""
    await store.add_items("r", [NewItem(id="i", name="i", position=0)])
    await store.append_event("r", "a", item_id="i", data={"n": 1})
    journal = RunJournal(store, "r")
    await journal.append("a", {"n": 2})
    assert await read(journal, "a") == [2]


async def test_a_long_log_is_read_in_pages(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before is not asked for again."""
    journal = RunJournal(store, "r")
    for number in range(1_005):
        await journal.append("a", {"n": number})
    asked: list[int] = []
    events = store.events

    async def counted(run_id: str, after: int = 0, *, limit: int | None = None) -> object:
        asked.append(after)
        return await events(run_id, after, limit=limit)

    monkeypatch.setattr(store, "events", counted)
    found, end = await journal.read(["a"])
    assert [data["n"] for data in found] == list(range(1_005))
    assert await journal.read(["a"], end) == ([], end)
    first, second, *rest = asked
    assert (first, second) == (0, 1_000)
    assert set(rest) == {end}
