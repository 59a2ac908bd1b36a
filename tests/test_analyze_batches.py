"""``mode="batch"`` from the first upload to the cards: the same run, at half the price, over restarts."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis import (
    ClaudeAnalyzer,
    ConfigurationError,
    MemoryStore,
    OutlineAnalyzer,
    RunStatus,
    RunStopped,
    SQLiteStore,
    Upload,
    analyze_cards,
)
from cardanalysis.analysis import BatchOptions, RetryPolicy
from cardanalysis.pacing import Pacer
from cardanalysis.runs import cancel_run
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

pytestmark = pytest.mark.anyio

QUICK = BatchOptions(linger_seconds=0.05, poll_seconds=0.01, longest_poll_seconds=0.05)


def uploads(count: int) -> list[Upload]:
    return [Upload.from_text(f"The app must do thing {number}.", f"{number}.txt") for number in range(count)]


def card(title: str, quote: str) -> dict[str, object]:
    texts = dict.fromkeys(("problem", "current_state", "impact"), "")
    lists = {name: list[str]() for name in ("target_users", "desired_outcomes", "constraints", "systems")}
    return {"quotes": [quote], "title": title, "priority": "unstated", **texts, **lists}


def answer(request: RecordedRequest) -> Reply:
    """One card that quotes the document."""
    number = request.text.partition("do thing ")[2].partition(".")[0]
    return Reply.json({"cards": [card(f"Thing {number}", f"The app must do thing {number}.")]})


def analyzer(client: AsyncAnthropic, *, batches: BatchOptions = QUICK) -> ClaudeAnalyzer:
    return ClaudeAnalyzer(client, pacer=Pacer(), batches=batches, retry=RetryPolicy(first_delay=0.01))


def client_of(api: FakeMessagesAPI) -> AsyncAnthropic:
    return AsyncAnthropic(api_key="any", base_url=api.base_url)


async def test_a_run_in_batches_gives_the_same_for_about_half() -> None:
    """Cards, evidence and statuses are those of a direct run; all but the first request cost half."""
    costs: dict[str, float] = {}
    titles: dict[str, list[str]] = {}
    for mode in ("direct", "batch"):
        async with FakeMessagesAPI(answer=answer) as api, client_of(api) as client, MemoryStore() as store:
            given = ClaudeAnalyzer(client, pacer=Pacer(), batches=QUICK, cache=False)
            run = await analyze_cards(uploads(21), store, analyzer=given, mode=mode)  # type: ignore[arg-type]
            assert run.status is RunStatus.SUCCEEDED
            assert all(each.evidence for each in run.cards)
            assert run.usage.requests == 21
            titles[mode] = sorted(each.title for each in run.cards)
            costs[mode] = run.usage.cost or 0.0
            paths = [request.path for request in api.requests]
            assert paths.count("/v1/messages") == (1 if mode == "batch" else 21)
            assert paths.count("/v1/messages/batches") == (1 if mode == "batch" else 0)
    assert titles["batch"] == titles["direct"]
    assert costs["batch"] == pytest.approx(costs["direct"] * (1 + 20 / 2) / 21)


async def test_more_uploads_than_the_limit_wait_in_one_batch() -> None:
    """The limit bounds what is in work; what waits for a batch stands aside."""
    async with FakeMessagesAPI(answer=answer) as api, client_of(api) as client, MemoryStore() as store:
        await analyze_cards(uploads(12), store, limit=1, analyzer=analyzer(client), mode="batch")
        sizes = [len(request.body["requests"]) for request in api.requests if request.path.endswith("/batches")]
    assert sizes == [11]


async def test_an_interrupted_run_takes_the_results_of_its_batch(tmp_path: Path) -> None:
    """What was submitted before the interruption is neither submitted nor paid for again."""
    async with FakeMessagesAPI(answer=answer, batch_seconds=0.5) as api, client_of(api) as client:
        async with SQLiteStore(tmp_path / "cards.db") as store:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:

                    async def cut_off() -> None:
                        await anyio.to_thread.run_sync(lambda: api.wait_for_requests(2))
                        while "batch_submitted" not in [event.type for event in await store.events("night")]:  # noqa: ASYNC110 - another process would do so
                            await anyio.sleep(0.005)
                        scope.cancel()

                    tasks.start_soon(cut_off)
                    await analyze_cards(uploads(10), store, analyzer=analyzer(client), mode="batch", run_id="night")
        async with SQLiteStore(tmp_path / "cards.db") as store:
            run = await analyze_cards(uploads(10), store, analyzer=analyzer(client), mode="batch", run_id="night")
        submitted = [request for request in api.requests if request.method == "POST" and "batches" in request.path]
    assert run.status is RunStatus.SUCCEEDED
    assert len(run.cards) == 10
    assert len(submitted) == 1


async def test_a_run_that_somebody_cancels_cancels_its_batch() -> None:
    """Whoever cancels the run in the store ends what the API would still do for it."""
    async with FakeMessagesAPI(answer=answer, batch_seconds=600) as api, client_of(api) as client:
        async with MemoryStore() as store, anyio.create_task_group() as tasks:

            async def cancel() -> None:
                while not await _submitted(store):  # noqa: ASYNC110 - another process would do so
                    await anyio.sleep(0.005)
                await cancel_run(store, "night")

            tasks.start_soon(cancel)
            run = await analyze_cards(
                uploads(5), store, analyzer=analyzer(client), mode="batch", run_id="night", lease_seconds=0.3
            )
        assert run.status is RunStatus.CANCELLED
        assert any(request.path.endswith("/cancel") for request in api.requests)


async def _submitted(store: MemoryStore) -> bool:
    try:
        return "batch_submitted" in [event.type for event in await store.events("night")]
    except LookupError:  # there is no run yet
        return False


async def test_a_failed_upload_is_asked_about_anew_when_it_is_tried_again() -> None:
    """A result that failed its upload is not taken once more from the old batch."""
    bad = Reply.text(json.dumps({"cards": [{"title": 1}]}))
    wrong = {"on": True}

    def sometimes(request: RecordedRequest) -> Reply:
        return bad if wrong["on"] and "do thing 3." in request.text else answer(request)

    async with FakeMessagesAPI(answer=sometimes) as api, client_of(api) as client, MemoryStore() as store:
        first = await analyze_cards(uploads(5), store, analyzer=analyzer(client), mode="batch", run_id="night")
        wrong["on"] = False
        again = await analyze_cards(
            uploads(5), store, analyzer=analyzer(client), mode="batch", run_id="night", retry_failed=True
        )
    assert first.status is RunStatus.PARTIAL
    assert [item.error.code for item in first.items if item.error] == ["invalid_answer"]
    assert again.status is RunStatus.SUCCEEDED


async def test_expired_requests_go_into_another_batch() -> None:
    """What the API did not come to is submitted again, and nothing that was done."""
    seen = dict[str, int]()

    def late(request: RecordedRequest) -> Reply:
        seen[request.text] = seen.get(request.text, 0) + 1
        first = request.custom_id is not None and seen[request.text] == 1 and "do thing 2." in request.text
        return Reply.expired() if first else answer(request)

    async with FakeMessagesAPI(answer=late) as api, client_of(api) as client, MemoryStore() as store:
        run = await analyze_cards(uploads(5), store, analyzer=analyzer(client), mode="batch")
        events = [event for event in await store.events(run.id) if event.type == "attempt_failed"]
        sizes = [len(request.body["requests"]) for request in api.requests if request.path.endswith("/batches")]
    assert run.status is RunStatus.SUCCEEDED
    assert [event.data["code"] for event in events] == ["batch_expired"]
    assert sizes == [4, 1]


async def test_the_ceiling_holds_in_batches_too() -> None:
    """With room for some of the requests only, the run stops within its ceiling and goes on with a higher one."""
    async with FakeMessagesAPI(answer=answer) as api, client_of(api) as client, MemoryStore() as store:
        with pytest.raises(RunStopped) as caught:
            await analyze_cards(
                uploads(8), store, analyzer=analyzer(client), mode="batch", run_id="night", max_cost=0.1
            )
        stopped = await store.get_run("night")
        run = await analyze_cards(
            uploads(8), store, analyzer=analyzer(client), mode="batch", run_id="night", max_cost=100
        )
    assert caught.value.code == "max_cost"
    assert (stopped.usage.cost or 0) <= 0.1
    assert run.status is RunStatus.SUCCEEDED


async def test_little_room_below_the_ceiling_makes_small_batches() -> None:
    """Requests for whose worst case there is no room yet wait until others are settled; none is refused."""
    async with FakeMessagesAPI(answer=answer) as api, client_of(api) as client, MemoryStore() as store:
        run = await analyze_cards(uploads(8), store, analyzer=analyzer(client), mode="batch", max_cost=0.7)
        sizes = [len(request.body["requests"]) for request in api.requests if request.path.endswith("/batches")]
    assert run.status is RunStatus.SUCCEEDED
    assert max(sizes) <= 3
    assert (run.usage.cost or 0) <= 0.7


async def test_an_analyzer_without_batches_is_refused() -> None:
    """It is told before anything is stored."""
    async with MemoryStore() as store:
        with pytest.raises(ConfigurationError, match="knows no batches") as caught:
            await analyze_cards(uploads(1), store, analyzer=OutlineAnalyzer(), mode="batch", run_id="night")
        assert await store.runs() == []
    assert caught.value.code == "no_batches"


async def test_an_unknown_mode_is_refused() -> None:
    """A slip in the mode is told, with what there is."""
    async with MemoryStore() as store:
        with pytest.raises(ConfigurationError, match="direct, batch"):
            await analyze_cards([], store, analyzer=OutlineAnalyzer(), mode="batches")  # type: ignore[arg-type]
