"""Whatever happens to the work, the run's books are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.lowlevel
import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    AnalyzerError,
    Card,
    ConfigurationError,
    Document,
    ItemStatus,
    MemoryStore,
    Run,
    RunNotFound,
    RunStatus,
    Upload,
    Usage,
    analyze_cards,
    load_run,
)


@frozen
class Behaviour:
    """How one document is analyzed: after some turns of the event loop it answers or raises."""

    turns: int
    cards: int
    raises: str


class Chaos:
    """An analyzer that behaves as drawn. What it raises once it does not raise again when asked again."""

    name = "chaos"

    def __init__(self, behaviours: list[Behaviour]) -> None:
        self.behaviours = {f"{number}.txt": behaviour for number, behaviour in enumerate(behaviours)}
        self.answered: Counter[str] = Counter()

    async def analyze(self, document: Document, _request: AnalysisRequest) -> Analysis:
        behaviour = self.behaviours[document.name]
        for _ in range(behaviour.turns):
            await anyio.lowlevel.checkpoint()
        match behaviour.raises:
            case "own":
                raise AnalyzerError("refused", code="refused", usage=Usage(requests=1))
            case "foreign":
                raise RuntimeError
            case "base":
                raise GeneratorExit
            case "configuration" if not self.answered[document.name]:
                self.answered[document.name] += 1
                raise ConfigurationError("wrong key")
        self.answered[document.name] += 1
        return Analysis(cards=[Card(title=str(n)) for n in range(behaviour.cards)], usage=Usage(requests=1))


behaviours = st.builds(
    Behaviour,
    turns=st.integers(0, 12),
    cards=st.integers(0, 3),
    raises=st.sampled_from(["", "", "", "own", "foreign", "base", "configuration"]),
)


def check_books(run: Run) -> None:
    """Counters, usage and cards say what the items say."""
    assert run.counters["total"] == len(run.items)
    for status in ItemStatus:
        assert run.counters[status] == sum(item.status is status for item in run.items), status
    assert run.counters["cards"] == len(run.cards)
    assert run.usage == sum((item.usage for item in run.items), Usage())
    completed = {item.id for item in run.items if item.status is ItemStatus.COMPLETED}
    assert {card.upload_id for card in run.cards} <= completed


async def check_log(store: MemoryStore, run: Run) -> None:
    """The log has no gaps and leads every item from its birth to its status."""
    events = await store.events(run.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    for item in run.items:
        moves = [event.data for event in events if event.item_id == item.id and event.type == "item_status"]
        assert [move["from"] for move in moves] == ["pending", *(move["to"] for move in moves)][: len(moves)]
        assert (moves[-1]["to"] if moves else "pending") == item.status


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=120, deadline=None)
@given(
    documents=st.lists(behaviours, max_size=9),
    limit=st.integers(1, 4),
    cancels=st.lists(st.integers(0, 120), max_size=3),
    as_list=st.booleans(),
)
def test_the_counters_always_equal_what_the_items_say(
    backend: str, documents: list[Behaviour], limit: int, cancels: list[int], as_list: bool
) -> None:
    """Through random latencies, failures of any kind and cancellations the books are right, and the run ends."""
    anyio.run(play, documents, limit, cancels, as_list, backend=backend)


async def play(documents: list[Behaviour], limit: int, cancels: list[int], as_list: bool) -> None:
    store, analyzer = MemoryStore(), Chaos(documents)
    uploads = [Upload.from_text(f"text {number}", name) for number, name in enumerate(analyzer.behaviours)]

    async def analyze() -> Run | None:
        """The run, or None if it was stopped by a configuration error."""
        with suppress(ConfigurationError):
            source = uploads if as_list else iter(uploads)
            return await analyze_cards(source, store, limit, analyzer=analyzer, run_id="r")
        return None

    for turns in cancels:
        await interrupt(analyze, turns)
        with suppress(RunNotFound):
            stopped = await load_run(store, "r")
            check_books(stopped)
            await check_log(store, stopped)
            assert not any(item.status.is_active for item in stopped.items)
    run = None
    for _ in range(len(documents) + 1):
        run = run or await analyze()
    assert run is not None, "every document raises a configuration error at most once"
    check_books(run)
    await check_log(store, run)
    check_outcomes(run, analyzer)


async def interrupt(analyze: Callable[[], Awaitable[object]], turns: int) -> None:
    """Call it and cancel it after some turns of the event loop."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(analyze)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


def check_outcomes(run: Run, analyzer: Chaos) -> None:
    assert run.status not in (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.CANCELLED)
    assert [item.name for item in run.items] == list(analyzer.behaviours)
    for item in run.items:
        fails = analyzer.behaviours[item.name].raises in ("own", "foreign", "base")
        assert item.status == ("failed" if fails else "completed")


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(0, 60, 3))
async def test_a_cancelled_run_can_be_resumed(turns: int) -> None:
    """Cancelled after any number of turns, nothing is held any more, and the same call finishes the run."""
    behaviour = [Behaviour(3, 1, "")] * 6
    store, analyzer = MemoryStore(), Chaos(behaviour)
    uploads = [Upload.from_text(f"text {number}", f"{number}.txt") for number in range(6)]
    limiter = anyio.CapacityLimiter(2)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def cancel() -> None:
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

            tasks.start_soon(cancel)
            await analyze_cards(uploads, store, limiter, analyzer=analyzer, run_id="r")
    assert limiter.borrowed_tokens == 0
    run = await analyze_cards(uploads, store, limiter, analyzer=analyzer, run_id="r")
    assert run.status is RunStatus.SUCCEEDED
    assert len(run.cards) == 6
    assert set(analyzer.answered.values()) == {1}
