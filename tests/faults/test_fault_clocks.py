"""A clock that is set while two workers share a run: leases end early or late, and nothing is done twice for good."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import RUN, NotingAnalyzer, NotingStore, check_finished, names, titles, uploads

from cardanalysis import Run, RunStatus, analyze_cards

UPLOADS = 40


class SetClock:
    """The time of day, until it is set."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
@pytest.mark.parametrize("at_call", [1, 10])
def test_a_clock_that_is_set_does_no_harm(path: Path, backend: str, hours: int, at_call: int) -> None:
    """When one worker's clock jumps by an hour both end, and whoever does an item again has a newer claim on it."""
    calls: Counter[str] = Counter()
    clock = SetClock()
    runs: list[Run] = []

    def note_call(word: str, name: str) -> None:
        calls[name] += 1
        if calls.total() == at_call:
            clock.ahead = 3600.0 * hours

    async def work(store: NotingStore, latency: float) -> None:
        analyzer = NotingAnalyzer(note_call, latency=latency)
        runs.append(await analyze_cards(uploads(UPLOADS), store, 4, analyzer=analyzer, run_id=RUN, lease_seconds=600))

    completions: list[tuple[str, str]] = []

    def note(word: str, name: str) -> None:
        if word == "acknowledged":
            completions.append((word, name))

    async def main() -> None:
        with anyio.fail_after(120):
            stores = NotingStore(path, note, clock=clock), NotingStore(path, note)
            async with stores[0], stores[1], anyio.create_task_group() as workers:
                workers.start_soon(work, stores[0], 0.004)
                workers.start_soon(work, stores[1], 0.003)

    anyio.run(main, backend=backend)
    assert [run.status for run in runs] == [RunStatus.SUCCEEDED] * 2
    now = check_finished(path, UPLOADS)
    assert sorted(name for _, name in completions) == names(UPLOADS)
    assert all(calls[item.name] <= item.token for item in now.items)
    assert clock.ahead


class Held(NotingAnalyzer):
    """Has no answer until somebody else was asked the same."""

    def __init__(self, asked_again: anyio.Event, **options: Any) -> None:
        super().__init__(lambda word, name: None, **options)
        self._asked_again = asked_again

    async def analyze(self, document: Any, request: Any, /) -> Any:
        await self._asked_again.wait()
        return await super().analyze(document, request)


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_what_a_wrong_clock_takes_over_is_kept_once(path: Path, backend: str, hours: int) -> None:
    """A lease that has ended by one of the clocks alone is taken over with a new token; the old claim is refused."""
    notes: list[tuple[str, str]] = []

    async def main() -> None:
        held, asked_again = anyio.Event(), anyio.Event()

        def note(word: str, name: str) -> None:
            notes.append((word, name))
            if word == "claimed":
                held.set()

        async def work(store: NotingStore, analyzer: NotingAnalyzer) -> None:
            await analyze_cards(uploads(1), store, analyzer=analyzer, run_id=RUN, lease_seconds=600)

        # Who is behind gives leases that are over for the others; for who is ahead those of the others are over.
        behind, ahead = SetClock(), SetClock()
        (behind if hours < 0 else ahead).ahead = 3600.0 * hours
        with anyio.fail_after(120):
            one, other = NotingStore(path, note, clock=behind), NotingStore(path, note, clock=ahead)
            async with one, other, anyio.create_task_group() as workers:
                workers.start_soon(work, one, Held(asked_again, mark="/late"))
                await held.wait()
                again = NotingAnalyzer(lambda word, name: asked_again.set(), mark="/won", latency=0.01)
                workers.start_soon(work, other, again)

    anyio.run(main, backend=backend)
    (item,) = (now := check_finished(path, 1)).items
    assert item.token == item.attempts == len([word for word, _ in notes if word == "claimed"]) >= 2
    assert len([word for word, _ in notes if word == "acknowledged"]) == 1
    assert {output.data["title"] for output in now.outputs} == set(titles(item.name, "/won"))
