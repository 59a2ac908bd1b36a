"""A run of `ClaudeAnalyzer` in Message Batches, from the uploads to the store."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis import ConfigurationError, ItemStatus, MemoryStore, Run, RunStatus, Upload, analyze_cards
from cardanalysis._budget import COMMITTED
from cardanalysis.analysis import BatchOptions
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import CARD, KEY, TEXT, analyzer

pytestmark = pytest.mark.anyio

QUICK = BatchOptions(linger_seconds=2.0, poll_seconds=2.0, longest_poll_seconds=5.0, settle_seconds=5.0)


def echo(request: RecordedRequest) -> Reply:
    return Reply.json({"cards": [CARD | {"title": f"Card {request.text.partition('Document ')[2][:1]}"}]})


async def run_of(api: FakeMessagesAPI, store: MemoryStore, **how: Any) -> Run:
    uploads = [Upload.from_text(f"Document {n}. {TEXT}", f"{n}.md") for n in range(5)]
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        claude = analyzer(client, batches=QUICK)
        return await analyze_cards(uploads, store, analyzer=claude, mode="batch", run_id="r", **how)


async def test_a_run_in_batches_costs_half_and_gives_the_same() -> None:
    """One request goes first by itself; all others wait together, more of them than there are slots."""
    with FakeMessagesAPI(answer=echo) as api:
        async with MemoryStore() as store:
            run = await run_of(api, store, limit=2, max_cost=5.0)
        alone = [request for request in api.requests if request.path == "/v1/messages"]
        created = [
            request for request in api.requests if request.path.endswith("/batches") and request.method == "POST"
        ]
    assert run.status is RunStatus.SUCCEEDED
    assert [card.title for card in run.cards] == [f"Card {n}" for n in range(5)]
    assert len(alone) == 1
    assert len(api.batch_requests) == 4
    assert 1 <= len(created) < 4
    usage = run.items[3].usage
    assert usage.requests == 1
    full = (
        usage.input_tokens * 2
        + usage.cache_write_tokens * 2.5
        + usage.cache_read_tokens * 0.1
        + usage.output_tokens * 10
    ) / 1e6
    assert usage.cost == pytest.approx(full / 2)
    assert run.counters[COMMITTED] == run.usage.cost_nano


async def test_a_request_of_a_batch_that_fails_is_made_again() -> None:
    """In the next batch; the failed attempt stands in the log."""
    failed: list[str] = []

    def answer(request: RecordedRequest) -> Reply:
        if "Document 3" in request.text and not failed:
            failed.append(request.text)
            return Reply.error(500)
        return echo(request)

    with FakeMessagesAPI(answer=answer) as api:
        async with MemoryStore() as store:
            run = await run_of(api, store)
            events = [event for event in await store.events("r") if event.type == "attempt_failed"]
    assert run.status is RunStatus.SUCCEEDED
    (event,) = events
    assert event.item_id == run.items[3].id
    assert event.data["again"]


async def test_a_run_that_is_cancelled_cancels_its_batches() -> None:
    """In the store, by anybody; the API is told not to go on."""
    followed = threading.Event()

    def seen(request: RecordedRequest) -> None:
        if request.method == "GET" and "/batches/" in request.path:
            followed.set()

    with FakeMessagesAPI(answer=echo, batch_seconds=1e9, intercept=seen) as api:
        results: list[Run] = []

        async def run(store: MemoryStore) -> None:
            results.append(await run_of(api, store, lease_seconds=0.3))

        async with MemoryStore() as store, anyio.create_task_group() as tasks:
            tasks.start_soon(run, store)
            await anyio.to_thread.run_sync(followed.wait, 10)
            found = await store.get_run("r")
            await store.update_run("r", RunStatus.CANCELLED, version=found.version)
        paths = [request.path for request in api.requests]
    assert results[0].status is RunStatus.CANCELLED
    assert any(path.endswith("/cancel") for path in paths)
    assert {item.status for item in results[0].items} <= {
        ItemStatus.COMPLETED,
        ItemStatus.PENDING,
        ItemStatus.CANCELLED,
    }


async def test_what_fails_every_document_shows_before_any_batch() -> None:
    """The first request finds it out."""
    with FakeMessagesAPI(answer=Reply.error(401)) as api:
        async with MemoryStore() as store:
            with pytest.raises(ConfigurationError):
                await run_of(api, store)
        assert not [request for request in api.requests if "batches" in request.path and request.method == "POST"]
