"""`analyze_cards`: outcomes, duplicates, resuming, errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    Analyzer,
    AnalyzerError,
    Card,
    ConfigurationError,
    Document,
    DocumentError,
    Event,
    ItemStatus,
    MemoryStore,
    RunStatus,
    RunStopped,
    SQLiteStore,
    Store,
    Upload,
    UploadContext,
    Usage,
    analyze_cards,
    load_run,
)
from cardanalysis.testing import ScriptedAnalyzer, first_line_card

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens the same store each time it is called."""
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "cards.db")


def texts(count: int, prefix: str = "Document") -> list[Upload]:
    return [Upload.from_text(f"{prefix} {number}\n", f"{prefix} {number}.txt") for number in range(count)]


def failing(*names: str, error: Callable[[], BaseException]) -> Callable[[Document], Analysis]:
    """A script that raises for some documents."""

    def script(document: Document) -> Analysis:
        if document.name in names:
            raise error()
        return first_line_card(document)

    return script


async def test_every_upload_gives_its_cards_with_evidence(open_store: Any) -> None:
    """The run succeeded, and each card proves itself by a quote at its place and knows where it came from."""
    async with open_store() as store:
        run = await analyze_cards(texts(5), store, analyzer=ScriptedAnalyzer())
    assert run.status is RunStatus.SUCCEEDED
    assert dict(run.counters) == {"cards": 5, "completed": 5, "total": 5}
    assert run.usage == Usage(requests=5, input_tokens=50)
    for card, item in zip(run.cards, run.items, strict=True):
        assert card.upload_id == item.id
        assert card.id == f"{item.id[:12]}-1"
        assert card.made_by == "scripted"
        assert [str(each.location) for each in card.evidence] == [f"{item.name}, line 1"]
        assert item.attempts == 1
        assert item.duration_seconds is not None


async def test_the_log_tells_every_step_of_an_upload(open_store: Any) -> None:
    """pending, loading, analyzing, saving, completed: each is one event, in order, without a gap."""
    async with open_store() as store:
        run = await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer())
        events = await store.events(run.id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    steps = [event.data["to"] for event in events if event.type == "item_status"]
    assert steps == ["loading", "analyzing", "saving", "completed"]
    assert [event.data["to"] for event in events if event.type == "run_status"] == ["running", "succeeded"]


ANYTHING: list[Callable[[], BaseException]] = [
    lambda: RuntimeError("boom"),
    lambda: AnalyzerError("It was refused. Rephrase it.", code="refused"),
    lambda: DocumentError("x", "it is odd", "Mend it.", code="malformed"),
    lambda: TimeoutError(),
    lambda: ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
    lambda: BaseExceptionGroup("several", [GeneratorExit()]),
    lambda: type("Odd", (BaseException,), {})(),
    lambda: GeneratorExit(),
    lambda: StopAsyncIteration(),
    lambda: asyncio.CancelledError("of its own accord"),
    lambda: AssertionError(),
    lambda: RecursionError(),
]


@pytest.mark.parametrize("error", ANYTHING, ids=lambda make: type(make()).__name__)
async def test_whatever_an_analyzer_raises_fails_that_upload_alone(error: Callable[[], BaseException]) -> None:
    """The others complete, the run is partial, and the item says why."""
    analyzer = ScriptedAnalyzer(failing("Document 1.txt", error=error))
    run = await analyze_cards(texts(4), MemoryStore(), analyzer=analyzer)
    assert run.status is RunStatus.PARTIAL
    assert [item.status for item in run.items] == ["completed", "failed", "completed", "completed"]
    assert run.items[1].error is not None
    assert run.items[1].error.code
    assert run.items[1].error.message
    assert dict(run.counters) == {"cards": 3, "completed": 3, "failed": 1, "total": 4}


async def test_an_analyzer_that_makes_an_invalid_card_fails_that_upload_alone() -> None:
    """A model's own check is no reason to stop the run, and says which field is wrong."""

    def script(document: Document) -> Analysis:
        return Analysis(cards=[Card(title="" if document.name == "Document 0.txt" else "fine")])

    run = await analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(script))
    assert [item.status for item in run.items] == ["failed", "completed", "completed"]
    assert run.items[0].error is not None
    assert "title must not be empty" in run.items[0].error.message


async def test_a_foreign_exception_is_told_without_secrets_and_document_text() -> None:
    """Its message is on the item, but not where it quotes the document or holds a key."""
    secret = "The merger with our largest rival will be announced on Friday."
    uploads = [Upload.from_text(secret, "a.txt"), Upload.from_text("b", "b.txt"), Upload.from_text("c", "c.txt")]

    def script(document: Document) -> Analysis:
        raise {
            "a.txt": RuntimeError(f"cannot read: {document.text}"),
            "b.txt": RuntimeError("bad key sk-ant-api03-abcdef in x-api-key: sk-ant-1"),
            "c.txt": RuntimeError("boom"),
        }[document.name]

    store = MemoryStore()
    run = await analyze_cards(uploads, store, analyzer=ScriptedAnalyzer(script))
    messages = [item.error.message for item in run.items if item.error]
    told = " ".join([*messages, str(await store.events(run.id)), repr(run)])
    assert "boom" in messages[2]
    assert "merger" not in told
    assert "sk-ant" not in told
    assert run.status is RunStatus.FAILED


async def test_a_failed_attempt_is_counted_with_its_usage() -> None:
    """What a refused answer cost is on the item and on the run."""
    usage = Usage(requests=1, input_tokens=700, output_tokens=3, cost=0.01)
    error = AnalyzerError("refused", code="refused", usage=usage)
    run = await analyze_cards(
        texts(2), MemoryStore(), analyzer=ScriptedAnalyzer(failing("Document 0.txt", error=lambda: error))
    )
    assert run.items[0].usage == usage
    assert run.usage.cost == 0.01
    assert run.usage.requests == 2


async def test_an_analyzer_must_return_an_analysis() -> None:
    """Anything else is a typed failure of the item."""
    analyzer = ScriptedAnalyzer(lambda _: [Card(title="no analysis")])  # type: ignore[arg-type,return-value]
    run = await analyze_cards(texts(1), MemoryStore(), analyzer=analyzer)
    assert run.items[0].error is not None
    assert run.items[0].error.code == "invalid_analysis"


async def test_max_cards_holds_for_every_analyzer_and_says_what_was_left_out() -> None:
    """More cards than asked for are cut to the number, with a note in the item's event."""
    store = MemoryStore()
    many = Analysis(cards=[Card(title=f"Card {number}") for number in range(7)], notes="From the analyzer.")
    run = await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(lambda _: many), max_cards=5)
    assert [card.title for card in run.cards] == [f"Card {number}" for number in range(5)]
    notes = [event.data["notes"] for event in await store.events(run.id) if "notes" in event.data]
    assert notes == [["From the analyzer.", "The analyzer gave 7 cards; the first 5 were kept."]]


async def test_an_upload_that_takes_too_long_fails_alone(open_store: Any) -> None:
    """The item timeout ends one analysis, and names itself in the error."""
    analyzer = ScriptedAnalyzer(latency=lambda document: 60.0 if document.name == "Document 1.txt" else 0.0)
    async with open_store() as store:
        run = await analyze_cards(texts(3), store, analyzer=analyzer, item_timeout=0.05)
    assert [item.status for item in run.items] == ["completed", "failed", "completed"]
    assert run.items[1].error is not None
    assert run.items[1].error.code == "timeout"
    assert "item_timeout=0.05" in run.items[1].error.message


async def test_a_result_that_comes_in_spite_of_the_timeout_is_kept() -> None:
    """An analyzer that answers after its deadline was paid for, so its answer is not thrown away."""

    class Stubborn(ScriptedAnalyzer):
        async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
            return first_line_card(document)

    run = await analyze_cards(texts(1), MemoryStore(), analyzer=Stubborn(), item_timeout=0.01)
    assert run.status is RunStatus.SUCCEEDED


async def test_statuses_are_told_truthfully() -> None:
    """All failed is failed, some failed is partial, and what is only skipped does not count against success."""
    none = await analyze_cards(
        texts(2), MemoryStore(), analyzer=ScriptedAnalyzer(lambda _: (_ for _ in ()).throw(ValueError()))
    )
    assert none.status is RunStatus.FAILED
    uploads = [Upload.from_text("  \n ", "blank.txt"), Upload.from_text("text", "text.txt")]
    some = await analyze_cards(uploads, MemoryStore(), analyzer=ScriptedAnalyzer())
    assert some.status is RunStatus.PARTIAL
    assert some.items[0].error is not None
    assert some.items[0].error.code == "empty"
    copies = [Upload.from_text("same", f"{name}.txt") for name in "abc"]
    skipped = await analyze_cards(copies, MemoryStore(), analyzer=ScriptedAnalyzer())
    assert skipped.counters["skipped"] == 2
    assert skipped.status is RunStatus.SUCCEEDED


async def test_the_same_content_is_analyzed_once(open_store: Any) -> None:
    """The second copy is skipped, and an event says what it is a copy of."""
    twice = [Upload.from_text("same", "a.txt"), Upload.from_text("other", "b.txt"), Upload.from_text("same", "c.txt")]
    analyzer = ScriptedAnalyzer()
    async with open_store() as store:
        run = await analyze_cards(twice, store, analyzer=analyzer)
        again = await analyze_cards(twice, store, analyzer=analyzer, run_id=run.id)
        told = [event for event in await store.events(run.id) if event.type == "item_skipped"]
    assert sorted(analyzer.calls) == ["a.txt", "b.txt"]
    assert [item.status for item in run.items] == ["completed", "completed", "skipped"]
    assert run.status is RunStatus.SUCCEEDED
    assert [dict(event.data) for event in told] == [{"reason": "duplicate", "same_as": run.items[0].id}]
    assert again.items == run.items


async def test_one_new_document_in_front_of_a_hundred_costs_one_request(open_store: Any) -> None:
    """Identity comes from content and not from place, and the results follow the new order."""
    analyzer = ScriptedAnalyzer()
    async with open_store() as store:
        first = await analyze_cards(texts(100), store, 8, analyzer=analyzer)
        uploads = [Upload.from_text("New\n", "new.txt"), *texts(100)]
        second = await analyze_cards(uploads, store, 8, analyzer=analyzer, run_id=first.id)
    assert len(analyzer.calls) == 101
    assert analyzer.calls[-1] == "new.txt"
    assert [card.title for card in second.cards] == ["New", *(f"Document {number}" for number in range(100))]
    assert second.status is RunStatus.SUCCEEDED


async def test_finished_work_is_not_done_again_under_another_name() -> None:
    """The same content under a new name is known."""
    analyzer, store = ScriptedAnalyzer(), MemoryStore()
    run = await analyze_cards([Upload.from_text("same", "old.txt")], store, analyzer=analyzer)
    await analyze_cards([Upload.from_text("same", "new.md")], store, analyzer=analyzer, run_id=run.id)
    assert analyzer.calls == ["old.txt"]


async def test_failed_uploads_are_done_again_only_when_asked(open_store: Any) -> None:
    """Resuming leaves them; retry_failed does them again, with the attempts counted on."""
    async with open_store() as store:
        broken = ScriptedAnalyzer(failing("Document 0.txt", error=ValueError))
        run = await analyze_cards(texts(2), store, analyzer=broken)
        left = await analyze_cards(texts(2), store, analyzer=broken, run_id=run.id)
        assert left.status is RunStatus.PARTIAL
        assert len(broken.calls) == 2
        mended = ScriptedAnalyzer()
        done = await analyze_cards(texts(2), store, analyzer=mended, run_id=run.id, retry_failed=True)
    assert done.status is RunStatus.SUCCEEDED
    assert mended.calls == ["Document 0.txt"]
    assert (done.items[0].attempts, done.items[1].attempts) == (2, 1)
    assert done.items[0].error is None
    assert dict(done.counters) == {"cards": 2, "completed": 2, "total": 2}


class Described(ScriptedAnalyzer):
    def __init__(self, **description: Any) -> None:
        super().__init__()
        self.description = description

    def describe(self) -> dict[str, Any]:
        return self.description


async def test_another_question_is_refused_unless_accepted(open_store: Any) -> None:
    """Resuming with another model names what differs and changes nothing; accept_changes takes the new question."""
    async with open_store() as store:
        run = await analyze_cards(texts(2), store, analyzer=Described(model="a"), max_cards=3)
        with pytest.raises(ConfigurationError, match="begun with another max_cards, model") as refused:
            await analyze_cards(texts(3), store, analyzer=Described(model="b"), run_id=run.id)
        assert refused.value.code == "fingerprint_mismatch"
        assert (await load_run(store, run.id)) == run
        accepted = await analyze_cards(
            texts(3), store, analyzer=Described(model="b"), run_id=run.id, accept_changes=True
        )
    assert accepted.asked["model"] == "b"
    assert accepted.counters["completed"] == 3


async def test_the_context_reaches_the_analyzer_and_is_part_of_the_question() -> None:
    """An upload's own context goes before the run's, and another one of the run is another question."""
    seen: dict[str, UploadContext | None] = {}

    class Analyzer:
        name = "context"

        async def analyze(self, document: Document, request: AnalysisRequest) -> Analysis:
            seen[document.name] = request.context
            return Analysis(cards=())

    own, shared = UploadContext(notes="own"), UploadContext(notes="shared")
    uploads = [Upload.from_text("a", "a.txt", context=own), Upload.from_text("b", "b.txt")]
    store = MemoryStore()
    run = await analyze_cards(uploads, store, analyzer=Analyzer(), context=shared)
    assert seen == {"a.txt": own, "b.txt": shared}
    with pytest.raises(ConfigurationError, match="another context"):
        await analyze_cards(uploads, store, analyzer=Analyzer(), run_id=run.id)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [ValueError("half-way"), KeyboardInterrupt()], ids=["error", "interrupt"])
async def test_a_generator_that_raises_half_way_loses_nothing(open_store: Any, kind: str, error: BaseException) -> None:
    """Its exception comes out bare, what was finished is kept, and the run resumes to the end."""

    def generate() -> Iterator[Upload]:
        yield from texts(6)
        raise error

    async def generate_async() -> AsyncIterator[Upload]:
        for upload in generate():
            yield upload

    analyzer = ScriptedAnalyzer(latency=0.001)
    async with open_store() as store:
        with pytest.raises(type(error)) as raised:
            await analyze_cards(
                generate() if kind == "sync" else generate_async(), store, 3, analyzer=analyzer, run_id="r"
            )
        assert raised.value is error
        if isinstance(error, Exception):
            assert "run_id='r'" in error.__notes__[-1]
        stopped = await load_run(store, "r")
        assert stopped.status == ("partial" if isinstance(error, Exception) else "cancelled")
        assert stopped.error
        run = await analyze_cards(texts(9), store, analyzer=analyzer, run_id="r")
    assert run.status is RunStatus.SUCCEEDED
    assert run.counters["completed"] == 9
    if isinstance(error, Exception):
        assert stopped.counters["completed"] == 6
        assert sorted(analyzer.calls) == sorted({upload.name for upload in texts(9)})


async def test_a_configuration_error_stops_the_run_and_leaves_the_rest_pending(open_store: Any) -> None:
    """A wrong key spends no further request; the upload is handed back and the call raises."""
    wrong = ScriptedAnalyzer(lambda _: (_ for _ in ()).throw(ConfigurationError("wrong key", code="authentication")))
    async with open_store() as store:
        with pytest.raises(ConfigurationError, match="wrong key"):
            await analyze_cards(texts(20), store, 1, analyzer=wrong, run_id="r")
        stopped = await load_run(store, "r")
        assert len(wrong.calls) == 1
        assert {item.status for item in stopped.items} == {ItemStatus.PENDING}
        assert {item.attempts for item in stopped.items} == {0}
        assert (stopped.status, stopped.error) == ("failed", "wrong key")
        run = await analyze_cards(texts(20), store, analyzer=ScriptedAnalyzer(), run_id="r")
    assert run.status is RunStatus.SUCCEEDED
    assert run.error is None


class Openable(ScriptedAnalyzer):
    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.log: list[str] = []

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Analyzer]:
        if self.error is not None:
            raise self.error
        self.log.append("opened")
        try:
            yield self
        finally:
            self.log.append("closed")


async def test_an_analyzer_is_opened_once_for_a_run_and_closed() -> None:
    """What it holds lives as long as the run."""
    analyzer = Openable()
    await analyze_cards(texts(5), MemoryStore(), analyzer=analyzer)
    assert analyzer.log == ["opened", "closed"]


async def test_an_analyzer_that_cannot_be_opened_stops_before_anything_is_stored() -> None:
    """A missing key is told before there is a run."""
    store = MemoryStore()
    with pytest.raises(ConfigurationError, match="no key"):
        await analyze_cards(texts(5), store, analyzer=Openable(ConfigurationError("no key")))
    assert "0 runs" in repr(store)


BAD: list[dict[str, Any]] = [
    {"uploads": "brief.md"},
    {"uploads": Upload.from_text("a", "a.txt")},
    {"uploads": None},
    {"uploads": ["brief.md"]},
    {"item_timeout": 0},
    {"item_timeout": True},
    {"item_timeout": float("nan")},
    {"item_timeout": "5"},
    {"lease_seconds": -1},
    {"max_cards": 0},
    {"max_cards": 2.0},
    {"store": "cards.db"},
    {"store": SQLiteStore},
    {"analyzer": ScriptedAnalyzer},
    {"analyzer": 7},
    {"run_id": ""},
    {"run_id": 7},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_bad_arguments_raise_before_anything_is_stored(bad: dict[str, Any]) -> None:
    """Each is a ConfigurationError, which is a ValueError, and the store stays empty."""
    store = MemoryStore()
    arguments: dict[str, Any] = {"uploads": texts(1), "store": store, "analyzer": ScriptedAnalyzer(), **bad}
    with pytest.raises(ConfigurationError) as raised:
        await analyze_cards(arguments.pop("uploads"), arguments.pop("store"), **arguments)
    assert isinstance(raised.value, ValueError)
    assert "0 runs" in repr(store)


async def test_a_wrong_element_of_a_generator_is_told_when_it_comes() -> None:
    """It raises like any other error of the generator, and what came before is kept."""
    store = MemoryStore()
    with pytest.raises(ConfigurationError, match="Upload objects, not str"):
        await analyze_cards(iter([*texts(1), "path"]), store, analyzer=ScriptedAnalyzer(), run_id="r")  # type: ignore[list-item]
    assert (await store.get_run("r")).counters["completed"] == 1


async def test_events_come_in_order_to_a_function_and_to_a_coroutine_function() -> None:
    """on_event sees exactly the log from its beginning, without gaps, whichever kind it is."""
    seen: list[Event] = []

    async def take(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    store = MemoryStore()
    run = await analyze_cards(texts(10), store, 4, analyzer=ScriptedAnalyzer(), on_event=take)
    first = len(seen)
    assert seen == await store.events(run.id)
    await analyze_cards(texts(11), store, 4, analyzer=ScriptedAnalyzer(), on_event=seen.append, run_id=run.id)
    assert seen == await store.events(run.id)
    assert len(seen) > first


async def test_a_callback_that_raises_does_not_hurt_the_run(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and every event is still offered."""
    calls = 0

    def fail(_event: Event) -> None:
        nonlocal calls
        calls += 1
        raise ValueError("callback")

    with caplog.at_level(logging.ERROR, logger="cardanalysis"):
        run = await analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(), on_event=fail)
    assert run.status is RunStatus.SUCCEEDED
    assert calls == run.last_event
    assert "on_event raised" in caplog.text


async def test_a_run_can_be_had_without_its_results() -> None:
    """collect=False keeps memory flat; asking for the cards then says how to get them."""
    store = MemoryStore()
    run = await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), collect=False)
    assert run.counters["cards"] == 3
    with pytest.raises(ConfigurationError, match="load_run"):
        _ = run.cards
    assert len((await load_run(store, run.id)).cards) == 3


async def test_an_unreadable_file_fails_alone(tmp_path: Path) -> None:
    """A file that is gone when its turn comes has an item with the reason and the remedy."""
    gone = tmp_path / "gone.txt"
    gone.write_text("here")
    uploads = [Upload.from_path(gone), *texts(2)]
    gone.unlink()
    run = await analyze_cards(uploads, MemoryStore(), analyzer=ScriptedAnalyzer())
    assert [item.status for item in run.items] == ["failed", "completed", "completed"]
    assert run.items[0].error is not None
    assert run.items[0].error.message.startswith("gone.txt: there is no such file")


async def test_a_file_that_changes_meanwhile_fails_alone(tmp_path: Path) -> None:
    """Results are kept under the content that was announced, so another content is refused."""
    path = tmp_path / "a.txt"
    path.write_text("first")
    upload = Upload.from_path(path)
    path.write_text("second, longer")
    run = await analyze_cards([upload], MemoryStore(), analyzer=ScriptedAnalyzer())
    assert run.items[0].error is not None
    assert run.items[0].error.code == "changed"


async def test_a_loader_that_raises_anything_fails_that_upload_alone() -> None:
    """A parser's own exception becomes a DocumentError that names the upload."""

    class Loader:
        async def load(self, upload: Upload) -> Document:
            raise KeyError(upload.name)

    run = await analyze_cards(texts(1), MemoryStore(), analyzer=ScriptedAnalyzer(), loader=Loader())
    assert run.items[0].error is not None
    assert run.items[0].error.message.startswith("Document 0.txt: it could not be loaded (KeyError)")


# --- a time limit for the run -----------------------------------------------------------------------------------------


async def hang(_event: Event) -> None:
    await anyio.sleep_forever()


async def test_a_callback_that_hangs_does_not_hold_a_run_past_its_time(caplog: pytest.LogCaptureFixture) -> None:
    """What is done is returned, and that the callback missed the rest is logged."""
    with anyio.fail_after(30), caplog.at_level(logging.WARNING, logger="cardanalysis"):
        run = await analyze_cards(texts(3), MemoryStore(), analyzer=ScriptedAnalyzer(), on_event=hang, run_timeout=0.5)
    assert (run.status, len(run.cards)) == (RunStatus.SUCCEEDED, 3)
    assert "on_event took too long" in caplog.text


async def test_a_run_that_takes_too_long_ends_also_if_its_callback_hangs() -> None:
    """It says so, and what was in work is pending."""
    store = MemoryStore()
    with anyio.fail_after(30), pytest.raises(RunStopped) as caught:
        await analyze_cards(
            texts(2), store, analyzer=ScriptedAnalyzer(latency=1000), on_event=hang, run_id="r", run_timeout=0.2
        )
    assert caught.value.code == "run_timeout"
    assert [item.status for item in await store.items("r")] == [ItemStatus.PENDING] * 2


async def test_a_callback_that_hangs_does_not_hide_an_error_of_the_run() -> None:
    """Why the run stopped is raised, and not that time was over."""
    analyzer = ScriptedAnalyzer(failing("Document 0.txt", error=lambda: ConfigurationError("wrong key")))
    with anyio.fail_after(30), pytest.raises(ConfigurationError, match="wrong key"):
        await analyze_cards(texts(1), MemoryStore(), analyzer=analyzer, on_event=hang, run_timeout=0.5)


@pytest.mark.parametrize("exit_with", [KeyboardInterrupt, SystemExit])
def test_a_callback_that_hangs_does_not_hide_that_the_process_is_to_end(
    anyio_backend: str, exit_with: type[BaseException]
) -> None:
    """As Ctrl-C that reaches the work of an item."""

    async def main() -> None:
        analyzer = ScriptedAnalyzer(failing("Document 0.txt", error=exit_with))
        with anyio.fail_after(30):
            await analyze_cards(texts(1), MemoryStore(), analyzer=analyzer, on_event=hang, run_timeout=0.5)

    with pytest.raises(exit_with):
        anyio.run(main, backend=anyio_backend)


async def test_a_callback_learns_how_a_run_that_took_too_long_ended() -> None:
    """The time of the run is over then, but for the last events there is a moment."""
    seen: list[Event] = []

    async def take(event: Event) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(event)

    store = MemoryStore()
    with anyio.fail_after(30), pytest.raises(RunStopped):
        await analyze_cards(
            texts(2), store, analyzer=ScriptedAnalyzer(latency=1000), on_event=take, run_id="r", run_timeout=0.2
        )
    assert seen == await store.events("r")
    assert seen[-1].data["to"] == RunStatus.CANCELLED


@pytest.mark.parametrize("run_timeout", [None, 100_000.0])
def test_a_callback_that_is_slow_gets_every_event_while_there_is_time(run_timeout: float | None) -> None:
    """A run that is done waits for it; without a limit however long that takes. Time is virtual."""
    seen: list[Event] = []

    async def take(event: Event) -> None:
        await anyio.sleep(1000)
        seen.append(event)

    async def main() -> None:
        store = MemoryStore()
        run = await analyze_cards(
            texts(2), store, analyzer=ScriptedAnalyzer(), on_event=take, run_timeout=run_timeout, lease_seconds=10_000
        )
        assert seen == await store.events(run.id)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_it_runs_in_a_plain_trio_program() -> None:
    """Nothing but trio's own loop is needed."""

    async def main() -> None:
        run = await analyze_cards(texts(2), MemoryStore(), analyzer=ScriptedAnalyzer())
        assert run.status is RunStatus.SUCCEEDED

    trio.run(main)
