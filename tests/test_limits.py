"""The limiter behaves as the best known ones do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import anyio.lowlevel
import pytest
from anyio import CapacityLimiter

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    Card,
    ConfigurationError,
    Document,
    MemoryStore,
    RunStatus,
    Upload,
    analyze_cards,
)
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


# --- who stands aside -------------------------------------------------------------------------------------------------


class Aside:
    """Documents that stand aside until they are called back, and then are in work until they may end or wait again.

    It is loader and analyzer and uses no threads, so that nothing more happens when all tasks are blocked.
    """

    name = "aside"

    def __init__(self, most_waiting: int | None = None, *, rounds: int = 1) -> None:
        self.rounds = rounds
        self.begun = anyio.Event()
        self.waiting: dict[str, anyio.Event] = {}
        self.working: dict[str, anyio.Event] = {}
        self.most_alive = 0
        self.calls = 0
        if most_waiting is not None:
            self.most_waiting = most_waiting

    @asynccontextmanager
    async def open_batches(self, _journal: object) -> AsyncIterator[Aside]:
        yield self

    async def cancel(self) -> None:
        raise AssertionError

    async def load(self, upload: Upload) -> Document:
        return Document(upload_id=upload.id, name=upload.name, media_type="text/plain", text="", blocks=())

    async def analyze(self, document: Document, request: AnalysisRequest) -> Analysis:
        self.calls += 1
        self.begun.set()
        for _ in range(self.rounds):
            async with request.work.aside():
                await self._pass(self.waiting, document.name)
            await self._pass(self.working, document.name)
        return Analysis(cards=())

    async def _pass(self, doors: dict[str, anyio.Event], name: str) -> None:
        doors[name] = anyio.Event()
        try:
            await doors[name].wait()
        finally:
            del doors[name]

    async def alive(self, store: MemoryStore) -> int:
        """How many items are in work or stand aside, once the first was, and nothing more happens."""
        await self.begun.wait()
        await anyio.wait_all_tasks_blocked()
        counters = (await store.get_run("r")).counters
        alive = counters["loading"] + counters["analyzing"] + counters["saving"]
        self.most_alive = max(self.most_alive, alive)
        return alive


def let_through(doors: dict[str, anyio.Event], count: int = 1_000) -> None:
    for door in list(doors.values())[:count]:
        door.set()


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_never_more_alive_than_twice_the_limit(limit: int) -> None:
    """As many in work as the limit says, and as many aside, those that wait to come back among them."""
    analyzer, store, limiter = Aside(rounds=2), MemoryStore(), CapacityLimiter(limit)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: analyze_cards(texts(9), store, limiter, analyzer=analyzer, loader=analyzer, run_id="r")
            )
            assert await analyzer.alive(store) == 2 * limit
            while await analyzer.alive(store):
                assert limiter.borrowed_tokens <= limit
                let_through(analyzer.waiting)  # all come back at once, and those without a slot wait for one
                await analyzer.alive(store)
                let_through(analyzer.working, 1)
    assert analyzer.most_alive == 2 * limit
    assert (await store.get_run("r")).status is RunStatus.SUCCEEDED
    assert limiter.borrowed_tokens == 0


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 6), (3, 3), (4, 2)])
async def test_in_batches_nobody_who_waits_keeps_a_slot(limit: int, most: int) -> None:
    """Only as many are begun as may wait, so that those of the first batch find slots while the others still wait."""
    analyzer, store, limiter = Aside(most), MemoryStore(), CapacityLimiter(limit)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                lambda: analyze_cards(
                    texts(8), store, limiter, analyzer=analyzer, loader=analyzer, run_id="r", mode="batch"
                )
            )
            while await analyzer.alive(store):
                assert len(analyzer.waiting) == most or analyzer.calls == 8
                assert limiter.borrowed_tokens == 0
                let_through(analyzer.waiting, 1)
                await anyio.wait_all_tasks_blocked()
                assert len(analyzer.working) == 1
                let_through(analyzer.working)
    assert analyzer.most_alive == most
    assert analyzer.calls == 8
    assert (await store.get_run("r")).status is RunStatus.SUCCEEDED
    assert limiter.borrowed_tokens == 0


async def test_in_batches_what_is_cancelled_makes_room() -> None:
    """A run that is cancelled while all wait, and one that waits to be begun, gives all back and goes on."""
    analyzer, store, limiter = Aside(2), MemoryStore(), CapacityLimiter(4)
    with anyio.fail_after(20):
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(
                    lambda: analyze_cards(
                        texts(5), store, limiter, analyzer=analyzer, loader=analyzer, run_id="r", mode="batch"
                    )
                )
                assert await analyzer.alive(store) == 2
                tasks.cancel_scope.cancel()
            assert limiter.borrowed_tokens == 0
            assert await analyzer.alive(store) == 0
            analyzer.begun = anyio.Event()


async def test_in_batches_what_fails_makes_room() -> None:
    """Failed items, copies and items that are done already take no place for good."""

    class Failing(Aside):
        async def analyze(self, document: Document, request: AnalysisRequest) -> Analysis:
            async with request.work.aside():
                await anyio.lowlevel.checkpoint()
            raise ValueError(document.name)

    store = MemoryStore()
    uploads = [*texts(6), *texts(6)]
    for _ in range(2):
        with anyio.fail_after(20):
            run = await analyze_cards(
                uploads, store, 3, analyzer=Failing(1), run_id="r", mode="batch", retry_failed=True
            )
        assert (run.counters["failed"], run.counters["skipped"]) == (6, 6)
