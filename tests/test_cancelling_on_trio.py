"""Cancellations that come as groups, as out of a nursery of trio: they end the work and fail nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
import trio

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    Card,
    Document,
    Event,
    ItemStatus,
    MemoryStore,
    RunStatus,
    RunStopped,
    Upload,
    analyze_cards,
    load_run,
)
from cardanalysis._cancellation import cancellation_in, is_cancellation
from cardanalysis.testing import ScriptedAnalyzer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]


Wait = Callable[[], Awaitable[None]]


def texts(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {number}\n", f"{number}.txt") for number in range(count)]


async def wait_in_nursery() -> None:
    """Wait as a library made for trio does when it opens connections."""
    async with trio.open_nursery() as outer:
        outer.start_soon(trio.sleep_forever)
        async with trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever)
            inner.start_soon(trio.sleep_forever)


async def wait_and_group() -> None:
    """Wait, and put the cancellation into groups by hand."""
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class() as error:
        raise BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [error]), error]) from None


@pytest.fixture
def wait(anyio_backend: str) -> Wait:
    """Waits until it is cancelled, which then comes as a group."""
    return wait_in_nursery if anyio_backend == "trio" else wait_and_group


class Waiting:
    """An analyzer that waits for its cancellation; when it is asked again it answers."""

    name = "waiting"

    def __init__(self, wait: Wait, count: int) -> None:
        self.all_wait = anyio.Event()
        self.asked: list[str] = []
        self._wait = wait
        self._count = count

    async def analyze(self, document: Document, _request: AnalysisRequest) -> Analysis:
        again = document.name in self.asked
        self.asked.append(document.name)
        if len(self.asked) == self._count:
            self.all_wait.set()
        if not again:
            await self._wait()
        return Analysis(cards=[Card(title=document.name)])


async def check_is_pending_and_goes_on(store: MemoryStore, analyzer: Waiting) -> None:
    """Nothing failed, and the same call does all of it."""
    stopped = await load_run(store, "r")
    assert stopped.status is RunStatus.CANCELLED
    assert [(item.status, item.error, item.attempts) for item in stopped.items] == [(ItemStatus.PENDING, None, 0)] * 3
    run = await analyze_cards(texts(3), store, 3, analyzer=analyzer, run_id="r")
    assert run.status is RunStatus.SUCCEEDED
    assert len(analyzer.asked) == 6


async def test_a_cancelled_caller_leaves_the_items_pending(wait: Wait) -> None:
    """The scope of the caller swallows the cancellation, and the run goes on later."""
    analyzer, store, limiter = Waiting(wait, 3), MemoryStore(), anyio.CapacityLimiter(3)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: analyze_cards(texts(3), store, limiter, analyzer=analyzer, run_id="r"))
            await analyzer.all_wait.wait()
            tasks.cancel_scope.cancel()
        assert limiter.borrowed_tokens == 0
        await check_is_pending_and_goes_on(store, analyzer)


async def test_a_run_that_takes_too_long_leaves_the_items_pending(wait: Wait) -> None:
    """It says so, and not that its items failed."""
    analyzer, store = Waiting(wait, 3), MemoryStore()
    with anyio.fail_after(30):
        with pytest.raises(RunStopped) as caught:
            await analyze_cards(texts(3), store, 3, analyzer=analyzer, run_id="r", run_timeout=0.2)
        assert caught.value.code == "run_timeout"
        await check_is_pending_and_goes_on(store, analyzer)


async def test_an_item_that_takes_too_long_fails_as_that(wait: Wait) -> None:
    """Its own timeout is no cancellation from outside."""
    with anyio.fail_after(30):
        run = await analyze_cards(texts(3), MemoryStore(), 3, analyzer=Waiting(wait, 3), item_timeout=0.1)
    assert run.status is RunStatus.FAILED
    assert [item.error and item.error.code for item in run.items] == ["timeout"] * 3


async def test_a_run_that_is_cancelled_while_a_loader_waits_leaves_the_items_pending(
    wait: Wait,
) -> None:
    """A loader is no other than an analyzer."""

    class Loader:
        async def load(self, _upload: Upload) -> Document:
            await wait()
            raise AssertionError

    store = MemoryStore()
    with anyio.fail_after(30), pytest.raises(RunStopped):
        await analyze_cards(
            texts(3), store, 3, analyzer=ScriptedAnalyzer(), loader=Loader(), run_id="r", run_timeout=0.2
        )
    assert {(item.status, item.error) for item in await store.items("r")} == {(ItemStatus.PENDING, None)}


async def test_a_cancellation_reaches_an_iterable_that_waits(wait: Wait) -> None:
    """What was given before is done, and the run is cancelled, not failed."""

    async def generate() -> AsyncIterator[Upload]:
        for upload in texts(2):
            yield upload
        await wait()

    store = MemoryStore()
    with anyio.fail_after(30), pytest.raises(RunStopped):
        await analyze_cards(generate(), store, analyzer=ScriptedAnalyzer(), run_id="r", run_timeout=0.3)
    run = await load_run(store, "r")
    assert (run.status, run.counters["completed"]) == (RunStatus.CANCELLED, 2)


async def test_a_cancellation_reaches_a_callback_that_waits(wait: Wait, caplog: pytest.LogCaptureFixture) -> None:
    """It is not logged as an error of the callback, which is not called again."""
    called = anyio.Event()
    calls = 0

    async def take(_event: Event) -> None:
        nonlocal calls
        calls += 1
        called.set()
        await wait()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(), on_event=take))
            await called.wait()
            tasks.cancel_scope.cancel()
    assert calls == 1
    assert "on_event raised" not in caplog.text


def test_a_bare_cancellation_of_asyncio_comes_back_as_one() -> None:
    """The cancelled task ends as cancelled, and not with a group of cancellations."""

    async def main() -> None:
        analyzer, store = Waiting(wait_and_group, 3), MemoryStore()
        task = asyncio.ensure_future(analyze_cards(texts(3), store, 3, analyzer=analyzer, run_id="r"))
        await analyzer.all_wait.wait()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await check_is_pending_and_goes_on(store, analyzer)

    asyncio.run(main())


# --- what is a cancellation -------------------------------------------------------------------------------------------


async def test_a_group_is_a_cancellation_if_all_of_it_is() -> None:
    """At any depth; of a group with an error in it the error counts, and without a cancelled task it is all error."""
    groups: dict[str, BaseException] = {}
    meanwhile: dict[str, BaseException | None] = {}
    leaf: BaseException | None = None
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class() as error:
            leaf = error
            inner = BaseExceptionGroup("inner", [error, error])
            groups = {
                "alone": error,
                "group": BaseExceptionGroup("outer", [inner, error]),
                "error at last": BaseExceptionGroup("outer", [inner, ValueError()]),
                "error first": BaseExceptionGroup("outer", [ValueError(), inner]),
                "exit": BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [error, KeyboardInterrupt()]), error]),
            }
            meanwhile = {name: cancellation_in(group) for name, group in groups.items()}
            raise
    assert meanwhile == {"alone": leaf, "group": leaf, "error at last": None, "error first": None, "exit": None}
    assert not any(is_cancellation(group) for group in groups.values())
