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


async def test_what_is_appended_is_read(store: MemoryStore) -> None:
    """In order, and only of the types that are asked for."""
    journal: Journal = RunJournal(store, "r")
    for number in range(3):
        await journal.append("a", {"n": number})
        await journal.append("b", {"n": -number})
    assert await journal.read(["a"]) == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert await journal.read({"b"}) == [{"n": 0}, {"n": -1}, {"n": -2}]
    assert len(await journal.read(("a", "b"))) == 6
    assert await journal.read([]) == []


async def test_another_worker_reads_it_too(store: MemoryStore) -> None:
    """The log is the run's and not the worker's."""
    one, other = RunJournal(store, "r"), RunJournal(store, "r")
    await one.append("a", {"n": 1})
    assert await other.read(["a"]) == [{"n": 1}]
    await other.append("a", {"n": 2})
    assert await one.read(["a"]) == [{"n": 1}, {"n": 2}]


async def test_a_run_that_does_not_exist_yet_has_no_events() -> None:
    """It is created after its journal."""
    async with MemoryStore() as store:
        journal = RunJournal(store, "r")
        assert await journal.read(["a"]) == []
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        await journal.append("a", {"n": 1})
        assert await journal.read(["a"]) == [{"n": 1}]


async def test_events_of_items_are_not_its_own(store: MemoryStore) -> None:
    """An event of the same type about an item is left out."""
    await store.add_items("r", [NewItem(id="i", name="i", position=0)])
    await store.append_event("r", "a", item_id="i", data={"n": 1})
    journal = RunJournal(store, "r")
    await journal.append("a", {"n": 2})
    assert await journal.read(["a"]) == [{"n": 2}]


async def test_a_long_log_is_read_in_pages_and_once(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read before is not read again."""
    journal = RunJournal(store, "r")
    for number in range(1_005):
        await journal.append("a", {"n": number})
    asked: list[int] = []
    events = store.events

    async def counted(run_id: str, after: int = 0, *, limit: int | None = None) -> object:
        asked.append(after)
        return await events(run_id, after, limit=limit)

    monkeypatch.setattr(store, "events", counted)
    assert [data["n"] for data in await journal.read(["a"])] == list(range(1_005))
    assert len(await journal.read(["a"])) == 1_005
    first, second, *rest = asked
    assert (first, second) == (0, 1_000)
    assert set(rest) == {1_006}
