"""What ends a run before its time, what is kept of it, and that the same call goes on."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    ClaudeAnalyzer,
    ConfigurationError,
    Document,
    ItemStatus,
    MemoryStore,
    RunStatus,
    RunStopped,
    StoreError,
    Upload,
    analyze_cards,
)
from cardanalysis.analysis import BatchOptions, RetryPolicy
from cardanalysis.pacing import Clock, Pacer
from cardanalysis.testing import FakeMessagesAPI, Reply

pytestmark = pytest.mark.anyio

LONG = Upload.from_text("\n\n".join(f"# Topic {n}\n\nThe app must do {n}." for n in range(100)), "long.md")


@pytest.fixture
async def api() -> AsyncGenerator[FakeMessagesAPI, None]:
    async with FakeMessagesAPI() as api:
        yield api


@pytest.fixture
async def client(api: FakeMessagesAPI) -> AsyncGenerator[AsyncAnthropic, None]:
    async with AsyncAnthropic(api_key="any", base_url=api.base_url) as client:
        yield client


def analyzer(client: AsyncAnthropic, **options: Any) -> ClaudeAnalyzer:
    options = {"max_input_tokens": 1_000, "cache": False, **options}
    return ClaudeAnalyzer(client, pacer=Pacer(clock=Clock(speed=1_000)), **options)


async def test_a_spent_account_stops_the_run_and_keeps_the_parts_that_are_paid(
    api: FakeMessagesAPI, client: AsyncAnthropic
) -> None:
    """In the middle of a document too; the same call reads it again once the account is in order."""
    asked = [Reply.default(), Reply.spend_limit()]
    api.script(*asked)
    async with MemoryStore() as store:
        with pytest.raises(ConfigurationError) as caught:
            await analyze_cards([LONG, *short(3)], store, 1, analyzer=analyzer(client), run_id="r")
        stopped = await store.items("r")
        used = len(api.requests)
        run = await analyze_cards([LONG, *short(3)], store, 1, analyzer=analyzer(client), run_id="r")
    assert caught.value.code == "billing"
    assert used == 2  # nothing more was spent
    assert [item.status for item in stopped if item.error] == [ItemStatus.PARTIAL]
    assert run.status is RunStatus.SUCCEEDED


async def test_a_ceiling_in_the_middle_of_a_document_stops_the_run(
    api: FakeMessagesAPI, client: AsyncAnthropic
) -> None:
    """Its cards so far are kept, the run says why it stopped, and the same call with more money reads all of it."""
    api.answer = Reply.json({"cards": []}, usage={"output_tokens": 900})
    given = analyzer(client, max_tokens=1_000)
    async with MemoryStore() as store:
        with pytest.raises(RunStopped) as caught:
            await analyze_cards([LONG], store, analyzer=given, run_id="r", max_cost=0.067)
        (item,) = await store.items("r")
        run = await analyze_cards([LONG], store, analyzer=given, run_id="r", max_cost=10)
    assert caught.value.code == "max_cost"
    assert item.error is not None
    assert "Not read: line" in item.error.message
    assert run.status is RunStatus.SUCCEEDED


async def test_answers_that_are_always_cut_end_soon(api: FakeMessagesAPI, client: AsyncAnthropic) -> None:
    """Where halves of halves are cut before their first card too, no further request is spent on the document."""
    api.answer = Reply.truncated('{"cards": [{"quotes": ["The')
    given = analyzer(client, max_input_tokens=100_000)
    async with MemoryStore() as store:
        run = await analyze_cards([LONG], store, analyzer=given)
    assert [item.error.code for item in run.items if item.error] == ["truncated"]
    assert len(api.requests) == 1 + 2 + 4


async def test_the_dollars_for_one_document_are_bounded(api: FakeMessagesAPI, client: AsyncAnthropic) -> None:
    """The parts that are not read for that reason are named."""
    given = analyzer(client, retry=RetryPolicy(cost=0.000_001))
    async with MemoryStore() as store:
        run = await analyze_cards([LONG], store, analyzer=given)
    assert [item.error.code for item in run.items if item.error] == ["cost_limit"]
    assert len(api.requests) == 1


async def test_refusals_of_the_first_request_of_a_batch_run_are_waited_out(
    api: FakeMessagesAPI, client: AsyncAnthropic
) -> None:
    """Nobody else asks meanwhile: five refusals are six requests, however many uploads wait."""
    api.script(*[Reply.rate_limited(retry_after=10)] * 5)
    given = analyzer(client, batches=BatchOptions(linger_seconds=50, poll_seconds=10, longest_poll_seconds=10))
    async with MemoryStore() as store:
        run = await analyze_cards(short(10), store, analyzer=given, mode="batch")
    assert run.status is RunStatus.SUCCEEDED
    assert [request.status for request in api.requests if request.path == "/v1/messages"] == [429] * 5 + [200]


async def test_a_store_that_fails_under_the_analysis_stops_the_run(
    api: FakeMessagesAPI, client: AsyncAnthropic
) -> None:
    """It is no fault of the document, whose item stays to be done."""

    class Full(MemoryStore):
        full = True

        async def append_event(self, *args: Any, **more: Any) -> Any:
            if self.full:
                raise StoreError("The disk is full.", code="disk_full")
            return await super().append_event(*args, **more)

    api.script(Reply.error(500))
    async with Full() as store:
        with pytest.raises(StoreError, match="The disk is full"):
            await analyze_cards(short(1), store, analyzer=analyzer(client), run_id="r")
        store.full = False
        (item,) = await store.items("r")
    assert item.status is ItemStatus.PENDING


class Reserving:
    """An analyzer that does what it must not with the run's money."""

    name = "reserving"

    def __init__(self, slip: str) -> None:
        self.slip = slip

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        work = request.work
        if self.slip == "negative":
            await work.reserve(-5)
        await work.reserve(0.01)
        if self.slip == "twice":
            await work.reserve(0.01)
        async with work.aside():
            await anyio.lowlevel.checkpoint()
        return Analysis(cards=())


@pytest.mark.parametrize(
    ("slip", "text"),
    [("negative", "at least 0"), ("twice", "before reserving more"), ("aside", "before standing aside")],
)
@pytest.mark.parametrize("max_cost", [None, 0.03])
async def test_money_that_is_not_settled_is_told_and_never_waited_for(
    slip: str, text: str, max_cost: float | None
) -> None:
    """Else an upload would wait for money, or a slot, of another one that waits for this one."""
    async with MemoryStore() as store:
        with anyio.fail_after(5), pytest.raises(ConfigurationError, match=text):
            await analyze_cards(short(4), store, 1, analyzer=Reserving(slip), max_cost=max_cost)


def short(count: int) -> list[Upload]:
    return [Upload.from_text(f"The app must do {number}.", f"{number}.txt") for number in range(count)]


async def test_what_is_cut_off_in_mid_stream_is_counted(api: FakeMessagesAPI, client: AsyncAnthropic) -> None:
    """The item's timeout, as any interruption, leaves the tokens in the usage of which the API had told."""
    api.answer = lambda _request: Reply.stalled(after_events=3)
    async with MemoryStore() as store:
        run = await analyze_cards(short(1), store, analyzer=analyzer(client), item_timeout=0.3)
    assert [item.error.code for item in run.items if item.error] == ["timeout"]
    assert (run.usage.requests, run.usage.input_tokens > 0) == (1, True)
