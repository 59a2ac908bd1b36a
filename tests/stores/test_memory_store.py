"""What MemoryStore promises, and what is particular to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import anyio
import anyio.from_thread
import pytest
from attrs import evolve

from cardanalysis import Event, MemoryStore, StoreError
from cardanalysis._models import NewItem, Usage
from cardanalysis.testing._store_promises import StoreMaker
from cardanalysis.testing.store_tests import StoreTests


class TestMemoryStore(StoreTests):
    @pytest.fixture
    def make_store(self) -> StoreMaker:
        return lambda clock: MemoryStore(clock=clock)


def in_threads(work: Callable[[int], object], *, backend: str, threads: int = 4) -> None:
    """Do async work in several event loops at once, each in a thread of its own."""
    together = threading.Barrier(threads)

    def main(number: int) -> None:
        together.wait(30)
        anyio.run(work, number, backend=backend)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(main, number) for number in range(threads)]:
            done.result(60)


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_threads_lose_no_increment(backend: str) -> None:
    """Increments from event loops in several threads all count."""
    store = MemoryStore()

    async def count(_: int) -> None:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        for _ in range(250):
            await store.increment("run", "n")

    in_threads(count, backend=backend)
    run = anyio.run(store.get_run, "run")
    assert run.counters["n"] == 1000
    assert run.last_event == 1


def test_threads_share_no_item(backend: str) -> None:
    """Event loops in several threads that claim from one run finish every item exactly once."""
    store = MemoryStore()

    async def prepare() -> None:
        await store.create_run("run", kind="test", fingerprint="f", asked={})
        await store.add_items("run", [NewItem(id=f"{n:03}", name="", position=n) for n in range(200)])

    async def work(number: int) -> None:
        while claimed := await store.claim("run", f"w{number}", lease_seconds=60, limit=3):
            for item in claimed:
                await store.complete_item("run", item.id, token=item.token, outputs=[], usage=Usage(requests=1))

    anyio.run(prepare)
    in_threads(work, backend=backend)
    run = anyio.run(store.get_run, "run")
    assert dict(run.counters) == {"completed": 200, "total": 200}
    assert run.usage.requests == 200
    assert {item.attempts for item in anyio.run(store.items, "run")} == {1}
    events = anyio.run(store.events, "run")
    assert [event.sequence for event in events] == list(range(1, 602))


@pytest.mark.anyio
async def test_what_it_holds_outlives_the_context() -> None:
    """A memory store that was left can be entered again, and holds what it held."""
    async with MemoryStore() as store:
        created = await store.create_run("run", kind="test", fingerprint="f", asked={"n": 1})
    async with store:
        assert await store.get_run("run") == created


@pytest.mark.anyio
async def test_every_call_lets_other_tasks_go_on() -> None:
    """A task that calls the store in a loop gives way to others, so that it can be cancelled."""
    store = MemoryStore()
    await store.create_run("run", kind="test", fingerprint="f", asked={})
    with anyio.move_on_after(0.01) as scope:
        while True:
            await store.get_run("run")
    assert scope.cancelled_caught


@pytest.mark.anyio
async def test_of_two_that_restore_a_run_one_does() -> None:
    """When a run is made while the records of another of its id are read, it stays, and the other is refused."""
    store = MemoryStore()
    first = await store.create_run("run", kind="test", fingerprint="f", asked={})
    other = evolve(first, id="other")

    def records() -> Iterator[Event]:
        anyio.from_thread.run(partial(store.create_run, "other", kind="quicker", fingerprint="f", asked={}))
        yield Event(run_id="other", sequence=1, type="run_created", time=first.created_at)

    with pytest.raises(StoreError) as caught:
        await store.restore_run(other, records())
    assert caught.value.code == "run_exists"
    assert (await store.get_run("other")).kind == "quicker"


def test_its_repr_tells_no_contents() -> None:
    """The repr says how many runs there are and nothing of them."""
    store = MemoryStore()
    anyio.run(lambda: store.create_run("secret run", kind="test", fingerprint="f", asked={"secret": 1}))
    assert repr(store) == "<MemoryStore with 1 runs>"
