"""What an analyzer keeps while it works: counted once, whatever becomes of the work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    AnalyzerError,
    Document,
    Item,
    ItemStatus,
    MemoryStore,
    Run,
    Upload,
    Usage,
    analyze_cards,
)
from cardanalysis._errors import CommitUnknown

pytestmark = pytest.mark.anyio

COST = Usage(requests=1, input_tokens=100, cost=1.0)
NOTHING = Usage()
UPLOAD = Upload.from_text("The portal must stay.", "a.txt")


class Keeping:
    """Keeps two parts and ends as it is told; with `name` and no more an analyzer can be so small."""

    name = "keeping"

    def __init__(self, end: Exception | None = None, *, after: Usage = NOTHING) -> None:
        self.end = end
        self.after = after
        self.found: list[Mapping[str, Any]] = []

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        self.found.append(await request.work.kept())
        for key in "12":
            request.work.spent(COST)
            await request.work.keep(key, {"part": key}, COST)
        request.work.spent(self.after)
        if self.end is not None:
            raise self.end
        return Analysis(cards=(), usage=COST + COST + self.after)


async def run_with(store: MemoryStore, analyzer: Any, **options: Any) -> Run:
    return await analyze_cards([UPLOAD], store, analyzer=analyzer, run_id="r", **options)


@pytest.mark.parametrize("after", [Usage(), COST], ids=["nothing", "more"])
async def test_what_is_kept_is_counted_once(after: Usage) -> None:
    """The item's usage is what the analyzer says it was, checkpoints and all."""
    run = await run_with(MemoryStore(), Keeping(after=after))
    assert run.items[0].usage == run.usage == COST + COST + after


@pytest.mark.parametrize("told", [Usage(), COST + COST + COST], ids=["told", "not told"])
async def test_a_failure_counts_what_was_kept_once(told: Usage) -> None:
    """Whether the error says what all of it cost or not, each request is counted once."""
    end = AnalyzerError("It was refused.", code="refused", usage=told)
    run = await run_with(MemoryStore(), Keeping(end, after=COST))
    assert run.items[0].status is ItemStatus.FAILED
    assert run.usage == COST + COST + COST


class SlowSaving(MemoryStore):
    """A store that is so slow when an item is to be saved that the item's time passes."""

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        if status is ItemStatus.SAVING:
            await anyio.sleep(0.3)
        return await super().update_status(run_id, item_id, status, version=version)


async def test_what_is_kept_is_counted_once_when_the_time_passes_at_last() -> None:
    """An item whose time passes while its result is saved is completed, at its price."""
    run = await run_with(SlowSaving(), Keeping(), item_timeout=0.2)
    assert run.items[0].status is ItemStatus.COMPLETED
    assert run.usage == COST + COST


async def test_an_interruption_counts_what_came_after_the_last_checkpoint() -> None:
    """What is handed back is told only what no checkpoint counted, and the next attempt finds what was kept."""

    class Waiting(Keeping):
        async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
            await super().analyze(document, request)
            scope.cancel()
            await anyio.sleep_forever()
            raise AssertionError

    store = MemoryStore()
    with anyio.CancelScope() as scope:
        await run_with(store, Waiting(after=COST))
    assert (await store.get_run("r")).usage == COST + COST + COST

    again = Keeping()
    await run_with(store, again)
    assert again.found == [{"1": {"part": "1"}, "2": {"part": "2"}}]


class Unsure(MemoryStore):
    """A store that keeps checkpoints and does not say so, as when a disk fails at the very end of a commit."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def save_checkpoint(self, *arguments: Any, **options: Any) -> Item:
        saved = await super().save_checkpoint(*arguments, **options)
        if self.times:
            self.times -= 1
            raise CommitUnknown("cards.db", "SQLITE_IOERR_FSYNC")
        return saved


@pytest.mark.parametrize("times", [1, 2])
async def test_a_commit_that_is_not_known_to_have_happened_counts_once(times: int) -> None:
    """A checkpoint is asked for again under its key, and then looked for, so that it counts once if it is there."""
    run = await run_with(Unsure(times), Keeping())
    assert run.usage == COST + COST


async def test_damaged_pages_make_an_upload_partial() -> None:
    """A document that could not be read to its end is not whole, whatever the analyzer made of it."""

    class Damaged:
        async def load(self, upload: Upload, /) -> Document:
            return Document(
                upload_id=upload.id,
                name=upload.name,
                media_type="application/pdf",
                text="Text",
                blocks=(),
                missing=[f"page {number}" for number in range(1, 13)],
            )

    run = await run_with(MemoryStore(), Keeping(), loader=Damaged())
    (item,) = run.items
    assert item.status is ItemStatus.PARTIAL
    assert item.error is not None
    assert item.error.code == "damaged"
    assert "page 10 and more." in item.error.message
