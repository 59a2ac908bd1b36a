"""`cardanalysis.runs`: runs are listed, cancelled, retried, looked into and deleted."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from cardanalysis import (
    Analysis,
    AnalyzerError,
    Card,
    ConfigurationError,
    Document,
    Event,
    ItemError,
    ItemStatus,
    MemoryStore,
    Run,
    RunNotFound,
    RunStatus,
    SQLiteStore,
    Store,
    StoreError,
    Upload,
    Usage,
    analyze_cards,
    load_run,
    runs,
    to_dict,
)
from cardanalysis.abc import ItemNotFound, NewItem, NewOutput
from cardanalysis.testing import ScriptedAnalyzer, first_line_card

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]


class Clock:
    """A clock that stands still until it is set forward."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite"])
def open_store(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens the same store each time it is called."""
    memory = MemoryStore(clock=clock)
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "cards.db", clock=clock)


def texts(count: int, prefix: str = "Document") -> list[Upload]:
    return [Upload.from_text(f"{prefix} {number}\n", f"{prefix} {number}.txt") for number in range(count)]


def flaky(document: Document) -> Analysis:
    """Fails for the second document."""
    if document.name == "Document 1.txt":
        raise AnalyzerError("Try again.", code="rate_limited", usage=Usage(requests=2))
    return first_line_card(document)


async def begun(store: Store, run_id: str, status: RunStatus = RunStatus.RUNNING) -> Run:
    run = await store.create_run(run_id, kind="analyze_cards", fingerprint="f", asked={})
    if status is not RunStatus.QUEUED:
        run = await store.update_run(run_id, RunStatus.RUNNING, version=run.version)
    if status not in (RunStatus.QUEUED, RunStatus.RUNNING):
        run = await store.update_run(run_id, status, version=run.version)
    return run


class Bare:
    """A store that can do nothing besides: it hides the housekeeping of the one below."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in ("runs", "delete_run", "find_completed", "restore_run"):
            raise AttributeError(name)
        return getattr(self._store, name)


# --- list -----------------------------------------------------------------------------------------------------------


async def test_runs_are_listed_newest_first_by_page(
    open_store: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages join without a gap, whatever their size, and a filter or a limit lets fewer through."""
    async with open_store() as store:
        for number in range(7):
            clock.now += 1
            await begun(store, f"r{number}", RunStatus.FAILED if number % 2 else RunStatus.SUCCEEDED)
        await store.create_run("other", kind="other", fingerprint="f", asked={})
        for page in (1, 2, 3, 7, 500):
            monkeypatch.setattr(runs, "_PAGE", page)
            found = [run.id async for run in runs.list_runs(store, kind="analyze_cards")]
            assert found == [f"r{number}" for number in reversed(range(7))]
            assert [run.id async for run in runs.list_runs(store, limit=5)] == ["other", *found][:5]
            failed = [run.id async for run in runs.list_runs(store, status=RunStatus.FAILED)]
            assert failed == ["r5", "r3", "r1"]
        assert [run async for run in runs.list_runs(store, limit=0)] == []
        with pytest.raises(ConfigurationError, match="limit"):
            await anext(runs.list_runs(store, limit=-1))


async def test_runs_can_be_deleted_while_they_are_listed(open_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cleaning up in one loop comes to every run once."""
    monkeypatch.setattr(runs, "_PAGE", 2)
    async with open_store() as store:
        for number in range(5):
            await begun(store, f"r{number}", RunStatus.SUCCEEDED)
        async for run in runs.list_runs(store):
            await runs.delete_run(store, run.id)
        assert [run async for run in runs.list_runs(store)] == []


async def test_a_run_whose_workers_are_silent_is_stale_and_can_be_taken_over(open_store: Any, clock: Clock) -> None:
    """It is found by its heartbeat; the same call with its run_id does the rest."""
    async with open_store() as store:
        await begun(store, "ended", RunStatus.SUCCEEDED)
        analyzer = ScriptedAnalyzer(latency=3600)
        with anyio.CancelScope() as dying:
            await analyze_cards(texts(2), store, analyzer=analyzer, run_id="r", on_event=lambda _: dying.cancel())
        run = await store.get_run("r")
        await store.update_run("r", RunStatus.RUNNING, version=run.version)  # as if it had been killed
        assert await runs.stale_runs(store) == []
        clock.now += 61
        assert [run.id for run in await runs.stale_runs(store)] == ["r"]
        assert await runs.stale_runs(store, stale_seconds=62) == []
        taken = await analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(), run_id="r")
        assert taken.status is RunStatus.SUCCEEDED
        assert await runs.stale_runs(store) == []
        with pytest.raises(ConfigurationError, match="stale_seconds"):
            await runs.stale_runs(store, stale_seconds=0)


# --- cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", RunStatus)
async def test_a_run_is_cancelled_unless_it_has_ended(open_store: Any, status: RunStatus) -> None:
    """Queued and running runs become cancelled with the reason; an ended one is returned as it is."""
    async with open_store() as store:
        before = await begun(store, "r", status)
        run = await runs.cancel_run(store, "r", reason="The customer withdrew.")
        assert run == await store.get_run("r")
        if status in (RunStatus.QUEUED, RunStatus.RUNNING):
            assert (run.status, run.error) == (RunStatus.CANCELLED, "The customer withdrew.")
        else:
            assert run == before


async def test_a_run_is_cancelled_whatever_else_changes_it(open_store: Any) -> None:
    """Other changes come between reading and writing; they delay the cancellation and do not prevent it."""

    class Busy:
        changes = 5

        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def get_run(self, run_id: str) -> Run:
            run = await self._store.get_run(run_id)
            if self.changes:
                self.changes -= 1
                await self._store.increment(run_id, "something")
            return run

    async with open_store() as store:
        await begun(store, "r")
        busy: Any = Busy(store)
        run = await runs.cancel_run(busy, "r")
        assert (run.status, run.error, busy.changes) == (RunStatus.CANCELLED, "It was cancelled.", 0)


@pytest.mark.parametrize("reason", ["", "It was interrupted.", None, 3])
async def test_a_reason_that_is_none_is_refused(reason: Any) -> None:
    """By the words that workers use for themselves, the workers would not know that they have to stop."""
    store = MemoryStore()
    await begun(store, "r")
    with pytest.raises(ConfigurationError, match="reason"):
        await runs.cancel_run(store, "r", reason=reason)
    assert (await store.get_run("r")).status is RunStatus.RUNNING


async def test_workers_stop_soon_and_the_run_can_be_resumed(open_store: Any) -> None:
    """The call returns the cancelled run, its uploads are pending again, and what was finished stays."""
    async with open_store() as store:
        slow = ScriptedAnalyzer(latency=3600)
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="r")

        async def cancel(event: Any) -> None:
            if event.data.get("to") == "analyzing":
                await runs.cancel_run(store, "r", reason="Enough.")

        with anyio.fail_after(30):
            run = await analyze_cards(texts(3), store, analyzer=slow, run_id="r", lease_seconds=0.1, on_event=cancel)
        assert (run.status, run.error) == (RunStatus.CANCELLED, "Enough.")
        assert [str(item.status) for item in run.items] == ["completed", "pending", "pending"]
        again = await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), run_id="r")
        assert (again.status, again.error) == (RunStatus.SUCCEEDED, None)


@pytest.mark.parametrize("moment", ["created", "conflict"])
async def test_a_cancellation_just_when_the_work_begins_is_not_overlooked(open_store: Any, moment: str) -> None:
    """Between the call's first look at the run and its start, or between its attempts to start it, nothing is lost."""

    class Cancelling:
        def __init__(self, store: Store) -> None:
            self._store = store
            self.done = False

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def create_run(self, run_id: str, **options: Any) -> Run:
            run = await self._store.create_run(run_id, **options)
            if moment == "created":
                await runs.cancel_run(self._store, run_id)
            return run

        async def update_run(self, run_id: str, status: RunStatus, **options: Any) -> Run:
            if not self.done and moment == "conflict":
                self.done = True
                await runs.cancel_run(self._store, run_id)
            return await self._store.update_run(run_id, status, **options)

    async with open_store() as store:
        cancelling: Any = Cancelling(store)
        analyzer = ScriptedAnalyzer()
        run = await analyze_cards(texts(2), cancelling, analyzer=analyzer, run_id="r")
        assert (run.status, run.error) == (RunStatus.CANCELLED, "It was cancelled.")
        assert analyzer.calls == []


# --- retry ----------------------------------------------------------------------------------------------------------


async def test_only_what_failed_is_done_again(open_store: Any) -> None:
    """Failed, cancelled and pending items are done; what is unknown, finished or not given is left alone."""
    async with open_store() as store:
        uploads = texts(3)
        await analyze_cards(uploads, store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
        waiting, cancelled = texts(2, "More")
        await store.add_items("r", [NewItem(id=each.id, name=each.name, position=3) for each in (waiting, cancelled)])
        item = await store.get_item("r", cancelled.id)
        await store.update_status("r", item.id, ItemStatus.CANCELLED, version=item.version)
        unknown = Upload.from_text("Unknown", "unknown.txt")
        analyzer = ScriptedAnalyzer()
        run = await runs.retry_failed(store, "r", [unknown, waiting, cancelled, *uploads[1:]], 2, analyzer=analyzer)
        assert sorted(analyzer.calls) == ["Document 1.txt", "More 0.txt", "More 1.txt"]
        assert {item.name: str(item.status) for item in run.items} == {
            "Document 0.txt": "completed",
            "Document 1.txt": "completed",
            "Document 2.txt": "completed",
            "More 0.txt": "completed",
            "More 1.txt": "completed",
        }
        assert [item.position for item in run.items][:3] == [0, 1, 2]
        assert run.status is RunStatus.SUCCEEDED


async def test_a_partial_item_is_done_again_and_keeps_its_cards_if_that_fails(open_store: Any) -> None:
    """Its cards are replaced by those of a better attempt, and by nothing else."""
    (upload,) = texts(1)
    async with open_store() as store:
        await analyze_cards([], store, analyzer=ScriptedAnalyzer(), run_id="r")
        await store.add_items("r", [NewItem(id=upload.id, name=upload.name, position=0)])
        (item,) = await store.claim("r", "me", lease_seconds=60)
        half = NewOutput(kind="cards", data=to_dict(Card(title="Half")))
        missing = ItemError(code="truncated", message="Half of it.")
        await store.complete_item("r", item.id, token=item.token, outputs=[half], usage=Usage(), error=missing)

        def refuse(document: Document) -> Analysis:
            raise AnalyzerError("No.", code="refused")

        run = await runs.retry_failed(store, "r", [upload], analyzer=ScriptedAnalyzer(refuse))
        assert [card.title for card in run.cards] == ["Half"]
        assert [str(item.status) for item in run.items] == ["partial"]
        run = await runs.retry_failed(store, "r", [upload], analyzer=ScriptedAnalyzer())
        assert [card.title for card in run.cards] == ["Document 0"]
        assert run.status is RunStatus.SUCCEEDED


async def test_an_interrupted_retry_can_be_retried(open_store: Any, clock: Clock) -> None:
    """What a retry that was stopped handed back, or that was killed still holds, is done by the next one."""
    async with open_store() as store:
        await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
        with anyio.CancelScope() as scope:

            def stop(event: Event) -> None:
                if event.data.get("to") == "analyzing":
                    scope.cancel()

            slow = ScriptedAnalyzer(latency=3600)
            await runs.retry_failed(store, "r", texts(3), analyzer=slow, on_event=stop)
        item = (await store.items("r", status=ItemStatus.PENDING))[0]
        assert item.attempts == 1
        await store.claim("r", "somebody who dies", lease_seconds=60)
        clock.now += 61
        analyzer = ScriptedAnalyzer()
        run = await runs.retry_failed(store, "r", texts(3), analyzer=analyzer)
        assert (run.status, analyzer.calls) == (RunStatus.SUCCEEDED, ["Document 1.txt"])


async def test_attempts_stay_in_the_history_and_in_the_usage(open_store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log keeps what each attempt came to, by item, and costs add up."""
    monkeypatch.setattr(runs, "_PAGE", 3)
    async with open_store() as store:
        await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
        run = await runs.retry_failed(store, "r", texts(3), analyzer=ScriptedAnalyzer())
        item = run.items[1]
        events = await runs.history(store, "r", item.id)
        assert {event.item_id for event in events} == {item.id}
        assert [event.sequence for event in events] == sorted(event.sequence for event in events)
        steps = [event.data["to"] for event in events if event.type == "item_status"]
        again = ["pending", "loading", "analyzing", "saving", "completed"]
        assert steps == ["loading", "analyzing", "failed", *again]
        ends = [event.data for event in events if "usage" in event.data]
        assert [(end["attempt"], end["usage"]["requests"]) for end in ends] == [(1, 2), (2, 1)]
        assert ends[0]["error"]["code"] == "rate_limited"
        assert (item.attempts, item.usage.requests) == (2, 3)


async def test_a_retry_asks_the_same_and_needs_a_run(open_store: Any) -> None:
    """An unknown run is not begun, and another question is refused, unless it is accepted."""
    async with open_store() as store:
        with pytest.raises(RunNotFound):
            await runs.retry_failed(store, "r", texts(1), analyzer=ScriptedAnalyzer())
        with pytest.raises(RunNotFound):
            await store.get_run("r")
        await analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
        with pytest.raises(ConfigurationError, match="max_cards"):
            await runs.retry_failed(store, "r", texts(2), analyzer=ScriptedAnalyzer(), max_cards=1)
        run = await runs.retry_failed(
            store, "r", texts(2), analyzer=ScriptedAnalyzer(), max_cards=1, accept_changes=True, collect=False
        )
        assert run.status is RunStatus.SUCCEEDED
        with pytest.raises(ConfigurationError, match="run_id"):
            await runs.retry_failed(store, "", texts(2))


def test_a_retry_takes_the_options_of_the_first_call() -> None:
    """The parameters are those of analyze_cards with the same defaults, but for those that make no sense."""
    first, again = (inspect.signature(each).parameters for each in (analyze_cards, runs.retry_failed))
    left_out = {"uploads", "store", "run_id", "retry_failed"}
    assert set(first) - left_out == set(again) - {"store", "run_id", "uploads"}
    assert all(again[name].default == first[name].default for name in set(first) - left_out)


# --- history, delete ------------------------------------------------------------------------------------------------


async def test_the_history_of_nothing_is_an_error(open_store: Any) -> None:
    """An unknown run or item is told."""
    async with open_store() as store:
        with pytest.raises(RunNotFound):
            await runs.history(store, "r", "a")
        await begun(store, "r")
        with pytest.raises(ItemNotFound):
            await runs.history(store, "r", "a")


async def test_what_was_handed_back_stays_in_the_history_with_its_cost(open_store: Any) -> None:
    """The log tells what an attempt had cost when it was handed back, and its costs come to those of the item."""
    async with open_store() as store:
        await store.create_run("r", kind="test", fingerprint="", asked={})
        await store.add_items("r", [NewItem(id="a", name="a", position=0)])
        for spent in (Usage(requests=1, cost=0.1), None, Usage(requests=2, cost=0.2)):
            (item,) = await store.claim("r", "w1", lease_seconds=60)
            item = await store.release("r", "a", token=item.token, usage=spent)
        told = [event.data["usage"] for event in await runs.history(store, "r", "a") if "usage" in event.data]
        assert sum((Usage(**each) for each in told), Usage()) == item.usage == Usage(requests=3, cost=0.3)
        assert (await store.get_run("r")).usage == item.usage


async def test_a_run_is_deleted_unless_it_is_running(open_store: Any) -> None:
    """It is gone with all that belongs to it; one that is worked on has to be cancelled first."""
    async with open_store() as store:
        run = await analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(), run_id="r")
        await store.update_run("r", RunStatus.RUNNING, version=(await store.get_run("r")).version)
        with pytest.raises(StoreError) as caught:
            await runs.delete_run(store, "r")
        assert caught.value.code == "running"
        assert (await load_run(store, "r")).cards == run.cards
        await runs.cancel_run(store, "r")
        await runs.delete_run(store, "r")
        with pytest.raises(RunNotFound):
            await load_run(store, "r")
        with pytest.raises(RunNotFound):
            await runs.delete_run(store, "r")


# --- stores that can do less ----------------------------------------------------------------------------------------


async def test_a_store_without_housekeeping_is_told_apart(tmp_path: Path) -> None:
    """What needs more than the work on a run says which store lacks what; the rest works."""
    store: Any = Bare(MemoryStore())
    calls: dict[str, Callable[[], Any]] = {
        "list_runs": lambda: anext(runs.list_runs(store)),
        "stale_runs": lambda: runs.stale_runs(store),
        "delete_run": lambda: runs.delete_run(store, "r"),
        "import_run": lambda: runs.import_run(store, tmp_path / "nothing"),
        "reuse=True": lambda: analyze_cards([], store, analyzer=ScriptedAnalyzer(), reuse=True),
    }
    for name, call in calls.items():
        with pytest.raises(ConfigurationError) as caught:
            await call()
        for part in (name, "Bare", "cardanalysis.abc.Housekeeping", "restore_run"):
            assert part in str(caught.value)
    await analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
    run = await runs.retry_failed(store, "r", texts(2), analyzer=ScriptedAnalyzer())
    assert run.status is RunStatus.SUCCEEDED
    assert await runs.history(store, "r", run.items[0].id)
    await runs.export_run(store, "r", tmp_path / "r.jsonl")
    async with aclosing(runs.follow(store, "r")) as events:
        assert (await anext(events)).type == "run_created"
    assert await runs.cancel_run(store, "r") == await store.get_run("r")


async def test_what_is_no_store_is_told() -> None:
    """A path in the place of a store is a configuration error everywhere."""
    wrong: Any = "cards.db"
    calls: list[Callable[[], Any]] = [
        lambda: runs.cancel_run(wrong, "r"),
        lambda: runs.retry_failed(wrong, "r", []),
        lambda: runs.delete_run(wrong, "r"),
        lambda: runs.history(wrong, "r", "i"),
        lambda: anext(runs.follow(wrong, "r")),
        lambda: anext(runs.list_runs(wrong)),
        lambda: runs.export_run(wrong, "r", "nowhere"),
    ]
    for call in calls:
        with pytest.raises(ConfigurationError, match="store"):
            await call()


async def test_a_page_goes_on_where_the_last_one_ended(open_store: Any, clock: Clock) -> None:
    """With `limit` and `after` runs are had page by page."""
    async with open_store() as store:
        for name in "abcde":
            clock.now += 1
            await store.create_run(name, kind="test", fingerprint="", asked={})
        first = [run async for run in runs.list_runs(store, limit=2)]
        second = [run async for run in runs.list_runs(store, after=first[-1], limit=2)]
        rest = [run async for run in runs.list_runs(store, after=second[-1])]
        assert [[run.id for run in page] for page in (first, second, rest)] == [["e", "d"], ["c", "b"], ["a"]]


async def test_a_run_is_not_deleted_under_its_workers(open_store: Any) -> None:
    """A run cannot be deleted while workers hold items of it; when they have let go it can."""
    async with open_store() as store:
        held: list[str] = []

        async def delete(event: Any) -> None:
            if event.data.get("to") == "analyzing" and not held:
                await runs.cancel_run(store, "r")
                with pytest.raises(StoreError) as caught:
                    await runs.delete_run(store, "r")
                held.append(caught.value.code)

        slow = ScriptedAnalyzer(latency=3_600)
        options: dict[str, Any] = {"analyzer": slow, "on_event": delete, "lease_seconds": 0.1}
        run = await analyze_cards(texts(2), store, run_id="r", **options)
        assert (run.status, held) == (RunStatus.CANCELLED, ["running"])
        await runs.delete_run(store, "r")


@pytest.mark.parametrize("option", ["on_event", "loader"])
async def test_what_cannot_be_called_is_refused_at_once(open_store: Any, option: str) -> None:
    """A loader or a callback that is none is told before anything is stored."""
    async with open_store() as store:
        with pytest.raises(ConfigurationError, match=option):
            await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="r", **{option: 5})
        with pytest.raises(RunNotFound):
            await store.get_run("r")


@pytest.mark.parametrize("limit", ["2", 2.5, -1, True, 10**30])
async def test_a_limit_that_is_none_is_refused_alike(open_store: Any, limit: Any) -> None:
    """Whatever is no whole number of items is an InvalidValue in every store."""
    async with open_store() as store:
        await store.create_run("r", kind="test", fingerprint="", asked={})
        for call in (store.items, store.outputs, store.events):
            with pytest.raises(ConfigurationError, match="limit"):
                await call("r", limit=limit)
        with pytest.raises(ConfigurationError, match="limit"):
            await store.runs(limit=limit)


async def test_what_is_no_place_or_status_is_refused_alike(open_store: Any) -> None:
    """A page behind something else, and a status that there is not, are an InvalidValue in every store."""
    async with open_store() as store:
        await store.create_run("r", kind="test", fingerprint="", asked={})
        for call in (store.items, store.outputs, store.events):
            with pytest.raises(ConfigurationError, match="after"):
                await call("r", after="x")
        with pytest.raises(ConfigurationError, match="after"):
            await store.runs(after="r")
        with pytest.raises(ConfigurationError, match="status must be one of queued"):
            await anext(runs.list_runs(store, status="bogus"))
        with pytest.raises(ConfigurationError, match="status must be one of pending"):
            await store.items("r", status="bogus")
