"""The limiter behaves as the best known ones do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
from anyio import CapacityLimiter

from cardanalysis import Analysis, Card, ConfigurationError, Document, MemoryStore, Upload, analyze_cards
from cardanalysis.testing import ScriptedAnalyzer

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]


def texts(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {number}\n", f"{number}.txt") for number in range(count)]


class Gate:
    """An analyzer whose documents wait until they are let through, so that tests need no clock."""

    name = "gate"

    def __init__(self) -> None:
        self.running: list[str] = []
        self.counts: list[int] = []
        self._doors: dict[str, anyio.Event] = {}
        self._changed = anyio.Event()

    async def analyze(self, document: Document, _request: object) -> Analysis:
        door = self._doors[document.name] = anyio.Event()
        self.running.append(document.name)
        self.counts.append(len(self.running))
        self._tell()
        try:
            await door.wait()
        finally:
            self.running.remove(document.name)
            self._tell()
        return Analysis(cards=[Card(title=document.name)])

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def open_one(self) -> None:
        """Let the one through that has waited longest."""
        name = next(name for name in self.running if not self._doors[name].is_set())
        self._doors[name].set()

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(10):
            while not condition():
                await self._changed.wait()

    async def until_running(self, count: int) -> None:
        await self.until(lambda: len(self.running) == count)
        await anyio.wait_all_tasks_blocked()
        assert len(self.running) == count


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, False, None, "2", {}, float("inf")])
async def test_a_limit_that_is_no_count_is_refused_before_anything_is_stored(limit: object) -> None:
    """0, -1, 1.5, True, None and the like raise, and the store stays empty."""
    store = MemoryStore()
    with pytest.raises(ConfigurationError, match="limit must be a whole number of at least 1"):
        await analyze_cards(texts(1), store, limit, analyzer=ScriptedAnalyzer())  # type: ignore[arg-type]
    assert "0 runs" in repr(store)


@pytest.mark.parametrize("limit", [1, 2, 5, 16])
async def test_never_more_in_work_than_the_limit_and_the_limit_is_used(limit: int) -> None:
    """Exactly `limit` documents are analyzed at once while there are enough."""
    gate = Gate()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: analyze_cards(texts(20), MemoryStore(), limit, analyzer=gate))
        for started in range(limit, 21):
            await gate.until(lambda started=started: len(gate.counts) == started)
            await gate.until_running(limit)
            gate.open_one()
        for _ in range(limit - 1):
            gate.open_one()
    assert max(gate.counts) == limit
    assert len(gate.counts) == 20


async def test_results_keep_the_callers_order_whatever_ends_first() -> None:
    """Cards and items come in the order of the uploads, although they end in another."""
    uploads = [Upload.from_text(f"Document {number}\n" + "x" * number, f"{number}.txt") for number in range(12)]
    analyzer = ScriptedAnalyzer(latency=lambda document: 0.001 * (len(document.text) % 5))
    run = await analyze_cards(uploads, MemoryStore(), 4, analyzer=analyzer)
    assert [item.name for item in run.items] == [upload.name for upload in uploads]
    assert [card.title for card in run.cards] == [f"Document {number}" for number in range(12)]


async def test_of_a_list_the_largest_goes_first() -> None:
    """A long one that is begun last would keep the others waiting at the end."""
    uploads = [
        Upload.from_text(f"Document {number}\n" + "x" * (number * 7 % 10), f"{number}.txt") for number in range(10)
    ]
    analyzer = ScriptedAnalyzer()
    await analyze_cards(uploads, MemoryStore(), 1, analyzer=analyzer)
    assert analyzer.calls == [upload.name for upload in sorted(uploads, key=lambda upload: -upload.size)]


async def test_an_iterator_is_done_in_its_own_order() -> None:
    """Of a generator nothing is known ahead, so its uploads go in the order in which they come."""
    analyzer = ScriptedAnalyzer()
    await analyze_cards(iter(texts(6)), MemoryStore(), 1, analyzer=analyzer)
    assert analyzer.calls == [f"{number}.txt" for number in range(6)]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_an_iterator_is_read_as_slots_come_free(kind: str) -> None:
    """Of a long generator only as many uploads are pulled as are in work, and one more that waits."""
    pulled = 0

    def generate() -> Iterator[Upload]:
        nonlocal pulled
        for upload in texts(30):
            pulled += 1
            yield upload

    async def generate_async() -> AsyncIterator[Upload]:
        for upload in generate():
            yield upload

    gate = Gate()
    async with anyio.create_task_group() as tasks:
        source = generate() if kind == "sync" else generate_async()
        tasks.start_soon(lambda: analyze_cards(source, MemoryStore(), 3, analyzer=gate))
        await gate.until_running(3)
        assert pulled == 4
        gate.open_one()
        await gate.until(lambda: pulled == 5)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("empty", [[], (), iter(())])
async def test_nothing_to_do_succeeds(empty: object) -> None:
    """An empty iterable gives a run that succeeded, with no items."""
    run = await analyze_cards(empty, MemoryStore(), analyzer=ScriptedAnalyzer())  # type: ignore[arg-type]
    assert (run.status, run.items, run.cards) == ("succeeded", (), ())


async def test_a_limit_that_is_raised_takes_effect_at_once() -> None:
    """Raising 2 to 4 starts two more without waiting for one to end."""
    gate, limiter = Gate(), CapacityLimiter(2)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: analyze_cards(texts(8), MemoryStore(), limiter, analyzer=gate))
        await gate.until_running(2)
        limiter.total_tokens = 4
        await gate.until_running(4)
        tasks.cancel_scope.cancel()


async def test_a_limit_that_is_lowered_takes_effect_as_work_ends() -> None:
    """Lowering 4 to 2 lets the running ones end and then never starts a third."""
    gate, limiter = Gate(), CapacityLimiter(4)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: analyze_cards(texts(10), MemoryStore(), limiter, analyzer=gate))
        await gate.until_running(4)
        limiter.total_tokens = 2
        gate.open_one()
        await gate.until_running(3)
        gate.open_one()
        await gate.until_running(2)
        for started in range(5, 11):
            gate.open_one()
            await gate.until(lambda started=started: len(gate.counts) == started)
            await anyio.wait_all_tasks_blocked()
        gate.open_one()
        gate.open_one()
    assert gate.counts == [1, 2, 3, 4, 2, 2, 2, 2, 2, 2]


async def test_two_calls_can_share_one_limiter() -> None:
    """Two runs with one limiter of 3 never have more than 3 documents in work together, and both end."""
    analyzer, limiter, store = ScriptedAnalyzer(latency=0.001), CapacityLimiter(3), MemoryStore()
    runs = []

    async def analyze(prefix: str) -> None:
        uploads = [Upload.from_text(f"{prefix} {number}", f"{prefix}{number}.txt") for number in range(15)]
        runs.append(await analyze_cards(uploads, store, limiter, analyzer=analyzer))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(analyze, "a")
        tasks.start_soon(analyze, "b")
    assert analyzer.max_in_flight == 3
    assert [run.counters["completed"] for run in runs] == [15, 15]
    assert limiter.borrowed_tokens == 0


async def test_context_variables_reach_the_analyzer() -> None:
    """The analyzer sees the caller's context variables, also after it waited."""
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: list[str] = []

    class Analyzer:
        name = "context"

        async def analyze(self, _document: Document, _request: object) -> Analysis:
            await anyio.lowlevel.checkpoint()
            seen.append(variable.get())
            return Analysis(cards=())

    variable.set("caller")
    await analyze_cards(texts(3), MemoryStore(), analyzer=Analyzer())
    assert seen == ["caller"] * 3
