"""Several workers of one run: leases that are kept, lost and taken over, and runs that are cancelled from elsewhere.

Time is virtual: trio's clock jumps to the next deadline when nothing else can happen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio.testing

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
    RunStatus,
    StoreError,
    Upload,
    Usage,
    analyze_cards,
    load_run,
)
from cardanalysis.testing import ScriptedAnalyzer, first_line_card


def texts(count: int, prefix: str = "Document") -> list[Upload]:
    return [Upload.from_text(f"{prefix} {number}\n", f"{prefix} {number}.txt") for number in range(count)]


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        with anyio.fail_after(10_000):
            await main()

    anyio.run(timed, backend="trio", backend_options={"clock": trio.testing.MockClock(rate=0, autojump_threshold=0.01)})


class Skewed:
    """A clock of virtual time that can be set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return 1e9 + anyio.current_time() + self.ahead


async def cancel(store: MemoryStore, run_id: str) -> None:
    """Cancel a run as somebody else would."""
    run = await store.get_run(run_id)
    await store.update_run(run_id, RunStatus.CANCELLED, version=run.version)


def test_leases_are_renewed_while_the_work_lasts() -> None:
    """Work of ten leases' length is not taken over by a second worker of the same run."""

    async def main() -> None:
        store, analyzer = MemoryStore(clock=Skewed()), ScriptedAnalyzer(latency=100)
        runs: list[Run] = []

        async def analyze() -> None:
            runs.append(await analyze_cards(texts(2), store, 2, analyzer=analyzer, run_id="r", lease_seconds=10))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(analyze)
            await anyio.sleep(1)
            tasks.start_soon(analyze)
        assert len(analyzer.calls) == 2
        assert [run.status for run in runs] == ["succeeded", "succeeded"]
        assert [item.attempts for item in runs[0].items] == [1, 1]

    in_virtual_time(main)


def test_a_lost_lease_ends_the_work_and_the_item_is_looked_after() -> None:
    """A worker whose leases ended stops paying for them, and returns when the other worker is done."""

    async def main() -> None:
        clock = Skewed()
        store = MemoryStore(clock=clock)
        slow, quick = ScriptedAnalyzer(latency=1000), ScriptedAnalyzer(latency=50)
        runs: dict[str, Run] = {}

        async def analyze(name: str, analyzer: ScriptedAnalyzer) -> None:
            runs[name] = await analyze_cards(texts(2), store, 2, analyzer=analyzer, run_id="r", lease_seconds=30)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(analyze, "slow", slow)
            await anyio.sleep(1)
            clock.ahead = 3600
            tasks.start_soon(analyze, "quick", quick)
        assert {name: run.status for name, run in runs.items()} == {"slow": "succeeded", "quick": "succeeded"}
        assert runs["slow"].items == runs["quick"].items
        assert [item.attempts for item in runs["slow"].items] == [2, 2]
        assert dict(runs["slow"].counters) == {"cards": 2, "completed": 2, "total": 2}
        assert anyio.current_time() < 900

    in_virtual_time(main)


def test_an_item_is_done_here_when_the_other_worker_dies() -> None:
    """What was lost to a worker that then dies is claimed back when its lease ends."""

    async def main() -> None:
        clock = Skewed()
        store = MemoryStore(clock=clock)
        analyzer = ScriptedAnalyzer(latency=100)

        async def steal() -> None:
            await anyio.sleep(1)
            clock.ahead = 3600
            assert len(await store.claim("r", "somebody who dies", lease_seconds=200)) == 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(steal)
            run = await analyze_cards(texts(1), store, analyzer=analyzer, run_id="r", lease_seconds=30)
        assert run.status is RunStatus.SUCCEEDED
        assert run.items[0].attempts == 3
        assert anyio.current_time() > 200

    in_virtual_time(main)


def test_a_run_that_somebody_cancels_stops_within_a_third_of_the_lease() -> None:
    """Its items go back, the call returns the cancelled run without an exception, and it can be resumed."""

    async def main() -> None:
        store, analyzer = MemoryStore(clock=Skewed()), ScriptedAnalyzer(latency=1000)

        async def cancel_soon() -> None:
            await anyio.sleep(5)
            await cancel(store, "r")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_soon)
            run = await analyze_cards(texts(3), store, analyzer=analyzer, run_id="r", lease_seconds=30)
        assert run.status is RunStatus.CANCELLED
        assert anyio.current_time() <= 5 + 10 + 1
        assert {item.status for item in run.items} == {ItemStatus.PENDING}
        assert {item.attempts for item in run.items} == {0}
        again = await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), run_id="r")
        assert again.status is RunStatus.SUCCEEDED

    in_virtual_time(main)


def test_a_cancelled_caller_does_not_stop_the_other_one() -> None:
    """Two calls work on one run and wait for their generators; only the first is cancelled; the second ends it well."""

    async def main() -> None:
        store, analyzer = MemoryStore(clock=Skewed()), ScriptedAnalyzer(latency=1)
        runs: list[Run] = []

        async def slowly() -> AsyncIterator[Upload]:
            for upload in texts(6):
                await anyio.sleep(20)
                yield upload

        async def analyze(scope: anyio.CancelScope) -> None:
            with scope:
                runs.append(await analyze_cards(slowly(), store, analyzer=analyzer, run_id="r", lease_seconds=30))

        async with anyio.create_task_group() as tasks:
            first = anyio.CancelScope()
            tasks.start_soon(analyze, first)
            await anyio.sleep(7)
            tasks.start_soon(analyze, anyio.CancelScope())
            await anyio.sleep(24)
            first.cancel()
            await anyio.sleep(1)
            assert (await store.get_run("r")).status is RunStatus.CANCELLED
        assert [run.status for run in runs] == [RunStatus.SUCCEEDED]
        assert runs[0].counters["completed"] == 6
        assert runs[0].error is None

    in_virtual_time(main)


def test_a_worker_leaves_the_run_open_while_another_works() -> None:
    """Who is done first does not settle the run; who is done last does, by what all items say."""

    async def main() -> None:
        store = MemoryStore(clock=Skewed())

        def script(document: Document) -> Analysis:
            if document.name.startswith("slow"):
                raise AnalyzerError("refused")
            return first_line_card(document)

        async def analyze(prefix: str, latency: float) -> Run:
            analyzer = ScriptedAnalyzer(script, latency=latency)
            return await analyze_cards(texts(1, prefix), store, analyzer=analyzer, run_id="r")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(analyze, "slow", 100)
            await anyio.sleep(1)
            assert (await analyze("quick", 1)).status is RunStatus.RUNNING
        assert (await store.get_run("r")).status is RunStatus.PARTIAL

    in_virtual_time(main)


def test_a_run_that_was_settled_too_early_is_settled_again() -> None:
    """A worker that adds to a run after another one has ended it gives it its true status."""

    async def main() -> None:
        store = MemoryStore(clock=Skewed())

        async def late() -> AsyncIterator[Upload]:
            await anyio.sleep(50)
            yield Upload.from_text("late", "late.txt")

        def refuse(_document: Document) -> Analysis:
            raise AnalyzerError("refused")

        async with anyio.create_task_group() as tasks:

            async def analyze_late() -> None:
                await analyze_cards(late(), store, analyzer=ScriptedAnalyzer(refuse), run_id="r")

            tasks.start_soon(analyze_late)
            await anyio.sleep(1)
            run = await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="r")
            assert run.status is RunStatus.SUCCEEDED
        assert (await store.get_run("r")).status is RunStatus.PARTIAL

    in_virtual_time(main)


class Broken(MemoryStore):
    """A store of which some methods fail, some times."""

    def __init__(self, error: Exception, **failures: int) -> None:
        super().__init__(clock=Skewed())
        self.error, self.failures = error, failures

    def __getattribute__(self, name: str) -> Any:
        failures = object.__getattribute__(self, "__dict__").get("failures", {})
        if failures.get(name, 0) <= 0:
            return object.__getattribute__(self, name)

        async def fail(*_arguments: Any, **_options: Any) -> None:
            failures[name] -= 1
            raise self.error

        return fail


@pytest.mark.parametrize("error", [StoreError("locked"), ConnectionError()], ids=repr)
def test_a_failed_renewal_is_tried_again(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A store that is away for a moment does not end the run."""

    async def main() -> None:
        store = Broken(error, renew=1)
        run = await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(latency=100), lease_seconds=60)
        assert run.status is RunStatus.SUCCEEDED

    with caplog.at_level(logging.WARNING, logger="cardanalysis"):
        in_virtual_time(main)
    assert "could not be renewed" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("error", [StoreError("away"), ConnectionError("away")], ids=repr)
async def test_a_store_that_fails_stops_the_run(error: Exception) -> None:
    """It comes out as one StoreError, not in a group, and the paid item is not called failed."""
    store = Broken(error, complete_item=1)
    with pytest.raises(StoreError):
        await analyze_cards(texts(3), store, 1, analyzer=ScriptedAnalyzer(), run_id="r")
    run = await load_run(store, "r")
    assert ItemStatus.FAILED not in {item.status for item in run.items}
    assert (await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), run_id="r")).status == "succeeded"


@pytest.mark.anyio
async def test_what_was_not_handed_back_is_free_at_once() -> None:
    """A worker that ended in this process holds nothing any more, also where its hand-back failed."""
    store = Broken(StoreError("away"), complete_item=1, release=1)
    with pytest.raises(StoreError, match="away"):
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="r", lease_seconds=3600)
    assert (await store.items("r"))[0].status is ItemStatus.SAVING
    with anyio.fail_after(60):
        run = await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="r", lease_seconds=3600)
    assert run.status is RunStatus.SUCCEEDED


@pytest.mark.anyio
async def test_a_store_that_fails_at_the_end_does_not_hide_the_reason() -> None:
    """The generator's own error comes out, although the run's end could not be recorded."""

    async def generate() -> AsyncIterator[Upload]:
        yield texts(1)[0]
        store.failures["get_run"] = 99
        raise LookupError("mine")

    store = Broken(StoreError("away"))
    with pytest.raises(LookupError, match="mine"):
        await analyze_cards(generate(), store, analyzer=ScriptedAnalyzer())


@pytest.mark.anyio
async def test_a_result_that_cannot_be_stored_fails_its_item_alone() -> None:
    """What the store refuses because of what it is would be refused for ever."""

    class Odd(MemoryStore):
        async def complete_item(self, run_id: str, item_id: str, **options: Any) -> Any:  # type: ignore[override]
            if options["outputs"][0].data["title"] == "Document 1":
                raise StoreError("Only JSON values can be stored.", code="not_json")
            return await super().complete_item(run_id, item_id, **options)

    run = await analyze_cards(texts(3), Odd(), analyzer=ScriptedAnalyzer())
    assert [item.status for item in run.items] == ["completed", "failed", "completed"]
    assert run.items[1].error is not None
    assert run.items[1].error.code == "not_json"
    assert run.usage.requests == 3


@pytest.mark.anyio
async def test_an_error_that_cannot_be_told_fails_its_item_alone() -> None:
    """An error class of somebody else's may break every rule."""

    class Untold(AnalyzerError):
        def __str__(self) -> str:
            raise ValueError

    def script(document: Document) -> Analysis:
        if document.name == "Document 0.txt":
            raise Untold("x")
        if document.name == "Document 1.txt":
            raise AnalyzerError("x", code=5)  # type: ignore[arg-type]
        return first_line_card(document)

    run = await analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(script))
    assert [item.status for item in run.items] == ["failed", "failed", "completed"]


@pytest.mark.anyio
async def test_a_timeout_keeps_what_the_attempt_cost() -> None:
    """An analyzer that tells its usage while it is timed out is believed."""

    class Slow(ScriptedAnalyzer):
        async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
            try:
                await anyio.sleep_forever()
            finally:
                raise AnalyzerError("cut off", usage=Usage(requests=1, input_tokens=7))

    run = await analyze_cards(texts(1), MemoryStore(), analyzer=Slow(), item_timeout=0.01)
    assert run.items[0].error is not None
    assert run.items[0].error.code == "timeout"
    assert run.usage.input_tokens == 7


@pytest.mark.anyio
async def test_cancelled_after_the_last_outcome_is_not_cancelled() -> None:
    """Nothing was left undone, so the run has succeeded."""
    store = MemoryStore()
    with anyio.CancelScope() as scope:

        def stop(event: Any) -> None:
            if event.data.get("to") == "completed":
                scope.cancel()

        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), on_event=stop, run_id="r")
    assert (await store.get_run("r")).status is RunStatus.SUCCEEDED


def test_cancelling_every_task_of_asyncio_fails_no_upload() -> None:
    """A common way to shut down cancels the workers' tasks too, in no scope of anyio's."""
    store, analyzer = MemoryStore(), ScriptedAnalyzer(latency=60)

    async def main() -> None:
        task = asyncio.create_task(analyze_cards(texts(4), store, analyzer=analyzer, run_id="r"))
        await anyio.wait_all_tasks_blocked()
        assert analyzer.in_flight == 2
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
    run = anyio.run(load_run, store, "r")
    assert {item.status for item in run.items} == {ItemStatus.PENDING}
    assert run.status is RunStatus.CANCELLED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("where", ["analyzer", "callback"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_exit_comes_out_bare(backend: str, where: str, error: type[BaseException]) -> None:
    """Ctrl-C and sys.exit end the call as themselves, in no group, and the run can be resumed."""
    store = MemoryStore()

    def script(document: Document) -> Analysis:
        if where == "analyzer":
            raise error
        return first_line_card(document)

    def on_event(event: Any) -> None:
        if where == "callback" and event.data.get("to") == "analyzing":
            raise error

    async def main() -> None:
        await analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(script), on_event=on_event, run_id="r")

    with pytest.raises(error) as raised:
        anyio.run(main, backend=backend)
    assert type(raised.value) is error
    run = anyio.run(lambda: analyze_cards(texts(2), store, analyzer=ScriptedAnalyzer(), run_id="r"))
    assert run.status is RunStatus.SUCCEEDED


@pytest.mark.anyio
async def test_a_callback_that_raises_anything_else_does_not_hurt_the_run() -> None:
    """Also an exception that is no Exception, and a cancellation of its own accord."""
    odd = [type("Odd", (BaseException,), {})(), GeneratorExit(), asyncio.CancelledError()]

    def on_event(_event: Any) -> None:
        if odd:
            raise odd.pop()

    run = await analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(), on_event=on_event)
    assert run.status is RunStatus.SUCCEEDED
    assert not odd


@pytest.mark.anyio
async def test_a_generator_that_fails_while_the_run_stops_does_not_hide_why() -> None:
    """What stopped the run comes out, not what the generator raised when it was closed; paid work is kept."""

    async def generate() -> AsyncIterator[Upload]:
        try:
            for upload in texts(5):
                yield upload
        finally:
            raise ValueError("while closing")

    def script(document: Document) -> Analysis:
        if document.name == "Document 0.txt":
            raise ConfigurationError("wrong key")
        return first_line_card(document)

    with pytest.raises(ValueError, match="wrong key"):
        await analyze_cards(generate(), MemoryStore(), 1, analyzer=ScriptedAnalyzer(script))


@pytest.mark.anyio
async def test_the_same_content_as_another_type_is_another_document() -> None:
    """A table that was given as text before is read as a table too, and a copy of each is skipped."""
    content = "Requirement,Priority\nExport claims,high\n"
    names = ("a.txt", "a.csv", "b.csv", "c.txt")
    uploads = [Upload.from_text(content, name) for name in names]
    analyzer = ScriptedAnalyzer(lambda document: Analysis(cards=[Card(title=document.media_type)]))
    run = await analyze_cards(uploads, MemoryStore(), 1, analyzer=analyzer)
    assert [item.status for item in run.items] == ["completed", "completed", "skipped", "skipped"]
    assert [card.title for card in run.cards] == ["text/plain", "text/csv"]


@pytest.mark.anyio
async def test_another_run_of_the_name_is_not_settled() -> None:
    """A worker whose run was deleted and made anew under its feet leaves the new run alone."""
    store = MemoryStore()

    class Replacing:
        name = "replacing"

        async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
            del store._runs["r"]
            await store.create_run("r", kind="analyze_cards", fingerprint="", asked={})
            return first_line_card(document)

    with pytest.raises(StoreError):
        await analyze_cards(texts(1), store, analyzer=Replacing(), run_id="r")
    run = await store.get_run("r")
    assert (run.status, run.last_event) == (RunStatus.QUEUED, 1)
