"""An app as a user would write it. It is type-checked in strict mode and never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from anyio import CapacityLimiter

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    Analyzer,
    AnalyzerError,
    Block,
    BlockKind,
    Card,
    CardAnalysisError,
    ClaudeAnalyzer,
    ConfigurationError,
    Document,
    DocumentError,
    Event,
    Evidence,
    Item,
    ItemError,
    ItemStatus,
    Loader,
    Location,
    MemoryStore,
    OutlineAnalyzer,
    Priority,
    QuestionAnswer,
    Run,
    RunNotFound,
    RunStatus,
    SQLiteStore,
    Store,
    StoreError,
    Upload,
    UploadContext,
    Usage,
    VersionConflict,
    __version__,
    analyze_cards,
    from_dict,
    load_run,
    to_dict,
)
from cardanalysis.abc import Described, OpenableAnalyzer

# -- what can be replaced --------------------------------------------------------------------------------------------


class FirstLineAnalyzer:
    """The least that an analyzer is: a name and one method."""

    name = "first-line"

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        assert_type(request.max_cards, int)
        assert_type(request.context, UploadContext | None)
        quote = document.text.partition("\n")[0]
        card = Card(title=quote or document.name, quotes=[quote], priority="high")
        return Analysis(cards=[card][: request.max_cards], usage=Usage(requests=1), notes="one line read")


class PooledAnalyzer:
    """An analyzer that needs something for the length of a run, and tells what its answers depend on."""

    @property
    def name(self) -> str:
        return "pooled"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Analyzer, None]:
        yield FirstLineAnalyzer()

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        raise AnalyzerError("The pool is not open. Use open().", code="not_open", usage=Usage())

    def describe(self) -> Mapping[str, Any]:
        return {"model": "none", "prompt": 3}


class TextLoader:
    """A loader of the user's own, which makes a document of every upload."""

    async def load(self, upload: Upload, /) -> Document:
        data = upload.read()
        assert_type(data, bytes)
        text = data.decode()
        place = Location(name=upload.name, start=0, end=len(text), line=1)
        block = Block(kind=BlockKind.PARAGRAPH, text=text, location=place, cells=("a", "b"))
        return Document(upload_id=upload.id, name=upload.name, media_type="text/plain", text=text, blocks=[block])


def analyzers() -> list[Analyzer]:
    return [FirstLineAnalyzer(), PooledAnalyzer(), OutlineAnalyzer(), ClaudeAnalyzer()]


def stores(path: Path) -> list[Store]:
    return [MemoryStore(), SQLiteStore(path), SQLiteStore("cards.db", synchronous="NORMAL")]


def loader() -> Loader:
    return TextLoader()


def opened(analyzer: OpenableAnalyzer) -> AbstractAsyncContextManager[Analyzer]:
    return analyzer.open()


def described(analyzer: Described) -> Mapping[str, Any]:
    return analyzer.describe()


def optional_parts() -> tuple[AbstractAsyncContextManager[Analyzer], Mapping[str, Any]]:
    return opened(PooledAnalyzer()), described(PooledAnalyzer())


# -- uploads -----------------------------------------------------------------------------------------------------------


def make_uploads(folder: Path) -> list[Upload]:
    context = UploadContext(
        project_type="migration",
        confidentiality=None,
        key_terms=["ETA"],
        questions_and_answers=[QuestionAnswer(question="Who?", answer="Ann")],
    )
    uploads = [
        Upload.from_text("A text", "notes.md", context=context),
        Upload.from_text("A text", name="notes", media_type="text/markdown"),
        Upload.from_bytes(b"a,b", "table.csv"),
        Upload.from_bytes(b"a,b", "table", "text/csv"),
        Upload.from_path(folder / "brief.md"),
        Upload.from_path("brief.md", context=context),
        *Upload.from_folder(folder, "**/*.docx", ignore=["drafts"], context=context),
        *Upload.from_zip("pile.zip", glob="*.md", members=100),
        *Upload.from_zip(b"PK", "pile.zip", context=context),
    ]
    assert_type(uploads[0], Upload)
    assert_type(uploads[0].id, str)
    assert_type(uploads[0].size, int)
    assert_type(uploads[0].media_type, str | None)
    assert_type(context.to_dict(), dict[str, Any])
    return uploads


def generate(folder: Path) -> Iterator[Upload]:
    yield from (Upload.from_path(path) for path in folder.iterdir())


async def receive() -> AsyncIterator[Upload]:
    yield Upload.from_text("A text", "notes.md")


# -- runs --------------------------------------------------------------------------------------------------------------


def show(event: Event) -> None:
    assert_type(event.sequence, int)
    assert_type(event.type, str)
    assert_type(event.item_id, str | None)
    assert_type(event.time, datetime)
    assert_type(event.data, Mapping[str, Any])


async def show_later(event: Event) -> None:
    show(event)


async def every_kind_of_call(folder: Path, store: Store) -> None:
    assert_type(await analyze_cards(make_uploads(folder), store), Run)
    await analyze_cards(tuple(make_uploads(folder)), store, 4)
    await analyze_cards(set(make_uploads(folder)), store, limit=CapacityLimiter(4))
    await analyze_cards(generate(folder), store, on_event=show)
    await analyze_cards(receive(), store, on_event=show_later)
    await analyze_cards((upload async for upload in receive()), store, on_event=lambda event: event.type)
    await analyze_cards(
        make_uploads(folder),
        store,
        2,
        analyzer=FirstLineAnalyzer(),
        run_id="monday",
        on_event=None,
        item_timeout=None,
        max_cards=5,
        context=UploadContext(notes="n"),
        loader=TextLoader(),
        retry_failed=True,
        accept_changes=True,
        lease_seconds=30,
        collect=False,
    )


async def main(folder: Path) -> None:
    async with SQLiteStore(folder / "cards.db") as store:
        assert_type(store, SQLiteStore)
        try:
            run = await analyze_cards(make_uploads(folder), store, analyzer=PooledAnalyzer())
        except ConfigurationError as error:
            assert_type(error.code, str)
            return
        assert_type(await load_run(store, run.id), Run)
    async with MemoryStore() as memory:
        assert_type(memory, MemoryStore)
        await analyze_cards([], memory)
    read_run(run)


def version() -> str:
    return __version__


def read_run(run: Run) -> None:
    assert_type(run.status, RunStatus)
    assert_type(run.cards, tuple[Card, ...])
    assert_type(run.items, tuple[Item, ...])
    assert_type(run.counters["cards"], int)
    assert_type(run.counters[ItemStatus.FAILED], int)
    assert_type(run.usage, Usage)
    assert_type(run.usage.cost, float | None)
    assert_type(run.usage + Usage(requests=1, cost=None), Usage)
    assert_type(run.error, str | None)
    assert_type(run.created_at, datetime)
    assert_type(run.finished_at, datetime | None)
    for card in run.cards:
        read_card(card)
    for item in run.items:
        read_item(item)


def read_card(card: Card) -> None:
    assert_type(card.title, str)
    assert_type(card.target_users, tuple[str, ...])
    assert_type(card.priority, Priority | None)
    assert_type(card.evidence, tuple[Evidence, ...])
    if card.priority is not None:
        assert_type(card.priority, Priority)
    for proof in card.evidence:
        assert_type(proof.quote, str)
        assert_type(proof.location, Location)
        assert_type(proof.location.page, int | None)
    for rejected in card.rejected_quotes:
        assert_type(rejected.reason, str)


def read_item(item: Item) -> None:
    assert_type(item.status, ItemStatus)
    assert_type(item.status.is_terminal, bool)
    assert_type(item.duration_seconds, float | None)
    assert_type(item.error, ItemError | None)
    if item.error is not None:
        assert_type(item.error.code, str)


def convert(run: Run) -> None:
    values = to_dict(run)
    assert_type(values, dict[str, Any])
    assert_type(from_dict(Run, values), Run)
    assert_type(from_dict(Card, {"title": "t"}), Card)
    assert_type(Card(title="t", systems="SAP", constraints=(str(n) for n in range(3))), Card)
    assert_type(Card(title="t", priority=Priority.LOW, evidence=[]), Card)


# -- stores ------------------------------------------------------------------------------------------------------------


async def use_a_store(store: Store) -> None:
    async with store as opened:
        assert_type(await opened.get_run("monday"), Run)
        assert_type(await opened.increment("monday", "opened"), int)
        assert_type(await opened.increment("monday", "opened", -2), int)
        item = await opened.get_item("monday", "a1")
        assert_type(item, Item)
        await opened.update_status("monday", item.id, ItemStatus.PENDING, version=item.version)
        assert_type(await opened.events("monday"), list[Event])
        assert_type(await opened.events("monday", 5, limit=10), list[Event])
        page = await opened.items("monday", status=ItemStatus.FAILED, limit=100)
        assert_type(page, list[Item])
        await opened.items("monday", after=page[-1])
        outputs = await opened.outputs("monday", kind="cards", item_id=item.id)
        assert_type(from_dict(Card, outputs[0].data), Card)


async def handle_errors(store: Store) -> str:
    try:
        await store.get_run("monday")
    except RunNotFound as error:
        return error.run_id
    except VersionConflict as error:
        assert_type(error.current, int)
    except StoreError as error:
        return error.code
    except DocumentError as error:
        return f"{error.upload}: {error.remedy}"
    except AnalyzerError as error:
        assert_type(error.usage, Usage | None)
    except CardAnalysisError as error:
        return error.code
    return ""


# -- mistakes that a type checker must see: an ignore without need is an error ---------------------------------------


async def mistakes(store: Store, run: Run) -> None:
    Upload.from_text(b"bytes", "notes.md")  # type: ignore[arg-type]
    Upload.from_bytes("text", "notes.md")  # type: ignore[arg-type]
    Card("title")  # type: ignore[call-arg]
    Card(title="t", priority=1)  # type: ignore[arg-type]
    run.status = RunStatus.FAILED  # type: ignore[misc]
    await analyze_cards(["brief.md"], store)  # type: ignore[list-item]
    await analyze_cards([], store, analyzer=TextLoader())  # type: ignore[arg-type]
    await store.update_status("monday", "a1", ItemStatus.PENDING)  # type: ignore[call-arg]
