"""A run through one store is the run through the other."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from cardanalysis import (
    Analysis,
    AnalyzerError,
    Card,
    Document,
    MemoryStore,
    Run,
    SQLiteStore,
    Store,
    Upload,
    Usage,
    analyze_cards,
)
from cardanalysis.testing import ScriptedAnalyzer


def script(document: Document) -> Analysis:
    """Some documents fail, the others give as many cards as their number tells."""
    number = int(document.name.removesuffix(".txt"))
    usage = Usage(requests=1, input_tokens=number, output_tokens=2 * number, cost=number / 7e6)
    if number % 10 == 7:
        raise AnalyzerError("It was refused.", code="refused", usage=usage)
    return Analysis(cards=[Card(title=f"Card {n}", quotes=["text"]) for n in range(number % 4)], usage=usage)


async def facts(store: Store) -> tuple[Run, dict[str, list[Any]]]:
    """The run, and what the log says of each item, in order."""
    uploads = [
        Upload.from_text(f"text of {number // 2 if number % 50 == 1 else number}", f"{number}.txt")
        for number in range(1000)
    ]
    run = await analyze_cards(uploads, store, 8, analyzer=ScriptedAnalyzer(script), run_id="same")
    steps: dict[str, list[Any]] = defaultdict(list)
    for event in await store.events(run.id):
        steps[event.item_id or ""].append((event.type, dict(event.data)))
    return run, steps


def outcome(run: Run) -> list[Any]:
    return [
        (item.id, item.name, item.position, item.status, item.version, item.attempts, item.error) for item in run.items
    ]


@pytest.mark.anyio
async def test_a_thousand_uploads_give_the_same_through_both_stores(tmp_path: Path) -> None:
    """Cards, statuses, counters, usage and the log of every item are identical."""
    memory, steps_in_memory = await facts(MemoryStore())
    async with SQLiteStore(tmp_path / "cards.db") as store:
        sqlite, steps_in_sqlite = await facts(store)
    assert memory.cards == sqlite.cards
    assert outcome(memory) == outcome(sqlite)
    assert (memory.status, memory.counters, memory.usage) == (sqlite.status, sqlite.counters, sqlite.usage)
    assert memory.version == sqlite.version
    assert steps_in_memory == steps_in_sqlite
    assert memory.counters["failed"] == 100
    assert memory.counters["skipped"] > 0
